//! What evidence says of a rollout: halt, go on, or wait, and for what.
//!
//! Decides from counts alone, by tests that hold however often one looks ([`evidence`]). The server asks [`judge()`] with the
//! reports of a fleet; [`simulate`] asks the same function with a fleet that it makes up, so that people see a plan's odds
//! before they sign it. No IO, no clock; the device has no part in it.
#![forbid(unsafe_code)]

pub mod evidence;
mod judge;
mod recent;
pub mod simulate;

pub use judge::{Bounds, Counts, Evidence, Strata, Verdict, WaitFor, Watched, bounds, judge};
pub use recent::{Recent, Young};
