//! The page that shows the API and tries it out.
//!
//! poem-openapi brings Swagger UI as one page with everything inline, which the policy of our pages forbids. So its script and style are taken out of
//! that page and served as files, and the page is our own.

use bytes::Bytes;
use poem::endpoint::make_sync;
use poem::http::header;
use poem::{Response, Route, get};

const PAGE: &str = r##"<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>TBX students – SwaggerUI</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/swagger/style.css">
<script src="/swagger/bundle.js" defer></script>
<script src="/swagger/start.js" defer></script>
</head>
<body>
<div id="ui"></div>
<noscript>SwaggerUI needs scripts. The document it shows is <a href="/openapi.json">openapi.json</a>.</noscript>
</body>
</html>
"##;

const START: &str = r##""use strict";
SwaggerUIBundle({ dom_id: "#ui", url: "/openapi.json", deepLinking: true });
"##;

/// The routes below `/swagger`; `inline` is the page of poem-openapi.
pub(crate) fn routes(inline: &str) -> Route {
    let style = between(inline, "<style charset=\"UTF-8\">", "</style>");
    let bundle = between(inline, "<script charset=\"UTF-8\">", "</script>\n</head>");
    Route::new()
        .at("/", get(make_sync(|_| file("text/html; charset=utf-8", Bytes::from_static(PAGE.as_bytes())))))
        .at(
            "/start.js",
            get(make_sync(|_| file("text/javascript; charset=utf-8", Bytes::from_static(START.as_bytes())))),
        )
        .at("/style.css", get(make_sync(move |_| file("text/css; charset=utf-8", style.clone()))))
        .at("/bundle.js", get(make_sync(move |_| file("text/javascript; charset=utf-8", bundle.clone()))))
}

fn between(text: &str, begin: &str, end: &str) -> Bytes {
    let found = text.split_once(begin).and_then(|(_, rest)| rest.split_once(end)).map(|(found, _)| found);
    Bytes::copy_from_slice(found.unwrap_or_default().as_bytes())
}

fn file(kind: &'static str, text: Bytes) -> Response {
    Response::builder()
        .header(header::CONTENT_TYPE, kind)
        .header(header::CACHE_CONTROL, "max-age=3600")
        .body(text)
}

#[cfg(test)]
mod tests {
    use poem::{Endpoint, Request};

    use super::*;

    #[tokio::test]
    async fn nothing_of_the_page_is_inline_and_its_files_are_whole() {
        let inline = "<style charset=\"UTF-8\">a{}</style><script charset=\"UTF-8\">go(\"</script>\")</script>\n</head>";
        let routes = routes(inline);
        for (path, content) in
            [("/style.css", "a{}"), ("/bundle.js", "go(\"</script>\")"), ("/start.js", START), ("/", PAGE)]
        {
            let answer = routes.get_response(Request::builder().uri(path.parse().unwrap()).finish()).await;
            assert_eq!(answer.into_body().into_string().await.unwrap(), content, "{path}");
        }
        assert!(!PAGE.contains("<style") && !PAGE.contains("script>\n<body"));
        assert_eq!(PAGE.matches("<script src=").count(), PAGE.matches("<script").count());
    }
}
