//! Which rollouts there are to steer: the releases with a plan that the served generation's channels offer, and what those
//! channels have withdrawn. Read once for each generation. It decides nothing, and holds nothing that the signers didn't say.

use super::record::Record;
use crate::blobs::{Blobs, Digest, digest_of};
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
    /// For how many days its owner may put it off; `None` without an end.
    pub postponable: Option<u16>,
    /// The channels that offer it.
    pub channels: BTreeSet<ChannelName>,
    /// When the product's role was signed that offers it.
    pub signed_at: Option<Timestamp>,
    /// The barrier: who runs an earlier version can't take it.
    pub minimum: Option<ReleaseVersion>,
}

/// A release without a plan that is on offer: for everybody at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plain {
    /// Its product.
    pub product: ProductName,
    /// Its version.
    pub version: ReleaseVersion,
    /// The hardware revisions that it has images for.
    pub hardware: BTreeSet<HardwareName>,
    /// The channels that offer it.
    pub channels: BTreeSet<ChannelName>,
    /// The barrier.
    pub minimum: Option<ReleaseVersion>,
}

/// See the module.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Offers {
    /// The generation that they were read from; `None` before the first.
    pub generation: Option<u64>,
    /// By manifest.
    pub offered: BTreeMap<Sha256Digest, Arc<Offer>>,
    /// Releases without a plan, by manifest.
    pub plain: BTreeMap<Sha256Digest, Arc<Plain>>,
    /// Why releases were withdrawn, by product and manifest.
    pub withdrawn: BTreeMap<(ProductName, Sha256Digest), String>,
    /// What can't be read of it.
    pub damaged: Vec<Damaged>,
}

/// A channel or a manifest that can't be read. Nobody may take a rollout for withdrawn, or let one go on, because of that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damaged {
    /// The product; `None` where the path names none.
    pub product: Option<ProductName>,
    /// The release; `None` for a channel, which might say anything of each release of its product.
    pub manifest: Option<Sha256Digest>,
    /// Which file, and why.
    pub why: String,
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
        self.read(false)
    }

    /// Reads the generation again where something of it couldn't be read: somebody may have brought that back.
    ///
    /// # Errors
    /// [`StoreError`]; what was read before stays.
    pub fn again(&self) -> Result<Arc<Offers>, StoreError> {
        self.read(true)
    }

    fn read(&self, again: bool) -> Result<Arc<Offers>, StoreError> {
        let before = self.current.load_full();
        let Some((store, blobs)) = &self.source else { return Ok(before) };
        let Some(key) = store.get(Space::Meta, SERVED)? else { return Ok(before) };
        let known = before.generation.is_some_and(|number| key == number.to_be_bytes());
        if known && (!again || before.damaged.is_empty()) {
            return Ok(before);
        }
        let Some(served) = generation::served(store)? else { return Ok(before) };
        let offers = Arc::new(Offers::read(&served.generation, &before, blobs));
        for Damaged { why, .. } in &offers.damaged {
            tracing::error!(why, "rollouts stand still: what says of them what is offered can't be read");
        }
        self.current.store(Arc::clone(&offers));
        Ok(offers)
    }
}

impl Offers {
    /// Reads a generation's; manifests that `before` knows aren't read again. A channel or a manifest that can't be read is told
    /// in `damaged`, and hides no other.
    pub fn read(generation: &Generation, before: &Self, blobs: &Blobs) -> Self {
        let mut offers = Self { generation: Some(generation.number), ..Self::default() };
        for (path, file) in generation.files.iter().filter(|(path, _)| path.ends_with(".channel.json")) {
            match read(blobs, path, &file.sha256) {
                Ok(channel) => offers.take(&channel, path, generation, before, blobs),
                Err(why) => offers.damaged.push(Damaged { product: product_of(path), manifest: None, why }),
            }
        }
        offers
    }

    fn take(&mut self, channel: &Channel, path: &str, generation: &Generation, before: &Self, blobs: &Blobs) {
        // Another product's team has no say: its channel may name any digest.
        let own = |manifest| (channel.product.clone(), manifest);
        let withdrawn = channel.withdrawn.iter().map(|it| (own(it.manifest), it.reason.clone()));
        self.withdrawn.extend(withdrawn);
        let signed_at = signed_at(generation, &channel.product, blobs);
        for manifest in channel.releases.iter().map(|offered| offered.manifest) {
            if let Some(offer) = self.offered.get_mut(&manifest) {
                Arc::make_mut(offer).channels.insert(channel.channel.clone());
                continue;
            }
            if let Some(plain) = self.plain.get_mut(&manifest) {
                Arc::make_mut(plain).channels.insert(channel.channel.clone());
                continue;
            }
            let channels = BTreeSet::from([channel.channel.clone()]);
            if let Some(offer) = before.offered.get(&manifest) {
                let offer = Offer { channels, signed_at, ..Offer::clone(offer) };
                self.offered.insert(manifest, Arc::new(offer));
            } else if let Some(plain) = before.plain.get(&manifest) {
                self.plain.insert(manifest, Arc::new(Plain { channels, ..Plain::clone(plain) }));
            } else {
                match read::<Release>(blobs, path, &manifest) {
                    Ok(release) if release.rollout.is_none() => {
                        self.plain.insert(manifest, Arc::new(Plain::of(release, channels)));
                    }
                    Ok(release) => {
                        let offer = Offer::of(release, manifest);
                        let offer = offer.map(|offer| Arc::new(Offer { channels, signed_at, ..offer }));
                        self.offered.extend(offer.map(|offer| (manifest, offer)));
                    }
                    Err(why) => {
                        let (product, manifest) = (Some(channel.product.clone()), Some(manifest));
                        self.damaged.push(Damaged { product, manifest, why });
                    }
                }
            }
        }
    }

    /// What can't be read and might say something of a release: it neither goes on nor ends until that can be read.
    pub fn unsure(&self, product: &ProductName, manifest: &Sha256Digest) -> Option<&Damaged> {
        self.damaged.iter().find(|damaged| {
            damaged.product.as_ref().is_none_or(|it| it == product)
                && damaged.manifest.is_none_or(|it| it == *manifest)
        })
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

impl Plain {
    fn of(release: Release, channels: BTreeSet<ChannelName>) -> Self {
        let Release { product, version, images, minimum_version: minimum, .. } = release;
        let hardware = images.into_iter().flat_map(|image| image.hardware).collect();
        Self { product, version, hardware, channels, minimum }
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
            postponable: release.postponable_days,
            channels: BTreeSet::new(),
            signed_at: None,
            minimum: release.minimum_version,
        })
    }

    /// When the plan opens for the first device.
    pub fn first(&self) -> Timestamp {
        let phase = self.plan.phases.first().map(|phase| phase.not_before);
        let early = self.plan.early.iter().map(|group| group.not_before);
        early.chain(phase).min().unwrap_or(Timestamp::EPOCH)
    }

    /// When the plan comes to devices that the gate has not let in, while that is in `phase`; `None` where it has let in all.
    pub fn beyond(&self, phase: usize) -> Option<Timestamp> {
        self.plan.phases.get(phase + 1).map(|next| next.not_before)
    }

    /// When it opens for the last.
    pub fn last(&self) -> Timestamp {
        self.plan.phases.last().map_or(Timestamp::EPOCH, |phase| phase.not_before)
    }
}

fn read<T: Document>(blobs: &Blobs, path: &str, digest: &Digest) -> Result<T, String> {
    let why = |error: &dyn std::fmt::Display| format!("blobs/{digest} ({path}): {error}");
    let text = blobs.read(digest, T::MAX_LENGTH).map_err(|error| why(&error))?;
    if digest_of(&text) != *digest {
        return Err(why(&"it isn't what was taken in"));
    }
    T::parse(&text).map_err(|error| why(&error))
}

/// The product in a target's path, `targets/PRODUCT/…`.
fn product_of(path: &str) -> Option<ProductName> {
    path.strip_prefix("targets/")?.split_once('/')?.0.parse().ok()
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
