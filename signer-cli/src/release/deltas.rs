//! Deltas of a release from earlier ones: made, weighed against the full payload, and proved with the device's code.
//!
//! Decides from which releases, and whether a delta is worth its place. How one is made is [`crate::delta`]'s.

use std::collections::BTreeMap;
use std::io;

use perennial_device_core::delta::packing::codec::PackedBefore;
use perennial_schemas::document::Document;
use perennial_schemas::index::Index;
use perennial_schemas::limits::{IMAGE_LENGTH, RELEASE_LENGTH};
use perennial_schemas::release::{DeltaSource, Encoding, Image, IndexRef, Payload, Release};
use perennial_schemas::tuf::TargetFile;
use perennial_schemas::{Digest, HardwareName, ReleaseVersion, RoleName, TargetPath};
use serde::Serialize;

use super::draft::target;
use super::{ImageFile, ReleaseError, Standing};
use crate::crypto::Ring;
use crate::delta::make::{self, Settings};
use crate::delta::progress::{Progress, Stage, Told};
use crate::delta::source::Source;
use crate::files::{self, FileSource};
use crate::image::{Indexer, Measured, Prepared};
use crate::repository::Repository;
use crate::reproduce::{self, Chunks, Made, Missing, OldFile, Places};

/// log2 of the chunk size of a delta, in bytes: what a device reads again at most around each frame that it goes on with,
/// and an index of a fiftieth of a per cent of it.
const CHUNK_BITS: u8 = 14;

/// Which deltas a maker wants.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    /// From these releases.
    pub from: Vec<ReleaseVersion>,
    /// From so many of the newest releases before this one that no channel has withdrawn.
    pub last: usize,
    /// A delta that saves less than so many per cent of the full payload is dropped.
    pub least_saved: u8,
    /// How they are made.
    pub settings: Settings,
}

/// A delta that is proposed.
#[derive(Debug)]
pub struct MadeDelta {
    /// What the manifest says of it.
    pub payload: Payload,
    /// The container.
    pub bytes: Vec<u8>,
    /// The container, measured.
    pub measured: Measured,
}

/// A delta that was not proposed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Dropped {
    /// The release that it would have started from.
    pub from: ReleaseVersion,
    /// Its hardware.
    pub hardware: HardwareName,
    /// Why, in words.
    pub why: String,
}

/// What is published of a product, for looking up the images that deltas start from.
pub struct Library<'l> {
    repository: &'l Repository,
    standing: &'l Standing,
    places: Places,
}

/// An image of an earlier release, and the hardware that it shares with the new one.
struct Earlier {
    version: ReleaseVersion,
    hardware: HardwareName,
    image: Image,
}

/// Says what is done, of how many bytes (0 where that isn't known), and how many are done.
pub type Telling<'t> = dyn FnMut(&str, u64, u64) + Send + 't;

impl<'l> Library<'l> {
    /// What `repository` has published of the product.
    ///
    /// # Errors
    /// [`ReleaseError`]
    pub fn new(repository: &'l Repository, standing: &'l Standing) -> Result<Self, ReleaseError> {
        let published = repository.published()?;
        let targets: BTreeMap<&str, &TargetFile> = published.targets_of(&RoleName::from(&standing.product));
        let place = |(path, file): (&&str, &&TargetFile)| {
            let name: TargetPath = path.parse().ok()?;
            let place = repository.targets_dir().join(name.consistent(&file.sha256()?.to_string()));
            Some(((*path).to_owned(), place))
        };
        Ok(Self { repository, standing, places: targets.iter().filter_map(place).collect() })
    }

    /// Checks that there is something to start from, before an image is read.
    ///
    /// # Errors
    /// [`ReleaseError::NoRelease`], [`ReleaseError::NoImageFor`].
    pub fn check(&self, wanted: &Wanted, images: &[ImageFile]) -> Result<(), ReleaseError> {
        for version in &wanted.from {
            let release = self.release(version)?;
            let fits =
                |image: &ImageFile| image.hardware.iter().any(|name| release.image_for(name).is_some());
            if !images.iter().any(fits) {
                return Err(ReleaseError::NoImageFor { version: version.clone() });
            }
        }
        Ok(())
    }

    /// Makes the deltas for one image.
    ///
    /// # Errors
    /// [`ReleaseError`]: where one that was asked for by its version can't be made, or none can be proved.
    pub fn deltas(
        &self,
        version: &ReleaseVersion,
        wanted: &Wanted,
        file: &ImageFile,
        prepared: &Prepared,
        telling: &mut Telling<'_>,
    ) -> Result<(Vec<MadeDelta>, Vec<Dropped>), ReleaseError> {
        let (mut made, mut dropped) = (Vec::new(), Vec::new());
        let earlier = self.earlier(version, wanted, file)?;
        if earlier.is_empty() {
            return Ok((made, dropped));
        }
        let new = opened(file, prepared)?;
        for earlier in earlier {
            let drop_it = |why: String| {
                let (from, hardware) = (earlier.version.clone(), earlier.hardware.clone());
                Dropped { from, hardware, why }
            };
            if earlier.image.sha256 == prepared.image.sha256 {
                dropped.push(drop_it("it has the same image".into()));
                continue;
            }
            let (label, mut read) = (format!("unpacking {}", earlier.version), 0);
            let told = &mut |more| {
                read += more;
                telling(&label, 0, read);
            };
            let old = match reproduce::image_of(&earlier.image, &self.places, told) {
                Ok(old) => old,
                Err(Missing::NotHere(what)) if !wanted.from.contains(&earlier.version) => {
                    dropped.push(drop_it(what));
                    continue;
                }
                Err(Missing::NotHere(why) | Missing::Wrong(why)) => {
                    let asked = wanted.from.contains(&earlier.version);
                    return Err(ReleaseError::DeltaFrom { version: earlier.version, why, asked });
                }
            };
            match self.delta(version, wanted, &earlier, old, &new, prepared, telling)? {
                Ok(delta) => made.push(delta),
                Err(why) => dropped.push(drop_it(why)),
            }
        }
        Ok((made, dropped))
    }

    /// One delta; the inner error says why it is dropped.
    #[expect(clippy::too_many_arguments, reason = "both images, and what is wanted of them")]
    fn delta(
        &self,
        version: &ReleaseVersion,
        wanted: &Wanted,
        earlier: &Earlier,
        mut old: OldFile,
        new: &FileSource,
        prepared: &Prepared,
        telling: &mut Telling<'_>,
    ) -> Result<Result<MadeDelta, String>, ReleaseError> {
        let Earlier { version: from, hardware, image } = earlier;
        let asked = wanted.from.contains(from);
        let fail = |why: String| ReleaseError::DeltaFrom { version: from.clone(), why, asked };
        let mut hear = |told: Told| {
            telling(&format!("delta from {from}: {}", told.stage.name()), told.total, told.done);
            true
        };
        let progress = Progress::new(&mut hear);
        let source = old.0.try_clone().and_then(FileSource::new).map_err(|e| fail(e.to_string()))?;
        let made = make::make_from(&source, new, &wanted.settings, &progress);
        let delta = made.map_err(|source| ReleaseError::DeltaMade { version: from.clone(), source })?;
        let full = prepared.payload.length;
        if let Err(why) = worth(delta.bytes.len() as u64, full, wanted.least_saved) {
            return Ok(Err(why));
        }
        let mut indexer = Indexer::new(&Ring, CHUNK_BITS);
        indexer.update(&delta.bytes);
        let measured = indexer.finish("delta").map_err(|e| fail(e.to_string()))?;
        let before = delta.packed.read(new).map_err(|e| fail(e.to_string()))?;
        let bytes = delta.bytes;
        prove(&bytes, &measured, (&mut old, image), prepared, before, &progress)
            .map_err(|why| fail(format!("a delta was made, and does not hold: {why}")))?;
        let product = &self.standing.product;
        let name = format!("{version}.{hardware}.from-{from}.delta");
        let payload = Payload {
            encoding: Encoding::Delta,
            target: target(product, &name)?,
            length: measured.length,
            index: IndexRef { target: target(product, &format!("{name}.index"))?, root: measured.index.root },
            source: Some(DeltaSource {
                version: from.clone(),
                length: image.length,
                sha256: image.sha256,
                index: image.index.clone(),
            }),
        };
        Ok(Ok(MadeDelta { payload, bytes, measured }))
    }

    /// What deltas for this image start from: each image once, the newest release first.
    fn earlier(
        &self,
        version: &ReleaseVersion,
        wanted: &Wanted,
        file: &ImageFile,
    ) -> Result<Vec<Earlier>, ReleaseError> {
        let is_older = |(other, manifest): &(&ReleaseVersion, &perennial_schemas::Sha256Digest)| {
            other.rank(version).is_lt() && !self.standing.is_withdrawn(manifest)
        };
        let mut newest: Vec<&ReleaseVersion> =
            self.standing.releases.iter().filter(is_older).map(|(version, _)| version).collect();
        newest.sort_by(|a, b| b.cmp(a));
        let mut found: Vec<Earlier> = Vec::new();
        let mut take = |version: &ReleaseVersion| {
            let before = found.len();
            let release = self.release(version)?;
            for hardware in &file.hardware {
                let image = release.image_for(hardware);
                let new = |image: &&Image| found.iter().all(|earlier| earlier.image.sha256 != image.sha256);
                if let Some(image) = image.filter(new) {
                    let (version, hardware, image) = (version.clone(), hardware.clone(), image.clone());
                    found.push(Earlier { version, hardware, image });
                }
            }
            Ok::<bool, ReleaseError>(found.len() > before)
        };
        for version in &wanted.from {
            take(version)?;
        }
        let mut left = wanted.last;
        for version in newest {
            if left == 0 {
                break;
            }
            let counts = wanted.from.contains(version) || take(version)?;
            left -= usize::from(counts);
        }
        Ok(found)
    }

    fn release(&self, version: &ReleaseVersion) -> Result<Release, ReleaseError> {
        let digest = self.standing.manifest(version)?;
        let path = Release::path(&self.standing.product, version)?;
        let file = self.repository.targets_dir().join(path.consistent(&digest.to_string()));
        let wrong = |why: String| ReleaseError::Published { path: file.clone(), why };
        let text = files::read(&file, RELEASE_LENGTH)?;
        if Ring.sha256(&text) != *digest {
            return Err(wrong(format!("it is not the file that {} has signed", self.standing.product)));
        }
        Release::parse(&text).map_err(|e| wrong(e.to_string()))
    }
}

/// Whether a delta of `length` bytes saves enough of a full payload.
fn worth(length: u64, full: u64, least_saved: u8) -> Result<(), String> {
    let saved = full.saturating_sub(length);
    let per_cent = u128::from(saved) * 100 / u128::from(full.max(1));
    if length < full && per_cent >= u128::from(least_saved) {
        return Ok(());
    }
    let (length, full) = (crate::plain::grouped(length), crate::plain::grouped(full));
    Err(format!(
        "it has {length} bytes, the full payload {full}: it saves {per_cent} %, and at least {least_saved} % is wanted"
    ))
}

/// Applies it as a device does, but for packing once more what was packed `before` to make it.
fn prove(
    bytes: &[u8],
    measured: &Measured,
    (old, from): (&mut OldFile, &Image),
    new: &Prepared,
    before: Box<dyn PackedBefore>,
    progress: &Progress<'_>,
) -> Result<(), String> {
    let index = |measured: &Measured| {
        Index::verify(&measured.index.bytes, &measured.index.root, &Ring).map_err(|e| e.to_string())
    };
    let (delta_index, image_index) = (index(measured)?, index(&new.image)?);
    progress.begin(Stage::Proving, new.image.length);
    let mut nowhere = Counted(progress);
    let mut made = Made::new(&image_index, &mut nowhere);
    let mut unheard = |_| ();
    let chunks = Chunks::new(bytes, &delta_index, &mut unheard);
    let from = reproduce::identity(from.length, &from.sha256);
    let to = reproduce::identity(new.image.length, &new.image.sha256);
    reproduce::delta(chunks, (old, from), to, Some(before), &mut made).map_err(|e| e.to_string())?;
    let got = made.finish().map_err(|e| e.to_string())?;
    progress.end();
    if got == (new.image.length, new.image.sha256) { Ok(()) } else { Err("it makes another image".into()) }
}

/// Keeps nothing, and tells how much came.
struct Counted<'c, 'p>(&'c Progress<'p>);

impl io::Write for Counted<'_, '_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.more(bytes.len() as u64);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The new image, which was measured; that it has not changed since is proved with the delta.
fn opened(file: &ImageFile, prepared: &Prepared) -> Result<FileSource, ReleaseError> {
    let source = files::source(&file.path, IMAGE_LENGTH)?;
    let (expected, got) = (prepared.image.length, source.length());
    if got == expected {
        return Ok(source);
    }
    let source = crate::image::ImageError::Changed { expected, got };
    Err(ReleaseError::Image { path: file.path.clone(), source })
}
