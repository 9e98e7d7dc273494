//! Whether collectors take what is exported.

use tbx_service::telemetry::probe;

use super::Finding;

const NAME: &str = "telemetry";

/// Nothing when nothing is exported. The service runs without a collector, so one that cannot be reached is a warning.
pub(super) async fn check() -> Option<Finding> {
    let probed = match probe().await {
        Ok(probed) if probed.is_empty() => return None,
        Ok(probed) => probed,
        Err(error) => return Some(Finding::fail(NAME, error.to_string(), "correct the variable")),
    };
    let signals: Vec<&str> = probed.iter().map(|(signal, _)| *signal).collect();
    let refused: Vec<String> = probed
        .iter()
        .filter_map(|(signal, outcome)| Some(format!("{signal}: {}", outcome.as_ref().err()?)))
        .collect();
    Some(if refused.is_empty() {
        Finding::ok(NAME, format!("the collector takes {}", signals.join(", ")))
    } else {
        let remedy = "look at OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_EXPORTER_OTLP_HEADERS and the collector";
        Finding::warn(NAME, refused.join("; "), remedy)
    })
}
