//! The repository: every role as a value that a test may change, and the files that it has published.

use std::collections::BTreeMap;

use perennial_device_core::crypto::Ring;
use perennial_device_core::trust::{FetchError, MetadataSource, Request};
use perennial_schemas::crypto::Digest;
use perennial_schemas::signed::{Envelope, canonical_of, to_text};
use perennial_schemas::tuf::{
    Common, Delegation, Delegations, Extra, KeyMap, MetaFile, RoleKeys, Root, Snapshot, TargetFile, Targets,
    TimestampRole, TopRole,
};
use perennial_schemas::{RoleName, Timestamp};
use serde::Serialize;

use super::{Signer, day};

/// A repository. Change its fields, publish, and let a device refresh.
#[derive(Clone)]
pub struct Repository {
    /// The root to be published next.
    pub root: Root,
    /// The timestamp to be published next.
    pub timestamp: TimestampRole,
    /// The snapshot to be published next.
    pub snapshot: Snapshot,
    /// Every targets role to be published next, by name; `targets` is the top-level one.
    pub roles: BTreeMap<String, Targets>,
    /// Who signs for a role, by its name.
    pub signers: BTreeMap<String, Vec<Signer>>,
    /// What is served: file name to content.
    pub files: BTreeMap<String, Vec<u8>>,
    /// What was asked for, in order.
    pub requests: Vec<String>,
    next_signer: u32,
}

impl Repository {
    /// A repository with one key for each role, published once, at version 1. Expires on day 30, its root on day 365.
    pub fn new() -> Self {
        Self::with_keys_from(1)
    }

    /// Another maker's: the same, with other keys.
    pub fn of_somebody_else() -> Self {
        Self::with_keys_from(1000)
    }

    fn with_keys_from(first: u32) -> Self {
        let root = Root {
            common: common("root", day(365)),
            consistent_snapshot: true,
            keys: KeyMap::new(),
            roles: TopRole::ALL.map(|role| (role.as_str().into(), RoleKeys::new(Vec::new(), 1))).into(),
            annulments: Vec::new(),
            extra: Extra::new(),
        };
        let timestamp = TimestampRole {
            common: common("timestamp", day(30)),
            meta: BTreeMap::new(),
            extra: Extra::new(),
        };
        let snapshot =
            Snapshot { common: common("snapshot", day(30)), meta: BTreeMap::new(), extra: Extra::new() };
        let mut repository = Self {
            root,
            timestamp,
            snapshot,
            roles: BTreeMap::from([("targets".into(), empty_targets())]),
            signers: BTreeMap::new(),
            files: BTreeMap::new(),
            requests: Vec::new(),
            next_signer: first,
        };
        for role in TopRole::ALL {
            repository.add_key(role);
        }
        repository.serve_root();
        repository.serve_all();
        repository
    }

    /// A new key pair.
    pub fn new_signer(&mut self) -> Signer {
        self.next_signer += 1;
        Signer(self.next_signer)
    }

    /// Gives a top-level role one more key, which signs from now on.
    pub fn add_key(&mut self, role: TopRole) -> Signer {
        let signer = self.new_signer();
        self.root.keys.insert(signer.id(), signer.key());
        self.top(role).keyids.push(signer.id());
        self.signers.entry(role.as_str().into()).or_default().push(signer);
        signer
    }

    /// Takes all keys of a top-level role away and gives it a new one. A new root signs with the old keys, too.
    pub fn rotate(&mut self, role: TopRole) -> Signer {
        let old = self.signers.remove(role.as_str()).unwrap_or_default();
        self.top(role).keyids.clear();
        let signer = self.add_key(role);
        if role == TopRole::Root {
            self.signers.entry("root".into()).or_default().extend(old);
        }
        signer
    }

    /// Keys and threshold of a top-level role.
    pub fn top(&mut self, role: TopRole) -> &mut RoleKeys {
        self.root.roles.entry(role.as_str().into()).or_insert_with(|| RoleKeys::new(Vec::new(), 1))
    }

    /// The top-level targets role.
    pub fn targets(&mut self) -> &mut Targets {
        self.role("targets")
    }

    /// A targets role.
    pub fn role(&mut self, name: &str) -> &mut Targets {
        self.roles.entry(name.into()).or_insert_with(empty_targets)
    }

    /// Delegates `patterns` from `parent` to `name`, which gets a key of its own.
    pub fn delegate(&mut self, parent: &str, name: &str, patterns: &[&str], terminating: bool) {
        let signer = self.new_signer();
        self.delegate_to(signer, parent, name, patterns, terminating);
    }

    /// The same to a team that has a key already.
    pub fn delegate_to(
        &mut self,
        signer: Signer,
        parent: &str,
        name: &str,
        patterns: &[&str],
        terminating: bool,
    ) {
        self.role(name);
        self.signers.entry(name.into()).or_default().push(signer);
        let delegation = Delegation {
            name: name.parse().expect("a role name"),
            keyids: vec![signer.id()],
            threshold: 1,
            terminating,
            paths: Some(patterns.iter().map(|pattern| String::from(*pattern)).collect()),
            path_hash_prefixes: None,
            extra: Extra::new(),
        };
        let delegations = self.role(parent).delegations.get_or_insert_with(|| Delegations {
            keys: KeyMap::new(),
            roles: Some(Vec::new()),
            succinct_roles: None,
            extra: Extra::new(),
        });
        delegations.keys.insert(signer.id(), signer.key());
        delegations.roles.get_or_insert_default().push(delegation);
    }

    /// Makes `role` vouch for `content` at `path`.
    pub fn add_target(&mut self, role: &str, path: &str, content: &[u8]) {
        let target = TargetFile::new(content.len() as u64, &Ring.sha256(content));
        self.role(role).targets.insert(path.into(), target);
    }

    /// Publishes the next version of everything but the root.
    pub fn publish(&mut self) {
        for targets in self.roles.values_mut() {
            targets.common.version += 1;
        }
        self.snapshot.common.version += 1;
        self.timestamp.common.version += 1;
        self.serve_all();
    }

    /// Publishes the next timestamp alone.
    pub fn publish_timestamp(&mut self) {
        self.timestamp.common.version += 1;
        self.serve_timestamp();
    }

    /// Publishes the next root.
    pub fn publish_root(&mut self) {
        self.root.common.version += 1;
        self.serve_root();
    }

    /// Signs and serves the root as it is.
    pub fn serve_root(&mut self) {
        let text = self.sign("root", &self.root);
        self.files.insert(format!("{}.root.json", self.root.common.version), text);
    }

    /// Signs and serves everything but the root as it is, and lists it with lengths and digests.
    pub fn serve_all(&mut self) {
        let names: Vec<String> = self.roles.keys().cloned().collect();
        for name in names {
            self.serve_role(&name);
        }
        self.serve_snapshot();
        self.serve_timestamp();
    }

    /// Signs and serves a targets role as it is, and lists it in the snapshot.
    pub fn serve_role(&mut self, name: &str) {
        let targets = self.roles[name].clone();
        let text = self.sign(name, &targets);
        self.snapshot.meta.insert(format!("{name}.json"), listed(targets.common.version, &text));
        let file_name = name.parse::<RoleName>().expect("a role name").file_name();
        self.files.insert(format!("{}.{file_name}.json", targets.common.version), text);
    }

    /// Signs and serves the snapshot as it is, and lists it in the timestamp.
    pub fn serve_snapshot(&mut self) {
        let text = self.sign("snapshot", &self.snapshot);
        self.list_snapshot(&text);
    }

    /// Serves a snapshot file as it is, whoever signed it, and lists it in the timestamp.
    pub fn list_snapshot(&mut self, text: &[u8]) {
        let version = self.snapshot.common.version;
        self.timestamp.meta.insert("snapshot.json".into(), listed(version, text));
        self.files.insert(format!("{version}.snapshot.json"), text.into());
    }

    /// Signs and serves the timestamp as it is.
    pub fn serve_timestamp(&mut self) {
        let text = self.sign("timestamp", &self.timestamp);
        self.files.insert("timestamp.json".into(), text);
    }

    /// A file's text, signed by whoever signs for `role`.
    pub fn sign<T: Serialize + Clone>(&self, role: &str, value: &T) -> Vec<u8> {
        let message = canonical_of(value).expect("a role of ours is strict JSON");
        let signers = self.signers.get(role).cloned().unwrap_or_default();
        let signatures = signers.iter().map(|signer| signer.sign(&message)).collect();
        to_text(&Envelope { signed: value.clone(), signatures }).expect("a role of ours is JSON")
    }

    /// The first root: what a device is born with.
    pub fn first_root(&self) -> &[u8] {
        &self.files["1.root.json"]
    }

    /// Everything as it is served now: what an attacker can record, and serve again later.
    pub fn record(&self) -> BTreeMap<String, Vec<u8>> {
        self.files.clone()
    }

    /// What was asked for since the last time.
    pub fn take_requests(&mut self) -> Vec<String> {
        std::mem::take(&mut self.requests)
    }
}

impl Default for Repository {
    fn default() -> Self {
        Self::new()
    }
}

impl MetadataSource for Repository {
    fn fetch(&mut self, request: &Request) -> Result<Option<Vec<u8>>, FetchError> {
        self.requests.push(request.path.clone());
        match self.files.get(&request.path) {
            Some(file) if file.len() as u64 > request.max_length => {
                Err(FetchError::TooLong { limit: request.max_length })
            }
            file => Ok(file.cloned()),
        }
    }
}

/// What a snapshot or a timestamp says of a file.
fn listed(version: u64, text: &[u8]) -> MetaFile {
    let target = TargetFile::new(text.len() as u64, &Ring.sha256(text));
    MetaFile { version, length: Some(target.length), hashes: Some(target.hashes), extra: Extra::new() }
}

fn common(kind: &str, expires: Timestamp) -> Common {
    Common::new(kind, 1, expires, Some(day(0)))
}

fn empty_targets() -> Targets {
    Targets {
        common: common("targets", day(90)),
        targets: BTreeMap::new(),
        delegations: None,
        extra: Extra::new(),
    }
}
