//! The pages to look at the system and to try each stream by hand.

use poem::endpoint::make_sync;
use poem::http::header;
use poem::web::Json;
use poem::{IntoResponse, Response, Route, get};
use serde_json::json;

/// The ports of the hosts that belong together, on one machine or behind one name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sisters {
    /// Of the api.
    pub api: u16,
    /// Of the notifier.
    pub notifier: u16,
    /// Of the worker.
    pub worker: u16,
}

/// The files of a folder with their contents, as the program was built.
macro_rules! files {
    ($($name:literal)+) => {
        &[$(($name, include_str!(concat!("../assets/pages/", $name)))),+]
    };
}

/// Every file; a test compares them with the folder.
const FILES: &[(&str, &str)] = files! {
    "index.html" "sse-test.html" "websocket-test.html" "pages.css"
    "actions.js" "close-codes.js" "connections.js" "dom.js" "drop.js" "event-list.js" "every.js" "health.js" "hosts.js"
    "landing.js" "line-list.js" "notification-stream.js" "reconnecting.js" "resume-note.js" "send.js" "sse-test.js"
    "students.js" "test-page.js" "websocket-test.js"
};

/// Adds the pages to a router.
pub(crate) fn mount_pages(routes: Route, sisters: Sisters) -> Route {
    let Sisters { api, notifier, worker } = sisters;
    let version = env!("CARGO_PKG_VERSION");
    let hosts = json!({ "version": version, "api": api, "notifier": notifier, "worker": worker });
    let routes = routes.at("/pages/hosts.json", get(make_sync(move |_| Json(hosts.clone()).into_response())));
    FILES.iter().fold(routes, |routes, (name, content)| {
        routes.at(path(name), get(make_sync(move |_| file(kind(name), content))))
    })
}

/// Pages lie at the top, where people type them; what they are made of below.
fn path(name: &str) -> String {
    match name {
        "index.html" => "/".to_owned(),
        page if page.ends_with(".html") => format!("/{page}"),
        part => format!("/pages/{part}"),
    }
}

fn kind(name: &str) -> &'static str {
    match name.rsplit_once('.') {
        Some((_, "html")) => "text/html; charset=utf-8",
        Some((_, "css")) => "text/css; charset=utf-8",
        _ => "text/javascript; charset=utf-8",
    }
}

fn file(kind: &'static str, content: &'static str) -> Response {
    Response::builder()
        .header(header::CONTENT_TYPE, kind)
        // They belong to the program: after an update the old ones would not fit it.
        .header(header::CACHE_CONTROL, "no-cache")
        .body(content)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_file_of_the_folder_is_served() {
        let folder = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/assets/pages")).unwrap();
        let names: BTreeSet<String> =
            folder.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        assert_eq!(names, FILES.iter().map(|(name, _)| (*name).to_owned()).collect());
    }

    #[test]
    fn nothing_is_inline_and_nothing_comes_from_elsewhere() {
        for (name, content) in FILES {
            for foreign in ["<style", " style=", " onclick=", "//cdn", "https://", "innerHTML"] {
                assert!(!content.contains(foreign), "{name}: {foreign}");
            }
            assert_eq!(
                content.matches("<script").count(),
                content.matches("<script type=\"module\" src=\"/pages/").count(),
                "{name}"
            );
        }
    }
}
