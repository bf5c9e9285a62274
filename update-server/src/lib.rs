//! The update server: takes signed bundles in, whole or not at all, keeps the timestamp fresh, and answers devices and
//! readers from what it holds. It signs freshness and rollout status, and nothing else; what it serves was verified by
//! the device's own code first.
//!
//! In the order in which a bundle meets them: [`config`], [`store`], [`blobs`], [`site`], and the static plane.
#![deny(unsafe_code)]
#![cfg_attr(
    test,
    allow(clippy::disallowed_methods, clippy::disallowed_macros, reason = "tests use real files and print")
)]

mod admin;
pub mod audit;
pub mod blobs;
mod cli;
mod commands;
pub mod config;
pub mod disk;
pub mod export;
pub mod failure;
pub mod fleet;
pub mod freshness;
pub mod generation;
pub mod ingest;
pub mod io;
mod keeper;
pub mod keys;
mod mapped;
pub mod metrics;
mod plane;
pub mod readiness;
pub mod records;
pub mod refusals;
pub mod rehearsal;
pub mod rollout;
pub mod server;
pub mod site;
pub mod state;
pub mod status;
mod steady;
pub mod store;
pub mod support;
pub mod sweep;
pub mod tls;
pub mod tokens;

pub use cli::run;
