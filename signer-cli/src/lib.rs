//! The offline signer: keys, ceremonies, releases, support promises, bundles.
//!
//! Decides what may be published and gathers the signatures for it. It never talks to a network, never holds a
//! server's online key, and never edits anything that is published: every change is a *proposal*, a folder that
//! travels, is reviewed, signed by k of n people apart, and published whole.
//!
//! | module | holds |
//! | --- | --- |
//! | [`cli`] | the commands, their streams, two-line errors |
//! | [`bundle`] | what is published, as one file for a server |
//! | [`check`] | whether a device, and tough, would accept what is about to be published |
//! | [`delta`] | what changed between two images, made and proved |
//! | [`device_ca`] | who a device is: the maker's CA, certificates in batches, revocation |
//! | [`image`] | an image measured, indexed and compressed in one pass |
//! | [`ceremony`] | what each ceremony proposes: first root, products, other keys |
//! | [`keys`] | private keys under a passphrase, public halves to hand around |
//! | [`release`] | releases and channels of one product, as proposals |
//! | [`reproduce`] | images made from their payloads, as a device makes them |
//! | [`rollout`] | rollout plans: read, looked over, tried on a simulated fleet |
//! | [`repository`] | the folder with what is published, and its configuration |
//! | [`proposal`] | what is to be published next: build, review, sign, rebase, publish |
//! | [`inspect`] | any file of ours in plain words |
//! | [`scan`] | secrets in images, found while they are read |
//! | [`support`] | a product's support record, drafted, reviewed and shown |
//! | [`plain`] | what a product's documents say, in plain words |
//! | [`files`], [`scratch`] | every reading and writing of files |
//! | [`terminal`] | what others wrote, made fit for a terminal |
//! | [`crypto`] | the provider of signatures and digests |
#![forbid(unsafe_code)]
#![cfg_attr(
    test,
    allow(clippy::disallowed_methods, clippy::disallowed_macros, reason = "tests use real files and print")
)]

pub mod bundle;
pub mod ceremony;
pub mod check;
pub mod cli;
pub mod crypto;
pub mod delta;
pub mod device_ca;
pub mod files;
#[cfg(test)]
mod fixture;
pub mod image;
pub mod inspect;
pub mod keys;
pub mod plain;
pub mod proposal;
pub mod release;
pub mod repository;
pub mod reproduce;
pub mod rollout;
pub mod scan;
pub mod scratch;
pub mod support;
pub mod terminal;

pub use cli::{Io, run};
