//! OLPC canonical JSON, the form that TUF signatures cover (TUF 4.2.1).
//!
//! Keys sorted by code point, no white space, integers in decimal; in strings only `"` and `\` are escaped, so a
//! control character stands as itself. Not RFC 8785. Strings are taken as they are: no Unicode normalisation, as in
//! python-tuf.

use alloc::string::ToString;
use alloc::vec::Vec;

use crate::json::Json;

/// The canonical form of `value`.
pub fn to_canonical(value: &Json) -> Vec<u8> {
    let mut out = Vec::new();
    write(value, &mut out);
    out
}

fn write(value: &Json, out: &mut Vec<u8>) {
    match value {
        Json::Null => out.extend_from_slice(b"null"),
        Json::Bool(true) => out.extend_from_slice(b"true"),
        Json::Bool(false) => out.extend_from_slice(b"false"),
        Json::Integer(number) => out.extend_from_slice(number.to_string().as_bytes()),
        Json::String(text) => write_string(text, out),
        Json::Array(values) => {
            out.push(b'[');
            for (i, value) in values.iter().enumerate() {
                separate(i, out);
                write(value, out);
            }
            out.push(b']');
        }
        Json::Object(map) => {
            out.push(b'{');
            for (i, (key, value)) in map.iter().enumerate() {
                separate(i, out);
                write_string(key, out);
                out.push(b':');
                write(value, out);
            }
            out.push(b'}');
        }
    }
}

fn separate(i: usize, out: &mut Vec<u8>) {
    if i > 0 {
        out.push(b',');
    }
}

fn write_string(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    for byte in text.bytes() {
        if matches!(byte, b'"' | b'\\') {
            out.push(b'\\');
        }
        out.push(byte);
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeMap;
    use alloc::string::String;
    use proptest::prelude::*;

    /// Text that Unicode normalisation leaves alone: `olpc-cjson` normalises, python-tuf and we do not.
    fn text() -> impl Strategy<Value = String> {
        "[ -~\n\t\u{1}\u{7f}ßπ語😀]{0,12}"
    }

    /// `olpc-cjson` sorts keys with their closing quote and escapes, so that `a b` comes before `a`; python-tuf and we
    /// sort the plain text. Keys without characters up to `"` and without `\\` sort the same either way.
    fn key() -> impl Strategy<Value = String> {
        "[#-\\[\\]-~ßπ語😀]{0,12}"
    }

    fn any_json() -> impl Strategy<Value = Json> {
        let leaf = prop_oneof![
            Just(Json::Null),
            any::<bool>().prop_map(Json::Bool),
            any::<i64>().prop_map(|n| Json::Integer(n.into())),
            any::<u64>().prop_map(|n| Json::Integer(n.into())),
            text().prop_map(Json::String),
        ];
        leaf.prop_recursive(5, 64, 8, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..8).prop_map(Json::Array),
                prop::collection::btree_map(key(), inner, 0..8).prop_map(Json::Object),
            ]
        })
    }

    proptest! {
        #[test]
        fn agrees_with_olpc_cjson(value in any_json()) {
            let mut theirs = Vec::new();
            let mut serializer =
                serde_json::Serializer::with_formatter(&mut theirs, olpc_cjson::CanonicalFormatter::new());
            serde::Serialize::serialize(&value, &mut serializer).unwrap();
            prop_assert_eq!(to_canonical(&value), theirs);
        }

        #[test]
        fn white_space_and_order_do_not_matter(value in any_json()) {
            let pretty = serde_json::to_vec_pretty(&value).unwrap();
            prop_assert_eq!(to_canonical(&Json::parse(&pretty).unwrap()), to_canonical(&value));
        }
    }

    #[test]
    fn only_quote_and_backslash_are_escaped() {
        let text = Json::String("\"\\\n\u{1f}/é".into());
        assert_eq!(to_canonical(&text), "\"\\\"\\\\\n\u{1f}/é\"".as_bytes());
    }

    #[test]
    fn keys_are_sorted_by_code_point() {
        let keys = ["b", "a", "Z", "\u{ffff}", "\u{10000}"];
        let map: BTreeMap<_, _> = keys.iter().map(|k| (String::from(*k), Json::Null)).collect();
        let expected = "{\"Z\":null,\"a\":null,\"b\":null,\"\u{ffff}\":null,\"\u{10000}\":null}";
        assert_eq!(to_canonical(&Json::Object(map)), expected.as_bytes());
    }
}
