//! Words for people.

use std::fmt;
use std::io::Write as _;

/// Writes a line to stdout. Nobody may be reading, and that is no reason not to go on.
pub fn tell(line: impl fmt::Display) {
    let _ = writeln!(std::io::stdout(), "{line}");
}
