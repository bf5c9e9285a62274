//! Why somebody changes something: in their words, as the audit keeps them.

use perennial_device_core::report::is_plain;
use utoipa::openapi::{Object, ObjectBuilder, Type};

/// Characters of a reason, at most.
pub const LENGTH: usize = 256;
/// [`is_reason`] as a regular expression, but for the length.
const PATTERN: &str = "^[^\\x00-\\x1f\\x7f-\\x9f\\u061c\\u200b-\\u200f\\u2028-\\u202e\\u2060-\\u206f\\ufeff]*[^\\s\\x00-\\x1f\\x7f-\\x9f\\u061c\\u200b-\\u200f\\u2028-\\u202e\\u2060-\\u206f\\ufeff][^\\x00-\\x1f\\x7f-\\x9f\\u061c\\u200b-\\u200f\\u2028-\\u202e\\u2060-\\u206f\\ufeff]*$";

/// Whether a text is a reason: it says something, in one line, and hides nothing.
pub fn is_reason(text: &str) -> bool {
    !text.trim().is_empty() && text.chars().count() <= LENGTH && is_plain(text)
}

/// What the admin API's description says of a reason.
pub(crate) fn schema() -> Object {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .min_length(Some(1))
        .max_length(Some(LENGTH))
        .pattern(Some(PATTERN))
        .description(Some(
            "In words, in one line: the audit keeps them, and a rollout's public status says them.",
        ))
        .build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_says_something_in_one_line_that_hides_nothing() {
        for good in ["verloren – gestohlen?", " a board was swapped ", &"x".repeat(LENGTH)] {
            assert!(is_reason(good), "{good}");
        }
        for bad in
            ["", "   ", "\u{a0}\u{2003}", "\u{202e}", "a\u{2028}b", "one\ntwo", &"x".repeat(LENGTH + 1)]
        {
            assert!(!is_reason(bad), "{bad:?}");
        }
    }
}
