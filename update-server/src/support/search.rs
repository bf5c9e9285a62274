//! Finding a product by what its owner has before them: its name, the model on its type plate, the number under its bar
//! code, the address or the sentence on its label. It ranks; it never decides what is listed.
//!
//! Built once per generation. A search looks words up by their beginning; only when nothing is found it looks for words
//! that are spelt alike.

use super::{Catalogue, Listed};
use perennial_schemas::ProductName;
use perennial_schemas::support::Gtin;
use perennial_schemas::support::gtin::NotAGtin;
use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;
use std::sync::Arc;

/// Products that a search shows.
const SHOWN: usize = 20;
/// Characters of a query that are looked at: a label's whole text.
const QUERY: usize = 200;
/// Words of it.
const WORDS: usize = 16;
/// Misspelt words that are looked for, each among all words.
const MISSPELT: usize = 3;

/// What a label says beside name and number, and what names a date: words that tell no product from another.
const COMMON: &[&str] = &[
    "security",
    "updates",
    "update",
    "support",
    "supported",
    "until",
    "at",
    "least",
    "automatic",
    "automatically",
    "yes",
    "no",
    "this",
    "date",
    "can",
    "get",
    "later",
    "never",
    "earlier",
    "the",
    "a",
    "an",
    "of",
    "for",
    "and",
    "https",
    "http",
    "www",
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
    "model",
    "gtin",
    "ean",
    "made",
    "by",
    "scan",
];

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// The best, first.
    pub(crate) products: Vec<Arc<Listed>>,
    /// How many there are in all.
    pub(crate) total: usize,
    /// True when they are only spelt alike, or fit in part.
    pub(crate) similar: bool,
    /// What to tell whoever searches.
    pub(crate) advice: Option<Advice>,
}

/// What to tell whoever searches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Advice {
    /// A number with a wrong check digit.
    CheckDigit {
        /// The number as it was typed, without spaces.
        printed: String,
        /// What its last digit should be.
        expected: char,
        /// Whether the number with that digit is a listed product's.
        near: bool,
    },
    /// A right number that no product here has.
    GtinUnknown(String),
}

/// The index.
#[derive(Debug, Default)]
pub(crate) struct Index {
    /// The products, in the order of their names.
    names: Vec<ProductName>,
    /// Where each word occurs, in order.
    words: BTreeMap<Box<str>, Vec<u32>>,
    /// Name, designation and numbers without spaces and signs: `t100` finds `T-100`.
    closed: Vec<Box<str>>,
    gtins: HashMap<Gtin, u32>,
}

impl Index {
    /// Of these products.
    pub(crate) fn of<'a>(products: impl Iterator<Item = &'a Arc<Listed>>) -> Self {
        let mut index = Self::default();
        for listed in products {
            index.add(listed);
        }
        index
    }

    /// The product whose bar code says this number.
    pub(crate) fn by_gtin(&self, gtin: &Gtin) -> Option<&ProductName> {
        self.gtins.get(gtin).and_then(|at| self.names.get(*at as usize))
    }

    fn add(&mut self, listed: &Arc<Listed>) {
        let (record, at) = (&listed.record, self.names.len() as u32);
        let mut texts = vec![record.product.as_str(), record.display_name()];
        let mut closed = vec![fold(record.product.as_str()), fold(record.display_name())];
        if let Some(model) = &record.model {
            texts.extend([model.designation.as_str(), &model.kind]);
            closed.push(fold(&model.designation));
            for identifier in &model.identifiers {
                texts.push(&identifier.value);
                closed.push(fold(&identifier.value));
            }
            for gtin in model.gtins() {
                self.gtins.entry(gtin).or_insert(at);
                closed.push(gtin.printed());
            }
        }
        texts.extend(record.maker.iter().map(|maker| maker.party.name.as_str()));
        for text in texts {
            for word in words(&fold(text)) {
                let places = self.words.entry(word.into()).or_default();
                if places.last() != Some(&at) {
                    places.push(at);
                }
            }
        }
        let closed: Vec<String> = closed.iter().map(|text| close(text)).collect();
        self.closed.push(closed.join("\n").into());
        self.names.push(record.product.clone());
    }

    /// Products with points for a query, best first; whether they only come close.
    fn rank(&self, query: &str) -> (Vec<u32>, bool) {
        let folded = fold(query);
        let asked: Vec<&str> = words(&folded).filter(|word| !COMMON.contains(word)).take(WORDS).collect();
        let mut points = vec![0_u32; self.names.len()];
        for word in &asked {
            self.look_up(word, &mut points);
        }
        let whole = close(&folded);
        if whole.len() >= 3 {
            for (at, closed) in self.closed.iter().enumerate() {
                if closed.contains(&whole) {
                    points[at] += 2 * FULL;
                }
                if closed.split('\n').any(|part| part == whole) {
                    points[at] += 100 * FULL;
                }
            }
        }
        let all = asked.len() as u32 * PART;
        let fits = sorted(&points, all.max(1));
        if !fits.is_empty() {
            return (fits, false);
        }
        for word in asked.iter().filter(|word| word.chars().count() >= 4).take(MISSPELT) {
            self.look_alike(word, &mut points);
        }
        (sorted(&points, 1), true)
    }

    /// A point for each product with the word, more where the word is whole.
    fn look_up(&self, word: &str, points: &mut [u32]) {
        let mut here: HashMap<u32, u32> = HashMap::new();
        for (known, places) in self.words.range::<str, _>((Bound::Included(word), Bound::Unbounded)) {
            if !known.starts_with(word) {
                break;
            }
            let worth = if known.len() == word.len() { FULL } else { PART };
            for at in places {
                let best = here.entry(*at).or_default();
                *best = worth.max(*best);
            }
        }
        for (at, worth) in here {
            points[at as usize] += worth;
        }
    }

    fn look_alike(&self, word: &str, points: &mut [u32]) {
        let letters: Vec<char> = word.chars().collect();
        let most = if letters.len() >= 8 { 2 } else { 1 };
        for (known, places) in &self.words {
            if known.len().abs_diff(word.len()) <= 2 * most && differ_at_most(&letters, known, most) {
                places.iter().for_each(|at| points[*at as usize] += 1);
            }
        }
    }
}

/// Points for a word that begins so, and for the word itself.
const PART: u32 = 2;
const FULL: u32 = 3;

fn sorted(points: &[u32], least: u32) -> Vec<u32> {
    let mut found: Vec<u32> =
        (0_u32..).zip(points).filter(|(_, points)| **points >= least).map(|(at, _)| at).collect();
    found.sort_by_key(|at| (u32::MAX - points[*at as usize], *at));
    found
}

impl Catalogue {
    /// Searches.
    pub(crate) fn search(&self, query: &str) -> Found {
        let query = query.char_indices().nth(QUERY).map_or(query, |(end, _)| &query[..end]);
        let named = |name: &ProductName| self.get(name).cloned();
        let mut advice = None;
        for number in numbers(query) {
            match number.parse::<Gtin>() {
                Ok(gtin) => match self.index.by_gtin(&gtin).and_then(named) {
                    Some(listed) => return Found { total: 1, products: vec![listed], ..Found::default() },
                    None => advice = Some(Advice::GtinUnknown(gtin.printed())),
                },
                Err(NotAGtin::CheckDigit { printed, expected }) => {
                    let right = format!("{}{expected}", &printed[..printed.len() - 1]);
                    let near = right.parse().ok().and_then(|gtin| self.index.by_gtin(&gtin)).and_then(named);
                    advice.get_or_insert(Advice::CheckDigit { printed, expected, near: near.is_some() });
                    if let Some(listed) = near {
                        return Found { total: 1, products: vec![listed], similar: true, advice };
                    }
                }
                Err(NotAGtin::Shape) => {}
            }
        }
        let (ranked, similar) = self.index.rank(query);
        let products = ranked.iter().take(SHOWN).filter_map(|at| named(self.index.names.get(*at as usize)?));
        let products: Vec<_> = products.collect();
        // Other words fit: a long number among them was something else.
        let advice = advice.filter(|_| products.is_empty() || similar);
        Found { products, total: ranked.len(), similar, advice }
    }
}

/// Runs of digits that may be numbers under a bar code: with spaces and hyphens among them, as they are printed.
fn numbers(query: &str) -> Vec<String> {
    let signs = |c: char| c.is_whitespace() || matches!(c, '-' | '\u{2010}' | '\u{2011}');
    let mut found = Vec::new();
    for run in query.split(|c: char| !c.is_ascii_digit() && !signs(c)) {
        let whole: String = run.chars().filter(char::is_ascii_digit).collect();
        if matches!(whole.len(), 8 | 12 | 13 | 14) {
            found.push(whole);
        } else {
            // Beside other figures: a year, a price.
            let apart = run.split(signs).filter(|part| matches!(part.len(), 8 | 12 | 13 | 14));
            found.extend(apart.map(str::to_owned));
        }
    }
    found
}

/// Small letters without the marks on them, as far as European languages go.
fn fold(text: &str) -> String {
    let mut folded = String::with_capacity(text.len());
    for letter in text.chars().flat_map(char::to_lowercase) {
        match letter {
            'à'..='å' | 'ā' | 'ă' | 'ą' => folded.push('a'),
            'ç' | 'ć' | 'č' => folded.push('c'),
            'ď' | 'đ' => folded.push('d'),
            'è'..='ë' | 'ē' | 'ė' | 'ę' | 'ě' => folded.push('e'),
            'ì'..='ï' | 'ī' | 'į' | 'ı' => folded.push('i'),
            'ł' => folded.push('l'),
            'ñ' | 'ń' | 'ň' => folded.push('n'),
            'ò'..='ö' | 'ø' | 'ō' | 'ő' => folded.push('o'),
            'ř' => folded.push('r'),
            'ś' | 'š' | 'ş' | 'ș' => folded.push('s'),
            'ť' | 'ţ' | 'ț' => folded.push('t'),
            'ù'..='ü' | 'ū' | 'ů' | 'ű' => folded.push('u'),
            'ý' | 'ÿ' => folded.push('y'),
            'ź' | 'ż' | 'ž' => folded.push('z'),
            'ß' => folded.push_str("ss"),
            'æ' => folded.push_str("ae"),
            'œ' => folded.push_str("oe"),
            // A mark by itself, as some keyboards send it.
            '\u{300}'..='\u{36f}' => {}
            other => folded.push(other),
        }
    }
    folded
}

fn words(folded: &str) -> impl Iterator<Item = &str> {
    folded.split(|letter: char| !letter.is_alphanumeric()).filter(|word| !word.is_empty())
}

fn close(folded: &str) -> String {
    folded.chars().filter(|letter| letter.is_alphanumeric()).collect()
}

/// Whether two words differ by at most so many letters, a swap of two neighbours counting as one (optimal string
/// alignment).
fn differ_at_most(a: &[char], b: &str, most: usize) -> bool {
    let b: Vec<char> = b.chars().collect();
    if a.len().abs_diff(b.len()) > most {
        return false;
    }
    let (mut before, mut last): (Vec<usize>, Vec<usize>) = (Vec::new(), (0..=b.len()).collect());
    for i in 1..=a.len() {
        let mut row = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let same = usize::from(a[i - 1] != b[j - 1]);
            row[j] = (last[j] + 1).min(row[j - 1] + 1).min(last[j - 1] + same);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                row[j] = row[j].min(before[j - 2] + 1);
            }
        }
        if row.iter().all(|distance| *distance > most) {
            return false;
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()] <= most
}

#[cfg(test)]
mod tests;
