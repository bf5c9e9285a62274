//! The device agent: adapters to the network, files, slots and boot loaders around [`perennial_device_core`], and the
//! program that drives them.
//!
//! | module | holds |
//! | --- | --- |
//! | [`http`] | `GET` with ranges, TLS, proxies, limits |
//! | [`files`] | durable files |
#![forbid(unsafe_code)]
#![cfg_attr(
    test,
    allow(clippy::disallowed_methods, clippy::disallowed_macros, reason = "tests use real files and print")
)]

pub mod files;
pub mod http;

pub use perennial_device_core as core;
