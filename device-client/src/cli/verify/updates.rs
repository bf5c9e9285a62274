//! The updates that a page lists, computed again from the signed channels and manifests. It decides what the page should
//! list; the page itself it never sees.

use std::collections::BTreeSet;

use perennial_device_core::crypto::Ring;
use perennial_device_core::lookup::LookUp;
use perennial_schemas::channel::Channel;
use perennial_schemas::limits::CHANNEL_LENGTH;
use perennial_schemas::release::Release;
use perennial_schemas::support::Update;
use perennial_schemas::support::update::withdrawn;
use perennial_schemas::{Digest as _, Document, ProductName, ReleaseVersion, RoleName, Sha256Digest};

use crate::error::chain;

/// Manifests that are fetched for it. A product with more has a page of its own making; its summary lists the newest.
const MANIFESTS: usize = 400;

/// The updates of a product whose record `role` vouches for.
///
/// # Errors
/// Why they can't be told, in words.
pub(super) fn signed(
    look: &mut LookUp<'_, Ring>,
    product: &ProductName,
    role: &RoleName,
) -> Result<Vec<Update>, String> {
    let (own, end) = (format!("{product}/"), ".channel.json");
    let is_channel = |path: &&str| path.strip_prefix(&own).is_some_and(|name| name.ends_with(end));
    let paths: Vec<String> = look.listed(role).filter(is_channel).map(str::to_owned).collect();
    let mut channels: Vec<Channel> = Vec::new();
    for path in paths {
        channels.extend(document(look, &path, CHANNEL_LENGTH)?.map(|(channel, _)| channel));
    }
    let known: BTreeSet<(ReleaseVersion, Sha256Digest)> = channels.iter().flat_map(named).collect();
    if known.len() > MANIFESTS {
        return Err(format!("there are more than {MANIFESTS} of them"));
    }
    let mut updates = Vec::new();
    for (version, manifest) in known {
        let path = format!("{own}{version}.release.json");
        match document::<Release>(look, &path, Release::MAX_LENGTH)? {
            // What was withdrawn long ago may be gone.
            Some((release, digest)) if digest == manifest => {
                updates.push(Update::new(&release, withdrawn(&channels, &manifest)));
            }
            _ => {}
        }
    }
    Ok(Update::newest(updates))
}

/// The releases that a channel offers or has withdrawn.
fn named(channel: &Channel) -> impl Iterator<Item = (ReleaseVersion, Sha256Digest)> {
    let offered = channel.releases.iter().map(|offered| (offered.version.clone(), offered.manifest));
    offered.chain(channel.withdrawn.iter().map(|gone| (gone.version.clone(), gone.manifest)))
}

fn document<T: Document>(
    look: &mut LookUp<'_, Ring>,
    path: &str,
    max_length: u64,
) -> Result<Option<(T, Sha256Digest)>, String> {
    let path = path.parse().map_err(|error| chain(&error))?;
    let Some(found) = look.get(&path, max_length).map_err(|error| chain(&error))? else { return Ok(None) };
    let document = T::parse(&found.bytes).map_err(|error| chain(&error))?;
    Ok(Some((document, Ring.sha256(&found.bytes))))
}
