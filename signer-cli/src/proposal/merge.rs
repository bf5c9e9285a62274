//! Three-way merge of what is signed: what a proposal changed since its base, applied to what is published now.
//!
//! Objects are merged member by member, lists of names as sets, lists of named objects by name. Where both sides changed
//! the same value to different ones there is no answer, and the place is named.

use std::collections::{BTreeMap, BTreeSet};

use perennial_schemas::Json;

/// Both sides changed the value at this place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Conflict(pub(super) String);

/// `theirs` with what `ours` changed since `base`. `None` stands for an absent value.
pub(super) fn merge(
    place: &str,
    base: Option<&Json>,
    theirs: Option<&Json>,
    ours: Option<&Json>,
) -> Result<Option<Json>, Conflict> {
    if ours == base || ours == theirs {
        return Ok(theirs.cloned());
    }
    if theirs == base {
        return Ok(ours.cloned());
    }
    match (theirs, ours) {
        (Some(Json::Object(theirs)), Some(Json::Object(ours))) => {
            let none = BTreeMap::new();
            let base = if let Some(Json::Object(base)) = base { base } else { &none };
            Ok(Some(Json::Object(members(place, base, theirs, ours)?)))
        }
        (Some(Json::Array(theirs)), Some(Json::Array(ours))) => {
            let base: &[Json] = if let Some(Json::Array(base)) = base { base } else { &[] };
            list(place, base, theirs, ours).map(Some)
        }
        _ => Err(Conflict(place.into())),
    }
}

type Members = BTreeMap<String, Json>;

fn members(place: &str, base: &Members, theirs: &Members, ours: &Members) -> Result<Members, Conflict> {
    let mut merged = BTreeMap::new();
    let keys: BTreeSet<&String> = theirs.keys().chain(ours.keys()).collect();
    for key in keys {
        let inner = if place.is_empty() { key.clone() } else { format!("{place} → {key}") };
        if let Some(value) = merge(&inner, base.get(key), theirs.get(key), ours.get(key))? {
            merged.insert(key.clone(), value);
        }
    }
    Ok(merged)
}

fn list(place: &str, base: &[Json], theirs: &[Json], ours: &[Json]) -> Result<Json, Conflict> {
    let all = || base.iter().chain(theirs).chain(ours);
    if all().all(|value| value.as_str().is_some()) {
        let kept = theirs.iter().filter(|value| ours.contains(value) || !base.contains(value));
        let added = ours.iter().filter(|value| !theirs.contains(value) && !base.contains(value));
        return Ok(Json::Array(kept.chain(added).cloned().collect()));
    }
    let name = |value: &Json| value.get("name").and_then(Json::as_str).map(str::to_owned);
    if !all().all(|value| name(value).is_some()) {
        return Err(Conflict(place.into()));
    }
    let named =
        |list: &[Json]| -> Members { list.iter().filter_map(|v| Some((name(v)?, v.clone()))).collect() };
    let mut merged = members(place, &named(base), &named(theirs), &named(ours))?;
    let order = theirs.iter().chain(ours).filter_map(name);
    Ok(Json::Array(order.filter_map(|name| merged.remove(&name)).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn merged(base: &str, theirs: &str, ours: &str) -> Result<String, Conflict> {
        let json = |text: &str| Json::parse(text.as_bytes()).unwrap();
        let merged = merge("", Some(&json(base)), Some(&json(theirs)), Some(&json(ours)))?.unwrap();
        Ok(String::from_utf8(perennial_schemas::canonical::to_canonical(&merged)).unwrap())
    }

    #[test]
    fn changes_of_different_members_meet() {
        let result = merged(r#"{"a":1,"b":1,"c":1}"#, r#"{"a":2,"b":1,"c":1,"d":1}"#, r#"{"a":1,"b":2}"#);
        assert_eq!(result.unwrap(), r#"{"a":2,"b":2,"d":1}"#);
    }

    #[test]
    fn names_are_a_set_and_named_objects_keep_their_order() {
        assert_eq!(merged(r#"["a","b"]"#, r#"["a","b","c"]"#, r#"["b","d"]"#).unwrap(), r#"["b","c","d"]"#);
        let result = merged(
            r#"[{"name":"z","k":1}]"#,
            r#"[{"name":"z","k":1},{"name":"b","k":1}]"#,
            r#"[{"name":"z","k":2},{"name":"a","k":1}]"#,
        );
        assert_eq!(result.unwrap(), r#"[{"k":2,"name":"z"},{"k":1,"name":"b"},{"k":1,"name":"a"}]"#);
    }

    #[test]
    fn two_answers_for_one_place_are_a_conflict() {
        let conflict = merged(r#"{"t":{"a":1}}"#, r#"{"t":{"a":2}}"#, r#"{"t":{"a":3}}"#).unwrap_err();
        assert_eq!(conflict, Conflict("t → a".into()));
        assert!(merged(r#"{"t":{"a":1}}"#, r#"{"t":{}}"#, r#"{"t":{"a":3}}"#).is_err());
        assert!(merged("[1]", "[1,2]", "[1,3]").is_err());
    }
}
