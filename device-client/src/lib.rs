//! The device agent: adapters to the network, files, slots and boot loaders around [`perennial_device_core`], and the
//! program that drives them.
//!
//! | module | holds |
//! | --- | --- |
//! | [`agent`] | the adapters assembled around the core, driven and told of |
//! | [`cli`], [`config`] | the commands and the configuration |
//! | [`http`] | `GET` with ranges, TLS, proxies, limits |
//! | [`fleet`] | identity, enrolment and reports: files, mutual TLS, and a thread beside the updates |
//! | [`fetch`] | servers, folders and bundles as sources |
//! | [`store`], [`files`] | durable records and files, and the lock between two agents |
//! | [`slots`], [`staging`] | slots as files or block devices, room for a payload |
//! | [`boot`], [`counter`] | boot control and anti-rollback counter in small files that are checked |
//! | [`hooks`] | the product's programs |
//! | [`decompress`] | zstd |
//! | [`differences`] | a support page against the signed record |
//! | [`wishes`] | what an owner wants of the agent that runs |
//! | [`clock`] | the system's clock |
//! | [`log`], [`signals`] | the log, and how a signal ends the agent |
//! | [`error`] | how errors are told |
#![forbid(unsafe_code)]
#![cfg_attr(
    test,
    allow(clippy::disallowed_methods, clippy::disallowed_macros, reason = "tests use real files and print")
)]

pub mod agent;
pub mod boot;
mod checked;
pub mod cli;
pub mod clock;
pub mod config;
pub mod counter;
pub mod decompress;
pub mod differences;
pub mod error;
pub mod fetch;
pub mod files;
pub mod fleet;
pub mod hooks;
pub mod http;
pub mod log;
pub mod signals;
pub mod slots;
pub mod staging;
pub mod store;
pub mod wishes;

pub use cli::{Io, run};
pub use perennial_device_core as core;
