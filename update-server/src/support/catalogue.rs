//! All products of a generation. Made once when it is published, by reading records, channels and manifests from the
//! blobs; products that did not change are taken over from the one before. It renders nothing.

use super::routes::{self, Query};
use super::search::Index;
use super::{Face, Listed, Rendered, Update, View, words};
use crate::blobs::{Blobs, Digest};
use crate::disk::DiskError;
use crate::generation::{FileRef, Generation};
use perennial_schemas::channel::Channel;
use perennial_schemas::ident::ChannelName;
use perennial_schemas::release::Release;
use perennial_schemas::support::Support;
use perennial_schemas::support::update::{offers, withdrawn};
use perennial_schemas::{Document, ProductName, Timestamp};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Range;
use std::sync::Arc;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Catalogue {
    products: BTreeMap<ProductName, Kept>,
    /// Products that have channels or releases, and no record of what was promised.
    pub(crate) unpromised: BTreeSet<ProductName>,
    /// How they are found.
    pub(crate) index: Index,
    /// The number of the generation that it was made from; 0 before the first.
    pub(crate) generation: u64,
    /// When the first of the roles above every product's expires; `None` before the first generation.
    pub(super) held_until: Option<Timestamp>,
}

/// A product with what it was read from.
#[derive(Debug)]
struct Kept {
    listed: Arc<Listed>,
    sources: Vec<Digest>,
}

/// The small files of a product that its pages are made from.
#[derive(Debug, Default)]
struct Sources {
    channels: Vec<Digest>,
    releases: Vec<Digest>,
}

impl Catalogue {
    /// Reads the products of a generation.
    ///
    /// # Errors
    /// When a blob can't be read.
    pub(crate) fn read(
        generation: &Generation,
        before: &Catalogue,
        blobs: &Blobs,
    ) -> Result<Self, DiskError> {
        let mut small = sources(generation);
        let mut products = BTreeMap::new();
        for (product, path) in &generation.support {
            let (Ok(name), Some(file)) = (product.parse::<ProductName>(), generation.files.get(path)) else {
                continue;
            };
            let sources = small.remove(product.as_str()).unwrap_or_default();
            let signed_until = signed_until(generation, product);
            if let Some(kept) = kept(before, &name, file, &sources, signed_until)
                .map_or_else(|| read(file, &sources, signed_until, blobs), |kept| Ok(Some(kept)))?
            {
                products.insert(name, kept);
            }
        }
        let unpromised = small.keys().filter(|name| !generation.support.contains_key(**name));
        let unpromised = unpromised.filter_map(|name| name.parse().ok()).collect();
        let above = ["root", "targets", "snapshot"].map(|role| generation.expiries.get(role).copied());
        let held_until = above.into_iter().flatten().min();
        Ok(Self { held_until, ..Self::with(products, unpromised, generation.number) })
    }

    /// A catalogue of these products.
    #[cfg(test)]
    pub(crate) fn of(products: impl IntoIterator<Item = Listed>) -> Self {
        let kept = |listed: Listed| {
            let name = listed.record.product.clone();
            (name, Kept { listed: Arc::new(listed), sources: Vec::new() })
        };
        Self::with(products.into_iter().map(kept).collect(), BTreeSet::new(), 1)
    }

    fn with(
        products: BTreeMap<ProductName, Kept>,
        unpromised: BTreeSet<ProductName>,
        generation: u64,
    ) -> Self {
        let index = Index::of(products.values().map(|kept| &kept.listed));
        Self { products, unpromised, index, generation, held_until: None }
    }

    /// How it is looked at, at `now`, on a server with this face.
    pub(crate) fn view<'a>(&self, now: Timestamp, face: &'a Face) -> View<'a> {
        // Without a generation there is nothing that could run out.
        View { now, base: &face.base, told: &face.told, held_until: self.held_until.unwrap_or(now) }
    }

    /// The time around `now` in which every answer stays the same: within its day, from the last time that signatures ran
    /// out until before the next.
    pub(super) fn unchanged(&self, now: Timestamp) -> Range<Timestamp> {
        let day = now.date().start()..now.date().end().plus_seconds(1);
        let ends = self.products().map(|listed| listed.signed_until).chain(self.held_until);
        ends.map(|end| end.plus_seconds(1)).fold(day, |day, over| {
            if over <= now { day.start.max(over)..day.end } else { day.start..day.end.min(over) }
        })
    }

    /// The product of that name.
    pub(crate) fn get(&self, name: &ProductName) -> Option<&Arc<Listed>> {
        self.products.get(name).map(|kept| &kept.listed)
    }

    /// Every product, by name.
    pub(crate) fn products(&self) -> impl Iterator<Item = &Arc<Listed>> + Clone {
        self.products.values().map(|kept| &kept.listed)
    }

    /// The answer at a path, if it is one of the pages'. The same arguments give the same bytes.
    pub(crate) fn answer(
        &self,
        path: &str,
        query: Option<&str>,
        accept_language: Option<&str>,
        view: &View<'_>,
    ) -> Option<Rendered> {
        let query = Query::read(query);
        let words = words::chosen(query.get("lang"), accept_language);
        routes::answer(self, path, &query, words, view)
    }
}

/// The small files of each product, by their addresses.
fn sources(generation: &Generation) -> HashMap<&str, Sources> {
    let mut found: HashMap<&str, Sources> = HashMap::new();
    for (path, file) in &generation.files {
        let Some((product, name)) = path.strip_prefix("targets/").and_then(|rest| rest.split_once('/'))
        else {
            continue;
        };
        if name.ends_with(".channel.json") {
            found.entry(product).or_default().channels.push(file.sha256);
        } else if name.ends_with(".release.json") {
            found.entry(product).or_default().releases.push(file.sha256);
        }
    }
    found
}

/// When the signatures on a product's role expire. A record outside a role of its own is signed by the top-level role.
pub(crate) fn signed_until(generation: &Generation, product: &str) -> Timestamp {
    let expiries = &generation.expiries;
    // A generation without either was never accepted.
    expiries.get(product).or_else(|| expiries.get("targets")).copied().unwrap_or(Timestamp::EPOCH)
}

fn kept(
    before: &Catalogue,
    name: &ProductName,
    file: &FileRef,
    sources: &Sources,
    signed_until: Timestamp,
) -> Option<Kept> {
    let kept = before.products.get(name)?;
    let same = kept.listed.sha256 == file.sha256
        && kept.listed.signed_until == signed_until
        && kept.sources == sources.all();
    same.then(|| Kept { listed: Arc::clone(&kept.listed), sources: sources.all() })
}

/// Reads a product. Its documents were read when they were taken in; one that a later version refuses is left out.
fn read(
    file: &FileRef,
    sources: &Sources,
    signed_until: Timestamp,
    blobs: &Blobs,
) -> Result<Option<Kept>, DiskError> {
    let Some(record) = document::<Support>(blobs, &file.sha256)? else { return Ok(None) };
    let mut channels = Vec::new();
    for digest in &sources.channels {
        channels.extend(document::<Channel>(blobs, digest)?);
    }
    let mut updates = Vec::new();
    for digest in &sources.releases {
        if let Some(release) = document::<Release>(blobs, digest)? {
            updates.extend(update(release, digest, &channels));
        }
    }
    updates.sort_by(|a, b| {
        (b.release.created, &b.release.version).cmp(&(a.release.created, &a.release.version))
    });
    let listed = Listed { record, sha256: file.sha256, signed_until, updates };
    Ok(Some(Kept { listed: Arc::new(listed), sources: sources.all() }))
}

/// A release as the channels have it; nothing where none ever offered it.
fn update(release: Release, manifest: &Digest, channels: &[Channel]) -> Option<Update> {
    let offering = channels.iter().filter(|channel| offers(channel, manifest));
    let names: BTreeSet<ChannelName> = offering.map(|channel| channel.channel.clone()).collect();
    let withdrawn = withdrawn(channels, manifest).cloned();
    let known = withdrawn.is_some() || !names.is_empty();
    let release = Release { images: Vec::new(), ..release };
    known.then(|| Update { release, withdrawn, channels: names.into_iter().collect() })
}

fn document<T: Document>(blobs: &Blobs, digest: &Digest) -> Result<Option<T>, DiskError> {
    Ok(T::parse(&blobs.read(digest, T::MAX_LENGTH)?).ok())
}

impl Sources {
    fn all(&self) -> Vec<Digest> {
        self.channels.iter().chain(&self.releases).copied().collect()
    }
}
