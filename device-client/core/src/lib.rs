//! The device's decisions without IO: trust, decide, download, apply, slots, trial.
//!
//! | module | decides |
//! | --- | --- |
//! | [`port`] | nothing: what the core asks of a device, as small traits |
//! | [`vouch`], [`slots`] | which bytes are vouched for, and whether a slot holds the signed image |
//!
//! Never reads a clock, a file or the network: time is an argument, everything else comes through [`port`].
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod port;
pub mod slots;
pub mod vouch;
