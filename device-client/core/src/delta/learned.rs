//! Targets that turned out elsewhere than the map said, and pages that moved: both in tables of fixed size, an entry of
//! which has 8 bytes. It is found by a digest of what it is about; a wrong one costs bytes, never correctness.

use alloc::vec;
use alloc::vec::Vec;

/// How far things moved, by number.
#[derive(Debug)]
struct Table {
    entries: Vec<Entry>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Entry {
    /// A digest's highest bits, and how far to trust it: 0 for an empty entry.
    about: u32,
    shift: i32,
}

/// Bits of [`Entry::about`] that tell the trust.
const TRUST: u32 = 7;

impl Table {
    fn new(bits: u8) -> Self {
        Self { entries: vec![Entry::default(); 1 << bits] }
    }

    /// Where the entry of a number stands, and what it is to carry.
    #[inline]
    fn slot(&self, number: u64) -> (usize, u32) {
        // Fibonacci hashing: the highest bits of the product depend on all of the number's.
        let digest = number.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let digest = (digest ^ digest >> 29).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        (digest as usize & (self.entries.len() - 1), (digest >> 32) as u32 & !TRUST)
    }

    #[inline]
    fn get(&self, number: u64) -> Option<(u64, u32)> {
        let (slot, about) = self.slot(number);
        let entry = self.entries[slot];
        let trust = entry.about & TRUST;
        (trust > 0 && entry.about & !TRUST == about).then_some((i64::from(entry.shift) as u64, trust))
    }

    /// A number's entry as it is, and whether it is that number's.
    fn entry(&mut self, number: u64) -> (&mut Entry, u32, bool) {
        let (slot, about) = self.slot(number);
        let entry = &mut self.entries[slot];
        let its = entry.about & TRUST > 0 && entry.about & !TRUST == about;
        (entry, about, its)
    }
}

/// Old addresses with their new ones; a newer one takes an older one's place.
#[derive(Debug)]
pub struct Learned(Table);

impl Learned {
    /// Bytes of an entry.
    pub const EACH: usize = size_of::<Entry>();

    /// With 2^`bits` entries.
    pub fn new(bits: u8) -> Self {
        Self(Table::new(bits))
    }

    /// Forgets all.
    pub fn reset(&mut self) {
        self.0.entries.fill(Entry::default());
    }

    /// The new address of an old one, found by `key`, and how far to trust it, 1 to 3.
    #[inline]
    pub fn get(&self, key: u64, old: u64) -> Option<(u64, usize)> {
        self.0.get(key).map(|(shift, trust)| (old.wrapping_add(shift), trust as usize))
    }

    /// `old`, found by `key`, turned out to be at `new`, where the map said `mapped`.
    pub fn learn(&mut self, key: u64, old: u64, new: u64, mapped: u64) {
        let (entry, about, its) = self.0.entry(key);
        let moved = new.wrapping_sub(old) as i64;
        let shift = moved as i32;
        let far = i64::from(shift) != moved;
        if its && !far {
            let trust = if entry.shift == shift { (entry.about & TRUST).min(2) + 1 } else { 1 };
            *entry = Entry { about: about | trust, shift };
        } else if new != mapped && !far {
            *entry = Entry { about: about | 1, shift };
        } else if its {
            *entry = Entry::default();
        }
    }
}

/// How far the places of a page moved, by the last of them that was seen.
#[derive(Debug)]
pub struct Moved(Table);

impl Moved {
    /// With 2^`bits` entries.
    pub fn new(bits: u8) -> Self {
        Self(Table::new(bits))
    }

    /// Forgets all.
    pub fn reset(&mut self) {
        self.0.entries.fill(Entry::default());
    }

    /// How far a page moved, and how far to trust it, 0 to 3.
    #[inline]
    pub fn get(&self, page: u64) -> Option<(u64, usize)> {
        self.0.get(page).map(|(shift, trust)| (shift, trust as usize - 1))
    }

    /// A place of `page` moved by `shift`; what moved by 2 GiB is not remembered.
    pub fn learn(&mut self, page: u64, shift: u64) {
        let (entry, about, its) = self.0.entry(page);
        let Ok(shift) = i32::try_from(shift as i64) else { return };
        let again = its && entry.shift == shift;
        let trust = if again { (entry.about & TRUST).min(3) + 1 } else { 1 };
        *entry = Entry { about: about | trust, shift };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_learned_where_the_map_was_wrong_and_trusted_as_it_comes_again() {
        let mut learned = Learned::new(6);
        learned.learn(5, 1000, 1100, 1100);
        assert_eq!(learned.get(5, 1000), None);
        for trust in [1, 2, 3, 3] {
            learned.learn(5, 1000, 900, 1100);
            assert_eq!(learned.get(5, 1000), Some((900, trust)));
        }
        learned.learn(5, 1000, 1 << 40, 1100);
        assert_eq!(learned.get(5, 1000), None, "too far to be kept");
    }

    #[test]
    fn a_page_is_where_it_was_seen_last() {
        let mut moved = Moved::new(4);
        for trust in [0, 1, 2, 3, 3] {
            moved.learn(7, 64_u64.wrapping_neg());
            assert_eq!(moved.get(7), Some((64_u64.wrapping_neg(), trust)));
        }
        moved.learn(7, 8);
        assert_eq!(moved.get(7), Some((8, 0)));
    }
}
