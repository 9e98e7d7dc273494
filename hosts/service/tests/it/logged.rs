//! The one line about each request.

use std::io;
use std::sync::{Arc, Mutex};

use poem::endpoint::make_sync;
use poem::http::StatusCode;
use poem::{Endpoint as _, EndpointExt as _, Request, Route};
use tbx_service::{Health, Problems, RequestTrace};
use tracing::Level;
use tracing::subscriber::set_default;

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_request_leaves_one_line_without_its_query() {
    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(Level::DEBUG)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    let _capturing = set_default(subscriber);
    let routes = Route::new()
        .at("/stream", make_sync(|_| "ok"))
        .at("/broken", make_sync(|_| StatusCode::SERVICE_UNAVAILABLE));
    let app = Health::new().mount(routes).with(Problems::new()).with(RequestTrace);
    let trace = "0af7651916cd43dd8448eb211c80319c";
    for path in ["/stream?ticket=hunter2", "/broken", "/health/live"] {
        let request = Request::builder()
            .uri(path.parse().unwrap())
            .header("traceparent", format!("00-{trace}-b7ad6b7169203331-01"))
            .finish();
        app.get_response(request).await;
    }
    let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    let completed: Vec<&str> = text.lines().filter(|line| line.contains("request completed")).collect();
    assert_eq!(completed.len(), 3, "{text}");
    for (line, level, path) in [(0, "INFO", "/stream"), (1, "WARN", "/broken"), (2, "DEBUG", "/health/live")]
    {
        let line = completed[line];
        assert!(line.contains(level) && line.contains(&format!("path=\"{path}\"")), "{line}");
        assert!(line.contains(trace), "{line}");
    }
    assert!(!text.contains("hunter2"), "{text}");
}
