//! Which releases this server knows, by the digest of their manifest: what a device says of any other can't be true. It is
//! read from the generations that are kept, and judges nothing.

use crate::blobs::Blobs;
use crate::generation::{self, Generation};
use crate::site::Site;
use crate::store::{Store, StoreError};
use arc_swap::ArcSwap;
use perennial_schemas::release::Release;
use perennial_schemas::{Document, HardwareName, ProductName, ReleaseVersion, Sha256Digest};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

/// See the module.
#[derive(Debug, Default, Clone)]
pub struct Releases {
    known: HashMap<Sha256Digest, Arc<Known>>,
    /// Manifests that a generation names, and that can't be read.
    unread: HashSet<Sha256Digest>,
    /// Generations that can't be read.
    damaged: u64,
    /// Every generation was looked at.
    looked: bool,
}

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

    /// The releases that are known now. Where the store is away, those that were known before.
    pub(crate) fn current(&self) -> Arc<Releases> {
        self.read(false)
    }

    /// Looks again at what couldn't be read.
    pub(crate) fn again(&self) {
        self.read(true);
    }

    fn read(&self, again: bool) -> Arc<Releases> {
        let generation = self.site.load().generation;
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if current.0 != Some(generation) || again && current.1.unreadable() > 0 {
            match Releases::read(self.store.as_ref(), &self.blobs, &current.1) {
                Ok(releases) => {
                    if releases.unreadable() > 0 {
                        let (generations, manifests) = (releases.damaged, releases.unread.len());
                        tracing::error!(
                            generations,
                            manifests,
                            "some releases that devices may report of can't be read"
                        );
                    }
                    *current = (Some(generation), Arc::new(releases));
                }
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
    /// No release was ever published here, or it may be one of those that can't be read: nothing can be said.
    Unknowable,
    /// It isn't known, or has another version, or is another product's, or not for this hardware.
    No,
}

impl Releases {
    /// Reads the releases of all generations that are kept; those that `before` knows aren't read again, and stay known
    /// when their generation is gone, for as long as the server runs. What can't be read is counted, and passed over.
    ///
    /// # Errors
    /// [`StoreError`] when the store can't be read.
    pub fn read(store: &dyn Store, blobs: &Blobs, before: &Self) -> Result<Self, StoreError> {
        let mut read = Self { known: before.known.clone(), looked: true, ..Self::default() };
        let mut after = None;
        while let Some((number, generation)) = generation::look(store, after)? {
            after = Some(number);
            match generation {
                Ok(generation) => read.take(&generation, blobs),
                Err(_) => read.damaged += 1,
            }
        }
        Ok(read)
    }

    fn take(&mut self, generation: &Generation, blobs: &Blobs) {
        for (path, file) in &generation.files {
            let is_manifest = path.starts_with("targets/") && path.ends_with(".release.json");
            if !is_manifest || self.known.contains_key(&file.sha256) {
                continue;
            }
            let read = blobs.read(&file.sha256, Release::MAX_LENGTH);
            let Some(release) = read.ok().and_then(|text| Release::parse(&text).ok()) else {
                self.unread.insert(file.sha256);
                continue;
            };
            let hardware = release.images.iter().flat_map(|image| image.hardware.iter().cloned()).collect();
            let version = release.version.as_str().to_owned();
            self.known.insert(file.sha256, Arc::new(Known { product: release.product, version, hardware }));
        }
    }

    /// How many generations and manifests can't be read.
    pub fn unreadable(&self) -> u64 {
        self.damaged + self.unread.len() as u64
    }

    /// The release with that manifest.
    pub fn get(&self, manifest: &Sha256Digest) -> Option<&Known> {
        self.known.get(manifest).map(Arc::as_ref)
    }

    /// Whether a device of `product` and `hardware` can have it, under that version.
    pub fn possible(
        &self,
        manifest: &Sha256Digest,
        version: &ReleaseVersion,
        product: &ProductName,
        hardware: &HardwareName,
    ) -> Possible {
        match self.get(manifest) {
            Some(known) => {
                let same = known.product == *product && known.version == version.as_str();
                if same && known.hardware.contains(hardware) { Possible::Yes } else { Possible::No }
            }
            None if !self.looked || self.damaged > 0 || self.unread.contains(manifest) => {
                Possible::Unknowable
            }
            None if self.known.is_empty() => Possible::Unknowable,
            None => Possible::No,
        }
    }

    #[cfg(test)]
    pub(crate) fn of(known: impl IntoIterator<Item = (Sha256Digest, Known)>) -> Self {
        let known = known.into_iter().map(|(digest, known)| (digest, Arc::new(known))).collect();
        Self { known, looked: true, ..Self::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Batch, FjallStore, Settings, Space};

    #[test]
    fn what_cannot_be_read_is_counted_and_only_of_that_nothing_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let store = FjallStore::open(&folder.path().join("store"), Settings::default()).unwrap();
        let blobs = Blobs::at(folder.path().join("blobs"));
        let digest = Sha256Digest([7; 32]);
        let generation = serde_json::json!({
            "number": 2, "created": "2026-11-22T10:00:00Z",
            "snapshot": { "version": 1, "length": 1, "sha256": "00".repeat(32) },
            "offline_timestamp": false, "expiries": {}, "support": {},
            "files": { "targets/cam/x.2.0.0.release.json": { "length": 10, "sha256": digest } },
        });
        let known = Known {
            product: "cam".parse().unwrap(),
            version: "1".into(),
            hardware: ["a".parse().unwrap()].into(),
        };
        let before = Releases::of([(Sha256Digest([1; 32]), known)]);
        let ask = |releases: &Releases, manifest: Sha256Digest, version: &str| {
            let (version, product) = (version.parse().unwrap(), "cam".parse().unwrap());
            releases.possible(&manifest, &version, &product, &"a".parse().unwrap())
        };
        // Its manifest lies nowhere: of that one nothing can be said, and of all others as before.
        store
            .commit(Batch::new().put(Space::Generations, 2_u64.to_be_bytes(), generation.to_string()))
            .unwrap();
        let read = Releases::read(&store, &blobs, &before).unwrap();
        assert_eq!(read.unreadable(), 1);
        assert_eq!(ask(&read, digest, "2"), Possible::Unknowable);
        assert_eq!(ask(&read, Sha256Digest([9; 32]), "2"), Possible::No);
        assert_eq!(ask(&read, Sha256Digest([1; 32]), "1"), Possible::Yes);
        assert_eq!(ask(&read, Sha256Digest([1; 32]), "2"), Possible::No);
        // A generation that can't be read could hold any; those that are known are compared all the same.
        store.commit(Batch::new().put(Space::Generations, 1_u64.to_be_bytes(), *b"?")).unwrap();
        let read = Releases::read(&store, &blobs, &before).unwrap();
        assert_eq!(read.unreadable(), 2);
        assert_eq!(ask(&read, Sha256Digest([9; 32]), "2"), Possible::Unknowable);
        assert_eq!(ask(&read, Sha256Digest([1; 32]), "2"), Possible::No);
        // Before anything was looked at, nothing is known to be impossible.
        assert_eq!(ask(&Releases::default(), digest, "2"), Possible::Unknowable);
    }
}
