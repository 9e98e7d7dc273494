//! Why a connection ends, as a number that tells the client what to do.

/// A close code ([RFC 6455, section 7.4](https://www.rfc-editor.org/rfc/rfc6455#section-7.4); those from 4000 on are this crate's).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CloseCode(u16);

impl CloseCode {
    /// 1000: both are done.
    pub const NORMAL: Self = Self(1000);
    /// 1001: the server ends; come back, at a random moment of the next seconds.
    pub const GOING_AWAY: Self = Self(1001);
    /// 1002: what came breaks the protocol; do not come back with it.
    pub const PROTOCOL: Self = Self(1002);
    /// 1003: only text is understood here.
    pub const UNSUPPORTED: Self = Self(1003);
    /// 1007: text that is no UTF-8.
    pub const INVALID_TEXT: Self = Self(1007);
    /// 1009: a message that is too long.
    pub const TOO_LONG: Self = Self(1009);
    /// 1012: the server restarts; come back, at a random moment of the next seconds.
    pub const RESTART: Self = Self(1012);
    /// 1013: the server has too many clients; come back later.
    pub const OVERLOAD: Self = Self(1013);
    /// 4400: the query cannot be read; do not come back with it.
    pub const BAD_REQUEST: Self = Self(4400);
    /// 4401: not authorized, or not any more; come back with a new token.
    pub const UNAUTHORIZED: Self = Self(4401);
    /// 4403: the topics are not allowed; do not come back for them.
    pub const FORBIDDEN: Self = Self(4403);
    /// 4408: too far behind; come back and resume.
    pub const TOO_SLOW: Self = Self(4408);
    /// 4429: too many topics or messages; come back with fewer.
    pub const TOO_MANY: Self = Self(4429);

    /// A code of your own, from 4000 to 4999.
    #[must_use]
    pub fn private(code: u16) -> Option<Self> {
        (4000..5000).contains(&code).then_some(Self(code))
    }

    /// The number.
    #[must_use]
    pub fn get(self) -> u16 {
        self.0
    }
}
