//! `/health/live`, `/health/ready`, `/health`.

use http::{StatusCode, header};
use poem::endpoint::make_sync;
use poem::{Response, Route, get};

use super::Health;

impl Health {
    /// The three endpoints as a router of their own.
    #[must_use]
    pub fn routes(&self) -> Route {
        self.mount(Route::new())
    }

    /// Adds the three endpoints to a router.
    ///
    /// # Panics
    ///
    /// As poem's `Route::at` does, when the router has one of them already.
    #[must_use]
    pub fn mount(&self, routes: Route) -> Route {
        let (ready, report) = (self.clone(), self.clone());
        routes
            // Says only that requests are answered: a process is not restarted because its database is away.
            .at("/health/live", get(make_sync(|_| answer(true, r#"{"status":"pass"}"#))))
            .at("/health/ready", get(make_sync(move |_| readiness(&ready))))
            .at("/health", get(make_sync(move |_| overview(&report))))
    }
}

fn readiness(health: &Health) -> Response {
    if health.is_ready() {
        answer(true, r#"{"status":"pass"}"#)
    } else {
        answer(false, r#"{"status":"fail"}"#)
    }
}

fn overview(health: &Health) -> Response {
    let (document, failed) = health.report();
    answer(!failed, document)
}

fn answer(well: bool, document: impl Into<String>) -> Response {
    Response::builder()
        .status(if well { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE })
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::CACHE_CONTROL, "no-store")
        .body(document.into())
}

#[cfg(test)]
mod tests {
    use poem::{Endpoint, Request};

    use super::*;

    async fn ask(routes: &Route, path: &str) -> (u16, String) {
        let request = Request::builder().uri(path.parse().unwrap()).finish();
        let response = routes.get_response(request).await;
        (response.status().as_u16(), response.into_body().into_string().await.unwrap())
    }

    #[tokio::test]
    async fn the_endpoints_tell_alive_from_ready() {
        let health = Health::new();
        let check = health.register("bus");
        let routes = health.routes();
        assert_eq!(ask(&routes, "/health/live").await.0, 200);
        assert_eq!(ask(&routes, "/health/ready").await.0, 503);
        assert_eq!(ask(&routes, "/health").await.0, 503);
        check.pass();
        assert_eq!(ask(&routes, "/health/ready").await.0, 200);
        let (status, document) = ask(&routes, "/health").await;
        assert!(status == 200 && document.starts_with(r#"{"status":"pass","checks":{"bus":"#), "{document}");
        health.drain();
        assert_eq!(ask(&routes, "/health/ready").await.0, 503);
        assert_eq!(ask(&routes, "/health/live").await.0, 200);
        assert_eq!(ask(&routes, "/health").await.0, 200);
    }
}
