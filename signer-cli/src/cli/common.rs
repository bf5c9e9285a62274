//! What several commands share: reading public halves, dates, the repository with its labels.

use std::path::{Path, PathBuf};

use clap::Args;
use perennial_schemas::key_file::KeyFile;

use super::{CliError, Io};
use crate::keys::{KeyError, Labels, PassphraseSource, SecretKey, open, read_public};
use crate::repository::Repository;
use crate::terminal::shell_word;

/// How a command reports.
#[derive(Debug, Clone, Copy, Args)]
pub struct Output {
    /// Report as JSON.
    #[arg(long)]
    pub json: bool,
}

/// Where the passphrase of a key comes from; without either a person is asked.
#[derive(Debug, Clone, Args)]
pub struct PassphraseOptions {
    /// Read the key's passphrase from the first line of a file.
    #[arg(long, value_name = "FILE", conflicts_with = "passphrase_fd")]
    pub passphrase_file: Option<PathBuf>,
    /// Read the key's passphrase from an open descriptor.
    #[arg(long, value_name = "N")]
    pub passphrase_fd: Option<u32>,
}

impl PassphraseOptions {
    /// Where it comes from.
    pub fn source(&self) -> PassphraseSource {
        PassphraseSource::from_options(self.passphrase_file.as_deref(), self.passphrase_fd)
    }

    /// Opens a private key of ours, which nobody but its owner may be able to read.
    ///
    /// # Errors
    /// [`KeyError`]
    pub fn open_key(&self, io: &mut Io<'_>, path: &Path) -> Result<SecretKey, KeyError> {
        let (_, mode) = crate::files::kind_and_mode(path)?;
        if mode & 0o077 != 0 {
            // A public half is nobody's secret, and no key to sign with.
            return Err(match read_public(path) {
                Ok(_) => KeyError::PublicHalf(path.into()),
                Err(_) => KeyError::Exposed { path: path.into(), mode },
            });
        }
        open(path, |path| self.source().ask(io, path))
    }
}

/// The public halves in these files.
pub(super) fn read_keys(paths: &[PathBuf]) -> Result<Vec<KeyFile>, KeyError> {
    paths.iter().map(|path| read_public(path)).collect()
}

/// How a next command begins: with the repository that the user named, in quotes where a shell needs them.
pub(super) fn invocation(repo: &Path) -> String {
    let text = repo.display().to_string();
    if text == "." {
        "perennial-signer".into()
    } else {
        format!("perennial-signer --repo {}", shell_word(&text))
    }
}

/// The repository, and the names that people gave to keys.
pub(super) fn open_repository(dir: &Path) -> Result<(Repository, Labels), CliError> {
    let repository = Repository::open(dir)?;
    let labels = Labels::read(&dir.join("keys"))?;
    Ok((repository, labels))
}
