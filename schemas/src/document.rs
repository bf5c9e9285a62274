//! What every JSON document has in common: strict text, a length limit, a format name, `requires`.

use alloc::format;
use alloc::string::{String, ToString};

use serde::de::DeserializeOwned;

use crate::json::{Json, JsonError};
use crate::limits::REQUIRES;

/// Why a document can't be taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FormatError {
    /// Longer than the format allows.
    #[error("{what} is longer than its limit of {limit} bytes")]
    TooLong {
        /// What was read.
        what: &'static str,
        /// The limit in bytes.
        limit: u64,
    },
    /// Not JSON, or JSON that readers could understand in two ways.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// JSON of another shape.
    #[error("not a {what}: {why}")]
    Shape {
        /// What was read.
        what: &'static str,
        /// What does not fit, and where.
        why: String,
    },
    /// Made for a newer reader.
    #[error("this {what} requires {feature:?}, which this version does not know: update this program first")]
    Requires {
        /// What was read.
        what: &'static str,
        /// The feature that is not known here.
        feature: String,
    },
}

impl FormatError {
    /// A [`FormatError::Shape`].
    pub fn shape(what: &'static str, why: impl Into<String>) -> Self {
        Self::Shape { what, why: abridged(why.into()) }
    }
}

/// Messages quote what was received, which may be long and comes from anybody: the beginning and the end of it are
/// enough for people, and whoever keeps a message keeps no more than this.
const MESSAGE_LENGTH: usize = 400;
/// Of which this much is its end, where parsers say the line and column.
const MESSAGE_END: usize = 80;

/// `text`, without its middle where it is longer than [`MESSAGE_LENGTH`].
pub(crate) fn abridged(text: String) -> String {
    if text.len() <= MESSAGE_LENGTH {
        return text;
    }
    let begin = text.floor_char_boundary(MESSAGE_LENGTH - MESSAGE_END);
    let end = text.ceil_char_boundary(text.len() - MESSAGE_END);
    format!("{} … {}", &text[..begin], &text[end..])
}

/// A JSON document of ours: release manifest, channel, support record, …
pub trait Document: DeserializeOwned {
    /// The value of its member `format`: name, slash, version.
    const FORMAT: &'static str;
    /// What people call it, for messages.
    const WHAT: &'static str;
    /// Limit of its text in bytes.
    const MAX_LENGTH: u64;
    /// Features that it may require of its reader. A reader that does not know one refuses the document, so that an old
    /// agent never ignores what matters.
    const KNOWN: &'static [&'static str] = &[];

    /// Its member `requires`.
    fn requires(&self) -> &[String];

    /// Checks what the types do not say.
    ///
    /// # Errors
    /// [`FormatError::Shape`] with the place and the rule.
    fn validate(&self) -> Result<(), FormatError>;

    /// Reads and checks a document.
    ///
    /// # Errors
    /// [`FormatError`]: too long, not strict JSON, another format or version, a requirement unknown here, or a rule of
    /// [`Document::validate`].
    fn parse(text: &[u8]) -> Result<Self, FormatError> {
        if text.len() as u64 > Self::MAX_LENGTH {
            return Err(FormatError::TooLong { what: Self::WHAT, limit: Self::MAX_LENGTH });
        }
        check_head::<Self>(&Json::head(text)?)?;
        let document: Self =
            serde_json::from_slice(text).map_err(|e| FormatError::shape(Self::WHAT, e.to_string()))?;
        document.validate()?;
        Ok(document)
    }
}

/// Checks `format` and `requires`.
pub(crate) fn check_head<T: Document>(json: &Json) -> Result<(), FormatError> {
    check_format::<T>(json)?;
    check_requires::<T>(json)
}

fn check_format<T: Document>(json: &Json) -> Result<(), FormatError> {
    match json.get("format").and_then(Json::as_str) {
        Some(format) if format == T::FORMAT => Ok(()),
        Some(other) => {
            Err(FormatError::shape(T::WHAT, format!("its format is {other:?}, expected {:?}", T::FORMAT)))
        }
        None => Err(FormatError::shape(T::WHAT, format!("\"format\": {:?} is missing", T::FORMAT))),
    }
}

/// Before the typed reading: what a newer document requires may also be what makes its shape unreadable.
fn check_requires<T: Document>(json: &Json) -> Result<(), FormatError> {
    let Some(Json::Array(list)) = json.get("requires") else {
        return Err(FormatError::shape(T::WHAT, "\"requires\" is missing or no list"));
    };
    if list.len() > REQUIRES {
        return Err(FormatError::shape(T::WHAT, format!("more than {REQUIRES} entries in \"requires\"")));
    }
    for entry in list {
        let feature = entry.as_str().unwrap_or("(not a text)");
        if !T::KNOWN.contains(&feature) {
            return Err(FormatError::Requires { what: T::WHAT, feature: abridged(feature.into()) });
        }
    }
    Ok(())
}

/// A check inside `validate`: `Ok` where `holds`, otherwise a [`FormatError::Shape`].
pub(crate) fn ensure(
    holds: bool,
    what: &'static str,
    why: impl FnOnce() -> String,
) -> Result<(), FormatError> {
    if holds { Ok(()) } else { Err(FormatError::shape(what, why())) }
}

/// The same for what is odd among several: `Ok` where nothing is.
pub(crate) fn ensure_none<T>(
    odd: Option<T>,
    what: &'static str,
    why: impl FnOnce(T) -> String,
) -> Result<(), FormatError> {
    odd.map_or(Ok(()), |odd| Err(FormatError::shape(what, why(odd))))
}
