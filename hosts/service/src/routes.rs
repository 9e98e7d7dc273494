//! The routes a host has, as a table: for `Allow`, for answers to `OPTIONS`, for the labels of metrics.
//!
//! poem's router does not tell its routes; a test of each host walks its table and asks the router.

/// Template and methods of each route, such as `("/api/students/{id}", "GET, HEAD, DELETE, OPTIONS")`. The routes that every host has are known without
/// being named.
#[derive(Debug, Clone, Copy)]
pub struct RouteTable(pub &'static [(&'static str, &'static str)]);

/// A row of a [`RouteTable`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RouteInfo {
    /// The path, with variable segments in braces.
    pub template: &'static str,
    /// The methods, as `Allow` writes them.
    pub methods: &'static str,
}

const READ: &str = "GET, HEAD, OPTIONS";

/// What [`Front`](crate::Front) adds to the routes of each host.
const COMMON: &[(&str, &str)] = &[
    ("*", "OPTIONS"),
    ("/health", READ),
    ("/health/live", READ),
    ("/health/ready", READ),
    ("/metrics", READ),
    ("/problems", READ),
    ("/problems/style.css", READ),
    ("/problems/{code}", READ),
];

impl RouteTable {
    /// The route of a path, the first that fits.
    #[must_use]
    pub fn find(self, path: &str) -> Option<RouteInfo> {
        self.all().find(|route| fits(route.template, path))
    }

    /// Every route, those of all hosts included.
    pub fn all(self) -> impl Iterator<Item = RouteInfo> {
        self.0.iter().chain(COMMON).map(|(template, methods)| RouteInfo { template, methods })
    }
}

fn fits(template: &str, path: &str) -> bool {
    let (mut wanted, mut given) = (template.split('/'), path.split('/'));
    loop {
        match (wanted.next(), given.next()) {
            (None, None) => return true,
            (Some(wanted), Some(given)) if wanted == given => {}
            (Some(wanted), Some(given)) if wanted.starts_with('{') && !given.is_empty() => {}
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_finds_its_template_and_nothing_longer_or_shorter() {
        let table = RouteTable(&[("/students", "GET"), ("/students/{id}", "PUT")]);
        let template = |path| table.find(path).map(|route| route.template);
        assert_eq!(template("/students"), Some("/students"));
        assert_eq!(template("/students/7"), Some("/students/{id}"));
        assert_eq!(template("/problems/style.css"), Some("/problems/style.css"), "the exact one is first");
        for path in ["", "/", "/students/", "/students/7/grades", "/Students", "/problems/", "students"] {
            assert_eq!(template(path), None, "{path}");
        }
    }
}
