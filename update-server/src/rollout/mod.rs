//! Staged rollouts: how far each release with a plan is open, and why. Inside what its signers have planned this server slows
//! down, stops, and lets go on, by evidence or by a person's word; it can't open anything that the plan doesn't.
//!
//! In the order in which a release meets them: [`offers`], [`record`], [`machine`], `watched`; a report: [`ballot`],
//! [`turn`], [`votes`], [`tallies`], [`silence`]. What brings them together is the [`engine`]; its word to devices is the [`status`].

pub mod ballot;
#[cfg(test)]
mod ballot_tests;
pub mod desk;
#[cfg(test)]
mod desk_tests;
pub mod drive;
pub mod engine;
#[cfg(test)]
mod engine_tests;
pub mod failing;
#[cfg(test)]
mod failing_tests;
pub mod figures;
pub mod machine;
#[cfg(test)]
mod machine_tests;
pub mod offers;
#[cfg(test)]
mod offers_tests;
pub mod record;
#[cfg(test)]
mod restored_tests;
pub(crate) mod run;
pub mod setup;
#[cfg(test)]
mod shared_tests;
pub mod shown;
#[cfg(test)]
mod shown_tests;
pub mod silence;
#[cfg(test)]
mod silence_tests;
pub mod status;
pub mod superseded;
#[cfg(test)]
mod superseded_tests;
pub mod sweep;
pub mod tallies;
#[cfg(test)]
pub(crate) mod testkit;
mod told;
pub mod turn;
pub mod view;
pub mod votes;
mod watched;
#[cfg(test)]
mod watched_tests;
pub mod words;
