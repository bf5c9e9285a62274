//! A simulated fleet, for rollouts: devices that poll, decide by the device's own `admit`, install, tell, fall silent and lie.
//! Before them stands the server's own engine, writer and store, and behind it releases that are really signed: bundles that
//! the server has taken in, metadata that the device's own trust core has verified, statuses that their rollout key has signed.
//!
//! The clock is the simulation's, and nobody waits for it. Everything else that is left to chance is seeded, so a run repeats.
//! What is simplified: metadata and statuses are verified once a step for all devices, not by each; whether a release works
//! on a device is a matter of luck; and a device on which one failed doesn't try it again.

mod offer;
mod people;
mod script;
mod server;
mod tell;
pub mod thief;
pub mod unit;
pub mod world;

pub use offer::{Build, Fate, Offer};
pub use script::{ScriptError, play};
pub use server::Server;
pub use unit::{Life, Unit};
pub use world::{Makeup, World};
