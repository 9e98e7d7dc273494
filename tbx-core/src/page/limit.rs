//! How many students a page holds.

/// The most students on one page: 1 to 200, by default 50.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PageLimit(u32);

impl PageLimit {
    /// The largest limit.
    pub const MAX: u32 = 200;

    /// The limit `limit`.
    ///
    /// # Errors
    ///
    /// [`InvalidPageLimit`] unless it is from 1 to 200.
    pub const fn new(limit: u32) -> Result<Self, InvalidPageLimit> {
        if limit == 0 || limit > Self::MAX {
            return Err(InvalidPageLimit);
        }
        Ok(Self(limit))
    }

    /// The limit as an integer.
    pub const fn get(self) -> u32 {
        self.0
    }
}

impl Default for PageLimit {
    fn default() -> Self {
        Self(50)
    }
}

/// The limit is zero or too large.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("page limit is not between 1 and 200")]
pub struct InvalidPageLimit;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_go_from_1_to_200() {
        assert_eq!(PageLimit::new(0), Err(InvalidPageLimit));
        assert_eq!(PageLimit::new(1).map(PageLimit::get), Ok(1));
        assert_eq!(PageLimit::new(200).map(PageLimit::get), Ok(200));
        assert_eq!(PageLimit::new(201), Err(InvalidPageLimit));
        assert_eq!(PageLimit::default().get(), 50);
    }
}
