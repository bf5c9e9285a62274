//! The support record that counts, as it is kept.
//!
//! Decides nothing of it. What is published in a record is never rewritten: a version of this program that left out what it
//! doesn't know of one would make the next record look like that to a later version.

use perennial_schemas::support::Support;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

/// A support record, or none yet.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Noted {
    support: Option<Support>,
    /// As it was kept, where it says more than is known here.
    kept: Option<Value>,
}

impl Noted {
    pub(super) fn support(&self) -> Option<&Support> {
        self.support.as_ref()
    }
}

impl From<Support> for Noted {
    fn from(support: Support) -> Self {
        Self { support: Some(support), kept: None }
    }
}

impl Serialize for Noted {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.kept {
            Some(kept) => kept.serialize(serializer),
            None => self.support.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Noted {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let kept = Value::deserialize(deserializer)?;
        let support = Option::<Support>::deserialize(&kept).map_err(D::Error::custom)?;
        let known = serde_json::to_value(&support).map_err(D::Error::custom)?;
        Ok(Self { support, kept: (known != kept).then_some(kept) })
    }
}
