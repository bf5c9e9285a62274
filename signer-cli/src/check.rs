//! Whether a device would accept what is about to be published: asked before it is published.
//!
//! Two clients must accept an in-memory preview: the device's own core, and tough, which shares no code with it. Both
//! fetch the new targets (or all of them); each release among them is made anew from its payloads; the real chain of
//! roots is verified apart. Publishes nothing and writes nothing.

mod device;
mod error;
mod preview;
mod reproduce;
#[cfg(test)]
mod tests;
mod tough;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use perennial_schemas::tuf::{Role, Root, Snapshot, TargetFile, Targets, TopRole};
use perennial_schemas::{FormatError, RoleName, Signed, Timestamp};

pub use error::CheckError;
pub use preview::Preview;

use crate::files;
use crate::repository::{bins, top};

/// Which target files are read and compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Extent {
    /// Every one, and every role must be there and current.
    All,
    /// Manifests, channels and support records; no image is made from its payload.
    Documents,
    /// These paths.
    Only(BTreeSet<String>),
}

impl Extent {
    fn covers(&self, path: &str) -> bool {
        match self {
            Self::All => true,
            Self::Documents => path.ends_with(".json"),
            Self::Only(paths) => paths.contains(path),
        }
    }
}

/// What was found good.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Checked {
    /// Root files in the chain.
    pub roots: u64,
    /// Roles that vouch for targets.
    pub roles: u64,
    /// Targets that they vouch for.
    pub targets: u64,
    /// Target files read and compared.
    pub files: u64,
    /// Releases whose images were made from their payloads.
    pub releases: u64,
    /// Roles of other products that have expired: devices of those products refuse them.
    pub expired: Vec<String>,
    /// Deltas that could not be proved here, with the reason.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unproved: Vec<String>,
}

/// Checks what would be published. `progress` hears how many bytes were read since it was called last.
///
/// # Errors
/// [`CheckError`]: the first reason why a device, or tough, would refuse it.
pub fn before_publish(
    preview: &Preview,
    extent: &Extent,
    now: Timestamp,
    progress: &mut dyn FnMut(u64),
) -> Result<Checked, CheckError> {
    // First, so that nothing else is blamed for it.
    let expired = verify_expiry(preview, extent, now)?;
    device::walks_roots(preview, now)?;
    let rehearsal = preview.rehearse(now)?;
    let described = preview.targets()?;
    let wanted = |path: &String| extent.covers(path);
    let new =
        described.iter().filter(|(path, _)| wanted(path)).map(|(path, file)| (path.clone(), file.clone()));
    // All are looked up, since a release may name a file that an earlier one brought along.
    let mut places = BTreeMap::new();
    for (path, target) in &described {
        match preview.locate(path, target) {
            Ok(place) => drop(places.insert(path.clone(), place)),
            Err(e) if wanted(path) => return Err(e),
            Err(_) => {}
        }
    }
    let fetched: BTreeMap<_, _> = places
        .iter()
        .filter(|(path, _)| wanted(path))
        .map(|(path, file)| (path.clone(), file.clone()))
        .collect();
    device::accepts(preview, &rehearsal, extent, &new.collect(), now)?;
    for (path, file) in &fetched {
        verify_file(path, &described[path], file)?;
    }
    tough::accepts(preview, &rehearsal, &fetched, progress)?;
    let manifests: Vec<_> = fetched
        .iter()
        .filter(|(path, _)| path.ends_with(".release.json") && *extent != Extent::Documents)
        .collect();
    let mut unproved = Vec::new();
    for (path, file) in &manifests {
        unproved.extend(reproduce::release(path, file, &places, progress)?);
    }
    Ok(Checked {
        roots: preview.roots.len() as u64,
        roles: preview.roles.len() as u64,
        targets: described.len() as u64,
        files: fetched.len() as u64,
        releases: manifests.len() as u64,
        expired,
        unproved,
    })
}

/// Root, snapshot, targets and every role that vouches for what is fetched must be current (TUF 5.3.10, 5.5.6, 5.6.5).
/// Gives the names of other roles that are not: their products stand still, the others don't.
fn verify_expiry(preview: &Preview, extent: &Extent, now: Timestamp) -> Result<Vec<String>, CheckError> {
    if let Some(root) = preview.roots.last() {
        current("root", Signed::<Root>::parse(root)?.unverified(), now)?;
    }
    current("snapshot", Signed::<Snapshot>::parse(&preview.snapshot)?.unverified(), now)?;
    let mut expired = Vec::new();
    let read = |(name, file): (&'_ RoleName, &Vec<u8>)| Ok((name.clone(), Signed::<Targets>::parse(file)?));
    let roles: Vec<_> = preview.roles.iter().map(read).collect::<Result<_, FormatError>>()?;
    // A bin is reached through its product's role.
    let mut needed = BTreeSet::from([top(TopRole::Targets)]);
    for (name, file) in &roles {
        let fetched = match extent {
            Extent::All => true,
            Extent::Documents => false,
            Extent::Only(paths) => file.unverified().targets.keys().any(|path| paths.contains(path)),
        };
        needed.extend(fetched.then(|| [name.clone(), bins::family(name)]).into_iter().flatten());
    }
    for (name, file) in &roles {
        match current(name.as_str(), file.unverified(), now) {
            Err(e) if needed.contains(name) => return Err(e),
            Err(_) => expired.push(name.to_string()),
            Ok(()) => {}
        }
    }
    Ok(expired)
}

fn current(role: &str, file: &impl Role, now: Timestamp) -> Result<(), CheckError> {
    if file.is_current(now) {
        return Ok(());
    }
    Err(CheckError::Expired { role: role.into(), expired: file.expires() })
}

fn verify_file(path: &str, target: &TargetFile, file: &Path) -> Result<(), CheckError> {
    let sha256 = target.sha256().ok_or_else(|| CheckError::NoDigest { target: path.into() })?;
    let (got_length, got) = files::measure(file)?;
    if (got_length, got) == (target.length, sha256) {
        return Ok(());
    }
    Err(CheckError::Differs { target: path.into(), length: target.length, sha256, got_length, got })
}
