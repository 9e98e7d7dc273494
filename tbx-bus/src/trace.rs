//! W3C trace context, carried as text from the request to the bytes sent.

use std::fmt;

use thiserror::Error;

/// A `traceparent` with its optional `tracestate`
/// ([W3C Trace Context](https://www.w3.org/TR/trace-context/), version 00).
///
/// ```
/// use tbx_bus::TraceContext;
///
/// let trace = TraceContext::parse("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")?;
/// assert_eq!(trace.trace_id(), "0af7651916cd43dd8448eb211c80319c");
/// assert_eq!(trace.child().trace_id(), trace.trace_id());
/// # Ok::<(), tbx_bus::TraceContextError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct TraceContext {
    traceparent: Box<str>,
    tracestate: Option<Box<str>>,
}

/// The flag of section 3.2.2.5.1.
const SAMPLED: u8 = 1;

/// `tracestate` longer than this is dropped, as the recommendation allows (3.3.1.5).
const MAX_TRACESTATE_BYTES: usize = 512;

impl TraceContext {
    /// Reads a `traceparent` header.
    ///
    /// # Errors
    ///
    /// When the text does not have the form of section 3.2, or an id is all zeros.
    pub fn parse(traceparent: &str) -> Result<Self, TraceContextError> {
        let text = traceparent.trim();
        let parts: Vec<&str> = text.split('-').collect();
        let [version, trace_id, parent_id, flags] = parts[..] else { return Err(TraceContextError) };
        let is_hex = |part: &str, length: usize| {
            part.len() == length && part.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
        };
        let well_formed = version == "00"
            && is_hex(trace_id, 32)
            && is_hex(parent_id, 16)
            && is_hex(flags, 2)
            && trace_id.bytes().any(|b| b != b'0')
            && parent_id.bytes().any(|b| b != b'0');
        if !well_formed {
            return Err(TraceContextError);
        }
        Ok(Self { traceparent: text.into(), tracestate: None })
    }

    /// A new trace, sampled.
    #[must_use]
    pub fn generate() -> Self {
        Self {
            // Random in every digit, unlike a UUID: whoever samples by some of them gets a fair share.
            traceparent: format!("00-{:032x}-{}-01", fastrand::u128(1..), span_id()).into(),
            tracestate: None,
        }
    }

    /// The same trace with a span of its own, as whoever continues the trace sends it on.
    #[must_use]
    pub fn child(&self) -> Self {
        Self {
            traceparent: format!("00-{}-{}-{}", self.trace_id(), span_id(), &self.traceparent[53..55]).into(),
            tracestate: self.tracestate.clone(),
        }
    }

    /// The same context with the sampled flag set or taken away: whether whoever begins the trace wants it recorded.
    #[must_use]
    pub fn with_sampled(mut self, sampled: bool) -> Self {
        let flags = if sampled { self.flags() | SAMPLED } else { self.flags() & !SAMPLED };
        self.traceparent = format!("{}{flags:02x}", &self.traceparent[..53]).into();
        self
    }

    /// Adds vendor state; text that is too long or not printable ASCII is left out.
    #[must_use]
    pub fn with_tracestate(mut self, tracestate: &str) -> Self {
        let keep = !tracestate.is_empty()
            && tracestate.len() <= MAX_TRACESTATE_BYTES
            && tracestate.bytes().all(|b| (0x20..0x7f).contains(&b));
        self.tracestate = keep.then(|| tracestate.into());
        self
    }

    /// The header's text.
    #[must_use]
    pub fn traceparent(&self) -> &str {
        &self.traceparent
    }

    /// The vendor state, when there is some.
    #[must_use]
    pub fn tracestate(&self) -> Option<&str> {
        self.tracestate.as_deref()
    }

    /// The 32 hexadecimal digits that name the trace.
    #[must_use]
    pub fn trace_id(&self) -> &str {
        &self.traceparent[3..35]
    }

    /// The 16 hexadecimal digits that name the span within the trace.
    #[must_use]
    pub fn span_id(&self) -> &str {
        &self.traceparent[36..52]
    }

    /// Whether the trace is to be recorded.
    #[must_use]
    pub fn is_sampled(&self) -> bool {
        self.flags() & SAMPLED != 0
    }

    fn flags(&self) -> u8 {
        // Parsed or written here, they are two hexadecimal digits.
        u8::from_str_radix(&self.traceparent[53..55], 16).unwrap_or_default()
    }
}

fn span_id() -> String {
    format!("{:016x}", fastrand::u64(1..))
}

impl fmt::Debug for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TraceContext({})", self.traceparent)
    }
}

/// The text is no version 00 `traceparent`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("not a version 00 traceparent")]
pub struct TraceContextError;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generated_contexts_can_be_read_back() {
        let trace = TraceContext::generate();
        assert_eq!(TraceContext::parse(trace.traceparent()), Ok(trace.clone()));
        assert_ne!(trace.child().traceparent(), trace.traceparent());
    }

    #[test]
    fn a_child_keeps_everything_but_its_span() {
        let trace = TraceContext::parse("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-02").unwrap();
        let child = trace.with_tracestate("a=1").child();
        assert_eq!(child.trace_id(), "0af7651916cd43dd8448eb211c80319c");
        assert_ne!(child.span_id(), "b7ad6b7169203331");
        assert_eq!((child.span_id().len(), child.is_sampled(), child.tracestate()), (16, false, Some("a=1")));
    }

    #[test]
    fn the_sampled_flag_changes_alone() {
        let trace = TraceContext::parse("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-02").unwrap();
        let sampled = trace.clone().with_sampled(true);
        assert_eq!(sampled.traceparent(), "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-03");
        assert!(sampled.is_sampled());
        assert_eq!(sampled.with_sampled(false), trace);
    }

    #[test]
    fn malformed_headers_are_refused() {
        for text in [
            "",
            "00",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b716920333é-01",
        ] {
            assert_eq!(TraceContext::parse(text), Err(TraceContextError), "{text}");
        }
    }
}
