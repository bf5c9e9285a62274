//! Targets that turned out elsewhere than the map said: the next reference to the same place is predicted rightly.

use alloc::vec;
use alloc::vec::Vec;

use super::model::bytes::mixed;

/// Old addresses with their new ones, in a table of fixed size; a newer one takes an older one's place.
#[derive(Debug)]
pub struct Learned {
    entries: Vec<Entry>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Entry {
    old: u64,
    new: u64,
    /// How often it was right in a row, plus one; 0 for an empty entry.
    trust: u32,
}

impl Learned {
    /// With 2^`bits` entries.
    pub fn new(bits: u8) -> Self {
        Self { entries: vec![Entry::default(); 1 << bits] }
    }

    /// Forgets all.
    pub fn reset(&mut self) {
        self.entries.fill(Entry::default());
    }

    /// The new address of an old one, and how far to trust it, 1 to 3.
    pub fn get(&self, old: u64) -> Option<(u64, usize)> {
        let entry = self.entries[self.slot(old)];
        (entry.trust > 0 && entry.old == old).then_some((entry.new, (entry.trust as usize).min(3)))
    }

    /// `old` turned out to be at `new`, where the map said `mapped`.
    pub fn learn(&mut self, old: u64, new: u64, mapped: u64) {
        let slot = self.slot(old);
        let entry = &mut self.entries[slot];
        if entry.trust > 0 && entry.old == old {
            entry.trust = if entry.new == new { (entry.trust + 1).min(3) } else { 1 };
            entry.new = new;
        } else if new != mapped {
            *entry = Entry { old, new, trust: 1 };
        }
    }

    fn slot(&self, old: u64) -> usize {
        mixed(old as u32 ^ (old >> 32) as u32) as usize & (self.entries.len() - 1)
    }
}

/// How far the places of a page moved, by the last of them that was seen, in a table of fixed size.
#[derive(Debug)]
pub struct Moved {
    entries: Vec<Page>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Page {
    page: u64,
    shift: u64,
    /// How often in a row it was so, plus one; 0 for an empty entry.
    trust: u32,
}

impl Moved {
    /// With 2^`bits` entries.
    pub fn new(bits: u8) -> Self {
        Self { entries: vec![Page::default(); 1 << bits] }
    }

    /// Forgets all.
    pub fn reset(&mut self) {
        self.entries.fill(Page::default());
    }

    /// How far a page moved, and how far to trust it, 0 to 3.
    pub fn get(&self, page: u64) -> Option<(u64, usize)> {
        let entry = self.entries[self.slot(page)];
        (entry.trust > 0 && entry.page == page)
            .then_some((entry.shift, (entry.trust.saturating_sub(1) as usize).min(3)))
    }

    /// A place of `page` moved by `shift`.
    pub fn learn(&mut self, page: u64, shift: u64) {
        let slot = self.slot(page);
        let entry = &mut self.entries[slot];
        let again = entry.trust > 0 && entry.page == page && entry.shift == shift;
        *entry = Page { page, shift, trust: if again { (entry.trust + 1).min(4) } else { 1 } };
    }

    fn slot(&self, page: u64) -> usize {
        mixed(page as u32 ^ (page >> 32) as u32) as usize & (self.entries.len() - 1)
    }
}
