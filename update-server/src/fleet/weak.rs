//! Keys that can be guessed: those whose private number is small, as from a device whose random numbers weren't, and those
//! under which anything is signed. It can't know all weak keys; it knows those that counting finds.

use p256::elliptic_curve::sec1::ToSec1Point;
use p256::{AffinePoint, ProjectivePoint};
use perennial_schemas::fleet::DeviceKey;
use std::collections::HashSet;

/// Private numbers from 1 to this, and their negatives, which have the same x coordinate.
const MULTIPLES: usize = 4096;
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
    pub(crate) fn contains(&self, key: &DeviceKey) -> bool {
        match key {
            DeviceKey::P256(x, _) => x.first_chunk().is_none_or(|x| self.0.contains(x)),
            DeviceKey::Ed25519(_) => key.is_of_small_order(),
        }
    }
}

/// The first half of an uncompressed point's x coordinate.
fn beginning(point: &[u8]) -> Option<[u8; 16]> {
    point.get(1..17)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_private_numbers_that_counting_finds_are_weak() {
        let weak = Weak::new();
        // The base point itself (SEC 2 §2.4.2).
        let x = perennial_schemas::digest::decode_hex(
            "6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296",
        )
        .unwrap();
        let x: [u8; 32] = x.try_into().unwrap();
        assert!(weak.contains(&DeviceKey::P256(x, [0; 32])));
        assert!(weak.contains(&DeviceKey::Ed25519([0; 32])));
        let pair = rcgen::KeyPair::generate().unwrap();
        let spki = rcgen::PublicKeyData::subject_public_key_info(&pair);
        assert!(!weak.contains(&DeviceKey::from_spki(&spki).unwrap()));
        assert!(!weak.contains(&DeviceKey::Ed25519([7; 32])));
    }
}
