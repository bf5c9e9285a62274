//! `Signed<T>`: a metadata file as it was received. `Verified<T>`: the proof that enough keys signed it.
//!
//! Signatures are checked over the canonical form of the value *as received*, never over a re-serialised struct, so a
//! field that this version does not know is covered, too.

use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::ops::Deref;

use serde::{Deserialize, Serialize};

use crate::canonical::to_canonical;
use crate::crypto::VerifySignature;
use crate::digest::decode_hex;
use crate::document::FormatError;
use crate::ident::KeyId;
use crate::json::Json;
use crate::limits::SIGNATURES;
use crate::tuf::{Authority, Role};

/// One entry of `signatures`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
pub struct Signature {
    /// The key that signed.
    pub keyid: KeyId,
    /// The signature in hexadecimal digits; empty where somebody has still to sign.
    pub sig: String,
}

/// A metadata file as received: its value, its signatures, and the bytes that they cover. Nothing is verified yet.
#[derive(Debug, Clone)]
pub struct Signed<T> {
    value: T,
    signatures: Vec<Signature>,
    canonical: Vec<u8>,
}

/// A value that a threshold of keys has signed. Only [`Signed::verify`] makes one:
///
/// ```compile_fail,E0451
/// # fn forge(value: perennial_schemas::tuf::Targets) -> perennial_schemas::Verified<perennial_schemas::tuf::Targets> {
/// perennial_schemas::Verified { value }
/// # }
/// ```
/// and its value can't be changed while the proof lasts:
///
/// ```compile_fail,E0594
/// # fn forge(mut verified: perennial_schemas::Verified<perennial_schemas::tuf::Targets>) {
/// verified.common.version = 9;
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Verified<T> {
    value: T,
}

/// Too few good signatures.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{role}: {good} good signatures of distinct keys, {threshold} needed")]
pub struct ThresholdError {
    /// Whose keys were asked for.
    pub role: String,
    /// Good signatures of distinct keys.
    pub good: usize,
    /// The role's threshold.
    pub threshold: u32,
}

impl<T: Role> Signed<T> {
    /// Reads a metadata file.
    ///
    /// # Errors
    /// [`FormatError`] for text longer than the role allows, JSON that is not strict, another role's file, two signatures
    /// with one key id (TUF 4.2.1: "The KEYID MUST be unique"), or values that the specification excludes.
    pub fn parse(text: &[u8]) -> Result<Self, FormatError> {
        if text.len() as u64 > T::MAX_LENGTH {
            return Err(FormatError::TooLong { what: T::WHAT, limit: T::MAX_LENGTH });
        }
        let canonical = canonical_signed::<T>(text)?;
        let envelope: Envelope<T> =
            serde_json::from_slice(text).map_err(|e| FormatError::shape(T::WHAT, e.to_string()))?;
        if envelope.signatures.len() > SIGNATURES {
            return Err(FormatError::shape(T::WHAT, format!("more than {SIGNATURES} signatures")));
        }
        let distinct: BTreeSet<_> = envelope.signatures.iter().map(|signature| &signature.keyid).collect();
        if distinct.len() != envelope.signatures.len() {
            return Err(FormatError::shape(T::WHAT, "a key id stands twice in \"signatures\""));
        }
        envelope.signed.validate()?;
        Ok(Self { value: envelope.signed, signatures: envelope.signatures, canonical })
    }

    /// The value, not verified: for looking at what one is asked to sign, never for acting upon.
    pub fn unverified(&self) -> &T {
        &self.value
    }

    /// The signatures as received.
    pub fn signatures(&self) -> &[Signature] {
        &self.signatures
    }

    /// The bytes that signatures cover: the canonical form of `signed`.
    pub fn canonical(&self) -> &[u8] {
        &self.canonical
    }

    /// The distinct keys of `authority` whose signatures are good. A key id counts once, however often it is listed,
    /// and so does a public key under several ids (TUF 5.3.4).
    pub fn good_keys<'a>(&self, authority: &Authority<'a>, crypto: &impl VerifySignature) -> Vec<&'a KeyId> {
        let mut good: Vec<&KeyId> = Vec::new();
        let mut public_keys = BTreeSet::new();
        for (id, key) in authority.keys() {
            let signed = self.signatures.iter().filter(|signature| signature.keyid == *id).any(|signature| {
                decode_hex(&signature.sig)
                    .is_some_and(|sig| crypto.verify(key, &self.canonical, &sig).is_ok())
            });
            if signed && public_keys.insert(key.identity()) {
                good.push(id);
            }
        }
        good
    }

    /// Checks the threshold without giving the proof away: for a root that must satisfy two authorities.
    ///
    /// # Errors
    /// [`ThresholdError`] with the count.
    pub fn check(
        &self,
        authority: &Authority<'_>,
        crypto: &impl VerifySignature,
    ) -> Result<(), ThresholdError> {
        let good = self.good_keys(authority, crypto).len();
        if good as u64 >= u64::from(authority.threshold()) {
            Ok(())
        } else {
            Err(ThresholdError { role: authority.role().into(), good, threshold: authority.threshold() })
        }
    }

    /// The proof that a threshold of `authority`'s keys signed the value.
    ///
    /// # Errors
    /// [`ThresholdError`] with the count.
    pub fn verify(
        self,
        authority: &Authority<'_>,
        crypto: &impl VerifySignature,
    ) -> Result<Verified<T>, ThresholdError> {
        self.check(authority, crypto)?;
        Ok(Verified { value: self.value })
    }
}

/// What signatures cover. The JSON tree of a large role is the most that a device holds of it: it goes before the typed
/// value comes.
fn canonical_signed<T: Role>(text: &[u8]) -> Result<Vec<u8>, FormatError> {
    let json = Json::parse(text)?;
    let signed = json.get("signed").ok_or_else(|| FormatError::shape(T::WHAT, "\"signed\" is missing"))?;
    Ok(to_canonical(signed))
}

impl Signed<crate::tuf::Root> {
    /// The proof for a root file: signed by a threshold of its own keys (TUF 5.3.4). Its predecessor's keys are
    /// checked apart, by [`Signed::check`].
    ///
    /// # Errors
    /// [`ThresholdError`] with the count.
    pub fn verify_self(
        self,
        crypto: &impl VerifySignature,
    ) -> Result<Verified<crate::tuf::Root>, ThresholdError> {
        self.check(&self.value.authority(crate::tuf::TopRole::Root), crypto)?;
        Ok(Verified { value: self.value })
    }
}

impl<T> Verified<T> {
    /// Gives the proof up.
    pub fn into_inner(self) -> T {
        self.value
    }
}

impl<T> Deref for Verified<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.value
    }
}

/// The shape of a metadata file (TUF 4.2.1), for reading and for writing.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
pub struct Envelope<T> {
    /// What is signed.
    pub signed: T,
    /// Who signed.
    pub signatures: Vec<Signature>,
}

impl<T: Serialize> Envelope<T> {
    /// The bytes that signatures cover.
    ///
    /// # Errors
    /// [`FormatError::Json`] where the value can't be written as strict JSON.
    pub fn canonical(&self) -> Result<Vec<u8>, FormatError> {
        canonical_of(&self.signed)
    }

    /// The file's text: indented, ending in a newline, so that people can read and compare it.
    ///
    /// # Errors
    /// [`FormatError::Shape`] where the value can't be written as JSON.
    pub fn to_text(&self) -> Result<Vec<u8>, FormatError> {
        to_text(self)
    }
}

/// The canonical form of a value of ours.
///
/// # Errors
/// [`FormatError::Json`] where the value can't be written as strict JSON.
pub fn canonical_of<T: Serialize>(value: &T) -> Result<Vec<u8>, FormatError> {
    let text = serde_json::to_vec(value).map_err(|e| FormatError::shape("JSON value", e.to_string()))?;
    Ok(to_canonical(&Json::parse(&text)?))
}

/// A value as indented JSON that ends in a newline.
///
/// # Errors
/// [`FormatError::Shape`] where the value can't be written as JSON.
pub fn to_text<T: Serialize>(value: &T) -> Result<Vec<u8>, FormatError> {
    let mut text =
        serde_json::to_vec_pretty(value).map_err(|e| FormatError::shape("JSON value", e.to_string()))?;
    text.push(b'\n');
    Ok(text)
}
