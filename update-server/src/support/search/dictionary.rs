//! Every word of every product, in order, with the products that have it. Words are found by their beginning, or by being
//! spelt alike, without looking at all of them.

use super::lists::{Lists, Texts};
use std::ops::Range;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Dictionary {
    words: Texts,
    /// The products with each word, in their order.
    places: Lists,
}

/// Words as they are met, with the numbers of the products that have them: all letters in one text, since a product has a
/// dozen of them.
#[derive(Debug, Default)]
pub(super) struct Met {
    letters: String,
    words: Vec<(Range<u32>, u32)>,
}

impl Met {
    pub(super) fn add(&mut self, word: &str, product: u32) {
        let start = self.letters.len() as u32;
        self.letters.push_str(word);
        self.words.push((start..self.letters.len() as u32, product));
    }
}

impl Dictionary {
    /// Of all words that were met.
    pub(super) fn of(Met { letters, mut words }: Met) -> Self {
        let word =
            |span: &Range<u32>| letters.get(span.start as usize..span.end as usize).unwrap_or_default();
        words.sort_unstable_by(|(a, i), (b, j)| (word(a), i).cmp(&(word(b), j)));
        words.dedup_by(|(a, i), (b, j)| i == j && word(a) == word(b));
        let mut dictionary = Self::default();
        let mut last = None;
        for (span, product) in &words {
            let word = word(span);
            if last.replace(word) != Some(word) {
                dictionary.words.push(word);
                dictionary.places.begin();
            }
            dictionary.places.add(*product);
        }
        dictionary
    }

    /// The products of each word that begins so, with whether it is the whole word: that one comes first.
    pub(super) fn beginning(&self, with: &str) -> impl Iterator<Item = (bool, &[u32])> {
        let start = self.words.first_from(0, |known| known < with);
        let end = self.words.first_from(start, |known| known.starts_with(with));
        (start..end).map(move |at| (self.words.get(at).len() == with.len(), self.places.get(at)))
    }

    /// Calls `found` with the products of each word that differs from `word` by at most `most` letters (at most
    /// [`Nearness::MOST`]), a swap of two neighbours counting as one.
    ///
    /// It walks through the words in their order as through a tree: what words have in common at their beginning is
    /// compared once, and where that is already too different all words with that beginning are passed over.
    pub(super) fn alike(&self, word: &[char], most: u8, mut found: impl FnMut(&[u32])) {
        let mut near = Nearness::to(word, most);
        let mut at = 0;
        while at < self.words.len() {
            let known = self.words.get(at);
            match near.follow(known) {
                Walk::Hopeless(beginning) => {
                    let beginning = &known[beginning];
                    at = self.words.first_from(at + 1, |other| other.starts_with(beginning));
                }
                Walk::Differs => at += 1,
                Walk::Alike => {
                    found(self.places.get(at));
                    at += 1;
                }
            }
        }
    }
}

/// Where following a word led.
enum Walk {
    /// This beginning of it is too different already, whatever follows.
    Hopeless(Range<usize>),
    Differs,
    Alike,
}

/// Distances of beginnings of words from beginnings of the word that was asked for: optimal string alignment, as far as it
/// can stay within the limit, which is a band around the diagonal. Row `i`, place `t` is the distance between `i` letters of
/// the one and `i + t - most` letters of the other.
struct Nearness<'a> {
    word: &'a [char],
    most: u8,
    /// Letters of the word that was followed last, each with the row after it.
    path: Vec<(char, Row)>,
}

type Row = [u8; 2 * Nearness::MOST as usize + 1];

impl<'a> Nearness<'a> {
    /// What the band has room for.
    const MOST: u8 = 2;
    const FAR: u8 = u8::MAX / 2;

    fn to(word: &'a [char], most: u8) -> Self {
        Self { word, most: most.min(Self::MOST), path: Vec::new() }
    }

    /// Goes on from what `known` has in common with the word before it.
    fn follow(&mut self, known: &str) -> Walk {
        let shared = self.path.iter().zip(known.chars()).take_while(|((a, _), b)| a == b).count();
        self.path.truncate(shared);
        for (at, letter) in known.char_indices().skip(shared) {
            let row = self.row_after(letter);
            self.path.push((letter, row));
            if row.iter().all(|distance| *distance > self.most) {
                return Walk::Hopeless(0..at + letter.len_utf8());
            }
        }
        let end = (self.word.len() + usize::from(self.most)).checked_sub(self.path.len());
        let last = end.and_then(|end| self.row(self.path.len()).get(end).copied());
        if last.is_some_and(|distance| distance <= self.most) { Walk::Alike } else { Walk::Differs }
    }

    /// The row after so many letters.
    fn row(&self, letters: usize) -> Row {
        match letters.checked_sub(1) {
            Some(at) => self.path[at].1,
            None => std::array::from_fn(|t| match t.checked_sub(usize::from(self.most)) {
                Some(ahead) if ahead <= self.word.len().min(usize::from(self.most)) => ahead as u8,
                _ => Self::FAR,
            }),
        }
    }

    fn row_after(&self, letter: char) -> Row {
        let (i, most) = (self.path.len() + 1, usize::from(self.most));
        let last = self.row(i - 1);
        let before = self.path.last().map(|(other, _)| (*other, self.row(i - 2)));
        let mut row = [Self::FAR; 2 * Self::MOST as usize + 1];
        for t in 0..=2 * most {
            let Some(j) = (i + t).checked_sub(most).filter(|j| *j <= self.word.len()) else { continue };
            let left = t.checked_sub(1).map_or(Self::FAR, |t| row[t]);
            let above = last.get(t + 1).copied().unwrap_or(Self::FAR);
            row[t] = left.min(above) + 1;
            let Some(asked) = j.checked_sub(1).map(|j| self.word[j]) else { continue };
            row[t] = row[t].min(last[t] + u8::from(asked != letter));
            if let Some((other, row_before)) = before
                && j > 1
                && letter == self.word[j - 2]
                && other == asked
            {
                row[t] = row[t].min(row_before[t] + 1);
            }
        }
        row
    }
}
