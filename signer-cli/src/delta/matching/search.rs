//! The steps of a search, in their order.

use std::ops::Range;

use super::blocks::blocks;
use super::bytes::{along, shift};
use super::choose::Choice;
use super::grow::grow;
use super::index::{BYTES_PER_BYTE, Index, TEXT_LIMIT};
use super::left::{Stretch, granules, stretches};
use super::seeds::{Search, Seed};
use super::spread::spread;
use super::text::{GRANULE, Text};
use super::{Fields, Images, Masked, Match, MatchError, Options, Piece};
use crate::delta::progress::{Progress, Stage};

/// Bytes of the new image that one thread searches at a time. Part of the result: seeds are searched afresh in each.
const TASK: usize = 1 << 20;
/// Memory for everything but index and text: seeds, candidates, ways.
const RESERVE: u64 = 64 << 20;
/// Bytes of a match below which nothing is found.
const KEY: usize = 8;
/// The least text that is worth an index.
const LEAST_TEXT: usize = 1 << 20;

/// Copies and fills that make the smallest delta, ascending and disjoint in the new image. All bytes between them are
/// to be inserted. A fill is true in the new image itself, masked or not.
///
/// # Errors
/// [`MatchError::Stopped`] where `progress` doesn't go on; otherwise masks that are not of these images, or too little memory.
pub fn pieces(
    images: Images<'_>,
    options: &Options,
    progress: &Progress<'_>,
) -> Result<Vec<Piece>, MatchError> {
    let none = Fields::default();
    let searched = searched(&images, &none)?;
    let Masked { old, new, .. } = searched;
    progress.go_on()?;
    if images.exact.is_none() && images.old == images.new && !new.is_empty() {
        return Ok(vec![Piece::Copy(Match { old: 0, new: 0, length: new.len() as u64 })]);
    }
    let whole = old.len() <= text_limit(options, BYTES_PER_BYTE[0])? && images.exact.is_none();
    let exact = match images.exact {
        Some(exact) => exact.to_vec(),
        None if whole => Vec::new(),
        None => blocks(images.old, images.new, progress)?,
    };
    let stretches = stretches(&exact, new.len());
    let mut found = None;
    // The text may be such that its index takes more than others.
    for each in BYTES_PER_BYTE {
        let limit = text_limit(options, each)?;
        let windows = if whole && old.len() <= limit {
            vec![None]
        } else {
            let granules = granules(old.len(), &exact, &stretches);
            granules.chunks((limit / GRANULE).max(1)).map(|window| Some(window.to_vec())).collect()
        };
        found = seeds(old, new, &stretches, windows, options, progress)?;
        if found.is_some() {
            break;
        }
    }
    let seeds = found.ok_or(MatchError::Memory { least: least_limit() })?;
    let choice = Choice { images: searched, plain: images.new, costs: &options.costs, progress };
    let parts = split(&stretches, &seeds);
    progress.begin(Stage::Choosing, stretches.iter().map(|stretch| stretch.range.len() as u64).sum());
    let chosen = spread(&parts, options.jobs, progress, |(stretch, seeds)| {
        let candidates = grow(&searched, stretch.range.clone(), with_neighbours(stretch, seeds));
        choice.pieces(stretch.range.clone(), &candidates, stretch.before)
    })?;
    let mut all: Vec<Piece> = exact.into_iter().chain(chosen.into_iter().flatten()).collect();
    all.sort_unstable_by_key(Piece::span);
    progress.end();
    Ok(joined(all))
}

/// Copies and fills of whole blocks, ascending, and what is known already to be the same.
///
/// # Errors
/// [`MatchError::Stopped`].
pub fn exact(
    old: &[u8],
    new: &[u8],
    known: &[Match],
    progress: &Progress<'_>,
) -> Result<Vec<Piece>, MatchError> {
    Ok(settled(blocks(old, new, progress)?, known))
}

/// These pieces, and what is known in the place of whatever was found there.
fn settled(pieces: Vec<Piece>, known: &[Match]) -> Vec<Piece> {
    let mut all: Vec<Piece> = known.iter().map(|known| Piece::Copy(*known)).collect();
    let mut rest = known;
    for piece in pieces {
        let (start, end) = piece.span();
        rest = &rest[rest.partition_point(|known| (known.new + known.length) as usize <= start)..];
        let mut at = start;
        for known in rest.iter().take_while(|known| (known.new as usize) < end) {
            all.extend(piece.part(at..known.new as usize));
            at = (known.new + known.length) as usize;
        }
        all.extend(piece.part(at..end));
    }
    all.sort_unstable_by_key(Piece::span);
    all
}

/// Bytes of text that the memory limit leaves room for, at so many each.
fn text_limit(options: &Options, each: usize) -> Result<usize, MatchError> {
    let room = options.memory_limit.saturating_sub(RESERVE) / each as u64;
    let room = usize::try_from(room).unwrap_or(usize::MAX).min(TEXT_LIMIT);
    if room < LEAST_TEXT { Err(MatchError::Memory { least: least_limit() }) } else { Ok(room) }
}

fn least_limit() -> u64 {
    RESERVE + (LEAST_TEXT * BYTES_PER_BYTE[1]) as u64
}

/// What is searched instead of the images themselves.
fn searched<'a>(images: &Images<'a>, none: &'a Fields) -> Result<Masked<'a>, MatchError> {
    let Some(searched) = images.masked else {
        return Ok(Masked { old: images.old, new: images.new, fields: none });
    };
    for (masked, plain) in [(searched.old, images.old), (searched.new, images.new)] {
        if masked.len() != plain.len() {
            return Err(MatchError::Masks { masked: masked.len(), plain: plain.len() });
        }
    }
    Ok(searched)
}

/// A part of a stretch that is searched at one go.
struct Task {
    range: Range<usize>,
    before: i64,
}

/// The seeds in all stretches, ascending; `None` where an index takes too much. A window of granules (none means all) is
/// searched for those parts of the new image that are expected to come from it.
fn seeds(
    old: &[u8],
    new: &[u8],
    stretches: &[Stretch],
    windows: Vec<Option<Vec<u32>>>,
    options: &Options,
    progress: &Progress<'_>,
) -> Result<Option<Vec<Seed>>, MatchError> {
    let bounds: Vec<usize> = windows
        .iter()
        .skip(1)
        .map(|window| window.as_ref().map_or(0, |granules| granules[0] as usize * GRANULE))
        .collect();
    let mut tasks: Vec<Vec<Vec<Task>>> = windows.iter().map(|_| Vec::new()).collect();
    let mut room: Vec<usize> = windows.iter().map(|_| 0).collect();
    for stretch in stretches {
        for start in stretch.range.clone().step_by(TASK) {
            let range = start..stretch.range.end.min(start + TASK);
            let expected = along(start, stretch.before, old.len()).unwrap_or(start);
            let window = bounds.partition_point(|bound| *bound <= expected);
            // Many small stretches make one task.
            if range.len() > room[window] {
                tasks[window].push(Vec::new());
                room[window] = TASK;
            }
            room[window] = room[window].saturating_sub(range.len());
            if let Some(last) = tasks[window].last_mut() {
                last.push(Task { range, before: stretch.before });
            }
        }
    }
    let mut all = Vec::new();
    for (window, tasks) in windows.into_iter().zip(tasks) {
        let text = match window {
            None => Text::whole(old),
            Some(granules) => Text::of(old, granules),
        };
        let most = options.memory_limit.saturating_sub(RESERVE);
        let Some(index) = Index::new(&text, KEY, most, progress)? else { return Ok(None) };
        progress.go_on()?;
        let in_all = tasks.iter().flatten().map(|task| task.range.len() as u64).sum();
        progress.begin(Stage::Matching, in_all);
        let search = Search { old, new, index: &index, least: options.least };
        let found = spread(&tasks, options.jobs, progress, |tasks| {
            let mut found = Vec::new();
            for task in tasks {
                found.extend(search.seeds(task.range.clone(), task.before));
                progress.more(task.range.len() as u64);
            }
            found
        })?;
        progress.end();
        all.extend(found.into_iter().flatten());
    }
    all.sort_unstable();
    Ok(Some(all))
}

/// Each stretch with the seeds that begin in it.
fn split<'s>(stretches: &'s [Stretch], seeds: &'s [Seed]) -> Vec<(&'s Stretch, &'s [Seed])> {
    let mut rest = seeds;
    stretches
        .iter()
        .map(|stretch| {
            let (own, others) = rest.split_at(rest.partition_point(|seed| seed.new < stretch.range.end));
            rest = others;
            (stretch, own)
        })
        .collect()
}

/// A stretch's seeds between those of the copies at its borders, which may go on into it.
fn with_neighbours<'s>(stretch: &Stretch, seeds: &'s [Seed]) -> impl Iterator<Item = Seed> + 's {
    let border = |new: usize, along: i64| {
        let old = usize::try_from(shift(new, 0).saturating_add(along)).ok();
        old.map(|old| Seed { new, old, length: 0 })
    };
    let first = border(stretch.range.start, stretch.before);
    let last = border(stretch.range.end, stretch.after);
    first.into_iter().chain(seeds.iter().copied()).chain(last)
}

/// Pieces, ascending, those that go on from another joined with it.
fn joined(pieces: Vec<Piece>) -> Vec<Piece> {
    let mut joined: Vec<Piece> = Vec::with_capacity(pieces.len());
    for piece in pieces {
        match (joined.last_mut(), piece) {
            (Some(Piece::Copy(last)), Piece::Copy(next))
                if last.new + last.length == next.new && last.shift() == next.shift() =>
            {
                last.length += next.length;
            }
            (Some(Piece::Fill { new, length, byte }), Piece::Fill { new: on, length: more, byte: same })
                if *new + *length == on && *byte == same =>
            {
                *length += more;
            }
            _ => joined.push(piece),
        }
    }
    joined
}
