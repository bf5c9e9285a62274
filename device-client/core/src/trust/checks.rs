//! The checks that several roles share.

use alloc::string::String;
use alloc::vec::Vec;

use perennial_schemas::Timestamp;
use perennial_schemas::crypto::Digest;
use perennial_schemas::digest::decode_hex;
use perennial_schemas::tuf::{Hashes, MetaFile, Role};
use perennial_schemas::{Signed, Verified, VerifySignature};

use super::TrustError;
use perennial_schemas::tuf::Authority;

/// Reads `bytes` as a role's file.
pub(super) fn open<T: Role>(file: &str, bytes: &[u8]) -> Result<Signed<T>, TrustError> {
    Signed::parse(bytes).map_err(|source| TrustError::Format { file: file.into(), source })
}

/// A threshold of `authority`'s keys signed (TUF 5.3.4, 5.4.2, 5.5.3, 5.6.3).
pub(super) fn signed_by<T: Role>(
    file: &str,
    signed: Signed<T>,
    authority: &Authority<'_>,
    crypto: &impl VerifySignature,
) -> Result<Verified<T>, TrustError> {
    signed.verify(authority, crypto).map_err(|source| TrustError::Signature { file: file.into(), source })
}

/// The version is the listed one (TUF 5.5.4, 5.6.4).
pub(super) fn version_is(file: &str, expected: u64, found: u64) -> Result<(), TrustError> {
    if found == expected { Ok(()) } else { Err(TrustError::Version { file: file.into(), expected, found }) }
}

/// The version is not lower than one seen before (TUF 5.4.3, 5.5.5).
pub(super) fn not_below(file: &str, floor: u64, found: u64) -> Result<(), TrustError> {
    if found >= floor { Ok(()) } else { Err(TrustError::Rollback { file: file.into(), floor, found }) }
}

/// The file is still trusted at `now` (TUF 5.3.10, 5.4.4, 5.5.6, 5.6.5).
pub(super) fn current(file: &str, expires: Timestamp, now: Timestamp) -> Result<(), TrustError> {
    if expires > now { Ok(()) } else { Err(TrustError::Expired { file: file.into(), expires, now }) }
}

/// The bytes have the length and the digests that they are listed with, if any (TUF 5.5.2, 5.6.2).
pub(super) fn as_listed(
    file: &str,
    bytes: &[u8],
    meta: &MetaFile,
    crypto: &impl Digest,
) -> Result<(), TrustError> {
    if let Some(expected) = meta.length {
        let found = bytes.len() as u64;
        if found != expected {
            return Err(TrustError::Length { file: file.into(), expected, found });
        }
    }
    meta.hashes.as_ref().map_or(Ok(()), |hashes| digests_fit(file, bytes, hashes, crypto))
}

/// Every digest that we can compute fits, and there is at least one: an unknown algorithm vouches for nothing.
fn digests_fit(file: &str, bytes: &[u8], hashes: &Hashes, crypto: &impl Digest) -> Result<(), TrustError> {
    let computed: [(&'static str, Option<Vec<u8>>); 2] = [
        ("sha256", hashes.contains_key("sha256").then(|| crypto.sha256(bytes).0.to_vec())),
        ("sha512", crypto_sha512(hashes, bytes, crypto)),
    ];
    let mut known = false;
    for (algorithm, digest) in computed {
        let (Some(listed), Some(digest)) = (hashes.get(algorithm), digest) else { continue };
        if decode_hex(listed).as_ref() != Some(&digest) {
            return Err(TrustError::Digest { file: file.into(), algorithm });
        }
        known = true;
    }
    if known { Ok(()) } else { Err(TrustError::Digest { file: file.into(), algorithm: "known" }) }
}

fn crypto_sha512(hashes: &Hashes, bytes: &[u8], crypto: &impl Digest) -> Option<Vec<u8>> {
    hashes.contains_key("sha512").then(|| crypto.sha512(bytes)).flatten().map(|digest| digest.to_vec())
}

/// How many bytes to ask for: as listed, or the limit where nothing is listed; listed past the limit is an error before
/// a byte is fetched (TUF 5.5.1, 5.6.1).
pub(super) fn length_of(file: &str, meta: &MetaFile, limit: u64) -> Result<u64, TrustError> {
    match meta.length {
        Some(length) if length > limit => Err(TrustError::TooLong { file: file.into(), limit }),
        Some(length) => Ok(length),
        None => Ok(limit),
    }
}

/// The name of a file: versioned where the repository keeps consistent snapshots (TUF 6.2).
pub(super) fn versioned(consistent: bool, version: u64, name: &str) -> String {
    if consistent { alloc::format!("{version}.{name}.json") } else { alloc::format!("{name}.json") }
}
