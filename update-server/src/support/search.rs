//! Finding a product by what its owner has before them: its name, the model on its type plate, the number under its bar
//! code, the address or the sentence on its label. It ranks; it never decides what is listed.
//!
//! Built once per generation. A search looks words up by their beginning and the whole of what was typed as a part of a
//! name; only when nothing is found it looks for words that are spelt alike. No search looks at every product's texts.
//!
//! | module | holds |
//! | --- | --- |
//! | `text` | what counts as the same |
//! | `dictionary` | words, by beginning and by likeness |
//! | `parts` | parts of names |
//! | `lists` | how both lie in memory |

mod dictionary;
mod lists;
mod parts;
mod text;

use super::{Catalogue, Listed};
use dictionary::{Dictionary, Met};
use parts::{Has, Parts};
use perennial_schemas::support::Gtin;
use perennial_schemas::support::gtin::NotAGtin;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::sync::Arc;
use text::{close, fold, words};

/// Products that a search shows.
const SHOWN: usize = 20;
/// Characters of a query that are looked at: a label's whole text.
const QUERY: usize = 200;
/// Words of it.
const WORDS: usize = 16;
/// Misspelt words that are looked for.
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
    products: Vec<Arc<Listed>>,
    words: Dictionary,
    /// Of name, designation and numbers.
    parts: Parts,
    gtins: HashMap<Gtin, u32>,
}

impl Index {
    /// Of these products.
    pub(crate) fn of<'a>(products: impl Iterator<Item = &'a Arc<Listed>>) -> Self {
        let mut index = Self::default();
        let (mut met, mut closed) = (Met::default(), Vec::new());
        for listed in products {
            let at = index.products.len() as u32;
            for text in texts(listed) {
                words(&fold(text)).for_each(|word| met.add(word, at));
            }
            closed.push(closed_texts(listed));
            for gtin in listed.record.model.iter().flat_map(|model| model.gtins()) {
                index.gtins.entry(gtin).or_insert(at);
            }
            index.products.push(Arc::clone(listed));
        }
        index.words = Dictionary::of(met);
        index.parts = Parts::of(&closed);
        index
    }

    /// The product whose bar code says this number.
    pub(crate) fn by_gtin(&self, gtin: &Gtin) -> Option<&Arc<Listed>> {
        self.gtins.get(gtin).and_then(|at| self.products.get(*at as usize))
    }

    /// Products with points for a query; whether they only come close.
    fn rank(&self, query: &str) -> (Best, bool) {
        let folded = fold(query);
        let asked: Vec<&str> = words(&folded).filter(|word| !COMMON.contains(word)).take(WORDS).collect();
        let mut points = vec![0_u32; self.products.len()];
        // The last word that a product got points for: several words of it may begin so.
        let mut counted = vec![0_u8; self.products.len()];
        for (number, word) in (1_u8..).zip(&asked) {
            self.look_up(word, &mut points, |at| std::mem::replace(&mut counted[at], number) != number);
        }
        self.parts.with(&close(&folded), |at, has| {
            points[at as usize] += if has == Has::Whole { 102 * FULL } else { 2 * FULL };
        });
        let all = asked.len() as u32 * PART;
        let fits = Best::of(&points, all.max(1));
        if fits.total > 0 {
            return (fits, false);
        }
        for word in asked.iter().filter(|word| word.chars().count() >= 4).take(MISSPELT) {
            self.look_alike(word, &mut points);
        }
        (Best::of(&points, 1), true)
    }

    /// Points for each product with the word, more where the word is whole.
    fn look_up(&self, word: &str, points: &mut [u32], mut first: impl FnMut(usize) -> bool) {
        for (whole, places) in self.words.beginning(word) {
            for at in places.iter().map(|at| *at as usize).filter(|at| first(*at)) {
                points[at] += if whole { FULL } else { PART };
            }
        }
    }

    fn look_alike(&self, word: &str, points: &mut [u32]) {
        let letters: Vec<char> = word.chars().collect();
        let most = if letters.len() >= 8 { 2 } else { 1 };
        self.words.alike(&letters, most, |places| places.iter().for_each(|at| points[*at as usize] += 1));
    }
}

/// Points for a word that begins so, and for the word itself.
const PART: u32 = 2;
const FULL: u32 = 3;

/// The products with the most points.
#[derive(Debug, Default)]
struct Best {
    /// At most [`SHOWN`], best first; of equals the first by name.
    first: Vec<u32>,
    /// How many have enough points.
    total: usize,
}

impl Best {
    fn of(points: &[u32], least: u32) -> Self {
        let mut best: BinaryHeap<(Reverse<u32>, u32)> = BinaryHeap::with_capacity(SHOWN + 1);
        let mut total = 0;
        for (at, points) in (0_u32..).zip(points).filter(|(_, points)| **points >= least) {
            total += 1;
            // Of equals the first stays: it came first.
            if best.len() < SHOWN || best.peek().is_some_and(|(Reverse(worst), _)| points > worst) {
                best.push((Reverse(*points), at));
            }
            if best.len() > SHOWN {
                best.pop();
            }
        }
        Self { first: best.into_sorted_vec().into_iter().map(|(_, at)| at).collect(), total }
    }
}

impl Catalogue {
    /// Searches.
    pub(crate) fn search(&self, query: &str) -> Found {
        let query = query.char_indices().nth(QUERY).map_or(query, |(end, _)| &query[..end]);
        let mut advice = None;
        for number in numbers(query) {
            match number.parse::<Gtin>() {
                Ok(gtin) => match self.index.by_gtin(&gtin) {
                    Some(listed) => {
                        return Found { total: 1, products: vec![Arc::clone(listed)], ..Found::default() };
                    }
                    None => advice = Some(Advice::GtinUnknown(gtin.printed())),
                },
                Err(NotAGtin::CheckDigit { printed, expected }) => {
                    let right = format!("{}{expected}", &printed[..printed.len() - 1]);
                    let near = right.parse().ok().and_then(|gtin| self.index.by_gtin(&gtin)).cloned();
                    advice.get_or_insert(Advice::CheckDigit { printed, expected, near: near.is_some() });
                    if let Some(listed) = near {
                        return Found { total: 1, products: vec![listed], similar: true, advice };
                    }
                }
                Err(NotAGtin::Shape) => {}
            }
        }
        let (best, similar) = self.index.rank(query);
        let products: Vec<_> =
            best.first.iter().filter_map(|at| self.index.products.get(*at as usize).cloned()).collect();
        // Other words fit: a long number among them was something else.
        let advice = advice.filter(|_| products.is_empty() || similar);
        Found { products, total: best.total, similar, advice }
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

/// What a product's words are taken from.
fn texts(listed: &Listed) -> Vec<&str> {
    let record = &listed.record;
    let mut texts = vec![record.product.as_str(), record.display_name()];
    if let Some(model) = &record.model {
        texts.extend([model.designation.as_str(), &model.kind]);
        texts.extend(model.identifiers.iter().map(|identifier| identifier.value.as_str()));
    }
    texts.extend(record.maker.iter().map(|maker| maker.party.name.as_str()));
    texts
}

/// Name, designation and numbers without spaces and signs, one a line.
fn closed_texts(listed: &Listed) -> String {
    let record = &listed.record;
    let mut texts = vec![fold(record.product.as_str()), fold(record.display_name())];
    if let Some(model) = &record.model {
        texts.push(fold(&model.designation));
        texts.extend(model.identifiers.iter().map(|identifier| fold(&identifier.value)));
        texts.extend(model.gtins().map(|gtin| gtin.printed()));
    }
    let mut lines: Vec<String> = texts.iter().map(|text| close(text)).collect();
    lines.sort_unstable();
    lines.dedup();
    lines.join("\n")
}

#[cfg(test)]
mod tests;
