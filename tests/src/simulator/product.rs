//! A product with releases in a simulated repository: images, indexes, manifests, a channel, a support record.

use std::collections::BTreeMap;

use perennial_device_core::crypto::Ring;
use perennial_device_core::port::memory::{MemoryFetch, RunLength};
use perennial_schemas::channel::{Channel, Offered, Withdrawn};
use perennial_schemas::crypto::Digest;
use perennial_schemas::delta::Profile;
use perennial_schemas::index::{Index, Shape};
use perennial_schemas::release::{Class, DeltaSource, Encoding, Image, IndexRef, Notes, Payload, Release};
use perennial_schemas::signed::to_text;
use perennial_schemas::support::{Promise, Support, VulnerabilityContact};
use perennial_schemas::{Document, Sha256Digest, TargetPath};
use perennial_signer::delta::detect::Hint;
use perennial_signer::delta::make::{Settings, make};
use perennial_signer::delta::matching::Options;
use serde::Serialize;

use super::{Repository, day};

/// The product's name.
pub const PRODUCT: &str = "thermostat";
/// log2 of the chunk size of all indexes: 4 KiB.
const CHUNK_BITS: u8 = 12;

/// A product. Offer releases, change what a test is about, publish, and serve.
pub struct Product {
    /// The repository that it is published in.
    pub repository: Repository,
    /// The channel to be published next.
    pub channel: Channel,
    /// The support record to be published next.
    pub support: Support,
    /// Target files by path.
    pub files: BTreeMap<String, Vec<u8>>,
}

impl Product {
    /// A product that offers nothing yet, with security updates promised until the end of 2036.
    pub fn new() -> Self {
        let mut repository = Repository::new();
        repository.delegate("targets", PRODUCT, &["thermostat/*"], true);
        let channel = Channel::new(PRODUCT.parse().expect("a product"), "stable".parse().expect("a channel"));
        Self { repository, channel, support: support_until("2036-12-31"), files: BTreeMap::new() }
    }

    /// Offers a release with this image for `revC`, packed with the doubles' codec. `change` alters its manifest.
    pub fn offer(&mut self, version: &str, image: &[u8], change: impl FnOnce(&mut Release)) -> Sha256Digest {
        let packed = RunLength::encode(image);
        self.offer_payload(version, image, &packed, Encoding::Zstd, change)
    }

    /// Offers a release whose payload is `payload`, whatever that is.
    pub fn offer_payload(
        &mut self,
        version: &str,
        image: &[u8],
        payload: &[u8],
        encoding: Encoding,
        change: impl FnOnce(&mut Release),
    ) -> Sha256Digest {
        let name = |rest: &str| path(&format!("{PRODUCT}/{version}.revC.image{rest}"));
        let image_index = self.add_index(&name(".index"), image);
        let payload_index = self.add_index(&name(".zst.index"), payload);
        self.files.insert(name(".zst").as_str().into(), payload.to_vec());
        let payload = Payload {
            encoding,
            target: name(".zst"),
            length: payload.len() as u64,
            index: payload_index,
            source: None,
        };
        let image = Image {
            hardware: vec!["revC".parse().expect("a hardware name")],
            length: image.len() as u64,
            sha256: Ring.sha256(image),
            index: image_index,
            payloads: vec![payload],
        };
        let mut release = release(version, image);
        change(&mut release);
        let manifest = json(&release);
        let digest = Ring.sha256(&manifest);
        self.files.insert(format!("{PRODUCT}/{version}.release.json"), manifest);
        self.channel
            .releases
            .push(Offered { version: version.parse().expect("a version"), manifest: digest });
        digest
    }

    /// Adds a delta to the manifest of the release that was offered last: `delta` makes `new` from `old`, the image of the
    /// release `from`. `spoil` may change what the manifest says of it.
    pub fn add_delta(&mut self, from: &str, old: &[u8], delta: &[u8], spoil: impl FnOnce(&mut Payload)) {
        let offered = self.channel.releases.pop().expect("an offered release");
        let manifest = format!("{PRODUCT}/{}.release.json", offered.version);
        let mut release = Release::parse(&self.files[&manifest]).expect("a manifest");
        let name = format!("{PRODUCT}/{}.revC.from-{from}.delta", offered.version);
        let index = self.add_index(&path(&format!("{name}.index")), delta);
        let base = self.add_index(&path(&format!("{PRODUCT}/{from}.revC.image.index")), old);
        self.files.insert(name.clone(), delta.to_vec());
        let source = DeltaSource {
            version: from.parse().expect("a version"),
            length: old.len() as u64,
            sha256: Ring.sha256(old),
            index: base,
        };
        let (encoding, target, length) = (Encoding::Delta, path(&name), delta.len() as u64);
        let mut payload = Payload { encoding, target, length, index, source: Some(source) };
        spoil(&mut payload);
        release.images[0].payloads.push(payload);
        let text = json(&release);
        let digest = Ring.sha256(&text);
        self.files.insert(manifest, text);
        self.channel.releases.push(Offered { version: offered.version, manifest: digest });
    }

    /// Takes a release back.
    pub fn withdraw(&mut self, version: &str) {
        let at = self.channel.releases.iter().position(|offered| offered.version.as_str() == version);
        let Offered { version, manifest } = self.channel.releases.remove(at.expect("an offered release"));
        self.channel.withdrawn.push(Withdrawn { version, manifest, reason: "it fails".into(), at: day(0) });
    }

    /// Publishes everything as it is.
    pub fn publish(&mut self) {
        self.files.insert(format!("{PRODUCT}/stable.channel.json"), json(&self.channel));
        self.files.insert(format!("{PRODUCT}/support.json"), json(&self.support));
        for (path, content) in &self.files {
            self.repository.add_target(PRODUCT, path, content);
        }
        self.repository.publish();
    }

    /// What a server serves now.
    pub fn serve(&self) -> MemoryFetch {
        let target = |(path, content): (&String, &Vec<u8>)| {
            let path: TargetPath = path.parse().expect("a path");
            (path.consistent(&Ring.sha256(content).to_string()), content.clone())
        };
        let targets = self.files.iter().map(target).collect();
        MemoryFetch { metadata: self.repository.files.clone(), targets, ..MemoryFetch::default() }
    }

    fn add_index(&mut self, target: &TargetPath, content: &[u8]) -> IndexRef {
        let shape = Shape::new(content.len() as u64, CHUNK_BITS).expect("a small image");
        let chunks = content.chunks(1 << CHUNK_BITS).map(|chunk| Ring.sha256(chunk)).collect();
        let (bytes, root) = Index::new(shape, chunks).expect("all chunks").encode(&Ring);
        self.files.insert(target.as_str().into(), bytes);
        IndexRef { target: target.clone(), root }
    }
}

impl Default for Product {
    fn default() -> Self {
        Self::new()
    }
}

/// An image of `chunks` chunks and a bit, different for each `seed`.
pub fn image(seed: u8, chunks: usize) -> Vec<u8> {
    let length = (chunks << CHUNK_BITS) + 100 * usize::from(seed);
    (0..length).map(|i| seed.wrapping_add((i / 512) as u8).wrapping_mul(31)).collect()
}

/// `length` bytes in which nothing repeats, different for each `seed`.
pub fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    (0..length).map(|_| next()).collect()
}

/// A delta from `old` to `new`, for a small device.
pub fn delta(old: &[u8], new: &[u8]) -> Vec<u8> {
    delta_for(Profile::Mcu, old, new)
}

/// A delta from `old` to `new`: one for Linux takes packed parts apart.
pub fn delta_for(profile: Profile, old: &[u8], new: &[u8]) -> Vec<u8> {
    let settings = Settings {
        profile,
        in_place: None,
        code: Hint::None,
        references: false,
        masks: false,
        packing: true,
        matching: Options::default(),
    };
    make(old, new, &settings, &Default::default()).expect("a delta")
}

/// A support record with one promise.
pub fn support_until(date: &str) -> Support {
    Support::new(
        PRODUCT.parse().expect("a product"),
        Promise::new(day(0), date.parse().expect("a date"), "expected lifetime"),
        VulnerabilityContact::new("mailto:security@example.com", 2, 14),
    )
}

fn release(version: &str, image: Image) -> Release {
    Release {
        format: Release::FORMAT.into(),
        requires: vec![],
        product: PRODUCT.parse().expect("a product"),
        version: version.parse().expect("a version"),
        security_version: 1,
        class: Class::Security,
        created: day(0),
        notes: Notes { what: "fixes".into(), why: "safety".into(), interruption_seconds: 60 },
        fixes: vec![],
        minimum_version: None,
        postponable_days: None,
        sbom: None,
        advisories: vec![],
        secrets_let_through: None,
        rollout: None,
        available_until: "2036-12-31".parse().expect("a date"),
        images: vec![image],
    }
}

fn json(value: &impl Serialize) -> Vec<u8> {
    to_text(value).expect("a document of ours is JSON")
}

fn path(text: &str) -> TargetPath {
    text.parse().expect("a target path")
}
