//! Which releases this server knows, by the digest of their manifest: what a device says of any other can't be true. It is
//! read from the generations that are kept, and judges nothing.

use crate::blobs::Blobs;
use crate::generation::{self, Generation};
use crate::site::Site;
use crate::store::{Store, StoreError};
use arc_swap::ArcSwap;
use perennial_schemas::release::Release;
use perennial_schemas::{Document, HardwareName, ProductName, Sha256Digest};
use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

/// See the module.
#[derive(Debug, Default, Clone)]
pub struct Releases(HashMap<Sha256Digest, Arc<Known>>);

/// The releases as of the generation that is served: read again when that changes, so that no device reports of a release
/// before it is known.
pub(crate) struct Shelf {
    store: Arc<dyn Store>,
    blobs: Blobs,
    site: Arc<ArcSwap<Site>>,
    current: Mutex<(Option<u64>, Arc<Releases>)>,
}

impl Shelf {
    pub(crate) fn new(store: Arc<dyn Store>, blobs: Blobs, site: Arc<ArcSwap<Site>>) -> Self {
        Self { store, blobs, site, current: Mutex::default() }
    }

    /// The releases that are known now. Where they can't be read, those that were known before.
    pub(crate) fn current(&self) -> Arc<Releases> {
        let generation = self.site.load().generation;
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if current.0 != Some(generation) {
            match Releases::read(self.store.as_ref(), &self.blobs, &current.1) {
                Ok(releases) => *current = (Some(generation), Arc::new(releases)),
                Err(error) => {
                    tracing::error!(%error, "the releases that devices may report of can't be read")
                }
            }
        }
        Arc::clone(&current.1)
    }

    /// With these releases, whatever is served: for tests and simulations.
    pub(crate) fn of(store: Arc<dyn Store>, releases: Releases) -> Self {
        let caching = crate::site::Caching::new(std::time::Duration::ZERO, std::time::Duration::ZERO);
        let site = Arc::new(ArcSwap::from_pointee(Site::empty(&caching)));
        let current = Mutex::new((Some(site.load().generation), Arc::new(releases)));
        Self { store, blobs: Blobs::at(std::path::PathBuf::new()), site, current }
    }
}

/// A release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// Its product.
    pub product: ProductName,
    /// Its version.
    pub version: String,
    /// The hardware revisions that it has images for.
    pub hardware: BTreeSet<HardwareName>,
}

/// What a server knows of a release that a device names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Possible {
    /// It is one of this product, for this hardware.
    Yes,
    /// No release was ever published here, so nothing can be said.
    Unknowable,
    /// It isn't known, or is another product's, or not for this hardware.
    No,
}

impl Releases {
    /// Reads the releases of all generations that are kept; those that `before` knows aren't read again, and stay known
    /// when their generation is gone, for as long as the server runs.
    ///
    /// # Errors
    /// [`StoreError`] when a generation can't be read. A manifest that can't be read is left out: its blob is looked after
    /// elsewhere.
    pub fn read(store: &dyn Store, blobs: &Blobs, before: &Self) -> Result<Self, StoreError> {
        let mut known = before.clone();
        let mut after = None;
        while let Some(generation) = generation::next(store, after)? {
            after = Some(generation.number);
            known.take(&generation, blobs);
        }
        Ok(known)
    }

    fn take(&mut self, generation: &Generation, blobs: &Blobs) {
        for (path, file) in &generation.files {
            let is_manifest = path.starts_with("targets/") && path.ends_with(".release.json");
            if !is_manifest || self.0.contains_key(&file.sha256) {
                continue;
            }
            let Ok(text) = blobs.read(&file.sha256, Release::MAX_LENGTH) else { continue };
            let Ok(release) = Release::parse(&text) else { continue };
            let hardware = release.images.iter().flat_map(|image| image.hardware.iter().cloned()).collect();
            let version = release.version.as_str().to_owned();
            self.0.insert(file.sha256, Arc::new(Known { product: release.product, version, hardware }));
        }
    }

    /// The release with that manifest.
    pub fn get(&self, manifest: &Sha256Digest) -> Option<&Known> {
        self.0.get(manifest).map(Arc::as_ref)
    }

    /// Whether a device of `product` and `hardware` can have it.
    pub fn possible(
        &self,
        manifest: &Sha256Digest,
        product: &ProductName,
        hardware: &HardwareName,
    ) -> Possible {
        if self.0.is_empty() {
            return Possible::Unknowable;
        }
        match self.get(manifest) {
            Some(known) if known.product == *product && known.hardware.contains(hardware) => Possible::Yes,
            _ => Possible::No,
        }
    }

    #[cfg(test)]
    pub(crate) fn of(known: impl IntoIterator<Item = (Sha256Digest, Known)>) -> Self {
        Self(known.into_iter().map(|(digest, known)| (digest, Arc::new(known))).collect())
    }
}
