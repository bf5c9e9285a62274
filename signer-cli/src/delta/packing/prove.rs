//! How a part is packed, found out by packing it again with the code that devices run. Zstd frames are `tell`'s.
//!
//! Decides which methods are tried: those that were right of late first, and the others as long as they are right now and
//! then.

use std::thread;

use perennial_device_core::delta::DeltaError;
use perennial_device_core::delta::packing::codec::Packer;
use perennial_device_core::delta::packing::deflate::{Flavour, Parameters};
use perennial_device_core::delta::packing::method::{Method, Wrapping};
use perennial_schemas::delta::Parts;

use super::Proved;
use super::before::key;
use super::find::{Found, Kind, Opener};
use super::tell::Teller;
use crate::delta::progress::{Progress, Stage};

/// So many parts in a row that come back with no method of a kind, and only those are tried that were right before.
const PATIENCE: usize = 6;

/// Those parts that come back byte for byte, ascending. Where the image `is_outermost`, what the old one has as it is stays so.
pub(super) fn prove(
    image: &[u8],
    found: Vec<Found>,
    jobs: usize,
    is_outermost: bool,
    progress: &Progress<'_>,
) -> Vec<Proved> {
    let stays = |part: &Found| is_outermost && !part.changed && part.rest.is_empty();
    let work = |part: &Found| if stays(part) { 0 } else { part.length as u64 };
    progress.begin(Stage::Packing, found.iter().map(work).sum());
    let proved = proved(image, found, jobs, is_outermost, &|part| progress.more(work(part)));
    progress.end();
    proved
}

fn proved(
    image: &[u8],
    found: Vec<Found>,
    jobs: usize,
    is_outermost: bool,
    done: &(dyn Fn(&Found) + Sync),
) -> Vec<Proved> {
    let share = found.len().div_ceil(jobs.max(1)).max(1);
    let each = |found: &[Found]| {
        let mut prover = Prover::default();
        let proved = found.iter().filter_map(|part| {
            let proved = prover.prove(image, part, is_outermost);
            done(part);
            proved
        });
        proved.collect::<Vec<Proved>>()
    };
    if jobs < 2 {
        return each(&found);
    }
    thread::scope(|scope| {
        let workers: Vec<_> = found.chunks(share).map(|found| scope.spawn(move || each(found))).collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap_or_default()).collect()
    })
}

#[derive(Default)]
struct Prover {
    opener: Opener,
    /// Those that were right, the latest first.
    right: Vec<Method>,
    /// Parts of each kind in a row for which none was.
    wrong: [usize; 2],
    teller: Teller,
}

impl Prover {
    fn prove(&mut self, image: &[u8], part: &Found, is_outermost: bool) -> Option<Proved> {
        let bytes = part.bytes(image);
        let packed = &*bytes;
        let proved = |method, note, key| Some(Proved { part: part.clone(), method, note, key });
        if is_outermost && !part.changed && part.rest.is_empty() {
            return proved(Method::Same, Vec::new(), None);
        }
        let content = self.opener.content(part.kind, packed, part.length)?;
        if part.kind == Kind::Zstd {
            // A neighbour that is the same in both images is cheaper as a copy than with a note.
            let (method, note) = self.teller.tell(content, packed)?;
            if method.has_notes() && !part.changed {
                return None;
            }
            let key = if is_outermost { key(&method, content, &note) } else { None };
            return proved(method, note, key);
        }
        let kind = usize::from(matches!(part.kind, Kind::Zlib { .. }));
        let all = methods(part.kind);
        let known = self.right.iter().filter(|method| all.contains(method)).copied();
        let known: Vec<Method> = known.collect();
        let others = all.iter().filter(|method| !known.contains(method)).copied();
        let patience = if self.wrong[kind] < PATIENCE { usize::MAX } else { 0 };
        let mut tried = known.iter().copied().chain(others.take(patience));
        let Some(method) = tried.find(|method| comes_back(method, content, packed)) else {
            self.wrong[kind] += 1;
            return None;
        };
        self.wrong[kind] = 0;
        self.right.retain(|known| *known != method);
        self.right.insert(0, method);
        proved(method, Vec::new(), None)
    }
}

/// Methods that may have packed it, the likeliest first.
fn methods(kind: Kind) -> Vec<Method> {
    let deflate = |wrapping, flavour, window_bits, levels: &[u8], memory: &[u8]| {
        let mut methods = Vec::new();
        for memory_level in memory {
            methods.extend(levels.iter().map(|level| {
                let (level, memory_level) = (*level, *memory_level);
                Method::Deflate(wrapping, Parameters { flavour, level, window_bits, memory_level })
            }));
        }
        methods
    };
    match kind {
        Kind::Gzip { hint } => {
            let levels: &[u8] = match hint {
                2 => &[9],
                4 => &[1],
                _ => &[6, 9, 8, 7, 5, 4, 3, 2, 1],
            };
            let mut methods = deflate(Wrapping::Gzip, Flavour::Gzip, 15, levels, &[8]);
            methods.extend(deflate(Wrapping::Gzip, Flavour::Zlib, 15, levels, &[8, 9]));
            methods
        }
        Kind::Zlib { window_bits, hint } => {
            let levels: &[u8] = match hint {
                0 => &[1],
                1 => &[5, 4, 3, 2],
                2 => &[6],
                _ => &[9, 8, 7],
            };
            deflate(Wrapping::Zlib, Flavour::Zlib, window_bits, levels, &[8, 9])
        }
        Kind::Zstd => Vec::new(),
    }
}

/// Whether packing the content gives these very bytes.
fn comes_back(method: &Method, content: &[u8], packed: &[u8]) -> bool {
    let mut packer = Packer::new(&Parts { deflate: true, ..Parts::default() });
    let mut rest = packed;
    // The first byte that differs ends it.
    let mut same = |bytes: &[u8]| {
        rest = rest.strip_prefix(bytes).ok_or(DeltaError::Part)?;
        Ok(())
    };
    let made = packer
        .begin(method, &mut same)
        .and_then(|()| packer.push(method, content, &mut same))
        .and_then(|()| packer.finish(method, &[], &mut same));
    made.is_ok() && rest.is_empty()
}
