//! The provider of signatures and digests: the very one that devices use. Signing is in [`crate::keys`].

pub use perennial_device_core::crypto::{Ring, RunningSha256};
