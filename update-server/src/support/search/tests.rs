//! Searches as people type them.

use super::super::tests::listed;
use super::*;
use perennial_schemas::support::{Identifier, Maker, Model, Party};
use proptest::prelude::*;

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

/// What a search finds, said plainly: every text of every product is looked at.
mod scan {
    use super::*;

    /// Products with points, best first; whether they only come close.
    pub(super) fn rank(products: &[Arc<Listed>], query: &str) -> (Vec<u32>, bool) {
        let folded = fold(query);
        let asked: Vec<&str> = words(&folded).filter(|word| !COMMON.contains(word)).take(WORDS).collect();
        let whole = close(&folded);
        let mut points: Vec<u32> = products
            .iter()
            .map(|listed| {
                let known = known(listed);
                let of_word = |word: &&str| {
                    let begins = known.iter().filter(|known| known.starts_with(word));
                    begins.map(|known| if known == word { FULL } else { PART }).max().unwrap_or_default()
                };
                let closed = closed_texts(listed);
                let part = whole.len() >= 3 && closed.contains(&whole);
                let exact = whole.len() >= 3 && closed.split('\n').any(|line| line == whole);
                asked.iter().map(of_word).sum::<u32>()
                    + if part { 2 * FULL } else { 0 }
                    + if exact { 100 * FULL } else { 0 }
            })
            .collect();
        let fits = sorted(&points, (asked.len() as u32 * PART).max(1));
        if !fits.is_empty() {
            return (fits, false);
        }
        for word in asked.iter().filter(|word| word.chars().count() >= 4).take(MISSPELT) {
            let most = if word.chars().count() >= 8 { 2 } else { 1 };
            for (points, listed) in points.iter_mut().zip(products) {
                *points += known(listed).iter().filter(|known| distance(word, known) <= most).count() as u32;
            }
        }
        (sorted(&points, 1), true)
    }

    fn known(listed: &Listed) -> std::collections::BTreeSet<String> {
        texts(listed)
            .into_iter()
            .flat_map(|text| words(&fold(text)).map(str::to_owned).collect::<Vec<_>>())
            .collect()
    }

    fn sorted(points: &[u32], least: u32) -> Vec<u32> {
        let mut found: Vec<u32> =
            (0..points.len() as u32).filter(|at| points[*at as usize] >= least).collect();
        found.sort_by_key(|at| (Reverse(points[*at as usize]), *at));
        found
    }

    /// Optimal string alignment, the whole table.
    pub(super) fn distance(a: &str, b: &str) -> usize {
        let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
        let mut table = vec![vec![0; b.len() + 1]; a.len() + 1];
        for i in 0..=a.len() {
            for j in 0..=b.len() {
                table[i][j] = if i == 0 || j == 0 {
                    i + j
                } else {
                    let replaced = table[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
                    replaced.min(table[i - 1][j] + 1).min(table[i][j - 1] + 1)
                };
                if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                    table[i][j] = table[i][j].min(table[i - 2][j - 2] + 1);
                }
            }
        }
        table[a.len()][b.len()]
    }
}

/// Words of few letters, so that many of them begin alike and are spelt alike.
fn word() -> impl Strategy<Value = String> {
    prop_oneof![3 => "[abé]{1,4}", 3 => "[ab]{4,6}", 2 => "[ab]{8,10}", 1 => "[日本]{1,5}", 1 => "[0-2]{3,5}"]
}

fn typed() -> impl Strategy<Value = String> {
    let sign = prop_oneof![Just(" "), Just("-"), Just("")];
    proptest::collection::vec((word(), sign), 1..5)
        .prop_map(|words| words.into_iter().map(|(word, sign)| word + sign).collect())
}

proptest! {
    #[test]
    fn the_index_finds_what_a_look_at_every_product_finds(
        names in proptest::collection::vec((typed(), typed()), 1..40),
        queries in proptest::collection::vec(typed(), 1..5),
    ) {
        let products = names.iter().enumerate().map(|(n, (called, designation))| {
            Arc::new(product(&format!("p-{n:02}"), called, designation, "04006381333931"))
        });
        let products: Vec<Arc<Listed>> = products.collect();
        let index = Index::of(products.iter());
        for query in queries {
            let (expected, similar) = scan::rank(&products, &query);
            let (best, only_similar) = index.rank(&query);
            prop_assert_eq!(best.total, expected.len(), "{}", query);
            prop_assert_eq!(best.first, &expected[..expected.len().min(SHOWN)], "{}", query);
            prop_assert_eq!(only_similar, similar, "{}", query);
        }
    }

    #[test]
    fn the_dictionary_finds_every_word_that_is_spelt_alike(
        known in proptest::collection::btree_set(word(), 1..200),
        word in word(),
        most in 1..=2_u8,
    ) {
        let mut met = Met::default();
        (0..).zip(&known).for_each(|(n, word)| met.add(word, n));
        let dictionary = Dictionary::of(met);
        let mut found = Vec::new();
        let letters: Vec<char> = word.chars().collect();
        dictionary.alike(&letters, most, |places| found.extend_from_slice(places));
        let near = |known: &str| scan::distance(&word, known) <= usize::from(most);
        let expected: Vec<u32> =
            (0..).zip(&known).filter(|(_, known)| near(known)).map(|(at, _)| at).collect();
        prop_assert_eq!(found, expected);
    }
}
