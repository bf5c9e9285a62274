//! An image is looked through for what must never be in one: private keys, tokens of known services, and password hashes that
//! another product's image has, too (UK Code of Practice, guidelines 1 and 4).
//!
//! Decides what looks like a secret, by its own form and never by its surroundings; it neither unpacks nor decompresses, so
//! what an image holds compressed or encrypted is not seen. It reads what passes by on its way to the digest, once, holding
//! one block and 17 KiB. No secret is ever told in full: kind, place, and the few letters that every one of its kind has.
//!
//! | module | holds |
//! | --- | --- |
//! | `pattern` | where to look: the literals that secrets begin with, all searched for at once |
//! | `keys`, `tokens`, `shadow` | what follows such a literal in a real one |
//! | `place`, `tar` | where it is: the file in a tar, or else the nearest readable text |
//! | `known` | password hashes of each product's images, remembered by their digests |

mod keys;
pub mod known;
mod pattern;
mod place;
mod shadow;
mod tar;
mod tokens;

use std::fmt;
use std::io::{self, Read};

use perennial_schemas::Sha256Digest;
use serde::Serialize;

use pattern::Patterns;
use tar::TarMap;

/// What follows the first letters of a secret, at most, in bytes: a private key of RSA with 8,192 bits has 6.4 KB of text.
const AHEAD: usize = 16 * 1024;
/// What stands before it: the rest of its line, and readable text to tell its place by.
const BEHIND: usize = 1024;
/// Findings that are told one by one; further ones are counted.
const TOLD: usize = 16;
/// Password hashes that are compared: an image with more users than this is no device's.
const HASHES: usize = 1024;

/// Something in an image that looks like a secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What it is: `a private key (PEM, RSA PRIVATE KEY)`.
    pub what: String,
    /// Where it begins in the image, in bytes.
    pub offset: u64,
    /// The file in a tar, or the nearest readable text.
    pub place: Option<String>,
}

/// A password hash in an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PasswordHash {
    /// The user's name.
    pub user: String,
    /// SHA-256 of the hash with its salt.
    pub digest: Sha256Digest,
    /// Where it stands.
    pub finding: Finding,
}

/// What was found in one image.
#[derive(Debug, Clone, Default)]
pub struct Found {
    /// The first secrets, in the order in which they stand in the image.
    pub secrets: Vec<Finding>,
    /// How many there are in all.
    pub count: u64,
    /// Its password hashes.
    pub passwords: Vec<PasswordHash>,
}

/// What a secret's own form tells: its kind, or a user with the digest of a password hash.
enum Seen {
    Secret(String),
    Password { user: String, digest: Sha256Digest },
}

/// Looks through bytes that pass by, in pieces of any size.
pub struct Scanner {
    patterns: &'static Patterns,
    /// What was not yet looked at with all that may follow it, and a little before.
    held: Vec<u8>,
    /// Where `held` begins in the image.
    start: u64,
    /// Where to go on, in `held`.
    next: usize,
    tar: TarMap,
    found: Found,
}

impl Default for Scanner {
    fn default() -> Self {
        let patterns = Patterns::get();
        let (held, tar, found) = (Vec::new(), TarMap::default(), Found::default());
        Self { patterns, held, start: 0, next: 0, tar, found }
    }
}

impl Scanner {
    /// The next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.tar.update(bytes);
        self.held.extend_from_slice(bytes);
        if self.held.len() > self.next + 4 * AHEAD {
            self.look(self.held.len() - AHEAD);
            self.let_go();
        }
    }

    /// What was found.
    pub fn finish(mut self) -> Found {
        self.look(self.held.len());
        self.found
    }

    /// Looks at everything that begins before `end`.
    fn look(&mut self, end: usize) {
        let mut at = self.next;
        while let Some((begin, literal)) = self.patterns.find(&self.held, at) {
            if begin >= end {
                break;
            }
            at = begin + 1;
            let window = &self.held[..(begin + AHEAD).min(self.held.len())];
            let Some(seen) = literal.follow(window, begin) else { continue };
            let offset = self.start + begin as u64;
            self.note(seen, offset, begin);
            at = begin + literal.length();
        }
        self.next = self.next.max(end);
    }

    fn note(&mut self, seen: Seen, offset: u64, begin: usize) {
        let readable = || place::readable(&self.held[begin.saturating_sub(BEHIND)..begin]);
        let place = self.tar.file_at(offset).or_else(readable);
        match seen {
            Seen::Secret(what) => {
                self.found.count += 1;
                if self.found.secrets.len() < TOLD {
                    self.found.secrets.push(Finding { what, offset, place });
                }
            }
            Seen::Password { user, digest } => {
                let known = |hash: &PasswordHash| hash.digest == digest;
                if self.found.passwords.len() < HASHES && !self.found.passwords.iter().any(known) {
                    let what = format!("a password hash (user {user})");
                    let finding = Finding { what, offset, place };
                    self.found.passwords.push(PasswordHash { user, digest, finding });
                }
            }
        }
    }

    fn let_go(&mut self) {
        let gone = self.next.saturating_sub(BEHIND);
        self.held.drain(..gone);
        self.start += gone as u64;
        self.next -= gone;
        self.tar.forget_before(self.start);
    }
}

/// A reader that has what it reads looked through.
pub struct Watched<'a> {
    /// What is read.
    pub inner: &'a mut dyn Read,
    /// What looks.
    pub scanner: &'a mut Scanner,
}

impl Read for Watched<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.scanner.update(&buffer[..count]);
        Ok(count)
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at byte {}", self.what, self.offset)?;
        self.place.iter().try_for_each(|place| write!(f, ", {place}"))
    }
}

#[cfg(test)]
mod tests;
