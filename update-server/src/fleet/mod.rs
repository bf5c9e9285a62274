//! The fleet plane: who devices are, and what they tell. A device shows a certificate of its maker's device CA; what it
//! reports is acknowledged when it is durable, and never before. It never decides what a device installs, holds no address,
//! and nothing of the admin plane answers here.
//!
//! In the order in which a report meets them: `listen`, `handshake`, [`trust`], [`identity`], `answer`, `fold`, `writer`,
//! [`row`] and [`event`]; [`desk`] is what people ask of it, `tender` looks after it.

mod answer;
pub mod authority;
pub(crate) mod bytes;
mod count;
pub mod desk;
mod erase;
pub mod event;
pub mod figures;
pub(crate) mod fold;
mod handshake;
pub mod identity;
mod listen;
pub mod lists;
pub mod quarantine;
mod rate;
pub mod releases;
pub mod row;
mod start;
pub mod status;
mod sweep;
mod tender;
#[cfg(test)]
mod testkit;
pub mod trust;
#[cfg(test)]
mod trust_tests;
mod weak;
pub(crate) mod writer;
#[cfg(test)]
mod writer_tests;

pub use bytes::Unreadable;
pub(crate) use fold::{Act, Operation, Verdict, Who};
pub(crate) use identity::Identity;
pub(crate) use rate::Rates;
pub(crate) use start::{Doors, Parts, Plane, start};
pub(crate) use writer::{Fault, Means as WriterMeans, Writer, start as start_writer};
