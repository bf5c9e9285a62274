//! Tokens of services, by the forms that the services publish so that they can be found.

use std::collections::BTreeSet;

use super::Seen;

type Class = fn(u8) -> bool;

fn word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
}

fn wide(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')
}

/// Whether nothing of a longer word or of base64 stands before.
fn begins(bytes: &[u8], begin: usize) -> bool {
    begin == 0 || !(wide(bytes[begin - 1]) || matches!(bytes[begin - 1], b'+' | b'/' | b'='))
}

/// As many bytes of a class from `at` on as there are.
fn run(bytes: &[u8], at: usize, class: Class) -> &[u8] {
    let rest = bytes.get(at..).unwrap_or_default();
    &rest[..rest.iter().take_while(|byte| class(**byte)).count()]
}

/// Whether it looks made by chance, and not by an author of documents: `EXAMPLE`, `xxxxxxxx`, `0123456789`.
fn is_random(text: &[u8]) -> bool {
    let lower = text.to_ascii_lowercase();
    let distinct: BTreeSet<&u8> = text.iter().collect();
    let written = [&b"example"[..], b"xxxx", b"0000", b"123456", b"abcdef", b"aaaa", b"your", b"token"];
    distinct.len() >= 8 && !written.iter().any(|word| super::keys::find(&lower, word).is_some())
}

/// A token of `prefix` bytes and then exactly, or at least, so many of a class.
fn token(
    (bytes, begin): (&[u8], usize),
    prefix: usize,
    class: Class,
    count: std::ops::RangeInclusive<usize>,
    what: &str,
) -> Option<Seen> {
    let body = run(bytes, begin + prefix, class);
    (begins(bytes, begin) && count.contains(&body.len()) && is_random(body))
        .then(|| Seen::Secret(what.into()))
}

pub(super) fn aws(bytes: &[u8], begin: usize) -> Option<Seen> {
    let class: Class = word;
    let body = run(bytes, begin + 4, class);
    let base32 = body.iter().all(|byte| byte.is_ascii_uppercase() || (b'2'..=b'7').contains(byte));
    let digits = body.iter().any(u8::is_ascii_digit);
    if base32 && digits {
        token((bytes, begin), 4, word, 16..=16, "an access key of AWS (AKIA…, ASIA…)")
    } else {
        None
    }
}

pub(super) fn github(bytes: &[u8], begin: usize) -> Option<Seen> {
    token((bytes, begin), 4, word, 36..=255, "a token of GitHub (gh?_…)")
}

pub(super) fn github_pat(bytes: &[u8], begin: usize) -> Option<Seen> {
    token((bytes, begin), 11, wide, 82..=255, "a token of GitHub (github_pat_…)")
}

pub(super) fn gitlab(bytes: &[u8], begin: usize) -> Option<Seen> {
    token((bytes, begin), 6, wide, 20..=300, "a token of GitLab (glpat-…)")
}

pub(super) fn slack(bytes: &[u8], begin: usize) -> Option<Seen> {
    let number = run(bytes, begin + 5, |byte| byte.is_ascii_digit());
    let numbered = number.len() >= 8 && bytes.get(begin + 5 + number.len()) == Some(&b'-');
    if numbered { token((bytes, begin), 5, wide, 24..=300, "a token of Slack (xox?-…)") } else { None }
}

pub(super) fn slack_hook(bytes: &[u8], begin: usize) -> Option<Seen> {
    let path = run(bytes, begin + 25, |byte| word(byte) || byte == b'/');
    let parts: Vec<&[u8]> = path.split(|byte| *byte == b'/').collect();
    let fits = matches!(parts.as_slice(), [team, hook, key]
        if team.len() >= 8 && hook.len() >= 8 && hook.starts_with(b"B") && key.len() == 24 && is_random(key));
    fits.then(|| Seen::Secret("a web hook of Slack".into()))
}

pub(super) fn google(bytes: &[u8], begin: usize) -> Option<Seen> {
    token((bytes, begin), 4, wide, 35..=35, "an API key of Google (AIza…)")
}

pub(super) fn stripe(bytes: &[u8], begin: usize) -> Option<Seen> {
    token((bytes, begin), 8, word, 24..=255, "a live key of Stripe (?k_live_…)")
}

pub(super) fn npm(bytes: &[u8], begin: usize) -> Option<Seen> {
    token((bytes, begin), 4, word, 36..=36, "a token of npm (npm_…)")
}

pub(super) fn pypi(bytes: &[u8], begin: usize) -> Option<Seen> {
    token((bytes, begin), 8, wide, 60..=1000, "a token of PyPI (pypi-…)")
}

/// Three parts of base64: a header that names an algorithm, claims, a signature. Documents are full of samples, so what
/// neither ends nor was signed by a known algorithm is none.
pub(super) fn jwt(bytes: &[u8], begin: usize) -> Option<Seen> {
    let text = run(bytes, begin, |byte| wide(byte) || byte == b'.');
    let mut parts = text.split(|byte| *byte == b'.');
    let (header, claims, signature) = (parts.next()?, parts.next()?, parts.next()?);
    if !begins(bytes, begin) || signature.len() < 32 || !is_random(signature) {
        return None;
    }
    let header: serde_json::Value = serde_json::from_slice(&base64(header)?).ok()?;
    let claims: serde_json::Value = serde_json::from_slice(&base64(claims)?).ok()?;
    let algorithm = header.get("alg")?.as_str()?;
    let signed = ["HS", "RS", "ES", "PS", "Ed"].iter().any(|family| algorithm.starts_with(family));
    let sample = claims.get("sub").is_some_and(|sub| sub == "1234567890");
    let whose = ["sub", "iss", "aud", "exp", "scope"].iter().any(|claim| claims.get(claim).is_some());
    (signed && whose && !sample).then(|| Seen::Secret("a signed web token (JWT, eyJ…)".into()))
}

/// URL-safe base64 without padding (RFC 4648 5).
fn base64(text: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() * 3 / 4);
    let (mut bits, mut count) = (0_u32, 0);
    for byte in text {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'-' => 62,
            b'_' => 63,
            _ => return None,
        };
        bits = (bits << 6) | u32::from(value);
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
        }
    }
    Some(bytes)
}
