//! Values from text. Each error continues the sentence `KEY: "VALUE" …` and ends with a remedy.

use std::net::SocketAddr;
use std::time::Duration;

use tracing_subscriber::EnvFilter;

/// Who may do what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Auth {
    /// Everybody, on loopback addresses.
    Off,
    /// Everybody, on any address, because somebody said so.
    Insecure,
}

impl Auth {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        match text {
            "off" => Ok(Self::Off),
            "insecure" => Ok(Self::Insecure),
            "jwt" => Err("needs token authentication, which this version does not have yet; use off, or \
                          insecure for an address that is not loopback"
                .to_owned()),
            _ => Err("is not known; use off or insecure".to_owned()),
        }
    }
}

/// How lines are logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum LogFormat {
    /// Pretty on a terminal, json elsewhere.
    Auto,
    /// For people.
    Pretty,
    /// For programs: flat objects, one a line.
    Json,
}

impl LogFormat {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "pretty" => Ok(Self::Pretty),
            "json" => Ok(Self::Json),
            _ => Err("is not known; use pretty, json or auto".to_owned()),
        }
    }
}

pub(super) fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| "is no address with a port; use ADDRESS:PORT, such as 127.0.0.1:5000".to_owned())
}

pub(super) fn count(text: &str) -> Result<u64, String> {
    match text.parse() {
        Ok(count) if count > 0 => Ok(count),
        _ => Err("is no count; use a whole number above zero".to_owned()),
    }
}

pub(super) fn connections(text: &str) -> Result<usize, String> {
    const MOST: usize = 1_000_000;
    match text.parse() {
        Ok(count) if (1..=MOST).contains(&count) => Ok(count),
        _ => Err(format!("is no number of connections; use one from 1 to {MOST}")),
    }
}

pub(super) fn duration(text: &str) -> Result<Duration, String> {
    match duration_or_zero(text)? {
        Duration::ZERO => Err("is no time at all; use a duration above zero, such as 10s".to_owned()),
        duration => Ok(duration),
    }
}

pub(super) fn duration_or_zero(text: &str) -> Result<Duration, String> {
    const UNITS: &[(&str, u64)] =
        &[("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];
    quantity(text, UNITS)
        .map(Duration::from_millis)
        .ok_or_else(|| "is no duration; use a number with ms, s, m, h or d, such as 10s".to_owned())
}

pub(super) fn size(text: &str) -> Result<usize, String> {
    const UNITS: &[(&str, u64)] = &[("", 1), ("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)];
    quantity(text, UNITS)
        .and_then(|bytes| usize::try_from(bytes).ok())
        .filter(|bytes| *bytes > 0)
        .ok_or_else(|| "is no size; use bytes, or a number with KiB, MiB or GiB, such as 256KiB".to_owned())
}

/// A whole number and its unit; `None` for anything else, and for what does not fit.
fn quantity(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let (_, factor) = units.iter().find(|(known, _)| *known == unit)?;
    number.parse::<u64>().ok()?.checked_mul(*factor)
}

pub(super) fn log_filter(text: &str) -> Result<String, String> {
    EnvFilter::try_new(text).map(|_| text.to_owned()).map_err(|_| {
        "is no log filter; use a level such as info, or a list such as info,tbx_bus=debug".to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        for (text, millis) in
            [("500ms", 500), ("10s", 10_000), ("15m", 900_000), ("24h", 86_400_000), ("7d", 604_800_000)]
        {
            assert_eq!(duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in
            ["", "10", "s", "10 s", "-1s", "1.5s", "10S", "99999999999999999999s", "999999999999999d", "0s"]
        {
            assert!(duration(text).is_err(), "{text}");
        }
        assert_eq!(duration_or_zero("0s"), Ok(Duration::ZERO));
    }

    #[test]
    fn sizes() {
        for (text, bytes) in
            [("1", 1), ("512B", 512), ("256KiB", 262_144), ("1MiB", 1_048_576), ("1GiB", 1 << 30)]
        {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for text in ["", "0", "1KB", "1kib", "1 KiB", "-1", "99999999999GiB"] {
            assert!(size(text).is_err(), "{text}");
        }
    }
}
