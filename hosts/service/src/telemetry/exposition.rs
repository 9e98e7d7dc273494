//! Prometheus' text, as [`Metrics::render`](crate::Metrics::render) writes it, read back into the metrics of OTLP: one registry, and whoever scrapes sees
//! what is pushed.

use std::collections::BTreeMap;

use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Gauge, Histogram, HistogramDataPoint, Metric, NumberDataPoint, Sum, metric,
    number_data_point,
};

/// From when to when the numbers are, in nanoseconds since 1970.
#[derive(Debug, Clone, Copy)]
pub(super) struct Period {
    pub(super) start: u64,
    pub(super) now: u64,
}

/// Names of the conventions, which Prometheus cannot write as they are, with their units.
const CONVENTIONS: [(&str, &str, &str); 2] = [
    ("http_server_request_duration_seconds", "http.server.request.duration", "s"),
    ("http_server_active_requests", "http.server.active_requests", "{request}"),
];

/// The same for labels.
const LABELS: [(&str, &str); 3] = [
    ("http_request_method", "http.request.method"),
    ("http_route", "http.route"),
    ("http_response_status_code", "http.response.status_code"),
];

/// The metrics in `text`. A line that cannot be read is left out.
pub(super) fn metrics(text: &str, period: Period) -> Vec<Metric> {
    let mut families: Vec<Family<'_>> = Vec::new();
    let mut help = BTreeMap::new();
    for line in text.lines() {
        if let Some((name, words)) = line.strip_prefix("# HELP ").and_then(|rest| rest.split_once(' ')) {
            help.insert(name, words);
        } else if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' '))
        {
            let about = help.get(name).copied().unwrap_or_default();
            families.push(Family { name, about, kind, samples: Vec::new() });
        } else if let (Some(family), Some(sample)) = (families.last_mut(), sample(line)) {
            family.samples.push(sample);
        }
    }
    families.into_iter().filter_map(|family| family.metric(period)).collect()
}

struct Family<'a> {
    name: &'a str,
    about: &'a str,
    kind: &'a str,
    samples: Vec<Sample<'a>>,
}

/// One line.
struct Sample<'a> {
    name: &'a str,
    labels: Vec<(&'a str, String)>,
    value: f64,
}

impl Family<'_> {
    fn metric(self, period: Period) -> Option<Metric> {
        let convention = CONVENTIONS.iter().find(|(ours, ..)| *ours == self.name);
        let (name, unit) =
            convention.map_or((self.name, unit_of(self.name)), |(_, name, unit)| (*name, *unit));
        let (name, description, unit) = (name.to_owned(), self.about.to_owned(), unit.to_owned());
        let cumulative = AggregationTemporality::Cumulative as i32;
        let data = match self.kind {
            "gauge" => metric::Data::Gauge(Gauge { data_points: points(self.samples, period) }),
            "counter" => metric::Data::Sum(Sum {
                data_points: points(self.samples, period),
                aggregation_temporality: cumulative,
                is_monotonic: true,
            }),
            "histogram" => metric::Data::Histogram(Histogram {
                data_points: distributions(self.name, self.samples, period),
                aggregation_temporality: cumulative,
            }),
            _ => return None,
        };
        Some(Metric { name, description, unit, data: Some(data), ..Metric::default() })
    }
}

/// The unit that a name ends with, as [UCUM](https://ucum.org) writes it.
fn unit_of(name: &str) -> &'static str {
    let name = name.strip_suffix("_total").unwrap_or(name);
    match name.rsplit_once('_') {
        Some((_, "seconds")) => "s",
        Some((_, "bytes")) => "By",
        _ => "",
    }
}

fn points(samples: Vec<Sample<'_>>, period: Period) -> Vec<NumberDataPoint> {
    let point = |Sample { labels, value, .. }| NumberDataPoint {
        attributes: attributes(&labels),
        start_time_unix_nano: period.start,
        time_unix_nano: period.now,
        value: Some(number_data_point::Value::AsDouble(value)),
        ..NumberDataPoint::default()
    };
    samples.into_iter().map(point).collect()
}

/// The lines of a histogram, series by series.
fn distributions(family: &str, samples: Vec<Sample<'_>>, period: Period) -> Vec<HistogramDataPoint> {
    let mut series: BTreeMap<Vec<(&str, String)>, HistogramDataPoint> = BTreeMap::new();
    for Sample { name, mut labels, value } in samples {
        let bound = labels.iter().position(|(label, _)| *label == "le").map(|place| labels.remove(place).1);
        let point = series.entry(labels).or_default();
        match (name.strip_prefix(family), bound) {
            (Some("_bucket"), Some(bound)) => {
                // Each line counts those before it too, and the last one is everything.
                let before: u64 = point.bucket_counts.iter().sum();
                point.bucket_counts.push((value as u64).saturating_sub(before));
                point.explicit_bounds.extend(bound.parse::<f64>().ok().filter(|bound| bound.is_finite()));
            }
            (Some("_sum"), _) => point.sum = Some(value),
            (Some("_count"), _) => point.count = value as u64,
            _ => {}
        }
    }
    let whole = |(labels, point): (Vec<(&str, String)>, HistogramDataPoint)| HistogramDataPoint {
        attributes: attributes(&labels),
        start_time_unix_nano: period.start,
        time_unix_nano: period.now,
        ..point
    };
    series.into_iter().map(whole).collect()
}

fn attributes(labels: &[(&str, String)]) -> Vec<KeyValue> {
    let attribute = |(label, text): &(&str, String)| {
        let convention = LABELS.iter().find(|(ours, _)| ours == label);
        let key = convention.map_or(*label, |(_, name)| *name);
        let value = match text.parse() {
            Ok(code) if key == "http.response.status_code" => any_value::Value::IntValue(code),
            _ => any_value::Value::StringValue(text.clone()),
        };
        KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
    };
    labels.iter().map(attribute).collect()
}

/// `name value` or `name{label="text",…} value`.
fn sample(line: &str) -> Option<Sample<'_>> {
    let end = line.find(['{', ' '])?;
    let (name, rest) = line.split_at(end);
    let (labels, rest) = match rest.strip_prefix('{') {
        Some(rest) => labels(rest)?,
        None => (Vec::new(), rest),
    };
    Some(Sample { name, labels, value: rest.trim().parse().ok()? })
}

/// The labels up to the closing brace, and what follows it.
fn labels(mut rest: &str) -> Option<(Vec<(&str, String)>, &str)> {
    let mut labels = Vec::new();
    loop {
        rest = rest.trim_start_matches(',');
        if let Some(after) = rest.strip_prefix('}') {
            return Some((labels, after));
        }
        let (label, quoted) = rest.split_once("=\"")?;
        let mut text = String::new();
        let mut characters = quoted.char_indices();
        rest = loop {
            match characters.next()? {
                (end, '"') => break quoted.get(end + 1..)?,
                (_, '\\') => match characters.next()?.1 {
                    'n' => text.push('\n'),
                    other => text.push(other),
                },
                (_, other) => text.push(other),
            }
        };
        labels.push((label, text));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PERIOD: Period = Period { start: 1, now: 2 };

    #[test]
    fn gauges_and_counters_keep_their_labels() {
        let text = "# HELP a What.\n# TYPE a gauge\na{b=\"x\\\"\\\\\\n,}\",c=\"\"} 0.5\n\n# TYPE c_total counter\nc_total 3\nbroken\n";
        let metrics = metrics(text, PERIOD);
        let [gauge, counter] = &metrics[..] else { panic!("{metrics:?}") };
        assert_eq!((gauge.name.as_str(), gauge.description.as_str()), ("a", "What."));
        let Some(metric::Data::Gauge(gauge)) = &gauge.data else { panic!("{gauge:?}") };
        let attributes = &gauge.data_points[0].attributes;
        assert_eq!(attributes[0].key, "b");
        let text = any_value::Value::StringValue("x\"\\\n,}".to_owned());
        assert_eq!(attributes[0].value.as_ref().unwrap().value, Some(text));
        assert_eq!(attributes[1].key, "c");
        let Some(metric::Data::Sum(sum)) = &counter.data else { panic!("{counter:?}") };
        assert!(sum.is_monotonic);
        assert_eq!(sum.data_points[0].value, Some(number_data_point::Value::AsDouble(3.0)));
        assert_eq!((sum.data_points[0].start_time_unix_nano, sum.data_points[0].time_unix_nano), (1, 2));
    }

    #[test]
    fn a_histogram_has_the_names_of_the_conventions_and_counts_bucket_by_bucket() {
        let text = "\
# TYPE http_server_request_duration_seconds histogram
http_server_request_duration_seconds_bucket{http_response_status_code=\"201\",le=\"0.005\"} 2
http_server_request_duration_seconds_bucket{http_response_status_code=\"201\",le=\"0.01\"} 5
http_server_request_duration_seconds_bucket{http_response_status_code=\"201\",le=\"+Inf\"} 6
http_server_request_duration_seconds_sum{http_response_status_code=\"201\"} 0.25
http_server_request_duration_seconds_count{http_response_status_code=\"201\"} 6
";
        let metrics = metrics(text, PERIOD);
        assert_eq!(
            (metrics[0].name.as_str(), metrics[0].unit.as_str()),
            ("http.server.request.duration", "s")
        );
        let Some(metric::Data::Histogram(histogram)) = &metrics[0].data else { panic!("{metrics:?}") };
        let [point] = &histogram.data_points[..] else { panic!("{histogram:?}") };
        assert_eq!((point.count, point.sum), (6, Some(0.25)));
        assert_eq!(point.bucket_counts, [2, 3, 1]);
        assert_eq!(point.explicit_bounds, [0.005, 0.01]);
        assert_eq!(point.attributes[0].key, "http.response.status_code");
        let code = point.attributes[0].value.as_ref().unwrap().value.clone();
        assert_eq!(code, Some(any_value::Value::IntValue(201)));
    }
}
