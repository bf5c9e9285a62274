//! BTF, the types of a kernel's data: places of names, and numbers of other types.
//!
//! Decides where a record begins: by the record before it, or, where a stretch begins, by the first word that says what a
//! record is. Layout: <https://docs.kernel.org/bpf/btf.html>.

use super::field::{Field, What};
use super::view::View;
use crate::delta::space::Space;

/// The number of a type.
const TYPE: Field = Field::Entry { table: Space::TYPES };
/// The names of a kernel's types, in a table that is known.
pub(super) const KERNEL: Names = Names { field: Field::String, known: true };
/// Those of a module, which count on behind the kernel's.
pub(super) const MODULE: Names = Names { field: Field::counted(Space::NAMES, 0, What::Name), known: false };

/// How names are told, and whether a segment says where they and the types are.
#[derive(Clone, Copy)]
pub(super) struct Names {
    field: Field,
    known: bool,
}

/// Bytes of what every record begins with: its name, what it is, and its size or another type.
const HEAD: usize = 12;

/// The entries that are left of a record.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Rest {
    entry: Entry,
    left: u32,
}

/// What a record's entries hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Entry {
    /// Something that refers to nothing, of 4 bytes.
    #[default]
    Word,
    /// Type, type of the index, count.
    Array,
    /// Name, type, offset in bits.
    Member,
    /// Name, value of 4 bytes.
    Value,
    /// Name, value of 8 bytes.
    Value64,
    /// Name, type.
    Parameter,
    /// Type, offset, size.
    Variable,
}

impl Entry {
    fn size(self) -> usize {
        match self {
            Entry::Word => 4,
            Entry::Value | Entry::Parameter => 8,
            Entry::Array | Entry::Member | Entry::Value64 | Entry::Variable => 12,
        }
    }

    /// Where a name stands in it, and where types do.
    fn fields(self) -> (Option<usize>, &'static [usize]) {
        match self {
            Entry::Word => (None, &[]),
            Entry::Array => (None, &[0, 4]),
            Entry::Member | Entry::Parameter => (Some(0), &[4]),
            Entry::Value | Entry::Value64 => (Some(0), &[]),
            Entry::Variable => (None, &[0]),
        }
    }
}

/// What a record is, by its second word.
struct Record {
    /// Whether its third word is a type.
    refers: bool,
    rest: Rest,
}

impl Record {
    /// `None` for a word that is no such.
    fn read(info: u32) -> Option<Self> {
        let (kind, count, flag) = (info >> 24 & 31, info & 0xffff, info >> 31 == 1);
        let some = |entry| (false, Rest { entry, left: count }, true, true);
        // Whether its third word is a type, its entries, whether it may have any number of them, and the flag.
        let (refers, rest, counted, flagged) = match kind {
            1 => (false, Rest { entry: Entry::Word, left: 1 }, false, false),
            3 => (false, Rest { entry: Entry::Array, left: 1 }, false, false),
            4 | 5 => some(Entry::Member),
            6 => some(Entry::Value),
            7 => (false, Rest::default(), false, true),
            2 | 8..=11 | 18 => (true, Rest::default(), false, false),
            12 => (true, Rest::default(), count <= 2, false),
            13 => (true, Rest { entry: Entry::Parameter, left: count }, true, false),
            14 | 17 => (true, Rest { entry: Entry::Word, left: 1 }, false, false),
            15 => some(Entry::Variable),
            16 => (false, Rest::default(), false, false),
            19 => some(Entry::Value64),
            _ => return None,
        };
        let sound = info & 0x60ff_0000 == 0 && (counted || count == 0) && (flagged || !flag);
        sound.then_some(Self { refers, rest })
    }
}

/// Adds the references of a block; `rest` is what the last one left.
pub(super) fn scan(view: &mut View<'_>, start: u64, rest: &mut Rest, names: Names) {
    let past = (view.address(view.at).wrapping_sub(start) % 4) as usize;
    let mut at = if past == 0 { view.at } else { view.at + 4 - past };
    while at < view.to {
        let (size, next) = match rest.left {
            0 => match view.u32(at + 4).and_then(Record::read) {
                Some(record) => {
                    reference(view, at, names.field, names.known);
                    if record.refers {
                        reference(view, at + 8, TYPE, names.known);
                    }
                    (HEAD, record.rest)
                }
                None => (4, *rest),
            },
            left => {
                let (name, types) = rest.entry.fields();
                // The number of a type never looks like this: it isn't an entry after all.
                if types.iter().any(|place| view.u32(at + place).is_some_and(|word| word >> 24 != 0)) {
                    *rest = Rest::default();
                    continue;
                }
                name.into_iter().for_each(|place| reference(view, at + place, names.field, names.known));
                types.iter().for_each(|place| reference(view, at + place, TYPE, names.known));
                (rest.entry.size(), Rest { left: left - 1, ..*rest })
            }
        };
        if at + size > view.to {
            // Its fields may begin in the next block: it is read again then.
            break;
        }
        (at, *rest) = (at + size, next);
    }
    view.at = at;
}

/// A name that is none, and no type, are 0.
fn reference(view: &mut View<'_>, at: usize, field: Field, known: bool) {
    match view.u32(at) {
        None | Some(0) => {}
        Some(_) if known => view.add_whole(at, field),
        Some(_) => view.add_whole_anywhere(at, field),
    }
}
