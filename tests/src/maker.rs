//! A maker of thermostats on the simulated repository: releases with real images, payloads, indexes, a channel and a
//! support record, and the folder that a device can update from. A test spoils what it wants to spoil.

use std::collections::BTreeMap;
use std::path::Path;

use perennial_device_core::crypto::Ring;
use perennial_schemas::bundle::{BundleFile, BundleHeader};
use perennial_schemas::channel::{Channel, Offered, Withdrawn};
use perennial_schemas::crypto::Digest;
use perennial_schemas::index::{Index, Shape};
use perennial_schemas::release::{Class, Encoding, Image, IndexRef, Notes, Payload, Release};
use perennial_schemas::signed::to_text;
use perennial_schemas::support::{Promise, Support, VulnerabilityContact};
use perennial_schemas::{Date, Document, Sha256Digest, TargetPath};

use crate::simulator::{Repository, day};

/// What it makes.
pub const PRODUCT: &str = "thermostat";
/// Chunks of 64 KiB.
const CHUNK_BITS: u8 = 16;

/// The maker.
pub struct Maker {
    /// The repository; `thermostat` is the product's role.
    pub repository: Repository,
    /// The channel `stable`, as it will be published next.
    pub channel: Channel,
    /// Contents of all targets, by path.
    pub targets: BTreeMap<String, Vec<u8>>,
}

impl Maker {
    /// A maker that has promised security updates until the end of 2036 and offers nothing yet.
    pub fn new() -> Self {
        Self::with(Repository::new())
    }

    /// Somebody else, who makes the same with other keys.
    pub fn forger() -> Self {
        Self::with(Repository::of_somebody_else())
    }

    fn with(mut repository: Repository) -> Self {
        repository.delegate("targets", PRODUCT, &["thermostat/*"], true);
        let channel = Channel::new(PRODUCT.parse().expect("a product"), "stable".parse().expect("a channel"));
        let mut maker = Self { repository, channel, targets: BTreeMap::new() };
        maker.promise(&["2036-12-31"]);
        maker.publish();
        maker
    }

    /// A maker that offers 1.0.0, 2.0.0, … in this order, each with its image and with its place as security version.
    pub fn of(images: &[Vec<u8>]) -> Self {
        let mut maker = Self::new();
        for (at, image) in (1_u32..).zip(images) {
            maker.release(&format!("{at}.0.0"), at, image);
        }
        maker
    }

    /// The support record, with these dates.
    pub fn promise(&mut self, dates: &[&str]) {
        let contact = VulnerabilityContact::new("mailto:security@thermostat.example", 2, 14);
        let promise =
            |date: &&str| Promise::new(day(0), date.parse().expect("a date"), "the expected lifetime");
        let mut promises = dates.iter().map(promise);
        let first = promises.next().expect("a promise");
        let mut support = Support::new(PRODUCT.parse().expect("a product"), first, contact);
        for promise in promises {
            support = support.successor(Sha256Digest([0; 32]), promise.made);
            support.promises.push(promise);
        }
        self.record(&support);
    }

    /// The support record, as it is.
    pub fn record(&mut self, support: &Support) {
        self.target("thermostat/support.json", to_text(support).expect("JSON"));
    }

    /// The support record as it was set last, and the digest of its file.
    pub fn recorded(&self) -> (Support, Sha256Digest) {
        let text = &self.targets["thermostat/support.json"];
        (Support::parse(text).expect("a record"), Ring.sha256(text))
    }

    /// Publishes the record that follows, with a change.
    pub fn extend(&mut self, change: impl FnOnce(&mut Support)) {
        let (before, digest) = self.recorded();
        let mut record = before.successor(digest, day(0));
        change(&mut record);
        self.record(&record.seal());
        self.publish();
    }

    /// Makes, offers and publishes a release for hardware revC.
    pub fn release(&mut self, version: &str, security_version: u32, image: &[u8]) {
        let payload = zstd::encode_all(image, 1).expect("zstd");
        self.release_of(version, security_version, image, payload, |_| {});
    }

    /// The same with any payload, and with a manifest that `spoil` may change before it is signed.
    pub fn release_of(
        &mut self,
        version: &str,
        security_version: u32,
        image: &[u8],
        payload: Vec<u8>,
        spoil: impl FnOnce(&mut Release),
    ) {
        let name = |end: &str| format!("{PRODUCT}/{version}.{end}");
        let index = |maker: &mut Self, path: String, bytes: &[u8]| {
            let (text, root) = index(bytes);
            maker.target(&path, text);
            IndexRef { target: target_path(&path), root }
        };
        let image_index = index(self, name("revC.image.index"), image);
        let payload_index = index(self, name("revC.image.zst.index"), &payload);
        let length = payload.len() as u64;
        self.target(&name("revC.image.zst"), payload);
        let payload = Payload {
            encoding: Encoding::Zstd,
            target: target_path(&name("revC.image.zst")),
            length,
            index: payload_index,
            source: None,
        };
        let image = Image {
            hardware: vec!["revC".parse().expect("hardware")],
            length: image.len() as u64,
            sha256: Ring.sha256(image),
            index: image_index,
            payloads: vec![payload],
        };
        let mut release = Release {
            format: Release::FORMAT.into(),
            requires: vec![],
            product: PRODUCT.parse().expect("a product"),
            version: version.parse().expect("a version"),
            security_version,
            class: Class::Security,
            created: day(0),
            notes: Notes {
                what: format!("What {version} brings"),
                why: "So".into(),
                interruption_seconds: 5,
            },
            fixes: vec![],
            minimum_version: None,
            postponable_days: None,
            sbom: None,
            advisories: vec![],
            secrets_let_through: None,
            rollout: None,
            available_until: Date::from_days(40_000),
            images: vec![image],
        };
        spoil(&mut release);
        let text = to_text(&release).expect("JSON");
        let manifest = Ring.sha256(&text);
        self.target(&name("release.json"), text);
        self.channel.releases.push(Offered { version: version.parse().expect("a version"), manifest });
        self.publish();
    }

    /// Withdraws a release, and publishes that.
    pub fn withdraw(&mut self, version: &str) {
        let offered = self.channel.releases.iter().position(|offered| offered.version.as_str() == version);
        let Offered { version, manifest } = self.channel.releases.remove(offered.expect("it is offered"));
        self.channel.withdrawn.push(Withdrawn {
            version,
            manifest,
            reason: "it overheats".into(),
            at: day(1),
        });
        self.publish();
    }

    /// Publishes the channel and everything else.
    pub fn publish(&mut self) {
        let channel = to_text(&self.channel).expect("JSON");
        self.target("thermostat/stable.channel.json", channel);
        self.repository.publish();
    }

    /// The product's role vouches for `content` at `path` from the next publication on.
    pub fn target(&mut self, path: &str, content: Vec<u8>) {
        self.repository.add_target(PRODUCT, path, &content);
        self.targets.insert(path.into(), content);
    }

    /// Every file of the repository's folder, as a server would serve it.
    pub fn files(&self) -> BTreeMap<String, Vec<u8>> {
        let metadata =
            self.repository.files.iter().map(|(name, text)| (format!("metadata/{name}"), text.clone()));
        let targets = self.targets.iter().map(|(path, bytes)| {
            let hash = Ring.sha256(bytes).to_string();
            (format!("targets/{}", target_path(path).consistent(&hash)), bytes.clone())
        });
        metadata.chain(targets).collect()
    }

    /// Writes the repository's folder.
    pub fn write(&self, folder: &Path) {
        for (path, bytes) in self.files() {
            let path = folder.join(path);
            std::fs::create_dir_all(path.parent().expect("it has one")).expect("a folder");
            std::fs::write(path, bytes).expect("a file");
        }
    }

    /// Everything in one file.
    pub fn bundle(&self) -> Vec<u8> {
        bundle(&self.files())
    }
}

impl Default for Maker {
    fn default() -> Self {
        Self::new()
    }
}

/// Files in one file.
pub fn bundle(files: &BTreeMap<String, Vec<u8>>) -> Vec<u8> {
    let entry = |(path, bytes): (&String, &Vec<u8>)| BundleFile {
        path: target_path(path),
        length: bytes.len() as u64,
        sha256: Ring.sha256(bytes),
    };
    let header = BundleHeader::new(day(0), files.iter().map(entry).collect());
    let mut bundle = header.encode().expect("a header");
    files.values().for_each(|bytes| bundle.extend_from_slice(bytes));
    bundle
}

/// An image that begins with `mark`: `length` bytes that compress a little, with a hole in the middle.
pub fn image(mark: &str, length: usize) -> Vec<u8> {
    let mut state =
        mark.bytes().fold(0x9E37_79B9_7F4A_7C15_u64, |state, byte| state.rotate_left(9) ^ u64::from(byte));
    let mut bytes: Vec<u8> = (0..length)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 60) as u8
        })
        .collect();
    bytes[length / 3..length / 2].fill(0);
    bytes[..mark.len()].copy_from_slice(mark.as_bytes());
    bytes
}

fn index(bytes: &[u8]) -> (Vec<u8>, perennial_schemas::Sha256Digest) {
    let chunks = bytes.chunks(1 << CHUNK_BITS).map(|chunk| Ring.sha256(chunk)).collect();
    let shape = Shape::new(bytes.len() as u64, CHUNK_BITS).expect("a shape");
    Index::new(shape, chunks).expect("an index").encode(&Ring)
}

fn target_path(path: &str) -> TargetPath {
    path.parse().expect("a target path")
}
