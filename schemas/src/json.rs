//! Strict JSON: what is signed must mean one thing only.
//!
//! Refuses what readers disagree about: duplicate keys, floats, numbers past 64 bits, invalid UTF-8, bytes after the
//! value; and what is only there to hurt: deep nesting, huge trees.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::cell::Cell;
use core::fmt;

use serde::de::{DeserializeSeed, Error as _, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::document::abridged;
use crate::limits::{JSON_DEPTH, JSON_VALUES};

/// A JSON value without floats.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Json {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// Any integer of 64 bits, signed or not.
    Integer(i128),
    /// A string.
    String(String),
    /// An array.
    Array(Vec<Json>),
    /// An object; keys are unique and sorted by code point.
    Object(BTreeMap<String, Json>),
}

/// Why a text is not JSON as this project takes it. Says the line and column.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not acceptable JSON: {0}")]
pub struct JsonError(String);

impl Json {
    /// Reads one value and nothing after it.
    ///
    /// # Errors
    /// [`JsonError`] for malformed text, duplicate keys, floats, numbers past 64 bits, nesting past
    /// [`JSON_DEPTH`] and more than [`JSON_VALUES`] values.
    pub fn parse(text: &[u8]) -> Result<Self, JsonError> {
        let budget = Cell::new(JSON_VALUES);
        let mut deserializer = serde_json::Deserializer::from_slice(text);
        let seed = Seed { depth: JSON_DEPTH, budget: &budget };
        let value = seed.deserialize(&mut deserializer).map_err(|e| JsonError(abridged(e.to_string())))?;
        deserializer.end().map_err(|e| JsonError(abridged(e.to_string())))?;
        Ok(value)
    }

    /// The member `key` of an object.
    pub fn get(&self, key: &str) -> Option<&Json> {
        match self {
            Json::Object(map) => map.get(key),
            _ => None,
        }
    }

    /// The text of a string.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Json::String(text) => Some(text),
            _ => None,
        }
    }
}

#[derive(Clone, Copy)]
struct Seed<'b> {
    depth: usize,
    budget: &'b Cell<usize>,
}

impl<'b> Seed<'b> {
    fn inner<E: serde::de::Error>(self) -> Result<Seed<'b>, E> {
        let depth = self.depth.checked_sub(1);
        let depth = depth.ok_or_else(|| E::custom(format!("nested deeper than {JSON_DEPTH}")))?;
        Ok(Seed { depth, ..self })
    }
}

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = Json;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Json, D::Error> {
        let left = self.budget.get().checked_sub(1);
        let left = left.ok_or_else(|| D::Error::custom(format!("more than {JSON_VALUES} values")))?;
        self.budget.set(left);
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value without floats")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Json, E> {
        Ok(Json::Integer(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Json, E> {
        Ok(Json::Integer(value.into()))
    }

    // serde_json hands numbers past 64 bits over as floats, too.
    fn visit_f64<E: serde::de::Error>(self, _: f64) -> Result<Json, E> {
        Err(E::custom("a float, or an integer past 64 bits"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Json, E> {
        Ok(Json::String(value.into()))
    }

    fn visit_string<E>(self, value: String) -> Result<Json, E> {
        Ok(Json::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Json, A::Error> {
        let inner = self.inner()?;
        let mut values = Vec::new();
        while let Some(value) = access.next_element_seed(inner)? {
            values.push(value);
        }
        Ok(Json::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Json, A::Error> {
        let inner = self.inner()?;
        let mut map = BTreeMap::new();
        while let Some(key) = access.next_key::<String>()? {
            if map.contains_key(&key) {
                return Err(A::Error::custom(format!("the key {key:?} stands twice")));
            }
            let value = access.next_value_seed(inner)?;
            map.insert(key, value);
        }
        Ok(Json::Object(map))
    }
}

/// Within a typed document, whose text has passed [`Json::parse`] before. Bounds hold for this value alone.
impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let budget = Cell::new(JSON_VALUES);
        Seed { depth: JSON_DEPTH, budget: &budget }.deserialize(deserializer)
    }
}

impl Serialize for Json {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Json::Null => serializer.serialize_unit(),
            Json::Bool(value) => serializer.serialize_bool(*value),
            // Values out of both ranges cannot be parsed, and so never stand in a received text.
            Json::Integer(value) => match (i64::try_from(*value), u64::try_from(*value)) {
                (Ok(value), _) => serializer.serialize_i64(value),
                (_, Ok(value)) => serializer.serialize_u64(value),
                _ => Err(serde::ser::Error::custom("an integer past 64 bits")),
            },
            Json::String(value) => serializer.serialize_str(value),
            Json::Array(values) => serializer.collect_seq(values),
            Json::Object(map) => serializer.collect_map(map),
        }
    }
}

#[cfg(feature = "json-schema")]
impl schemars::JsonSchema for Json {
    fn schema_name() -> alloc::borrow::Cow<'static, str> {
        "AnyValue".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "description": "any JSON value without floats" })
    }
}

#[cfg(test)]
mod tests;
