//! The page that shows the API and tries it out: Swagger UI, from the files in `assets/swagger-ui`.
//!
//! The page is our own, since the one that comes with Swagger UI has parts inline, which the policy of our pages forbids.

use poem::{Route, get};
use tbx_service::StaticFile;

/// Path below `/swagger`, media type and content of each file.
const FILES: [(&str, &str, &str); 5] = [
    ("/", "text/html; charset=utf-8", include_str!("../assets/swagger.html")),
    ("/page.css", "text/css; charset=utf-8", include_str!("../assets/swagger.css")),
    ("/page.js", "text/javascript; charset=utf-8", include_str!("../assets/swagger.js")),
    ("/ui.css", "text/css; charset=utf-8", include_str!("../assets/swagger-ui/swagger-ui.css")),
    ("/ui.js", "text/javascript; charset=utf-8", include_str!("../assets/swagger-ui/swagger-ui-bundle.js")),
];

/// The routes below `/swagger`.
pub(crate) fn routes() -> Route {
    FILES.iter().fold(Route::new(), |routes, (path, kind, content)| {
        routes.at(path, get(StaticFile::new(kind, content.as_bytes())))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_the_page_is_inline_and_its_files_are_served() {
        let (_, _, page) = FILES[0];
        assert!(!page.contains("<style") && !page.contains("style="), "{page}");
        assert_eq!(page.matches("<script src=\"/swagger/").count(), page.matches("<script").count());
        for (path, ..) in &FILES[1..] {
            assert!(page.contains(&format!("\"/swagger{path}\"")), "{path}");
        }
    }
}
