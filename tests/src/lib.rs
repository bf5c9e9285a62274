//! What the tests stand on: simulators. They are real implementations in memory, not mocks.
#![forbid(unsafe_code)]
#![allow(clippy::expect_used, reason = "a simulator that can't be built is the end of its test")]

pub mod delta;
pub mod fleet;
pub mod maker;
pub mod simulator;
pub mod tuf_client;
