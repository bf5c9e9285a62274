//! The timestamp: which snapshot is the latest, signed by the online key for a short time. Its version is
//! max(last + 1, Unix seconds), so that several servers and restored backups never look like a rollback. It says
//! nothing about what the snapshot holds: the offline keys did.

use crate::blobs::Digest;
use crate::keys::OnlineKey;
use perennial_schemas::Timestamp;
use perennial_schemas::digest::encode_hex;
use perennial_schemas::document::FormatError;
use perennial_schemas::signed::{Envelope, Signature, Signed};
use perennial_schemas::tuf::{Common, Extra, MetaFile, Role, TimestampRole};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// The snapshot that a timestamp names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotRef {
    /// Its version.
    pub version: u64,
    /// Its length in bytes.
    pub length: u64,
    /// Its digest.
    pub sha256: Digest,
}

/// A timestamp file, and what the server must remember of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fresh {
    /// The file, as it is served.
    pub bytes: Vec<u8>,
    /// Its version.
    pub version: u64,
    /// When it stops being trusted.
    pub expires: Timestamp,
}

/// Why no timestamp could be made.
#[derive(Debug, thiserror::Error)]
pub enum FreshnessError {
    /// The key didn't sign.
    #[error("the timestamp key didn't sign: {0}")]
    Key(String),
    /// The file can't be read or written.
    #[error(transparent)]
    Format(#[from] FormatError),
}

/// Signs a timestamp over `snapshot`, later than version `last`.
///
/// # Errors
/// [`FreshnessError::Key`] when the key doesn't sign.
pub fn sign(
    key: &dyn OnlineKey,
    snapshot: &SnapshotRef,
    last: u64,
    now: Timestamp,
    validity: Duration,
) -> Result<Fresh, FreshnessError> {
    let version = last.saturating_add(1).max(now.unix() as u64);
    let expires = now.plus_seconds(validity.as_secs() as i64);
    let file = MetaFile {
        version: snapshot.version,
        length: Some(snapshot.length),
        hashes: Some(BTreeMap::from([("sha256".into(), snapshot.sha256.to_string())])),
        extra: Extra::new(),
    };
    let signed = TimestampRole {
        common: Common::new(TimestampRole::TYPE, version, expires, None),
        meta: BTreeMap::from([("snapshot.json".into(), file)]),
        extra: Extra::new(),
    };
    let mut envelope = Envelope { signed, signatures: Vec::new() };
    let signature = key.sign(&envelope.canonical()?).map_err(FreshnessError::Key)?;
    envelope.signatures.push(Signature { keyid: key.keyid().clone(), sig: encode_hex(&signature) });
    Ok(Fresh { bytes: envelope.to_text()?, version, expires })
}

/// Reads back a timestamp that was stored, or one that an offline key signed. Its signature is not looked at: the
/// device's core did that before it was stored.
///
/// # Errors
/// [`FreshnessError::Format`] when it is no timestamp.
pub fn read(bytes: &[u8]) -> Result<(Fresh, SnapshotRef), FreshnessError> {
    let signed = Signed::<TimestampRole>::parse(bytes)?;
    let role = signed.unverified();
    let missing =
        |what: &str| FormatError::shape("timestamp file", format!("{what} of snapshot.json is missing"));
    let file = role.snapshot().ok_or_else(|| missing("the entry"))?;
    let sha256 =
        file.hashes.as_ref().and_then(|hashes| hashes.get("sha256")).and_then(|text| text.parse().ok());
    let snapshot = SnapshotRef {
        version: file.version,
        length: file.length.ok_or_else(|| missing("the length"))?,
        sha256: sha256.ok_or_else(|| missing("the SHA-256"))?,
    };
    Ok((Fresh { bytes: bytes.into(), version: role.version(), expires: role.expires() }, snapshot))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::FileKey;

    #[test]
    fn versions_follow_the_clock_and_never_fall() {
        let folder = tempfile::tempdir().unwrap();
        let key = FileKey::create(folder.path(), "timestamp", "t").unwrap();
        let snapshot =
            SnapshotRef { version: 7, length: 9, sha256: perennial_schemas::Sha256Digest([3; 32]) };
        let now = Timestamp::from_unix(1_800_000_000);
        let day = Duration::from_secs(86_400);
        let first = sign(&key, &snapshot, 0, now, day).unwrap();
        assert_eq!(first.version, 1_800_000_000);
        assert_eq!(first.expires, now.plus_days(1));
        // A second one in the same second, and one after the clock went back.
        assert_eq!(sign(&key, &snapshot, first.version, now, day).unwrap().version, first.version + 1);
        let back = sign(&key, &snapshot, first.version, now.plus_days(-30), day).unwrap();
        assert_eq!(back.version, first.version + 1);
        assert_eq!(read(&first.bytes).unwrap(), (first, snapshot));
    }
}
