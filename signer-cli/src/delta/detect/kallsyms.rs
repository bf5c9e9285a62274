//! A kernel's list of its own symbols (`kallsyms`), which nothing in the file points to.
//!
//! Decides where it is by what no other data looks like: some ten thousand numbers that never grow, and a permutation.

use perennial_device_core::delta::space::Section;

/// Symbols that a kernel has at least.
const FEWEST: usize = 4096;
/// Bytes behind the offsets in which their number stands.
const NEAR: usize = 32;
/// Entries of an order that are looked at before all of them are.
const FIRST: usize = 32;

/// Where the tables stand, by offset and length.
pub(super) struct Symbols {
    /// `kallsyms_offsets`; without the order those alone that are relative to the base.
    pub(super) offsets: (u64, u64),
    /// `kallsyms_seqs_of_names`, from Linux 6.2 on.
    pub(super) order: Option<(u64, u64)>,
}

/// The symbols in a kernel's read-only data.
pub(super) fn find(file: &[u8], start: u64, length: u64) -> Option<Symbols> {
    let start = usize::try_from(start).ok()?;
    let data = file.get(start..start.checked_add(usize::try_from(length).ok()?)?)?;
    let run = run(data)?;
    let whole = |at: usize, length: usize| ((start + at) as u64, length as u64);
    let (count, number) = match number(data, &run) {
        Some(found) => found,
        None => return Some(Symbols { offsets: whole(run.start * 4, run.len() * 4), order: None }),
    };
    let of_all = number.checked_sub(8 + (count * 4).next_multiple_of(8));
    let order = of_all.and_then(|_| order(data, number, count));
    match (of_all, order) {
        (Some(of_all), Some(order)) => {
            Some(Symbols { offsets: whole(of_all, count * 4), order: Some(whole(order, count * 3)) })
        }
        _ => Some(Symbols { offsets: whole(run.start * 4, run.len() * 4), order: None }),
    }
}

/// The longest run of negative numbers that never grow, by words.
fn run(data: &[u8]) -> Option<std::ops::Range<usize>> {
    let mut best = 0..0;
    let (mut first, mut last) = (0, i32::MIN);
    for (at, chunk) in data.chunks_exact(4).enumerate() {
        let value = chunk.first_chunk().map_or(0, |chunk| i32::from_le_bytes(*chunk));
        if value >= 0 || value > last {
            first = at;
        }
        last = value;
        if value < 0 && at + 1 - first > best.len() {
            best = first..at + 1;
        }
    }
    (best.len() >= FEWEST).then_some(best)
}

/// How many symbols there are, and where that stands: soon behind their offsets, and a little more than the run is long,
/// since a processor's own data comes before it.
fn number(data: &[u8], run: &std::ops::Range<usize>) -> Option<(usize, usize)> {
    let end = run.end * 4;
    let word = |at: usize| Some(u32::from_le_bytes(*data.get(at..)?.first_chunk()?) as usize);
    let mut places = (end.saturating_sub(8)..end + NEAR).step_by(4);
    let near = |count: usize| count + 8 > run.len() && count < run.len() + run.len() / 4;
    places.find_map(|at| Some((word(at).filter(|count| near(*count))?, at)))
}

/// Where all numbers below `count` stand, each once, in 3 bytes.
fn order(data: &[u8], from: usize, count: usize) -> Option<usize> {
    let numbers =
        |at: usize| {
            let entries = data.get(at..)?.get(..count * 3)?.chunks_exact(3);
            Some(entries.map(|entry| {
                usize::from(entry[0]) << 16 | usize::from(entry[1]) << 8 | usize::from(entry[2])
            }))
        };
    let once = |at: usize, most: usize| {
        let mut seen = vec![false; count];
        numbers(at).is_some_and(|mut numbers| {
            numbers
                .by_ref()
                .take(most)
                .all(|number| seen.get_mut(number).is_some_and(|seen| !std::mem::replace(seen, true)))
        })
    };
    let likely = |at: &usize| {
        let first: Option<Vec<usize>> = numbers(*at).map(|numbers| numbers.take(FIRST).collect());
        first.is_some_and(|mut first| {
            first.sort_unstable();
            first.iter().all(|number| *number < count) && first.windows(2).all(|pair| pair[0] != pair[1])
        })
    };
    let last = data.len().checked_sub(count * 3)?;
    (from.next_multiple_of(4)..last + 1).step_by(4).filter(likely).find(|at| once(*at, count))
}

/// The sections without the stretch that another one takes.
pub(super) fn around(sections: Vec<Section>, start: u64, length: u64) -> Vec<Section> {
    let end = start + length;
    let mut all = Vec::with_capacity(sections.len() + 2);
    for section in sections {
        let ends = section.start.saturating_add(section.length);
        if section.start >= end || ends <= start {
            all.push(section);
            continue;
        }
        all.push(Section { length: start.saturating_sub(section.start), ..section });
        // Entries are counted from their section's start: what follows begins at a whole one.
        let next = end.next_multiple_of(8);
        all.push(Section { start: next, length: ends.saturating_sub(next), ..section });
    }
    all
}

#[cfg(test)]
mod tests {
    use perennial_device_core::delta::refs::SectionKind;

    use super::*;

    #[test]
    fn symbols_are_found_with_their_order() {
        const COUNT: usize = 5000;
        let mut data = vec![7; 1 << 10];
        // A processor's own data, then what is relative to the base.
        let own = [0_u32, 0x1000, 0x2000, 0x3000];
        let rest = (own.len()..COUNT).map(|number| !(number as u32 * 16));
        data.extend(own.into_iter().chain(rest).flat_map(u32::to_le_bytes));
        data.extend(0xffff_ffff_8100_0000_u64.to_le_bytes());
        data.extend((COUNT as u64).to_le_bytes());
        data.extend(vec![0; 1000]);
        let order = data.len();
        data.extend((0..COUNT).flat_map(|number| {
            let [_, bytes @ ..] = ((number * 3) as u32 % COUNT as u32).to_be_bytes();
            bytes
        }));
        data.extend([0xff; 100]);
        let found = find(&data, 0, data.len() as u64).unwrap();
        assert_eq!(found.offsets, (1 << 10, COUNT as u64 * 4));
        assert_eq!(found.order, Some((order as u64, COUNT as u64 * 3)));
        assert!(find(&data[..order], 0, order as u64).unwrap().order.is_none());
        let whole =
            Section { kind: SectionKind::KernelData64, start: 0, length: data.len() as u64, space: 0 };
        let parts = around(vec![whole], order as u64, COUNT as u64 * 3 + 1);
        assert!(parts.iter().all(|part| part.start % 8 == 0), "{parts:?}");
        assert!(find(&data[..1 << 12], 0, 1 << 12).is_none());
    }
}
