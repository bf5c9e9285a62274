//! One slot, rewritten in place: whatever the moment of a power cut, it ends in the new image; whatever is malformed is found
//! while the slot still holds the old one.

use std::sync::LazyLock;

use perennial_device_core::crypto::Ring;
use perennial_device_core::delta::DeltaError;
use perennial_device_core::delta::in_place::{self, Job, Ports};
use perennial_device_core::port::memory::MemoryFlash;
use perennial_device_core::port::power::Power;
use perennial_schemas::crypto::Digest;
use perennial_schemas::delta::{FrameKind, Header, InPlace, Profile};
use perennial_schemas::index::{Index, Shape};
use perennial_signer::delta::apply::apply;
use perennial_signer::delta::make::make;
use perennial_tests::delta::{HINTS, Random, edited, mutated, settings, slot};
use proptest::prelude::*;

use super::program;

/// A slot with an old image in it, and the delta to a new one.
struct Rig {
    old: Vec<u8>,
    new: Vec<u8>,
    place: InPlace,
    delta: Vec<u8>,
    index: Index,
}

impl Rig {
    fn new(old: &[u8], new: &[u8], place: InPlace, code: usize) -> Self {
        let mut settings = settings(Profile::Mcu, HINTS[code]);
        settings.in_place = Some(place);
        let delta = make(old, new, &settings, &Default::default()).unwrap();
        let (old, new) = (old.to_vec(), new.to_vec());
        let index = index(&new, 12);
        Self { old, new, place, delta, index }
    }

    /// A little of this program, with a function put in at the beginning and one taken out behind.
    fn small() -> Self {
        let program = program();
        let old = &program[0x10000..0x10000 + 18_000];
        let new =
            [&old[..2_000], &program[0x30000..0x30000 + 700], &old[2_000..9_000], &old[9_400..]].concat();
        Self::new(old, &new, InPlace { sector_bits: 10, sectors: 26 }, 0)
    }

    fn flash(&self, power: &Power) -> MemoryFlash {
        MemoryFlash::new(power, self.place.sector() as u32, self.place.sectors, &self.old)
    }

    fn apply(&self, flash: &mut MemoryFlash) -> Result<(), DeltaError> {
        self.apply_as(flash, &self.delta, &self.index, [7; 16], 64 << 10)
    }

    fn apply_as(
        &self,
        flash: &mut MemoryFlash,
        delta: &[u8],
        index: &Index,
        id: [u8; 16],
        memory: u64,
    ) -> Result<(), DeltaError> {
        let header = Header::parse(delta)?;
        let mut payload = delta;
        let job = Job { id, index, memory };
        in_place::apply(header, &job, Ports { flash, payload: &mut payload }, &Ring)
    }

    /// Power is cut at this operation, and perhaps again at another; then it is left on.
    fn cut(&self, at: u64, again: Option<u64>) {
        let power = Power::new();
        let mut flash = self.flash(&power);
        flash.seed = at.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 7;
        for cut in [Some(at), again].into_iter().flatten() {
            power.cut_after(cut);
            let _ = self.apply(&mut flash);
            power.restore();
        }
        self.apply(&mut flash).unwrap_or_else(|error| panic!("after a cut at {at}, {again:?}: {error}"));
        assert!(flash.slot.starts_with(&self.new), "after a cut at {at}, {again:?}");
    }

    /// How many operations it takes.
    fn operations(&self) -> u64 {
        let power = Power::new();
        let mut flash = self.flash(&power);
        self.apply(&mut flash).unwrap();
        assert!(flash.slot.starts_with(&self.new));
        power.log().len() as u64
    }
}

fn index(image: &[u8], chunk_bits: u8) -> Index {
    let shape = Shape::new(image.len() as u64, chunk_bits).unwrap();
    Index::new(shape, image.chunks(1 << chunk_bits).map(|chunk| Ring.sha256(chunk)).collect()).unwrap()
}

#[test]
fn power_cut_at_any_operation_ends_in_the_new_image() {
    let rig = Rig::small();
    let operations = rig.operations();
    for at in 0..operations {
        // A second cut as well, each time elsewhere.
        rig.cut(at, (at % 3 == 0).then(|| at * 7919 % operations));
    }
}

#[test]
fn the_same_delta_makes_the_new_image_elsewhere() {
    let rig = Rig::small();
    let mut out = Vec::new();
    apply(&rig.old, &rig.delta, 64 << 10, &mut out).unwrap();
    assert!(out == rig.new);
}

#[test]
fn once_it_is_done_it_is_done() {
    let rig = Rig::small();
    let power = Power::new();
    let mut flash = rig.flash(&power);
    rig.apply(&mut flash).unwrap();
    let operations = power.log().len();
    rig.apply(&mut flash).unwrap();
    assert_eq!(power.log().len(), operations, "nothing is erased or written");
    // The owner goes back to the old image by other means, and then takes the update again.
    flash.slot[..rig.old.len()].copy_from_slice(&rig.old);
    rig.apply(&mut flash).unwrap();
    assert!(flash.slot.starts_with(&rig.new));
}

/// Other flash, another old image, too little memory, chunks longer than a frame's borders, bytes that the index doesn't know.
#[test]
fn what_does_not_fit_is_refused_before_anything_is_written() {
    let rig = Rig::small();
    let power = Power::new();
    let number = |flash: &mut MemoryFlash, index: &Index, memory: u64| {
        let before = (flash.slot.clone(), flash.journal.clone());
        let refused = rig.apply_as(flash, &rig.delta, index, [7; 16], memory).unwrap_err().to_string();
        assert!((flash.slot.clone(), flash.journal.clone()) == before, "{refused}");
        refused
    };
    let mut other = MemoryFlash::new(&power, 2048, 13, &rig.old);
    assert!(number(&mut other, &rig.index, 1 << 16).contains("(30)"));
    let mut other = MemoryFlash::new(&power, 1024, 27, &rig.old);
    assert!(number(&mut other, &rig.index, 1 << 16).contains("(30)"));
    let mut flash = rig.flash(&power);
    assert!(number(&mut flash, &rig.index, 10_000).contains("(25)"));
    assert!(number(&mut flash, &index(&rig.new, 16), 1 << 16).contains("(30)"));
    let mut wrong = rig.new.clone();
    wrong[9_000] ^= 1;
    assert!(number(&mut flash, &index(&wrong, 12), 1 << 16).contains("chunk 2"));
    flash.slot[17_000] ^= 1;
    assert!(number(&mut flash, &rig.index, 1 << 16).contains("(32)"));
}

#[test]
fn another_delta_that_has_begun_is_not_written_over() {
    let rig = Rig::small();
    let power = Power::new();
    let mut flash = rig.flash(&power);
    power.cut_after(rig.operations() / 2);
    rig.apply(&mut flash).unwrap_err();
    power.restore();
    let before = flash.slot.clone();
    let other = rig.apply_as(&mut flash, &rig.delta, &rig.index, [8; 16], 1 << 16).unwrap_err();
    assert_eq!(other, DeltaError::Underway);
    assert!(flash.slot == before);
    rig.apply(&mut flash).unwrap();
    assert!(flash.slot.starts_with(&rig.new));
}

/// The same frames for a slot with fewer sectors to spare: they read what they overwrite.
#[test]
fn old_bytes_that_are_overwritten_are_never_read() {
    let rig = Rig::small();
    let mut header = Header::parse(&rig.delta).unwrap();
    let frames = rig.delta[header.encoded_length() as usize..].to_vec();
    header.in_place = Some(InPlace { sector_bits: 10, sectors: 19 });
    let delta = [header.encode(), frames].concat();
    assert!(
        matches!(apply(&rig.old, &delta, 1 << 20, &mut Vec::new()), Err(error) if error.to_string().contains("(29)"))
    );
    let power = Power::new();
    let mut flash = MemoryFlash::new(&power, 1024, 19, &rig.old);
    let refused = rig.apply_as(&mut flash, &delta, &rig.index, [7; 16], 1 << 16);
    assert_eq!(refused, Err(DeltaError::Overwritten));
    assert!(power.log().is_empty());
}

#[test]
fn frames_end_with_sectors_and_memory_is_small() {
    let rig = Rig::small();
    let header = Header::parse(&rig.delta).unwrap();
    assert!(header.is_aligned(4096) && header.frames.iter().filter(|f| f.kind != FrameKind::Map).count() > 1);
    assert!(in_place::memory(&header) < 24 << 10);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// Any images, any slot that holds them: power is cut here and there.
    #[test]
    fn any_image_is_rewritten(number in any::<u64>(), code in 0..HINTS.len(), noise in any::<bool>()) {
        let mut random = Random(number);
        let material = if noise { random.bytes(20_000) } else { program()[..20_000].to_vec() };
        let old = &material[..1 + random.below(material.len())];
        let new = edited(old, &mut random);
        let place = slot(old.len().max(new.len()), &mut random);
        let rig = Rig::new(old, &new, place, code);
        let operations = rig.operations() as usize;
        for _ in 0..4 {
            rig.cut(random.below(operations) as u64, Some(random.below(operations) as u64));
        }
    }

    /// A damaged delta either comes to the same image, or leaves the slot as it was.
    #[test]
    fn what_is_damaged_leaves_the_slot_alone(number in any::<u64>()) {
        static RIG: LazyLock<Rig> = LazyLock::new(Rig::small);
        let rig = &*RIG;
        let mut random = Random(number);
        for _ in 0..8 {
            let damaged = mutated(&rig.delta, &rig.delta, &mut random);
            let power = Power::new();
            let mut flash = rig.flash(&power);
            match rig.apply_as(&mut flash, &damaged, &rig.index, [7; 16], 1 << 20) {
                Ok(()) => prop_assert!(flash.slot.starts_with(&rig.new)),
                Err(_) => prop_assert!(power.log().is_empty()),
            }
        }
    }
}
