//! What a bundle's releases and channels say, read as a device will read it: what a device would refuse isn't
//! published. It looks at no payload's content: that is the signers' to vouch for.

use super::accept::Accepted;
use super::promises::{document, plain};
use super::{IngestError, Reason, consistent};
use crate::blobs::Staging;
use crate::generation::Served;
use crate::state::Held;
use perennial_device_core::crypto::Ring;
use perennial_schemas::TargetPath;
use perennial_schemas::channel::Channel;
use perennial_schemas::index::Index;
use perennial_schemas::limits::{INDEX_CHUNKS, SECURITY_VERSION_STEP};
use perennial_schemas::release::{IndexRef, Release};
use std::collections::BTreeMap;

/// The longest index: its chunks' digests, its pages', its header; rounded up.
const INDEX_LENGTH: u64 = INDEX_CHUNKS * 33 + 4096;

/// Checks every channel, and every release that isn't served yet.
pub(super) fn check(
    held: &Held,
    served: Option<&Served>,
    accepted: &Accepted,
    staging: &Staging,
) -> Result<(), IngestError> {
    let mut new: BTreeMap<String, Vec<Release>> = BTreeMap::new();
    for (path, file) in &accepted.targets {
        let Some((product, name)) = path.split_once('/') else { continue };
        if name.ends_with(".channel.json") {
            let channel: Channel = document(held, staging, path, &file.sha256)?;
            offers(path, product, &channel, accepted)?;
        }
        let known = consistent(path, &file.sha256);
        let known = known
            .is_some_and(|path| served.is_some_and(|served| served.generation.files.contains_key(&path)));
        if name.ends_with(".release.json") && !known {
            let release: Release = document(held, staging, path, &file.sha256)?;
            if release.product.as_str() != product {
                return refused(path, format!("it is a release of another product, {}", release.product));
            }
            files(held, path, &release, accepted, staging)?;
            new.entry(product.to_owned()).or_default().push(release);
        }
    }
    for (product, releases) in new {
        let highest = served.map_or(Ok(None), |served| highest(held, served, staging, &product))?;
        security_versions(highest, releases)?;
    }
    Ok(())
}

fn refused<T>(path: &str, why: String) -> Result<T, IngestError> {
    Err(IngestError::Unusable(format!("{path}: {why}")))
}

/// A channel offers releases of its own product that are there, as they are there.
fn offers(path: &str, product: &str, channel: &Channel, accepted: &Accepted) -> Result<(), IngestError> {
    if channel.product.as_str() != product {
        return refused(path, format!("it is a channel of another product, {}", channel.product));
    }
    for offered in &channel.releases {
        let manifest = Release::path(&channel.product, &offered.version)?;
        let there = accepted.targets.get(manifest.as_str());
        if there.is_none_or(|there| there.sha256 != offered.manifest) {
            let version = &offered.version;
            return refused(path, format!("it offers {version} with a manifest that no role vouches for"));
        }
    }
    Ok(())
}

/// Every file of a release is there, with the lengths that its manifest gives, and with indexes that can be read.
fn files(
    held: &Held,
    path: &str,
    release: &Release,
    accepted: &Accepted,
    staging: &Staging,
) -> Result<(), IngestError> {
    let targets = release.targets();
    if let Some(part) = targets.into_iter().find(|part| !accepted.targets.contains_key(part.as_str())) {
        return refused(path, format!("it needs {part}, which no role vouches for"));
    }
    let length = |target: &TargetPath| accepted.targets.get(target.as_str()).map(|file| file.length);
    let index = |of: &IndexRef, length: u64| {
        let Some(file) = accepted.targets.get(of.target.as_str()) else { return Ok(()) };
        let bytes = if staging.has(&file.sha256) {
            staging.read(&file.sha256, INDEX_LENGTH)?
        } else {
            held.state.blobs().read(&file.sha256, INDEX_LENGTH)?
        };
        match Index::verify(&bytes, &of.root, &Ring) {
            Err(error) => refused(of.target.as_str(), error.to_string()),
            Ok(index) if index.shape().length() != length => {
                let indexed = index.shape().length();
                refused(of.target.as_str(), format!("it indexes {indexed} bytes; the manifest says {length}"))
            }
            Ok(_) => Ok(()),
        }
    };
    for image in &release.images {
        index(&image.index, image.length)?;
        for payload in &image.payloads {
            if let Some(length) = length(&payload.target).filter(|length| *length != payload.length) {
                let why = format!("{} has {length} bytes; it says {}", payload.target, payload.length);
                return refused(path, why);
            }
            index(&payload.index, payload.length)?;
        }
    }
    Ok(())
}

/// The highest security version that is served of a product; `None` where no release is.
fn highest(
    held: &Held,
    served: &Served,
    staging: &Staging,
    product: &str,
) -> Result<Option<u32>, IngestError> {
    let mut highest = None;
    for (path, file) in &served.generation.files {
        let name = plain(path, &file.sha256);
        let of_product = |name: &String| name.split_once('/').is_some_and(|(first, _)| first == product);
        let Some(name) = name.filter(|name| name.ends_with(".release.json") && of_product(name)) else {
            continue;
        };
        let release: Release = document(held, staging, &name, &file.sha256)?;
        highest = highest.max(Some(release.security_version));
    }
    Ok(highest)
}

/// No new release is below the highest that was published, and none is more than a step above the one before. A server
/// that holds no release of the product takes the lowest as it is: it may have joined late.
fn security_versions(mut highest: Option<u32>, mut new: Vec<Release>) -> Result<(), IngestError> {
    new.sort_by_key(|release| release.security_version);
    for release in new {
        if let Some(highest) = highest.filter(|highest| !release.security_version_may_follow(*highest)) {
            let why = format!(
                "release {} of {} has security version {}; after {highest} it must be from {highest} to {}",
                release.version,
                release.product,
                release.security_version,
                highest.saturating_add(SECURITY_VERSION_STEP)
            );
            return Err(IngestError::Promise { reason: Reason::SecurityVersion, why });
        }
        highest = Some(release.security_version);
    }
    Ok(())
}
