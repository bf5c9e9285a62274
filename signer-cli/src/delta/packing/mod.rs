//! Takes packed parts of both images apart: which, how they are packed, and the images that come out.
//!
//! | module | decides |
//! | --- | --- |
//! | `find` | where something packed stands |
//! | `cut`, `erofs` | the same of files in two pieces, and in which order a device writes these |
//! | `prove` | how a part of the new image is packed, by packing it again with the device's code |
//! | `before` | nothing: what was packed to find that out, for the proof |
//! | `noted` | which notes a frame holds, and how far they reach |
//! | `tell` | the same of zstd frames, and what is noted of those that another version made |
//! | `unpacked` | nothing: an image becomes one in which parts are unpacked |
//! | `still_packed` | which of the old image's parts the new one has as they are, without knowing them for parts |
//!
//! A part that stands in the other image as it is stays as it is: nothing is shorter than a copy. One that doesn't come back
//! byte for byte is left alone. Files in a file system whose blocks are packed may be packed themselves, so that what came
//! out is searched once more.

mod before;
mod cut;
pub(super) mod erofs;
mod find;
mod noted;
mod prove;
mod still_packed;
mod tell;
mod unpacked;

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::thread;

use perennial_device_core::delta::packing::codec::ZSTD_VERSION;
use perennial_device_core::delta::packing::layer::{Layer, METHODS, NewPart, OldPart, Piece};
use perennial_device_core::delta::packing::method::Method;
use perennial_schemas::delta::{LAYERS, NOTES_LENGTH, PARTS, Parts};

use super::matching::Match;
use super::partial::{Images, Partial};
use super::progress::{Progress, Stage};

pub use before::Places;
use cut::Stretch;
use find::Found;
pub use noted::Place;
use unpacked::Change;

/// Images with their parts unpacked, and what leads back.
#[derive(Debug, Default)]
pub struct Apart {
    /// How they were packed.
    pub layers: Layers,
    /// Both, unpacked.
    pub images: Images<'static>,
}

/// How images were packed: the first layer is of the images themselves, the next of what came out.
#[derive(Debug, Default)]
pub struct Layers(pub Vec<Made>);

/// A layer, as a frame and the header tell it.
#[derive(Debug)]
pub struct Made {
    /// The parts.
    pub layer: Layer,
    /// What they need.
    pub parts: Parts,
    /// Bytes of the old image before it.
    pub old_length: u64,
    /// Where the new image's parts stand, packed.
    packed: Vec<Range<u64>>,
    /// By what those are found that were packed as they stand there.
    keys: Vec<Option<before::Key>>,
    /// Where parts in two pieces are held, in the unpacked image.
    held: Vec<Range<u64>>,
    /// What is noted of each of them, as a frame of notes has it; nothing where the method says all.
    notes: Vec<Vec<u8>>,
    /// Bytes of the notes of all parts up to each.
    noted: Vec<u64>,
}

/// Takes both images apart; where nothing comes of it, they are what comes back.
///
/// # Errors
/// The images, as they were.
pub fn take_apart<'a>(
    images: Images<'a>,
    jobs: usize,
    progress: &Progress<'_>,
) -> Result<Apart, Box<Images<'a>>> {
    let (all_of_old, all_of_new) = (0..images.old.bytes().len(), 0..images.new.bytes().len());
    let Some(first) = layer(&images, (&[all_of_old], &[all_of_new]), jobs, true, progress) else {
        return Err(images.into());
    };
    let Planned { made, old, new } = first;
    let mut apart = Apart { layers: Layers(vec![made]), images: unpacked(images, &old, &new, progress) };
    while apart.layers.0.len() < LAYERS {
        let Some(last) = apart.layers.0.last() else { break };
        let of_old = contents(last.layer.old.iter().map(|part| part.content..part.content_end()));
        let of_new = contents(last.layer.new.iter().map(|part| part.content..part.content + part.length));
        let Some(next) = layer(&apart.images, (&of_old, &of_new), jobs, false, progress) else { break };
        apart.layers.0.push(next.made);
        if !apart.layers.notes_are_held() {
            // Parts that lie across each other: those inside stay packed.
            apart.layers.0.pop();
            break;
        }
        apart.images = unpacked(apart.images, &next.old, &next.new, progress);
    }
    Ok(apart)
}

/// Both images, unpacked one after the other: what they were made of is gone as soon as it is not needed.
fn unpacked(
    images: Images<'_>,
    of_old: &Change,
    of_new: &Change,
    progress: &Progress<'_>,
) -> Images<'static> {
    let Images { old, new, known, around } = images;
    progress.begin(Stage::Unpacking, (old.bytes().len() + new.bytes().len()) as u64);
    let known = known.iter().map(|m| Match { old: of_old.place(m.old), new: of_new.place(m.new), ..*m });
    let around = around.iter().map(|range| of_old.place(range.start)..of_old.place(range.end));
    let (known, around) = (known.collect(), around.collect());
    let images = Images { old: of_old.apply(old, progress), new: of_new.apply(new, progress), known, around };
    progress.end();
    images
}

/// Stretches of contents, those that follow each other as one.
fn contents(parts: impl Iterator<Item = Range<u64>>) -> Vec<Range<usize>> {
    let mut joined: Vec<Range<usize>> = Vec::new();
    for part in parts {
        let part = part.start as usize..part.end as usize;
        match joined.last_mut() {
            Some(last) if last.end == part.start => last.end = part.end,
            _ => joined.push(part),
        }
    }
    joined
}

fn layer(
    images: &Images<'_>,
    (of_old, of_new): (&[Range<usize>], &[Range<usize>]),
    jobs: usize,
    is_outermost: bool,
    progress: &Progress<'_>,
) -> Option<Planned> {
    let (old, new) = (images.old.bytes(), images.new.bytes());
    let all = [of_old, of_new].into_iter().flatten().map(|stretch| stretch.len() as u64).sum();
    progress.begin(Stage::Unpacking, all);
    let (in_old, in_new) = if jobs > 1 {
        thread::scope(|scope| {
            let in_old = scope.spawn(|| find::find(old, of_old, progress));
            let in_new = find::find(new, of_new, progress);
            (in_old.join().unwrap_or_default(), in_new)
        })
    } else {
        (find::find(old, of_old, progress), find::find(new, of_new, progress))
    };
    progress.end();
    // What is missing is no part of one, however well it unpacks.
    let there = |image: &Partial<'_>, part: &Found| {
        image.holds(&(part.start as u64..(part.start + part.packed) as u64))
    };
    let in_old = in_old.into_iter().filter(|part| there(&images.old, part)).collect();
    let in_new = in_new.into_iter().filter(|part| there(&images.new, part)).collect();
    let (in_old, in_new) = match is_outermost {
        true => (cut::merged(in_old, cut::find(&images.old)), cut::merged(in_new, cut::find(&images.new))),
        false => (in_old, in_new),
    };
    let in_old = outside(in_old, &images.known);
    let (in_old, in_new) = without_twins(in_old, in_new);
    if in_old.is_empty() || in_new.is_empty() {
        return None;
    }
    let proved = prove::prove(new, in_new, jobs, is_outermost, progress);
    let in_old = still_packed::without(old, new, in_old, &proved, progress);
    // Without a part of the old image nothing is nearer than it was.
    if in_old.is_empty() { None } else { plan(images, in_old, proved) }
}

/// Those parts of the old image of which nothing is copied to where the new one is missing: that is a copy of it as it is, and
/// some of it may be there.
fn outside(in_old: Vec<Found>, known: &[Match]) -> Vec<Found> {
    let mut copied: Vec<Range<u64>> = known.iter().map(|m| m.old..m.old + m.length).collect();
    copied.sort_by_key(|range| range.start);
    // The same may be copied to two places.
    let mut ends = 0;
    let ends: Vec<u64> = copied
        .iter()
        .map(|range| {
            ends = range.end.max(ends);
            ends
        })
        .collect();
    let is_outside = |part: &Found| {
        let before = copied.partition_point(|range| range.start < (part.start + part.packed) as u64);
        before.checked_sub(1).is_none_or(|last| ends[last] <= part.start as u64)
    };
    in_old.into_iter().filter(is_outside).collect()
}

/// Parts that are unpacked beside one that changed.
const BESIDE: usize = 16;

/// Parts that the other image doesn't have as they are, and their neighbours; of the old one, those too that it has more
/// often than the new one: a copy of it may have been changed.
fn without_twins(old: Vec<Found>, new: Vec<Found>) -> (Vec<Found>, Vec<Found>) {
    let mut of_new: HashMap<u64, usize> = HashMap::new();
    new.iter().for_each(|part| *of_new.entry(part.digest).or_default() += 1);
    let of_old: HashSet<u64> = old.iter().map(|part| part.digest).collect();
    let changed = |part: &Found| !of_old.contains(&part.digest) || !of_new.contains_key(&part.digest);
    let beside: HashSet<u64> = [&old, &new].into_iter().flat_map(|parts| beside(parts, changed)).collect();
    let mut left = of_new.clone();
    let mut stays = |part: &Found| match left.get_mut(&part.digest) {
        Some(left @ 1..) if !beside.contains(&part.digest) => {
            *left -= 1;
            true
        }
        _ => false,
    };
    let apart_of_old = old.into_iter().filter(|part| !stays(part)).collect();
    let is_apart = |part: &Found| !of_old.contains(&part.digest) || beside.contains(&part.digest);
    let told = |part: Found| Found { changed: !of_old.contains(&part.digest), ..part };
    let apart_of_new = new.into_iter().filter(is_apart).map(told).collect();
    (apart_of_old, apart_of_new)
}

/// The parts that stand back to back with one that changed, so many of them on either side: a program is recognised as a
/// whole or not at all.
fn beside(parts: &[Found], changed: impl Fn(&Found) -> bool) -> Vec<u64> {
    let mut found = Vec::new();
    for run in parts.chunk_by(|one, next| one.start + one.packed == next.start) {
        let mut reach = 0;
        let mut forward = vec![false; run.len()];
        for (i, part) in run.iter().enumerate() {
            reach = if changed(part) { BESIDE + 1 } else { reach.saturating_sub(1) };
            forward[i] = reach > 0;
        }
        let mut reach = 0;
        for (part, forward) in run.iter().zip(forward).rev() {
            reach = if changed(part) { BESIDE + 1 } else { reach.saturating_sub(1) };
            if reach > 0 || forward {
                found.push(part.digest);
            }
        }
    }
    found
}

/// A part of the new image, as it was proved.
#[derive(Debug)]
struct Proved {
    part: Found,
    method: Method,
    /// What the method doesn't say.
    note: Vec<u8>,
    /// By what it is found once it is to be packed again.
    key: Option<before::Key>,
}

impl Proved {
    /// Bytes of its note as it stands in a frame.
    fn note_length(&self) -> u64 {
        if self.method.has_notes() { noted::entry(&self.note).len() as u64 } else { 0 }
    }
}

/// A layer, and what both images become by it.
#[derive(Debug)]
struct Planned {
    made: Made,
    old: Change,
    new: Change,
}

fn plan(images: &Images<'_>, in_old: Vec<Found>, mut proved: Vec<Proved>) -> Option<Planned> {
    let mut layer = Layer::default();
    proved.retain(|proved| number(&mut layer.methods, proved.method).is_some());
    // A part in two pieces takes two places.
    let cut = proved.iter().filter(|proved| !proved.part.rest.is_empty()).count();
    proved.truncate((PARTS as usize).saturating_sub(cut));
    let mut parts = Parts::default();
    let (old, twins) = plan_old(in_old, &mut layer, &mut parts);
    let (old_bytes, new_bytes) = (images.old.bytes(), images.new.bytes());
    let twin = |proved: &Proved| {
        let part = &proved.part;
        let number = *twins.get(&part.digest).filter(|_| proved.method == Method::Same)?;
        let old = layer.old[number as usize];
        let packed = &new_bytes[part.start..part.start + part.packed];
        let are_whole = part.rest.is_empty() && old.rest.1 == 0;
        (are_whole && &old_bytes[old.start as usize..old.end() as usize] == packed).then_some(number)
    };
    proved.retain(|proved| proved.method != Method::Same || twin(proved).is_some());
    if proved.is_empty() {
        return None;
    }
    let same: Vec<u32> = proved.iter().map(|proved| twin(proved).unwrap_or_default()).collect();
    let (mut packed, mut keys) = (Vec::with_capacity(proved.len()), Vec::with_capacity(proved.len()));
    let (mut notes, mut noted) = (Vec::with_capacity(proved.len()), Vec::with_capacity(proved.len()));
    let mut all_notes = 0;
    let mut new = Change::default();
    let (places, held) = cut::places(&proved, new_bytes.len());
    // Where it is told that parts are in two pieces, it is told of the old image's, too.
    let any_cut = layer.old.iter().any(|part| part.rest.1 > 0);
    parts.held = held.max(any_cut.into());
    for Stretch { range, part, piece } in places {
        let (Proved { part, method, note, key }, old) = (&proved[part], same[part]);
        packed.push(range.start as u64..range.end as u64);
        keys.push(key.filter(|_| piece == Piece::Whole));
        if let Piece::Rest(_) = piece {
            let content = new.add(range, None);
            layer.new.push(NewPart { content, piece, ..NewPart::default() });
            notes.push(Vec::new());
            noted.push(all_notes);
            continue;
        }
        let content = new.add(range, Some(part.clone()));
        let (length, is_whole) = (part.length as u64, method.is_whole());
        let note = if method.has_notes() { noted::entry(note) } else { Vec::new() };
        let method = number(&mut layer.methods, *method)?;
        layer.new.push(NewPart { content, length, method, old, piece });
        all_notes += note.len() as u64;
        notes.push(note);
        noted.push(all_notes);
        if is_whole {
            parts.new_most = parts.new_most.max(length as u32);
        }
    }
    for method in &layer.methods {
        match method {
            Method::Deflate(..) => parts.deflate = true,
            Method::Same => parts.same = true,
            Method::Zstd(level) | Method::ZstdTold(_, level) => {
                parts.zstd_level = parts.zstd_level.max(*level)
            }
        }
    }
    // A method with notes is declared also where every part of it was left as it is.
    let any_told = layer.methods.iter().any(Method::has_notes);
    parts.notes = (all_notes.min(NOTES_LENGTH.into()) as u32).max(any_told.into());
    parts.zstd_version = if parts.zstd_level > 0 { ZSTD_VERSION } else { 0 };
    (parts.old_parts, parts.new_parts) = (layer.old.len() as u32, layer.new.len() as u32);
    (parts.old, parts.new) = (old.place(old_bytes.len() as u64), new.place(new_bytes.len() as u64));
    let held = cut::spans(layer.new.iter().map(|part| (part.content, part.piece)));
    let made = Made { layer, parts, held, old_length: old_bytes.len() as u64, packed, keys, notes, noted };
    Some(Planned { made, old, new })
}

/// Unpacks these parts of the old image, how exactly they were packed doesn't matter; and their numbers by their digests.
fn plan_old(in_old: Vec<Found>, layer: &mut Layer, parts: &mut Parts) -> (Change, HashMap<u64, u32>) {
    let mut twins = HashMap::new();
    let mut change = Change::default();
    for part in in_old.into_iter().take(PARTS as usize) {
        let Some(method) = number(&mut layer.methods, part.kind.any()) else { continue };
        let (start, packed, length) = (part.start as u64, part.packed as u32, part.length as u32);
        let rest = (part.rest.start as u64, part.rest.len() as u32);
        if part.rest.is_empty() {
            twins.entry(part.digest).or_insert(layer.old.len() as u32);
        }
        parts.old_packed_most = parts.old_packed_most.max(packed + rest.1);
        parts.old_most = parts.old_most.max(length);
        let content = change.add(part.start..part.start + part.packed, Some(part));
        layer.old.push(OldPart { start, content, packed, rest, length, method });
    }
    (change, twins)
}

/// A method's number, if there is room for it: for unpacking, any with the same wrapping will do.
fn number(methods: &mut Vec<Method>, method: Method) -> Option<u8> {
    let at = methods.iter().position(|known| *known == method).or_else(|| {
        (methods.len() < METHODS).then(|| {
            methods.push(method);
            methods.len() - 1
        })
    });
    at.and_then(|at| u8::try_from(at).ok())
}

impl Made {
    /// The last part that begins before `at` in the unpacked new image.
    fn before(&self, at: u64) -> Option<(NewPart, &Range<u64>)> {
        let after = self.layer.new.partition_point(|part| part.content < at);
        let before = after.checked_sub(1)?;
        Some((self.layer.new[before], &self.packed[before]))
    }

    /// The last place at or before `at` where no part is under way or held.
    fn between(&self, at: u64) -> u64 {
        let at = match self.before(at) {
            Some((part, _)) if at < part.content + part.length => part.content,
            _ => at,
        };
        let held = self.held.partition_point(|held| held.end <= at);
        self.held.get(held).filter(|held| held.start < at).map_or(at, |held| held.start)
    }

    /// Where a place between parts stands in the packed image.
    fn packed(&self, at: u64) -> u64 {
        self.before(at).map_or(at, |(part, packed)| packed.end + (at - part.content - part.length))
    }

    /// The last place between parts that stands at or before `at` in the packed image.
    fn unpacked(&self, at: u64) -> u64 {
        let after = self.packed.partition_point(|packed| packed.start < at);
        let Some(before) = after.checked_sub(1) else { return at };
        let (part, packed) = (self.layer.new[before], &self.packed[before]);
        match at.checked_sub(packed.end) {
            Some(behind) => part.content + part.length + behind,
            None => part.content,
        }
    }
}

impl Layers {
    /// Where a place of the old image, unpacked and in no part, stands in the image itself.
    pub fn place(&self, at: u64) -> u64 {
        self.0.iter().rev().fold(at, |at, made| {
            let before = made.layer.old.partition_point(|part| part.content_end() <= at).checked_sub(1);
            before.map_or(at, |before| {
                let part = made.layer.old[before];
                part.end() + (at - part.content_end())
            })
        })
    }

    /// The new image's own parts that were packed to see how they are packed.
    pub fn packed_before(&self) -> Places {
        let outermost = self.0.iter().take(1);
        let parts = outermost.flat_map(|made| made.keys.iter().zip(&made.packed));
        Places(parts.filter_map(|(key, range)| Some(((*key)?, range.clone()))).collect())
    }

    /// The last place at or before `at` of the unpacked new image where no part is under way.
    pub fn mark(&self, mut at: u64) -> Place {
        loop {
            let mut written = [0; LAYERS];
            let mut place = at;
            let mut moved = None;
            for (number, made) in self.0.iter().enumerate().rev() {
                let between = made.between(place);
                if between != place {
                    moved = Some(self.0[number + 1..].iter().fold(between, |at, made| made.unpacked(at)));
                    break;
                }
                place = made.packed(place);
                written[number] = place;
            }
            match moved {
                Some(earlier) => at = earlier,
                None => return Place { at, written },
            }
        }
    }
}

#[cfg(test)]
pub(super) mod tests;
