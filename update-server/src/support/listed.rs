//! A product as it is listed: its record as it was published, and the updates that it got. It decides nothing about
//! trust: everything in it was verified before its generation was committed.

use crate::config::Config;
use crate::config::fleet::{Keep, Page};
use perennial_schemas::channel::Withdrawn;
use perennial_schemas::ident::ChannelName;
use perennial_schemas::release::Release;
use perennial_schemas::support::{Summary, Support};
use perennial_schemas::{Sha256Digest, Timestamp};

/// A product.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Listed {
    /// Its support record.
    pub(crate) record: Support,
    /// SHA-256 of the record's file.
    pub(crate) sha256: Sha256Digest,
    /// When the signatures on the product's own role expire: past it nobody renews the record.
    pub(crate) signed_until: Timestamp,
    /// Releases that any channel offers or has withdrawn, newest first.
    pub(crate) updates: Vec<Update>,
}

/// A release, as readers of a page need it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Update {
    /// The manifest, without its images: pages say nothing of bytes, and 20,000 products must fit into memory.
    pub(crate) release: Release,
    /// Why it is offered no more, where a channel has withdrawn it.
    pub(crate) withdrawn: Option<Withdrawn>,
    /// The channels that offer it, in the order of their names.
    pub(crate) channels: Vec<ChannelName>,
}

/// What pages say that stands in no signed record.
#[derive(Debug, Clone, Default)]
pub struct Face {
    /// The server's public address, without a closing slash: `https://updates.maker.example`. Empty where it isn't
    /// configured: then links are relative to the host.
    pub(crate) base: String,
    pub(crate) told: Told,
}

/// What becomes of what devices tell.
#[derive(Debug, Clone, Default)]
pub(crate) struct Told {
    pub(crate) keep: Keep,
    pub(crate) page: Page,
}

impl Face {
    pub(crate) fn of(config: &Config) -> Self {
        Self {
            base: config.serve.public.trim_end_matches('/').to_owned(),
            told: Told { keep: config.fleet.keep.clone(), page: config.fleet.page.clone() },
        }
    }
}

/// How an answer is looked at.
#[derive(Debug, Clone, Copy)]
pub(crate) struct View<'a> {
    /// The time of the answer.
    pub(crate) now: Timestamp,
    /// See [`Face::base`].
    pub(crate) base: &'a str,
    pub(crate) told: &'a Told,
    /// When the first of the roles above every product's expires: root, targets or the snapshot.
    pub(crate) held_until: Timestamp,
}

impl Listed {
    /// The record as it reads on the day of the view.
    pub(crate) fn summary(&self, view: &View<'_>) -> Summary {
        Summary::of(&self.record, self.sha256, view.now.date(), self.lapsed(view))
    }

    /// Whether signatures have run out without which no reader can verify the record.
    pub(crate) fn lapsed(&self, view: &View<'_>) -> bool {
        self.verifies_until(view) < view.now
    }

    /// Until when a reader can verify the record: as long as every role on the way to it holds.
    pub(crate) fn verifies_until(&self, view: &View<'_>) -> Timestamp {
        self.signed_until.min(view.held_until)
    }

    /// The newest update on offer: that of channel `stable`, where it offers one.
    pub(crate) fn latest(&self) -> Option<&Update> {
        let stable = |update: &&Update| update.channels.iter().any(|channel| channel.as_str() == "stable");
        let offered = || self.updates.iter().filter(|update| update.is_offered());
        offered().find(stable).or_else(|| offered().next())
    }
}

impl Update {
    /// Whether any channel offers it.
    pub(crate) fn is_offered(&self) -> bool {
        !self.channels.is_empty()
    }
}

impl View<'_> {
    /// The full address of a path such as `/support/thermostat`; the path itself where the server knows no address.
    pub(crate) fn address(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }
}
