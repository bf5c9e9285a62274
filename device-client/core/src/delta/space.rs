//! Where bytes of an image stand when they run: address spaces, their segments, and the sections to be read.
//!
//! Decides which address belongs to which offset, in old and in new. The description comes from the maker of a delta
//! and is never trusted: a wrong one gives wrong predictions, which cost bytes. Nothing here reads an image.

use alloc::vec::Vec;

use super::refs::SectionKind;

/// A stretch of one file that is loaded at one address, in old and in new. Offsets are into the whole images.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Segment {
    /// Offset of its first byte in the old image.
    pub old: u64,
    /// Bytes of it that stand in the old image; 0 for memory alone.
    pub old_length: u64,
    /// Address of its first byte in the old space.
    pub old_address: u64,
    /// Bytes that it takes in the old space, those without content (bss) included.
    pub old_memory: u64,
    /// Offset of its first byte in the new image.
    pub new: u64,
    /// Bytes of it that stand in the new image.
    pub new_length: u64,
    /// Address of its first byte in the new space.
    pub new_address: u64,
    /// Bytes that it takes in the new space.
    pub new_memory: u64,
    /// Whether it is code: what tables of branch targets lead into.
    pub code: bool,
}

/// A stretch of the old image that one recogniser reads. Sections are sorted by [`start`](Self::start) and disjoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Section {
    /// What reads it.
    pub kind: SectionKind,
    /// Offset of its first byte in the old image.
    pub start: u64,
    /// Its length in bytes.
    pub length: u64,
    /// Number of the space that its addresses belong to.
    pub space: u16,
}

/// One address space, in old and in new: an ELF file, or a raw firmware. At most [`Space::MOST_SEGMENTS`] segments.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Space {
    segments: Vec<Segment>,
    old_addresses: Order,
    old_offsets: Order,
    new_addresses: Order,
    new_offsets: Order,
}

/// Segments in the order of one of their positions.
type Order = Vec<Entry>;

/// One segment in an order, with what a search asks for: it is on the way of every reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry {
    start: u64,
    length: u64,
    /// Where it and all before it end: nothing from there on is in any of them.
    reach: u64,
    number: u8,
}

impl Space {
    /// Segments of one space: an ELF file has three to six, a kernel some more; a number of one fits a byte.
    pub const MOST_SEGMENTS: usize = 64;

    /// Where a table of symbols stands for those who count its entries: a segment of its own at this address, which no
    /// program has, and which a map frame can tell (it holds distances below 2^61).
    pub const SYMBOLS: u64 = 5 << 56;
    /// Where the strings of that table stand.
    pub const STRINGS: u64 = 6 << 56;
    /// Where the relocations of a procedure linkage table stand, for its stubs.
    pub const RELOCATIONS: u64 = 7 << 56;
    /// Where `.text` stands of a file that isn't linked yet.
    pub const TEXT: u64 = 1 << 28;
    /// Where a module's types' names stand, which go on behind the kernel's: as [`TYPES`](Self::TYPES), without content.
    pub const NAMES: u64 = 8 << 56;
    /// Where BTF's types stand by their numbers, 24 bytes apart: memory without content, since nothing but the records
    /// before it tells where one is.
    pub const TYPES: u64 = 9 << 56;

    /// The space of these segments, in any order; their numbers are their places in this list. `None` for more than
    /// [`Self::MOST_SEGMENTS`], for a segment that doesn't end before `u64::MAX`, and for one with more content than memory.
    pub fn new(segments: Vec<Segment>) -> Option<Self> {
        let mut space = Self { segments, ..Self::default() };
        space.order().then_some(space)
    }

    /// Empty, with room for so many segments: it takes no more memory as long as it has no more.
    pub fn with_room(segments: usize) -> Self {
        let order = || Order::with_capacity(segments);
        Self {
            segments: Vec::with_capacity(segments),
            old_addresses: order(),
            old_offsets: order(),
            new_addresses: order(),
            new_offsets: order(),
        }
    }

    /// Bytes that a space with room for so many segments takes besides itself.
    pub const fn memory(segments: usize) -> usize {
        segments * (size_of::<Segment>() + 4 * size_of::<Entry>())
    }

    /// Takes other segments, in the place of its own; none where [`Self::new`] says `None`.
    pub(super) fn set(&mut self, segments: &[Segment]) {
        self.segments.clear();
        self.segments.extend_from_slice(segments);
        if !self.order() {
            self.segments.clear();
            self.order();
        }
    }

    /// Whether there can be a space of these segments, see [`Self::new`].
    pub(super) fn may_have(segments: &[Segment]) -> bool {
        let ends = |start: u64, length: u64| start.checked_add(length).is_some_and(|end| end < u64::MAX);
        let sound = |s: &Segment| {
            s.old_length <= s.old_memory
                && s.new_length <= s.new_memory
                && ends(s.old, s.old_length)
                && ends(s.new, s.new_length)
                && ends(s.old_address, s.old_memory)
                && ends(s.new_address, s.new_memory)
        };
        segments.len() <= Self::MOST_SEGMENTS && segments.iter().all(sound)
    }

    /// What tells this space from the others of an image.
    #[inline]
    pub(super) fn salt(&self) -> u64 {
        self.segments.first().map_or(0, |first| first.old.wrapping_mul(0xD6E8_FEB8_6659_FD93))
    }

    /// Puts the segments in order, if they may be such.
    fn order(&mut self) -> bool {
        let segments = &self.segments;
        if !Self::may_have(segments) {
            return false;
        }
        order(&mut self.old_addresses, segments, |s| (s.old_address, s.old_memory));
        order(&mut self.old_offsets, segments, |s| (s.old, s.old_length));
        order(&mut self.new_addresses, segments, |s| (s.new_address, s.new_memory));
        order(&mut self.new_offsets, segments, |s| (s.new, s.new_length));
        true
    }

    /// The segments, in the order that they were given in.
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// Whether an old address lies in a segment, or is the end of one.
    pub fn holds(&self, address: u64) -> bool {
        self.segment(address).is_some()
    }

    /// Whether an old address lies in a segment of code.
    pub fn is_code(&self, address: u64) -> bool {
        self.segment(address).is_some_and(|s| s.code)
    }

    /// The segment that an old address lies in, memory without content included, or ends.
    pub fn segment(&self, address: u64) -> Option<&Segment> {
        self.last(&self.old_addresses, address, |_, entry| entry.length + 1)
    }

    /// The address of a byte of the old image.
    pub fn old_address(&self, offset: u64) -> Option<u64> {
        let segment = self.last(&self.old_offsets, offset, |_, entry| entry.length)?;
        Some(segment.old_address + (offset - segment.old))
    }

    /// The segment whose content in the old image is at an address.
    pub fn content(&self, address: u64) -> Option<&Segment> {
        self.last(&self.old_addresses, address, |segment, _| segment.old_length)
    }

    /// The byte of the old image that stands at an address; `None` for memory without content.
    pub fn old_offset(&self, address: u64) -> Option<u64> {
        let segment = self.content(address)?;
        Some(segment.old + (address - segment.old_address))
    }

    /// The address of a byte of the new image.
    pub fn new_address(&self, offset: u64) -> Option<u64> {
        let segment = self.last(&self.new_offsets, offset, |_, entry| entry.length)?;
        Some(segment.new_address + (offset - segment.new))
    }

    /// The byte of the new image that stands at an address; `None` for memory without content.
    pub fn new_offset(&self, address: u64) -> Option<u64> {
        let segment = self.last(&self.new_addresses, address, |segment, _| segment.new_length)?;
        Some(segment.new + (address - segment.new_address))
    }

    /// The segment that holds `at`, of several the one that begins last: a table of symbols is a segment of its own in
    /// the one that is loaded. `length` says how long a segment is.
    #[inline]
    fn last(&self, order: &Order, at: u64, length: impl Fn(&Segment, &Entry) -> u64) -> Option<&Segment> {
        for entry in order.iter().rev() {
            if entry.start > at {
                continue;
            }
            if at >= entry.reach {
                return None;
            }
            let segment = &self.segments[usize::from(entry.number)];
            if at - entry.start < length(segment, entry) {
                return Some(segment);
            }
        }
        None
    }
}

/// The segments of several spaces, one space after another.
#[derive(Clone, Debug, Default)]
pub struct Spaces {
    segments: Vec<Segment>,
    /// Where each space's end.
    ends: Vec<u16>,
}

impl Spaces {
    /// With room for so many segments; a space without any counts as one.
    pub fn with_room(segments: usize) -> Self {
        Self { segments: Vec::with_capacity(segments), ends: Vec::with_capacity(segments) }
    }

    /// Bytes that this takes besides itself.
    pub const fn memory(segments: usize) -> usize {
        segments * (size_of::<Segment>() + size_of::<u16>())
    }

    /// How many spaces there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// How much room these need, see [`with_room`](Self::with_room).
    pub fn room(&self) -> usize {
        (0..self.len()).map(|space| self.get(space).len().max(1)).sum()
    }

    /// The segments of a space; none where there is no such space.
    pub fn get(&self, space: usize) -> &[Segment] {
        let end = |space: Option<usize>| {
            space.and_then(|space| self.ends.get(space)).map_or(0, |end| usize::from(*end))
        };
        self.segments.get(end(space.checked_sub(1))..end(Some(space))).unwrap_or_default()
    }

    pub(super) fn clear(&mut self) {
        self.segments.clear();
        self.ends.clear();
    }

    /// One more segment of the space that [`end`](Self::end) will end.
    pub(super) fn push(&mut self, segment: Segment) {
        self.segments.push(segment);
    }

    /// Ends a space; whether there can be one like it.
    pub(super) fn end(&mut self) -> bool {
        self.ends.push(self.segments.len() as u16);
        Space::may_have(self.get(self.len() - 1))
    }
}

impl<'s> FromIterator<&'s Space> for Spaces {
    fn from_iter<T: IntoIterator<Item = &'s Space>>(spaces: T) -> Self {
        let mut all = Self::default();
        for space in spaces {
            all.segments.extend_from_slice(space.segments());
            all.ends.push(all.segments.len() as u16);
        }
        all
    }
}

/// The segments that aren't empty, by the beginning that `key` gives along with their length.
fn order(order: &mut Order, segments: &[Segment], key: impl Fn(&Segment) -> (u64, u64)) {
    let filled = segments.iter().zip(0..).filter(|(segment, _)| key(segment).1 > 0);
    order.clear();
    order.extend(filled.map(|(segment, number)| {
        let (start, length) = key(segment);
        Entry { start, length, reach: 0, number }
    }));
    order.sort_unstable_by_key(|entry| (entry.start, entry.number));
    let mut reach = 0;
    for entry in order {
        // One more, for those who take a segment's end for a part of it.
        reach = reach.max(entry.start + entry.length + 1);
        entry.reach = reach;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn space() -> Space {
        let data = Segment {
            old: 0x2000,
            old_length: 0x100,
            old_address: 0x3000,
            old_memory: 0x100,
            new: 0x3000,
            new_length: 0x180,
            new_address: 0x4000,
            new_memory: 0x180,
            code: false,
        };
        let bss = Segment {
            old: 0x2100,
            old_length: 0,
            old_address: 0x3100,
            old_memory: 0x1000,
            new: 0x3180,
            new_length: 0,
            new_address: 0x4180,
            new_memory: 0x1000,
            code: false,
        };
        let code = Segment {
            old: 0,
            old_length: 0x2000,
            old_address: 0,
            old_memory: 0x2000,
            new: 0,
            new_length: 0x3000,
            new_address: 0,
            new_memory: 0x3000,
            code: true,
        };
        Space::new(alloc::vec![data, bss, code]).unwrap()
    }

    #[test]
    fn an_address_belongs_to_the_segment_that_holds_it() {
        let space = space();
        assert!(space.holds(0) && space.holds(0x2000) && !space.holds(0x2001) && space.holds(0x4100));
        assert!(space.is_code(0x1fff) && !space.is_code(0x3000));
        assert_eq!(space.segment(0x3100).unwrap().old_address, 0x3100);
        assert!(!space.holds(u64::MAX));
    }

    #[test]
    fn offsets_and_addresses_lead_to_each_other() {
        let space = space();
        assert_eq!(space.old_address(0x2080), Some(0x3080));
        assert_eq!(space.old_offset(0x3080), Some(0x2080));
        assert_eq!(space.old_offset(0x3100), None, "memory has no content");
        assert_eq!(space.new_address(0x3100), Some(0x4100));
        assert_eq!(space.new_offset(0x4100), Some(0x3100));
        assert_eq!(space.new_offset(u64::MAX), None);
    }

    #[test]
    fn a_description_past_its_limits_is_none() {
        assert!(Space::new(alloc::vec![Segment::default(); 64]).is_some());
        assert!(Space::new(alloc::vec![Segment::default(); 65]).is_none());
        assert!(Space::new(alloc::vec![Segment { old_length: 1, ..Segment::default() }]).is_none());
        let past = Segment { old_memory: 2, old_address: u64::MAX - 1, ..Segment::default() };
        assert!(Space::new(alloc::vec![past]).is_none());
    }
}
