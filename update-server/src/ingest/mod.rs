//! Taking a bundle in: read within limits, verified by the device's own core from the trusted root on, compared with
//! what was promised before, and committed whole or not at all. It never repairs, and it never takes a part.
//!
//! The order makes a kill at any moment harmless: content goes into `STATE/incoming`, each file synced; when
//! everything has been verified, all of it is moved among the blobs and the folder synced; then one durable commit
//! makes the new generation, its timestamp, its trust state and its audit entry the current ones.

pub(crate) mod accept;
mod error;
mod promises;
mod receive;
mod releases;

pub use error::{IngestError, Reason};
pub(crate) use promises::{lost, read, supported_until};

use crate::audit::{self, Event};
use crate::blobs::{Digest, Staging, digest_of};
use crate::freshness::{self, SnapshotRef};
use crate::generation::{self, FileRef, Generation, Served};
use crate::keys::OnlineKey;
use crate::state::Held;
use accept::{Accepted, Judge};
use perennial_schemas::limits::SIGNED_AHEAD_SECONDS;
use perennial_schemas::tuf::{Role, Root};
use perennial_schemas::{Signed, Timestamp};
use receive::Parcel;
use std::collections::BTreeMap;
use std::io::Read;
use std::time::Duration;

/// What taking a bundle in did.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
#[serde(tag = "outcome", rename_all = "lowercase")]
pub enum Outcome {
    /// A new generation is served.
    Published {
        /// Its number.
        generation: u64,
        /// Version of its snapshot.
        snapshot: u64,
        /// Its files, metadata included.
        files: usize,
        /// Bytes that were new.
        new_bytes: u64,
        /// True when the root doesn't name this server's timestamp key: it serves an offline timestamp and can't renew it.
        timestamp_offline: bool,
    },
    /// The bundle holds what is served already.
    Unchanged {
        /// The generation that is served.
        generation: u64,
        /// As for a new one.
        timestamp_offline: bool,
    },
}

/// What taking a bundle in needs, apart from the bundle.
pub(crate) struct Ingest<'a> {
    pub(crate) held: &'a Held,
    pub(crate) key: &'a dyn OnlineKey,
    pub(crate) judge: &'a dyn Judge,
    pub(crate) now: Timestamp,
    pub(crate) validity: Duration,
    pub(crate) limit: u64,
    pub(crate) actor: &'a str,
}

/// A bundle that has passed every check, and lies beside the blobs.
pub(crate) struct Ready {
    staging: Staging,
    generation: Generation,
    timestamp: Vec<u8>,
    trust: Vec<u8>,
    previous: Option<u64>,
    new_bytes: u64,
}

/// What reading a bundle comes to.
pub(crate) enum Prepared {
    /// There is nothing to do.
    Unchanged(Outcome),
    /// There is a new generation to commit.
    New(Box<Ready>),
}

impl Ingest<'_> {
    /// Reads and checks a bundle. Nothing that is served changes.
    pub(crate) fn prepare(&self, bundle: &mut dyn Read) -> Result<Prepared, IngestError> {
        let served = generation::served(&self.held.store)?;
        let mut parcel = Parcel::open(bundle, self.limit)?;
        let metadata = parcel.metadata()?;
        let source = Source { ingest: self, served: served.as_ref(), bundled: &metadata };

        source.root_not_ahead()?;
        let (timestamp, offline) = source.timestamp(served.as_ref())?;
        let accepted = source.judge(&timestamp)?;
        source.no_stray_root(&accepted, offline)?;
        source.nothing_ahead(&accepted)?;
        let wanted = promises::wanted(&accepted)?;
        let mut staging = self.held.state.staging()?;
        let mut new_bytes = parcel.targets(&wanted, &self.held.state.blobs(), &mut staging)?;
        let renewed = offline.then_some(timestamp.as_slice());
        if let Some(unchanged) = unchanged(served.as_ref(), &accepted, renewed) {
            return Ok(Prepared::Unchanged(unchanged));
        }
        self.all_there(&wanted, &staging)?;
        let support = promises::check(self.held, served.as_ref(), &accepted, &wanted, &staging, self.now)?;

        let mut files = wanted;
        for (name, bytes) in source.published(&accepted) {
            let (sha256, length) = (digest_of(&bytes), bytes.len() as u64);
            if !self.held.state.blobs().has(&sha256, length)? && !staging.has(&sha256) {
                new_bytes += length;
                receive::stage(&mut staging, sha256, &name, &mut bytes.as_slice(), length)?;
            }
            files.insert(format!("metadata/{name}"), FileRef { length, sha256 });
        }
        let previous = served.as_ref().map(|served| served.generation.number);
        let generation = Generation {
            number: previous.unwrap_or(0) + 1,
            created: self.now,
            by: self.actor.into(),
            snapshot: freshness::read(&timestamp)?.1,
            offline_timestamp: offline,
            files,
            expiries: accepted.roles.iter().map(|role| (role.name.clone(), role.expires)).collect(),
            support,
        };
        let ready = Ready { staging, generation, timestamp, trust: accepted.trust, previous, new_bytes };
        Ok(Prepared::New(Box::new(ready)))
    }

    /// Makes a prepared bundle the served generation: durable when this returns.
    pub(crate) fn commit(&self, ready: Ready, now: Timestamp) -> Result<Outcome, IngestError> {
        let Ready { staging, generation, mut timestamp, trust, previous, new_bytes } = ready;
        // The served timestamp may have been renewed since; the new one must be later than that.
        if let Some(served) = generation::served(&self.held.store)?.filter(|_| !generation.offline_timestamp)
        {
            let last = freshness::read(&served.timestamp)?.0.version;
            timestamp = freshness::sign(self.key, &generation.snapshot, last, now, self.validity)?.bytes;
        }
        staging.keep(&self.held.state.blobs())?;
        let batch = generation::publish(previous, &generation, &timestamp, &trust)?;
        let detail = [
            ("generation", generation.number.to_string()),
            ("snapshot", generation.snapshot.version.to_string()),
            ("snapshot_sha256", generation.snapshot.sha256.to_string()),
            ("files", generation.files.len().to_string()),
        ];
        let event = Event::new(now, self.actor, "bundle.ingested", &detail);
        audit::commit(&self.held.store, &batch, &event)?;
        Ok(Outcome::Published {
            generation: generation.number,
            snapshot: generation.snapshot.version,
            files: generation.files.len(),
            new_bytes,
            timestamp_offline: generation.offline_timestamp,
        })
    }

    fn all_there(&self, wanted: &BTreeMap<String, FileRef>, staging: &Staging) -> Result<(), IngestError> {
        let blobs = self.held.state.blobs();
        let mut missing = Vec::new();
        for (path, file) in wanted {
            if !staging.has(&file.sha256) && !blobs.has(&file.sha256, file.length)? {
                missing.push(path);
            }
        }
        match missing.first() {
            None => Ok(()),
            Some(first) => Err(IngestError::Missing { path: (*first).clone(), count: missing.len() }),
        }
    }
}

/// That nothing has to be done: every role is served as it is, and so is `offline`, the timestamp that an offline key
/// signed. A later one of those is news, or what is served would expire with the old.
fn unchanged(served: Option<&Served>, accepted: &Accepted, offline: Option<&[u8]>) -> Option<Outcome> {
    let served = served?;
    let generation = &served.generation;
    if generation.offline_timestamp != offline.is_some()
        || offline.is_some_and(|bytes| bytes != served.timestamp)
    {
        return None;
    }
    let same = accepted.roles.iter().chain(&accepted.roots).all(|role| {
        let digest = digest_of(&role.bytes);
        generation.files.get(&format!("metadata/{}", role.file)).is_some_and(|file| file.sha256 == digest)
    });
    same.then_some(Outcome::Unchanged {
        generation: generation.number,
        timestamp_offline: generation.offline_timestamp,
    })
}

/// Where metadata comes from while a bundle is judged: the bundle first, then what is served.
struct Source<'a> {
    ingest: &'a Ingest<'a>,
    served: Option<&'a Served>,
    bundled: &'a BTreeMap<String, Vec<u8>>,
}

impl Source<'_> {
    /// A metadata file by its name, such as `2.root.json`.
    fn fetch(&self, name: &str, limit: u64) -> Result<Option<Vec<u8>>, String> {
        if let Some(bytes) = self.bundled.get(name) {
            return if bytes.len() as u64 > limit {
                Err(format!("{name} is larger than its limit of {limit} bytes"))
            } else {
                Ok(Some(bytes.clone()))
            };
        }
        let Some(served) = self.served else { return Ok(None) };
        let Some(file) = served.generation.files.get(&format!("metadata/{name}")) else { return Ok(None) };
        let blobs = self.ingest.held.state.blobs();
        blobs.read(&file.sha256, limit).map(Some).map_err(|error| error.to_string())
    }

    /// The timestamp that is to go with the bundle, and whether an offline key signed it: ours where the newest root
    /// names our key, else the one that the bundle brings.
    fn timestamp(&self, served: Option<&Served>) -> Result<(Vec<u8>, bool), IngestError> {
        if !accept::names_timestamp_key(self.newest_root()?.as_deref(), self.ingest.key.keyid()) {
            let offline = self.bundled.get("timestamp.json").ok_or(IngestError::NoTimestamp)?;
            return Ok((offline.clone(), true));
        }
        let last = match served {
            Some(served) => freshness::read(&served.timestamp)?.0.version,
            None => 0,
        };
        let snapshot = self.newest_snapshot()?;
        let fresh = freshness::sign(self.ingest.key, &snapshot, last, self.ingest.now, self.ingest.validity)?;
        Ok((fresh.bytes, false))
    }

    /// The newest root in the bundle or among what is served, else the one that was handed over.
    fn newest_root(&self) -> Result<Option<Vec<u8>>, IngestError> {
        let served = self.served.iter().flat_map(|served| served.generation.files.keys());
        let served = served.filter_map(|path| path.strip_prefix("metadata/"));
        let names = self.bundled.keys().map(String::as_str).chain(served);
        let newest = names.filter(|name| name.ends_with(".root.json")).max_by_key(|name| version_of(name));
        match newest {
            None => Ok(Some(self.trusted_root()?)),
            Some(name) => self.fetch(name, perennial_schemas::limits::ROOT_LENGTH).map_err(damaged),
        }
    }

    fn newest_snapshot(&self) -> Result<SnapshotRef, IngestError> {
        let snapshots = self.bundled.iter().filter(|(name, _)| name.ends_with(".snapshot.json"));
        let found = snapshots.filter_map(|(name, bytes)| Some((version_of(name)?, bytes)));
        let Some((version, bytes)) = found.max_by_key(|(version, _)| *version) else {
            let served = self.served.map(|served| served.generation.snapshot.clone());
            return served.ok_or_else(|| IngestError::Untrusted {
                reason: Reason::Missing,
                why: "the bundle has no snapshot".into(),
            });
        };
        Ok(SnapshotRef { version, length: bytes.len() as u64, sha256: digest_of(bytes) })
    }

    fn trusted_root(&self) -> Result<Vec<u8>, IngestError> {
        let path = self.ingest.held.state.root_file();
        if !crate::disk::exists(&path) {
            return Err(IngestError::NoRoot(path));
        }
        Ok(crate::disk::read(&path, perennial_schemas::limits::ROOT_LENGTH)?)
    }

    fn judge(&self, timestamp: &[u8]) -> Result<Accepted, IngestError> {
        let trust = generation::trust(&self.ingest.held.store)?;
        let root = self.trusted_root()?;
        let fetch = |name: &str, limit: u64| match name {
            "timestamp.json" => Ok(Some(timestamp.to_vec())),
            _ => self.fetch(name, limit),
        };
        let judge = self.ingest.judge;
        let verdict = judge.accept(trust.as_deref(), &root, &fetch, self.ingest.now);
        verdict.map_err(|refused| IngestError::Untrusted { reason: refused.reason, why: refused.why })
    }

    /// Refuses roots that no chain of signatures leads to, and a choice of the timestamp's signer that an unverified root led
    /// to: what was decided before the verdict must agree with it.
    fn no_stray_root(&self, accepted: &Accepted, offline: bool) -> Result<(), IngestError> {
        let roots = || accepted.roles.iter().chain(&accepted.roots).filter(|role| role.name == "root");
        let newest = roots().max_by_key(|role| version_of(&role.file)).map(|role| role.bytes.as_slice());
        let published = self.published(accepted);
        let stray = |name: &str| name.ends_with(".root.json") && !published.contains_key(name);
        if let Some(name) = self.bundled.keys().find(|name| stray(name)) {
            return Err(IngestError::Unvouched(format!("metadata/{name}")));
        }
        if accept::names_timestamp_key(newest, self.ingest.key.keyid()) == offline {
            let why = "the newest root in the bundle isn't the one that the chain of roots leads to";
            return Err(IngestError::Untrusted { reason: Reason::Signature, why: why.into() });
        }
        Ok(())
    }

    /// Refuses metadata that says it was signed later than now: devices take such a date for the time at least, and for consent to
    /// what was stopped before it.
    fn nothing_ahead(&self, accepted: &Accepted) -> Result<(), IngestError> {
        accepted.roles.iter().try_for_each(|role| self.not_ahead(&role.file, &role.bytes, role.signed_at))
    }

    /// The same of the newest root, before the verdict: by its date, the core would call everything else expired.
    fn root_not_ahead(&self) -> Result<(), IngestError> {
        let roots = self.bundled.iter().filter(|(name, _)| name.ends_with(".root.json"));
        let Some((name, bytes)) = roots.max_by_key(|(name, _)| version_of(name)) else { return Ok(()) };
        // One that can't be read is refused by the core, in its own words.
        let Ok(root) = Signed::<Root>::parse(bytes) else { return Ok(()) };
        self.not_ahead(name, bytes, root.unverified().common().signed_at)
    }

    /// What is served already stays: refusing it would refuse everything after it.
    fn not_ahead(&self, name: &str, bytes: &[u8], signed_at: Option<Timestamp>) -> Result<(), IngestError> {
        let (now, file) = (self.ingest.now, format!("metadata/{name}"));
        let Some(at) = signed_at.filter(|at| *at > now.plus_seconds(SIGNED_AHEAD_SECONDS)) else {
            return Ok(());
        };
        let served = self.served.and_then(|served| served.generation.files.get(&file));
        if served.is_some_and(|served| served.sha256 == digest_of(bytes)) {
            return Ok(());
        }
        Err(IngestError::Ahead { file, at, now })
    }

    /// The metadata files of the new generation: the accepted roles, and every root that there ever was.
    fn published(&self, accepted: &Accepted) -> BTreeMap<String, Vec<u8>> {
        let accepted_files = || accepted.roles.iter().chain(&accepted.roots);
        let mut files: BTreeMap<_, _> =
            accepted_files().map(|role| (role.file.clone(), role.bytes.clone())).collect();
        let roots = accepted_files().filter(|role| role.name == "root");
        if let Some(oldest) = roots.min_by_key(|role| version_of(&role.file)) {
            files.extend(accept::older_roots(self.bundled, oldest));
        }
        for name in self.served.iter().flat_map(|served| served.generation.files.keys()) {
            let Some(name) = name.strip_prefix("metadata/").filter(|name| name.ends_with(".root.json"))
            else {
                continue;
            };
            if let Ok(Some(bytes)) = self.fetch(name, perennial_schemas::limits::ROOT_LENGTH) {
                files.entry(name.to_owned()).or_insert(bytes);
            }
        }
        files
    }
}

fn damaged(why: String) -> IngestError {
    IngestError::Untrusted { reason: Reason::Damaged, why }
}

/// The version that a metadata file's name begins with.
fn version_of(file: &str) -> Option<u64> {
    file.split('.').next()?.parse().ok()
}

/// A digest by its text, for messages about files that hold one.
pub(crate) fn consistent(path: &str, sha256: &Digest) -> Option<String> {
    let path: perennial_schemas::TargetPath = path.parse().ok()?;
    Some(format!("targets/{}", path.consistent(&sha256.to_string())))
}
