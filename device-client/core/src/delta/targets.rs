//! Where references lead: several guesses, ordered by how well each of them did, then the distance from the best one.
//!
//! Decides which address a field's prediction is for. A guess is the map's; what a target turned out to be before; or how
//! far its neighbours moved: those of the same page of old addresses, or the last of the same kind of field.

use alloc::vec::Vec;

use perennial_schemas::delta::Sizes;

use super::coder::{Coder, Subject};
use super::learned::{Learned, Moved};
use super::map::Place;
use super::model::cell::Cell;
use super::model::number::{As, Numbers};
use super::refs::Field;
use super::space::Space;
use super::unit::Unit;

/// A reference at its place in the new image.
pub(super) struct Site<'s> {
    pub(super) unit: &'s Unit,
    pub(super) space: &'s Space,
    /// With what it is counted from, where that is an address, mapped already.
    pub(super) field: Field,
    /// The address of its field in the new space.
    pub(super) place: u64,
    /// What it refers to in the old space.
    pub(super) target: u64,
    /// The old bytes of the field.
    pub(super) old: [u8; 8],
}

impl Site<'_> {
    /// What is remembered of its target is found by this: the target's highest bits, without the lowest `bits`. Two files in an
    /// image have the same addresses, but for the types of a kernel that modules refer to.
    #[inline]
    fn key(&self, bits: u32) -> u64 {
        let page = self.target >> bits;
        if SHARED.contains(&self.target) { page } else { page ^ self.space.salt() }
    }
}

/// Numbers of types and places of their names.
const SHARED: core::ops::Range<u64> = Space::NAMES..Space::TYPES + (1 << 56);

/// A guess: who made it, the address, and the field's bytes that follow from it.
#[derive(Clone, Copy, Default)]
struct Guess {
    source: usize,
    target: u64,
    bytes: [u8; 8],
    /// The cell that tells how sure it is.
    cell: usize,
}

/// Guesses of one reference, without repetitions.
struct Guesses {
    list: [Guess; SOURCES],
    count: usize,
}

/// What became of a reference.
pub(super) enum Outcome {
    /// These are the field's bytes.
    Told([u8; 8]),
    /// No target explains the bytes; these were the likeliest.
    Unexplained([u8; 8]),
}

const SOURCES: usize = 5;
const LEARNED: usize = 0;
const MAP: usize = 1;
const FINE: usize = 2;
const COARSE: usize = 3;
const KIN: usize = 4;

/// Kinds of fields that are told apart. A small device has one machine's code alone.
const FIELDS: usize = 64;
const FIELDS_OF_SMALL: usize = 16;
/// How sure the map must be, of 65,536, to be asked first and alone.
const SURE: u32 = 60_000;
/// Distances that are kept to be used again.
const RECENT: usize = 4;
/// A target that is farther away than any address space is long is no target.
const NEAR: u64 = 1 << 48;
/// log2 of the pages whose places move together.
const PAGES: [u32; 2] = [7, 12];

/// What is known of where old addresses went, beyond the map.
#[derive(Debug)]
pub(super) struct Targets {
    learned: Learned,
    pages: [Moved; 2],
    fields: Vec<OfField>,
    sure: Vec<Cell>,
    details: usize,
    later: [[Cell; SOURCES]; SOURCES],
    recent: [Cell; RECENT],
    shifted: [u64; RECENT],
    low: [[Cell; 16]; 2 * GROUPS],
    /// The first context of distances among the numbers.
    high: usize,
    /// Whether the last first guess was right.
    went: usize,
}

/// What is known of a kind of field.
#[derive(Debug, Clone, Copy)]
struct OfField {
    /// The last two references: old target, distance to the new one.
    kin: [(u64, u64); 2],
    /// Which match was mapped by last.
    near: usize,
    whole: Cell,
}

impl OfField {
    const NEW: Self = Self { kin: [(0, 0); 2], near: 0, whole: Cell::NEW };
}

/// Kinds of fields that are told apart.
fn fields(sizes: &Sizes) -> usize {
    if sizes.context_bits < 10 { FIELDS_OF_SMALL } else { FIELDS }
}

/// How many contexts a guess has by how it is known.
fn details(sizes: &Sizes) -> usize {
    if sizes.context_bits < 10 { 2 } else { 4 }
}

impl Targets {
    /// Contexts of distances are the [`GROUPS`] from `high` on.
    pub(super) fn new(sizes: &Sizes, high: usize) -> Self {
        let (details, fields) = (details(sizes), fields(sizes));
        Self {
            learned: Learned::new(sizes.learned_bits),
            pages: [Moved::new(sizes.learned_bits), Moved::new(sizes.learned_bits)],
            fields: alloc::vec![OfField::NEW; fields],
            sure: alloc::vec![Cell::NEW; SOURCES * fields * details * 2],
            details,
            later: [[Cell::NEW; SOURCES]; SOURCES],
            recent: [Cell::NEW; RECENT],
            shifted: [0; RECENT],
            low: [[Cell::NEW; 16]; 2 * GROUPS],
            high,
            went: 0,
        }
    }

    /// Bytes that this takes besides itself.
    pub(super) fn memory(sizes: &Sizes) -> usize {
        let sure = SOURCES * details(sizes) * 2 * size_of::<Cell>();
        fields(sizes) * (sure + size_of::<OfField>()) + ((3 * Learned::EACH) << sizes.learned_bits)
    }

    pub(super) fn reset(&mut self) {
        self.learned.reset();
        self.pages.iter_mut().for_each(Moved::reset);
        self.fields.fill(OfField::NEW);
        self.sure.fill(Cell::NEW);
        self.later = [[Cell::NEW; SOURCES]; SOURCES];
        self.recent = [Cell::NEW; RECENT];
        (self.shifted, self.went) = ([0; RECENT], 0);
        self.low = [[Cell::NEW; 16]; 2 * GROUPS];
    }

    /// Where the map says that an old address went which a field of this kind refers to, and how sure it is: 0 in a match, 1
    /// beside one, 2 by its segment.
    pub(super) fn mapped(&mut self, unit: &Unit, space: &Space, target: u64, field: Field) -> (u64, usize) {
        let number = usize::from(field.number()) & (self.fields.len() - 1);
        mapped(unit, space, target, &mut self.fields[number].near)
    }

    /// Codes a field, whose new bytes are `known`.
    pub(super) fn code<C: Coder>(
        &mut self,
        coder: &mut C,
        numbers: &mut Numbers,
        site: &Site<'_>,
        known: &[u8],
    ) -> Outcome {
        let number = usize::from(site.field.number()) & (self.fields.len() - 1);
        let mapped = self.mapped(site.unit, site.space, site.target, site.field);
        let learned = self.learned.get(site.key(0), site.target);
        let width = site.field.width();
        coder.about(Subject::Flags(site.field.number()));
        let mut guesses = Guesses { list: Default::default(), count: 0 };
        self.add(&mut guesses, site, number, (MAP, mapped.1, mapped.0));
        let map = guesses.list[0];
        // What the map says is right nearly always: whatever else could be guessed isn't worked out then.
        let first = learned.is_none() && self.sure[map.cell].one() >= SURE;
        if first {
            let hit = coder.bit(known == &map.bytes[..width], self.sure[map.cell].one());
            self.sure[map.cell].learn(hit, 255);
            self.went = usize::from(hit);
            if hit {
                return Outcome::Told(map.bytes);
            }
        }
        self.others(&mut guesses, site, number, learned);
        let sorted = usize::from(first)..guesses.count;
        guesses.list[sorted.clone()]
            .sort_unstable_by_key(|guess| (core::cmp::Reverse(self.sure[guess.cell].one()), guess.source));
        let mut right = None;
        for (i, guess) in guesses.list[..guesses.count].iter().enumerate().skip(sorted.start) {
            let same = known == &guess.bytes[..width];
            let hit = match i {
                0 => coder.bit(same, self.sure[guess.cell].one()),
                _ => self.later[i][guess.source].code(coder, same),
            };
            if hit {
                right = Some(i);
                break;
            }
        }
        self.went = usize::from(right == Some(0));
        let best = guesses.list[0];
        let outcome = match right {
            Some(i) => Outcome::Told(guesses.list[i].bytes),
            None => self.missed(coder, numbers, site, number, &best, known),
        };
        let told = match outcome {
            Outcome::Told(bytes) => Some(bytes),
            Outcome::Unexplained(_) => None,
        };
        for guess in &guesses.list[sorted.start..guesses.count] {
            self.sure[guess.cell].learn(told == Some(guess.bytes), 255);
        }
        if let Some(bytes) = told.filter(|_| site.field.is_whole())
            && let Some(target) = site.field.read(&bytes[..width], site.place)
        {
            self.learn(site, target, mapped.0, number);
        }
        outcome
    }

    /// Adds a guess, unless another one means the same bytes.
    #[inline]
    fn add(
        &self,
        guesses: &mut Guesses,
        site: &Site<'_>,
        number: usize,
        (source, detail, target): (usize, usize, u64),
    ) {
        let others = &guesses.list[..guesses.count];
        if others.iter().any(|guess| guess.target == target) {
            return;
        }
        let mut bytes = site.old;
        site.field.write(&mut bytes[..site.field.width()], site.place, target);
        if others.iter().any(|guess| guess.bytes == bytes) {
            return;
        }
        let detail = detail.min(self.details - 1);
        let cell = (((source * self.fields.len()) + number) * self.details + detail) * 2 + self.went;
        guesses.list[guesses.count] = Guess { source, target, bytes, cell };
        guesses.count += 1;
    }

    /// Adds what else than the map tells where a target went.
    fn others(&self, guesses: &mut Guesses, site: &Site<'_>, number: usize, learned: Option<(u64, usize)>) {
        let old = site.target;
        if let Some((target, trust)) = learned {
            self.add(guesses, site, number, (LEARNED, trust - 1, target));
        }
        for (i, source) in [FINE, COARSE].into_iter().enumerate() {
            if let Some((shift, trust)) = self.pages[i].get(site.key(PAGES[i])) {
                self.add(guesses, site, number, (source, trust, old.wrapping_add(shift)));
            }
        }
        let [a, b] = self.fields[number].kin;
        let nearer = if a.0.abs_diff(old) <= b.0.abs_diff(old) { a } else { b };
        let near = usize::from(nearer.0.abs_diff(old) < 64);
        self.add(guesses, site, number, (KIN, near, old.wrapping_add(nearer.1)));
    }

    fn learn(&mut self, site: &Site<'_>, new: u64, mapped: u64, number: usize) {
        let old = site.target;
        self.learned.learn(site.key(0), old, new, mapped);
        let shift = new.wrapping_sub(old);
        for (pages, bits) in self.pages.iter_mut().zip(PAGES) {
            pages.learn(site.key(bits), shift);
        }
        let [a, b] = &mut self.fields[number].kin;
        if a.0.abs_diff(old) > b.0.abs_diff(old) {
            core::mem::swap(a, b);
        }
        // A jump begins another row, and the older of the two makes room for it.
        if a.0.abs_diff(old) > 1 << 16 {
            core::mem::swap(a, b);
        }
        *a = (old, shift);
    }

    /// No guess was right: how far the target is from the likeliest, or nothing.
    fn missed<C: Coder>(
        &mut self,
        coder: &mut C,
        numbers: &mut Numbers,
        site: &Site<'_>,
        number: usize,
        best: &Guess,
        known: &[u8],
    ) -> Outcome {
        if !site.field.is_whole() {
            return Outcome::Unexplained(best.bytes);
        }
        let width = site.field.width();
        let target = site.field.read(known, site.place).unwrap_or(0);
        let shift = target.wrapping_sub(best.target);
        let mut again = best.bytes;
        site.field.write(&mut again[..width], site.place, target);
        let sound = (shift as i64).unsigned_abs() < NEAR && &again[..width] == known;
        coder.about(Subject::Targets(site.field.number()));
        if !self.fields[number].whole.code(coder, sound) {
            return Outcome::Unexplained(best.bytes);
        }
        let aligned = usize::from(best.target & 15 == 0);
        let shift = self.shift(coder, numbers, shift, group(site.field.number()), aligned);
        let mut bytes = best.bytes;
        site.field.write(&mut bytes[..width], site.place, best.target.wrapping_add(shift));
        Outcome::Told(bytes)
    }

    /// How far a target is from where it was predicted: as one of late, or in units of 16 and a rest.
    fn shift<C: Coder>(
        &mut self,
        coder: &mut C,
        numbers: &mut Numbers,
        known: u64,
        group: usize,
        aligned: usize,
    ) -> u64 {
        let place = self.shifted.iter().position(|shift| *shift == known).unwrap_or(RECENT);
        let mut found = RECENT;
        for i in 0..RECENT {
            if self.recent[i].code(coder, i == place) {
                found = i;
                break;
            }
        }
        let shift = match self.shifted.get(found) {
            Some(shift) => *shift,
            None => {
                let cells = &mut self.low[group * 2 + aligned];
                let mut node = 1_usize;
                for i in (0..4).rev() {
                    let bit = cells[node].code(coder, known >> i & 1 == 1);
                    node = node << 1 | usize::from(bit);
                }
                let how = As { kind: 0, context: self.high + group };
                let high = numbers.signed(coder, known as i64 >> 4, how);
                (high << 4) as u64 | (node & 15) as u64
            }
        };
        self.shifted[..(found + 1).min(RECENT)].rotate_right(1);
        self.shifted[0] = shift;
        shift
    }
}

/// Contexts of a distance, by what kind of field it is.
pub(super) const GROUPS: usize = 4;

fn group(number: u8) -> usize {
    match number {
        0..=2 => 0,
        3..=7 => 1,
        8..=16 => 2,
        _ => 3,
    }
}

/// Where the map says that an old address went, and how that was found: 0 in a match, 1 beside one, 2 by its segment.
fn mapped(unit: &Unit, space: &Space, target: u64, near: &mut usize) -> (u64, usize) {
    let by_segment = || {
        let moved = space.segment(target).map(|s| {
            // Memory without content follows its segment's end, content its beginning.
            let inside = target - s.old_address;
            match inside.checked_sub(s.old_length) {
                Some(past) => s.new_address.wrapping_add(s.new_length).wrapping_add(past),
                None => s.new_address.wrapping_add(inside),
            }
        });
        (moved.unwrap_or(target), 2)
    };
    let Some(segment) = space.content(target) else { return by_segment() };
    let (place, found) = match unit.map.place(segment.old + (target - segment.old_address), near) {
        Some(Place::Matched(new)) => (new, 0),
        Some(Place::Near(new)) => (new, 1),
        None => return by_segment(),
    };
    // Segments overlap: a table of symbols is one of its own, and what is counted in it stays so.
    if let Some(inside) = place.checked_sub(segment.new).filter(|inside| *inside <= segment.new_length) {
        return (segment.new_address.wrapping_add(inside), found);
    }
    let end = || place.checked_sub(1).and_then(|before| space.new_address(before)).map(|a| a.wrapping_add(1));
    match space.new_address(place).or_else(end) {
        Some(address) => (address, found),
        None => by_segment(),
    }
}
