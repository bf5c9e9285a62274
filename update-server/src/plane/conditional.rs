//! Conditional requests and ranges (RFC 9110 §13 and §14): what a request's fields ask for, given the entry's tag and
//! length. It never fails: a field that can't be read is ignored, as the RFC asks.

use hyper::HeaderMap;
use hyper::header::{IF_MATCH, IF_NONE_MATCH, IF_RANGE, RANGE};

/// What is to be sent of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// Everything.
    Whole,
    /// The bytes from the first to before the second.
    Range(u64, u64),
    /// 416: the range begins behind the end.
    Unsatisfiable,
    /// 304: the client has it.
    NotModified,
    /// 412: the client asked for another version only.
    Failed,
}

/// Evaluates the preconditions in the order of RFC 9110 §13.2.2, then the range. There are no dates: an entity tag
/// says more, and a file's date means nothing for content-addressed data.
pub(crate) fn part(headers: &HeaderMap, etag: &[u8], length: u64, ranges: bool) -> Part {
    // A poll has If-None-Match and neither of the others: look it up first, decide in the RFC's order.
    let none_match = headers.get(IF_NONE_MATCH);
    if headers.contains_key(IF_MATCH) {
        let any = headers.get_all(IF_MATCH).iter().any(|value| lists(value.as_bytes(), etag, false));
        if !any {
            return Part::Failed;
        }
    }
    if let Some(first) = none_match {
        let hit = first.as_bytes() == etag
            || headers.get_all(IF_NONE_MATCH).iter().any(|value| lists(value.as_bytes(), etag, true));
        if hit {
            return Part::NotModified;
        }
    }
    if !ranges {
        return Part::Whole;
    }
    let Some(range) = headers.get(RANGE) else { return Part::Whole };
    if headers.get_all(RANGE).iter().nth(1).is_some() {
        return Part::Whole;
    }
    if headers.get(IF_RANGE).is_some_and(|value| value.as_bytes() != etag) {
        return Part::Whole;
    }
    range.to_str().map_or(Part::Whole, |text| single_range(text, length))
}

/// Reads `bytes=a-b`, `bytes=a-` or `bytes=-n`. Several ranges get the whole body, which §14.2 allows: overlapping
/// ones are an attack, and no device of ours asks for them.
fn single_range(text: &str, length: u64) -> Part {
    let Some((unit, set)) = text.split_once('=') else { return Part::Whole };
    let set = set.trim();
    if !unit.trim().eq_ignore_ascii_case("bytes") || set.contains(',') {
        return Part::Whole;
    }
    let Some((first, last)) = set.split_once('-') else { return Part::Whole };
    match (number(first.trim()), number(last.trim())) {
        (Number::Some(first), Number::Some(last)) if last < first => Part::Whole,
        (Number::Some(first), _) if first >= length => match number(last.trim()) {
            Number::Bad => Part::Whole,
            _ => Part::Unsatisfiable,
        },
        (Number::Some(first), Number::Some(last)) => Part::Range(first, last.saturating_add(1).min(length)),
        (Number::Some(first), Number::None) => Part::Range(first, length),
        (Number::None, Number::Some(0)) => Part::Unsatisfiable,
        (Number::None, Number::Some(_)) if length == 0 => Part::Unsatisfiable,
        (Number::None, Number::Some(last)) => Part::Range(length.saturating_sub(last), length),
        _ => Part::Whole,
    }
}

enum Number {
    Some(u64),
    None,
    Bad,
}

/// Digits only; more than fit mean "beyond any length".
fn number(text: &str) -> Number {
    if text.is_empty() {
        Number::None
    } else if text.bytes().all(|byte| byte.is_ascii_digit()) {
        Number::Some(text.parse().unwrap_or(u64::MAX))
    } else {
        Number::Bad
    }
}

/// True when a list of entity tags holds `etag`, or is `*`. Weak tags match only where `weak` allows them.
fn lists(value: &[u8], etag: &[u8], weak: bool) -> bool {
    let mut rest = value;
    loop {
        rest = rest.trim_ascii_start();
        rest = rest.strip_prefix(b",").unwrap_or(rest).trim_ascii_start();
        if rest.is_empty() {
            return false;
        }
        if rest.starts_with(b"*") {
            return true;
        }
        let strong = !rest.starts_with(b"W/");
        let tag = rest.strip_prefix(b"W/").unwrap_or(rest);
        let Some(end) = tag.strip_prefix(b"\"").and_then(|tag| tag.iter().position(|byte| *byte == b'"'))
        else {
            return false;
        };
        let (tag, after) = tag.split_at(end + 2);
        if tag == etag && (strong || weak) {
            return true;
        }
        rest = after;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::header::{HeaderName, HeaderValue};

    const TAG: &[u8] = b"\"abc\"";

    fn of(fields: &[(HeaderName, &'static str)]) -> Part {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(name.clone(), HeaderValue::from_static(value));
        }
        part(&headers, TAG, 100, true)
    }

    #[test]
    fn ranges_follow_rfc_9110() {
        for (range, expected) in [
            ("bytes=0-0", Part::Range(0, 1)),
            ("bytes=10-19", Part::Range(10, 20)),
            ("bytes=10-", Part::Range(10, 100)),
            ("bytes=10-500", Part::Range(10, 100)),
            ("bytes=10-99999999999999999999999", Part::Range(10, 100)),
            ("bytes=-10", Part::Range(90, 100)),
            ("bytes=-500", Part::Range(0, 100)),
            ("Bytes = 1-2", Part::Range(1, 3)),
            ("bytes=100-", Part::Unsatisfiable),
            ("bytes=100-200", Part::Unsatisfiable),
            ("bytes=99999999999999999999999-", Part::Unsatisfiable),
            ("bytes=-0", Part::Unsatisfiable),
            ("bytes=5-4", Part::Whole),
            ("bytes=0-0,5-6", Part::Whole),
            ("bytes=", Part::Whole),
            ("bytes=-", Part::Whole),
            ("bytes=a-b", Part::Whole),
            ("bytes=100-b", Part::Whole),
            ("bytes=+1-2", Part::Whole),
            ("bytes=1", Part::Whole),
            ("lines=1-2", Part::Whole),
            ("1-2", Part::Whole),
        ] {
            assert_eq!(of(&[(RANGE, range)]), expected, "{range}");
        }
        assert_eq!(of(&[(RANGE, "bytes=0-1"), (RANGE, "bytes=2-3")]), Part::Whole);
    }

    #[test]
    fn a_range_with_if_range_needs_the_same_strong_tag() {
        assert_eq!(of(&[(RANGE, "bytes=1-2"), (IF_RANGE, "\"abc\"")]), Part::Range(1, 3));
        assert_eq!(of(&[(RANGE, "bytes=1-2"), (IF_RANGE, "W/\"abc\"")]), Part::Whole);
        assert_eq!(of(&[(RANGE, "bytes=1-2"), (IF_RANGE, "Wed, 21 Oct 2015 07:28:00 GMT")]), Part::Whole);
    }

    #[test]
    fn preconditions_come_in_the_order_of_the_rfc() {
        for (tags, expected) in [
            ("\"abc\"", Part::NotModified),
            ("W/\"abc\"", Part::NotModified),
            ("\"x\", W/\"y\",\"abc\"", Part::NotModified),
            ("*", Part::NotModified),
            ("\"x\"", Part::Whole),
            ("abc", Part::Whole),
            ("\"abc", Part::Whole),
            ("\"a,b\",\"abc\"", Part::NotModified),
            ("", Part::Whole),
        ] {
            assert_eq!(of(&[(IF_NONE_MATCH, tags)]), expected, "{tags}");
        }
        assert_eq!(of(&[(IF_NONE_MATCH, "\"x\""), (IF_NONE_MATCH, "\"abc\"")]), Part::NotModified);
        assert_eq!(of(&[(IF_NONE_MATCH, "\"abc\""), (RANGE, "bytes=0-0")]), Part::NotModified);
        assert_eq!(of(&[(IF_MATCH, "\"x\""), (IF_NONE_MATCH, "\"abc\"")]), Part::Failed);
        assert_eq!(of(&[(IF_MATCH, "W/\"abc\"")]), Part::Failed);
        assert_eq!(of(&[(IF_MATCH, "\"abc\""), (RANGE, "bytes=0-0")]), Part::Range(0, 1));
    }
}
