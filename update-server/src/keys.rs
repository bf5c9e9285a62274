//! The online keys: made once, kept in files that only their owner can read, used to sign freshness (and, later,
//! rollout status). They vouch for nothing else, and they never leave this module.

use crate::disk::{self, DiskError};
use perennial_device_core::crypto::Ring;
use perennial_schemas::KeyId;
use perennial_schemas::document::FormatError;
use perennial_schemas::key_file::KeyFile;
use perennial_schemas::signed::to_text;
use perennial_schemas::tuf::Key;
use ring::rand::SystemRandom;
use ring::signature::{Ed25519KeyPair, KeyPair};
use std::io::Write;
use std::path::{Path, PathBuf};

/// A PKCS#8 ed25519 key has about 85 bytes.
const KEY_LIMIT: u64 = 4096;

/// Why a key can't be made or used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// A file operation failed.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// Others can read the key.
    #[error("{path} can be read by others (mode {mode:04o})", path = .path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Not a key.
    #[error("{path} holds no ed25519 key in PKCS#8 form", path = .0.display())]
    Malformed(PathBuf),
    /// Not a key of marks.
    #[error("{path} doesn't hold the 32 bytes of a key of marks", path = .0.display())]
    Marks(PathBuf),
    /// The system gave no random numbers.
    #[error("the system gave no random numbers")]
    Random,
    /// The public half can't be written down.
    #[error(transparent)]
    Format(#[from] FormatError),
}

/// What is asked of an online key; a hardware token or a signing service can stand in for the file.
pub trait OnlineKey: Send + Sync {
    /// The key's id, as root names it.
    fn keyid(&self) -> &KeyId;

    /// The signature over a canonical form.
    ///
    /// # Errors
    /// A sentence that says why nothing could be signed.
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, String>;
}

/// An online key in a file, read for each signature: between them, no private key is in memory.
#[derive(Debug)]
pub struct FileKey {
    path: PathBuf,
    keyid: KeyId,
}

impl FileKey {
    /// Loads a key, and refuses one that others could have read.
    ///
    /// # Errors
    /// [`KeyError::Exposed`] where the file's mode lets others read it, else what is wrong with it.
    pub fn load(path: &Path) -> Result<Self, KeyError> {
        let keyid = public(&pair(path)?, path)?.id(&Ring)?;
        Ok(Self { path: path.into(), keyid })
    }

    /// Makes `<name>.key` and `<name>.pub.json` in `folder`. A key that is there is kept; its public half is written
    /// again if it is missing.
    ///
    /// # Errors
    /// As [`FileKey::load`], and when a file can't be written.
    pub fn create(folder: &Path, name: &str, label: &str) -> Result<Self, KeyError> {
        let path = folder.join(format!("{name}.key"));
        if !disk::exists(&path) {
            let document =
                Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).map_err(|_| KeyError::Random)?;
            disk::replace(&path, document.as_ref(), 0o600)?;
        }
        let key = Self::load(&path)?;
        let public_path = folder.join(format!("{name}.pub.json"));
        if !disk::exists(&public_path) {
            let file = KeyFile::new(label, public(&pair(&path)?, &path)?, &Ring)?;
            disk::replace(&public_path, &to_text(&file)?, 0o644)?;
        }
        Ok(key)
    }
}

impl OnlineKey for FileKey {
    fn keyid(&self) -> &KeyId {
        &self.keyid
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, String> {
        let pair = pair(&self.path).map_err(|error| error.to_string())?;
        Ok(pair.sign(message).as_ref().to_vec())
    }
}

fn pair(path: &Path) -> Result<Ed25519KeyPair, KeyError> {
    let mode = disk::mode(path)?;
    if mode & 0o077 != 0 {
        return Err(KeyError::Exposed { path: path.into(), mode });
    }
    let bytes = disk::read(path, KEY_LIMIT)?;
    Ed25519KeyPair::from_pkcs8_maybe_unchecked(&bytes).map_err(|_| KeyError::Malformed(path.into()))
}

fn public(pair: &Ed25519KeyPair, path: &Path) -> Result<Key, KeyError> {
    let public = pair.public_key().as_ref().try_into().map_err(|_| KeyError::Malformed(path.into()))?;
    Ok(Key::ed25519(public))
}

/// A fresh random token of 256 bits, as 64 hexadecimal digits.
///
/// # Errors
/// When the system has no randomness.
pub fn random_token() -> Result<String, KeyError> {
    let bytes: [u8; 32] = ring::rand::generate(&SystemRandom::new()).map_err(|_| KeyError::Random)?.expose();
    Ok(perennial_schemas::digest::encode_hex(&bytes))
}

/// A fresh random token of 256 bits, as 64 hexadecimal digits, in a file for its owner only.
///
/// # Errors
/// When the file exists or can't be written.
pub fn create_token(path: &Path) -> Result<String, KeyError> {
    let token = random_token()?;
    let mut file = disk::create_private(path)?;
    disk::at("write", path, file.write_all(format!("{token}\n").as_bytes()))?;
    disk::at("sync", path, file.sync_all())?;
    Ok(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_made_once_and_refused_when_others_can_read_it() {
        let folder = tempfile::tempdir().unwrap();
        let key = FileKey::create(folder.path(), "timestamp", "server timestamp").unwrap();
        let again = FileKey::create(folder.path(), "timestamp", "server timestamp").unwrap();
        assert_eq!(key.keyid(), again.keyid());
        let path = folder.path().join("timestamp.key");
        assert_eq!(disk::mode(&path).unwrap(), 0o600);
        disk::set_mode(&path, 0o640).unwrap();
        assert!(matches!(FileKey::load(&path), Err(KeyError::Exposed { mode: 0o640, .. })));
        disk::replace(&path, b"no key", 0o600).unwrap();
        assert!(matches!(FileKey::load(&path), Err(KeyError::Malformed(_))));
    }

    #[test]
    fn the_public_half_names_the_key_as_the_formats_do() {
        let folder = tempfile::tempdir().unwrap();
        let key = FileKey::create(folder.path(), "rollout", "rollout").unwrap();
        let text = disk::read(&folder.path().join("rollout.pub.json"), 4096).unwrap();
        let file = <KeyFile as perennial_schemas::Document>::parse(&text).unwrap();
        assert!(file.id_fits(&Ring));
        assert_eq!(&file.keyid, key.keyid());
    }
}
