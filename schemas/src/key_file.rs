//! The public half of a key as a small file that people hand around (`*.pub.json`).

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::crypto::Digest;
use crate::document::{Document, FormatError, ensure};
use crate::ident::KeyId;
use crate::limits::{KEY_FILE_LENGTH, PUBLIC_KEY_LENGTH};
use crate::tuf::Key;

/// A public key with a label for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
pub struct KeyFile {
    /// `perennial.key/1`.
    pub format: String,
    /// Features that a reader must know.
    pub requires: Vec<String>,
    /// Whose key it is, for people: 1 to 120 characters.
    pub label: String,
    /// SHA-256 of the key's canonical form.
    pub keyid: KeyId,
    /// The key.
    pub key: Key,
}

impl KeyFile {
    /// The file of `key`.
    ///
    /// # Errors
    /// [`FormatError`] where the label is too long or the key can't be written as strict JSON.
    pub fn new(label: &str, key: Key, digest: &impl Digest) -> Result<Self, FormatError> {
        let keyid = key.id(digest)?;
        let file =
            Self { format: Self::FORMAT.into(), requires: Vec::new(), label: label.into(), keyid, key };
        file.validate()?;
        Ok(file)
    }

    /// Whether the id is that of the key; a file in which it isn't was edited or damaged.
    pub fn id_fits(&self, digest: &impl Digest) -> bool {
        self.key.id(digest).is_ok_and(|id| id == self.keyid)
    }
}

impl Document for KeyFile {
    const FORMAT: &'static str = "perennial.key/1";
    const WHAT: &'static str = "public key file";
    const MAX_LENGTH: u64 = KEY_FILE_LENGTH;

    fn requires(&self) -> &[String] {
        &self.requires
    }

    fn validate(&self) -> Result<(), FormatError> {
        let label = self.label.chars().count();
        ensure((1..=120).contains(&label), Self::WHAT, || {
            "its label is not 1 to 120 characters long".to_string()
        })?;
        ensure(!self.label.chars().any(char::is_control), Self::WHAT, || {
            "its label has control characters".to_string()
        })?;
        ensure(self.key.public().len() <= PUBLIC_KEY_LENGTH, Self::WHAT, || {
            "its public key is too long".to_string()
        })
    }
}
