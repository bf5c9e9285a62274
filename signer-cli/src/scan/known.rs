//! The password hashes of each product's images, so that the next product's can be compared with them.
//!
//! They lie beside what is published, in `passwords/<product>.txt`, one SHA-256 a line: of the hash with its salt, from which
//! nobody learns either. They are not signed and no device reads them; whoever deletes them takes a warning away, and nothing
//! else.

use perennial_schemas::{ProductName, Sha256Digest};

use super::PasswordHash;
use crate::files::{self, FileError};
use crate::repository::Repository;

/// The longest list, in bytes: 16,000 hashes.
const LENGTH: u64 = 1 << 20;

/// A password hash that another product's image has, too.
#[derive(Debug, Clone)]
pub struct Shared {
    /// The hash in this image.
    pub hash: PasswordHash,
    /// The other product.
    pub product: String,
}

/// The first of `hashes` that an image of another product has.
///
/// # Errors
/// [`FileError`]
pub fn shared(
    repository: &Repository,
    product: &ProductName,
    hashes: &[PasswordHash],
) -> Result<Option<Shared>, FileError> {
    if hashes.is_empty() {
        return Ok(None);
    }
    let folder = repository.dir().join("passwords");
    let own = format!("{product}.txt");
    for name in files::list(&folder)?.into_iter().filter(|name| name.ends_with(".txt") && *name != own) {
        let known = read(&files::read(&folder.join(&name), LENGTH)?);
        if let Some(hash) = hashes.iter().find(|hash| known.contains(&hash.digest)) {
            let product = name.trim_end_matches(".txt").to_owned();
            return Ok(Some(Shared { hash: hash.clone(), product }));
        }
    }
    Ok(None)
}

/// Remembers the hashes of a product's image.
///
/// # Errors
/// [`FileError`]
pub fn remember(
    repository: &Repository,
    product: &ProductName,
    hashes: &[PasswordHash],
) -> Result<(), FileError> {
    let path = repository.dir().join("passwords").join(format!("{product}.txt"));
    let old = files::read_if_there(&path, LENGTH)?.unwrap_or_default();
    let known = read(&old);
    let new: Vec<&Sha256Digest> =
        hashes.iter().map(|hash| &hash.digest).filter(|digest| !known.contains(digest)).collect();
    if new.is_empty() {
        return Ok(());
    }
    let mut text = String::from_utf8_lossy(&old).into_owned();
    new.iter().for_each(|digest| text += &format!("{digest}\n"));
    files::write(&path, text.as_bytes())
}

fn read(bytes: &[u8]) -> Vec<Sha256Digest> {
    String::from_utf8_lossy(bytes).lines().filter_map(|line| line.trim().parse().ok()).collect()
}
