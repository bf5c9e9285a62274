//! The cryptography that the core runs on. This module decides which key types and schemes count; it never decides
//! who may sign.

#[cfg(feature = "ring")]
mod keys;
#[cfg(feature = "ring")]
mod ring;

#[cfg(feature = "ring")]
pub use self::ring::{Ring, RunningSha256};
