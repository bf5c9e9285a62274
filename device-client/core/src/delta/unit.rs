//! A map frame: what a stretch of the new image is made of, told ahead of the bytes that it predicts.
//!
//! Decides that a description keeps to what the header declared and to the images' lengths. Written once, over
//! [`Coder`]: the signer's encoder passes the unit that it made, a device an empty one, and gets what was coded.

use alloc::vec::Vec;

use perennial_schemas::delta::Sizes;

use super::DeltaError;
use super::coder::{Coder, Subject};
use super::map::{Map, Match};
use super::model::number::{As, Numbers};
use super::refs::SectionKind;
use super::space::{Section, Segment, Spaces};
use super::steps::{self, Steps, within};
pub use super::steps::{Action, Step};

/// A stretch of the new image, with all that is known ahead of its bytes. Offsets are into the whole images.
#[derive(Debug, Default)]
pub struct Unit {
    /// Where it begins in the new image.
    pub start: u64,
    /// Its length in bytes.
    pub length: u64,
    /// Address spaces.
    pub spaces: Spaces,
    /// What reads which bytes of the old image: ascending, disjoint.
    pub sections: Vec<Section>,
    /// What it is made of.
    pub steps: Steps,
    /// Where old bytes went.
    pub map: Map,
}

/// What a map frame codes numbers by.
pub(super) const CONTEXTS: usize = LAYOUT + 8;
/// The first context of spaces and sections, behind those of steps.
const LAYOUT: usize = steps::CONTEXTS;

impl Unit {
    /// With room for what a header declares.
    pub fn with_room(sizes: &Sizes) -> Self {
        Self {
            spaces: Spaces::with_room(usize::from(sizes.segments)),
            sections: Vec::with_capacity(usize::from(sizes.sections)),
            steps: Steps::with_room(sizes.operations as usize),
            map: Map::with_room(sizes.operations as usize),
            ..Self::default()
        }
    }

    /// Bytes that this takes.
    pub(super) fn memory(sizes: &Sizes) -> usize {
        size_of::<Self>()
            + Spaces::memory(usize::from(sizes.segments))
            + usize::from(sizes.sections) * size_of::<Section>()
            + sizes.operations as usize * Steps::EACH
            + Map::memory(sizes.operations as usize)
    }

    /// Codes a map frame: `known` is the truth for an encoder, and an empty unit for a decoder. This unit becomes what was
    /// coded. `start` is where it begins in the new image, `old_length` the length of the old one.
    ///
    /// # Errors
    /// [`DeltaError::Map`] past what the header declares, or past the images' ends.
    pub(super) fn code<C: Coder>(
        &mut self,
        coder: &mut C,
        numbers: &mut Numbers,
        known: &Unit,
        start: u64,
        old_length: u64,
        sizes: &Sizes,
    ) -> Result<(), DeltaError> {
        self.start = start;
        self.code_spaces(coder, numbers, known, sizes)?;
        self.code_sections(coder, numbers, known, old_length, sizes)?;
        let end = self.steps.code(coder, numbers, &known.steps, start, old_length, sizes.operations)?;
        self.length = end - start;
        self.map.set(matches(start, &self.steps));
        Ok(())
    }

    /// What a map without bytes says: all of it is the old image's, from the same place on.
    ///
    /// # Errors
    /// [`DeltaError::Map`] past what the header declares, or past the old image's end.
    pub(super) fn copied(
        &mut self,
        start: u64,
        length: u64,
        old_length: u64,
        sizes: &Sizes,
    ) -> Result<(), DeltaError> {
        within(start, length, old_length)?;
        if sizes.operations == 0 {
            return Err(DeltaError::Map);
        }
        self.spaces.clear();
        self.sections.clear();
        self.steps.only(Step { insert: 0, action: Action::Copy(start), length });
        self.map.set(core::iter::empty());
        (self.start, self.length) = (start, length);
        Ok(())
    }

    fn code_spaces<C: Coder>(
        &mut self,
        coder: &mut C,
        numbers: &mut Numbers,
        known: &Unit,
        sizes: &Sizes,
    ) -> Result<(), DeltaError> {
        coder.about(Subject::Layout);
        self.spaces.clear();
        let count = number(coder, numbers, known.spaces.len() as u64, COUNT);
        let mut room = u64::from(sizes.segments);
        for i in 0..count {
            let known = known.spaces.get(i as usize);
            let segments = number(coder, numbers, known.len() as u64, COUNT);
            room = room.checked_sub(segments.max(1)).ok_or(DeltaError::Map)?;
            let mut before = Segment::default();
            for i in 0..segments as usize {
                before = code_segment(coder, numbers, known.get(i).copied().unwrap_or_default(), &before);
                self.spaces.push(before);
            }
            if !self.spaces.end() {
                return Err(DeltaError::Map);
            }
        }
        Ok(())
    }

    fn code_sections<C: Coder>(
        &mut self,
        coder: &mut C,
        numbers: &mut Numbers,
        known: &Unit,
        old_length: u64,
        sizes: &Sizes,
    ) -> Result<(), DeltaError> {
        self.sections.clear();
        let count = number(coder, numbers, known.sections.len() as u64, COUNT);
        if count > u64::from(sizes.sections) {
            return Err(DeltaError::Map);
        }
        let (mut end, mut space) = (0, 0);
        for i in 0..count as usize {
            let known = known.sections.get(i);
            let kind = number(coder, numbers, known.map_or(0, |s| s.kind as u64), KIND);
            let kind = u8::try_from(kind).ok().and_then(SectionKind::from_number).ok_or(DeltaError::Map)?;
            let gap = number(coder, numbers, known.map_or(0, |s| s.start.wrapping_sub(end)), GAP);
            let length = number(coder, numbers, known.map_or(0, |s| s.length), LENGTH);
            let further = known.map_or(0, |s| i64::from(s.space) - i64::from(space));
            let further = numbers.signed(coder, further, layout(SPACE));
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
}

fn matches(start: u64, steps: &Steps) -> impl Iterator<Item = Match> + '_ {
    let mut at = start;
    steps.iter().filter_map(move |step| {
        let new = at + step.insert;
        at = new + step.length;
        Some(Match { old: step.action.old()?, new, length: step.length })
    })
}

const COUNT: usize = 0;
const KIND: usize = 1;
const GAP: usize = 2;
const LENGTH: usize = 3;
const SPACE: usize = 4;
const OFFSET: usize = 5;
const ADDRESS: usize = 6;
const CHANGE: usize = 7;

fn layout(context: usize) -> As {
    As { kind: 0, context: LAYOUT + context }
}

fn number<C: Coder>(coder: &mut C, numbers: &mut Numbers, value: u64, context: usize) -> u64 {
    numbers.code(coder, value, layout(context))
}

/// A segment in the light of the one before: the new side by its change against the old one.
fn code_segment<C: Coder>(coder: &mut C, numbers: &mut Numbers, known: Segment, before: &Segment) -> Segment {
    let mut near = |value: u64, expected: u64, context| {
        let change = numbers.signed(coder, value.wrapping_sub(expected) as i64, layout(context));
        expected.wrapping_add(change as u64)
    };
    let old = near(known.old, before.old.wrapping_add(before.old_length), OFFSET);
    let old_length = near(known.old_length, 0, LENGTH);
    let shift = before.old_address.wrapping_sub(before.old);
    let old_address = near(known.old_address, old.wrapping_add(shift), ADDRESS);
    let old_memory = near(known.old_memory, old_length, OFFSET);
    let new = near(known.new, before.new.wrapping_add(old.wrapping_sub(before.old)), CHANGE);
    let new_length = near(known.new_length, old_length, CHANGE);
    let shift = old_address.wrapping_sub(old);
    let new_address = near(known.new_address, new.wrapping_add(shift), CHANGE);
    let new_memory =
        near(known.new_memory, new_length.wrapping_add(old_memory.wrapping_sub(old_length)), CHANGE);
    let code = numbers.code(coder, u64::from(known.code), layout(KIND)) == 1;
    Segment { old, old_length, old_address, old_memory, new, new_length, new_address, new_memory, code }
}
