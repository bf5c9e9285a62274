//! Staged rollouts: the plan that is signed offline with a release, the status that a server signs online, and the one
//! function that decides by both, [`admit()`].
//!
//! The plan is an envelope. Whatever a status says, nobody gets a release before the plan's time, nobody waits longer than
//! the plan's `max_hold` for one that its signers still stand by, and the open share takes no step that the plan doesn't
//! name. Integers only: a device, the server that explains it and a simulation come to the same answer.

mod admit;
mod bucket;
mod plan;
mod status;
#[cfg(test)]
mod tests;

pub use admit::{Admission, Excluded, Hold, Memory, Place, Standing, Wait, admit};
pub use bucket::{bucket, catch_up_part};
pub use plan::{EarlyGroup, Gate, NotASalt, OnDeadline, Phase, Plan, Salt, Spread};
pub use status::{RolloutState, RolloutStatus, StatusRefused};

/// A whole fleet, in parts per million.
pub const WHOLE: u32 = 1_000_000;
