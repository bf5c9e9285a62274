//! Searches as people type them.

use super::super::tests::listed;
use super::*;
use perennial_schemas::support::{Identifier, Maker, Model, Party};

fn product(name: &str, called: &str, designation: &str, gtin: &str) -> Listed {
    let mut listed = listed();
    listed.record.product = name.parse().unwrap();
    let party = Party { name: "Lumière & Söhne".into(), address: "1 High Street".into() };
    listed.record.maker = Some(Maker { party, website: None, representatives: vec![] });
    listed.record.model = Some(Model {
        name: called.into(),
        designation: designation.into(),
        kind: "Thermostat".into(),
        identifiers: vec![Identifier { scheme: "gtin14".into(), value: gtin.into() }],
        hardware: vec![],
        automatic_updates: true,
        connects_to: vec![],
    });
    listed
}

fn catalogue() -> Catalogue {
    Catalogue::of([
        product("glow-100", "Glow thermostat", "GL-100", "04006381333931"),
        product("glow-200", "Glow thermostat Plus", "GL-200", "00000096385074"),
        product("camera", "Café camera", "CC 7/B", "00036000291452"),
    ])
}

fn found(query: &str) -> Vec<String> {
    catalogue().search(query).products.iter().map(|listed| listed.record.product.to_string()).collect()
}

#[test]
fn products_are_found_by_whatever_is_printed_on_them() {
    for (query, expected) in [
        ("GL-100", "glow-100"),
        ("gl100", "glow-100"),
        ("gl 100", "glow-100"),
        ("glow thermostat plus", "glow-200"),
        ("cafe", "camera"),
        ("CAFÉ", "camera"),
        ("cc7b", "camera"),
        ("4006381333931", "glow-100"),
        ("4 006381 333931", "glow-100"),
        ("GTIN: 4006381-333931", "glow-100"),
        ("04006381333931", "glow-100"),
        ("9638 5074", "glow-200"),
        ("https://updates.maker.example/01/04006381333931", "glow-100"),
        ("updates.maker.example/support/camera", "camera"),
        (
            "Security updates until at least 30 June 2031 Glow thermostat GL-100 4006381333931 automatic yes",
            "glow-100",
        ),
        ("Security updates until at least 30 June 2031 Café camera", "camera"),
    ] {
        assert_eq!(found(query).first().map(String::as_str), Some(expected), "{query}");
    }
    assert_eq!(found("glow").len(), 2);
    assert_eq!(found("lumiere sohne").len(), 3, "the maker's name");
}

#[test]
fn misspelt_words_come_close() {
    let found = catalogue().search("termostat pluss");
    assert!(found.similar);
    assert_eq!(found.products[0].record.product.as_str(), "glow-200");
    assert!(catalogue().search("refrigerator").products.is_empty());
    assert!(catalogue().search("").products.is_empty());
}

#[test]
fn a_mistyped_number_is_explained() {
    let wrong = catalogue().search("4006381333932");
    let near = Advice::CheckDigit { printed: "4006381333932".into(), expected: '1', near: true };
    assert_eq!((wrong.advice, wrong.products.len()), (Some(near), 1));
    let other = catalogue().search("5901234123457");
    assert_eq!((other.advice, other.products.len()), (Some(Advice::GtinUnknown("5901234123457".into())), 0));
}

#[test]
fn long_and_odd_queries_are_answered() {
    for query in
        ["ä".repeat(5000), "1".repeat(3000), "- - -".into(), "%%%\u{0}\u{202e}".into(), "a ".repeat(2000)]
    {
        catalogue().search(&query);
    }
}
