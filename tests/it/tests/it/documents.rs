//! The documents of the api.

use std::collections::BTreeSet;

use tbx_it::Setup;

use crate::support::{STUDENTS, created, nth};

#[tokio::test]
async fn the_openapi_document_names_every_route() {
    let tbx = Setup::new().start().await;
    let answer = tbx.api().get("/openapi.json").await.unwrap();
    assert_eq!(answer.status, 200);
    assert!(answer.header("content-type").starts_with("application/json"));
    let document = answer.json();
    let server = document["servers"][0]["url"].as_str().unwrap();
    let mut routes = BTreeSet::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        routes.extend(methods.as_object().unwrap().keys().map(|method| format!("{method} {server}{path}")));
    }
    let expected = [
        "get /api/students",
        "post /api/students",
        "get /api/students/{id}",
        "put /api/students/{id}",
        "patch /api/students/{id}",
        "delete /api/students/{id}",
    ];
    assert_eq!(routes, expected.map(str::to_owned).into());
}

#[tokio::test]
async fn a_student_looks_as_the_document_says() {
    let tbx = Setup::new().start().await;
    let mut api = tbx.api();
    let student = created(&mut api, &nth(1)).await;
    let document = api.get("/openapi.json").await.unwrap().json();
    let schema = &document["components"]["schemas"]["Student"];
    let described: BTreeSet<&String> = schema["properties"].as_object().unwrap().keys().collect();
    assert_eq!(described, student.as_object().unwrap().keys().collect());
    let required: BTreeSet<&str> =
        schema["required"].as_array().unwrap().iter().filter_map(|name| name.as_str()).collect();
    assert!(["id", "number", "version", "updates"].iter().all(|name| required.contains(name)), "{schema}");
}

#[tokio::test]
async fn the_documents_can_be_read_in_a_browser() {
    let tbx = Setup::new().start().await;
    for path in ["/swagger", "/swagger/"] {
        let answer = tbx.api().get(path).await.unwrap();
        assert_eq!(answer.status, 200, "{path}");
        assert!(answer.header("content-type").starts_with("text/html"), "{path}");
        assert!(String::from_utf8_lossy(&answer.body).contains("SwaggerUI"), "{path}");
    }
}

#[tokio::test]
async fn the_current_version_is_the_first() {
    let tbx = Setup::new().start().await;
    let mut api = tbx.api();
    for n in 1..=3 {
        created(&mut api, &nth(n)).await;
        crate::support::at_rest(tbx.address("api"), &n.to_string()).await;
    }
    for path in ["", "?limit=2&sort=-number", "/2"] {
        let plain = api.get(&format!("{STUDENTS}{path}")).await.unwrap();
        let versioned = api.get(&format!("/api/v1/students{path}")).await.unwrap();
        assert_eq!(plain.json(), versioned.json());
        for header in ["etag", "content-type"] {
            assert_eq!(plain.header(header), versioned.header(header), "{path} {header}");
        }
    }
}
