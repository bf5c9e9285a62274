//! From matches to units: which steps make the new image, and how many of them one map tells.

use std::io;

use perennial_device_core::delta::refs::{LOOK_AHEAD, LOOK_BEHIND};
use perennial_device_core::delta::space::{Section, Space, Spaces};
use perennial_device_core::delta::unit::{Action, Step, Unit};

use super::detect::Described;
use super::matching::{Match, Piece};
use super::partial::{Images, Read};

/// An exact match of so many bytes or more is copied as it is: no prediction could better it.
const EXACT: u64 = 1024;

/// The units that make all of `new` of these pieces (ascending in the new image, disjoint, in bounds): one, as a rule; as
/// few as do with `most` steps each, where there are more of them. What a unit refers to in another one is mapped by its own
/// matches alone. Units end at multiples of `granule` bytes, for which a few may have more steps.
pub fn units(
    images: &Images<'_>,
    pieces: &[Piece],
    described: &Described,
    most: usize,
    granule: u64,
) -> Vec<Unit> {
    let steps = steps(images, pieces);
    let each = steps.len().div_ceil(steps.len().div_ceil(most.max(1)).max(1)).max(1);
    let mut start = 0;
    let unit = |steps: &[Step]| {
        let length = steps.iter().map(|step| step.insert + step.length).sum();
        let (spaces, sections) = used(&described.spaces, patched(steps, &described.sections));
        let steps = steps.iter().copied().collect();
        let unit = Unit { start, length, spaces, sections, steps, ..Unit::default() };
        start += length;
        unit
    };
    match granule {
        ..=1 => steps.chunks(each).map(unit).collect(),
        _ => chunks(&steps, each, granule).iter().map(|steps| &steps[..]).map(unit).collect(),
    }
}

/// So many steps each, cut at multiples of `granule` bytes.
fn chunks(steps: &[Step], each: usize, granule: u64) -> Vec<Vec<Step>> {
    let (mut chunks, mut chunk) = (Vec::new(), Vec::new());
    let (mut start, mut at) = (0, 0);
    for step in steps {
        let mut step = *step;
        let end = at + step.insert + step.length;
        // The last multiple of the granule in this step.
        let cut = end / granule * granule;
        if chunk.len() + 1 >= each && cut > at.max(start) && cut < end {
            let (before, behind) = split(&step, cut - at);
            chunk.push(before);
            chunks.push(std::mem::take(&mut chunk));
            (start, step) = (cut, behind);
        }
        chunk.push(step);
        at = end;
        if chunk.len() >= each && at.is_multiple_of(granule) {
            chunks.push(std::mem::take(&mut chunk));
            start = at;
        }
    }
    if !chunk.is_empty() {
        chunks.push(chunk);
    }
    chunks
}

/// A step in two, the first of which makes so many bytes.
fn split(step: &Step, at: u64) -> (Step, Step) {
    match at.checked_sub(step.insert) {
        None | Some(0) => {
            (Step { insert: at, ..Step::default() }, Step { insert: step.insert - at, ..*step })
        }
        Some(inside) => {
            let action = match step.action {
                Action::Copy(old) => Action::Copy(old + inside),
                Action::Patch(old) => Action::Patch(old + inside),
                other => other,
            };
            let behind = Step { insert: 0, action, length: step.length - inside };
            (Step { length: inside, ..*step }, behind)
        }
    }
}

fn steps(images: &Images<'_>, pieces: &[Piece]) -> Vec<Step> {
    let (old, new) = (images.old.bytes(), images.new.bytes());
    let is_known = |m: &Match| !images.new.holds(&(m.new..m.new + m.length));
    let mut steps = Vec::with_capacity(pieces.len() + 1);
    let mut at = 0;
    for piece in pieces {
        let (start, length, action) = match *piece {
            Piece::Fill { new, length, byte } => (new, length, Action::Fill(byte)),
            Piece::Copy(m) => {
                let range = |start: u64| start as usize..(start + m.length) as usize;
                let exact = m.length >= EXACT && (is_known(&m) || old[range(m.old)] == new[range(m.new)]);
                (m.new, m.length, if exact { Action::Copy(m.old) } else { Action::Patch(m.old) })
            }
        };
        steps.push(Step { insert: start - at, action, length });
        at = start + length;
    }
    let length = new.len() as u64;
    if at < length {
        steps.push(Step { insert: length - at, ..Step::default() });
    }
    steps
}

/// These pieces, cut where bytes of the new image are missing: what is made of them is a copy of what is known to be the same.
pub fn cut(pieces: &[Piece], known: &[Match]) -> Vec<Piece> {
    let mut cut = Vec::with_capacity(pieces.len());
    let mut rest = known;
    for piece in pieces {
        let Piece::Copy(m) = piece else {
            cut.push(*piece);
            continue;
        };
        let (mut at, end) = (m.new, m.new + m.length);
        let part =
            |start: u64, stop: u64| Match { old: m.old + (start - m.new), new: start, length: stop - start };
        rest = &rest[rest.partition_point(|known| known.new + known.length <= at)..];
        let inside = rest.iter().take_while(|known| known.new < end);
        for place in inside.flat_map(|known| [known.new, known.new + known.length]).chain([end]) {
            let stop = place.clamp(at, end);
            if stop > at {
                cut.push(Piece::Copy(part(at, stop)));
            }
            at = stop;
        }
    }
    cut
}

/// Loads what the pieces copy of the old image and what isn't known to be the same.
///
/// # Errors
/// As `read`.
pub fn load_copied(images: &mut Images<'_>, pieces: &[Piece], read: Read<'_>) -> io::Result<()> {
    for piece in pieces {
        if let Piece::Copy(m) = piece
            && images.new.holds(&(m.new..m.new + m.length))
        {
            images.old.load(m.old..m.old + m.length, read)?;
        }
    }
    Ok(())
}

/// Loads what a walk over these units reads of the old image besides: around patches, behind copies where something is
/// inserted, and the last bytes of what is copied, by which the next ones are predicted.
///
/// # Errors
/// As `read`.
pub fn load_around(images: &mut Images<'_>, units: &[Unit], read: Read<'_>) -> io::Result<()> {
    const AROUND: u64 = (LOOK_BEHIND + LOOK_AHEAD) as u64;
    for unit in units {
        let mut along = unit.start;
        for step in unit.steps.iter() {
            images.old.load(along..along + step.insert, read)?;
            let Some(old) = step.action.old() else { continue };
            let end = old + step.length;
            let patched = matches!(step.action, Action::Patch(_));
            let around = if patched {
                old.saturating_sub(AROUND)..end + AROUND
            } else {
                end.saturating_sub(AROUND)..end
            };
            images.old.load(around, read)?;
            along = end;
        }
    }
    Ok(())
}

/// The spaces that these sections name, numbered anew.
fn used(spaces: &[Space], sections: Vec<Section>) -> (Spaces, Vec<Section>) {
    let mut kept: Vec<u16> = sections.iter().map(|section| section.space).collect();
    kept.sort_unstable();
    kept.dedup();
    let number = |space: u16| kept.partition_point(|kept| *kept < space) as u16;
    let sections = sections.into_iter().map(|section| Section { space: number(section.space), ..section });
    (kept.iter().filter_map(|space| spaces.get(usize::from(*space))).collect(), sections.collect())
}

/// The sections that a patch reads from; nothing is predicted in the others.
fn patched(steps: &[Step], sections: &[Section]) -> Vec<Section> {
    let patches = steps.iter().filter_map(|step| match step.action {
        Action::Patch(old) => Some(old..old + step.length),
        Action::End | Action::Copy(_) | Action::Fill(_) => None,
    });
    let mut read = vec![false; sections.len()];
    for patch in patches {
        let first = sections.partition_point(|section| section.start + section.length <= patch.start);
        let inside = sections[first..].iter().take_while(|section| section.start < patch.end);
        read[first..].iter_mut().zip(inside).for_each(|(read, _)| *read = true);
    }
    sections.iter().zip(read).filter_map(|(section, read)| read.then_some(*section)).collect()
}

#[cfg(test)]
mod tests {
    use perennial_schemas::delta::{Header, Profile};

    use super::super::apply::apply;
    use super::super::encode::{Cut, Frames, encode};
    use super::super::make::{identity, tables::sizes};
    use super::super::matching::Match;
    use super::*;

    /// Blocks in another order, with a byte between them: five steps, and an end.
    #[test]
    fn more_steps_than_a_map_holds_become_several_units() {
        let old: Vec<u8> = (0..5000_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        let order = [3_usize, 0, 4, 1, 2];
        let mut new: Vec<u8> = order.iter().flat_map(|n| [&[7], &old[n * 1000..][..1000]].concat()).collect();
        new.push(9);
        let at =
            |(i, n): (usize, &usize)| Match { old: *n as u64 * 1000, new: i as u64 * 1001 + 1, length: 1000 };
        let pieces: Vec<Piece> = order.iter().enumerate().map(at).map(Piece::Copy).collect();
        let cases = [(100, 1, 1), (6, 1, 1), (5, 1, 2), (2, 1, 3), (1, 1, 6)];
        for (most, granule, expected) in cases.into_iter().chain([(100, 256, 1), (2, 256, 5), (1, 256, 6)]) {
            let images = Images::whole(&old, &new);
            let units = units(&images, &pieces, &Described::default(), most, granule);
            assert_eq!(units.len(), expected, "{most} {granule}");
            assert!(units.iter().all(|unit| unit.steps.len() <= most + usize::from(granule > 1)));
            assert!(units.iter().all(|unit| unit.start % granule == 0));
            let sizes = sizes(Profile::Linux, &units);
            let mut frames = Frames::default();
            for unit in &units {
                encode(
                    unit,
                    (&old, &images.new),
                    (Profile::Linux, &sizes),
                    Cut::Full,
                    &mut frames,
                    &mut |_| true,
                )
                .unwrap()
                .unwrap();
            }
            let (old_id, new_id) = (identity(&old), identity(&new));
            let header = Header {
                profile: Profile::Linux,
                sizes,
                in_place: None,
                old: old_id,
                new: new_id,
                layers: Vec::new(),
                frames: frames.frames,
            };
            let mut out = Vec::new();
            apply(&old, &[header.encode(), frames.bytes].concat(), u64::MAX, &mut out).unwrap();
            assert!(out == new, "{most}");
        }
    }
}
