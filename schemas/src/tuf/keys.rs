//! Public keys, who may sign for a role, and how many must.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use super::Extra;
use crate::crypto::Digest;
use crate::document::{FormatError, ensure};
use crate::ident::KeyId;
use crate::json::Json;
use crate::limits::{KEYS, PUBLIC_KEY_LENGTH};
use crate::signed::canonical_of;

/// Keys by id.
pub type KeyMap = BTreeMap<KeyId, Key>;

/// A public key (TUF 4.2.2, KEY). Types that nobody here knows are kept and never verify.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
pub struct Key {
    /// `ed25519`, `ecdsa`, `rsa`, or another.
    pub keytype: String,
    /// The signature scheme.
    pub scheme: String,
    /// The public part: `{"public": …}` for the types that we know.
    pub keyval: BTreeMap<String, Json>,
    /// Fields that this version does not know.
    #[serde(flatten)]
    pub extra: Extra,
}

impl Key {
    /// An ed25519 key from its 32 bytes.
    pub fn ed25519(public: &[u8; 32]) -> Self {
        let public = Json::String(crate::digest::encode_hex(public));
        Self {
            keytype: "ed25519".into(),
            scheme: "ed25519".into(),
            keyval: BTreeMap::from([("public".into(), public)]),
            extra: Extra::new(),
        }
    }

    /// The text of `keyval.public`: hexadecimal digits for ed25519, PEM for the others; empty where there is none.
    pub fn public(&self) -> &str {
        self.keyval.get("public").and_then(Json::as_str).unwrap_or("")
    }

    /// What makes two keys the same, however they are spelt: the public text without white space, and in lower case
    /// where it is hexadecimal.
    pub fn identity(&self) -> String {
        let public: String = self.public().split_ascii_whitespace().collect();
        if self.keytype == "ed25519" { public.to_ascii_lowercase() } else { public }
    }

    /// The id that the specification gives this key: SHA-256 of its canonical form, in hexadecimal digits.
    ///
    /// # Errors
    /// [`FormatError`] where the key can't be written as strict JSON.
    pub fn id(&self, digest: &impl Digest) -> Result<KeyId, FormatError> {
        let id = format!("{}", digest.sha256(&canonical_of(self)?));
        id.parse().map_err(|e| FormatError::shape("key", format!("{e}")))
    }

    pub(super) fn validate(&self, what: &'static str) -> Result<(), FormatError> {
        ensure(self.public().len() <= PUBLIC_KEY_LENGTH, what, || {
            format!("a public key is longer than {PUBLIC_KEY_LENGTH} bytes")
        })
    }
}

/// The keys of one role, and how many must sign (TUF 4.3, ROLE).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
pub struct RoleKeys {
    /// Who may sign.
    pub keyids: Vec<KeyId>,
    /// How many distinct keys must have signed, at least 1.
    pub threshold: u32,
    /// Fields that this version does not know.
    #[serde(flatten)]
    pub extra: Extra,
}

impl RoleKeys {
    /// `threshold` of `keyids`.
    pub fn new(keyids: Vec<KeyId>, threshold: u32) -> Self {
        Self { keyids, threshold, extra: Extra::new() }
    }
}

/// Who may say something: a role's keys and threshold, borrowed from the metadata that delegates to it.
#[derive(Debug, Clone)]
pub struct Authority<'a> {
    role: &'a str,
    keys: &'a KeyMap,
    keyids: &'a [KeyId],
    threshold: u32,
}

impl<'a> Authority<'a> {
    /// The authority of `role`.
    pub fn new(role: &'a str, keys: &'a KeyMap, keyids: &'a [KeyId], threshold: u32) -> Self {
        Self { role, keys, keyids, threshold }
    }

    /// The role's name, for messages.
    pub fn role(&self) -> &'a str {
        self.role
    }

    /// How many distinct keys must sign.
    pub fn threshold(&self) -> u32 {
        self.threshold
    }

    /// The role's keys, each once; ids without a key are left out.
    pub fn keys(&self) -> impl Iterator<Item = (&'a KeyId, &'a Key)> {
        let (keys, keyids) = (self.keys, self.keyids);
        keyids
            .iter()
            .enumerate()
            .filter(move |(i, id)| !keyids[..*i].contains(id))
            .filter_map(move |(_, id)| keys.get(id).map(|key| (id, key)))
    }
}

pub(super) fn validate_keys(keys: &KeyMap, what: &'static str) -> Result<(), FormatError> {
    ensure(keys.len() <= KEYS, what, || format!("more than {KEYS} keys"))?;
    keys.values().try_for_each(|key| key.validate(what))
}

pub(super) fn validate_role(
    role: &str,
    keyids: &[KeyId],
    threshold: u32,
    what: &'static str,
) -> Result<(), FormatError> {
    ensure(threshold >= 1, what, || format!("the threshold of {role} is 0"))?;
    ensure(keyids.len() <= KEYS, what, || format!("{role} has more than {KEYS} key ids"))?;
    let distinct: alloc::collections::BTreeSet<_> = keyids.iter().collect();
    ensure(distinct.len() == keyids.len(), what, || format!("{role} lists a key id twice"))
}
