//! Keys that can be guessed: those whose private number is small, as from a device whose random numbers weren't. It can't
//! know all weak keys; it knows those that counting finds.

use super::identity::PublicKey;
use p256::elliptic_curve::sec1::ToSec1Point;
use p256::{AffinePoint, ProjectivePoint};
use std::collections::HashSet;

/// Private numbers from 1 to this, and their negatives, which have the same x coordinate.
const MULTIPLES: usize = 4096;
/// The ed25519 points of small order, for which a signature says nothing (RFC 7748 §6.1, and their other encodings).
const SMALL_ORDER: [[u8; 32]; 2] = [
    [0; 32],
    [1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
];

/// See the module.
#[derive(Debug)]
pub(crate) struct Weak(HashSet<[u8; 16]>);

impl Weak {
    /// Counts.
    pub(crate) fn new() -> Self {
        let mut known = HashSet::with_capacity(MULTIPLES);
        let mut point = ProjectivePoint::GENERATOR;
        for _ in 0..MULTIPLES {
            let affine: AffinePoint = point.to_affine();
            if let Some(x) = beginning(affine.to_sec1_point(false).as_bytes()) {
                known.insert(x);
            }
            point += ProjectivePoint::GENERATOR;
        }
        Self(known)
    }

    /// Whether counting finds the private half of `key`.
    pub(crate) fn contains(&self, key: &PublicKey) -> bool {
        match key {
            PublicKey::P256(point) => beginning(point).is_none_or(|x| self.0.contains(&x)),
            PublicKey::Ed25519(key) => SMALL_ORDER.iter().any(|weak| weak == &key[..]),
        }
    }
}

/// The first half of the x coordinate.
fn beginning(point: &[u8]) -> Option<[u8; 16]> {
    point.get(1..17)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_private_numbers_that_counting_finds_are_weak() {
        let weak = Weak::new();
        // The base point itself (SEC 2 §2.4.2), as an uncompressed point.
        let base = perennial_schemas::digest::decode_hex(concat!(
            "04",
            "6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296",
            "4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5",
        ))
        .unwrap();
        assert!(weak.contains(&PublicKey::P256(base)));
        assert!(weak.contains(&PublicKey::Ed25519(vec![0; 32])));
        let pair = rcgen::KeyPair::generate().unwrap();
        assert!(!weak.contains(&PublicKey::P256(pair.public_key_raw().to_vec())));
        assert!(!weak.contains(&PublicKey::Ed25519(vec![7; 32])));
    }
}
