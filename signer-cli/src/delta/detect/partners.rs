//! Which file of the new image was which of the old one.
//!
//! Decides by what both hold: names and sizes of sections, symbols, strings, the beginnings of sections. What few files
//! have counts for more than what many have. Names in a file system are no part of it: a file that moved is the same.

use std::collections::HashMap;
use std::hash::{BuildHasher, DefaultHasher, Hasher};

use super::elf;
use super::files::{BLOCK, Found};

/// Features of a kind that a file shows at most: those with the least hashes, so that two files show the same ones.
const SHOWN: usize = 48;
/// Bytes of a section that are looked through for strings.
const STRINGS: usize = 256 << 10;
/// A string of fewer bytes says nothing.
const SHORTEST: usize = 5;
/// Bytes at the start of a section that count as one feature.
const START: usize = 64;
/// What more files have than this says nothing.
const COMMON: usize = 16;
/// Files of the same beginning and length that one is compared with.
const ALIKE: usize = 64;
/// Sections that hold strings, by the beginnings of their names.
const TEXTS: [&str; 4] = [".dynstr", ".strtab", ".rodata", ".modinfo"];
/// Files share at least so much: one feature that no other file has.
const LEAST: u64 = UNIT;
const UNIT: u64 = 1 << 16;

/// A file of the old image and the one of the new image that it became.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pair {
    pub(super) old: Found,
    pub(super) new: Found,
}

/// The pairs of files that are not the same, each file in one at most.
pub(super) fn pairs(old: &[u8], new: &[u8], of_old: &[Found], of_new: &[Found]) -> Vec<Pair> {
    let (of_old, of_new) = different(old, new, of_old, of_new);
    // One of each needs no reason.
    if let ([one], [other]) = (&of_old[..], &of_new[..]) {
        return vec![Pair { old: one.clone(), new: other.clone() }];
    }
    let features = |image: &[u8], files: &[Found]| -> Vec<Vec<u64>> {
        files.iter().map(|file| features(&file.content(image))).collect()
    };
    let mut rated = rated(&features(old, &of_old), &features(new, &of_new));
    // The best first; of equals those of like size.
    rated.sort_by_key(|(rate, one, other)| {
        (std::cmp::Reverse(*rate), of_old[*one].length.abs_diff(of_new[*other].length), one + other, *one)
    });
    let (mut used_old, mut used_new) = (vec![false; of_old.len()], vec![false; of_new.len()]);
    let mut pairs = Vec::new();
    for (_, one, other) in rated.into_iter().filter(|(rate, ..)| *rate >= LEAST) {
        if !used_old[one] && !used_new[other] {
            (used_old[one], used_new[other]) = (true, true);
            pairs.push(Pair { old: of_old[one].clone(), new: of_new[other].clone() });
        }
    }
    pairs
}

/// The files of either image which the other one doesn't have.
fn different(old: &[u8], new: &[u8], of_old: &[Found], of_new: &[Found]) -> (Vec<Found>, Vec<Found>) {
    // Keyed anew in each process, so that no image is slow on purpose.
    let hasher = std::hash::RandomState::new();
    let key = |image: &[u8], file: &Found| {
        let start = file.part(image, 0..file.length.min(BLOCK)).unwrap_or_default();
        (file.length, hasher.hash_one(start))
    };
    let mut by_key: HashMap<(usize, u64), Vec<usize>> = HashMap::new();
    for (i, file) in of_old.iter().enumerate() {
        by_key.entry(key(old, file)).or_default().push(i);
    }
    let mut same = vec![false; of_old.len()];
    let mut changed = Vec::new();
    for file in of_new {
        let alike = by_key.get(&key(new, file)).map_or(&[][..], |alike| &alike[..alike.len().min(ALIKE)]);
        let mut known = false;
        for i in alike {
            if (!known || !same[*i]) && file.equals(new, &of_old[*i], old) {
                (known, same[*i]) = (true, true);
            }
        }
        if !known {
            changed.push(file.clone());
        }
    }
    let left = of_old.iter().zip(same).filter(|(_, same)| !same).map(|(file, _)| file.clone());
    (left.collect(), changed)
}

/// How much each pair shares, of those that share anything: more for what fewer files have.
fn rated(old: &[Vec<u64>], new: &[Vec<u64>]) -> Vec<(u64, usize, usize)> {
    let mut having: HashMap<u64, [Vec<usize>; 2]> = HashMap::new();
    for (side, files) in [old, new].into_iter().enumerate() {
        for (i, features) in files.iter().enumerate() {
            features.iter().for_each(|feature| having.entry(*feature).or_default()[side].push(i));
        }
    }
    let mut rates: HashMap<(usize, usize), u64> = HashMap::new();
    for [old, new] in having.values().filter(|[old, new]| old.len().max(new.len()) <= COMMON) {
        let weight = UNIT / (old.len().max(1) * new.len().max(1)) as u64;
        for one in old {
            for other in new {
                *rates.entry((*one, *other)).or_default() += weight;
            }
        }
    }
    rates.into_iter().map(|((one, other), rate)| (rate, one, other)).collect()
}

/// Hashes of what a file shows, each once.
fn features(file: &[u8]) -> Vec<u64> {
    let Some(sections) = elf::contents(file) else { return Vec::new() };
    let mut all = Vec::new();
    for (name, content) in sections {
        all.push(hashed(name.as_bytes(), content.len()));
        all.push(hashed(&content[..content.len().min(START)], 1));
        if TEXTS.iter().any(|start| name.starts_with(start)) {
            all.extend(strings(&content[..content.len().min(STRINGS)]));
        }
    }
    all.sort_unstable();
    all.dedup();
    all
}

/// The strings with the least hashes.
fn strings(bytes: &[u8]) -> Vec<u64> {
    let long = bytes.split(|byte| *byte == 0).filter(|text| text.len() >= SHORTEST);
    let mut all: Vec<u64> = long.map(|text| hashed(&text[..text.len().min(START)], 0)).collect();
    all.sort_unstable();
    all.dedup();
    all.truncate(SHOWN);
    all
}

fn hashed(bytes: &[u8], salt: usize) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write_usize(salt);
    hasher.write(bytes);
    hasher.finish()
}
