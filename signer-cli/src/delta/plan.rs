//! From matches to a unit: which steps make the new image.

use perennial_device_core::delta::space::{Section, Space, Spaces};
use perennial_device_core::delta::unit::{Action, Step, Unit};

use super::detect::Described;
use super::matching::Piece;

/// An exact match of so many bytes or more is copied as it is: no prediction could better it.
const EXACT: u64 = 1024;

/// The unit that makes all of `new` of these pieces (ascending in the new image, disjoint, in bounds).
pub fn unit(old: &[u8], new: &[u8], pieces: &[Piece], described: &Described) -> Unit {
    let mut steps = Vec::with_capacity(pieces.len() + 1);
    let mut at = 0;
    for piece in pieces {
        let (start, length, action) = match *piece {
            Piece::Fill { new, length, byte } => (new, length, Action::Fill(byte)),
            Piece::Copy(m) => {
                let range = |start: u64| start as usize..(start + m.length) as usize;
                let exact = m.length >= EXACT && old[range(m.old)] == new[range(m.new)];
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
    let (spaces, sections) = used(&described.spaces, patched(&steps, &described.sections));
    Unit { start: 0, length, spaces, sections, steps: steps.into_iter().collect(), ..Unit::default() }
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
