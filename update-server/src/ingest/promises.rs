//! What was promised when the last bundle was taken in, and must still hold: support dates that only get later, and
//! files that stay until the day that their release names. It decides on documents that the core has vouched for.

use super::accept::Accepted;
use super::{IngestError, Reason, consistent, releases};
use crate::blobs::{Blobs, Digest, Staging};
use crate::generation::{FileRef, Generation, Served};
use crate::state::Held;
use perennial_schemas::channel::Channel;
use perennial_schemas::release::{Class, Release};
use perennial_schemas::support::{Support, SupportError};
use perennial_schemas::{Date, Document, ProductName, Sha256Digest, Timestamp};
use std::collections::{BTreeMap, BTreeSet};

/// The target files that the accepted metadata names, by the path under which they are served.
pub(super) fn wanted(accepted: &Accepted) -> Result<BTreeMap<String, FileRef>, IngestError> {
    let mut wanted = BTreeMap::new();
    for (path, file) in &accepted.targets {
        let refused = |why: &str| IngestError::Unusable(format!("the target {path} {why}"));
        let served = consistent(path, &file.sha256).ok_or_else(|| refused("has no usable path"))?;
        wanted.insert(served, *file);
    }
    Ok(wanted)
}

/// Checks every promise; the paths of the support records by product.
pub(super) fn check(
    held: &Held,
    served: Option<&Served>,
    accepted: &Accepted,
    wanted: &BTreeMap<String, FileRef>,
    staging: &Staging,
    now: Timestamp,
) -> Result<BTreeMap<String, String>, IngestError> {
    let mut support = BTreeMap::new();
    for (path, file) in &accepted.targets {
        let Some((product, "support.json")) = path.split_once('/') else { continue };
        let record: Support = document(held, staging, path, &file.sha256)?;
        if record.product.as_str() != product {
            let why = format!("{path} is the record of another product, {}", record.product);
            return Err(IngestError::Promise { reason: Reason::SupportRewritten, why });
        }
        let broken = |error| {
            let reason = match error {
                SupportError::Shorter { .. }
                | SupportError::CohortNarrowed { .. }
                | SupportError::NotAnnulled(_) => Reason::SupportShorter,
                _ => Reason::SupportRewritten,
            };
            IngestError::Promise { reason, why: format!("{product}: {error}") }
        };
        let before = served.and_then(|served| served.generation.support.get(product));
        if let Some(before) = before.and_then(|path| served?.generation.files.get(path)) {
            let published: Support = document(held, staging, path, &before.sha256)?;
            record.may_follow(&published, &accepted.annulments).map_err(broken)?;
            if record.sequence == published.sequence.saturating_add(1) {
                record.continues(&published, &before.sha256).map_err(broken)?;
            }
            record.dated_by(Some(&published), now).map_err(broken)?;
        } else {
            record.may_begin(&accepted.annulments).map_err(broken)?;
            record.dated_by(None, now).map_err(broken)?;
        }
        let at = consistent(path, &file.sha256).unwrap_or_default();
        support.insert(product.to_owned(), at);
    }
    releases::check(held, served, accepted, staging)?;
    if let Some(served) = served {
        let gone = served.generation.support.keys().find(|product| !support.contains_key(*product));
        if let Some(product) = gone {
            let why = format!(
                "the support record of {product} would vanish; a product that has ended keeps its page"
            );
            return Err(IngestError::Promise { reason: Reason::SupportShorter, why });
        }
        withdrawn(held, served, accepted, staging)?;
        availability(held, served, wanted, staging, now)?;
    }
    Ok(support)
}

/// What a channel has withdrawn stays withdrawn.
fn withdrawn(
    held: &Held,
    served: &Served,
    accepted: &Accepted,
    staging: &Staging,
) -> Result<(), IngestError> {
    for (path, file) in &served.generation.files {
        let Some(name) = plain(path, &file.sha256).filter(|name| name.ends_with(".channel.json")) else {
            continue;
        };
        let after = accepted.targets.get(&name);
        if after.is_some_and(|after| after.sha256 == file.sha256) {
            continue;
        }
        let before: Channel = document(held, staging, &name, &file.sha256)?;
        let after: Option<Channel> =
            after.map(|after| document(held, staging, &name, &after.sha256)).transpose()?;
        let kept = |gone: &Sha256Digest| {
            after.iter().flat_map(|after| &after.withdrawn).any(|withdrawn| withdrawn.manifest == *gone)
        };
        if let Some(gone) = before.withdrawn.iter().find(|gone| !kept(&gone.manifest)) {
            let why = format!(
                "{name} would forget that {} was withdrawn; what is withdrawn stays so",
                gone.version
            );
            return Err(IngestError::Promise { reason: Reason::Withdrawal, why });
        }
    }
    Ok(())
}

/// Every file of a release stays until its time is over, whatever became of its channel.
fn availability(
    held: &Held,
    served: &Served,
    wanted: &BTreeMap<String, FileRef>,
    staging: &Staging,
    now: Timestamp,
) -> Result<(), IngestError> {
    let read = |name: &str, sha256: &Digest| document(held, staging, name, sha256);
    let supported = |product: &ProductName| supported_until(&held.state.blobs(), &served.generation, product);
    match lost(&served.generation.files, wanted, &read, &supported, now)? {
        None => Ok(()),
        Some(lost) => {
            let why = format!(
                "{} would vanish or change, but release {} of {} promised its files until {}",
                lost.target, lost.release.version, lost.release.product, lost.until
            );
            Err(IngestError::Promise { reason: Reason::Availability, why })
        }
    }
}

/// A file that isn't there any more, and the release that promised it for longer.
pub(crate) struct Lost {
    pub(crate) target: String,
    pub(crate) release: Release,
    pub(crate) until: Date,
}

/// The last day on which the record that `generation` serves promises updates to any unit; day 0 without a record.
pub(crate) fn supported_until(
    blobs: &Blobs,
    generation: &Generation,
    product: &ProductName,
) -> Result<Date, IngestError> {
    let path = generation.support.get(product.as_str());
    let Some((path, file)) = path.and_then(|path| Some((path, generation.files.get(path)?))) else {
        return Ok(Date::from_days(0));
    };
    Ok(read::<Support>(blobs, path, &file.sha256)?.latest_until())
}

/// The first file of `before` that isn't in `after` although one of the releases in `before` promised it until today or
/// later. Both are by the path under which files are served. A security release stays as long as `supported` says that
/// its product is: a promise that was extended since holds for what was released before it, too.
pub(crate) fn lost(
    before: &BTreeMap<String, FileRef>,
    after: &BTreeMap<String, FileRef>,
    read: &dyn Fn(&str, &Digest) -> Result<Release, IngestError>,
    supported: &dyn Fn(&ProductName) -> Result<Date, IngestError>,
    now: Timestamp,
) -> Result<Option<Lost>, IngestError> {
    let targets = before.iter().filter(|(path, _)| path.starts_with("targets/"));
    let vanished: BTreeSet<String> = targets
        .filter(|(path, _)| !after.contains_key(*path))
        .filter_map(|(path, file)| plain(path, &file.sha256))
        .collect();
    if vanished.is_empty() {
        return Ok(None);
    }
    for (path, file) in before {
        let Some(name) = plain(path, &file.sha256).filter(|name| name.ends_with(".release.json")) else {
            continue;
        };
        let release = read(&name, &file.sha256)?;
        let parts: BTreeSet<String> = release.targets().into_iter().map(|part| part.to_string()).collect();
        let Some(target) = vanished.iter().find(|lost| **lost == name || parts.contains(*lost)) else {
            continue;
        };
        let until = match release.class {
            Class::Functionality => release.available_until,
            Class::Security | Class::Combined { .. } => {
                supported(&release.product)?.max(release.available_until)
            }
        };
        if until.end() >= now {
            return Ok(Some(Lost { target: target.clone(), release, until }));
        }
    }
    Ok(None)
}

/// The target path of a served path: `targets/dir/<hash>.name` without folder and hash.
pub(super) fn plain(served: &str, sha256: &Digest) -> Option<String> {
    let path = served.strip_prefix("targets/")?;
    let (folder, name) = path.rsplit_once('/').map_or(("", path), |(folder, name)| (folder, name));
    let name = name.strip_prefix(&sha256.to_string())?.strip_prefix('.')?;
    Some(if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") })
}

pub(super) fn document<T: Document>(
    held: &Held,
    staging: &Staging,
    path: &str,
    sha256: &Digest,
) -> Result<T, IngestError> {
    if staging.has(sha256) {
        parse(path, &staging.read(sha256, T::MAX_LENGTH)?)
    } else {
        read(&held.state.blobs(), path, sha256)
    }
}

/// A document among the blobs.
pub(crate) fn read<T: Document>(blobs: &Blobs, path: &str, sha256: &Digest) -> Result<T, IngestError> {
    parse(path, &blobs.read(sha256, T::MAX_LENGTH)?)
}

fn parse<T: Document>(path: &str, bytes: &[u8]) -> Result<T, IngestError> {
    T::parse(bytes).map_err(|error| IngestError::Unusable(format!("{path}: {error}")))
}
