//! Public halves: the small files that people hand around, and the names that they give to keys.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use perennial_schemas::KeyId;
use perennial_schemas::document::Document as _;
use perennial_schemas::key_file::KeyFile;
use perennial_schemas::limits::KEY_FILE_LENGTH;
use perennial_schemas::signed::to_text;
use perennial_schemas::tuf::Key;

use super::KeyError;
use crate::crypto::Ring;
use crate::files;
use crate::terminal::quoted;

/// Where the public half of a private key lies: `me.key` → `me.pub.json`.
pub fn public_path(secret: &Path) -> PathBuf {
    secret.with_extension("pub.json")
}

/// Reads a public key file, and checks that its id is that of its key.
///
/// # Errors
/// [`KeyError`]
pub fn read_public(path: &Path) -> Result<KeyFile, KeyError> {
    let bytes = files::read(path, KEY_FILE_LENGTH)?;
    // PKCS#8, as PEM or DER.
    if bytes.starts_with(b"-----BEGIN") || bytes.starts_with(&[0x30]) {
        return Err(KeyError::PrivateHalf(path.into()));
    }
    let public = |source| KeyError::Public { path: path.into(), source };
    let file = KeyFile::parse(&bytes).map_err(public)?;
    if file.id_fits(&Ring) { Ok(file) } else { Err(KeyError::WrongId(path.into())) }
}

/// Writes a public key file. Never overwrites another key's.
///
/// # Errors
/// [`KeyError`]
pub fn write_public(path: &Path, label: &str, key: Key) -> Result<KeyFile, KeyError> {
    let public = |source| KeyError::Public { path: path.into(), source };
    let file = KeyFile::new(label, key, &Ring).map_err(public)?;
    if files::exists(path) && read_public(path)?.keyid != file.keyid {
        return Err(files::FileError::Exists { path: path.into() }.into());
    }
    files::write(path, &to_text(&file).map_err(public)?)?;
    Ok(file)
}

/// The beginning of a key id, as people compare it: 16 digits, so that nobody finds another key with the same ones.
pub fn shortened(id: &KeyId) -> &str {
    id.as_str().char_indices().nth(16).map_or(id.as_str(), |(end, _)| &id.as_str()[..end])
}

/// The names that people gave to keys, from the public halves in `keys/`. They are signed by nobody: a name is shown
/// with the beginning of the key's id.
#[derive(Debug, Clone, Default)]
pub struct Labels(BTreeMap<KeyId, String>);

impl Labels {
    /// Reads every public half of a folder; files that are none are passed over.
    ///
    /// # Errors
    /// [`KeyError`] where the folder can't be read.
    pub fn read(folder: &Path) -> Result<Self, KeyError> {
        let names = files::list(folder)?;
        let keys = names.iter().filter(|name| name.ends_with(".pub.json"));
        let keys = keys.filter_map(|name| read_public(&folder.join(name)).ok());
        Ok(Self(keys.map(|file| (file.keyid, file.label)).collect()))
    }

    /// A key as people know it: `Alice (3fa2c1d07b2e5f90)`, or the beginning of its id alone.
    pub fn name(&self, id: &KeyId) -> String {
        let short = shortened(id);
        self.0.get(id).map_or_else(|| format!("key {short}"), |label| format!("{} ({short})", quoted(label)))
    }

    /// The name alone, or a word for a key that nobody named.
    pub fn label(&self, id: &KeyId) -> &str {
        self.0.get(id).map_or("unnamed", String::as_str)
    }
}
