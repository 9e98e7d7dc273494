//! Which traces are recorded. Decided once, where a request comes in; the flag travels, and whoever goes on with the trace keeps to it.

use std::sync::OnceLock;

use tbx_bus::TraceContext;

static SAMPLER: OnceLock<Sampler> = OnceLock::new();

/// Has [`decide`] follow `sampler`, once for the process.
pub(super) fn install(sampler: Sampler) {
    let _ = SAMPLER.set(sampler);
}

/// The trace with its flag as `OTEL_TRACES_SAMPLER` wants it; as it is when nothing is exported. `continued` says that the caller began it.
pub(crate) fn decide(trace: TraceContext, continued: bool) -> TraceContext {
    match SAMPLER.get() {
        Some(sampler) => sampler.decide(trace, continued),
        None => trace,
    }
}

/// `OTEL_TRACES_SAMPLER`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Sampler {
    /// The share of traces that are recorded, 0 to 1.
    share: f64,
    /// Whether what the caller decided holds.
    parent_based: bool,
}

impl Sampler {
    /// The names there are, for a message.
    pub(super) const NAMES: &str = "parentbased_always_on, parentbased_always_off, parentbased_traceidratio, \
                                    always_on, always_off or traceidratio";

    /// Reads the variable and its `_ARG`, which is the share of `…traceidratio`.
    pub(super) fn parse(name: &str, argument: Option<&str>) -> Option<Self> {
        let (plain, parent_based) = match name.strip_prefix("parentbased_") {
            Some(plain) => (plain, true),
            None => (name, false),
        };
        let share = match plain {
            "always_on" => 1.0,
            "always_off" => 0.0,
            "traceidratio" => argument.map_or(Some(1.0), |text| text.parse().ok())?,
            _ => return None,
        };
        (0.0..=1.0).contains(&share).then_some(Self { share, parent_based })
    }

    fn decide(self, trace: TraceContext, continued: bool) -> TraceContext {
        if continued && self.parent_based {
            return trace;
        }
        let sampled = self.takes(trace.trace_id());
        trace.with_sampled(sampled)
    }

    /// By the last 14 digits, the ones that are random by the W3C recommendation, so that everybody who samples by share takes the same traces.
    fn takes(self, trace_id: &str) -> bool {
        const RANDOM_BITS: i32 = 56;
        let digits = trace_id.get(18..).unwrap_or_default();
        let random = u64::from_str_radix(digits, 16).unwrap_or_default();
        (random as f64) < self.share * 2_f64.powi(RANDOM_BITS)
    }
}

impl Default for Sampler {
    fn default() -> Self {
        Self { share: 1.0, parent_based: true }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNSAMPLED: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";

    fn sampler(name: &str, argument: Option<&str>) -> Sampler {
        Sampler::parse(name, argument).unwrap()
    }

    #[test]
    fn the_caller_decides_unless_told_otherwise() {
        let theirs = TraceContext::parse(UNSAMPLED).unwrap();
        assert!(!Sampler::default().decide(theirs.clone(), true).is_sampled());
        assert!(sampler("always_on", None).decide(theirs, true).is_sampled());
        let ours = TraceContext::generate();
        assert!(Sampler::default().decide(ours.clone(), false).is_sampled());
        assert!(!sampler("parentbased_always_off", None).decide(ours.clone(), false).is_sampled());
        assert!(!sampler("always_off", None).decide(ours, true).is_sampled());
    }

    #[test]
    fn a_share_takes_about_as_many_traces() {
        let tenth = sampler("parentbased_traceidratio", Some("0.1"));
        let taken =
            (0..10_000).filter(|_| tenth.decide(TraceContext::generate(), false).is_sampled()).count();
        assert!((800..1_200).contains(&taken), "{taken}");
    }

    #[test]
    fn what_nobody_knows_is_no_sampler() {
        for (name, argument) in
            [("sometimes", None), ("traceidratio", Some("2")), ("traceidratio", Some("x"))]
        {
            assert_eq!(Sampler::parse(name, argument), None, "{name}");
        }
    }
}
