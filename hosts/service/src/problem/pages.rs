//! What the `type` of a problem leads to: `/problems` and `/problems/<code>`, for people.

use std::fmt::Write as _;

use http::{StatusCode, header};
use poem::endpoint::{make, make_sync};
use poem::{Request, Response, Route, get};

use super::Problem;
use super::catalogue::{PROBLEM_CODES, ProblemCode, find};

const STYLE: &str = include_str!("style.css");

/// Adds the pages to a router.
///
/// # Panics
///
/// As poem's `Route::at` does, when the router has one of them already.
#[must_use]
pub fn mount_problem_pages(routes: Route) -> Route {
    routes
        .at("/problems", get(make_sync(|_| html(list()))))
        .at("/problems/style.css", get(make_sync(|_| file("text/css; charset=utf-8", STYLE.to_owned()))))
        .at("/problems/:code", get(make(|request| async move { one(&request) })))
}

fn one(request: &Request) -> poem::Result<Response> {
    let found = find(&request.path_params::<String>()?);
    found.map(|code| html(page(code))).ok_or_else(|| Problem::from_status(StatusCode::NOT_FOUND).into())
}

fn html(text: String) -> Response {
    file("text/html; charset=utf-8", text)
}

fn file(kind: &'static str, text: String) -> Response {
    Response::builder()
        .header(header::CONTENT_TYPE, kind)
        .header(header::CACHE_CONTROL, "max-age=3600")
        .body(text)
}

fn page(ProblemCode { code, title, status, explanation, remedy }: &ProblemCode) -> String {
    document(
        title,
        &format!(
            "<p><a href=\"/problems\">All problems</a></p>\n<h1>{title}</h1>\n\
             <p class=\"facts\"><code>{code}</code> with status {status}</p>\n\
             <h2>What happened</h2>\n<p>{explanation}</p>\n<h2>What to do</h2>\n<p>{remedy}</p>\n"
        ),
    )
}

fn list() -> String {
    let mut entries = String::new();
    for ProblemCode { code, title, status, .. } in PROBLEM_CODES {
        let _ = writeln!(
            entries,
            "<li><a href=\"/problems/{code}\">{title}</a> <span class=\"facts\"><code>{code}</code> with status {status}</span></li>"
        );
    }
    let about = "Each error is answered with one of these codes. The member <code>type</code> of the answer leads to its page.";
    document("Problems", &format!("<h1>Problems</h1>\n<p>{about}</p>\n<ul>\n{entries}</ul>\n"))
}

/// The texts are constants of this program, and a test keeps them free of what HTML would take for its own.
fn document(title: &str, content: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<title>{title} – TBX</title>\n\
         <link rel=\"icon\" href=\"data:,\">\n<link rel=\"stylesheet\" href=\"/problems/style.css\">\n\
         </head>\n<body>\n<main>\n{content}</main>\n</body>\n</html>\n"
    )
}

#[cfg(test)]
mod tests {
    use poem::Endpoint;

    use super::*;

    async fn ask(path: &str) -> (u16, String, String) {
        let request = Request::builder().uri(path.parse().unwrap()).finish();
        let response = mount_problem_pages(Route::new()).get_response(request).await;
        let kind = response.content_type().unwrap_or_default().to_owned();
        (response.status().as_u16(), kind, response.into_body().into_string().await.unwrap())
    }

    #[tokio::test]
    async fn every_code_has_a_page_and_a_line_in_the_list() {
        let (status, kind, list) = ask("/problems").await;
        assert_eq!((status, kind.as_str()), (200, "text/html; charset=utf-8"));
        for code in PROBLEM_CODES {
            let path = format!("/problems/{}", code.code);
            let (status, kind, page) = ask(&path).await;
            assert_eq!((status, kind.as_str()), (200, "text/html; charset=utf-8"), "{path}");
            for text in [code.code, code.title, code.status, code.explanation, code.remedy] {
                assert!(page.contains(text), "{path}: {text}");
                assert!(!text.contains(['<', '>', '&', '"']), "{path}: {text}");
            }
            assert!(list.contains(&format!("href=\"{path}\"")), "{path}");
        }
    }

    #[tokio::test]
    async fn pages_bring_nothing_inline_and_their_style_is_a_file() {
        for path in ["/problems", "/problems/not-found"] {
            let (_, _, page) = ask(path).await;
            assert!(
                !page.contains("<style") && !page.contains("style=") && !page.contains("<script"),
                "{page}"
            );
            assert!(
                page.contains("href=\"/problems/style.css\"") && page.contains("name=\"viewport\""),
                "{page}"
            );
        }
        let (status, kind, style) = ask("/problems/style.css").await;
        assert_eq!((status, kind.as_str()), (200, "text/css; charset=utf-8"));
        assert!(style.contains("prefers-color-scheme") || style.contains("light-dark("), "{style}");
    }

    #[tokio::test]
    async fn a_code_that_nobody_knows_has_no_page() {
        assert_eq!(ask("/problems/unknown").await.0, 404);
    }
}
