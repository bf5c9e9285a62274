//! A map frame: what a stretch of the new image is made of, told ahead of the bytes that it predicts.
//!
//! Decides that a description keeps to what the header declared and to the images' lengths. Written once, over
//! [`Coder`]: the signer's encoder passes the unit that it made, a device an empty one, and gets what was coded.

use alloc::vec::Vec;

use perennial_schemas::delta::Sizes;

use super::DeltaError;
use super::coder::{Coder, Subject};
use super::map::{Map, Match};
use super::model::cell::Cell;
use super::model::number::Number;
use super::refs::SectionKind;
use super::space::{Section, Segment, Space};

/// What a step's bytes are, after those that it inserts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Action {
    /// Nothing.
    #[default]
    End,
    /// Bytes of the old image from here on, as they are.
    Copy(u64),
    /// Bytes of the old image from here on, with references predicted and corrections.
    Patch(u64),
    /// One byte, again and again.
    Fill(u8),
}

/// Bytes that are sent, then bytes that are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Step {
    /// How many bytes are inserted.
    pub insert: u64,
    /// What follows.
    pub action: Action,
    /// How many bytes that makes; 0 for [`Action::End`] alone.
    pub length: u64,
}

/// A stretch of the new image, with all that is known ahead of its bytes. Offsets are into the whole images.
#[derive(Debug, Default)]
pub struct Unit {
    /// Where it begins in the new image.
    pub start: u64,
    /// Its length in bytes.
    pub length: u64,
    /// Address spaces.
    pub spaces: Vec<Space>,
    /// What reads which bytes of the old image: ascending, disjoint.
    pub sections: Vec<Section>,
    /// What it is made of.
    pub steps: Vec<Step>,
    /// Where old bytes went.
    pub map: Map,
}

impl Unit {
    /// With room for what a header declares.
    pub fn with_room(sizes: &Sizes) -> Self {
        Self {
            sections: Vec::with_capacity(usize::from(sizes.sections)),
            steps: Vec::with_capacity(sizes.operations as usize),
            map: Map::with_capacity(sizes.operations as usize),
            ..Self::default()
        }
    }

    /// Every match, in the order of the new image.
    pub fn matches(&self) -> impl Iterator<Item = Match> + '_ {
        self.steps.iter().scan(self.start, |at, step| {
            let new = *at + step.insert;
            *at = new + step.length;
            Some(match step.action {
                Action::Copy(old) | Action::Patch(old) => Match { old, new, length: step.length },
                Action::End | Action::Fill(_) => Match::default(),
            })
        })
    }

    /// Codes a map frame: `known` is the truth for an encoder, and an empty unit for a decoder. This unit becomes what was
    /// coded. `start` is where it begins in the new image, `old_length` the length of the old one.
    ///
    /// # Errors
    /// [`DeltaError::Map`] past what the header declares, or past the images' ends.
    pub fn code<C: Coder>(
        &mut self,
        coder: &mut C,
        known: &Unit,
        start: u64,
        old_length: u64,
        sizes: &Sizes,
    ) -> Result<(), DeltaError> {
        self.start = start;
        let mut numbers = Number::new(CONTEXTS);
        self.code_spaces(coder, &mut numbers, known, sizes)?;
        self.code_sections(coder, &mut numbers, known, old_length, sizes)?;
        self.code_steps(coder, known, old_length, sizes)?;
        let steps = &self.steps;
        let mut at = self.start;
        self.map.set(steps.iter().filter_map(|step| {
            let new = at + step.insert;
            at = new + step.length;
            match step.action {
                Action::Copy(old) | Action::Patch(old) => Some(Match { old, new, length: step.length }),
                Action::End | Action::Fill(_) => None,
            }
        }));
        Ok(())
    }

    fn code_spaces<C: Coder>(
        &mut self,
        coder: &mut C,
        numbers: &mut Number,
        known: &Unit,
        sizes: &Sizes,
    ) -> Result<(), DeltaError> {
        coder.about(Subject::Layout);
        self.spaces.clear();
        let count = numbers.code(coder, known.spaces.len() as u64, COUNT)?;
        let mut room = u64::from(sizes.segments);
        for i in 0..count {
            let known = known.spaces.get(i as usize).map_or(&[][..], Space::segments);
            let segments = numbers.code(coder, known.len() as u64, COUNT)?;
            room = room.checked_sub(segments.max(1)).ok_or(DeltaError::Map)?;
            let mut read: Vec<Segment> = Vec::with_capacity(segments as usize);
            for i in 0..segments as usize {
                let before = read.last().copied().unwrap_or_default();
                read.push(code_segment(coder, numbers, known.get(i).copied().unwrap_or_default(), &before)?);
            }
            self.spaces.push(Space::new(read).ok_or(DeltaError::Map)?);
        }
        Ok(())
    }

    fn code_sections<C: Coder>(
        &mut self,
        coder: &mut C,
        numbers: &mut Number,
        known: &Unit,
        old_length: u64,
        sizes: &Sizes,
    ) -> Result<(), DeltaError> {
        self.sections.clear();
        let count = numbers.code(coder, known.sections.len() as u64, COUNT)?;
        if count > u64::from(sizes.sections) {
            return Err(DeltaError::Map);
        }
        let (mut end, mut space) = (0, 0);
        for i in 0..count as usize {
            let known = known.sections.get(i);
            let number = numbers.code(coder, known.map_or(0, |s| s.kind as u64), KIND)?;
            let kind = u8::try_from(number).ok().and_then(SectionKind::from_number).ok_or(DeltaError::Map)?;
            let gap = numbers.code(coder, known.map_or(0, |s| s.start.wrapping_sub(end)), GAP)?;
            let length = numbers.code(coder, known.map_or(0, |s| s.length), LENGTH)?;
            let further = known.map_or(0, |s| i64::from(s.space) - i64::from(space));
            let further = numbers.signed(coder, further, SPACE)?;
            space = u16::try_from(i64::from(space).saturating_add(further))
                .ok()
                .filter(|space| usize::from(*space) < self.spaces.len())
                .ok_or(DeltaError::Map)?;
            let start = within(end, gap, old_length)?;
            end = within(start, length, old_length)?;
            self.sections.push(Section { kind, start, length, space });
        }
        Ok(())
    }

    fn code_steps<C: Coder>(
        &mut self,
        coder: &mut C,
        known: &Unit,
        old_length: u64,
        sizes: &Sizes,
    ) -> Result<(), DeltaError> {
        self.steps.clear();
        self.length = 0;
        let mut steps = Steps::new(self.start);
        let count = steps.numbers.code(coder, known.steps.len() as u64, 0)?;
        if count > u64::from(sizes.operations) {
            return Err(DeltaError::Map);
        }
        for i in 0..count as usize {
            let known = known.steps.get(i).copied().unwrap_or_default();
            coder.about(Subject::Steps);
            let step = steps.code(coder, known, old_length)?;
            self.steps.push(step);
        }
        self.length = steps.new - self.start;
        Ok(())
    }
}

const CONTEXTS: usize = 8;
const COUNT: usize = 0;
const KIND: usize = 1;
const GAP: usize = 2;
const LENGTH: usize = 3;
const SPACE: usize = 4;
const OFFSET: usize = 5;
const ADDRESS: usize = 6;
const CHANGE: usize = 7;

/// `start` + `length`, at most `end`.
fn within(start: u64, length: u64, end: u64) -> Result<u64, DeltaError> {
    start.checked_add(length).filter(|to| *to <= end).ok_or(DeltaError::Map)
}

/// A segment in the light of the one before: the new side by its change against the old one.
fn code_segment<C: Coder>(
    coder: &mut C,
    numbers: &mut Number,
    known: Segment,
    before: &Segment,
) -> Result<Segment, DeltaError> {
    let mut near = |value: u64, expected: u64, context| {
        let change = numbers.signed(coder, value.wrapping_sub(expected) as i64, context)?;
        Ok::<u64, DeltaError>(expected.wrapping_add(change as u64))
    };
    let old = near(known.old, before.old.wrapping_add(before.old_length), OFFSET)?;
    let old_length = near(known.old_length, 0, LENGTH)?;
    let shift = before.old_address.wrapping_sub(before.old);
    let old_address = near(known.old_address, old.wrapping_add(shift), ADDRESS)?;
    let old_memory = near(known.old_memory, old_length, OFFSET)?;
    let new = near(known.new, before.new.wrapping_add(old.wrapping_sub(before.old)), CHANGE)?;
    let new_length = near(known.new_length, old_length, CHANGE)?;
    let shift = old_address.wrapping_sub(old);
    let new_address = near(known.new_address, new.wrapping_add(shift), CHANGE)?;
    let new_memory =
        near(known.new_memory, new_length.wrapping_add(old_memory.wrapping_sub(old_length)), CHANGE)?;
    let code = numbers.code(coder, u64::from(known.code), KIND)? == 1;
    Ok(Segment { old, old_length, old_address, old_memory, new, new_length, new_address, new_memory, code })
}

/// Diagonals (distances from old to new) that were used of late.
const RECENT: usize = 8;

/// What the steps of a unit are coded with.
struct Steps {
    numbers: Number,
    kinds: [[Cell; 4]; 8],
    recent: [[Cell; RECENT]; 3],
    diagonals: [u64; RECENT],
    /// The last step's kind and whether it stayed on a recent diagonal.
    last: usize,
    along: usize,
    /// Where the last copy ended in the old image.
    old: u64,
    new: u64,
}

impl Steps {
    fn new(start: u64) -> Self {
        Self {
            numbers: Number::new(24),
            kinds: [[Cell::NEW; 4]; 8],
            recent: [[Cell::NEW; RECENT]; 3],
            diagonals: [0; RECENT],
            last: 0,
            along: 0,
            old: start,
            new: start,
        }
    }

    fn code<C: Coder>(&mut self, coder: &mut C, known: Step, old_length: u64) -> Result<Step, DeltaError> {
        let insert = self.numbers.code(coder, known.insert, 1 + self.last)?;
        let new = within(self.new, insert, NEW_END)?;
        let kind = match known.action {
            Action::End => 0,
            Action::Patch(_) => 1,
            Action::Copy(_) => 2,
            Action::Fill(_) => 3,
        };
        let cells = &mut self.kinds[self.last * 2 + usize::from(insert == 0)];
        let high = cells[1].code(coder, kind & 2 == 2)?;
        let kind =
            usize::from(high) << 1 | usize::from(cells[2 + usize::from(high)].code(coder, kind & 1 == 1)?);
        let action = match kind {
            0 => Action::End,
            3 => match known.action {
                Action::Fill(byte) => Action::Fill(coder.plain(u64::from(byte), 8)? as u8),
                _ => Action::Fill(coder.plain(0, 8)? as u8),
            },
            kind => {
                let known = match known.action {
                    Action::Copy(old) | Action::Patch(old) => old,
                    Action::End | Action::Fill(_) => 0,
                };
                let old = self.source(coder, known, insert == 0, new)?;
                if kind == 1 { Action::Patch(old) } else { Action::Copy(old) }
            }
        };
        let length = match action {
            Action::End => 0,
            _ => self.numbers.code(coder, known.length, 8 + kind * 4 + self.along)?,
        };
        if let Action::Copy(old) | Action::Patch(old) = action {
            self.old = within(old, length, old_length)?;
        }
        if insert == 0 && length == 0 {
            return Err(DeltaError::Map);
        }
        self.last = kind;
        self.new = within(new, length, NEW_END)?;
        Ok(Step { insert, action, length })
    }

    /// Where a copy comes from: on a diagonal used of late, or so far from where the last copy ended.
    fn source<C: Coder>(
        &mut self,
        coder: &mut C,
        known: u64,
        joined: bool,
        new: u64,
    ) -> Result<u64, DeltaError> {
        let diagonal = |old: u64| new.wrapping_sub(old);
        let context = usize::from(joined) + usize::from(self.last != 0);
        let place = self.diagonals.iter().position(|d| *d == diagonal(known)).unwrap_or(RECENT);
        let mut found = RECENT;
        for i in 0..RECENT {
            if self.recent[context][i].code(coder, i == place)? {
                found = i;
                break;
            }
        }
        let old = match self.diagonals.get(found) {
            Some(d) => new.wrapping_sub(*d),
            None => {
                let far =
                    self.numbers.signed(coder, known.wrapping_sub(self.old) as i64, 5 + self.along.min(1))?;
                self.old.wrapping_add(far as u64)
            }
        };
        self.along = match found {
            0 => 0,
            RECENT => 1,
            _ => 2,
        };
        self.diagonals[..(found + 1).min(RECENT)].rotate_right(1);
        self.diagonals[0] = diagonal(old);
        Ok(old)
    }
}

/// No image is as long, so that sums never overflow.
const NEW_END: u64 = 1 << 40;
