//! A site from a generation: its metadata read into memory, its targets left where they are, the catalogue of its
//! products. It verifies nothing: everything in a generation was verified before it was committed.

use super::{Caching, Content, Entries, Entry, Kind, Site};
use crate::blobs::{Blobs, digest_of};
use crate::disk::DiskError;
use crate::generation::{Generation, Served};
use crate::support::{Catalogue, Face, Pages};
use bytes::Bytes;
use perennial_schemas::limits::TARGETS_LENGTH;
use std::sync::Arc;

/// The site of a generation, on a server with the public address `base`. Files of the one before stay, so that a device
/// that is halfway through finishes; so do products of the site before that did not change.
///
/// # Errors
/// When a blob can't be read.
pub(crate) fn site(
    served: &Served,
    previous: Option<&Generation>,
    before: &Site,
    blobs: &Blobs,
    caching: &Caching,
    face: &Face,
) -> Result<Site, DiskError> {
    let mut files = Entries::new();
    for generation in previous.into_iter().chain([&served.generation]) {
        add_files(&mut files, generation, blobs, caching)?;
    }
    add_records(&mut files, &served.generation, caching);
    let catalogue = Catalogue::read(&served.generation, &before.pages.catalogue, blobs)?;
    let mut site = Site::empty(caching);
    site.generation = served.generation.number;
    site.files = Arc::new(files);
    site.pages = Arc::new(Pages::new(catalogue, face.clone(), caching));
    Ok(with_fresh(&site, served, caching))
}

/// The same site with another timestamp.
pub(crate) fn with_fresh(site: &Site, served: &Served, caching: &Caching) -> Site {
    let (path, bytes) = ("/metadata/timestamp.json", served.timestamp.clone());
    let (digest, length) = (digest_of(&bytes), bytes.len() as u64);
    let entry = Entry::new(path, Kind::Fresh, Content::Memory(Bytes::from(bytes)), length, &digest, caching);
    Site { fresh: Entries::from([(path.into(), entry)]), ..site.clone() }
}

/// The signed records under addresses that stay the same, as they are: what anybody checks the pages against.
fn add_records(files: &mut Entries, generation: &Generation, caching: &Caching) {
    for (product, path) in &generation.support {
        let Some(file) = generation.files.get(path) else { continue };
        let (name, content) = (format!("/support/{product}/record.json"), Content::Blob(file.sha256));
        let entry = Entry::new(&name, Kind::Feed, content, file.length, &file.sha256, caching);
        files.insert(name.into(), entry);
    }
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
