//! Public keys from the text of `keyval.public`: hexadecimal digits for ed25519, PEM (SubjectPublicKeyInfo, RFC 7468 §13)
//! for the others. `None` for anything else.

use alloc::vec::Vec;

use perennial_schemas::digest::decode_hex;
use spki::der::{Decode, asn1::ObjectIdentifier};

/// id-ecPublicKey (RFC 5480 §2.1.1).
const EC_PUBLIC_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
/// secp256r1 (RFC 5480 §2.1.1.1).
const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
/// secp384r1 (RFC 5480 §2.1.1.1).
const P384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");
/// rsaEncryption (RFC 8017 A.1).
const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");

/// The curves that we know.
pub(super) enum Curve {
    P256,
    P384,
}

/// The 32 bytes of an ed25519 key.
pub(super) fn ed25519_point(text: &str) -> Option<Vec<u8>> {
    decode_hex(text).filter(|bytes| bytes.len() == 32)
}

/// The uncompressed point of an elliptic key on `curve`.
pub(super) fn elliptic_point(pem: &str, curve: Curve) -> Option<Vec<u8>> {
    let expected = match curve {
        Curve::P256 => P256,
        Curve::P384 => P384,
    };
    let der = decode_pem(pem)?;
    let info = spki::SubjectPublicKeyInfoRef::from_der(&der).ok()?;
    let named: ObjectIdentifier = info.algorithm.parameters?.decode_as().ok()?;
    let fits = info.algorithm.oid == EC_PUBLIC_KEY && named == expected;
    fits.then(|| info.subject_public_key.as_bytes().map(Vec::from)).flatten()
}

/// The `RSAPublicKey` structure (RFC 8017 A.1.1) of an RSA key, in DER.
pub(super) fn rsa_public_key(pem: &str) -> Option<Vec<u8>> {
    let der = decode_pem(pem)?;
    let info = spki::SubjectPublicKeyInfoRef::from_der(&der).ok()?;
    let fits = info.algorithm.oid == RSA;
    fits.then(|| info.subject_public_key.as_bytes().map(Vec::from)).flatten()
}

fn decode_pem(text: &str) -> Option<Vec<u8>> {
    // securesystemslib strips the last line's end, openssl leaves it: the strict parser takes both.
    let (label, der) = pem_rfc7468::decode_vec(text.as_bytes()).ok()?;
    (label == "PUBLIC KEY").then_some(der)
}
