//! The guides that hold programs, so that the programs are compiled and run. The examples themselves are the binaries of this package.

#[doc = include_str!("../../docs/guides/embed-the-fan-out.md")]
pub mod embed_the_fan_out {}
