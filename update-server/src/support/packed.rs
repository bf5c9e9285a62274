//! A text written as what it has not in common with another, its model: pages of products are nearly the same. It is how
//! pages lie in memory, and nothing else reads it. Packing looks once through the text, unpacking copies.

use std::collections::HashMap;

/// Bytes that must be the same to be noticed. Shorter ones would cost more to find and write down than they save.
const LEAST: usize = 16;

/// The model of packed texts.
#[derive(Debug)]
pub(super) struct Model {
    text: Box<[u8]>,
    /// Where each run of [`LEAST`] bytes is that begins at a multiple of [`STEP`].
    runs: HashMap<[u8; LEAST], u16>,
}

/// Every so many bytes of the model a run is noted. What is the same for `LEAST + STEP` bytes is always found.
const STEP: usize = 8;
/// Bytes of a model that are of use: what the numbers in a piece can say.
const MODEL: usize = u16::MAX as usize;

/// A packed text.
#[derive(Debug)]
pub(super) struct Packed {
    /// Length of the text in bytes.
    length: usize,
    /// In the order of the text.
    pieces: Box<[Piece]>,
    /// What only this text has, in its order.
    own: Box<[u8]>,
}

/// Bytes of its own, then bytes of the model.
#[derive(Debug)]
struct Piece {
    own: u16,
    from: u16,
    shared: u16,
}

impl Model {
    pub(super) fn new(text: &[u8]) -> Self {
        let text: Box<[u8]> = text[..text.len().min(MODEL)].into();
        let mut runs = HashMap::with_capacity(text.len() / STEP);
        for (at, run) in text.array_windows::<LEAST>().enumerate().step_by(STEP) {
            runs.entry(*run).or_insert(at as u16);
        }
        Self { text, runs }
    }

    pub(super) fn pack(&self, text: &[u8]) -> Packed {
        let (mut pieces, mut own) = (Vec::new(), Vec::new());
        let (mut written, mut at) = (0, 0);
        while let Some(run) = text[at..].first_chunk::<LEAST>() {
            let Some(found) = self.runs.get(run).map(|from| usize::from(*from)) else {
                at += 1;
                continue;
            };
            let before = same(text[written..at].iter().rev(), self.text[..found].iter().rev());
            let (start, from) = (at - before, found - before);
            let shared = same_from(&text[start..], &self.text[from..]);
            add(&mut pieces, start - written, from, shared);
            own.extend_from_slice(&text[written..start]);
            written = start + shared;
            at = written;
        }
        add(&mut pieces, text.len() - written, 0, 0);
        own.extend_from_slice(&text[written..]);
        Packed { length: text.len(), pieces: pieces.into(), own: own.into() }
    }

    /// The text that was packed with this model.
    pub(super) fn unpack(&self, packed: &Packed) -> Vec<u8> {
        let mut text = Vec::with_capacity(packed.length);
        let mut own = &*packed.own;
        for piece in &packed.pieces {
            let (mine, rest) = own.split_at(usize::from(piece.own));
            text.extend_from_slice(mine);
            own = rest;
            let from = usize::from(piece.from);
            text.extend_from_slice(&self.text[from..from + usize::from(piece.shared)]);
        }
        text
    }
}

impl Packed {
    /// What it takes in memory, in bytes.
    pub(super) fn size(&self) -> usize {
        size_of_val(&*self.pieces) + self.own.len()
    }
}

/// How long two texts are the same.
fn same_from(a: &[u8], b: &[u8]) -> usize {
    let (many, _) = a.as_chunks::<LEAST>();
    let (others, _) = b.as_chunks::<LEAST>();
    let whole = LEAST * many.iter().zip(others).take_while(|(a, b)| a == b).count();
    whole + same(a[whole..].iter(), b[whole..].iter())
}

fn same<'a>(a: impl Iterator<Item = &'a u8>, b: impl Iterator<Item = &'a u8>) -> usize {
    a.zip(b).take_while(|(a, b)| a == b).count()
}

/// Adds a piece, as several where its own bytes are too many for one. What is shared lies within the model, and never is.
fn add(pieces: &mut Vec<Piece>, mut own: usize, from: usize, shared: usize) {
    while own > MODEL {
        pieces.push(Piece { own: u16::MAX, from: 0, shared: 0 });
        own -= MODEL;
    }
    if own + shared > 0 {
        pieces.push(Piece { own: own as u16, from: from as u16, shared: shared as u16 });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_the_same_is_not_kept_again() {
        let model: String = (0..500).map(|n| format!("<li>row {n}</li>")).collect();
        let other = model.replace("row 77<", "another row<").replace("row 300", "ROW 300");
        let packed = Model::new(model.as_bytes()).pack(other.as_bytes());
        assert!(packed.size() < 100, "{packed:?}");
        assert_eq!(Model::new(model.as_bytes()).unpack(&packed), other.as_bytes());
    }

    #[test]
    fn texts_of_any_length_come_back() {
        let long: Vec<u8> = (0..400_000_u32).map(|n| (n.wrapping_mul(n) >> 7) as u8).collect();
        for (model, text) in
            [(&long[..], &long[..]), (&long[..70_000], &long[3..]), (&[], &long), (&long, &[])]
        {
            let model = Model::new(model);
            assert_eq!(model.unpack(&model.pack(text)), text);
        }
    }

    proptest! {
        #[test]
        fn whatever_is_packed_comes_back(model in "[ab]{0,300}", text in "[ab]{0,300}") {
            let model = Model::new(model.as_bytes());
            prop_assert_eq!(model.unpack(&model.pack(text.as_bytes())), text.as_bytes());
        }
    }
}
