//! Deltas under attack: seeds made by the signer, mutations of them, and what the device's decoder does with those.
//!
//! Shared by the property tests, the fuzzer `fuzz-delta` and the libFuzzer target. Everything follows from a seed.

pub mod cut;
mod decode;
pub mod told;

use perennial_device_core::delta::refs::SectionKind;
use perennial_schemas::delta::{Frame, FrameKind, Header, InPlace, Profile};
use perennial_signer::delta::detect::Hint;
use perennial_signer::delta::make::{Settings, make};
use perennial_signer::delta::matching::Options;

pub use decode::{ALLOWED, Outcome, declared, decode};

/// Small and quick pseudo-random numbers (SplitMix64), so that a seed says everything.
#[derive(Debug, Clone)]
pub struct Random(pub u64);

impl Random {
    /// 64 bits.
    pub fn word(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        word ^ (word >> 31)
    }

    /// Below `end`; 0 where that is 0.
    pub fn below(&mut self, end: usize) -> usize {
        ((u128::from(self.word()) * end as u128) >> 64) as usize
    }

    /// So many bytes.
    pub fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| self.word() as u8).collect()
    }
}

/// A container with what it was made from.
#[derive(Debug, Clone)]
pub struct Seed {
    /// The old image.
    pub old: Vec<u8>,
    /// The new image.
    pub new: Vec<u8>,
    /// The delta between them.
    pub container: Vec<u8>,
}

/// How a delta is made in these tests.
pub fn settings(profile: Profile, code: Hint) -> Settings {
    let matching = Options { jobs: 1, ..Options::default() };
    Settings { profile, in_place: None, code, references: true, masks: true, packing: true, matching }
}

/// Every kind of code that a raw image may be said to hold, and none.
pub const HINTS: [Hint; 7] = [
    Hint::Auto,
    Hint::None,
    Hint::Raw { kind: SectionKind::Thumb, address: 0x0800_0000 },
    Hint::Raw { kind: SectionKind::Arm, address: 0x8000 },
    Hint::Raw { kind: SectionKind::Aarch64, address: 0xFFFF_0000_0000_0000 },
    Hint::Raw { kind: SectionKind::Riscv64, address: 0x8000_0000 },
    Hint::Raw { kind: SectionKind::X86_64, address: 0x40_0000 },
];

/// `old` with some edits as images have them: bytes changed, put in, taken out, moved, runs, words that count up.
pub fn edited(old: &[u8], random: &mut Random) -> Vec<u8> {
    let mut new = old.to_vec();
    for _ in 0..1 + random.below(12) {
        let at = random.below(new.len() + 1);
        let length = (1 << random.below(12)) + random.below(9);
        let end = (at + length).min(new.len());
        match random.below(7) {
            0 => new[at..end].iter_mut().for_each(|byte| *byte = byte.wrapping_add(1)),
            1 => drop(new.splice(at..at, random.bytes(length))),
            2 => drop(new.drain(at..end)),
            3 => {
                let moved: Vec<u8> = new.drain(at..end).collect();
                let to = random.below(new.len() + 1);
                drop(new.splice(to..to, moved));
            }
            4 => drop(new.splice(at..at, vec![random.word() as u8; length])),
            5 => {
                let again = new[at..end].to_vec();
                new.extend(again);
            }
            _ => new[at..end].chunks_exact_mut(4).for_each(|word| {
                let value = u32::from_le_bytes([word[0], word[1], word[2], word[3]]);
                word.copy_from_slice(&value.wrapping_add(64).to_le_bytes());
            }),
        }
    }
    if new.is_empty() { random.bytes(3) } else { new }
}

/// A seed of at most `length` bytes of `material`, edited.
///
/// # Panics
/// Where the signer makes no delta: that is what the tests look for.
#[expect(clippy::expect_used, reason = "a test's tool: a panic ends it and says why")]
pub fn seed(material: &[u8], length: usize, profile: Profile, code: Hint, random: &mut Random) -> Seed {
    let length = random.below(length.min(material.len()) + 1);
    // As often as not from the beginning, where an ELF file says what it is.
    let at = if random.below(2) == 0 { 0 } else { random.below(material.len() - length + 1) & !3 };
    let old = material[at..at + length].to_vec();
    let new = edited(&old, random);
    let mut settings = settings(profile, code);
    if profile == Profile::Mcu && !old.is_empty() && random.below(2) == 0 {
        settings.in_place = Some(slot(old.len().max(new.len()), random));
    }
    let container = make(&old, &new, &settings, &Default::default());
    let container = container.expect("two images make a delta");
    Seed { old, new, container }
}

/// A seed of packed blocks, of which some were packed by another version of zstd.
///
/// # Panics
/// Where the signer makes no delta.
pub fn told_seed(blocks: u32, random: &mut Random) -> Seed {
    let packed = if random.below(2) == 0 { told::otherwise } else { told::earlier };
    seed_of(told::images(blocks, packed, random))
}

/// A seed of `.gz` files in two pieces.
///
/// # Panics
/// Where the signer makes no delta.
pub fn cut_seed(files: u32, random: &mut Random) -> Seed {
    seed_of(cut::images(files, random))
}

#[expect(clippy::expect_used, reason = "a test's tool: a panic ends it and says why")]
fn seed_of((old, new): (Vec<u8>, Vec<u8>)) -> Seed {
    let settings = settings(Profile::Linux, Hint::None);
    let container = make(&old, &new, &settings, &Default::default());
    let container = container.expect("two images make a delta");
    Seed { old, new, container }
}

/// A slot for images of so many bytes, with sectors to spare.
pub fn slot(length: usize, random: &mut Random) -> InPlace {
    let sector_bits = 8 + random.below(6) as u8;
    let most = 1 << random.below(7);
    let spare = 1 + random.below(most);
    InPlace { sector_bits, sectors: ((length >> sector_bits) + 1 + spare) as u32 }
}

/// A container with something wrong in it: bytes, a field of the header, frames.
pub fn mutated(seed: &[u8], other: &[u8], random: &mut Random) -> Vec<u8> {
    let mut bytes = match random.below(4) {
        0 => with_another_header(seed, random).unwrap_or_else(|| seed.to_vec()),
        _ => seed.to_vec(),
    };
    for _ in 0..random.below(6) {
        // Half of the time where the structure is.
        let reach = if random.below(2) == 0 { bytes.len().min(160) } else { bytes.len() };
        let at = random.below(reach);
        let end = (at + 1 + random.below(32)).min(bytes.len());
        match random.below(8) {
            0 => bytes.truncate(at),
            1 => drop(bytes.splice(at..at, random.bytes(end - at))),
            2 => drop(bytes.drain(at..end)),
            3 => {
                let from = random.below(other.len());
                let piece = other[from..(from + 64).min(other.len())].to_vec();
                let end = (at + piece.len()).min(bytes.len());
                drop(bytes.splice(at..end, piece));
            }
            4 => bytes[at..end].fill([0, 0xff, 0x80, 0x7f][random.below(4)]),
            5 => bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte = random.word() as u8),
            _ => bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 1 << random.below(8)),
        }
    }
    bytes
}

/// The same frames under a header that is well-formed and says something else.
fn with_another_header(seed: &[u8], random: &mut Random) -> Option<Vec<u8>> {
    let mut header = Header::parse(seed).ok()?;
    let frames = seed.get(header.encoded_length() as usize..)?.to_vec();
    let wild = |random: &mut Random| random.word() >> random.below(64);
    for _ in 0..1 + random.below(3) {
        let which = random.below(header.frames.len());
        match random.below(12) {
            10 => {
                // What is declared of packed parts.
                let layer = random.below(header.layers.len().max(1));
                if let Some(parts) = header.layers.get_mut(layer) {
                    let value = wild(random) as u32;
                    match random.below(6) {
                        5 => parts.same = !parts.same,
                        0 => parts.notes = value & 0x3_ffff,
                        1 => parts.new_most = value & 0x3_ffff,
                        2 => parts.zstd_level = value as u8 & 31,
                        3 => parts.new_parts = value & 0xff,
                        _ => parts.old_most = value & 0x3_ffff,
                    }
                }
            }
            11 => {
                let first = header.layers.len().min(header.frames.len());
                let other = first + random.below(header.frames.len() - first);
                if which >= first {
                    header.frames.swap(which, other);
                }
            }
            0 => header.sizes.block_bits = 6 + random.below(11) as u8,
            1 => header.sizes.context_bits = 6 + random.below(13) as u8,
            2 => header.sizes.learned_bits = 4 + random.below(15) as u8,
            3 => header.sizes.history_bits = [0, 8, 12, 16, 22][random.below(5)],
            4 => header.sizes.operations = wild(random) as u32 & 0x1ffff,
            5 => {
                (header.sizes.sections, header.sizes.segments) =
                    (wild(random) as u16 & 4095, wild(random) as u16 & 4095)
            }
            8 => header.in_place = Some(slot(header.old.length as usize, random)),
            6 => header.old.length = wild(random) & ((1 << 38) - 1),
            7 => header.frames[which].length = wild(random) & 0xf_ffff,
            _ => {
                let copy = header.frames[which];
                header.frames.push(copy);
            }
        }
        let Frame { kind, length } = &mut header.frames[which];
        match (kind, random.below(8)) {
            (FrameKind::Data(makes), 0 | 1) => {
                *makes = 1 + (wild(random) & ((1 << 26) - 1)).min((1 << 26) - 1)
            }
            (kind @ FrameKind::Data(_), 2) => *kind = FrameKind::Stored(*length),
            (kind @ FrameKind::Mark(_), 3) => *kind = FrameKind::Mark([wild(random) & 0xffff; 2]),
            (kind @ FrameKind::Stored(_), 0) => *kind = FrameKind::Data(1 + (wild(random) & 0xf_ffff)),
            _ => {}
        }
    }
    // The directory adds up again.
    header.new.length = header.frames.iter().filter_map(|frame| frame.kind.makes()).sum();
    Some([header.encode(), frames].concat())
}
