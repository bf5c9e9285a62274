//! Releases and channels of one product, as proposals (the life of a release, step 3).
//!
//! Decides what a release manifest says and what a channel offers; refuses what could not be taken back later: a version
//! that exists, a security version that jumps or falls, a product without a promise. Signs and publishes nothing.
//!
//! | module | holds |
//! | --- | --- |
//! | [`standing`] | what is published of a product: its promise, releases, channels |
//! | [`draft`] | what a maker says of a release, and the manifest made from it |
//! | [`mod@propose`] | images measured and compressed, and the whole proposal |
//! | [`deltas`] | deltas from earlier releases: made, weighed, proved |
//! | [`renew`] | the same content signed anew: snapshots, archives |
//! | `slips` | what is likely a slip, beside what was published before |
//! | [`offer`] | channels made, releases offered and withdrawn |

pub mod deltas;
pub mod draft;
mod error;
pub mod offer;
pub mod propose;
pub mod renew;
mod slips;
pub mod standing;
#[cfg(test)]
mod tests;

pub use draft::Draft;
pub use error::ReleaseError;
pub use propose::{ImageFile, Proposed, propose};
pub use slips::{slips, without_stages};
pub use standing::Standing;
