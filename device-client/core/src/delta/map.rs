//! The map of matches: where a place of the old image is in the new one.

use alloc::vec::Vec;

use super::packed::Packed;

/// Bytes of the new image that are the old image's, but for what is corrected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Match {
    /// Where they are in the old image.
    pub old: u64,
    /// Where they are in the new image.
    pub new: u64,
    /// How many there are.
    pub length: u64,
}

/// How sure a mapped place is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Inside a match.
    Matched(u64),
    /// Between matches: by the nearer one.
    Near(u64),
}

/// Matches in the order of the old image, without overlaps.
#[derive(Debug, Default)]
pub struct Map {
    matches: Vec<Packed>,
    /// How many matches begin before each multiple of 2^`shift`: a search of thousands becomes one of a few.
    marks: Vec<u32>,
    shift: u32,
}

/// Matches for each mark, at the most.
const MARKED: usize = 4;

const OLD: usize = 0;
const NEW: usize = 1;

fn packed(m: Match) -> Packed {
    Packed::new([m.old, m.new, m.length], 0)
}

fn unpacked(packed: &Packed) -> Match {
    let [old, new, length] = packed.numbers();
    Match { old, new, length }
}

impl Map {
    /// With room for `count` matches.
    pub fn with_room(count: usize) -> Self {
        Self { matches: Vec::with_capacity(count), marks: Vec::with_capacity(marks(count)), shift: 0 }
    }

    /// Bytes that a map with room for `count` matches takes besides itself.
    pub const fn memory(count: usize) -> usize {
        count * size_of::<Packed>() + marks(count) * size_of::<u32>()
    }

    /// Takes the matches of another unit, in any order. Of two that overlap in the old image the longer one counts there.
    pub fn set(&mut self, matches: impl Iterator<Item = Match>) {
        self.matches.clear();
        let room = self.matches.capacity();
        self.matches.extend(matches.filter(|m| m.length >= LEAST).map(packed).take(room));
        self.matches.sort_unstable_by_key(|m| (m.number(OLD), m.number(NEW)));
        self.trim();
        self.mark();
    }

    fn mark(&mut self) {
        self.marks.clear();
        let end = self.matches.last().map_or(0, |m| m.number(OLD));
        let room = self.marks.capacity() as u64;
        if room == 0 {
            return;
        }
        self.shift = (0..64).find(|shift| end >> shift < room).unwrap_or(63);
        for (i, m) in self.matches.iter().enumerate() {
            let mark = (m.number(OLD) >> self.shift) as usize;
            while self.marks.len() <= mark {
                self.marks.push(i as u32);
            }
        }
    }

    fn trim(&mut self) {
        let mut kept = 0_usize;
        for i in 0..self.matches.len() {
            let mut next = unpacked(&self.matches[i]);
            if let Some(before) = kept.checked_sub(1) {
                let mut last = unpacked(&self.matches[before]);
                // The last one may have been cut past where this one begins.
                let ahead = last.old.saturating_sub(next.old).min(next.length);
                next = Match { old: next.old + ahead, new: next.new + ahead, length: next.length - ahead };
                let overlap = (last.old + last.length).saturating_sub(next.old);
                if overlap > 0 && last.length >= next.length {
                    if overlap >= next.length {
                        continue;
                    }
                    next = Match {
                        old: next.old + overlap,
                        new: next.new + overlap,
                        length: next.length - overlap,
                    };
                } else if overlap > 0 {
                    last.length = next.old - last.old;
                    self.matches[before] = packed(last);
                }
            }
            self.matches[kept] = packed(next);
            kept += 1;
        }
        self.matches.truncate(kept);
    }

    /// Where an offset of the old image is in the new one; `None` where there is no match at all. `near` is the number of
    /// the match that the last answer was found by: the next place is often beside it, and a search is spared.
    pub fn place(&self, old: u64, near: &mut usize) -> Option<Place> {
        let after = self.after(old, *near);
        let before = after.checked_sub(1);
        *near = before.unwrap_or(0);
        let along = |m: &Match| m.new.wrapping_add(old.wrapping_sub(m.old));
        let before = before.and_then(|i| self.matches.get(i)).map(unpacked);
        if let Some(m) = &before
            && old - m.old < m.length
        {
            return Some(Place::Matched(along(m)));
        }
        let next = self.matches.get(after).map(unpacked);
        match (before, next) {
            (Some(m), Some(n)) if old - (m.old + m.length) > n.old - old => Some(Place::Near(along(&n))),
            (Some(m), _) => Some(Place::Near(along(&m))),
            (None, n) => n.map(|n| Place::Near(along(&n))),
        }
    }

    /// How many matches begin at `old` or before.
    fn after(&self, old: u64, near: usize) -> usize {
        let begins = |i: usize| self.matches.get(i).map_or(u64::MAX, |m| m.number(OLD));
        if begins(near) <= old && old < begins(near + 1) {
            return near + 1;
        }
        let mark = (old >> self.shift).min(self.marks.len() as u64) as usize;
        let begin = |mark: usize| self.marks.get(mark).map_or(self.matches.len(), |i| *i as usize);
        // Those that begin in the same stretch as `old`; without marks, all.
        let (from, to) =
            if self.marks.is_empty() { (0, self.matches.len()) } else { (begin(mark), begin(mark + 1)) };
        from + self.matches[from..to].partition_point(|m| m.number(OLD) <= old)
    }
}

/// Marks for so many matches: none for few.
const fn marks(count: usize) -> usize {
    if count < 64 * MARKED { 0 } else { count / MARKED }
}

/// Shorter matches say little of where their surroundings went.
const LEAST: u64 = 8;

#[cfg(test)]
mod tests {
    use super::*;

    fn map(matches: &[(u64, u64, u64)]) -> Map {
        let mut map = Map::with_room(8);
        map.set(matches.iter().map(|&(old, new, length)| Match { old, new, length }));
        map
    }

    /// The same place, whatever was asked before.
    fn place(map: &Map, old: u64) -> Option<Place> {
        let mut answers = (0..6).map(|near| map.place(old, &mut { near }));
        let first = answers.next().unwrap();
        assert!(answers.all(|answer| answer == first));
        first
    }

    #[test]
    fn a_place_is_found_inside_and_beside_matches() {
        let map = map(&[(100, 1000, 50), (200, 1300, 50)]);
        assert_eq!(place(&map, 120), Some(Place::Matched(1020)));
        assert_eq!(place(&map, 150), Some(Place::Near(1050)));
        assert_eq!(place(&map, 190), Some(Place::Near(1290)));
        assert_eq!(place(&map, 90), Some(Place::Near(990)));
        assert_eq!(place(&map, 260), Some(Place::Near(1360)));
        assert_eq!(place(&Map::default(), 1), None);
    }

    #[test]
    fn of_two_matches_the_longer_one_counts_where_they_overlap() {
        let map = map(&[(100, 1000, 100), (150, 5000, 60), (300, 0, 20), (310, 7000, 100)]);
        assert_eq!(place(&map, 160), Some(Place::Matched(1060)));
        assert_eq!(place(&map, 205), Some(Place::Matched(5055)));
        assert_eq!(place(&map, 315), Some(Place::Matched(7005)));
        assert_eq!(place(&map, 305), Some(Place::Matched(5)));
    }

    #[test]
    fn matches_on_top_of_each_other_stay_in_order() {
        let map = map(&[(0, 0, 100), (10, 500, 99), (20, 900, 95), (101, 3000, 500), (102, 9000, 7)]);
        assert_eq!(place(&map, 50), Some(Place::Matched(50)));
        assert_eq!(place(&map, 105), Some(Place::Matched(3004)));
        assert!(map.matches.is_sorted_by_key(|m| m.number(OLD)));
    }
}
