//! Why something may not be published.

use std::path::PathBuf;

use perennial_schemas::{FormatError, Sha256Digest, Timestamp};

use crate::cli::Advise;
use crate::files::FileError;

/// Why a device would refuse what is about to be published.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// A file could not be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// A metadata file is malformed.
    #[error(transparent)]
    Format(#[from] FormatError),
    /// There is no root.
    #[error("there is no root")]
    NoRoot,
    /// The chain of roots breaks off.
    #[error("the chain of roots ends at version {version}, the newest is {newest}")]
    RootsEnd {
        /// The last that a device reaches.
        version: u64,
        /// The newest.
        newest: u64,
    },
    /// The device's core would not accept it.
    #[error("a device would not accept it")]
    Device(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A role names a target that it may not vouch for.
    #[error("{role} lists {target}, which is not delegated to it: devices ignore it")]
    Outside {
        /// The role.
        role: String,
        /// The target.
        target: String,
    },
    /// A device finds another target, or none.
    #[error("a device would not find {target}, or find another file")]
    NotFound {
        /// The target.
        target: String,
    },
    /// A role's file has expired, so that devices would refuse it.
    #[error("{role} expired at {expired}")]
    Expired {
        /// The role.
        role: String,
        /// When.
        expired: Timestamp,
    },
    /// A target without SHA-256.
    #[error("{target} has no SHA-256 in the metadata")]
    NoDigest {
        /// The target.
        target: String,
    },
    /// A target that no device could ask for.
    #[error("{target:?} can't be fetched: {why}")]
    Name {
        /// The target.
        target: String,
        /// Why.
        why: String,
    },
    /// A target's file is not there.
    #[error("{target} is listed, and its file {} is missing", file.display())]
    Missing {
        /// The target.
        target: String,
        /// Where it should be, under the repository's folder.
        file: PathBuf,
    },
    /// A target's file is another than the metadata say.
    #[error(
        "{target} should have {length} bytes with SHA-256 {sha256}; its file has {got_length} with {got}"
    )]
    Differs {
        /// The target.
        target: String,
        /// Length in bytes as signed.
        length: u64,
        /// Digest as signed.
        sha256: Sha256Digest,
        /// Length of the file.
        got_length: u64,
        /// Digest of the file.
        got: Sha256Digest,
    },
    /// A release that no device could install.
    #[error("{manifest}: {why}")]
    Release {
        /// The manifest's target path.
        manifest: String,
        /// What does not hold.
        why: String,
    },
    /// tough would not accept it.
    #[error("tough, the second opinion, does not accept {what}")]
    Tough {
        /// What it was asked about.
        what: String,
        /// Its reason.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The system gives no random numbers for the throwaway key.
    #[error("the system gives no random numbers")]
    Random,
}

impl CheckError {
    pub(super) fn device(source: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self::Device(Box::new(source))
    }

    pub(super) fn tough(what: &str, source: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self::Tough { what: what.into(), source: Box::new(source) }
    }
}

impl Advise for CheckError {
    fn advice(&self) -> String {
        match self {
            Self::File(e) => e.advice(),
            Self::Expired { role, .. } if role == "snapshot" => {
                "sign it anew: perennial-signer snapshot".into()
            }
            Self::Expired { role, .. } => format!("propose a change that signs {role} anew"),
            Self::Missing { .. } | Self::Differs { .. } => {
                "take the file from the copy it was proposed from; nothing was published".into()
            }
            Self::Release { .. } => "propose the release again from its images; nothing was published".into(),
            Self::Random => "try again on another machine".into(),
            _ => "nothing was published: devices would refuse it; propose the change again".into(),
        }
    }
}
