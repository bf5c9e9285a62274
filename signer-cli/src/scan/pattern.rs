//! The literals that secrets begin with. All are searched for at once, with vector instructions where the processor has them:
//! faster than a disk, whatever their number, and without a regular expression that could be slow on some input.

use std::sync::OnceLock;

use aho_corasick::{AhoCorasick, Input, MatchKind};

use super::{Seen, keys, shadow, tokens};

/// Looks at what follows a literal: the bytes so far, and where in them the literal begins.
type Follow = fn(&[u8], usize) -> Option<Seen>;

/// A literal, and what must follow it.
pub(super) struct Literal {
    text: &'static [u8],
    follow: Follow,
}

impl Literal {
    pub(super) fn length(&self) -> usize {
        self.text.len()
    }

    pub(super) fn follow(&self, bytes: &[u8], begin: usize) -> Option<Seen> {
        (self.follow)(bytes, begin)
    }
}

/// RSA's, and P-256's, object identifiers where a PKCS#8 key has them, with the version before.
const RSA: &[u8] = b"\x02\x01\x00\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00\x04\x82";
const P256: &[u8] =
    b"\x02\x01\x00\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07\x04";

/// Every literal, with what looks at it. Kept under 64, the most that the vector search takes.
const LITERALS: &[(&[u8], Follow)] = &[
    (b"-----BEGIN ", keys::pem),
    (b"PuTTY-User-Key-File-", keys::putty),
    (RSA, keys::rsa),
    (P256, keys::p256),
    (b"AKIA", tokens::aws),
    (b"ASIA", tokens::aws),
    (b"ghp_", tokens::github),
    (b"gho_", tokens::github),
    (b"ghu_", tokens::github),
    (b"ghs_", tokens::github),
    (b"ghr_", tokens::github),
    (b"github_pat_", tokens::github_pat),
    (b"glpat-", tokens::gitlab),
    (b"xoxb-", tokens::slack),
    (b"xoxp-", tokens::slack),
    (b"xoxa-", tokens::slack),
    (b"xoxr-", tokens::slack),
    (b"xoxs-", tokens::slack),
    (b"hooks.slack.com/services/T", tokens::slack_hook),
    (b"AIza", tokens::google),
    (b"sk_live_", tokens::stripe),
    (b"rk_live_", tokens::stripe),
    (b"npm_", tokens::npm),
    (b"pypi-AgE", tokens::pypi),
    (b"eyJ", tokens::jwt),
    (b":$1$", shadow::line),
    (b":$5$", shadow::line),
    (b":$6$", shadow::line),
    (b":$7$", shadow::line),
    (b":$y$", shadow::line),
    (b":$gy$", shadow::line),
    (b":$2a$", shadow::line),
    (b":$2b$", shadow::line),
    (b":$2y$", shadow::line),
];

pub(super) struct Patterns {
    search: AhoCorasick,
    literals: Vec<Literal>,
}

impl Patterns {
    pub(super) fn get() -> &'static Self {
        static MADE: OnceLock<Patterns> = OnceLock::new();
        MADE.get_or_init(|| {
            // Only a leftmost search is made with vector instructions.
            let mut builder = AhoCorasick::builder();
            #[expect(clippy::expect_used, reason = "a few hundred bytes of literals make an automaton")]
            let search = builder
                .match_kind(MatchKind::LeftmostFirst)
                .build(LITERALS.iter().map(|(text, _)| text))
                .expect("an automaton of 34 literals");
            let literals = LITERALS.iter().map(|(text, follow)| Literal { text, follow: *follow }).collect();
            Self { search, literals }
        })
    }

    /// The first literal in `bytes` from `at` on, and where it begins.
    pub(super) fn find(&self, bytes: &[u8], at: usize) -> Option<(usize, &Literal)> {
        let found = self.search.find(Input::new(bytes).range(at.min(bytes.len())..))?;
        Some((found.start(), &self.literals[found.pattern().as_usize()]))
    }
}
