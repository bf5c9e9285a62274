//! What holds for the pieces of any two images.

use proptest::prelude::*;

use super::*;
use crate::delta::progress::tests::{stages, told};
use crate::delta::progress::{Progress, Stage, Told};

/// Bytes that look random, the same for the same seed.
pub(in crate::delta) fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    })
    .take(length)
    .collect()
}

fn images<'a>(old: &'a [u8], new: &'a [u8]) -> Images<'a> {
    Images { old, new, masked: None, exact: None }
}

/// The least memory that is taken, so that images beyond a MiB go through blocks and windows.
fn small() -> Options {
    Options { memory_limit: 100 << 20, ..Options::default() }
}

/// Checks what no list of pieces may break; gives the bytes to insert and those of copies that differ.
fn checked(old: &[u8], new: &[u8], pieces: &[Piece]) -> (usize, usize) {
    let (mut at, mut inserted, mut wrong) = (0, 0, 0);
    for piece in pieces {
        let (start, end) = piece.span();
        assert!(at <= start && start < end && end <= new.len(), "{piece:?} after {at}");
        inserted += start - at;
        match piece {
            Piece::Copy(Match { old: from, length, .. }) => {
                let source = &old[*from as usize..(*from + *length) as usize];
                wrong += source.iter().zip(&new[start..end]).filter(|(a, b)| a != b).count();
            }
            Piece::Fill { byte, .. } => assert!(new[start..end].iter().all(|is| is == byte), "{piece:?}"),
        }
        at = end;
    }
    (inserted + new.len() - at, wrong)
}

fn found(old: &[u8], new: &[u8], options: &Options) -> Vec<Piece> {
    pieces(images(old, new), options, &Progress::default()).unwrap()
}

#[test]
fn empty_and_equal_images() {
    let some = noise(100, 1);
    let options = Options::default();
    assert_eq!(found(&[], &[], &options), []);
    assert_eq!(found(&some, &[], &options), []);
    assert_eq!(found(&[], &some, &options), []);
    let whole = Piece::Copy(Match { old: 0, new: 0, length: 100 });
    assert_eq!(found(&some, &some, &options), [whole]);
}

#[test]
fn nothing_but_zeros_is_one_fill() {
    for old in [noise(100_000, 2), vec![1; 100_000], Vec::new()] {
        let fill = Piece::Fill { new: 0, length: 50_000, byte: 0 };
        assert_eq!(found(&old, &vec![0; 50_000], &Options::default()), [fill]);
    }
}

#[test]
fn the_number_of_jobs_changes_nothing() {
    let old = noise(5 << 20, 3);
    let mut new = [&old[3 << 20..], &noise(70_000, 4), &old[..3 << 20]].concat();
    for at in (0..new.len()).step_by(1_777) {
        new[at] ^= 1;
    }
    let one = found(&old, &new, &Options::default());
    let (inserted, wrong) = checked(&old, &new, &one);
    assert!((69_900..72_000).contains(&inserted) && wrong < 3_100, "{inserted} {wrong} {}", one.len());
    assert_eq!(found(&old, &new, &Options { jobs: 3, ..Options::default() }), one);
    assert_eq!(found(&old, &new, &Options { jobs: 3, ..small() }), found(&old, &new, &small()));
}

#[test]
fn windows_find_what_moved_inside_them() {
    // Too large for one text, and in no block the same.
    let old = noise(7 << 20, 5);
    let mut new = old.clone();
    for at in (0..new.len()).step_by(1_000) {
        new[at] ^= 1;
    }
    new.splice(300_000..300_000, noise(1_000, 6));
    let pieces = found(&old, &new, &small());
    let (inserted, wrong) = checked(&old, &new, &pieces);
    assert!(inserted < 1_200 && wrong < 7_500, "{inserted} {wrong}");
    assert!(pieces.len() < 12, "{}", pieces.len());
}

#[test]
fn masked_images_are_searched_instead() {
    let old = noise(10_000, 7);
    let mut new = old.clone();
    for at in (0..10_000).step_by(10) {
        new[at..at + 4].copy_from_slice(&noise(4, at as u64));
    }
    let masked = |image: &[u8]| -> Vec<u8> {
        image.iter().enumerate().map(|(at, byte)| if at % 10 < 4 { 0 } else { *byte }).collect()
    };
    let (old_masked, new_masked) = (masked(&old), masked(&new));
    let fields = Fields::default();
    let masked = Masked { old: &old_masked, new: &new_masked, fields: &fields };
    let images = Images { old: &old, new: &new, masked: Some(masked), exact: None };
    let pieces = pieces(images, &Options::default(), &Progress::default()).unwrap();
    assert_eq!(pieces, [Piece::Copy(Match { old: 0, new: 0, length: 10_000 })]);
}

#[test]
fn refuses_masks_of_other_images_and_too_little_memory() {
    let some = noise(100, 8);
    let fields = Fields::default();
    let masked = Masked { old: &some, new: &some[1..], fields: &fields };
    let other = Images { old: &some, new: &some, masked: Some(masked), exact: None };
    let refused = pieces(other, &Options::default(), &Progress::default()).unwrap_err();
    assert_eq!(refused.to_string(), "a masked image has 99 bytes and the image itself 100");
    let little = Options { memory_limit: 1 << 20, ..Options::default() };
    let refused = pieces(images(&some, &some[1..]), &little, &Progress::default()).unwrap_err();
    assert_eq!(refused.to_string(), "matching needs a memory limit of at least 80,740,352 bytes");
}

#[test]
fn stops_when_told_to() {
    let (old, new) = (noise(3 << 20, 9), noise(3 << 20, 10));
    for stage in [Stage::Sorting, Stage::Matching, Stage::Choosing] {
        let mut calls = 0;
        let mut hear = |told: Told| {
            calls += u32::from(told.stage == stage);
            calls < 2
        };
        let stopped = pieces(images(&old, &new), &Options::default(), &Progress::new(&mut hear));
        assert!(matches!(stopped, Err(MatchError::Stopped)), "{stage:?}");
    }
}

#[test]
fn each_stage_is_told_to_its_end() {
    for (options, length, expected) in [
        (
            Options { memory_limit: 80 << 20, ..small() },
            3 << 20,
            &[Stage::Comparing, Stage::Sorting, Stage::Matching, Stage::Choosing][..],
        ),
        (Options::default(), 3 << 20, &[Stage::Sorting, Stage::Matching, Stage::Choosing]),
    ] {
        let (old, new) = (noise(length, 11), noise(length, 12));
        let all = told(|progress| drop(pieces(images(&old, &new), &options, progress).unwrap()));
        let mut order = stages(&all);
        // Each window is sorted and searched.
        while order.len() > expected.len()
            && order[order.len() - 3..][..2] == [Stage::Sorting, Stage::Matching]
        {
            order.drain(order.len() - 3..order.len() - 1);
        }
        assert_eq!(order, expected);
        let least = |stage| all.iter().filter(|told| told.stage == stage).count();
        assert!([Stage::Sorting, Stage::Matching].map(least).iter().all(|told| *told >= 4));
    }
}

/// Bytes of an alphabet of this size, cut and pasted: the smaller the more repetitive.
fn material() -> impl Strategy<Value = Vec<u8>> {
    (prop_oneof![Just(1_u8), Just(2), Just(4), Just(255)], 0_usize..3_000)
        .prop_flat_map(|(letters, length)| proptest::collection::vec(0..letters, length))
}

#[derive(Debug, Clone)]
enum Edit {
    Remove(prop::sample::Index, usize),
    Insert(prop::sample::Index, Vec<u8>),
    Change(prop::sample::Index, u8),
    Move(prop::sample::Index, prop::sample::Index, usize),
    Clear(prop::sample::Index, usize),
}

fn edits() -> impl Strategy<Value = Vec<Edit>> {
    use prop::sample::Index;
    let place = || any::<Index>();
    let edit = prop_oneof![
        (place(), 1_usize..300).prop_map(|(at, length)| Edit::Remove(at, length)),
        (place(), proptest::collection::vec(any::<u8>(), 1..100))
            .prop_map(|(at, bytes)| Edit::Insert(at, bytes)),
        (place(), any::<u8>()).prop_map(|(at, byte)| Edit::Change(at, byte)),
        (place(), place(), 1_usize..500).prop_map(|(from, to, length)| Edit::Move(from, to, length)),
        (place(), 1_usize..300).prop_map(|(at, length)| Edit::Clear(at, length)),
    ];
    proptest::collection::vec(edit, 0..12)
}

fn edited(old: &[u8], edits: &[Edit]) -> Vec<u8> {
    let mut new = old.to_vec();
    for edit in edits {
        let whole = new.len();
        let span = |at: &prop::sample::Index, length: usize| {
            let from = at.index(whole + 1);
            from..(from + length).min(whole)
        };
        match edit {
            Edit::Remove(at, length) => drop(new.drain(span(at, *length))),
            Edit::Insert(at, bytes) => drop(new.splice(span(at, 0), bytes.iter().copied())),
            Edit::Change(at, byte) => new[span(at, 1)].fill(*byte),
            Edit::Move(from, to, length) => {
                let moved: Vec<u8> = new.drain(span(from, *length)).collect();
                let to = to.index(new.len() + 1);
                drop(new.splice(to..to, moved));
            }
            Edit::Clear(at, length) => new[span(at, *length)].fill(0),
        }
    }
    new
}

proptest! {
    #[test]
    fn pieces_stay_in_bounds_and_never_overlap(old in material(), edits in edits(), strange in any::<bool>(), other in material()) {
        let new = if strange { other } else { edited(&old, &edits) };
        let options = Options::default();
        let pieces = found(&old, &new, &options);
        let (inserted, wrong) = checked(&old, &new, &pieces);
        prop_assert!(inserted + wrong <= new.len());
    }

    #[test]
    fn few_edits_of_random_bytes_insert_few(seed in any::<u64>(), edits in edits()) {
        let old = noise(20_000, seed);
        let new = edited(&old, &edits);
        let (inserted, wrong) = checked(&old, &new, &found(&old, &new, &Options::default()));
        // What was inserted, at most 100 bytes an edit, and the scraps of a few bytes between edits.
        prop_assert!(inserted + wrong <= 400 * edits.len(), "{inserted} + {wrong} for {edits:?}");
    }

    #[test]
    fn exact_blocks_are_exact(seed in any::<u64>(), order in proptest::collection::vec(0_usize..12, 1..12), cut in 0_usize..5_000) {
        let old = noise(12 * table::BLOCK, seed);
        let mut new: Vec<u8> = order.iter().flat_map(|n| old[n * table::BLOCK..][..table::BLOCK].to_vec()).collect();
        drop(new.drain(..cut.min(new.len())));
        let pieces = blocks::blocks(&old, &new, &Progress::default()).unwrap();
        prop_assert_eq!(checked(&old, &new, &pieces).1, 0);
    }
}
