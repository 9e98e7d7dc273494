//! Health, on every listener.

use http::Method;
use serde_json::json;
use tbx_it::{Client, Setup};

const SERVICES: [&str; 3] = ["api", "notifier", "worker"];

#[tokio::test]
async fn every_listener_tells_that_it_lives_and_is_ready() {
    let tbx = Setup::new().start().await;
    for service in SERVICES {
        let mut client = Client::new(tbx.address(service));
        for path in ["/health/live", "/health/ready"] {
            let answer = client.get(path).await.unwrap();
            assert_eq!((answer.status, answer.json()), (200, json!({ "status": "pass" })), "{service}{path}");
            assert_eq!(answer.header("content-type"), "application/json");
            assert_eq!(answer.header("cache-control"), "no-store");
        }
        let head = client.send(Method::HEAD, "/health/ready", &[], "".into()).await.unwrap();
        assert_eq!(head.status, 200);
    }
}

#[tokio::test]
async fn every_listener_tells_how_each_part_is_and_since_when() {
    let tbx = Setup::new().start().await;
    for service in SERVICES {
        let answer = Client::new(tbx.address(service)).get("/health").await.unwrap();
        let document = answer.json();
        assert_eq!((answer.status, &document["status"]), (200, &json!("pass")), "{service}: {document}");
        let checks = document["checks"].as_object().unwrap();
        assert!(checks.contains_key("database"), "{document}");
        for (name, check) in checks {
            assert_eq!(check["status"], "pass", "{name}");
            let since = check["since"].as_str().unwrap();
            assert!(since.len() == 24 && since.ends_with('Z'), "{name}: {since}");
            assert_eq!(check.as_object().unwrap().len(), 2, "no detail when all is well: {check}");
        }
    }
}
