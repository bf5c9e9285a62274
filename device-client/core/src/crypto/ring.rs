//! Signatures and digests by `ring`.

use perennial_schemas::Sha256Digest;
use perennial_schemas::crypto::{Digest, RunningDigest, SignatureError, VerifySignature};
use perennial_schemas::tuf::Key;
use ring::digest;
use ring::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P384_SHA384_ASN1, ED25519, RSA_PKCS1_2048_8192_SHA256,
    RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512, RSA_PSS_2048_8192_SHA256,
    RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512, UnparsedPublicKey, VerificationAlgorithm,
};

use super::keys::{Curve, ed25519_point, elliptic_point, rsa_public_key};

/// The provider by `ring`. Knows ed25519; ECDSA on P-256 and P-384 (ASN.1 signatures); RSA of 2,048 to 8,192 bits with
/// PSS or PKCS #1 v1.5 and SHA-256, -384 or -512. Key types are those that python-tuf and tough write (TUF 4.2.2).
#[derive(Debug, Clone, Copy, Default)]
pub struct Ring;

/// A SHA-256 computation in progress.
#[derive(Clone)]
pub struct RunningSha256(digest::Context);

impl VerifySignature for Ring {
    fn verify(&self, key: &Key, message: &[u8], signature: &[u8]) -> Result<(), SignatureError> {
        let algorithm = algorithm_of(key).ok_or(SignatureError::UnknownScheme)?;
        let public = match key.keytype.as_str() {
            "ed25519" => ed25519_point(key.public()),
            "rsa" => rsa_public_key(key.public()),
            _ if key.scheme == "ecdsa-sha2-nistp384" => elliptic_point(key.public(), Curve::P384),
            _ => elliptic_point(key.public(), Curve::P256),
        };
        let public = public.ok_or(SignatureError::MalformedKey)?;
        let key = UnparsedPublicKey::new(algorithm, public);
        key.verify(message, signature).map_err(|_| SignatureError::Mismatch)
    }
}

/// A key type vouches only for its own schemes, so that no key is read as one of another kind.
fn algorithm_of(key: &Key) -> Option<&'static dyn VerificationAlgorithm> {
    Some(match (key.keytype.as_str(), key.scheme.as_str()) {
        ("ed25519", "ed25519") => &ED25519,
        // "ecdsa-sha2-nistp256" as a key type is what securesystemslib and go-tuf wrote before 2022.
        ("ecdsa" | "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp256") => &ECDSA_P256_SHA256_ASN1,
        ("ecdsa" | "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp384") => &ECDSA_P384_SHA384_ASN1,
        ("rsa", "rsassa-pss-sha256") => &RSA_PSS_2048_8192_SHA256,
        ("rsa", "rsassa-pss-sha384") => &RSA_PSS_2048_8192_SHA384,
        ("rsa", "rsassa-pss-sha512") => &RSA_PSS_2048_8192_SHA512,
        ("rsa", "rsa-pkcs1v15-sha256") => &RSA_PKCS1_2048_8192_SHA256,
        ("rsa", "rsa-pkcs1v15-sha384") => &RSA_PKCS1_2048_8192_SHA384,
        ("rsa", "rsa-pkcs1v15-sha512") => &RSA_PKCS1_2048_8192_SHA512,
        _ => return None,
    })
}

impl Digest for Ring {
    type Running = RunningSha256;

    fn start(&self) -> RunningSha256 {
        RunningSha256(digest::Context::new(&digest::SHA256))
    }

    fn sha512(&self, bytes: &[u8]) -> Option<[u8; 64]> {
        digest::digest(&digest::SHA512, bytes).as_ref().try_into().ok()
    }
}

impl RunningDigest for RunningSha256 {
    fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(self) -> Sha256Digest {
        let mut digest = [0; 32];
        digest.copy_from_slice(self.0.finish().as_ref());
        Sha256Digest(digest)
    }
}
