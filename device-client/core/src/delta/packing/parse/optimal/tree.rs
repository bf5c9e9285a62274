//! What a place matches: all places before it whose next four bytes hash alike, in a binary tree sorted by what follows them,
//! the newest one at the root; and the newest one that begins with the same three bytes.
//!
//! Decides as zstd's match finder does which places are compared, and which ones the tree never gets.

use alloc::vec;
use alloc::vec::Vec;

use super::levels::{Level, window};
use super::{MOST, SPAN};

/// Bytes that are read at a place.
pub(super) const READ: usize = 8;
/// Places whose matches are no longer say nothing of what follows.
const PLAIN: usize = 8;
/// Of a long stretch that repeats itself, so much is left out at most, where a match is longer than that.
const SKIPPED: usize = 192;
const LONG: usize = 384;

/// A match at some place: longer than those before it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Found {
    /// The number of its offset: 1 to 3 for one that repeats, else 3 more than the offset (RFC 8878, 3.1.1.5).
    pub number: u32,
    pub length: u32,
}

/// Everything by place and 1 more, so that 0 is none.
#[derive(Debug)]
pub(super) struct Tree {
    level: Level,
    thirds_log: u32,
    heads: Vec<u32>,
    thirds: Vec<u32>,
    /// Of each place the roots of what sorts before it, and behind it.
    children: Vec<u32>,
    /// The first place that isn't in the tree, and among the places by three bytes.
    next: usize,
    next_third: usize,
}

impl Tree {
    pub(super) const MEMORY: usize = (HEADS + THIRDS + 2 * MOST) * size_of::<u32>();

    pub(super) fn new() -> Self {
        Self {
            level: Level::NONE,
            thirds_log: 0,
            heads: vec![0; HEADS],
            thirds: vec![0; THIRDS],
            children: vec![0; 2 * MOST],
            next: 0,
            next_third: 0,
        }
    }

    #[cfg(test)]
    pub(super) fn size(&self) -> usize {
        (self.heads.capacity() + self.thirds.capacity() + self.children.capacity()) * size_of::<u32>()
    }

    /// Nothing is in it.
    pub(super) fn begin(&mut self, level: Level, content: usize) {
        self.level = level;
        self.thirds_log = window(content).clamp(10, 17);
        self.heads.fill(0);
        self.thirds.fill(0);
        (self.next, self.next_third) = (0, 0);
    }

    /// All matches at a place, each longer than the one before it; `repeats` are the last three offsets, `is_behind` says that
    /// no literal stands between the last match and this place.
    pub(super) fn matches(
        &mut self,
        content: &[u8],
        at: usize,
        repeats: [u32; 3],
        is_behind: bool,
        found: &mut Vec<Found>,
    ) {
        found.clear();
        if at < self.next {
            return;
        }
        while self.next < at {
            self.next += self.insert(content, self.next);
        }
        self.next = at;
        let least = self.level.least as usize;
        let room = content.len() - at;
        let mut best = self.repeated(content, at, repeats, is_behind, found);
        if best > self.level.enough as usize || best == room {
            return;
        }
        if least == 3 && best < 3 {
            let third = self.third(content, at);
            let length = third.map_or(0, |third| common(content, at, third));
            if let Some(third) = third.filter(|_| length >= 3) {
                best = length;
                found.push(Found { number: (at - third) as u32 + 3, length: length as u32 });
                if length > self.level.enough as usize || length == room {
                    self.next = at + 1;
                    return;
                }
            }
        }
        let end = self.walk(content, at, best, |place, length| {
            found.push(Found { number: (at - place) as u32 + 3, length: length as u32 });
            length > SPAN
        });
        self.next = end - READ;
    }

    /// Matches at the offsets of those before: the longest one's bytes, or one less than a match has at least.
    fn repeated(
        &self,
        content: &[u8],
        at: usize,
        repeats: [u32; 3],
        is_behind: bool,
        found: &mut Vec<Found>,
    ) -> usize {
        let least = self.level.least as usize;
        let mut best = least - 1;
        let [one, two, three] = repeats;
        let offsets = if is_behind { [two, three, one.wrapping_sub(1)] } else { repeats };
        for (number, offset) in (1..).zip(offsets) {
            let offset = offset as usize;
            if !(1..=at).contains(&offset) {
                continue;
            }
            let length = common(content, at, at - offset);
            if length > best {
                best = length;
                found.push(Found { number, length: length as u32 });
                if length > self.level.enough as usize || at + length == content.len() {
                    break;
                }
            }
        }
        best
    }

    /// The newest place that begins with the same three bytes, by their hash.
    fn third(&mut self, content: &[u8], at: usize) -> Option<usize> {
        for place in self.next_third..at {
            self.thirds[hash_of_three(content, place, self.thirds_log)] = place as u32 + 1;
        }
        self.next_third = at;
        self.thirds[hash_of_three(content, at, self.thirds_log)].checked_sub(1).map(|place| place as usize)
    }

    /// Puts a place into the tree: how many places on the next one is.
    fn insert(&mut self, content: &[u8], at: usize) -> usize {
        let mut longest = PLAIN;
        let end = self.walk(content, at, PLAIN, |_, length| {
            longest = length;
            false
        });
        (end - at - READ).max(longest.saturating_sub(LONG).min(SKIPPED))
    }

    /// Goes down the tree to where this place belongs, and makes it the root. `longer` is told of each match that is longer than
    /// `best` and all before it, and says whether it is enough. Where the match ends that reaches farthest, `READ + 1` bytes on
    /// at least.
    #[inline]
    fn walk(
        &mut self,
        content: &[u8],
        at: usize,
        mut best: usize,
        mut longer: impl FnMut(usize, usize) -> bool,
    ) -> usize {
        let head = &mut self.heads[hash_of_four(content, at, self.level.heads)];
        let mut next = core::mem::replace(head, at as u32 + 1);
        let room = content.len() - at;
        let mut end = at + READ + 1;
        let [mut before, mut behind] = [2 * at, 2 * at + 1];
        // Whatever is left on either side begins like this.
        let [mut common_before, mut common_behind] = [0, 0];
        for _ in 0..1_u32 << self.level.compared {
            let Some(place) = next.checked_sub(1).map(|place| place as usize) else { break };
            let known = common_before.min(common_behind);
            let length = known + common(content, at + known, place + known);
            if length > best {
                best = length;
                end = end.max(place + length);
                if longer(place, length) {
                    break;
                }
            }
            if length == room {
                // Nobody knows on which side it belongs.
                break;
            }
            if content[place + length] < content[at + length] {
                self.children[before] = next;
                common_before = length;
                before = 2 * place + 1;
                next = self.children[before];
            } else {
                self.children[behind] = next;
                common_behind = length;
                behind = 2 * place;
                next = self.children[behind];
            }
        }
        (self.children[before], self.children[behind]) = (0, 0);
        end
    }
}

const HEADS: usize = 1 << 17;
const THIRDS: usize = 1 << 17;

fn four(content: &[u8], at: usize) -> u32 {
    content.get(at..).and_then(|rest| rest.first_chunk()).map_or(0, |four| u32::from_le_bytes(*four))
}

fn hash_of_four(content: &[u8], at: usize, log: u32) -> usize {
    (four(content, at).wrapping_mul(2_654_435_761) >> (32 - log)) as usize
}

fn hash_of_three(content: &[u8], at: usize, log: u32) -> usize {
    ((four(content, at) << 8).wrapping_mul(506_832_829) >> (32 - log)) as usize
}

/// How many bytes from one place on are the same as from an earlier one.
#[inline]
fn common(content: &[u8], at: usize, earlier: usize) -> usize {
    let (one, other) = (&content[at..], &content[earlier..]);
    let ((one, rest), (other, _)) = (one.as_chunks::<8>(), other.as_chunks::<8>());
    for (number, (one, other)) in one.iter().zip(other).enumerate() {
        let different = u64::from_le_bytes(*one) ^ u64::from_le_bytes(*other);
        if different != 0 {
            return 8 * number + different.trailing_zeros() as usize / 8;
        }
    }
    let length = 8 * one.len();
    let other = &content[earlier + length..];
    length + rest.iter().zip(other).take_while(|(one, other)| one == other).count()
}
