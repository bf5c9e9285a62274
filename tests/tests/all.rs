//! The one integration binary: one link, every suite a module.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "in a test a panic is the verdict; clippy's own exception leaves out the helpers"
)]

mod agent;
mod book;
mod delta;
mod device;
mod fleet;
mod release;
mod server;
mod signer;
mod tidy;
mod trust;
