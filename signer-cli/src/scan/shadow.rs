//! Password hashes, as `/etc/shadow` holds them: `name:$6$salt$hash:…`.

use perennial_schemas::Digest as _;

use super::Seen;
use crate::crypto::Ring;

/// The literal begins at the colon before the hash.
pub(super) fn line(bytes: &[u8], begin: usize) -> Option<Seen> {
    let before = &bytes[begin.saturating_sub(64)..begin];
    let name_at = before.iter().rposition(|byte| !is_of_a_name(*byte)).map_or(0, |at| at + 1);
    let name = &before[name_at..];
    let first = name_at == 0 || matches!(before[name_at - 1], b'\n' | 0);
    let hash = &bytes[begin + 1..];
    let length = hash.iter().take(256).take_while(|byte| is_of_a_hash(**byte)).count();
    let (hash, after) = (&hash[..length], hash.get(length));
    let parts = hash.split(|byte| *byte == b'$').count();
    let fits = first && (1..=32).contains(&name.len()) && length >= 20 && parts >= 4 && after == Some(&b':');
    if !fits {
        return None;
    }
    let user = String::from_utf8_lossy(name).into_owned();
    Some(Seen::Password { user, digest: Ring.sha256(hash) })
}

fn is_of_a_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.')
}

fn is_of_a_hash(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'$' | b'.' | b'/' | b'=' | b',')
}
