//! The device's decisions without IO: trust, decide, download, apply, slots, trial.
//!
//! | module | decides |
//! | --- | --- |
//! | [`trust`] | which metadata and which targets count (TUF's client workflow) |
//! | [`crypto`] | which signature schemes count |
//! | [`session`] | what a check reads, and that all of it is vouched for |
//! | [`lookup`] | nothing: one target from a root on, for whoever is no device |
//! | [`decide`] | which release is installed now, or why none |
//! | [`machine`] | what comes next in an update: the transition table |
//! | [`run`] | nothing: carries the machine's effects out |
//! | [`download`], [`apply`] | which bytes may be kept, and which may be written |
//! | [`delta`] | which bytes a delta makes of the old image |
//! | [`trial`], [`revert`] | what a boot means; whether the owner may go back |
//! | [`quiet`] | when updates leave the device alone |
//! | [`recover`] | what counts after records were lost |
//! | [`fleet`] | when the device enrols, checks in and reports, beside all updates |
//! | [`journal`], [`plan`], [`report`], [`support`], [`rollout`] | what is remembered |
//! | [`port`] | nothing: what the core asks of a device, as small traits |
//! | [`vouch`], [`slots`] | which bytes are vouched for, and whether a slot holds the signed image |
//!
//! Never reads a clock, a file or the network: time is an argument, everything else comes through [`port`].
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod apply;
pub mod crypto;
pub mod decide;
pub mod delta;
pub mod download;
pub mod fleet;
pub mod journal;
pub mod lookup;
pub mod machine;
pub mod plan;
pub mod port;
pub mod quiet;
pub mod recover;
pub mod report;
pub mod revert;
pub mod rollout;
pub mod run;
pub mod session;
pub mod slots;
pub mod support;
pub mod trial;
pub mod trust;
pub mod vouch;
