//! The text format, for values that are looked at rather than counted.
//!
//! See <https://prometheus.io/docs/instrumenting/exposition_formats/>.

use std::fmt::Write as _;

/// What a value does over time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Gauge,
    Counter,
}

/// Writes a family that has one series without labels.
pub(super) fn write_value(text: &mut String, kind: Kind, name: &str, help: &str, value: f64) {
    write_head(text, kind, name, help);
    let _ = writeln!(text, "{name} {value}");
}

/// Writes a family with one label and a series for each of its values.
pub(super) fn write_by_label(
    text: &mut String,
    kind: Kind,
    name: &str,
    help: &str,
    label: &str,
    values: &[(String, f64)],
) {
    if values.is_empty() {
        return;
    }
    write_head(text, kind, name, help);
    for (of, value) in values {
        let _ = writeln!(text, "{name}{{{label}=\"{}\"}} {value}", escaped(of));
    }
}

fn write_head(text: &mut String, kind: Kind, name: &str, help: &str) {
    let kind = match kind {
        Kind::Gauge => "gauge",
        Kind::Counter => "counter",
    };
    let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_labels_are_escaped() {
        let mut text = String::new();
        write_by_label(&mut text, Kind::Gauge, "a", "What.", "b", &[("x\"\\\n".to_owned(), 0.5)]);
        write_by_label(&mut text, Kind::Gauge, "none", "What.", "b", &[]);
        write_value(&mut text, Kind::Counter, "c_total", "More.", 3.0);
        assert_eq!(
            text,
            "# HELP a What.\n# TYPE a gauge\na{b=\"x\\\"\\\\\\n\"} 0.5\n# HELP c_total More.\n# TYPE c_total counter\nc_total 3\n"
        );
    }
}
