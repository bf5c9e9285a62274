//! Who may use the admin listener: bearer tokens, of which the server keeps digests only. It knows roles, not people.

use crate::blobs::{Digest, digest_of};
use crate::disk::{self, DiskError};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// A thousand tokens fit.
const LIMIT: u64 = 256 << 10;

/// What a token's holder may do; each role may do what those before it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Right {
    /// Look.
    Viewer,
    /// Steer rollouts.
    Operator,
    /// Publish bundles.
    Publisher,
}

/// One accepted token.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Token {
    /// What the audit calls its holder.
    pub name: String,
    /// What it allows.
    pub role: Right,
    /// SHA-256 of the token's text.
    pub sha256: Digest,
}

/// All accepted tokens.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tokens {
    /// The tokens.
    pub tokens: Vec<Token>,
}

/// Why the tokens can't be read.
#[derive(Debug, thiserror::Error)]
pub enum TokensError {
    /// A file operation failed.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The file isn't what it should be.
    #[error("{path} can't be understood: {reason}", path = .path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
}

impl Tokens {
    /// Reads the accepted tokens.
    ///
    /// # Errors
    /// When the file can't be read or understood.
    pub fn load(path: &Path) -> Result<Self, TokensError> {
        let text = disk::read(path, LIMIT)?;
        serde_json::from_slice(&text)
            .map_err(|error| TokensError::Malformed { path: path.into(), reason: error.to_string() })
    }

    /// Writes them.
    ///
    /// # Errors
    /// When the file can't be written.
    pub fn save(&self, path: &Path) -> Result<(), DiskError> {
        let mut text = serde_json::to_vec_pretty(self).unwrap_or_default();
        text.push(b'\n');
        disk::replace(path, &text, 0o600)
    }

    /// The holder of a token, by its text. Digests are compared, so the time that it takes tells nothing of the token.
    pub fn holder(&self, text: &str) -> Option<&Token> {
        let digest = digest_of(text.trim().as_bytes());
        self.tokens.iter().find(|token| token.sha256 == digest)
    }
}
