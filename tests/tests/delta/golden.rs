//! Containers that are kept: what was made once is applied for ever.
//!
//! They lie in `tests/golden/delta/`, and were written by `cargo test -p perennial-tests --test all -- --ignored
//! delta::golden::write`. The images follow from this file: Thumb code whose calls lead elsewhere when a function grows, gzip
//! members, blocks as another version of zstd packs them, and `.gz` files in two pieces. A new container is another file beside them; the old ones stay as they are. Those of layouts 1 and 2, which no release
//! made, are gone with them.

use std::path::PathBuf;

use perennial_device_core::delta::DeltaError;
use perennial_device_core::delta::packing::codec::{Packer, ZSTD_VERSION};
use perennial_device_core::delta::packing::deflate::{Flavour, Parameters};
use perennial_device_core::delta::packing::method::{Method, Wrapping};
use perennial_schemas::delta::{FrameKind, InPlace, Parts, Profile};
use perennial_signer::delta::apply::{ApplyError, apply, header};
use perennial_signer::delta::make::{Settings, make};
use perennial_tests::delta::{HINTS, Random, cut, settings, told};

/// Functions of the program.
const FUNCTIONS: usize = 120;

/// A function: so many more numbers than it had, then two calls.
fn function(random: &mut Random, more: usize) -> (Vec<u16>, [usize; 2]) {
    let length = 8 + random.below(40);
    let mut body: Vec<u16> = (0..length).map(|_| 0x3000 | random.below(0x700) as u16).collect();
    body.extend((0..more).map(|n| 0x2000 | n as u16));
    (body, [random.below(FUNCTIONS), random.below(FUNCTIONS)])
}

/// Thumb-2's BL (ARM DDI 0403, A7.7.18) over so many bytes.
fn call(over: i64) -> [u16; 2] {
    let bits = over as u32;
    let (sign, i1, i2) = (bits >> 24 & 1, bits >> 23 & 1, bits >> 22 & 1);
    let (j1, j2) = (i1 ^ sign ^ 1, i2 ^ sign ^ 1);
    let high = 0xf000 | sign << 10 | bits >> 12 & 0x3ff;
    let low = 0xd000 | j1 << 13 | j2 << 11 | bits >> 1 & 0x7ff;
    [high as u16, low as u16]
}

/// The program; in the new one some functions are longer.
fn program(fixed: bool) -> Vec<u8> {
    let mut random = Random(2026);
    let functions: Vec<_> =
        (0..FUNCTIONS).map(|n| function(&mut random, if fixed && n % 50 == 7 { 6 } else { 0 })).collect();
    let mut starts = vec![0];
    for (body, _) in &functions {
        starts.push(starts[starts.len() - 1] + 2 * body.len() + 2 * 4 + 2);
    }
    let mut code: Vec<u16> = Vec::new();
    for (body, calls) in &functions {
        code.extend(body);
        for to in calls {
            let at = 2 * code.len() as i64;
            code.extend(call(starts[*to] as i64 - (at + 4)));
        }
        code.push(0xbd00);
    }
    code.iter().flat_map(|half| half.to_le_bytes()).collect()
}

/// Two texts as gzip members, one of which is corrected in the new image, between noise.
fn packed(fixed: bool) -> Vec<u8> {
    let mut random = Random(7);
    let mut image = random.bytes(300);
    for part in 0..2 {
        let line = |n: usize| format!("line {n} of {part} says {}\n", n * n % 977).into_bytes();
        let mut text: Vec<u8> = (0..400).flat_map(line).collect();
        if fixed && part == 1 {
            text.splice(700..705, *b"mended");
        }
        image.extend([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3]);
        let parameters = Parameters { flavour: Flavour::Gzip, level: 6, window_bits: 15, memory_level: 8 };
        let method = Method::Deflate(Wrapping::Gzip, parameters);
        let mut packer = Packer::new(&Parts { deflate: true, ..Parts::default() });
        let mut out = |bytes: &[u8]| {
            image.extend_from_slice(bytes);
            Ok(())
        };
        packer.begin(&method, &mut out).unwrap();
        packer.push(&method, &text, &mut out).unwrap();
        packer.finish(&method, &[], &mut out).unwrap();
        image.extend(random.bytes(50));
    }
    image
}

/// The program, and behind it something that is packed.
fn with_noise() -> Vec<u8> {
    [program(true), Random(11).bytes(40_000)].concat()
}

/// Name, how it was made, the old image and the new one.
fn all() -> Vec<(&'static str, Settings, Vec<u8>, Vec<u8>)> {
    let place = InPlace { sector_bits: 10, sectors: 16 };
    let images = told::images(6, told::otherwise, &mut Random(1504));
    let earlier = told::images(6, told::earlier, &mut Random(1505));
    let pieces = cut::images(4, &mut Random(4096));
    let slot = Settings { in_place: Some(place), ..settings(Profile::Mcu, HINTS[2]) };
    vec![
        ("linux", settings(Profile::Linux, HINTS[2]), program(false), program(true)),
        ("mcu", settings(Profile::Mcu, HINTS[2]), program(false), program(true)),
        ("in-place", slot, program(false), program(true)),
        ("packed", settings(Profile::Linux, HINTS[0]), packed(false), packed(true)),
        ("stored", settings(Profile::Mcu, HINTS[2]), program(false), with_noise()),
        ("told", settings(Profile::Linux, HINTS[1]), images.0, images.1),
        ("earlier", settings(Profile::Linux, HINTS[1]), earlier.0, earlier.1),
        ("cut", settings(Profile::Linux, HINTS[1]), pieces.0, pieces.1),
        ("same", settings(Profile::Linux, HINTS[2]), program(true), program(true)),
    ]
}

fn file(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("golden/delta").join(format!("{name}.delta"))
}

#[test]
fn what_was_made_once_is_applied() {
    for (name, settings, old, new) in all() {
        let delta = std::fs::read(file(name)).unwrap();
        let mut out = Vec::new();
        let bound = header(&delta).unwrap().layers.iter().map(|parts| parts.zstd_version).max();
        if bound.is_some_and(|version| version != 0 && version != ZSTD_VERSION) {
            // Another version than it was proved with: that is told by its number, and nothing is made.
            let refused = apply(&old, &delta, 16 << 20, &mut out).unwrap_err();
            assert!(matches!(refused, ApplyError::Delta(DeltaError::Method { .. })), "{name}: {refused}");
            assert!(out.is_empty(), "{name}");
            continue;
        }
        let header = apply(&old, &delta, 16 << 20, &mut out).unwrap();
        assert!(out == new, "{name}");
        let stored = header.frames.iter().any(|frame| matches!(frame.kind, FrameKind::Stored(_)));
        assert_eq!(stored, name == "stored", "{name}");
        assert_eq!(
            (header.in_place, header.layers.len()),
            (settings.in_place, usize::from(["packed", "told", "earlier", "cut"].contains(&name)))
        );
        let noted = header.frames.iter().any(|frame| frame.kind == FrameKind::Notes);
        assert_eq!(noted, ["told", "earlier"].contains(&name), "{name}");
        assert_eq!(header.layers.iter().any(|parts| parts.held > 0), name == "cut", "{name}");
    }
}

#[test]
#[ignore = "writes the containers that are kept"]
fn write() {
    for (name, settings, old, new) in all() {
        let delta = make(&old, &new, &settings, &Default::default()).unwrap();
        if !file(name).exists() {
            std::fs::create_dir_all(file(name).parent().unwrap()).unwrap();
            std::fs::write(file(name), delta).unwrap();
        }
    }
}
