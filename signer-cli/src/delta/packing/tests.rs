//! Images with packed parts: taken apart, and made again by the device's code, from every place where it may go on.

use perennial_device_core::delta::coder::Decoder;
use perennial_device_core::delta::packing::codec::{Packer, crc32};
use perennial_device_core::delta::packing::deflate::{Flavour, Parameters};
use perennial_device_core::delta::packing::layer::numbers;
use perennial_device_core::delta::packing::method::{Parser, Wrapping};
use perennial_device_core::delta::packing::parse::Parse;
use perennial_device_core::delta::packing::parse::optimal::Optimal;
use perennial_device_core::delta::unit::{Action, Step, Unit};
use perennial_device_core::delta::{Delta, DeltaError, memory};
use perennial_schemas::delta::{Frame, FrameKind, Header, Profile, Sizes};

use perennial_zstd_sequences::{Context, Sequence};

use super::{take_apart as taken_apart, *};
use crate::delta::apply::apply;
use crate::delta::coder::Encoder;
use crate::delta::encode::{Cut, Frames, encode};
use crate::delta::inspect::inspect;
use crate::delta::make::{Settings, identity, make};
use crate::delta::partial::Blocks;
use crate::delta::{detect::Hint, matching};

/// A page of text that no other has.
pub(in crate::delta) fn text(number: u32, length: usize) -> Vec<u8> {
    let mut state = number.wrapping_mul(2_654_435_761) | 1;
    let mut text = Vec::new();
    while text.len() < length {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        text.extend(format!("{} says {} to {}\n", state >> 20, state >> 9 & 1023, number).into_bytes());
    }
    text.truncate(length);
    text
}

pub(in crate::delta) fn packed(method: Method, content: &[u8]) -> Vec<u8> {
    let parts = Parts { new_most: content.len() as u32, deflate: true, zstd_level: 22, ..Parts::default() };
    let mut packer = Packer::new(&parts);
    let mut packed = Vec::new();
    let mut out = |bytes: &[u8]| {
        packed.extend_from_slice(bytes);
        Ok(())
    };
    packer.begin(&method, &mut out).unwrap();
    packer.push(&method, content, &mut out).unwrap();
    packer.finish(&method, &[], &mut out).unwrap();
    packed
}

fn deflate(wrapping: Wrapping, level: u8) -> Method {
    let parameters = Parameters { flavour: Flavour::Zlib, level, window_bits: 15, memory_level: 8 };
    Method::Deflate(wrapping, parameters)
}

/// A gzip file.
pub(in crate::delta) fn gzip(content: &[u8]) -> Vec<u8> {
    let header = [0x1f, 0x8b, 8, 8, 0, 0, 0, 0, 2, 3, b'n', b'a', b'm', b'e', 0];
    [&header[..], &packed(deflate(Wrapping::Gzip, 9), content)].concat()
}

/// An image like a file system with packed blocks: some hold files that are packed themselves, some are as they are.
fn image(changed: bool, block: Method) -> Vec<u8> {
    image_of(changed, &|content| packed(block, content))
}

pub(in crate::delta) fn image_of(changed: bool, block: &dyn Fn(&[u8]) -> Vec<u8>) -> Vec<u8> {
    let mut image = b"something of no format at all, which is long enough to be told from others".to_vec();
    for number in 0..6 {
        let mut content = text(number, 3_000);
        if changed && number % 2 == 0 {
            content.splice(700..710, *b"mended");
        }
        let file = gzip(&content);
        let around = [text(number + 20, 4_000), file, text(number + 40, 2_000)].concat();
        image.extend(block(&around));
        image.extend(text(number + 60, 500));
    }
    image
}

pub(super) fn take_apart(old: &[u8], new: &[u8], jobs: usize) -> Option<Apart> {
    taken_apart(Images::whole(old, new), jobs, &Progress::default()).ok()
}

pub(in crate::delta) fn settings(packing: bool) -> Settings {
    let matching = matching::Options { jobs: 2, ..matching::Options::default() };
    Settings { code: Hint::None, packing, matching, ..Settings::default() }
}

pub(super) fn delta(old: &[u8], new: &[u8], packing: bool) -> Vec<u8> {
    make(old, new, &settings(packing), &Default::default()).unwrap()
}

#[test]
fn packed_parts_cost_what_they_hold_and_come_back_byte_for_byte() {
    for block in [Method::Zstd(15), Method::Zstd(3), deflate(Wrapping::Zlib, 9), deflate(Wrapping::Zlib, 4)] {
        let (old, new) = (image(false, block), image(true, block));
        let (apart, whole) = (delta(&old, &new, true), delta(&old, &new, false));
        assert!(apart.len() * 5 < whole.len(), "{} against {} with {block:?}", apart.len(), whole.len());
        let mut out = Vec::new();
        let header = apply(&old, &apart, 16 << 20, &mut out).unwrap();
        assert!(out == new);
        assert_eq!(header.layers.len(), 2, "blocks, and the files in them");
        assert_eq!(header.layers.iter().map(|parts| parts.new_parts).collect::<Vec<_>>(), [3, 3]);
        let inspection = inspect(&apart, Some(&old.as_slice()), &Default::default()).unwrap();
        assert_eq!(inspection.unpacked, header.new_length());
        let told: u64 = inspection.kinds.iter().map(|kind| kind.bytes).sum();
        assert!(told.abs_diff(apart.len() as u64) <= 16, "{told} of {} are accounted for", apart.len());
    }
}

#[test]
fn nothing_is_taken_apart_without_need() {
    let (old, block) = (image(false, Method::Zstd(15)), Method::Zstd(15));
    assert!(take_apart(&old, &old, 1).is_none(), "the same parts");
    assert!(take_apart(&[], &old, 1).is_none(), "nothing to find in the old image");
    let mut other = old.clone();
    other.splice(80..90, []);
    let broken =
        take_apart(&old, &other, 1).is_none_or(|apart| apart.images.new.bytes().len() >= other.len());
    assert!(broken, "a damaged part is none");
    let mcu = Settings { profile: Profile::Mcu, ..settings(true) };
    let made = make(&old, &image(true, block), &mcu, &Default::default()).unwrap();
    assert!(Header::parse(&made).unwrap().layers.is_empty(), "a small device takes nothing apart");
}

/// A container of several units, each a few parts, as a large image has several frames.
fn in_several_frames(old: &[u8], new: &[u8]) -> (Vec<u8>, usize) {
    let apart = take_apart(old, new, 1).unwrap();
    let length = apart.images.new.bytes().len() as u64;
    let cuts: Vec<u64> = (1..8).map(|i| apart.layers.mark(length * i / 8).at).chain([length]).collect();
    let sizes = Sizes {
        block_bits: 8,
        context_bits: 10,
        learned_bits: 4,
        history_bits: 0,
        operations: 1,
        sections: 0,
        segments: 0,
    };
    let mut frames = Frames::default();
    for made in &apart.layers.0 {
        let mut encoder = Encoder::default();
        Layer::default()
            .code(&mut encoder, &mut numbers(), &made.layer, &made.parts, made.old_length)
            .unwrap();
        frames.push(FrameKind::Parts, &encoder.finish());
    }
    let mut start = 0;
    for cut in cuts.into_iter().filter(|cut| *cut > 0) {
        if cut == start {
            continue;
        }
        let whole = cut - start;
        // Corrected from the same place, as far as the old image goes.
        let from = start
            .min(apart.images.old.bytes().len() as u64 - whole.min(apart.images.old.bytes().len() as u64));
        let copied = whole.min(apart.images.old.bytes().len() as u64);
        let step = Step { insert: whole - copied, action: Action::Patch(from), length: copied };
        let unit = Unit { start, length: whole, steps: std::iter::once(step).collect(), ..Unit::default() };
        encode(
            &unit,
            (apart.images.old.bytes(), &apart.images.new),
            (Profile::Linux, &sizes),
            Cut::Between(&apart.layers),
            &mut frames,
            &mut |_| true,
        )
        .unwrap()
        .unwrap();
        start = cut;
    }
    let count = frames.frames.iter().filter(|frame| matches!(frame.kind, FrameKind::Data(_))).count();
    let layers = apart.layers.0.iter().map(|made| made.parts).collect();
    let (old, new) = (identity(old), identity(new));
    let header =
        Header { profile: Profile::Linux, sizes, in_place: None, old, new, layers, frames: frames.frames };
    ([header.encode(), frames.bytes].concat(), count)
}

#[test]
fn after_a_power_cut_it_goes_on_where_no_part_is_under_way() {
    let places = goes_on(&image(false, Method::Zstd(9)), &image(true, Method::Zstd(9)), 97);
    assert!(places.len() >= 4, "{places:?}");
}

#[test]
fn after_a_power_cut_it_goes_on_with_the_notes_of_what_is_missing() {
    let (old, new) = (image_of(false, &otherwise), image_of(true, &otherwise));
    let header = Header::parse(&in_several_frames(&old, &new).0).unwrap();
    let kinds: Vec<FrameKind> = header.frames.iter().map(|frame| frame.kind).collect();
    assert!(kinds.iter().filter(|kind| **kind == FrameKind::Notes).count() >= 2, "{kinds:?}");
    let places = goes_on(&old, &new, 97);
    assert!(places.len() >= 4, "{places:?}");
}

/// The places from which it goes on, where every so many bytes the power is cut.
pub(super) fn goes_on(old: &[u8], new: &[u8], every: usize) -> HashSet<u64> {
    let (container, frames) = in_several_frames(old, new);
    assert!(frames > 3, "{frames}");
    let mut places = HashSet::new();
    for done in (0..=new.len() as u64).step_by(every).chain([new.len() as u64]) {
        let mut delta = Delta::new(Header::parse(&container).unwrap(), 16 << 20).unwrap();
        let (at, count) = (delta.resume(done), delta.header().frames.len());
        assert!(at.output <= done);
        let parts = delta.header().layers.len();
        let mut made = Vec::new();
        for number in (0..parts).chain([at.map]).chain(at.data..count) {
            let range = delta.range(number).unwrap();
            let bytes = &container[range.start as usize..range.end as usize];
            let mut out = |bytes: &[u8]| {
                made.extend_from_slice(bytes);
                Ok(())
            };
            delta.frame(number, bytes.iter(), &mut &*old, &mut out).unwrap();
        }
        match at.data == count {
            true => assert!(done == new.len() as u64 && made.is_empty()),
            false => assert!(made == new[at.output as usize..], "from {done}"),
        }
        places.insert(at.output);
    }
    places
}

#[test]
fn a_data_frame_is_refused_where_a_part_is_under_way_or_none_was_told() {
    let (old, new) = (image(false, Method::Zstd(9)), image(true, Method::Zstd(9)));
    let (container, _) = in_several_frames(&old, &new);
    let header = Header::parse(&container).unwrap();
    let frame = |delta: &mut Delta, number: usize| {
        let range = delta.range(number).unwrap();
        let bytes = &container[range.start as usize..range.end as usize];
        delta.frame(number, bytes.iter(), &mut &old[..], &mut |_| Ok(()))
    };
    let mut delta = Delta::new(header.clone(), 16 << 20).unwrap();
    frame(&mut delta, 2).unwrap();
    assert_eq!(frame(&mut delta, 3), Err(DeltaError::Order(3)), "no parts were told");
    // Without its mark the second data frame is no place to begin at.
    let mut unmarked = header.clone();
    let mark = unmarked.frames.iter().position(|frame| matches!(frame.kind, FrameKind::Mark(_))).unwrap();
    let removed = unmarked.frames.remove(mark);
    assert!(matches!(removed, Frame { length: 0, .. }));
    let mut delta = Delta::new(unmarked, 16 << 20).unwrap();
    let bytes = |number: usize, delta: &Delta| {
        let range = delta.range(number).unwrap();
        let shift = header.encoded_length() - delta.header().encoded_length();
        container[(range.start + shift) as usize..(range.end + shift) as usize].to_vec()
    };
    for number in [0, 1, 4] {
        let bytes = bytes(number, &delta);
        delta.frame(number, bytes.iter(), &mut &old[..], &mut |_| Ok(())).unwrap();
    }
    let fifth = bytes(5, &delta);
    let refused = delta.frame(5, fifth.iter(), &mut &old[..], &mut |_| Ok(()));
    assert_eq!(refused, Err(DeltaError::Order(5)));
}

#[test]
fn parts_that_are_not_as_declared_are_refused() {
    let (old, new) = (image(false, Method::Zstd(9)), image(true, Method::Zstd(9)));
    let apart = take_apart(&old, &new, 1).unwrap();
    let made = &apart.layers.0[0];
    let told = |layer: &Layer, parts: &Parts| {
        let mut encoder = Encoder::default();
        // An encoder minds the same rules: it is told so much, and a decoder less.
        let roomy = Parts { old: parts.old, new: parts.new, ..made.parts };
        Layer::default().code(&mut encoder, &mut numbers(), layer, &roomy, made.old_length).unwrap();
        let bytes = encoder.finish();
        let mut decoder = Decoder::new(bytes.iter());
        Layer::default().code(&mut decoder, &mut numbers(), &Layer::default(), parts, made.old_length).err()
    };
    let parts = made.parts;
    assert_eq!(told(&made.layer, &parts), None);
    for less in [
        Parts { old_most: parts.old_most - 1, ..parts },
        Parts { old_packed_most: parts.old_packed_most - 1, ..parts },
        Parts { new_most: parts.new_most - 1, ..parts },
        Parts { zstd_level: parts.zstd_level - 1, ..parts },
        Parts { old_parts: parts.old_parts - 1, ..parts },
    ] {
        assert_eq!(told(&made.layer, &less), Some(DeltaError::Parts), "{less:?}");
    }
    // Another version of the library makes another image: that is refused before anything is done.
    let header = Header::parse(&in_several_frames(&old, &new).0).unwrap();
    let mut other = header.clone();
    other.layers[0].zstd_version += 1;
    let refused = Delta::new(other, u64::MAX).err();
    assert!(matches!(refused, Some(DeltaError::Method { .. })), "{refused:?}");
    let needed = memory(&header);
    assert!(Delta::new(header.clone(), needed).is_ok());
    assert_eq!(Delta::new(header, needed - 1).err(), Some(DeltaError::Memory { needed, limit: needed - 1 }));
}

#[test]
fn an_old_part_that_is_packed_otherwise_is_an_error() {
    let (old, new) = (image(false, Method::Zstd(9)), image(true, Method::Zstd(9)));
    let made = delta(&old, &new, true);
    let header = Header::parse(&made).unwrap();
    let mut decoder = Delta::new(header, 16 << 20).unwrap();
    let garbled: Vec<u8> = old.iter().map(|byte| byte ^ 0x55).collect();
    let mut failed = None;
    for number in 0..decoder.header().frames.len() {
        let range = decoder.range(number).unwrap();
        let bytes = &made[range.start as usize..range.end as usize];
        failed = failed.or(decoder.frame(number, bytes.iter(), &mut &garbled[..], &mut |_| Ok(())).err());
    }
    assert_eq!(failed, Some(DeltaError::Part));
    assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
}

#[test]
fn neighbours_of_a_changed_part_are_unpacked_with_it() {
    let part = |number: usize, start| find::Found {
        rest: 0..0,
        start,
        packed: 10,
        length: 30,
        kind: find::Kind::Zstd,
        digest: number as u64,
        changed: true,
    };
    // Back to back, but for a gap behind the 45th.
    let parts: Vec<_> = (0..60).map(|i| part(i, i * 10 + usize::from(i >= 45))).collect();
    let mut found = beside(&parts, |part| part.digest == 40);
    found.sort_unstable();
    assert_eq!(found, (40 - BESIDE as u64..45).collect::<Vec<_>>());
    assert!(beside(&parts, |_| false).is_empty());
}

/// A frame as a packer with another search makes it: without some matches, with others cut short, and in two blocks.
pub(super) fn otherwise(content: &[u8]) -> Vec<u8> {
    let length = content.len() as u32;
    let mut parse = Parse::with_room(content.len());
    parse.read(&packed(Method::Zstd(19), content), length).unwrap();
    let mut found = 0;
    parse.matches.retain_mut(|likely| {
        found += 1;
        likely.length -= u32::from(found % 7 == 0 && likely.length > 3);
        found % 9 != 0
    });
    written(&parse, content)
}

/// A frame with the parse of earlier versions, in two blocks.
fn earlier(content: &[u8]) -> Vec<u8> {
    let mut parse = Parse::with_room(content.len());
    assert!(Optimal::default().parse(19, content, &mut parse));
    written(&parse, content)
}

fn written(parse: &Parse, content: &[u8]) -> Vec<u8> {
    let length = content.len() as u32;
    let half = parse.matches.len() / 2;
    let mut sequences = Vec::new();
    let mut at = 0;
    for (number, found) in parse.matches.iter().enumerate() {
        if number == half {
            sequences.push(Sequence::end(2));
            at += 2;
        }
        let literals = found.at.checked_sub(at);
        sequences.push(Sequence::new(literals.unwrap(), found.length, found.offset));
        at = found.end();
    }
    sequences.push(Sequence::end(length - at));
    let mut frame = vec![0; 2 * content.len() + 100];
    let packed = Context::new().unwrap().pack_by(19, &sequences, content, &mut frame).unwrap();
    frame.truncate(packed);
    frame
}

#[test]
fn frames_of_another_packer_come_back_by_what_it_chose_otherwise() {
    let (old, new) = (image_of(false, &otherwise), image_of(true, &otherwise));
    let apart = take_apart(&old, &new, 1).unwrap();
    let layer = &apart.layers.0[0].layer;
    assert!(layer.methods.contains(&Method::ZstdTold(Parser::Linked, 19)), "{:?}", layer.methods);
    assert!(layer.new.iter().all(|part| layer.methods[usize::from(part.method)].has_notes()));
    let (with, without) = (delta(&old, &new, true), delta(&old, &new, false));
    assert!(with.len() * 2 < without.len(), "{} and {}", with.len(), without.len());
    let mut made = Vec::new();
    let limit = memory(&Header::parse(&with).unwrap());
    apply(&old, &with, limit, &mut made).unwrap();
    assert!(made == new);
}

/// What Debian 12 packs: of such frames hardly more is told than where their blocks end.
#[test]
fn frames_of_an_earlier_version_come_back_by_its_parse() {
    let (old, new) = (image_of(false, &earlier), image_of(true, &earlier));
    let apart = take_apart(&old, &new, 1).unwrap();
    let layer = &apart.layers.0[0].layer;
    assert!(layer.methods.contains(&Method::ZstdTold(Parser::Earlier, 19)), "{:?}", layer.methods);
    let with = delta(&old, &new, true);
    let (mut made, limit) = (Vec::new(), memory(&Header::parse(&with).unwrap()));
    apply(&old, &with, limit, &mut made).unwrap();
    assert!(made == new);
    let content = text(3, 120_000);
    let (method, note) = tell::Teller::default().tell(&content, &earlier(&content)).unwrap();
    assert_eq!(method, Method::ZstdTold(Parser::Earlier, 19));
    assert!(note.len() <= 40, "{}", note.len());
    // Longer than a block: that parser has none.
    let content = text(3, 140_000);
    let (method, _) = tell::Teller::default().tell(&content, &otherwise(&content)).unwrap();
    assert_eq!(method, Method::ZstdTold(Parser::Linked, 19));
}

/// Whatever stands in the place of a note is an error or another frame, never more than that.
#[test]
fn notes_that_are_not_true_make_no_frame() {
    let content = text(3, 20_000);
    untrue_notes(&content, &otherwise(&content), Parser::Linked);
    untrue_notes(&content, &earlier(&content), Parser::Earlier);
}

fn untrue_notes(content: &[u8], frame: &[u8], parser: Parser) {
    let (method, note) = tell::Teller::default().with(parser, 19, content, frame).unwrap();
    let with = |note: &[u8]| {
        let notes = note.len().max(1) as u32;
        let new_most = content.len() as u32;
        let mut packer = Packer::new(&Parts { new_most, zstd_level: 19, notes, ..Parts::default() });
        let mut out = Vec::new();
        let mut take = |bytes: &[u8]| {
            out.extend_from_slice(bytes);
            Ok(())
        };
        packer.begin(&method, &mut take)?;
        packer.push(&method, content, &mut take)?;
        packer.finish(&method, note, &mut take)?;
        Ok::<_, DeltaError>(out)
    };
    assert!(with(&note).unwrap() == frame);
    let mut state = 9_u32;
    for round in 0..200 {
        let mut other = note.clone();
        for _ in 0..=round % 3 {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let at = (state >> 8) as usize % other.len();
            other[at] ^= 1 << (state >> 5 & 7);
        }
        other.truncate(other.len() - round % 5);
        assert!(other == note || with(&other).is_err() || with(&other).unwrap() != frame);
    }
}

/// The frames of a container one by one, the first frame of notes as `other` has it.
fn with_other_notes(
    container: &[u8],
    old: &[u8],
    other: &dyn Fn(&[u8]) -> Vec<u8>,
) -> Result<(), DeltaError> {
    let mut delta = Delta::new(Header::parse(container).unwrap(), 16 << 20).unwrap();
    let first = delta.header().frames.iter().position(|frame| frame.kind == FrameKind::Notes);
    for number in 0..delta.header().frames.len() {
        let range = delta.range(number).unwrap();
        let mut bytes = container[range.start as usize..range.end as usize].to_vec();
        if Some(number) == first {
            bytes = other(&bytes);
        }
        delta.frame(number, bytes.iter(), &mut &*old, &mut |_| Ok(()))?;
    }
    Ok(())
}

#[test]
fn frames_of_notes_that_are_not_as_declared_are_refused() {
    let (old, new) = (image_of(false, &otherwise), image_of(true, &otherwise));
    let (container, _) = in_several_frames(&old, &new);
    let with = |other: &dyn Fn(&[u8]) -> Vec<u8>| with_other_notes(&container, &old, other).err();
    assert_eq!(with(&|notes| notes.to_vec()), None);
    assert_eq!(with(&|_| Vec::new()), Some(DeltaError::Parts), "no bytes");
    assert_eq!(with(&|notes| notes[..notes.len() - 1].to_vec()), Some(DeltaError::Parts), "cut short");
    assert_eq!(with(&|notes| [notes, &[0]].concat()), Some(DeltaError::FrameLeft));
    assert_eq!(with(&|_| vec![0xff, 0xff, 0x7f]), Some(DeltaError::Parts), "more than is declared");
    assert_eq!(with(&|_| vec![0x80, 0x80, 0x80, 0]), Some(DeltaError::Parts), "a number without end");
    assert_eq!(with(&|_| vec![0]), Some(DeltaError::Part), "fewer than parts");
    assert_eq!(with(&|_| vec![2, 9, 1]), Some(DeltaError::Part), "a note without its end");
    // One more than there are parts: told before the next notes are taken, or at the end.
    let more = |notes: &[u8]| {
        let length = usize::from(notes[0] & 0x7f) | usize::from(notes[1]) << 7;
        assert!(notes[0] & 0x80 != 0 && notes.len() == length + 2);
        let length = length + 1;
        [&[length as u8 | 0x80, (length >> 7) as u8], &notes[2..], &[0]].concat()
    };
    assert_eq!(with(&more), Some(DeltaError::Parts), "a note without its part");
}

#[test]
fn a_data_frame_is_refused_without_its_notes() {
    let (old, new) = (image_of(false, &otherwise), image_of(true, &otherwise));
    let (container, _) = in_several_frames(&old, &new);
    let mut delta = Delta::new(Header::parse(&container).unwrap(), 16 << 20).unwrap();
    let mut refused = None;
    for number in 0..delta.header().frames.len() {
        let (range, kind) = (delta.range(number).unwrap(), delta.header().frames[number].kind);
        let bytes = &container[range.start as usize..range.end as usize];
        if kind == FrameKind::Notes {
            continue;
        }
        refused = delta.frame(number, bytes.iter(), &mut &old[..], &mut |_| Ok(())).err();
        if refused.is_some() {
            assert_eq!(refused, Some(DeltaError::Order(number)));
            break;
        }
    }
    assert!(refused.is_some());
}

#[test]
fn a_frame_ends_before_a_device_would_have_to_hold_too_many_notes() {
    let note = vec![9; 100_000];
    let (length, packed) = (200_000_u64, 150_000_u64);
    let mut layer = Layer { methods: vec![Method::ZstdTold(Parser::Linked, 19)], ..Layer::default() };
    let (mut noted, mut notes, mut places) = (Vec::new(), Vec::new(), Vec::new());
    for number in 0..12 {
        layer.new.push(NewPart { content: 50 + number * length, length, ..NewPart::default() });
        notes.push(noted::entry(&note));
        noted.push((number + 1) * 100_003);
        places.push(50 + number * packed..50 + (number + 1) * packed);
    }
    let end = 50 + 12 * length;
    let parts = Parts { new: end, notes: NOTES_LENGTH, new_parts: 12, ..Parts::default() };
    let (keys, held) = (vec![None; places.len()], Vec::new());
    let made = Made { layer, parts, old_length: 0, packed: places, keys, held, notes, noted };
    let layers = Layers(vec![made]);
    assert!(layers.notes_are_held());
    let start = Place::default();
    assert_eq!(layers.reach(&start, 0, end, end), Some(50 + 5 * length), "five are 500,015 bytes");
    assert_eq!(layers.reach(&start, 0, 60 + length, end), Some(50 + length));
    assert_eq!(layers.reach(&start, 0, 40, 40), None, "the stretch ends there");
    assert_eq!(
        layers.reach(&start, 50 + 5 * length, end, end),
        Some(50 + 6 * length),
        "no other place is nearer"
    );
    let marked = layers.mark(50 + 7 * length);
    assert_eq!(marked, Place { at: 50 + 7 * length, written: [50 + 7 * packed, 0] });
    assert_eq!(layers.reach(&marked, marked.at, end, end), None, "the rest fits");
    assert_eq!(layers.notes(&marked, &layers.mark(end)).len(), 5 * 100_003 + 3);
    assert!(layers.notes(&marked, &marked).is_empty());
}

#[test]
fn what_did_not_change_beside_what_did_stays_as_the_old_image_has_it() {
    let of = |changed: bool, packed: &dyn Fn(&[u8]) -> Vec<u8>| -> Vec<u8> {
        let mut image = text(99, 300);
        for number in 0..7 {
            let mut content = text(number, 3_000);
            if changed && number == 3 {
                content.splice(700..710, *b"mended");
            }
            image.extend(packed(&content));
        }
        image
    };
    let zlib = |content: &[u8]| packed(deflate(Wrapping::Zlib, 9), content);
    for pack in [&otherwise as &dyn Fn(&[u8]) -> Vec<u8>, &zlib] {
        let (old, new) = (of(false, pack), of(true, pack));
        let apart = take_apart(&old, &new, 1).unwrap();
        let made = &apart.layers.0[0];
        let same: Vec<bool> = made
            .layer
            .new
            .iter()
            .map(|part| made.layer.methods[usize::from(part.method)] == Method::Same)
            .collect();
        assert_eq!(same, [true, true, true, false, true, true, true]);
        assert!(made.parts.same && made.layer.old.len() == 7);
        let container = delta(&old, &new, true);
        let mut out = Vec::new();
        let header = apply(&old, &container, 16 << 20, &mut out).unwrap();
        assert!(out == new && header.layers[0].same);
        assert!(container.len() < 700, "{}", container.len());
        let told = |layer: &Layer, parts: &Parts| {
            let mut encoder = Encoder::default();
            let roomy = made.parts;
            Layer::default().code(&mut encoder, &mut numbers(), layer, &roomy, made.old_length)?;
            let bytes = encoder.finish();
            let mut decoder = Decoder::new(bytes.iter());
            Layer::default().code(&mut decoder, &mut numbers(), &Layer::default(), parts, made.old_length)
        };
        assert_eq!(told(&made.layer, &made.parts), Ok(()));
        let undeclared = Parts { same: false, ..made.parts };
        assert_eq!(told(&made.layer, &undeclared), Err(DeltaError::Parts), "not declared");
        let mut layer = made.layer.clone();
        layer.new[0].old = 7;
        assert_eq!(told(&layer, &made.parts), Err(DeltaError::Parts), "no such part");
    }
}

#[test]
fn what_is_copied_to_where_the_new_image_is_missing_stays_packed() {
    let shared = [text(1, 9_000), gzip(&text(2, 3_000)), text(3, 9_000)].concat();
    let mut content = text(4, 9_000);
    let old = [&shared[..], &gzip(&content), &text(5, 900)].concat();
    content.splice(700..710, *b"mended");
    let new = [&shared[..], &gzip(&content), &text(5, 900)].concat();
    let length = shared.len() as u64;
    let images = Images {
        old: Partial::whole(&old),
        new: Partial::read(
            &&new[..],
            std::iter::once(0..length).collect(),
            (u64::MAX, &Blocks::default()),
            &Progress::default(),
        )
        .unwrap(),
        known: vec![Match { old: 0, new: 0, length }],
        ..Images::default()
    };
    let apart = taken_apart(images, 1, &Progress::default()).unwrap();
    let starts: Vec<u64> = apart.layers.0[0].layer.old.iter().map(|part| part.start).collect();
    assert_eq!(starts.len(), 1, "{starts:?}");
    assert!(starts[0] >= length, "the file that changed");
    let part = |start: usize| find::Found {
        start,
        packed: 10,
        rest: 0..0,
        length: 30,
        kind: find::Kind::Zstd,
        digest: 0,
        changed: true,
    };
    let known = |old, length| Match { old, new: 0, length };
    let known = [known(500, 50), known(100, 300), known(120, 10)];
    let parts = [90, 91, 390, 400, 490, 495, 545, 550].map(part).to_vec();
    let left: Vec<usize> = outside(parts, &known).iter().map(|part| part.start).collect();
    assert_eq!(left, [90, 400, 490, 550]);
}
