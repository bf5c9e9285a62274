//! What a unit is made of, step by step: kept in 16 bytes each, and coded.

use alloc::vec::Vec;

use super::DeltaError;
use super::coder::{Coder, Subject};
use super::model::cell::Cell;
use super::model::number::{As, Numbers};
use super::packed::{END, Packed};

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

impl Action {
    /// Where its bytes are in the old image.
    pub fn old(&self) -> Option<u64> {
        match *self {
            Action::Copy(old) | Action::Patch(old) => Some(old),
            Action::End | Action::Fill(_) => None,
        }
    }

    fn number(&self) -> u8 {
        match self {
            Action::End => 0,
            Action::Patch(_) => 1,
            Action::Copy(_) => 2,
            Action::Fill(_) => 3,
        }
    }
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

/// The steps of a unit. Lengths and places are below 2^40.
#[derive(Debug, Default, Clone)]
pub struct Steps(Vec<Packed>);

impl Steps {
    /// Bytes that one takes.
    pub const EACH: usize = size_of::<Packed>();

    /// With room for `count`.
    pub fn with_room(count: usize) -> Self {
        Self(Vec::with_capacity(count))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The step at this place.
    #[inline]
    pub fn get(&self, place: usize) -> Option<Step> {
        self.0.get(place).map(unpacked)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = Step> + '_ {
        self.0.iter().map(unpacked)
    }

    /// This one alone.
    pub(super) fn only(&mut self, step: Step) {
        self.0.clear();
        self.push(step);
    }

    fn push(&mut self, step: Step) {
        let of = match step.action {
            Action::Copy(old) | Action::Patch(old) => old,
            Action::Fill(byte) => u64::from(byte),
            Action::End => 0,
        };
        self.0.push(Packed::new([step.insert, of, step.length], step.action.number()));
    }
}

impl FromIterator<Step> for Steps {
    fn from_iter<T: IntoIterator<Item = Step>>(steps: T) -> Self {
        let mut all = Self::default();
        steps.into_iter().for_each(|step| all.push(step));
        all
    }
}

fn unpacked(packed: &Packed) -> Step {
    let [insert, of, length] = packed.numbers();
    let action = match packed.tag {
        1 => Action::Patch(of),
        2 => Action::Copy(of),
        3 => Action::Fill(of as u8),
        _ => Action::End,
    };
    Step { insert, action, length }
}

/// Diagonals (distances from old to new) that were used of late.
const RECENT: usize = 8;
/// Contexts of numbers, by what they are and what came before.
pub(super) const CONTEXTS: usize = 16;
const COUNT: usize = 0;
const INSERT: usize = 1;
const FAR: usize = 5;
const LENGTH: usize = 7;

/// What steps are coded with.
struct Coding<'n> {
    numbers: &'n mut Numbers,
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
    /// Codes the steps that make a unit from `start` on; where it ends. Of `numbers` it takes the first [`CONTEXTS`]
    /// contexts.
    ///
    /// # Errors
    /// [`DeltaError::Map`] for more than `most`, and past the images' ends.
    pub(super) fn code<C: Coder>(
        &mut self,
        coder: &mut C,
        numbers: &mut Numbers,
        known: &Steps,
        start: u64,
        old_length: u64,
        most: u32,
    ) -> Result<u64, DeltaError> {
        self.0.clear();
        let mut coding = Coding {
            numbers,
            kinds: [[Cell::NEW; 4]; 8],
            recent: [[Cell::NEW; RECENT]; 3],
            diagonals: [0; RECENT],
            last: 0,
            along: 0,
            old: start,
            new: start,
        };
        let count = coding.number(coder, known.len() as u64, COUNT);
        if count > u64::from(most) {
            return Err(DeltaError::Map);
        }
        for i in 0..count as usize {
            coder.about(Subject::Steps);
            let step = coding.step(coder, known.get(i).unwrap_or_default(), old_length)?;
            self.push(step);
        }
        Ok(coding.new)
    }
}

impl Coding<'_> {
    fn number<C: Coder>(&mut self, coder: &mut C, value: u64, context: usize) -> u64 {
        self.numbers.code(coder, value, As { kind: 1, context })
    }

    fn step<C: Coder>(&mut self, coder: &mut C, known: Step, old_length: u64) -> Result<Step, DeltaError> {
        let insert = self.number(coder, known.insert, INSERT + self.last);
        let new = within(self.new, insert, END - 1)?;
        let kind = known.action.number();
        let cells = &mut self.kinds[self.last * 2 + usize::from(insert == 0)];
        let high = usize::from(cells[1].code(coder, kind & 2 == 2));
        let kind = high << 1 | usize::from(cells[2 + high].code(coder, kind & 1 == 1));
        let action = match (kind, known.action) {
            (0, _) => Action::End,
            (3, Action::Fill(byte)) => Action::Fill(coder.plain(u64::from(byte), 8) as u8),
            (3, _) => Action::Fill(coder.plain(0, 8) as u8),
            (kind, known) => {
                let old = self.source(coder, known.old().unwrap_or(0), insert == 0, new);
                if kind == 1 { Action::Patch(old) } else { Action::Copy(old) }
            }
        };
        let length = match action {
            Action::End => 0,
            _ => self.number(coder, known.length, LENGTH + (kind - 1) * 3 + self.along),
        };
        if let Some(old) = action.old() {
            self.old = within(old, length, old_length)?;
        }
        if insert == 0 && length == 0 {
            return Err(DeltaError::Map);
        }
        self.last = kind;
        self.new = within(new, length, END - 1)?;
        Ok(Step { insert, action, length })
    }

    /// Where a copy comes from: on a diagonal used of late, or so far from where the last copy ended.
    fn source<C: Coder>(&mut self, coder: &mut C, known: u64, joined: bool, new: u64) -> u64 {
        let diagonal = |old: u64| new.wrapping_sub(old);
        let context = usize::from(joined) + usize::from(self.last != 0);
        let place = self.diagonals.iter().position(|d| *d == diagonal(known)).unwrap_or(RECENT);
        let mut found = RECENT;
        for i in 0..RECENT {
            if self.recent[context][i].code(coder, i == place) {
                found = i;
                break;
            }
        }
        let old = match self.diagonals.get(found) {
            Some(d) => new.wrapping_sub(*d),
            None => {
                let how = As { kind: 1, context: FAR + self.along.min(1) };
                let far = self.numbers.signed(coder, known.wrapping_sub(self.old) as i64, how);
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
        old
    }
}

/// `start` + `length`, at most `end`.
pub(super) fn within(start: u64, length: u64, end: u64) -> Result<u64, DeltaError> {
    start.checked_add(length).filter(|to| *to <= end).ok_or(DeltaError::Map)
}
