//! Strict JSON: what is signed must mean one thing only.
//!
//! Refuses what readers disagree about: duplicate keys, floats, numbers past 64 bits, invalid UTF-8, bytes after the
//! value; and what is only there to hurt: deep nesting, huge trees.

use alloc::borrow::Cow;
use alloc::collections::{BTreeMap, BTreeSet};
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
        Self::read(text, Kept::All)
    }

    /// Reads one value as strictly as [`Json::parse`] does, and keeps of it only what every document has: an object's own
    /// members `format` and `requires`. It costs no memory for the rest.
    ///
    /// # Errors
    /// As [`Json::parse`].
    pub(crate) fn head(text: &[u8]) -> Result<Self, JsonError> {
        Self::read(text, Kept::Head)
    }

    fn read(text: &[u8], kept: Kept) -> Result<Self, JsonError> {
        let budget = Cell::new(JSON_VALUES);
        let mut deserializer = serde_json::Deserializer::from_slice(text);
        let seed = Seed { depth: JSON_DEPTH, budget: &budget, kept };
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

/// What of a value is kept; the rest is read and checked all the same, and is [`Json::Null`].
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kept {
    All,
    /// Two members of an object, see [`Json::head`].
    Head,
    Nothing,
}

#[derive(Clone, Copy)]
struct Seed<'b> {
    depth: usize,
    budget: &'b Cell<usize>,
    kept: Kept,
}

impl<'b> Seed<'b> {
    fn inner<E: serde::de::Error>(self) -> Result<Seed<'b>, E> {
        let depth = self.depth.checked_sub(1);
        let depth = depth.ok_or_else(|| E::custom(format!("nested deeper than {JSON_DEPTH}")))?;
        // A list has no head.
        let kept = if self.kept == Kept::All { Kept::All } else { Kept::Nothing };
        Ok(Seed { depth, kept, ..self })
    }

    /// For a member of an object, as which this one is.
    fn member(self, inner: Self, key: &str) -> Self {
        let kept = if self.kept == Kept::Head && matches!(key, "format" | "requires") {
            Kept::All
        } else {
            inner.kept
        };
        Self { kept, ..inner }
    }

    fn keep(self, value: impl FnOnce() -> Json) -> Json {
        if self.kept == Kept::All { value() } else { Json::Null }
    }
}

/// A key, borrowed from the text where it stands there as it is.
struct Key<'de>(Cow<'de, str>);

impl<'de> Deserialize<'de> for Key<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl<'de> Visitor<'de> for Text {
            type Value = Key<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a key")
            }
            fn visit_borrowed_str<E>(self, key: &'de str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Borrowed(key)))
            }
            fn visit_str<E>(self, key: &str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Owned(key.into())))
            }
        }
        deserializer.deserialize_str(Text)
    }
}

/// The keys of what is not kept in an object: the first few are looked through, the others sorted.
#[derive(Default)]
struct Keys<'de> {
    few: Vec<Cow<'de, str>>,
    many: BTreeSet<Cow<'de, str>>,
}

impl<'de> Keys<'de> {
    const FEW: usize = 16;

    fn contains(&self, key: &str) -> bool {
        self.many.contains(key) || self.few.iter().any(|known| known == key)
    }

    fn insert(&mut self, key: Cow<'de, str>) {
        if self.few.len() < Self::FEW {
            self.few.push(key);
        } else {
            self.many.insert(key);
        }
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
        Ok(self.keep(|| Json::String(value.into())))
    }

    fn visit_string<E>(self, value: String) -> Result<Json, E> {
        Ok(self.keep(|| Json::String(value)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Json, A::Error> {
        let inner = self.inner()?;
        let mut values = Vec::new();
        while let Some(value) = access.next_element_seed(inner)? {
            if inner.kept == Kept::All {
                values.push(value);
            }
        }
        Ok(self.keep(|| Json::Array(values)))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Json, A::Error> {
        let inner = self.inner()?;
        let mut map = BTreeMap::new();
        let mut keys = Keys::default();
        while let Some(Key(key)) = access.next_key::<Key<'de>>()? {
            let seed = self.member(inner, &key);
            let twice = |key: &str| A::Error::custom(format!("the key {key:?} stands twice"));
            if seed.kept == Kept::All {
                if map.contains_key(&*key) {
                    return Err(twice(&key));
                }
                map.insert(key.into_owned(), access.next_value_seed(seed)?);
            } else {
                if keys.contains(&key) {
                    return Err(twice(&key));
                }
                keys.insert(key);
                access.next_value_seed(seed)?;
            }
        }
        Ok(if self.kept == Kept::Nothing { Json::Null } else { Json::Object(map) })
    }
}

/// Within a typed document, whose text has passed [`Json::parse`] before. Bounds hold for this value alone.
impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let budget = Cell::new(JSON_VALUES);
        Seed { depth: JSON_DEPTH, budget: &budget, kept: Kept::All }.deserialize(deserializer)
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
