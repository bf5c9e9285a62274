//! Why bundles are refused: for people in words, for alarms in one word.

use crate::blobs::BlobError;
use crate::disk::DiskError;
use crate::freshness::FreshnessError;
use crate::store::StoreError;
use perennial_schemas::Timestamp;
use perennial_schemas::document::FormatError;
use std::path::PathBuf;

/// Why a bundle was refused. Nothing of it is served, and nothing of it is kept.
#[derive(Debug, thiserror::Error)]
pub enum IngestError {
    /// The bundle isn't one, or breaks a limit.
    #[error(transparent)]
    Format(#[from] FormatError),
    /// It ended early, or couldn't be read.
    #[error("the bundle can't be read: {0}")]
    Read(std::io::Error),
    /// Something follows its contents.
    #[error("the bundle goes on after its last file")]
    Trailing,
    /// It is larger than this server takes.
    #[error("the bundle holds {length} bytes, more than limits.bundle allows ({limit} bytes)")]
    TooLarge {
        /// As its header says.
        length: u64,
        /// The limit.
        limit: u64,
    },
    /// Target files come before the metadata that vouches for them.
    #[error("{0} stands after a target file; metadata comes first in a bundle")]
    Order(String),
    /// A file isn't what the bundle's header says.
    #[error("{path} in the bundle is damaged: {source}")]
    Damaged {
        /// Its path.
        path: String,
        /// What is wrong.
        source: BlobError,
    },
    /// A file that no signed metadata vouches for.
    #[error("{0} is in the bundle, but no signed metadata vouches for it as it is")]
    Unvouched(String),
    /// A file that signed metadata names is neither in the bundle nor here.
    #[error(
        "{path} is named by signed metadata, but is neither in the bundle nor on this server ({count} such)"
    )]
    Missing {
        /// The first missing one.
        path: String,
        /// How many are missing.
        count: usize,
    },
    /// No root was handed over yet.
    #[error("this server trusts no root yet ({0} isn't there)")]
    NoRoot(PathBuf),
    /// Neither the server's key nor an offline timestamp can say that this is the latest.
    #[error("the root doesn't name this server's timestamp key, and the bundle has no timestamp of its own")]
    NoTimestamp,
    /// The device's core refused it.
    #[error("the device's own checks refuse it: {why}")]
    Untrusted {
        /// In one word.
        reason: Reason,
        /// In the core's words.
        why: String,
    },
    /// It says that it was signed later than now.
    #[error("{file} says that it was signed at {at}, and the clock here says {now}")]
    Ahead {
        /// The file.
        file: String,
        /// When.
        at: Timestamp,
        /// The time here.
        now: Timestamp,
    },
    /// A device couldn't use what it holds.
    #[error("the device's own checks refuse it: {0}")]
    Unusable(String),
    /// A promise would be broken.
    #[error("{why}")]
    Promise {
        /// Which kind of promise.
        reason: Reason,
        /// Which one, and how.
        why: String,
    },
    /// The disk failed.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The timestamp couldn't be signed.
    #[error(transparent)]
    Freshness(#[from] FreshnessError),
}

impl IngestError {
    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Format(_) | Self::Read(_) | Self::Trailing | Self::Damaged { .. } => {
                "copy the bundle again, or make it anew with `perennial-signer bundle`"
            }
            Self::TooLarge { .. } => "raise limits.bundle in the configuration, or bundle fewer releases",
            Self::Order(_) | Self::Unvouched(_) => "make the bundle with `perennial-signer bundle`",
            Self::Missing { .. } => "make the bundle anew with every file that the server lacks",
            Self::NoRoot(_) => "hand over the root: perennial-server init --state DIR --root 1.root.json",
            Self::NoTimestamp => {
                "add STATE/keys/timestamp.pub.json to the root's timestamp role, or bundle an offline timestamp"
            }
            Self::Untrusted { .. } | Self::Unusable(_) => {
                "nothing was changed; `perennial-signer check` on the repository says more about its state"
            }
            Self::Ahead { .. } => {
                "nothing was changed; set this server's clock right, or have it signed again by a clock that is right"
            }
            Self::Promise { .. } => "nothing was changed; publish what was promised, then bundle again",
            Self::Disk(error) if error.is_full() => {
                "make room on the disk; nothing was changed, the old state is served"
            }
            Self::Disk(_) => "nothing was changed; mend what the system says, then try again",
            Self::Store(_) => "try again; if it persists, restart the server and look at its log",
            Self::Freshness(_) => "mend the timestamp key, then try again; nothing was changed",
        }
    }

    /// True when the bundle is at fault, and not this server.
    pub fn is_bundles_fault(&self) -> bool {
        !matches!(self, Self::Disk(_) | Self::Store(_) | Self::Freshness(_) | Self::NoRoot(_))
    }

    /// The reason in one word, for `/metrics` and the audit.
    pub fn reason(&self) -> Reason {
        match self {
            Self::Format(_) | Self::Trailing | Self::Order(_) | Self::Damaged { .. } => Reason::Damaged,
            Self::Read(_) => Reason::Interrupted,
            Self::TooLarge { .. } => Reason::TooLarge,
            Self::Unvouched(_) => Reason::Unvouched,
            Self::Missing { .. } => Reason::Missing,
            Self::NoRoot(_) | Self::NoTimestamp => Reason::Setup,
            Self::Untrusted { reason, .. } | Self::Promise { reason, .. } => *reason,
            Self::Unusable(_) => Reason::Unusable,
            Self::Ahead { .. } => Reason::Ahead,
            Self::Disk(_) | Self::Store(_) | Self::Freshness(_) => Reason::Server,
        }
    }
}

/// Why a bundle was refused, in one word; the words are part of the interface, and only ever added to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// A support date would get earlier, or a product's record vanish.
    SupportShorter,
    /// A published promise was changed or left out, without an earlier date.
    SupportRewritten,
    /// A file would vanish or change before the day until which it was promised.
    Availability,
    /// A withdrawal would be forgotten.
    Withdrawal,
    /// A security version falls, or leaps.
    SecurityVersion,
    /// Metadata older than what was trusted before.
    Rollback,
    /// Too few good signatures, or of others.
    Signature,
    /// Metadata past its time.
    Expired,
    /// Metadata files that don't belong together.
    Mismatch,
    /// A file that signed metadata names isn't there.
    Missing,
    /// A file that no signed metadata names.
    Unvouched,
    /// Not a bundle, or another content than announced.
    Damaged,
    /// A release, channel or index that a device couldn't use.
    Unusable,
    /// Larger than this server takes.
    TooLarge,
    /// It broke off, or came too slowly.
    Interrupted,
    /// This server lacks a root, or a timestamp key in it.
    Setup,
    /// This server's disk, store or key failed.
    Server,
    /// Metadata that says it was signed later than now.
    Ahead,
}

impl Reason {
    /// All of them, each with its word.
    pub const ALL: [(Self, &'static str); 18] = [
        (Self::SupportShorter, "support_shorter"),
        (Self::SupportRewritten, "support_rewritten"),
        (Self::Availability, "availability"),
        (Self::Withdrawal, "withdrawal"),
        (Self::SecurityVersion, "security_version"),
        (Self::Rollback, "rollback"),
        (Self::Signature, "signature"),
        (Self::Expired, "expired"),
        (Self::Mismatch, "mismatch"),
        (Self::Missing, "missing"),
        (Self::Unvouched, "unvouched"),
        (Self::Damaged, "damaged"),
        (Self::Unusable, "unusable"),
        (Self::TooLarge, "too_large"),
        (Self::Interrupted, "interrupted"),
        (Self::Setup, "setup"),
        (Self::Server, "server"),
        (Self::Ahead, "ahead"),
    ];

    /// Its word.
    pub fn word(self) -> &'static str {
        Self::ALL.iter().find(|(reason, _)| *reason == self).map_or("server", |(_, word)| word)
    }

    /// Whether somebody must look at it: no mishap of copying, but an attempt at what must never be published.
    pub fn alarms(self) -> bool {
        matches!(
            self,
            Self::SupportShorter
                | Self::SupportRewritten
                | Self::Availability
                | Self::Withdrawal
                | Self::SecurityVersion
                | Self::Signature
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_reason_has_a_word_of_its_own() {
        let words: BTreeSet<_> = Reason::ALL.iter().map(|(_, word)| word).collect();
        assert_eq!(words.len(), Reason::ALL.len());
        for (index, (reason, word)) in Reason::ALL.iter().enumerate() {
            assert_eq!((*reason as usize, reason.word()), (index, *word));
        }
    }
}
