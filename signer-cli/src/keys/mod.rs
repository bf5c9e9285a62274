//! Keys: private halves under a passphrase, public halves to hand around.
//!
//! A private key lies in a PKCS#8 PEM file (mode 0600), encrypted with AES-256 under a key that scrypt derives from a
//! passphrase. It is never written in the clear, never overwritten, and never printed; in memory it is wiped.

mod encrypted;
mod passphrase;
mod public;
mod secret;

pub use encrypted::{create, open};
pub(crate) use encrypted::{encrypt_der, open_der};
pub use passphrase::{Passphrase, PassphraseSource};
pub use public::{Labels, public_path, read_public, shortened, write_public};
pub use secret::SecretKey;
pub(crate) use secret::random;

use std::path::PathBuf;

use crate::cli::Advise;
use crate::files::FileError;

/// What could not be done with which key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// A file could not be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// Not a private key that we know.
    #[error("{} holds no ed25519 private key: {why}", path.display())]
    NotAKey {
        /// The file.
        path: PathBuf,
        /// What it is instead.
        why: String,
    },
    /// The public half, where a private key is needed.
    #[error("{} is the public half of a key, and can't sign", .0.display())]
    PublicHalf(PathBuf),
    /// A private key, where the public half is needed.
    #[error("{} is a private key, where its public half is needed", .0.display())]
    PrivateHalf(PathBuf),
    /// The passphrase does not open the file.
    #[error("the passphrase does not open {}", .0.display())]
    WrongPassphrase(PathBuf),
    /// A passphrase is needed and there is no way to ask for it.
    #[error("can't ask for the passphrase of {}", path.display())]
    NoTerminal {
        /// The key's file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A new passphrase is no good.
    #[error("the new passphrase {0}")]
    BadPassphrase(&'static str),
    /// The second time differed.
    #[error("the passphrase was typed differently the second time")]
    TypedDifferently,
    /// The private key's file can be read by others.
    #[error("{} can be read by others (mode {mode:03o})", path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// A passphrase's file can be read by others.
    #[error("the passphrase in {} can be read by others (mode {mode:03o})", path.display())]
    ExposedPassphrase {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// A public key file is malformed.
    #[error("{}", path.display())]
    Public {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: perennial_schemas::FormatError,
    },
    /// A public key file's id is not that of its key.
    #[error("{}: the key id is not that of the key", .0.display())]
    WrongId(PathBuf),
    /// The system has no randomness, or the library failed.
    #[error("can't make a key: {0}")]
    Failed(String),
}

impl Advise for KeyError {
    fn advice(&self) -> String {
        match self {
            Self::File(e) => e.advice(),
            Self::NotAKey { .. } => {
                "name a PKCS#8 file (PEM or DER); key new makes one, key import takes one in".into()
            }
            Self::PublicHalf(_) => "name the private key: the file that key new made beside it".into(),
            Self::PrivateHalf(_) => {
                "name the public half: the file that ends in .pub.json beside it; a private key stays where it was made".into()
            }
            Self::WrongPassphrase(_) => "try again, or take the backup of the key".into(),
            Self::NoTerminal { .. } => "give --passphrase-file FILE or --passphrase-fd N".into(),
            Self::TypedDifferently => "type it again: the same command asks once more".into(),
            Self::BadPassphrase(_) => "choose several words that nobody could guess".into(),
            Self::Exposed { path, .. } => {
                format!("chmod 600 {}, and ask yourself who has read it", path.display())
            }
            Self::ExposedPassphrase { path, .. } => {
                format!(
                    "chmod 600 {}, and take another passphrase if somebody may have read it",
                    path.display()
                )
            }
            Self::Public { .. } | Self::WrongId(_) => {
                "ask its owner for the file again; key show prints one".into()
            }
            Self::Failed(_) => "try again".into(),
        }
    }
}
