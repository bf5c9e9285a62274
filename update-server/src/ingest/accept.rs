//! The verdict of the device's own core on a repository: the same code that a device runs walks from the trusted root
//! to every target. This module only hands it what it asks for, and notes what it took.

use super::Reason;
use crate::generation::FileRef;
use perennial_device_core::crypto::Ring;
use perennial_device_core::trust::{
    DriveError, FetchError, Limits, MetadataSource, Request, RoleTargets, StoreError, TrustError, TrustState,
    TrustStore, Walked, walk_all,
};
use perennial_schemas::support::Annulment;
use perennial_schemas::tuf::{Role, Root, Snapshot, TopRole};
use perennial_schemas::{KeyId, Signed, Timestamp};
use std::collections::BTreeMap;
use std::error::Error;

/// A metadata file that the core took.
#[derive(Debug, Clone)]
pub(crate) struct AcceptedRole {
    /// The role's name.
    pub(crate) name: String,
    /// Its file's name, such as `3.snapshot.json`.
    pub(crate) file: String,
    /// The file as received.
    pub(crate) bytes: Vec<u8>,
    /// When it stops being trusted.
    pub(crate) expires: Timestamp,
    /// When it was signed, where it says so.
    pub(crate) signed_at: Option<Timestamp>,
}

/// What the core vouches for.
#[derive(Debug, Clone)]
pub(crate) struct Accepted {
    /// The trust state afterwards.
    pub(crate) trust: Vec<u8>,
    /// Newest root, snapshot, targets, and every delegated role.
    pub(crate) roles: Vec<AcceptedRole>,
    /// All roots that the chain passed through.
    pub(crate) roots: Vec<AcceptedRole>,
    /// Every target by its path, with the digest and length that its role vouches for.
    pub(crate) targets: BTreeMap<String, FileRef>,
    /// The support promises that the newest root has taken back.
    pub(crate) annulments: Vec<Annulment>,
}

/// Hands over a metadata file: its name and the most bytes that it may have.
pub(crate) type Fetch<'a> = &'a dyn Fn(&str, u64) -> Result<Option<Vec<u8>>, String>;

/// What the core says against a repository.
#[derive(Debug, Clone)]
pub(crate) struct Refused {
    /// In one word.
    pub(crate) reason: Reason,
    /// In the core's words.
    pub(crate) why: String,
}

/// Whoever says what may be published: the device's core.
pub(crate) trait Judge: Send + Sync {
    /// Walks the repository, from the stored trust state or the first root, at `now`.
    fn accept(
        &self,
        trust: Option<&[u8]>,
        root: &[u8],
        fetch: Fetch<'_>,
        now: Timestamp,
    ) -> Result<Accepted, Refused>;
}

/// Whether a root names that key for its timestamp. It decides only who signs the timestamp: the core verifies it.
pub(crate) fn names_timestamp_key(root: Option<&[u8]>, key: &KeyId) -> bool {
    let Some(Ok(root)) = root.map(Signed::<Root>::parse) else { return false };
    let root = root.unverified();
    root.authority(TopRole::Timestamp).threshold() == 1
        && root.roles.get(TopRole::Timestamp.as_str()).is_some_and(|role| role.keyids.contains(key))
}

/// The device's core as it is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CoreJudge;

impl Judge for CoreJudge {
    fn accept(
        &self,
        trust: Option<&[u8]>,
        root: &[u8],
        fetch: Fetch<'_>,
        now: Timestamp,
    ) -> Result<Accepted, Refused> {
        let unusable = |why: String| Refused { reason: Reason::Unusable, why };
        let state = start(trust, root)
            .map_err(|error| Refused { reason: Reason::Setup, why: chain(error.as_ref()) })?;
        let mut taken = Taken { fetch, files: BTreeMap::new() };
        let walked = walk_all(state, &Ring, now, Limits::of_everything(), &mut taken, &mut Unsaved)
            .map_err(|error| Refused { reason: reason(&error), why: chain(&error) })?;
        if !walked.state.root().consistent_snapshot {
            let why = "the root doesn't ask for consistent snapshots, which this server needs";
            return Err(unusable(why.into()));
        }
        for role in walked.roles.iter().filter(|role| !role.ignored.is_empty()) {
            let first = role.ignored.first().map_or("", String::as_str);
            tracing::warn!(role = %role.role, count = role.ignored.len(), first, "a role lists targets that aren't its own");
        }
        let (roles, roots) = files(&walked, taken.files).map_err(unusable)?;
        let targets = targets(&walked.roles).map_err(unusable)?;
        let annulments = walked.state.root().annulments.clone();
        Ok(Accepted { trust: walked.state.encode(), roles, roots, targets, annulments })
    }
}

fn reason(error: &DriveError) -> Reason {
    match error {
        DriveError::Trust(error) => match error {
            TrustError::Signature { .. } => Reason::Signature,
            TrustError::Rollback { .. } | TrustError::Unlisted { .. } => Reason::Rollback,
            TrustError::Version { .. } | TrustError::Length { .. } | TrustError::Digest { .. } => {
                Reason::Mismatch
            }
            TrustError::Expired { .. } => Reason::Expired,
            TrustError::Missing { .. } | TrustError::NotListed { .. } => Reason::Missing,
            TrustError::Format { .. }
            | TrustError::TooLong { .. }
            | TrustError::TooManyRoles { .. }
            | TrustError::TooMuchDelegated { .. } => Reason::Damaged,
            TrustError::OutOfOrder { .. } => Reason::Server,
        },
        DriveError::Fetch { .. } => Reason::Damaged,
        DriveError::Store(_) => Reason::Server,
    }
}

/// The newest trusted root and the floors, without the files that were kept: everything is fetched and verified again,
/// so that what is published is exactly what was looked at.
fn start(trust: Option<&[u8]>, root: &[u8]) -> Result<TrustState, Box<dyn Error>> {
    let Some(trust) = trust else { return Ok(TrustState::new(root, &Ring)?) };
    let known = TrustState::decode(trust)?;
    Ok(TrustState::recover(known.root_bytes(), &Ring, known.floors().clone())?)
}

/// Hands over files, and keeps what was taken.
struct Taken<'a> {
    fetch: Fetch<'a>,
    files: BTreeMap<String, Vec<u8>>,
}

impl MetadataSource for Taken<'_> {
    fn fetch(&mut self, request: &Request) -> Result<Option<Vec<u8>>, FetchError> {
        let found = (self.fetch)(&request.path, request.max_length);
        let found = found.map_err(|reason| FetchError::Failed(reason.into()))?;
        if let Some(bytes) = &found {
            self.files.insert(request.path.clone(), bytes.clone());
        }
        Ok(found)
    }
}

/// The state is saved by the server's own commit, together with what it vouches for.
struct Unsaved;

impl TrustStore for Unsaved {
    fn save(&mut self, _: &TrustState) -> Result<(), StoreError> {
        Ok(())
    }
}

/// The files that the walk took: the current set, and the roots on the way.
fn files(
    walked: &Walked,
    mut taken: BTreeMap<String, Vec<u8>>,
) -> Result<(Vec<AcceptedRole>, Vec<AcceptedRole>), String> {
    let root = walked.state.root();
    let times = |name: &str, expires, signed_at| (name.to_owned(), expires, signed_at);
    let file = format!("{}.root.json", root.version());
    let mut current = BTreeMap::from([(file, times("root", root.expires(), root.common().signed_at))]);
    taken.insert(format!("{}.root.json", root.version()), walked.state.root_bytes().to_vec());
    for role in &walked.roles {
        let file = format!("{}.{}.json", role.version, role.role.file_name());
        current.insert(file, times(role.role.as_str(), role.expires, role.signed_at));
    }
    let (mut roles, mut roots) = (Vec::new(), Vec::new());
    for (file, bytes) in taken {
        let known = match current.remove(&file) {
            Some(known) => Some(known),
            None if file.ends_with(".snapshot.json") => {
                let snapshot = Signed::<Snapshot>::parse(&bytes).map_err(|error| error.to_string())?;
                let snapshot = snapshot.unverified();
                Some(times("snapshot", snapshot.expires(), snapshot.common().signed_at))
            }
            None => None,
        };
        match known {
            Some((name, expires, signed_at)) => {
                roles.push(AcceptedRole { name, file, bytes, expires, signed_at });
            }
            None if file.ends_with(".root.json") => {
                let (name, expires) = ("root".into(), Timestamp::EPOCH);
                roots.push(AcceptedRole { name, file, bytes, expires, signed_at: None });
            }
            None => {}
        }
    }
    match current.pop_first() {
        None => Ok((roles, roots)),
        Some((file, _)) => Err(format!("{file} was verified, and can't be found again")),
    }
}

/// Every target. Where several roles list a path, the first in a device's search order counts.
fn targets(roles: &[RoleTargets]) -> Result<BTreeMap<String, FileRef>, String> {
    let mut targets = BTreeMap::new();
    for (path, file) in roles.iter().flat_map(|role| &role.targets) {
        let sha256 = file.sha256.ok_or_else(|| format!("the target {path} has no SHA-256"))?;
        targets.entry(path.to_string()).or_insert(FileRef { length: file.length, sha256 });
    }
    Ok(targets)
}

/// Bundled roots older than `oldest`, as far back as each is followed by the next as TUF 5.3.4 asks: they bring devices
/// home that were off for years. Root `oldest` is trusted; none of these becomes so by being served.
pub(crate) fn older_roots(
    bundled: &BTreeMap<String, Vec<u8>>,
    oldest: &AcceptedRole,
) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let Ok(mut next) = Signed::<Root>::parse(&oldest.bytes) else { return found };
    loop {
        let version = next.unverified().version() - 1;
        let name = format!("{version}.root.json");
        let Some(bytes) = bundled.get(&name) else { return found };
        let Ok(root) = Signed::<Root>::parse(bytes) else { return found };
        let linked = root.unverified().version() == version
            && root.clone().verify_self(&Ring).is_ok()
            && next.check(&root.unverified().authority(TopRole::Root), &Ring).is_ok();
        if !linked {
            return found;
        }
        found.insert(name, bytes.clone());
        next = root;
    }
}

/// An error with its causes, each once.
fn chain(error: &dyn Error) -> String {
    crate::failure::Failure::of(error, "").what().to_owned()
}
