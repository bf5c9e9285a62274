//! Names, designations and numbers closed up, and where any part of them occurs: `t100` is found in `T-100`. Three bytes in
//! sequence are looked up; what else is asked for is compared only where the rarest three of it occur.

use super::lists::{Lists, Texts};

/// Bytes that are looked up together; a shorter part is in too many names to tell anything.
const GRAM: usize = 3;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Parts {
    /// The closed texts of each product, one a line.
    texts: Texts,
    /// Each three bytes that occur in a line, in order.
    grams: Vec<[u8; GRAM]>,
    /// The products in which they do.
    places: Lists,
}

/// How much of a product's texts is what was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Has {
    /// A part of one.
    Part,
    /// A whole one.
    Whole,
}

impl Parts {
    /// Of each product's closed texts, in the order of the products.
    pub(super) fn of(products: &[String]) -> Self {
        let mut parts = Self::default();
        let (mut occurrences, mut own) = (Vec::new(), Vec::new());
        for lines in products {
            own.extend(lines.split('\n').flat_map(|line| line.as_bytes().array_windows::<GRAM>()).copied());
            // Most of a product's lines say nearly the same.
            own.sort_unstable();
            own.dedup();
            occurrences.extend(own.drain(..).map(|gram| (gram, parts.texts.len() as u32)));
            parts.texts.push(lines);
        }
        occurrences.sort_unstable();
        for (gram, at) in occurrences {
            if parts.grams.last() != Some(&gram) {
                parts.grams.push(gram);
                parts.places.begin();
            }
            parts.places.add(at);
        }
        parts
    }

    /// Calls `found` with each product that has `part` in a line, in their order; never for fewer than three bytes.
    pub(super) fn with(&self, part: &str, mut found: impl FnMut(u32, Has)) {
        let mut fewest: Option<&[u32]> = None;
        for gram in part.as_bytes().array_windows::<GRAM>() {
            let Ok(known) = self.grams.binary_search(gram) else { return };
            let places = self.places.get(known);
            if fewest.is_none_or(|fewest| places.len() < fewest.len()) {
                fewest = Some(places);
            }
        }
        for at in fewest.unwrap_or_default() {
            let lines = self.texts.get(*at as usize);
            if lines.contains(part) {
                let whole = lines.split('\n').any(|line| line == part);
                found(*at, if whole { Has::Whole } else { Has::Part });
            }
        }
    }
}
