//! A mutable repository in memory, and a device that refreshes from it: an attack is a few lines that change a field,
//! publish, and look at the verdict.
//!
//! The repository decides nothing: it signs whatever it is told to. Nothing here touches a disk, a network or a clock.

mod device;
mod product;
mod repository;
mod rollout;
mod signers;
mod unit;

pub use device::{Device, MemoryStore, Verdict};
pub use product::{PRODUCT, Product, delta, delta_for, image, noise, support_until};
pub use repository::Repository;
pub use rollout::{ROLLOUT_KEY, path_of_status, signed_status, staged, status};
pub use signers::Signer;
pub use unit::{Conduct, FromOpen, Unit};

use perennial_schemas::Timestamp;

/// The time at which every simulated day begins: 2026-11-01T00:00:00Z.
pub fn day(days: i64) -> Timestamp {
    Timestamp::from_unix(1_793_491_200).plus_days(days)
}
