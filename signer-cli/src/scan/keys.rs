//! Private keys: as text (PEM of any kind, OpenSSH's, PGP's, PuTTY's) and as the PKCS#8 bytes of RSA and P-256.
//!
//! A program that reads keys holds their first lines as literals, too. Only one that is followed by a key is one.

use super::Seen;

/// Characters of base64 after which something is a key although its end is out of sight.
const LONG: usize = 4096;
/// The shortest key is ed25519's, with 64.
const SHORT: usize = 60;

/// `-----BEGIN … PRIVATE KEY-----`, lines of base64, `-----END`.
pub(super) fn pem(bytes: &[u8], begin: usize) -> Option<Seen> {
    let rest = &bytes[begin + "-----BEGIN ".len()..];
    let end = find(&rest[..rest.len().min(64)], b"-----")?;
    let label = std::str::from_utf8(&rest[..end]).ok()?;
    let known = label.ends_with("PRIVATE KEY") || label == "PGP PRIVATE KEY BLOCK";
    let plain = label.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b' ');
    (known && plain && is_followed_by_a_key(&rest[end + 5..]))
        .then(|| Seen::Secret(format!("a private key (PEM, {label})")))
}

/// Base64 up to `-----END`, with any line ends: real ones, and those written as `\n` in JSON and source code. Lines such as
/// `Proc-Type: 4,ENCRYPTED` may come first.
fn is_followed_by_a_key(bytes: &[u8]) -> bool {
    let mut count = 0;
    let mut at = skip_headers(bytes);
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'+' | b'/' | b'=' => count += 1,
            b'\n' | b'\r' | b' ' | b'\t' | b'"' | b'\'' | b',' => {}
            b'\\' if matches!(bytes.get(at + 1), Some(b'n' | b'r' | b'\n')) => at += 1,
            b'-' => return count >= SHORT && bytes[at..].starts_with(b"-----END"),
            _ => return false,
        }
        at += 1;
    }
    count >= LONG
}

/// Where the lines `Name: value` before a key end.
fn skip_headers(bytes: &[u8]) -> usize {
    let mut at = 0;
    for _ in 0..16 {
        let line = line_end(&bytes[at..]);
        let (text, length) = (&bytes[at..at + line.0], line.1);
        let header = find(text, b": ").is_some_and(|colon| {
            (1..=32).contains(&colon)
                && text[..colon].iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-')
        });
        if length == 0 || !(header || text.iter().all(|byte| byte.is_ascii_whitespace())) {
            break;
        }
        at += length;
    }
    at
}

/// A line's length without and with its end; 0 with it where there is no end.
fn line_end(bytes: &[u8]) -> (usize, usize) {
    let near = &bytes[..bytes.len().min(512)];
    match (find(near, b"\n"), find(near, b"\\n")) {
        (Some(real), written) if written.is_none_or(|written| real < written) => (real, real + 1),
        (_, Some(written)) => (written, written + 2),
        _ => (near.len(), 0),
    }
}

/// PuTTY's own file.
pub(super) fn putty(bytes: &[u8], begin: usize) -> Option<Seen> {
    let rest = &bytes[begin + "PuTTY-User-Key-File-".len()..];
    let version = rest.first().is_some_and(u8::is_ascii_digit) && rest.get(1) == Some(&b':');
    let private = find(rest, b"Private-Lines: ")
        .is_some_and(|at| rest.get(at + "Private-Lines: ".len()).is_some_and(u8::is_ascii_digit));
    (version && private).then(|| Seen::Secret("a private key (PuTTY)".into()))
}

/// The literal ends in `04 82`, a string with two bytes of length; in it lies a sequence that begins with version 0 and a
/// modulus.
pub(super) fn rsa(bytes: &[u8], begin: usize) -> Option<Seen> {
    let rest = bytes.get(begin + 20..begin + 34)?;
    let fits = rest[2..4] == [0x30, 0x82] && rest[6..11] == [2, 1, 0, 2, 0x82];
    fits.then(|| Seen::Secret("a private key (PKCS#8, RSA)".into()))
}

/// The literal ends in `04`; then come a length, a sequence with version 1, 32 bytes, and the public half.
pub(super) fn p256(bytes: &[u8], begin: usize) -> Option<Seen> {
    let rest = bytes.get(begin + 25..begin + 25 + 8 + 32 + 3)?;
    let fits = rest[1] == 0x30 && rest[3..8] == [2, 1, 1, 4, 0x20] && rest[40..] == [0xa1, 0x44, 0x03];
    fits.then(|| Seen::Secret("a private key (PKCS#8, P-256)".into()))
}

pub(super) fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    memchr::memmem::find(bytes, what)
}
