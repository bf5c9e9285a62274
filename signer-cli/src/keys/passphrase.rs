//! Passphrases: from a prompt, a file or a descriptor; never from the command line, where others could read them.

use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::KeyError;
use crate::cli::Io;
use crate::files;

/// Fewer characters than this protect nothing.
const LEAST: usize = 8;
/// A passphrase of at most 4 KiB.
const LIMIT: u64 = 4096;

/// A passphrase; wiped when dropped.
#[derive(Clone)]
pub struct Passphrase(Zeroizing<String>);

/// Where a passphrase comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PassphraseSource {
    /// A person is asked.
    Prompt,
    /// The first line of a file.
    File(PathBuf),
    /// The first line of what an open descriptor gives.
    Descriptor(u32),
}

impl Passphrase {
    /// A passphrase that is known.
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl PassphraseSource {
    /// From the two options of a command.
    pub fn from_options(file: Option<&Path>, descriptor: Option<u32>) -> Self {
        match (file, descriptor) {
            (Some(file), _) => Self::File(file.into()),
            (None, Some(number)) => Self::Descriptor(number),
            (None, None) => Self::Prompt,
        }
    }

    /// The passphrase that opens the key at `path`.
    ///
    /// # Errors
    /// [`KeyError`]
    pub fn ask(&self, io: &mut Io<'_>, path: &Path) -> Result<Passphrase, KeyError> {
        match self {
            Self::Prompt => prompt(io, &format!("Passphrase of {}: ", path.display()), path),
            Self::File(file) => {
                // A pipe or a descriptor has no mode that would tell anything.
                let (is_file, mode) = files::kind_and_mode(file)?;
                if is_file && mode & 0o077 != 0 {
                    return Err(KeyError::ExposedPassphrase { path: file.into(), mode });
                }
                first_line(file)
            }
            // Opened by its path, so that nobody has to vouch for a raw descriptor.
            Self::Descriptor(number) => first_line(Path::new(&format!("/dev/fd/{number}"))),
        }
    }

    /// A new passphrase for the key at `path`; a person types it twice.
    ///
    /// # Errors
    /// [`KeyError`] where it is too short or was typed differently.
    pub fn ask_new(&self, io: &mut Io<'_>, path: &Path) -> Result<Passphrase, KeyError> {
        let passphrase = match self {
            Self::Prompt => {
                let first = prompt(io, &format!("New passphrase for {}: ", path.display()), path)?;
                let again = prompt(io, "The same again: ", path)?;
                if first.as_bytes() != again.as_bytes() {
                    return Err(KeyError::TypedDifferently);
                }
                first
            }
            _ => self.ask(io, path)?,
        };
        if passphrase.0.chars().count() < LEAST {
            return Err(KeyError::BadPassphrase("is shorter than 8 characters"));
        }
        Ok(passphrase)
    }
}

fn prompt(io: &mut Io<'_>, text: &str, path: &Path) -> Result<Passphrase, KeyError> {
    let no_terminal = |source| KeyError::NoTerminal { path: path.into(), source };
    (io.ask)(text).map(Passphrase).map_err(no_terminal)
}

fn first_line(path: &Path) -> Result<Passphrase, KeyError> {
    let bytes = Zeroizing::new(files::read(path, LIMIT)?);
    let text = std::str::from_utf8(&bytes).map_err(|_| KeyError::BadPassphrase("is not UTF-8"))?;
    let line = text.lines().next().unwrap_or_default();
    if line.is_empty() { Err(KeyError::BadPassphrase("is empty")) } else { Ok(Passphrase::new(line.into())) }
}
