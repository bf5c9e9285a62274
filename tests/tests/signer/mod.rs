//! The signer's commands, end to end: every ceremony with people apart, who share nothing but folders that they copy.

mod bins;
mod ceremonies;
pub(crate) mod desk;
mod device_ca;
mod import;
mod leftovers;
mod promises;
mod proposals;
mod rollouts;
mod rules;
mod support;
mod tampering;
mod tough;
pub(crate) mod transcripts;
mod usage;
