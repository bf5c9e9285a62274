//! A product's support record, drafted: promises, notices, contact, model, cohorts, statements, annulments.
//!
//! Decides what may be drafted, with advice where a person mistyped or meant something else. What may follow what is
//! decided by `schemas`, for signer, server and device alike; who signs, and when it is published, is the same for every
//! proposal. Nothing published is ever edited: each change is a new record that names the one before it.
//!
//! | module | holds |
//! | --- | --- |
//! | [`day`] | dates as a maker types them |
//! | [`input`] | TOML files, with the line and the nearest right key of a mistake |
//! | [`details`], [`cohorts`], [`statements`] | what such files hold |
//! | [`draft`], [`promise`], [`annul`] | the record that follows, as a proposal |
//! | [`gtins`] | numbers that belong to one product alone |
//! | [`review`] | what a record would change, as signers read it |
//! | [`show`], [`lint`] | how things stand, and what the rules of some countries ask for |

pub mod annul;
pub mod cohorts;
pub mod day;
pub mod details;
pub mod draft;
pub mod gtins;
pub mod input;
pub mod lint;
pub mod promise;
pub mod review;
pub mod show;
pub mod statements;

pub use day::Day;
pub use draft::Draft;
pub use input::InputError;
pub use review::SupportChange;
