//! The signer's commands, end to end: every ceremony with people apart, who share nothing but folders that they copy.

mod ceremonies;
mod desk;
mod import;
mod proposals;
mod transcripts;
