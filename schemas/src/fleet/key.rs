//! The public keys that devices have, in their one spelling as a DER SubjectPublicKeyInfo (RFC 5480, RFC 8410): with two
//! spellings, one key would have two digests, and so two devices. It checks no point against its curve; whoever verifies a
//! signature does.

use alloc::vec::Vec;

use crate::{Digest, Sha256Digest};

/// Everything of a P-256 SubjectPublicKeyInfo before the point, which is uncompressed and begins with 4.
pub const P256_INFO: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86,
    0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];
/// Everything of an ed25519 SubjectPublicKeyInfo before the key.
pub const ED25519_INFO: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// What an uncompressed point begins with (SEC 1 §2.3.3).
const UNCOMPRESSED: u8 = 4;

/// The y coordinates (little-endian, the sign bit cleared) of the ed25519 points whose order divides 8, with those spellings
/// of 0 and 1 that are past the field's prime: under such a key, signatures fit that nobody made.
const SMALL_ORDER: [[u8; 32]; 7] = [
    end(0, 0, 0),
    end(1, 0, 0),
    // p - 1, and p and p + 1, which mean 0 and 1.
    end(0xec, 0xff, 0x7f),
    end(0xed, 0xff, 0x7f),
    end(0xee, 0xff, 0x7f),
    [
        0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0, 0xd5,
        0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05,
    ],
    [
        0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f, 0x2a,
        0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a,
    ],
];

const fn end(first: u8, middle: u8, last: u8) -> [u8; 32] {
    let mut bytes = [middle; 32];
    bytes[0] = first;
    bytes[31] = last;
    bytes
}

/// A public key of a kind that devices have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeviceKey {
    /// ECDSA on P-256: the point's two coordinates, big-endian.
    P256([u8; 32], [u8; 32]),
    /// ed25519: the key.
    Ed25519([u8; 32]),
}

impl DeviceKey {
    /// From a DER SubjectPublicKeyInfo; `None` for other kinds, and for every spelling but one.
    pub fn from_spki(spki: &[u8]) -> Option<Self> {
        if let Some(key) = spki.strip_prefix(&ED25519_INFO) {
            return key.try_into().ok().map(Self::Ed25519);
        }
        let point: &[u8; 64] =
            spki.strip_prefix(&P256_INFO)?.strip_prefix(&[UNCOMPRESSED])?.try_into().ok()?;
        let (x, y) = point.split_at(32);
        Some(Self::P256(x.try_into().ok()?, y.try_into().ok()?))
    }

    /// The DER SubjectPublicKeyInfo.
    pub fn spki(&self) -> Vec<u8> {
        let info: &[u8] = match self {
            Self::P256(..) => &P256_INFO,
            Self::Ed25519(_) => &ED25519_INFO,
        };
        [info, &self.bytes()].concat()
    }

    /// The key as libraries for signatures take it: the uncompressed point, or the key.
    pub fn bytes(&self) -> Vec<u8> {
        match self {
            Self::P256(x, y) => [&[UNCOMPRESSED], x.as_slice(), y].concat(),
            Self::Ed25519(key) => key.to_vec(),
        }
    }

    /// What people call its kind.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::P256(..) => "P-256",
            Self::Ed25519(_) => "ed25519",
        }
    }

    /// By which it is known: SHA-256 over its SubjectPublicKeyInfo.
    pub fn digest(&self, crypto: &impl Digest) -> Sha256Digest {
        crypto.sha256(&self.spki())
    }

    /// Whether it is an ed25519 point of small order, in whatever spelling: a signature under it says nothing of anybody.
    pub fn is_of_small_order(&self) -> bool {
        let Self::Ed25519(key) = self else { return false };
        let mut y = *key;
        y[31] &= 0x7f;
        SMALL_ORDER.contains(&y)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::decode_hex;

    #[test]
    fn a_key_has_one_spelling() {
        for key in [DeviceKey::P256([7; 32], [8; 32]), DeviceKey::Ed25519([9; 32])] {
            let spki = key.spki();
            assert_eq!(DeviceKey::from_spki(&spki), Some(key));
            assert_eq!(DeviceKey::from_spki(&[&spki[..], &[0]].concat()), None);
            assert_eq!(DeviceKey::from_spki(&spki[..spki.len() - 1]), None);
            // A length in two bytes where one is enough, as BER allows.
            let long = [&[spki[0], 0x81, spki[1]], &spki[2..]].concat();
            assert_eq!(DeviceKey::from_spki(&long), None);
        }
        let mut compressed = DeviceKey::P256([7; 32], [8; 32]).spki();
        compressed[26] = 2;
        assert_eq!(DeviceKey::from_spki(&compressed), None);
    }

    /// All fourteen spellings of the eight points, as "Taming the many EdDSAs" (Chalkias, Garillot, Nikolaenko, 2020) lists
    /// them.
    #[test]
    fn every_spelling_of_a_point_of_small_order_is_known() {
        let all = [
            "0100000000000000000000000000000000000000000000000000000000000000",
            "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
            "0000000000000000000000000000000000000000000000000000000000000080",
            "0000000000000000000000000000000000000000000000000000000000000000",
            "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
            "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
            "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
            "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
            "0100000000000000000000000000000000000000000000000000000000000080",
            "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
            "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
            "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
            "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
            "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        ];
        for hex in all {
            let key = DeviceKey::Ed25519(decode_hex(hex).unwrap().try_into().unwrap());
            assert!(key.is_of_small_order(), "{hex}");
        }
        // The base point, which is of large order (RFC 8032 §5.1).
        let mut base = [0x66; 32];
        base[0] = 0x58;
        assert!(!DeviceKey::Ed25519(base).is_of_small_order());
        assert!(!DeviceKey::P256([0; 32], [0; 32]).is_of_small_order());
    }
}
