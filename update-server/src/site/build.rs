//! A site from a generation: its metadata read into memory, its targets left where they are, the support pages made.
//! It verifies nothing: everything in a generation was verified before it was committed.

use super::{Caching, Content, Entries, Entry, Kind, Site};
use crate::blobs::{Blobs, digest_of};
use crate::disk::DiskError;
use crate::generation::{Generation, Served};
use crate::support;
use bytes::Bytes;
use perennial_schemas::limits::{SUPPORT_LENGTH, TARGETS_LENGTH};
use perennial_schemas::{Document, Timestamp, support::Support};
use std::sync::Arc;

/// The site of a generation. Files of the one before stay, so that a device that is halfway through finishes.
///
/// # Errors
/// When a blob can't be read.
pub(crate) fn site(
    served: &Served,
    previous: Option<&Generation>,
    blobs: &Blobs,
    caching: &Caching,
    now: Timestamp,
) -> Result<Site, DiskError> {
    let mut files = Entries::new();
    for generation in previous.into_iter().chain([&served.generation]) {
        add_files(&mut files, generation, blobs, caching)?;
    }
    let mut site = Site::empty(caching);
    site.generation = served.generation.number;
    site.files = Arc::new(files);
    with_fresh(&site, served, blobs, caching, now)
}

/// The same site with another timestamp, and pages as of `now`.
///
/// # Errors
/// When a support record can't be read.
pub(crate) fn with_fresh(
    site: &Site,
    served: &Served,
    blobs: &Blobs,
    caching: &Caching,
    now: Timestamp,
) -> Result<Site, DiskError> {
    let mut fresh = Entries::new();
    let mut add = |path: String, kind, bytes: Vec<u8>| {
        let (digest, length) = (digest_of(&bytes), bytes.len() as u64);
        let entry = Entry::new(&path, kind, Content::Memory(Bytes::from(bytes)), length, &digest, caching);
        fresh.insert(path.into(), entry);
    };
    add("/metadata/timestamp.json".into(), Kind::Fresh, served.timestamp.clone());
    for (product, path) in &served.generation.support {
        let Some(file) = served.generation.files.get(path) else { continue };
        // The record was read when it was taken in; a later version's record would have been refused there.
        if let Ok(record) = Support::parse(&blobs.read(&file.sha256, SUPPORT_LENGTH)?) {
            add(format!("/support/{product}"), Kind::Page, support::page(&record, now).into_bytes());
        }
    }
    Ok(Site { fresh, ..site.clone() })
}

fn add_files(
    files: &mut Entries,
    generation: &Generation,
    blobs: &Blobs,
    caching: &Caching,
) -> Result<(), DiskError> {
    for (path, file) in &generation.files {
        let name = format!("/{path}");
        let (kind, content) = if path.starts_with("metadata/") {
            (Kind::Versioned, Content::Memory(Bytes::from(blobs.read(&file.sha256, TARGETS_LENGTH)?)))
        } else {
            (Kind::Target, Content::Blob(file.sha256))
        };
        let entry = Entry::new(&name, kind, content, file.length, &file.sha256, caching);
        files.insert(name.into(), entry);
    }
    Ok(())
}
