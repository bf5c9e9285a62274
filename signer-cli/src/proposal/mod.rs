//! Proposals: what is to be published next, as a folder that travels by git, mail or USB stick.
//!
//! ```text
//! proposals/<id>/
//!   proposal.json                       kind, summary, when, and which published files it was built on
//!   metadata/<role>.json                what is to be signed, without signatures
//!   targets/<product>/<sha256>.<name>   new target files
//!   signatures/<role>.<keyid>.json      one signature by one key
//!   sealed/N.<role>.json                files as they will be published, once enough keys have signed
//! ```
//! Copies of one proposal are merged by copying their `signatures/` together: every signature is a file of its own.
//! The snapshot lists the lengths and digests of role files, signatures included, so it is made when every role has
//! its threshold: those files are *sealed*, and the holder of a snapshot key signs last. The same key may do both in
//! one go. Nothing in `proposal.json` is trusted or signed; reviews are made from what is signed.

mod bounds;
mod builder;
mod channels;
mod format;
mod leftover;
mod merge;
mod open;
mod publish;
mod rebase;
pub mod review;
mod rules;
mod seal;
mod sign;
mod standing;
mod status;

pub use builder::{Content, ProposalBuilder};
pub use format::{Base, Kind, ProposalFile, SignatureFile};
pub use leftover::{adding, no_product};
pub use open::{Found, Proposal, find, open_proposals};
pub use publish::{PublishedFiles, Sealed, publish, seal as seal_proposal};
pub use rebase::rebase;
pub use review::Review;
pub(crate) use review::{check_stages, drafts};
pub use rules::{check as check_rules, check_files, published_releases, published_support};
pub use sign::{Signed, sign};
pub use standing::{Need, Standing};
pub use status::Status;

use std::path::PathBuf;

use perennial_schemas::FormatError;
use perennial_schemas::support::SupportError;

use crate::cli::Advise;
use crate::files::FileError;
use crate::keys::KeyError;
use crate::repository::RepositoryError;

/// Why a proposal can't be made, signed or published.
#[derive(Debug, thiserror::Error)]
pub enum ProposalError {
    /// A file could not be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// What is published can't be worked with.
    #[error(transparent)]
    Repository(#[from] RepositoryError),
    /// A key's file can't be worked with.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// A file of the proposal is malformed.
    #[error("{}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: FormatError,
    },
    /// What is proposed breaks a rule of the formats.
    #[error(transparent)]
    Format(#[from] FormatError),
    /// What is proposed may not be published.
    #[error("{what}")]
    Refused {
        /// What, and why.
        what: String,
        /// What to do.
        hint: String,
    },
    /// A promise of support would be broken.
    #[error("{product}")]
    Support {
        /// The product.
        product: String,
        /// How.
        source: SupportError,
    },
    /// No such proposal, or several.
    #[error("{what}")]
    Which {
        /// What was looked for.
        what: String,
        /// The proposals that there are.
        hint: String,
    },
}

impl ProposalError {
    pub(crate) fn refused(what: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Refused { what: what.into(), hint: hint.into() }
    }
}

impl Advise for ProposalError {
    fn advice(&self) -> String {
        match self {
            Self::File(e) => e.advice(),
            Self::Repository(e) => e.advice(),
            Self::Key(e) => e.advice(),
            Self::Malformed { .. } => "somebody changed the proposal: take a copy that you trust".into(),
            Self::Format(_) => "change what you ask for so that it fits".into(),
            Self::Support { source: SupportError::Shorter { promised, .. }, .. } => {
                format!("give {promised} or a later date; what was promised stays promised")
            }
            Self::Support { .. } => "build on the published record: rebase, or propose again".into(),
            Self::Refused { hint, .. } | Self::Which { hint, .. } => hint.clone(),
        }
    }
}
