//! Every format that two parties of Perennial share: types, limits, canonical JSON, verified envelopes and
//! byte layouts with incremental parsers.
//!
//! This crate decides what is well-formed. It never does IO, never reads a clock and holds no cryptography of
//! its own: signatures and digests come through [`VerifySignature`] and [`Digest`].
//!
//! | module | holds |
//! | --- | --- |
//! | [`limits`] | every cap, with the attack that it stops |
//! | [`json`], [`canonical`] | strict JSON, and OLPC canonical JSON |
//! | [`signed`], [`crypto`] | `Signed<T>` → `Verified<T>`, and the traits that it asks |
//! | [`tuf`] | root, timestamp, snapshot, targets, delegations |
//! | [`release`], [`index`], [`channel`] | what a device installs, and how it checks it |
//! | [`delta`] | the delta container's header and directory |
//! | [`support`] | until when security updates are promised |
//! | [`bundle`] | a signed generation on its way to a server |
//! | [`fleet`] | who a device is, and what it and a server say to each other |
//! | [`report`] | what a device tells, with append-only failure codes |
//! | [`rollout`] | who may have a release from when on: plan, status, and `admit` |
//! | [`size`] | sizes as people read them |
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod bundle;
pub mod canonical;
pub mod channel;
pub mod crypto;
pub mod delta;
pub mod digest;
pub mod document;
pub mod fleet;
pub mod ident;
pub mod index;
pub mod json;
pub mod key_file;
pub mod limits;
mod parsed;
pub mod release;
pub mod report;
pub mod rollout;
pub mod signed;
pub mod size;
pub mod support;
pub mod time;
pub mod tuf;
pub mod version;

pub use crypto::{Digest, VerifySignature};
pub use digest::Sha256Digest;
pub use document::{Document, FormatError};
pub use ident::{HardwareName, KeyId, ProductName, RoleName, TargetPath};
pub use json::Json;
pub use signed::{Signed, Verified};
pub use size::Size;
pub use time::{Date, Timestamp};
pub use version::ReleaseVersion;
