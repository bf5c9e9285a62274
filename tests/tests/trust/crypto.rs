//! The provider: each key type and scheme with signatures that another implementation made, and keys of no kind.

use perennial_device_core::crypto::Ring;
use perennial_schemas::VerifySignature;
use perennial_schemas::crypto::{Digest, SignatureError};
use perennial_schemas::digest::{decode_hex, encode_hex};
use perennial_schemas::tuf::Key;
use perennial_tests::simulator::Signer;
use serde::Deserialize;

#[derive(Deserialize)]
struct Vector {
    key: Key,
    message: String,
    signature: String,
    good: bool,
}

fn vectors() -> Vec<Vector> {
    serde_json::from_str(include_str!("../../vectors/signatures.json")).unwrap()
}

fn verify(vector: &Vector, message: &[u8]) -> Result<(), SignatureError> {
    Ring.verify(&vector.key, message, &decode_hex(&vector.signature).unwrap())
}

#[test]
fn signatures_of_another_implementation_verify() {
    let vectors = vectors();
    for vector in &vectors {
        let verdict = verify(vector, &decode_hex(&vector.message).unwrap());
        assert_eq!(verdict.is_ok(), vector.good, "{} {}: {verdict:?}", vector.key.keytype, vector.key.scheme);
    }
    // ed25519, four ECDSA, and six RSA schemes with two good lengths each.
    assert_eq!(vectors.iter().filter(|vector| vector.good).count(), 17);
}

#[test]
fn signatures_cover_the_message_and_are_no_other_s() {
    for vector in vectors().iter().filter(|vector| vector.good) {
        assert_eq!(verify(vector, b"another message"), Err(SignatureError::Mismatch));
        for signature in [vec![], vec![0; 64], vec![0x30; 256]] {
            let message = decode_hex(&vector.message).unwrap();
            assert_eq!(Ring.verify(&vector.key, &message, &signature), Err(SignatureError::Mismatch));
        }
    }
}

#[test]
fn a_key_type_vouches_for_no_other_type_s_scheme() {
    for vector in vectors() {
        for (keytype, scheme) in [
            ("ed25519", "rsassa-pss-sha256"),
            ("rsa", "ed25519"),
            ("ecdsa", "ed25519"),
            ("ed25519", "none"),
            ("", ""),
            ("ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384"),
            ("gpg", "pgp+rsa-pkcsv1.5"),
        ] {
            let mut key = vector.key.clone();
            (key.keytype, key.scheme) = (keytype.into(), scheme.into());
            let verdict = Ring.verify(&key, b"", &decode_hex(&vector.signature).unwrap());
            assert_eq!(verdict, Err(SignatureError::UnknownScheme), "{keytype} {scheme}");
        }
    }
}

#[test]
fn malformed_public_keys_are_named_as_such() {
    for vector in vectors() {
        for public in ["", "zz", "00", "-----BEGIN PUBLIC KEY-----\n-----END PUBLIC KEY-----\n"] {
            let mut key = vector.key.clone();
            key.keyval.insert("public".into(), perennial_schemas::Json::String(public.into()));
            assert_eq!(Ring.verify(&key, b"", b""), Err(SignatureError::MalformedKey), "{}", key.keytype);
        }
    }
    let mut none = Signer(1).key();
    none.keyval.clear();
    assert_eq!(Ring.verify(&none, b"", &[0; 64]), Err(SignatureError::MalformedKey));
}

#[test]
fn digests_are_those_of_the_standard() {
    // FIPS 180-4, "abc".
    let sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    assert_eq!(Ring.sha256(b"abc").to_string(), sha256);
    let sha512 = encode_hex(&Ring.sha512(b"abc").unwrap());
    assert!(sha512.starts_with("ddaf35a193617abacc417349ae204131") && sha512.len() == 128);
}
