//! The words of the pages in each language, from the catalogues beside this file. It decides forms (plurals, dates,
//! what stands in for a missing phrase), and never what is true.

mod speech;

pub(crate) use speech::Speech;

use std::collections::HashMap;
use std::sync::LazyLock;

/// The languages, English first: each catalogue is compiled in.
const CATALOGUES: &[(&str, &str)] = &[
    ("en", include_str!("en.toml")),
    ("de", include_str!("de.toml")),
    ("fr", include_str!("fr.toml")),
    ("es", include_str!("es.toml")),
    ("ar", include_str!("ar.toml")),
];

static ALL: LazyLock<Vec<Words>> =
    LazyLock::new(|| CATALOGUES.iter().map(|(code, text)| Words::read(code, text)).collect());

/// One language's words.
#[derive(Debug)]
pub(crate) struct Words {
    /// Its tag (RFC 5646).
    pub(crate) code: &'static str,
    phrases: HashMap<String, String>,
}

/// Every language, English first.
pub(crate) fn all() -> &'static [Words] {
    &ALL
}

/// English, which every page has.
pub(crate) fn english() -> &'static Words {
    &ALL[0]
}

/// The language for a reader: the one that the address names, else the best of those that the browser names
/// (RFC 9110 §12.5.4), else English.
pub(crate) fn chosen(named: Option<&str>, accept: Option<&str>) -> &'static Words {
    let known = |tag: &str| {
        let primary = tag.split('-').next().unwrap_or_default();
        all().iter().find(|words| words.code.eq_ignore_ascii_case(primary))
    };
    named.and_then(known).or_else(|| preferred(accept?, known)).unwrap_or_else(english)
}

/// The known language with the highest weight; the first of several.
fn preferred(accept: &str, known: impl Fn(&str) -> Option<&'static Words>) -> Option<&'static Words> {
    let mut best: Option<(u32, &Words)> = None;
    for item in accept.split(',').take(32) {
        let (tag, weight) = item.split_once(';').unwrap_or((item, ""));
        let weight = weight.trim().strip_prefix("q=").map_or(Some(1000), thousandths).unwrap_or(0);
        if let Some(words) = known(tag.trim()).filter(|_| weight > 0)
            && best.is_none_or(|(most, _)| weight > most)
        {
            best = Some((weight, words));
        }
    }
    best.map(|(_, words)| words)
}

/// `0.8` as 800 (RFC 9110 §12.4.2: at most three decimals).
fn thousandths(text: &str) -> Option<u32> {
    let (whole, rest) = text.split_once('.').unwrap_or((text, ""));
    let rest: String = rest.chars().chain("000".chars()).take(3).collect();
    Some(whole.parse::<u32>().ok()?.min(1) * 1000 + rest.parse::<u32>().ok()?).map(|all| all.min(1000))
}

impl Words {
    fn read(code: &'static str, text: &str) -> Self {
        let mut phrases = HashMap::new();
        // A catalogue that can't be read has no phrases: English stands in, and a test fails.
        flatten("", &text.parse().unwrap_or_default(), &mut phrases);
        Self { code, phrases }
    }

    /// A phrase as it is written in this catalogue.
    pub(crate) fn phrase(&self, key: &str) -> Option<&str> {
        self.phrases.get(key).map(String::as_str)
    }

    /// Whether it is written from right to left.
    pub(crate) fn is_rtl(&self) -> bool {
        self.phrase("language.direction") == Some("rtl")
    }

    /// What its speakers call it.
    pub(crate) fn name(&self) -> &str {
        self.phrase("language.name").unwrap_or(self.code)
    }

    /// The form of a counted thing: CLDR's plural rules for whole numbers.
    fn form(&self, n: u64) -> &'static str {
        match (self.code, n) {
            ("ar", 0) => "zero",
            ("ar", 2) => "two",
            ("ar", _) if (3..=10).contains(&(n % 100)) => "few",
            ("ar", _) if (11..=99).contains(&(n % 100)) => "many",
            ("fr", 0) | (_, 1) => "one",
            _ => "other",
        }
    }
}

fn flatten(prefix: &str, table: &toml::Table, phrases: &mut HashMap<String, String>) {
    for (key, value) in table {
        let path = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
        match value {
            toml::Value::Table(below) => flatten(&path, below, phrases),
            toml::Value::String(text) => drop(phrases.insert(path, text.clone())),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests;
