use std::io::Read;

use perennial_schemas::index::Index;
use proptest::prelude::*;

use super::*;
use crate::crypto::Ring;

/// Deterministic bytes that compress about by half.
fn bytes(length: usize) -> Vec<u8> {
    let mut state = 88_172_645_463_325_252_u64;
    let word = |state: &mut u64| {
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        *state & 0x0f0f_0f0f_0f0f_0f0f
    };
    std::iter::repeat_with(|| word(&mut state)).flat_map(u64::to_le_bytes).take(length).collect()
}

fn prepare_bytes(image: &[u8], threads: u32) -> (Prepared, Vec<u8>) {
    let mut payload = Vec::new();
    let compression = Compression { level: 3, threads };
    let length = image.len() as u64;
    let prepared = prepare(&mut &image[..], length, &mut payload, compression, &Ring, &mut |_| ()).unwrap();
    (prepared, payload)
}

#[test]
fn chunks_are_as_small_as_their_number_allows() {
    let table =
        [(1, 16), (1 << 30, 16), ((1 << 30) + 1, 17), (4 << 30, 18), (16 << 30, 20), (IMAGE_LENGTH, 20)];
    for (length, bits) in table {
        assert_eq!(chunk_bits(length), bits, "{length} bytes");
    }
}

#[test]
fn image_and_payload_are_told_right() {
    let image = bytes(5 * (1 << 20) + 123);
    let (prepared, payload) = prepare_bytes(&image, 2);
    assert_eq!(zstd::decode_all(&payload[..]).unwrap(), image);
    for (measured, bytes) in [(&prepared.image, &image), (&prepared.payload, &payload)] {
        assert_eq!(measured.length, bytes.len() as u64);
        assert_eq!(measured.sha256, Ring.sha256(bytes));
        assert_eq!(measured.index.sha256, Ring.sha256(&measured.index.bytes));
        let index = Index::verify(&measured.index.bytes, &measured.index.root, &Ring).unwrap();
        for (number, chunk) in bytes.chunks(1 << 16).enumerate() {
            assert_eq!(index.chunk_digest(number as u64), Some(&Ring.sha256(chunk)));
        }
    }
}

#[test]
fn a_payload_does_not_depend_on_the_number_of_threads() {
    let image = bytes(9 << 20);
    assert_eq!(prepare_bytes(&image, 1).1, prepare_bytes(&image, 3).1);
}

#[test]
fn a_window_is_at_most_8_mib() {
    // The frame header's window descriptor (RFC 8878 3.1.1.1.2): 8 MiB is exponent 13, mantissa 0. With 17 MiB of
    // content no single segment is possible.
    let mut image = io::repeat(7).take(17 << 20);
    let mut payload = Vec::new();
    // Level 22 would take 128 MiB by itself.
    let compression = Compression { level: *LEVELS.end(), threads: 2 };
    prepare(&mut image, 17 << 20, &mut payload, compression, &Ring, &mut |_| ()).unwrap();
    let single_segment = payload[4] & 0b10_0000 != 0;
    assert!(!single_segment);
    assert_eq!(payload[5], 13 << 3);
}

#[test]
fn empty_grown_and_shrunk_images_are_refused() {
    let settings = Compression { level: 1, threads: 1 };
    let attempt = |image: &[u8], length: u64| {
        prepare(&mut &image[..], length, &mut Vec::new(), settings, &Ring, &mut |_| ()).unwrap_err()
    };
    assert!(matches!(attempt(b"", 0), ImageError::Empty));
    assert!(matches!(attempt(b"", IMAGE_LENGTH + 1), ImageError::TooLong { .. }));
    assert!(matches!(attempt(b"abc", 2), ImageError::Changed { expected: 2, got: 3 }));
    assert!(matches!(attempt(b"abc", 4), ImageError::Changed { expected: 4, got: 3 }));
}

#[test]
fn a_full_disk_is_told_as_such() {
    struct Full;
    impl Write for Full {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::StorageFull.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let settings = Compression { level: 1, threads: 1 };
    let mut image = io::repeat(7).take(64 << 20);
    let error = prepare(&mut image, 64 << 20, &mut Full, settings, &Ring, &mut |_| ()).unwrap_err();
    assert!(matches!(error, ImageError::Write(error) if error.kind() == io::ErrorKind::StorageFull));
}

proptest! {
    #[test]
    fn pieces_do_not_matter(sizes in prop::collection::vec(1_usize..100_000, 1..8)) {
        let image = bytes(sizes.iter().sum());
        let mut rest = &image[..];
        let mut indexer = Indexer::new(&Ring, 16);
        for size in sizes {
            let (now, later) = rest.split_at(size);
            indexer.update(now);
            rest = later;
        }
        let whole = measure(&mut &image[..], image.len() as u64, &Ring, &mut |_| ()).unwrap();
        let pieces = indexer.finish("image").unwrap();
        prop_assert_eq!(pieces.sha256, whole.sha256);
        prop_assert_eq!(pieces.index.bytes, whole.index.bytes);
    }
}
