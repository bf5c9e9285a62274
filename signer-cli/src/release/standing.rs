//! What is published of a product: its support promise, its releases and its channels.

use std::collections::BTreeMap;

use perennial_schemas::channel::Channel;
use perennial_schemas::document::Document;
use perennial_schemas::ident::{ChannelName, ProductName};
use perennial_schemas::release::Release;
use perennial_schemas::rollout::Plan;
use perennial_schemas::support::Support;
use perennial_schemas::tuf::TargetFile;
use perennial_schemas::{Digest, ReleaseVersion, RoleName, Sha256Digest, TargetPath};

use super::ReleaseError;
use crate::crypto::Ring;
use crate::files;
use crate::proposal::no_product;
use crate::repository::Repository;

/// A product as it is published. Everything in it was compared with the digests in the product's signed role.
#[derive(Debug, Clone)]
pub struct Standing {
    /// The product.
    pub product: ProductName,
    /// Its support record; `None` where there is none.
    pub support: Option<Support>,
    /// SHA-256 of each release's manifest, by version.
    pub releases: BTreeMap<ReleaseVersion, Sha256Digest>,
    /// The rollout plans of those that have one.
    pub rollouts: BTreeMap<ReleaseVersion, Plan>,
    /// The highest security version of a release; 0 before the first.
    pub security_version: u32,
    /// Its channels.
    pub channels: BTreeMap<ChannelName, Channel>,
}

impl Standing {
    /// Reads what `repository` publishes of `product`.
    ///
    /// # Errors
    /// [`ReleaseError::Proposal`] where there is no such product, [`ReleaseError::Published`] where a file is not what
    /// the metadata say.
    pub fn read(repository: &Repository, product: &ProductName) -> Result<Self, ReleaseError> {
        let (published, role) = (repository.published()?, RoleName::from(product));
        published.role(&role).ok_or_else(|| no_product(repository, &role))?;
        let targets = published.targets_of(&role);
        let reader = Reader { repository, product, targets: &targets };
        let mut standing = Self {
            product: product.clone(),
            support: reader.read(&format!("{product}/support.json"))?,
            releases: BTreeMap::new(),
            rollouts: BTreeMap::new(),
            security_version: 0,
            channels: BTreeMap::new(),
        };
        for (&path, target) in &targets {
            let Some(name) = path.strip_prefix(product.as_str()).and_then(|rest| rest.strip_prefix('/'))
            else {
                continue;
            };
            if let Some(version) = name.strip_suffix(".release.json").and_then(|version| version.parse().ok())
            {
                let release: Option<Release> = reader.read(path)?;
                let security_version = release.as_ref().map_or(0, |release| release.security_version);
                standing.security_version = standing.security_version.max(security_version);
                standing
                    .rollouts
                    .extend(release.and_then(|release| Some((release.version, release.rollout?))));
                standing.releases.extend(target.sha256().map(|digest| (version, digest)));
            } else if let Some(channel) =
                name.strip_suffix(".channel.json").and_then(|name| name.parse().ok())
            {
                standing.channels.extend(reader.read(path)?.map(|read| (channel, read)));
            }
        }
        Ok(standing)
    }

    /// The support record.
    ///
    /// # Errors
    /// [`ReleaseError::NoPromise`] where there is none.
    pub fn promise(&self) -> Result<&Support, ReleaseError> {
        self.support.as_ref().ok_or_else(|| ReleaseError::NoPromise(self.product.clone()))
    }

    /// A channel by its name.
    ///
    /// # Errors
    /// [`ReleaseError::NoChannel`] with those that there are.
    pub fn channel(&self, name: &ChannelName) -> Result<&Channel, ReleaseError> {
        self.channels.get(name).ok_or_else(|| ReleaseError::NoChannel {
            product: self.product.clone(),
            channel: name.clone(),
            known: self.channels.keys().cloned().collect(),
        })
    }

    /// A release's manifest digest.
    ///
    /// # Errors
    /// [`ReleaseError::NoRelease`]
    pub fn manifest(&self, version: &ReleaseVersion) -> Result<&Sha256Digest, ReleaseError> {
        let none = || ReleaseError::NoRelease { product: self.product.clone(), version: version.clone() };
        self.releases.get(version).ok_or_else(none)
    }

    /// Whether any channel offers this manifest.
    pub fn is_offered(&self, manifest: &Sha256Digest) -> bool {
        self.channels.values().flat_map(|channel| &channel.releases).any(|entry| entry.manifest == *manifest)
    }

    /// Whether any channel says that this manifest was withdrawn.
    pub fn is_withdrawn(&self, manifest: &Sha256Digest) -> bool {
        self.channels.values().flat_map(|channel| &channel.withdrawn).any(|entry| entry.manifest == *manifest)
    }
}

struct Reader<'a> {
    repository: &'a Repository,
    product: &'a ProductName,
    targets: &'a BTreeMap<&'a str, &'a TargetFile>,
}

impl Reader<'_> {
    /// A document of the product, compared with the signed length and digest.
    fn read<T: Document>(&self, path: &str) -> Result<Option<T>, ReleaseError> {
        let Some(target) = self.targets.get(path) else { return Ok(None) };
        let name: TargetPath = path.parse()?;
        let digest = target.sha256().map(|digest| digest.to_string()).unwrap_or_default();
        let file = self.repository.targets_dir().join(name.consistent(&digest));
        let bytes = files::read(&file, T::MAX_LENGTH)?;
        let wrong = |why: String| ReleaseError::Published { path: file.clone(), why };
        if !describes(target, &bytes) {
            return Err(wrong(format!("it is not the file that {} has signed", self.product)));
        }
        T::parse(&bytes).map(Some).map_err(|e| wrong(e.to_string()))
    }
}

fn describes(target: &TargetFile, bytes: &[u8]) -> bool {
    target.length == bytes.len() as u64 && target.sha256() == Some(Ring.sha256(bytes))
}
