use super::*;
use alloc::vec;
use alloc::vec::Vec;

fn error(text: &str) -> String {
    let error = Json::parse(text.as_bytes()).unwrap_err();
    assert_eq!(Json::head(text.as_bytes()), Err(error.clone()), "{text}");
    error.to_string()
}

#[test]
fn plain_values_are_read() {
    let value = Json::parse(br#" {"a":[1,-2,true,null,"x\u00e9"],"b":{}} "#).unwrap();
    let list =
        vec![Json::Integer(1), Json::Integer(-2), Json::Bool(true), Json::Null, Json::String("xé".into())];
    assert_eq!(value.get("a"), Some(&Json::Array(list)));
    assert_eq!(value.get("b"), Some(&Json::Object(BTreeMap::new())));
}

#[test]
fn both_ends_of_64_bits_are_read_and_written() {
    for text in ["-9223372036854775808", "18446744073709551615"] {
        let value = Json::parse(text.as_bytes()).unwrap();
        assert_eq!(serde_json::to_string(&value).unwrap(), text);
    }
}

#[test]
fn duplicate_keys_are_refused_at_any_depth_and_spelling() {
    assert!(error(r#"{"a":1,"a":1}"#).contains("stands twice"));
    assert!(error(r#"[{"x":{"a":1,"\u0061":2}}]"#).contains("stands twice"));
}

#[test]
fn floats_and_huge_numbers_are_refused() {
    for text in ["1.0", "1e3", "-0.0", "18446744073709551616", "-9223372036854775809"] {
        assert!(error(text).contains("float"), "{text}");
    }
}

#[test]
fn depth_and_number_of_values_are_bounded() {
    let deep = |n: usize| [vec![b'['; n], vec![b']'; n]].concat();
    assert!(Json::parse(&deep(JSON_DEPTH)).is_ok());
    let message = Json::parse(&deep(JSON_DEPTH + 1)).unwrap_err().to_string();
    assert!(message.contains("nested deeper than 24"), "{message}");
    assert!(Json::parse(&deep(1_000_000)).is_err());
    let wide = alloc::format!("[{}1]", "1,".repeat(JSON_VALUES));
    assert!(error(&wide).contains("more than 262144 values"));
}

#[test]
fn malformed_text_is_refused() {
    for text in [&b"{"[..], b"", b"nul", b"{} {}", b"\"\xff\"", b"[1,]", b"{\"a\" 1}"] {
        assert!(Json::parse(text).is_err(), "{text:?}");
        assert_eq!(Json::head(text).unwrap_err(), Json::parse(text).unwrap_err());
    }
}

#[test]
fn a_head_is_read_as_strictly_and_keeps_two_members() {
    let text = r#"{"format":"a/1","requires":["x",{"requires":[]}],"more":{"format":[1],"n":[null,"y"]}}"#;
    let whole = Json::parse(text.as_bytes()).unwrap();
    let head = Json::head(text.as_bytes()).unwrap();
    assert_eq!((head.get("format"), head.get("requires")), (whole.get("format"), whole.get("requires")));
    assert_eq!(head.get("more"), None);
    for (member, spelt) in
        [("format", "f\\u006frmat"), ("requires", "requir\\u0065s"), ("more", "mor\\u0065")]
    {
        assert!(
            error(&text.replacen('{', &format!("{{\"{spelt}\":0,"), 1)).contains("stands twice"),
            "{member}"
        );
    }
    // More keys than are looked through one by one.
    let keys = |last: usize| (0..=last).map(|n| format!("\"k{n}\":{{}}")).collect::<Vec<_>>().join(",");
    for last in [3, 14, 15, 16, 17, 40] {
        let all = keys(last);
        assert!(Json::head(format!("{{\"a\":{{{all}}}}}").as_bytes()).is_ok());
        for again in [0, last / 2, last] {
            assert!(error(&format!("{{\"a\":{{{all},\"k{again}\":1}}}}")).contains("stands twice"));
        }
    }
}

#[test]
fn what_an_error_quotes_is_cut() {
    let key = "é".repeat(100_000);
    let error = Json::parse(format!("{{\"{key}\":1,\"{key}\":2}}").as_bytes()).unwrap_err().to_string();
    assert!(error.len() < 600, "{}", error.len());
    assert!(error.contains(" … ") && error.contains("line 1 column"), "{error}");
}
