//! The repository's folder: what is published, where everything lies, and how long signatures last.
//!
//! ```text
//! repository.toml                 configuration
//! metadata/N.<role>.json          everything ever published; timestamp.json, if signed offline
//! targets/<product>/<sha256>.<name>
//! keys/*.pub.json                 public halves, to hand around
//! proposals/<id>/                 what is to be published next
//! ```
//! With a timestamp.json the folder is a TUF repository that devices can update from. Reading never trusts it: each
//! role's file is verified with the keys that its delegator names before anybody builds on it.

pub mod bins;
mod config;
mod published;

use std::path::{Path, PathBuf};

use perennial_schemas::RoleName;
use perennial_schemas::tuf::TopRole;

pub use config::{Config, Expiry};
pub use published::{Published, RoleFile, authority_of, delegator_of};

use crate::cli::Advise;
use crate::files::{self, FileError};

/// A repository's folder, read.
#[derive(Debug)]
pub struct Repository {
    dir: PathBuf,
    /// Its configuration.
    pub config: Config,
    /// What is published; `None` before the first root.
    pub published: Option<Published>,
}

/// Why a repository can't be worked with.
#[derive(Debug, thiserror::Error)]
pub enum RepositoryError {
    /// A file could not be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// Neither metadata nor a proposal nor a configuration.
    #[error("{} is no repository", .0.display())]
    NotARepository(PathBuf),
    /// A metadata file is malformed.
    #[error("{}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: perennial_schemas::FormatError,
    },
    /// A metadata file is not signed as its delegator asks.
    #[error("{} is not what it should be: {why}", path.display())]
    Untrusted {
        /// The file.
        path: PathBuf,
        /// What does not hold.
        why: String,
    },
    /// `repository.toml` is malformed.
    #[error("{}: {why}", path.display())]
    Config {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        why: String,
    },
    /// Nothing is published yet.
    #[error("nothing is published in {} yet", .0.display())]
    Empty(PathBuf),
    /// No such product.
    #[error("there is no product {0}")]
    NoProduct(String),
}

impl Advise for RepositoryError {
    fn advice(&self) -> String {
        match self {
            Self::File(e) if e.is_not_found() => "check the path, and that --repo names the right folder".into(),
            Self::File(e) => e.advice(),
            Self::NotARepository(_) => {
                "name the folder with --repo DIR, or make one with: perennial-signer --repo DIR repository init".into()
            }
            Self::Malformed { .. } | Self::Untrusted { .. } => {
                "somebody changed this folder: restore it from a copy that you trust".into()
            }
            Self::Config { .. } => "mend the file; the book lists every key of it".into(),
            Self::Empty(_) => "gather the signatures of the first proposal and publish it: see status".into(),
            Self::NoProduct(_) => "perennial-signer product add makes one; status lists them".into(),
        }
    }
}

impl Repository {
    /// Reads a repository's folder and verifies what is published in it: the root by its own keys, every other role
    /// by the keys that its delegator names. Expiry is not looked at: whoever signs renews it.
    ///
    /// # Errors
    /// [`RepositoryError`]
    pub fn open(dir: &Path) -> Result<Self, RepositoryError> {
        let config = Config::read(&dir.join("repository.toml"))?;
        let names = files::list(&dir.join("metadata"))?;
        if names.is_empty() && config.is_none() && files::list(&dir.join("proposals"))?.is_empty() {
            return Err(RepositoryError::NotARepository(dir.into()));
        }
        let published = Published::read(&dir.join("metadata"), &names)?;
        Ok(Self { dir: dir.into(), config: config.unwrap_or_default(), published })
    }

    /// The folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// What is published.
    ///
    /// # Errors
    /// [`RepositoryError::Empty`] before the first root.
    pub fn published(&self) -> Result<&Published, RepositoryError> {
        self.published.as_ref().ok_or_else(|| RepositoryError::Empty(self.dir.clone()))
    }

    /// `metadata/`
    pub fn metadata_dir(&self) -> PathBuf {
        self.dir.join("metadata")
    }

    /// `targets/`
    pub fn targets_dir(&self) -> PathBuf {
        self.dir.join("targets")
    }

    /// `proposals/`
    pub fn proposals_dir(&self) -> PathBuf {
        self.dir.join("proposals")
    }

    /// How long the signatures of a role last, in days.
    pub fn expiry_days(&self, role: &RoleName) -> i64 {
        self.config.expiry_days.of(role.as_str())
    }
}

/// The file name under which a version of a role is published.
pub fn file_name(role: &RoleName, version: u64) -> String {
    if role.as_str() == TopRole::Timestamp.as_str() {
        return "timestamp.json".into();
    }
    format!("{version}.{}.json", role.file_name())
}

/// A top-level role's name as a role name.
///
/// # Errors
/// None in practice: the four names are valid.
pub fn top(role: TopRole) -> RoleName {
    #[expect(clippy::expect_used, reason = "root, targets, snapshot and timestamp are valid role names")]
    role.as_str().parse().expect("a top-level role's name")
}
