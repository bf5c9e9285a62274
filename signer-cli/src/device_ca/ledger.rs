//! What this CA has issued and revoked: two files of one JSON object a line, only ever added to.
//!
//! Entries of a batch count once the line that closes it stands there. What a power cut left without one never left the
//! machine, and is written over by the next batch.

use std::collections::{BTreeMap, HashMap};
use std::io::BufRead as _;
use std::path::{Path, PathBuf};

use perennial_schemas::fleet::{DeviceId, Label};
use perennial_schemas::{HardwareName, ProductName, Sha256Digest, Timestamp};
use serde::{Deserialize, Serialize};

use super::DeviceCaError;
use crate::files;

/// One certificate that was issued.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Issued {
    /// Its serial number, in hexadecimal digits.
    pub serial: String,
    /// SHA-256 over the DER SubjectPublicKeyInfo of its key.
    pub key: Sha256Digest,
    /// When it was issued.
    pub at: Timestamp,
    /// Until when it is good.
    pub until: Timestamp,
    /// The device; absent for an enrolment CA.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<Device>,
}

/// Who a device is, as a factory certificate says it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// Its id.
    pub id: DeviceId,
    /// Its product.
    pub product: ProductName,
    /// Its hardware.
    pub hardware: HardwareName,
    /// Its early groups.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<Label>,
}

/// Closes a batch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Closed {
    /// How many entries it has.
    batch: usize,
    /// SHA-256 of the file of certificates.
    file: Sha256Digest,
}

/// One certificate that was revoked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revoked {
    /// Its serial number, in hexadecimal digits.
    pub serial: String,
    /// When it was revoked.
    pub at: Timestamp,
    /// Why.
    pub reason: super::revoke::Reason,
}

/// By the digest of its key, the serial number of a certificate and when it was issued.
pub type Known = HashMap<Sha256Digest, (String, Timestamp)>;

/// A line longer than this is damage: 16 labels make it 1.5 KB.
const LINE: u64 = 4096;

/// Where it is written what was issued.
pub fn issued_path(dir: &Path) -> PathBuf {
    dir.join("issued.jsonl")
}

/// Where it is written what was revoked.
pub fn revoked_path(dir: &Path) -> PathBuf {
    dir.join("revoked.jsonl")
}

/// Calls `take` with everything that was issued, in order; returns the length of it in bytes.
///
/// # Errors
/// [`DeviceCaError`] where the file can't be read, or a line of it isn't ours.
pub fn issued(dir: &Path, take: &mut dyn FnMut(Issued)) -> Result<u64, DeviceCaError> {
    let path = issued_path(dir);
    let (mut open, mut good, mut at) = (Vec::new(), 0, 0);
    lines(&path, &mut |number, line, length| {
        at += length;
        let refused = |why: String| DeviceCaError::Ledger { path: path.clone(), line: number, why };
        if line.starts_with("{\"batch\":") {
            let closed: Closed = serde_json::from_str(line).map_err(|error| refused(error.to_string()))?;
            if closed.batch != open.len() {
                return Err(refused(format!(
                    "it closes {} entries, and {} stand before it",
                    closed.batch,
                    open.len()
                )));
            }
            open.drain(..).for_each(&mut *take);
            good = at;
        } else {
            open.push(serde_json::from_str(line).map_err(|error| refused(error.to_string()))?);
        }
        Ok(())
    })?;
    Ok(good)
}

/// Everything that was issued, by its key: serial number and time. Where a key has several, the first.
///
/// # Errors
/// As [`issued`].
pub fn by_key(dir: &Path) -> Result<(u64, Known), DeviceCaError> {
    let mut known = HashMap::new();
    let length = issued(dir, &mut |issued| {
        known.entry(issued.key).or_insert((issued.serial, issued.at));
    })?;
    Ok((length, known))
}

/// Adds a batch after the first `length` bytes; `file` is the digest of the certificates' file.
///
/// # Errors
/// [`DeviceCaError::File`]
pub fn add(dir: &Path, length: u64, batch: &[Issued], file: Sha256Digest) -> Result<(), DeviceCaError> {
    let mut text = Vec::new();
    for entry in batch {
        line_of(entry, &mut text)?;
    }
    line_of(&Closed { batch: batch.len(), file }, &mut text)?;
    Ok(files::append_after(&issued_path(dir), length, &text)?)
}

/// What was revoked, by serial number; and the file's length in bytes. A last line that a power cut left without its end is
/// passed over: the list that it was for was never written.
///
/// # Errors
/// As [`issued`].
pub fn revoked(dir: &Path) -> Result<(u64, BTreeMap<String, Revoked>), DeviceCaError> {
    let path = revoked_path(dir);
    let (mut all, mut good) = (BTreeMap::new(), 0);
    lines(&path, &mut |number, line, length| {
        let refused = |error: serde_json::Error| DeviceCaError::Ledger {
            path: path.clone(),
            line: number,
            why: error.to_string(),
        };
        let revoked: Revoked = serde_json::from_str(line).map_err(refused)?;
        all.entry(revoked.serial.clone()).or_insert(revoked);
        good += length;
        Ok(())
    })?;
    Ok((good, all))
}

/// Adds revocations after the first `length` bytes.
///
/// # Errors
/// [`DeviceCaError::File`]
pub fn add_revoked(dir: &Path, length: u64, revoked: &[Revoked]) -> Result<(), DeviceCaError> {
    let mut text = Vec::new();
    for entry in revoked {
        line_of(entry, &mut text)?;
    }
    Ok(files::append_after(&revoked_path(dir), length, &text)?)
}

fn line_of(value: &impl Serialize, text: &mut Vec<u8>) -> Result<(), DeviceCaError> {
    serde_json::to_writer(&mut *text, value).map_err(|error| DeviceCaError::Failed(error.to_string()))?;
    text.push(b'\n');
    Ok(())
}

/// Calls `take` with each whole line, its number from 1 and its length with the line break.
fn lines(
    path: &Path,
    take: &mut dyn FnMut(usize, &str, u64) -> Result<(), DeviceCaError>,
) -> Result<(), DeviceCaError> {
    if !files::exists(path) {
        return Ok(());
    }
    let mut file = files::open(path)?;
    let read = |source| files::FileError::Io { operation: "read", path: path.into(), source };
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        let count = std::io::Read::take(&mut file, LINE).read_until(b'\n', &mut line).map_err(read)?;
        let Some(words) = line.strip_suffix(b"\n") else {
            // Without its end: a power cut, unless it is longer than any of ours.
            let refused = || DeviceCaError::Ledger {
                path: path.into(),
                line: number,
                why: format!("longer than {LINE} bytes"),
            };
            return if count as u64 == LINE { Err(refused()) } else { Ok(()) };
        };
        let refused =
            |_| DeviceCaError::Ledger { path: path.into(), line: number, why: "it is no text".into() };
        take(number, std::str::from_utf8(words).map_err(refused)?, count as u64)?;
    }
    Ok(())
}
