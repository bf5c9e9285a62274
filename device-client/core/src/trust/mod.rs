//! Which metadata and which targets count: the client workflow of TUF 1.0.34 (section 5), clause by clause.
//!
//! Bytes come in, a verdict goes out. This module never fetches, never stores, never reads a clock: [`Refresh`] says
//! what it needs next ([`Step`]) and takes it ([`Answer`]); [`drive()`] does that against a [`MetadataSource`] and a
//! [`TrustStore`]. Every accepted file is saved before anything is decided upon it.
//!
//! | file | holds |
//! | --- | --- |
//! | `root.rs`, `timestamp.rs`, `snapshot.rs`, `targets.rs` | one role each: what is checked, in the specification's order |
//! | `search.rs` | the lazy preorder search for a target |
//! | `walk.rs` | every role and every target, for a server or a signer |
//! | `refresh.rs` | what comes after what |
//! | `state.rs`, `encoding.rs` | the one record that survives a reboot |
//! | `validity.rs` | until when all this holds, and what offline signatures say of the time |

mod checks;
mod drive;
mod encoding;
mod error;
mod limits;
mod refresh;
mod root;
mod search;
mod snapshot;
mod state;
mod targets;
mod timestamp;
mod validity;
mod walk;

pub use drive::{Cause, DriveError, FetchError, MetadataSource, StoreError, TrustStore, drive};
pub use encoding::StateError;
pub use error::TrustError;
pub use limits::Limits;
pub use refresh::{Answer, Refresh, Request, Step};
pub use search::FoundTarget;
pub use state::{Floors, TrustState};
pub use validity::Validity;
pub use walk::{RoleTargets, Walked, WalkedTarget, walk_all};
