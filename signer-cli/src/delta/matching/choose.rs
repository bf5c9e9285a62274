//! Choosing among candidates: the cheapest way through a stretch of the new image.
//!
//! Decides for each byte whether it is copied (and along which shift), filled or inserted, so that the sum of `Costs`
//! is the least. A dynamic programme (Viterbi's) over the bytes: a state for each candidate that covers the byte, one
//! for a run that can be filled, one for insertion; each byte costs in each state, and so does going from one state to
//! another. A state keeps where it was entered and from which way; a way becomes a node only when another state goes
//! on from it.

use std::ops::Range;

use super::bytes::{along, run_ahead, same_ahead};
use super::costs::Costs;
use super::grow::Candidate;
use super::{Masked, Match, Piece};
use crate::delta::progress::{Progress, STRIDE};

/// Bytes of a run below which nothing is filled.
const LEAST_FILL: usize = 12;
/// States that are kept: beyond so many the dearest are dropped.
const STATES: usize = 16;
/// A cost that is never the least, with room to add to.
const NEVER: u64 = u64::MAX / 4;
const NONE: u32 = u32::MAX;

/// What is chosen from.
pub(super) struct Choice<'a, 'p> {
    pub(super) images: Masked<'a>,
    /// The new image without masks, whose runs are filled.
    pub(super) plain: &'a [u8],
    pub(super) costs: &'a Costs,
    /// Hears how many bytes are chosen.
    pub(super) progress: &'a Progress<'p>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Insert,
    Copy,
    Fill(u8),
}

#[derive(Debug, Clone, Copy)]
struct State {
    kind: Kind,
    /// The byte of the new image behind the last that this state can cover.
    to: usize,
    /// Of all bytes before this one, the last in this state.
    cost: u64,
    /// What its own bytes have cost since it began, whether the way led through it or not.
    own: u64,
    /// Where this state was entered.
    start: usize,
    /// The node of the way before.
    parent: u32,
    /// The node of this way, once there is one.
    node: u32,
    /// Of the copy, or of the last copy before.
    shift: i64,
    /// Whether the last byte differed.
    wrong: bool,
}

/// A way that others go on from.
struct Node {
    start: usize,
    parent: u32,
    kind: Kind,
    shift: i64,
}

impl Choice<'_, '_> {
    /// Copies and fills of `range`, ascending and disjoint. `candidates` by their start, within the range. `before` is
    /// the shift of the last copy before it.
    pub(super) fn pieces(&self, range: Range<usize>, candidates: &[Candidate], before: i64) -> Vec<Piece> {
        let fills = self.fills(range.clone());
        let mut offers = Offers { candidates, fills: &fills };
        let mut ways = Ways { states: vec![inserting(range.start, before)], nodes: Vec::new() };
        let (mut at, mut told) = (range.start, range.start);
        while at < range.end {
            if at - told >= STRIDE {
                self.progress.more((at - told) as u64);
                told = at;
            }
            offers.take(at, &mut ways.states);
            ways.switch(at, self.costs);
            ways.retire(at);
            let end = offers.next().map_or(range.end, |next| next.min(range.end));
            at = self.advance(at, end, &mut ways.states);
        }
        self.progress.more((range.end - told) as u64);
        ways.pieces(range.end)
    }

    /// Adds the costs of the bytes from `at` on, of several at once where all states agree with all of them.
    fn advance(&self, at: usize, end: usize, states: &mut [State]) -> usize {
        let Masked { old: image, new, fields } = self.images;
        let end = states.iter().fold(end, |end, state| end.min(state.to));
        let run = states.iter().fold(end - at, |run, state| match state.kind {
            Kind::Copy if run > 1 => match along(at, state.shift, image.len()) {
                Some(old) => same_ahead(&image[old..], &new[at..at + run]),
                None => 0,
            },
            _ => run,
        });
        let bytes = run.max(1);
        for state in states {
            let cost = match state.kind {
                Kind::Insert => u64::from(self.costs.inserted) * bytes as u64,
                Kind::Fill(_) => 0,
                Kind::Copy => {
                    let old = along(at, state.shift, image.len());
                    let same = old.is_some_and(|old| image[old] == new[at]);
                    let free = old.is_some_and(|old| fields.has(old));
                    let before = std::mem::replace(&mut state.wrong, !same && !free);
                    match (same, free, before) {
                        (true, ..) => u64::from(self.costs.same) * bytes as u64,
                        (false, true, _) => self.costs.field.into(),
                        (false, false, false) => self.costs.wrong.into(),
                        (false, false, true) => self.costs.wrong_on.into(),
                    }
                }
            };
            state.cost += cost;
            state.own += cost;
        }
        at + bytes
    }

    /// Runs of one byte, with that byte.
    fn fills(&self, range: Range<usize>) -> Vec<(Range<usize>, u8)> {
        let mut fills = Vec::new();
        let mut at = range.start;
        // A run that is long enough covers one of these places, and the byte half as far on.
        while at + LEAST_FILL / 2 < range.end {
            if self.plain[at] != self.plain[at + LEAST_FILL / 2] {
                at += LEAST_FILL / 2;
                continue;
            }
            let floor = fills.last().map_or(range.start, |(run, _): &(Range<usize>, u8)| run.end);
            let back = self.plain[floor..at].iter().rev().take_while(|byte| **byte == self.plain[at]).count();
            let length = back + run_ahead(&self.plain[at..range.end]);
            if length >= LEAST_FILL {
                fills.push((at - back..at - back + length, self.plain[at]));
            }
            at = (at - back + length).max(at + 1);
        }
        fills
    }
}

fn inserting(at: usize, before: i64) -> State {
    State {
        kind: Kind::Insert,
        to: usize::MAX,
        cost: 0,
        own: 0,
        start: at,
        parent: NONE,
        node: NONE,
        shift: before,
        wrong: false,
    }
}

/// Candidates and fills that have not begun yet.
struct Offers<'a> {
    candidates: &'a [Candidate],
    fills: &'a [(Range<usize>, u8)],
}

impl Offers<'_> {
    /// Where the next begins.
    fn next(&self) -> Option<usize> {
        let candidate = self.candidates.first().map(|candidate| candidate.from);
        let fill = self.fills.first().map(|(run, _)| run.start);
        candidate.into_iter().chain(fill).min()
    }

    /// A state for each that begins at `at`.
    fn take(&mut self, at: usize, states: &mut Vec<State>) {
        let empty = State { cost: NEVER, ..inserting(at, 0) };
        while let Some((first, rest)) = self.candidates.split_first()
            && first.from <= at
        {
            self.candidates = rest;
            states.push(State { kind: Kind::Copy, to: first.to, shift: first.shift, ..empty });
        }
        while let Some(((run, byte), rest)) = self.fills.split_first()
            && run.start <= at
        {
            self.fills = rest;
            states.push(State { kind: Kind::Fill(*byte), to: run.end, ..empty });
        }
    }
}

struct Ways {
    states: Vec<State>,
    nodes: Vec<Node>,
}

impl Ways {
    /// Lets each state be entered anew at `at` from whichever other is cheapest to come from.
    fn switch(&mut self, at: usize, costs: &Costs) {
        for into in 0..self.states.len() {
            let target = self.states[into];
            let mut best = None;
            let mut least = target.cost;
            for (from, state) in self.states.iter().enumerate() {
                // What was entered here itself has come from elsewhere: go from there.
                if from == into || state.cost >= least || state.start == at && state.parent != NONE {
                    continue;
                }
                let cost = state.cost
                    + match target.kind {
                        Kind::Insert => u64::from(costs.insertion),
                        Kind::Fill(_) => u64::from(costs.fill),
                        Kind::Copy => costs.copy_along(state.shift, target.shift),
                    };
                if cost < least {
                    (least, best) = (cost, Some(from));
                }
            }
            if let Some(from) = best {
                let parent = self.node(from);
                let shift = if target.kind == Kind::Copy { target.shift } else { self.states[from].shift };
                self.states[into] =
                    State { cost: least, start: at, parent, node: NONE, shift, wrong: false, ..target };
            }
        }
    }

    /// Drops the states that end at `at`, and the dearest of too many: where several cost as much as going over to them,
    /// those that are new have yet to show what they are.
    fn retire(&mut self, at: usize) {
        self.states.retain(|state| state.to > at);
        while self.states.len() > STATES {
            let dearest = (1..self.states.len())
                .max_by_key(|state| (self.states[*state].cost, self.states[*state].own));
            self.states.remove(dearest.unwrap_or(1));
        }
    }

    fn node(&mut self, state: usize) -> u32 {
        let state = &mut self.states[state];
        if state.node == NONE {
            state.node = u32::try_from(self.nodes.len()).unwrap_or(NONE);
            self.nodes.push(Node {
                start: state.start,
                parent: state.parent,
                kind: state.kind,
                shift: state.shift,
            });
        }
        state.node
    }

    /// The cheapest way to `end`.
    fn pieces(mut self, end: usize) -> Vec<Piece> {
        let best = (0..self.states.len()).min_by_key(|state| self.states[*state].cost).unwrap_or(0);
        let mut node = self.node(best);
        let mut end = end;
        let mut pieces = Vec::new();
        while let Some(Node { start, parent, kind, shift }) = self.nodes.get(node as usize) {
            let length = (end - start) as u64;
            let new = *start as u64;
            match kind {
                _ if length == 0 => {}
                Kind::Insert => {}
                Kind::Copy => {
                    pieces.push(Piece::Copy(Match { old: new.wrapping_add_signed(*shift), new, length }))
                }
                Kind::Fill(byte) => pieces.push(Piece::Fill { new, length, byte: *byte }),
            }
            (node, end) = (*parent, *start);
        }
        pieces.reverse();
        pieces
    }
}

#[cfg(test)]
mod tests {
    use super::super::Fields;
    use super::super::tests::noise;
    use super::*;

    fn choose(old: &[u8], new: &[u8], candidates: &[Candidate]) -> Vec<Piece> {
        let (costs, fields) = (Costs::default(), Fields::default());
        Choice {
            images: Masked { old, new, fields: &fields },
            plain: new,
            costs: &costs,
            progress: &Progress::default(),
        }
        .pieces(0..new.len(), candidates, 0)
    }

    #[test]
    fn a_copy_that_saves_too_little_is_left_out() {
        let old = noise(1_000, 1);
        let mut new = old.clone();
        new[500..504].copy_from_slice(&old[800..804]);
        let whole = Candidate { from: 0, to: 1_000, shift: 0 };
        let small = Candidate { from: 500, to: 504, shift: 300 };
        assert_eq!(
            choose(&old, &new, &[whole, small]),
            [Piece::Copy(Match { old: 0, new: 0, length: 1_000 })]
        );
        new[500..530].copy_from_slice(&old[800..830]);
        let large = Candidate { from: 500, to: 530, shift: 300 };
        assert_eq!(choose(&old, &new, &[whole, large]).len(), 3);
    }

    #[test]
    fn the_border_between_two_copies_lies_where_fewest_bytes_differ() {
        let old = noise(1_000, 2);
        let new = [&old[..400], &old[600..900]].concat();
        let candidates =
            [Candidate { from: 0, to: 450, shift: 0 }, Candidate { from: 350, to: 700, shift: 200 }];
        assert_eq!(
            choose(&old, &new, &candidates),
            [
                Piece::Copy(Match { old: 0, new: 0, length: 400 }),
                Piece::Copy(Match { old: 600, new: 400, length: 300 }),
            ]
        );
    }

    #[test]
    fn runs_are_filled_where_they_are_not_copied() {
        let old = noise(300, 3);
        let mut new = old.clone();
        new[100..150].fill(9);
        let pieces = choose(&old, &new, &[Candidate { from: 0, to: 300, shift: 0 }]);
        assert_eq!(pieces[1], Piece::Fill { new: 100, length: 50, byte: 9 });
        let same = choose(&new, &new, &[Candidate { from: 0, to: 300, shift: 0 }]);
        assert_eq!(same, [Piece::Copy(Match { old: 0, new: 0, length: 300 })]);
    }

    #[test]
    fn without_candidates_everything_is_inserted() {
        assert_eq!(choose(&[], &noise(100, 4), &[]), []);
        assert_eq!(choose(&[], &[], &[]), []);
    }
}
