//! The fleet plane's adapters: the device's keys and certificates as files, requests over mutual TLS, and the thread in
//! which all of it happens beside the updates.
//!
//! They decide nothing about what is told and when: that is [`perennial_device_core::fleet`]'s.

pub mod agent;
pub mod beside;
pub mod certificate;
pub mod key;
pub mod link;
mod pem;
pub mod vault;

pub use agent::{FleetAgent, FleetProblem, Snapshot};
pub use beside::Beside;
pub use link::HttpLink;
pub use vault::FileVault;
