//! For unit tests: a small repository on disk, published, with one key for everything, and a way to publish a proposal
//! without its ceremony.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use perennial_schemas::digest::encode_hex;
use perennial_schemas::ident::ProductName;
use perennial_schemas::signed::{Envelope, Signature, to_text};
use perennial_schemas::support::{Promise, Support, VulnerabilityContact};
use perennial_schemas::tuf::{
    Common, Delegation, Delegations, Extra, Hashes, Key, MetaFile, Role, RoleKeys, Root, Snapshot,
    TargetFile, Targets, TopRole,
};
use perennial_schemas::{Digest, RoleName, TargetPath, Timestamp};
use ring::signature::{Ed25519KeyPair, KeyPair};

use crate::crypto::Ring;
use crate::image::Compression;
use crate::proposal::Proposal;
use crate::release::deltas::Wanted;
use crate::release::{Draft, ImageFile, Proposed, ReleaseError, Standing, propose};
use crate::repository::Repository;

/// A repository with the product `thermostat`.
pub(crate) struct Fixture {
    pub(crate) folder: tempfile::TempDir,
    pair: Ed25519KeyPair,
}

/// The time of every test: 2026-11-21T00:00:00Z.
pub(crate) fn now() -> Timestamp {
    Timestamp::from_unix(1_795_219_200)
}

pub(crate) fn thermostat() -> ProductName {
    "thermostat".parse().unwrap()
}

pub(crate) const FAST: Compression = Compression { level: 1, threads: 1 };

impl Fixture {
    pub(crate) fn new() -> Self {
        let pair = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap();
        let fixture = Self { folder: tempfile::tempdir().unwrap(), pair };
        let key = fixture.key();
        let id = key.id(&Ring).unwrap();
        let common = |kind| Common::new(kind, 1, now().plus_days(30), Some(now()));
        let root = Root {
            common: common("root"),
            consistent_snapshot: true,
            keys: BTreeMap::from([(id.clone(), key.clone())]),
            roles: TopRole::ALL
                .into_iter()
                .map(|role| (role.as_str().into(), RoleKeys::new(vec![id.clone()], 1)))
                .collect(),
            annulments: Vec::new(),
            extra: Extra::new(),
        };
        fixture.write("metadata/1.root.json", &fixture.sign(root));
        let delegation = Delegation {
            name: (&thermostat()).into(),
            keyids: vec![id.clone()],
            threshold: 1,
            terminating: true,
            paths: Some(vec!["thermostat/*".into()]),
            path_hash_prefixes: None,
            extra: Extra::new(),
        };
        let delegations = Delegations {
            keys: BTreeMap::from([(id, key)]),
            roles: Some(vec![delegation]),
            succinct_roles: None,
            extra: Extra::new(),
        };
        let targets = |delegations, targets| Targets {
            common: common("targets"),
            targets,
            delegations,
            extra: Extra::new(),
        };
        let support = fixture.support();
        let listed = TargetFile::new(support.len() as u64, &Ring.sha256(&support));
        fixture.put_target("thermostat/support.json", &support);
        let product = targets(None, BTreeMap::from([("thermostat/support.json".into(), listed)]));
        let roles = BTreeMap::from([
            ("targets".parse().unwrap(), targets(Some(delegations), BTreeMap::new())),
            ((&thermostat()).into(), product),
        ]);
        fixture.publish_roles(1, roles);
        fixture
    }

    pub(crate) fn dir(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn repository(&self) -> Repository {
        Repository::open(self.dir()).unwrap()
    }

    pub(crate) fn standing(&self) -> Standing {
        Standing::read(&self.repository(), &thermostat()).unwrap()
    }

    /// Proposes `version` with one image.
    pub(crate) fn propose(&self, draft: &Draft, image: &[u8]) -> Result<Proposed, ReleaseError> {
        let path = self.dir().join("image.bin");
        std::fs::write(&path, image).unwrap();
        let images = [ImageFile { hardware: vec!["revC".parse().unwrap()], path }];
        let channels = ["stable".parse().unwrap()];
        let (repository, standing) = (self.repository(), self.standing());
        propose(
            &repository,
            &standing,
            draft,
            &images,
            None,
            &channels,
            FAST,
            &Wanted::default(),
            now(),
            &mut |_, _, _| (),
        )
    }

    /// Publishes a proposal as its holders would after signing it.
    pub(crate) fn publish(&self, proposal: &Proposal) {
        let from = proposal.dir.join("targets");
        for file in crate::files::list_all(&from).unwrap() {
            crate::files::copy(&from.join(&file), &self.dir().join("targets").join(&file)).unwrap();
        }
        let published = self.repository();
        let published = published.published().unwrap();
        let mut roles: BTreeMap<RoleName, Targets> =
            published.roles.iter().map(|(name, file)| (name.clone(), file.value().clone())).collect();
        roles.extend(proposal.roles.iter().map(|(name, body)| (name.clone(), body.unverified().clone())));
        self.publish_roles(published.snapshot.as_ref().unwrap().version() + 1, roles);
        std::fs::remove_dir_all(&proposal.dir).unwrap();
    }

    /// Signs and publishes these roles with snapshot `version`.
    pub(crate) fn publish_roles(&self, version: u64, roles: BTreeMap<RoleName, Targets>) {
        let mut meta = BTreeMap::new();
        for (name, role) in roles {
            let version = role.version();
            let bytes = self.sign(role);
            let hashes = Hashes::from([("sha256".into(), Ring.sha256(&bytes).to_string())]);
            let file = MetaFile {
                version,
                length: Some(bytes.len() as u64),
                hashes: Some(hashes),
                extra: Extra::new(),
            };
            meta.insert(format!("{name}.json"), file);
            self.write(&format!("metadata/{version}.{name}.json"), &bytes);
        }
        let common = Common::new("snapshot", version, now().plus_days(30), Some(now()));
        let snapshot = self.sign(Snapshot { common, meta, extra: Extra::new() });
        self.write(&format!("metadata/{version}.snapshot.json"), &snapshot);
    }

    pub(crate) fn put_target(&self, path: &str, bytes: &[u8]) -> PathBuf {
        let path: TargetPath = path.parse().unwrap();
        let file = format!("targets/{}", path.consistent(&Ring.sha256(bytes).to_string()));
        self.write(&file, bytes);
        self.dir().join(file)
    }

    fn write(&self, path: &str, bytes: &[u8]) {
        crate::files::write(&self.dir().join(path), bytes).unwrap();
    }

    fn key(&self) -> Key {
        Key::ed25519(self.pair.public_key().as_ref().try_into().unwrap())
    }

    fn sign<T: serde::Serialize>(&self, signed: T) -> Vec<u8> {
        let mut envelope = Envelope { signed, signatures: Vec::new() };
        let sig = encode_hex(self.pair.sign(&envelope.canonical().unwrap()).as_ref());
        envelope.signatures.push(Signature { keyid: self.key().id(&Ring).unwrap(), sig });
        envelope.to_text().unwrap()
    }

    fn support(&self) -> Vec<u8> {
        let until = "2031-12-31".parse().unwrap();
        let promise = Promise::new(now(), until, "Five years, as people expect of a thermostat.");
        let contact = VulnerabilityContact::new("mailto:security@example.com", 3, 14);
        to_text(&Support::new(thermostat(), promise, contact)).unwrap()
    }
}

/// A draft of `version` that nothing is wrong with.
pub(crate) fn draft(version: &str) -> Draft {
    use perennial_schemas::release::{Class, Notes};
    Draft {
        version: version.parse().unwrap(),
        class: Class::Functionality,
        notes: Notes { what: "Heats sooner.".into(), why: String::new(), interruption_seconds: 0 },
        fixes: vec![],
        advisories: vec![],
        allow_secrets: None,
        minimum_version: None,
        postponable_days: None,
        rollout: None,
        everybody_at_once: false,
        security_version: None,
        available_until: None,
        shorter_availability: false,
        sbom: false,
    }
}
