//! Which rollouts there are to steer: the releases with a plan that the served generation's channels offer, and what those
//! channels have withdrawn. Read once for each generation. It decides nothing, and holds nothing that the signers didn't say.

use super::record::Record;
use crate::blobs::{Blobs, Digest};
use crate::generation::{self, Generation, SERVED};
use crate::store::{Space, Store, StoreError};
use arc_swap::ArcSwap;
use perennial_device_core::crypto::Ring;
use perennial_schemas::channel::Channel;
use perennial_schemas::ident::ChannelName;
use perennial_schemas::limits::TARGETS_LENGTH;
use perennial_schemas::release::Release;
use perennial_schemas::rollout::Plan;
use perennial_schemas::tuf::Targets;
use perennial_schemas::{
    Document, HardwareName, KeyId, ProductName, ReleaseVersion, Sha256Digest, Signed, Timestamp,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A release with a plan that is on offer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// Its product.
    pub product: ProductName,
    /// Its version.
    pub version: ReleaseVersion,
    /// SHA-256 of its manifest.
    pub manifest: Sha256Digest,
    /// Its plan.
    pub plan: Plan,
    /// The id of the key that the plan names.
    pub key: KeyId,
    /// The hardware revisions that the plan takes and that it has images for.
    pub hardware: BTreeSet<HardwareName>,
    /// How long a device is away while it installs the release, in seconds.
    pub interruption: u32,
    /// The channels that offer it.
    pub channels: BTreeSet<ChannelName>,
    /// When the product's role was signed that offers it.
    pub signed_at: Option<Timestamp>,
}

/// See the module.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Offers {
    /// The generation that they were read from; `None` before the first.
    pub generation: Option<u64>,
    /// By manifest.
    pub offered: BTreeMap<Sha256Digest, Arc<Offer>>,
    /// Why releases were withdrawn, by product and manifest.
    pub withdrawn: BTreeMap<(ProductName, Sha256Digest), String>,
}

/// The offers as of the generation that is served, for everybody who needs them.
pub struct Board {
    current: ArcSwap<Offers>,
    /// Where they are read from; `None` for offers that a test or a simulation sets.
    source: Option<(Arc<dyn Store>, Blobs)>,
}

impl std::fmt::Debug for Board {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Board").field("generation", &self.current.load().generation).finish_non_exhaustive()
    }
}

impl Board {
    /// A board that reads the store; nothing is read yet.
    pub fn new(store: Arc<dyn Store>, blobs: Blobs) -> Self {
        Self { current: ArcSwap::default(), source: Some((store, blobs)) }
    }

    /// A board with these offers, whatever is served.
    pub fn of(offers: Offers) -> Self {
        Self { current: ArcSwap::from_pointee(offers), source: None }
    }

    /// Sets the offers.
    pub fn set(&self, offers: Offers) {
        self.current.store(Arc::new(offers));
    }

    /// The offers as of the last look.
    pub fn current(&self) -> Arc<Offers> {
        self.current.load_full()
    }

    /// Looks whether another generation is served, also one that another front end took in, and reads it then.
    ///
    /// # Errors
    /// [`StoreError`]; what was read before stays.
    pub fn refresh(&self) -> Result<Arc<Offers>, StoreError> {
        let before = self.current.load_full();
        let Some((store, blobs)) = &self.source else { return Ok(before) };
        let Some(key) = store.get(Space::Meta, SERVED)? else { return Ok(before) };
        if before.generation.is_some_and(|number| key == number.to_be_bytes()) {
            return Ok(before);
        }
        let Some(served) = generation::served(store)? else { return Ok(before) };
        let offers = Arc::new(Offers::read(&served.generation, &before, blobs)?);
        self.current.store(Arc::clone(&offers));
        Ok(offers)
    }
}

impl Offers {
    /// Reads a generation's; manifests that `before` knows aren't read again.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] where a channel or an offered manifest can't be read: nobody may take a rollout for withdrawn
    /// because a file is unreadable.
    pub fn read(generation: &Generation, before: &Self, blobs: &Blobs) -> Result<Self, StoreError> {
        let mut offers = Self { generation: Some(generation.number), ..Self::default() };
        for (path, file) in generation.files.iter().filter(|(path, _)| path.ends_with(".channel.json")) {
            let channel: Channel = read(blobs, path, &file.sha256)?;
            // Another product's team has no say: its channel may name any digest.
            let own = |manifest| (channel.product.clone(), manifest);
            let withdrawn = channel.withdrawn.iter().map(|it| (own(it.manifest), it.reason.clone()));
            offers.withdrawn.extend(withdrawn);
            let signed_at = signed_at(generation, &channel.product, blobs);
            for offered in &channel.releases {
                if let Some(offer) = offers.offered.get_mut(&offered.manifest) {
                    Arc::make_mut(offer).channels.insert(channel.channel.clone());
                    continue;
                }
                let known = before.offered.get(&offered.manifest).map(|offer| Offer::clone(offer));
                let offer = match known {
                    Some(offer) => Some(offer),
                    None => Offer::of(read(blobs, path, &offered.manifest)?, offered.manifest),
                };
                if let Some(offer) = offer {
                    let channels = [channel.channel.clone()].into();
                    offers.offered.insert(offered.manifest, Arc::new(Offer { channels, signed_at, ..offer }));
                }
            }
        }
        Ok(offers)
    }

    /// Why the release of a rollout was withdrawn, where its own maker did.
    pub fn withdrawn_for(&self, record: &Record) -> Option<&str> {
        self.withdrawn.get(&(record.product.clone(), record.manifest)).map(String::as_str)
    }

    /// The release of a product and version that is offered with a plan.
    pub fn find(&self, product: &str, version: &str) -> Option<&Arc<Offer>> {
        self.offered.values().find(|it| it.product.as_str() == product && it.version.as_str() == version)
    }
}

impl Offer {
    /// Of a release's manifest; `None` where it has no plan.
    pub fn of(release: Release, manifest: Sha256Digest) -> Option<Self> {
        let plan = release.rollout?;
        let hardware = release.images.iter().flat_map(|image| image.hardware.iter());
        Some(Self {
            hardware: hardware.filter(|hardware| plan.takes(hardware)).cloned().collect(),
            key: plan.key.id(&Ring).ok()?,
            product: release.product,
            version: release.version,
            manifest,
            plan,
            interruption: release.notes.interruption_seconds,
            channels: BTreeSet::new(),
            signed_at: None,
        })
    }

    /// When the plan opens for the first device.
    pub fn first(&self) -> Timestamp {
        let phase = self.plan.phases.first().map(|phase| phase.not_before);
        let early = self.plan.early.iter().map(|group| group.not_before);
        early.chain(phase).min().unwrap_or(Timestamp::EPOCH)
    }

    /// When it opens for the last.
    pub fn last(&self) -> Timestamp {
        self.plan.phases.last().map_or(Timestamp::EPOCH, |phase| phase.not_before)
    }
}

fn read<T: Document>(blobs: &Blobs, path: &str, digest: &Digest) -> Result<T, StoreError> {
    let corrupt =
        |error: &dyn std::fmt::Display| StoreError::Corrupt(format!("blobs/{digest} ({path}): {error}"));
    let text = blobs.read(digest, T::MAX_LENGTH).map_err(|error| corrupt(&error))?;
    T::parse(&text).map_err(|error| corrupt(&error))
}

/// When a product's role was signed, where it says so.
fn signed_at(generation: &Generation, product: &ProductName, blobs: &Blobs) -> Option<Timestamp> {
    let version = |path: &str| {
        let name = path.strip_prefix("metadata/")?.strip_suffix(".json")?;
        let (version, role) = name.split_once('.')?;
        (role == product.as_str()).then(|| version.parse::<u64>().ok())?
    };
    let newest = generation.files.iter().filter_map(|(path, file)| Some((version(path)?, file)));
    let (_, file) = newest.max_by_key(|(version, _)| *version)?;
    let text = blobs.read(&file.sha256, TARGETS_LENGTH).ok()?;
    Signed::<Targets>::parse(&text).ok()?.unverified().common.signed_at
}
