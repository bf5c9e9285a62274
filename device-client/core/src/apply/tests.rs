use super::*;
use crate::crypto::Ring;
use crate::plan::IndexFile;
use crate::port::Slot;
use crate::port::memory::{MemoryFetch, MemorySlots, MemoryStaging, RunLength};
use crate::port::power::Power;
use alloc::vec::Vec;
use perennial_schemas::index::Shape;
use perennial_schemas::{Sha256Digest, Timestamp};

/// Chunks of 4, 8 and 16 KiB.
const CHUNK_BITS: core::ops::RangeInclusive<u8> = 12..=14;

fn image() -> Vec<u8> {
    (0..100_000_u32).map(|i| (i / 7) as u8).collect()
}

fn index(fetch: &mut MemoryFetch, path: &str, content: &[u8], bits: u8) -> IndexFile {
    let shape = Shape::new(content.len() as u64, bits).unwrap();
    let chunks = content.chunks(1 << bits).map(|chunk| Ring.sha256(chunk)).collect();
    let (bytes, root) = Index::new(shape, chunks).unwrap().encode(&Ring);
    let length = bytes.len() as u64;
    fetch.targets.insert(path.into(), bytes);
    IndexFile { path: path.into(), length, root }
}

fn plan(fetch: &mut MemoryFetch, payload: &[u8], coding: Coding, bits: (u8, u8)) -> Plan {
    let image = image();
    fetch.targets.insert("payload".into(), payload.to_vec());
    let source = Source {
        image_index: index(fetch, "image.index", &image, bits.0),
        payload_index: index(fetch, "payload.index", payload, bits.1),
        payload: "payload".into(),
        payload_length: payload.len() as u64,
        coding,
        base: None,
        full: None,
        expires: Timestamp::EPOCH,
        rollout: None,
        staged: false,
    };
    Plan {
        version: "2.0.0".parse().unwrap(),
        manifest: Sha256Digest([0; 32]),
        security_version: 1,
        slot: Slot::B,
        length: image.len() as u64,
        sha256: Ring.sha256(&image),
        source: Some(source),
    }
}

/// Whatever the sizes of the chunks of image and payload, wherever it goes on: what is missing is written, once, and
/// the slot then holds the image.
#[test]
fn an_installation_goes_on_from_every_chunk_whatever_the_chunk_sizes() {
    let power = Power::new();
    let image = image();
    for (coding, payload) in [(Coding::Plain, image.clone()), (Coding::Zstd, RunLength::encode(&image))] {
        for bits in CHUNK_BITS.flat_map(|image| CHUNK_BITS.map(move |payload| (image, payload))) {
            let mut fetch = MemoryFetch { piece: 3001, ..MemoryFetch::default() };
            let plan = plan(&mut fetch, &payload, coding, bits);
            for from in (0..image.len()).step_by(1 << bits.0) {
                let mut slots = MemorySlots::new(&power, 1 << 20);
                slots.disk[1] = image[..from].to_vec();
                let mut saved = Vec::new();
                let mut save = |offset| {
                    saved.push(offset);
                    Ok(())
                };
                let tools = Tools {
                    fetch: &mut fetch,
                    staging: None,
                    decompress: &mut RunLength::default(),
                    slots: &mut slots,
                    running: None,
                    delta_memory: 0,
                };
                let source = plan.source.as_ref().unwrap();
                let checkpoint = Checkpoint { every: 30_000, save: &mut save };
                install(tools, &plan, source, whole(from as u64), &Ring, checkpoint).unwrap();
                assert_eq!(slots.disk[1], image, "{coding:?} {bits:?} from {from}");
                let missing = (image.len() - from).div_ceil(1 << bits.0);
                assert_eq!(slots.writes.len(), missing, "{coding:?} {bits:?} from {from}");
                assert!(saved.is_sorted() && saved.last() == Some(&plan.length), "{saved:?}");
            }
        }
    }
}

fn whole(from: u64) -> Part {
    Part { from, length: None, before: None }
}

/// In parts of any size the same is written, once, and nothing is fetched twice.
#[test]
fn an_installation_in_parts_goes_on_where_it_paused() {
    let power = Power::new();
    let image = image();
    for (coding, payload) in [(Coding::Plain, image.clone()), (Coding::Zstd, RunLength::encode(&image))] {
        for bits in CHUNK_BITS.flat_map(|image| CHUNK_BITS.map(move |payload| (image, payload))) {
            for length in [1, 10_000, 30_000, 1 << 20] {
                let mut fetch = MemoryFetch { piece: 3001, ..MemoryFetch::default() };
                let plan = plan(&mut fetch, &payload, coding, bits);
                let source = plan.source.as_ref().unwrap();
                let mut slots = MemorySlots::new(&power, 1 << 20);
                let (mut decompress, mut from, mut before, mut parts) = (RunLength::default(), 0, None, 0);
                loop {
                    let start = from;
                    let mut save = |offset| {
                        from = offset;
                        Ok(())
                    };
                    let checkpoint = Checkpoint { every: 30_000, save: &mut save };
                    let tools = Tools {
                        fetch: &mut fetch,
                        staging: None,
                        decompress: &mut decompress,
                        slots: &mut slots,
                        running: None,
                        delta_memory: 0,
                    };
                    let part = Part { from: start, length: Some(length), before: before.take() };
                    parts += 1;
                    match install(tools, &plan, source, part, &Ring, checkpoint).unwrap() {
                        Installed::Whole(_) => break,
                        Installed::Part(paused) => before = Some(paused),
                    }
                }
                assert_eq!(slots.disk[1], image, "{coding:?} {bits:?} {length}");
                assert_eq!(
                    slots.writes.len(),
                    image.len().div_ceil(1 << bits.0),
                    "{coding:?} {bits:?} {length}"
                );
                let chunks = payload.len().div_ceil(1 << bits.1);
                let each = (length as usize).div_ceil(1 << bits.1).max(1);
                assert_eq!(parts, chunks.div_ceil(each), "{coding:?} {bits:?} {length}");
                assert_eq!(fetch.ranges.len(), parts, "{:?}", fetch.ranges);
            }
        }
    }
}

#[test]
fn a_staged_payload_is_verified_again_before_it_is_unpacked() {
    let power = Power::new();
    let payload = RunLength::encode(&image());
    let mut fetch = MemoryFetch::default();
    let mut plan = plan(&mut fetch, &payload, Coding::Zstd, (12, 12));
    let mut source = plan.source.take().unwrap();
    source.staged = true;
    let mut staging = MemoryStaging::new(&power, 1 << 20);
    let mut save = |_| Ok(());
    let checkpoint = Checkpoint { every: 30_000, save: &mut save };
    crate::download::stage(
        &mut fetch,
        &mut staging,
        &plan,
        &source,
        0..source.payload_length,
        &Ring,
        checkpoint,
    )
    .unwrap();
    assert_eq!(staging.disk, payload);
    staging.disk[5000] ^= 1;
    staging.cut();
    let mut slots = MemorySlots::new(&power, 1 << 20);
    let tools = Tools {
        fetch: &mut fetch,
        staging: Some(&mut staging),
        decompress: &mut RunLength::default(),
        slots: &mut slots,
        running: None,
        delta_memory: 0,
    };
    let mut save = |_| Ok(());
    let checkpoint = Checkpoint { every: 30_000, save: &mut save };
    let error = install(tools, &plan, &source, whole(0), &Ring, checkpoint).err().unwrap();
    assert_eq!(error.code, FailureCode::PayloadDigest);
    assert!(slots.writes.iter().all(|(_, offset)| *offset < 5000 / 5 * 7), "{:?}", slots.writes);
}
