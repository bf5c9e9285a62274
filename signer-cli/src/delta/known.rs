//! What two large images share, found out while they are read in pieces: so much less of them must be in memory.
//!
//! Decides what of them is missing: the inner part of long stretches that are the same in both, as far from their borders as
//! memory allows. A file that changed is then there as a whole in most cases, and what was around it.

use std::io;
use std::ops::Range;

use super::matching::Match;
use super::matching::bytes::same_ahead;
use super::matching::table::{BLOCK, Table, hash, rolled};
use super::partial::{self, Blocks, Images, Partial};
use super::progress::{Progress, Stage};
use super::source::{Source, Window};

/// Bytes that stay on either side of what is missing, the most first.
const BESIDE: [u64; 6] = [2 << 20, 1 << 20, 512 << 10, 256 << 10, 128 << 10, 64 << 10];
/// Equal blocks that are looked through for the nearest one.
const EQUALS: usize = 32;
/// Bytes that are compared at once.
const AHEAD: usize = 64 << 10;
/// Bytes after which it is told how many are done.
const STRIDE: u64 = 1 << 20;

/// Reads two images, as much of them as `most` bytes if that does; at least what isn't the same in both.
///
/// # Errors
/// As the sources; [`io::ErrorKind::Interrupted`] where `progress` doesn't go on.
pub fn read(
    (old, new): (&dyn Source, &dyn Source),
    most: u64,
    progress: &Progress<'_>,
) -> io::Result<Images<'static>> {
    progress.begin(Stage::Comparing, old.length() + new.length());
    let (table, zeros_of_old) = blocks(old, progress)?;
    let (matches, zeros_of_new) = Scan::new((old, new), &table, progress).run()?;
    progress.end();
    drop(table);
    let mut choice = Choice::default();
    for beside in BESIDE {
        choice = Choice::new(&matches, beside, old.length());
        let there =
            [(old.length(), &choice.left, &zeros_of_old), (new.length(), &choice.inner(), &zeros_of_new)];
        if there.map(|(length, missing, zeros)| held(length, missing, zeros)).iter().sum::<u64>() <= most {
            break;
        }
    }
    let of_new = choice.inner();
    let there = partial::there(old.length(), &choice.missing) + partial::there(new.length(), &of_new);
    progress.begin(Stage::Reading, there);
    let images = Images {
        old: Partial::read(old, choice.missing, (BLOCK as u64, &zeros_of_old), progress)?,
        new: Partial::read(new, of_new, (BLOCK as u64, &zeros_of_new), progress)?,
        known: choice.known,
        around: choice.around,
    };
    progress.end();
    Ok(images)
}

/// Bytes of an image that will be in memory.
fn held(length: u64, missing: &[Range<u64>], zeros: &Blocks) -> u64 {
    let mut all = length.saturating_sub(zeros.count() * BLOCK as u64);
    for range in missing {
        let blocks = range.start.div_ceil(BLOCK as u64)..range.end / BLOCK as u64;
        all = all.saturating_sub(blocks.filter(|block| !zeros.has(*block)).count() as u64 * BLOCK as u64);
    }
    all
}

/// What is missing of both images.
#[derive(Default)]
struct Choice {
    /// The same in both.
    known: Vec<Match>,
    /// The same of the old image.
    missing: Vec<Range<u64>>,
    /// What of that is loaded later, and what is left.
    around: Vec<Range<u64>>,
    left: Vec<Range<u64>>,
}

impl Choice {
    fn new(matches: &[Match], beside: u64, old_length: u64) -> Self {
        let inner =
            |m: &Match| Match { old: m.old + beside, new: m.new + beside, length: m.length - 2 * beside };
        let known: Vec<Match> = matches.iter().filter(|m| m.length > 3 * beside).map(inner).collect();
        let block = BLOCK as u64;
        let mut gone = Blocks::none_of(old_length / block);
        for m in &known {
            (m.old.div_ceil(block)..(m.old + m.length) / block).for_each(|block| gone.set(block, true));
        }
        let missing = stretches(&gone, old_length / block);
        // Around every place where the images part, what is inserted is looked for in the old one.
        for place in matches.iter().flat_map(|m| [m.old, m.old + m.length]) {
            let around = place.saturating_sub(beside) / block..(place + beside).div_ceil(block);
            around.for_each(|block| gone.set(block, false));
        }
        let left = stretches(&gone, old_length / block);
        let around = without(&missing, &left);
        Self { known, missing, around, left }
    }

    /// What is missing of the new image.
    fn inner(&self) -> Vec<Range<u64>> {
        self.known.iter().map(|m| m.new..m.new + m.length).collect()
    }
}

/// Stretches of these blocks, of so many, in bytes.
fn stretches(blocks: &Blocks, count: u64) -> Vec<Range<u64>> {
    let mut found: Vec<Range<u64>> = Vec::new();
    for number in (0..count).filter(|number| blocks.has(*number)) {
        let (start, end) = (number * BLOCK as u64, (number + 1) * BLOCK as u64);
        match found.last_mut() {
            Some(last) if last.end == start => last.end = end,
            _ => found.push(start..end),
        }
    }
    found
}

/// The parts of `all` that are not in `some`, which are parts of them.
fn without(all: &[Range<u64>], some: &[Range<u64>]) -> Vec<Range<u64>> {
    let (mut found, mut rest) = (Vec::new(), some);
    for range in all {
        let mut at = range.start;
        while let Some((inside, others)) = rest.split_first().filter(|(inside, _)| inside.start < range.end) {
            found.push(at..inside.start);
            (at, rest) = (inside.end, others);
        }
        found.push(at..range.end);
    }
    found.retain(|range| !range.is_empty());
    found
}

/// The old image's blocks by their hash, and which of them are zeros.
fn blocks(old: &dyn Source, progress: &Progress<'_>) -> io::Result<(Table, Blocks)> {
    let count = old.length() / BLOCK as u64;
    let (mut known, mut zeros) = (Vec::new(), Blocks::none_of(count));
    let mut window = Window::new(old);
    for number in 0..count {
        let at = number * BLOCK as u64;
        if at.is_multiple_of(STRIDE) {
            progress.at(at);
            progress.go_on()?;
        }
        let block = &window.from(at, BLOCK)?[..BLOCK];
        match is_zero(block) {
            true => zeros.set(number, true),
            false => known.push((hash(block), number as u32)),
        }
    }
    Ok((Table::of(known), zeros))
}

fn is_zero(block: &[u8]) -> bool {
    block.iter().all(|byte| *byte == 0)
}

/// Goes over the new image.
struct Scan<'s, 'p> {
    old_length: u64,
    new_length: u64,
    old: Window<'s>,
    new: Window<'s>,
    table: &'s Table,
    matches: Vec<Match>,
    zeros: Blocks,
    /// Of the last match: `old - new`.
    shift: i64,
    progress: &'s Progress<'p>,
}

impl<'s, 'p> Scan<'s, 'p> {
    fn new(
        (old, new): (&'s dyn Source, &'s dyn Source),
        table: &'s Table,
        progress: &'s Progress<'p>,
    ) -> Self {
        Self {
            old_length: old.length(),
            new_length: new.length(),
            old: Window::new(old),
            new: Window::new(new),
            table,
            matches: Vec::new(),
            zeros: Blocks::none_of(new.length() / BLOCK as u64),
            shift: 0,
            progress,
        }
    }

    /// Stretches that are the same in both, of a block or more, ascending in the new image; and which blocks of that are zeros.
    fn run(mut self) -> io::Result<(Vec<Match>, Blocks)> {
        let (mut at, mut heard) = (0, 0);
        while at + BLOCK as u64 <= self.new_length {
            if at >= heard {
                heard = at + STRIDE;
                self.told(at)?;
            }
            at = match at % BLOCK as u64 {
                0 => match self.aligned(at)? {
                    Some(end) => end,
                    None => self.roll(at)?,
                },
                _ => self.roll(at)?,
            };
        }
        Ok((self.matches, self.zeros))
    }

    /// Tries what needs no hash at an aligned place: where it goes on, if that is something.
    fn aligned(&mut self, at: u64) -> io::Result<Option<u64>> {
        if is_zero(&self.new.from(at, BLOCK)?[..BLOCK]) {
            self.zeros.set(at / BLOCK as u64, true);
            return Ok(Some(at + BLOCK as u64));
        }
        for shift in [self.shift, 0] {
            let old = at.checked_add_signed(shift).filter(|old| old + BLOCK as u64 <= self.old_length);
            if let Some(old) = old
                && self.same(old, at, BLOCK)? == BLOCK
            {
                return self.copy(old, at).map(Some);
            }
        }
        Ok(None)
    }

    /// Looks up every place up to the next aligned one: where it goes on.
    fn roll(&mut self, at: u64) -> io::Result<u64> {
        let stop = (at / BLOCK as u64 + 1) * BLOCK as u64;
        let Self { new, table, .. } = self;
        let bytes = new.from(at, 2 * BLOCK)?;
        let count = (stop - at).min((bytes.len() - BLOCK) as u64 + 1) as usize;
        let mut value = hash(&bytes[..BLOCK]);
        let mut hit = None;
        for place in 0..count {
            if table.may_hold(value) && table.numbers(value).next().is_some() {
                hit = Some((place, value));
                break;
            }
            if let Some(byte) = bytes.get(place + BLOCK) {
                value = rolled(value, bytes[place], *byte);
            }
        }
        let Some((place, value)) = hit else { return Ok(at + count as u64) };
        let at = at + place as u64;
        let expected = at.saturating_add_signed(self.shift);
        let mut numbers: Vec<u64> =
            table.numbers(value).take(EQUALS).map(|number| number as u64 * BLOCK as u64).collect();
        numbers.sort_by_key(|old| old.abs_diff(expected));
        for old in numbers {
            if self.same(old, at, BLOCK)? == BLOCK {
                return self.copy(old, at);
            }
        }
        Ok(at + 1)
    }

    /// How many of so many bytes are the same.
    fn same(&mut self, old: u64, new: u64, most: usize) -> io::Result<usize> {
        let (old, new) = (self.old.from(old, most)?, self.new.from(new, most)?);
        Ok(same_ahead(&old[..most.min(old.len())], &new[..most.min(new.len())]))
    }

    /// So much of the new image is compared.
    fn told(&self, at: u64) -> io::Result<()> {
        self.progress.at(self.old_length + at);
        Ok(self.progress.go_on()?)
    }

    /// Notes what is the same from these places on: where that ends in the new image.
    fn copy(&mut self, old: u64, new: u64) -> io::Result<u64> {
        let mut length = 0;
        loop {
            let more = self.same(old + length, new + length, AHEAD)?;
            length += more as u64;
            self.told(new + length)?;
            if more < AHEAD {
                break;
            }
        }
        self.shift = old.cast_signed() - new.cast_signed();
        self.matches.push(Match { old, new, length });
        Ok(new + length)
    }
}

#[cfg(test)]
mod tests {
    use super::super::matching::tests::noise;
    use super::*;

    fn read_of(old: &[u8], new: &[u8], most: u64) -> Images<'static> {
        read((&old, &new), most, &Progress::default()).unwrap()
    }

    #[test]
    fn what_is_the_same_in_both_is_not_read() {
        let old = noise(1 << 20, 1);
        let mut new = old.clone();
        new.splice(300_000..300_000, noise(5_000, 2));
        new[700_000] ^= 1;
        let images = read_of(&old, &new, 0);
        for known in &images.known {
            let (from, to) = (known.old as usize, known.new as usize);
            let length = known.length as usize;
            assert!(old[from..from + length] == new[to..to + length]);
        }
        let missing: u64 = images.new.missing().iter().map(|range| range.end - range.start).sum();
        assert!(missing > 600_000, "{missing}");
        for (partial, whole) in [(&images.old, &old), (&images.new, &new)] {
            let mut at = 0;
            for range in partial.missing() {
                let (start, end) = (range.start as usize, range.end as usize);
                assert!(partial.bytes()[at..start] == whole[at..start]);
                assert!(partial.bytes()[start..end].iter().all(|byte| *byte == 0));
                at = end;
            }
            assert!(partial.bytes()[at..] == whole[at..]);
        }
        assert!(images.around.is_empty(), "nothing stands in two places");
        assert!(images.old.holds(&(240_000..360_000)));
        assert!(images.new.holds(&(640_000..760_000)));
    }

    #[test]
    fn what_a_changed_copy_may_be_made_from_is_read_later() {
        let old = noise(1 << 20, 6);
        let mut again = old[400_000..500_000].to_vec();
        again[50_000] ^= 1;
        let images = read_of(&old, &[&old[..], &again].concat(), 0);
        assert!(!images.old.holds(&(400_000..500_000)));
        assert!(
            images.around.iter().any(|range| range.start <= 400_000 && range.end >= 500_000),
            "{:?}",
            images.around
        );
    }

    #[test]
    fn all_is_read_where_there_is_room_for_it_or_nothing_is_the_same() {
        let old = noise(1 << 20, 3);
        let images = read_of(&old, &noise(900_000, 4), 0);
        assert!(images.known.is_empty() && images.old.bytes() == old);
        let images = read_of(&old, &old, 4 << 20);
        assert!(images.known.is_empty() && images.old.missing().is_empty() && images.new.bytes() == old);
        assert!(!read_of(&old, &old, 1 << 20).known.is_empty());
    }

    #[test]
    fn whoever_is_told_may_stop_it() {
        let old = noise(1 << 16, 5);
        let stopped = read((&&old[..], &&old[..]), 0, &Progress::new(&mut |_| false));
        assert_eq!(stopped.unwrap_err().kind(), io::ErrorKind::Interrupted);
    }
}
