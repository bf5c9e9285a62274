//! A whole release as a proposal: images measured, looked through for secrets and compressed, manifest, channels.
//!
//! Nothing of it has a name on disk until all of it is there, so an interrupted proposal leaves nothing behind.

use std::io::{Seek, SeekFrom};
use std::path::PathBuf;

use perennial_schemas::ident::{ChannelName, HardwareName, ProductName};
use perennial_schemas::release::Release;
use perennial_schemas::signed::to_text;
use perennial_schemas::{Digest, RoleName, Sha256Digest, TargetPath, Timestamp};

use super::deltas::{Dropped, Library, MadeDelta, Telling, Wanted};
use super::draft::{ImageNames, MeasuredImage};
use super::{Draft, ReleaseError, Standing, offer};
use crate::crypto::Ring;
use crate::files::{self, FileError};
use crate::image::{self, Compression, ImageError, Prepared};
use crate::proposal::{Content, Kind, Proposal, ProposalBuilder};
use crate::repository::Repository;
use crate::scan::{self, Finding, Found, PasswordHash, Scanner, Watched};
use crate::scratch::Scratch;

/// The longest bill of materials, in bytes: those of whole Linux distributions have 20 MiB.
const SBOM_LENGTH: u64 = 64 << 20;

/// An image as a maker names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageFile {
    /// The hardware revisions that it is for.
    pub hardware: Vec<HardwareName>,
    /// Its file, or block device.
    pub path: PathBuf,
}

/// What was proposed.
#[derive(Debug)]
pub struct Proposed {
    /// The proposal.
    pub proposal: Proposal,
    /// The manifest.
    pub release: Release,
    /// The manifest's digest.
    pub manifest: Sha256Digest,
    /// Passwords that the images bring along: the same on every unit.
    pub passwords: Vec<PasswordHash>,
    /// Deltas that are not worth their place.
    pub dropped: Vec<Dropped>,
}

/// Proposes a release of the product that `standing` tells of.
///
/// # Errors
/// [`ReleaseError`]: everything that can be told without reading the images is told before they are read.
#[expect(clippy::too_many_arguments, reason = "each is one thing that the maker decides")]
pub fn propose(
    repository: &Repository,
    standing: &Standing,
    draft: &Draft,
    images: &[ImageFile],
    sbom: Option<&PathBuf>,
    channels: &[ChannelName],
    compression: Compression,
    wanted: &Wanted,
    now: Timestamp,
    telling: &mut Telling<'_>,
) -> Result<Proposed, ReleaseError> {
    let product = &standing.product;
    let version = &draft.version;
    draft.check(standing, now)?;
    check_names(standing, draft, images)?;
    // A manifest digest of zeros stands for one that isn't known yet.
    for channel in channels {
        offer::offering(standing, channel, version, Sha256Digest([0; 32]))?;
    }
    let library = Library::new(repository, standing)?;
    library.check(wanted, images)?;
    let (subject, summary) = (format!("{product}-{version}"), format!("{product} {version}"));
    let mut builder = ProposalBuilder::new(repository, Kind::Release, &subject, &summary, now);
    let role = RoleName::from(product);
    let mut put = |path: &TargetPath, content: Content| builder.put_target(&role, path, content);
    let mut measured: Vec<MeasuredImage> = Vec::new();
    let (mut found, mut passwords, mut dropped) = (Vec::new(), Vec::new(), Vec::new());
    for image in images {
        let (prepared, payload, seen) = prepare(repository, image, compression, telling)?;
        found.extend(told(repository, product, image, &seen, draft.allow_secrets.is_some())?);
        passwords.extend(seen.passwords);
        let names = ImageNames::new(product, version, &image.hardware[0])?;
        let Prepared { image: whole, payload: packed } = &prepared;
        put(&names.index, Content::Bytes(whole.index.bytes.clone()))?;
        put(&names.payload_index, Content::Bytes(packed.index.bytes.clone()))?;
        put(&names.payload, Content::Made { file: payload, length: packed.length, sha256: packed.sha256 })?;
        let (made, too_long) = library.deltas(version, wanted, image, &prepared, telling)?;
        dropped.extend(too_long);
        let mut deltas = Vec::new();
        for MadeDelta { payload, bytes, measured } in made {
            put(&payload.target, Content::Bytes(bytes))?;
            put(&payload.index.target, Content::Bytes(measured.index.bytes))?;
            deltas.push(payload);
        }
        measured.push(MeasuredImage { hardware: image.hardware.clone(), prepared, deltas });
    }
    if let Some(sbom) = sbom {
        put(&draft.sbom_path(product)?, Content::Bytes(files::read(sbom, SBOM_LENGTH)?))?;
    }
    let release = draft.manifest(standing, &measured, &found, now)?;
    let text = to_text(&release)?;
    let manifest = Ring.sha256(&text);
    put(&Release::path(product, version)?, Content::Bytes(text))?;
    for channel in channels {
        offer::put(&mut builder, &offer::offering(standing, channel, version, manifest)?)?;
    }
    let proposal = builder.write()?;
    scan::known::remember(repository, product, &passwords)?;
    Ok(Proposed { proposal, release, manifest, passwords, dropped })
}

/// What was found in an image, for the manifest; an error unless it is let through.
fn told(
    repository: &Repository,
    product: &ProductName,
    image: &ImageFile,
    seen: &Found,
    let_through: bool,
) -> Result<Vec<String>, ReleaseError> {
    let hardware: Vec<&str> = image.hardware.iter().map(HardwareName::as_str).collect();
    let mut found: Vec<String> = seen.secrets.iter().map(Finding::to_string).collect();
    let shared = scan::known::shared(repository, product, &seen.passwords)?;
    found.extend(
        shared.map(|shared| format!("{}, as an image of {} has it", shared.hash.finding, shared.product)),
    );
    let count = seen.count.max(found.len() as u64);
    match found.first() {
        Some(first) if !let_through => {
            let (path, first) = (image.path.clone(), first.clone());
            Err(ReleaseError::Secret { path, first, more: count - 1 })
        }
        _ => Ok(found.iter().map(|finding| format!("{}: {finding}", hardware.join(", "))).collect()),
    }
}

/// What the format would refuse, before the images are read.
fn check_names(standing: &Standing, draft: &Draft, images: &[ImageFile]) -> Result<(), ReleaseError> {
    let mut seen = std::collections::BTreeSet::new();
    for image in images {
        if let Some(twice) = image.hardware.iter().find(|hardware| !seen.insert(*hardware)) {
            return Err(ReleaseError::HardwareTwice(twice.clone()));
        }
        if let Some(first) = image.hardware.first() {
            ImageNames::new(&standing.product, &draft.version, first)?;
        }
        open(image)?;
    }
    let planned = draft.rollout.iter().flat_map(|plan| plan.hardware.iter().flatten());
    if let Some(stranger) = planned.into_iter().find(|hardware| !seen.contains(hardware)) {
        return Err(ReleaseError::PlanHardware(stranger.clone()));
    }
    Ok(())
}

fn open(image: &ImageFile) -> Result<(std::fs::File, u64), ReleaseError> {
    let fail = |source| ReleaseError::Image { path: image.path.clone(), source };
    let mut file = match files::open(&image.path) {
        Err(FileError::Io { source, .. }) => return Err(fail(ImageError::Read(source))),
        opened => opened?.into_inner(),
    };
    // Seeking tells the length of a block device, too.
    let length = file.seek(SeekFrom::End(0)).map_err(|e| fail(ImageError::Read(e)))?;
    file.seek(SeekFrom::Start(0)).map_err(|e| fail(ImageError::Read(e)))?;
    if length == 0 {
        return Err(fail(ImageError::Empty));
    }
    Ok((file, length))
}

fn prepare(
    repository: &Repository,
    image: &ImageFile,
    compression: Compression,
    telling: &mut Telling<'_>,
) -> Result<(Prepared, Scratch, Found), ReleaseError> {
    let (mut file, length) = open(image)?;
    let mut payload = Scratch::create_in(&repository.proposals_dir())?;
    let name = image.path.file_name().unwrap_or_default().to_string_lossy();
    let mut told = |read| telling(&name, length, read);
    let mut scanner = Scanner::default();
    let mut watched = Watched { inner: &mut file, scanner: &mut scanner };
    let prepared = image::prepare(&mut watched, length, &mut payload, compression, &Ring, &mut told)
        .map_err(|source| ReleaseError::Image { path: image.path.clone(), source })?;
    Ok((prepared, payload, scanner.finish()))
}
