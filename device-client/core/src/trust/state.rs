//! The one record that survives a reboot: trusted files as they were received, and the floors below which no version may
//! fall. It never holds a file that was not verified.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::cmp::Ordering;

use perennial_schemas::tuf::{Role, Root, TopRole};
use perennial_schemas::{RoleName, Signed, VerifySignature};
use serde::{Deserialize, Serialize};

use super::TrustError;
use super::checks::open;

/// What a device trusts. Encode it, save it, and only then act upon it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustState {
    /// Rises by one with each change to be saved, so that a store of two copies knows the newer one.
    pub(super) sequence: u64,
    pub(super) root: Root,
    pub(super) root_bytes: Vec<u8>,
    pub(super) timestamp: Option<Vec<u8>>,
    pub(super) snapshot: Option<Vec<u8>>,
    pub(super) targets: Option<Vec<u8>>,
    pub(super) delegated: BTreeMap<RoleName, Vec<u8>>,
    pub(super) floors: Floors,
}

/// Versions below which no file may fall (TUF 5.4.3, 5.5.5). Zero, or no entry, where nothing is known.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Floors {
    /// The root under which the others were seen; a root below it is never the last one of a refresh.
    pub root: u64,
    /// `timestamp.json`.
    pub timestamp: u64,
    /// `snapshot.json`.
    pub snapshot: u64,
    /// `targets.json` and `<role>.json`, as the snapshot names them. A name that stands here must stay listed.
    pub roles: BTreeMap<String, u64>,
}

impl Floors {
    /// What counts of two sets of floors that were seen at different times: those under the later root, as rotated keys
    /// may have cleared the others; under the same root, the greater of each.
    #[must_use]
    pub fn newest(mut self, mut other: Self) -> Self {
        match self.root.cmp(&other.root) {
            Ordering::Greater => self,
            Ordering::Less => other,
            Ordering::Equal => {
                for (name, version) in core::mem::take(&mut other.roles) {
                    let floor = self.roles.entry(name).or_default();
                    *floor = version.max(*floor);
                }
                let (timestamp, snapshot) = (other.timestamp, other.snapshot);
                Self {
                    timestamp: self.timestamp.max(timestamp),
                    snapshot: self.snapshot.max(snapshot),
                    ..self
                }
            }
        }
    }
}

/// Delegated files kept for the next refresh. A device needs one or two; with hashed bins each search may bring another.
pub(super) const DELEGATED_KEPT: usize = 64;
/// Bytes of all of them: one file at its limit. Keeps the whole record under 32 MiB: root 0.5, snapshot 4, targets 8,
/// delegated 8, and the snapshot's names and versions once more as floors, at most 6.
const DELEGATED_BYTES: usize = perennial_schemas::limits::TARGETS_LENGTH as usize;

impl TrustState {
    /// From the root that the device was born with.
    ///
    /// # Errors
    /// [`TrustError::Format`], or [`TrustError::Signature`] where the root is not signed by a threshold of its own keys.
    pub fn new(root: &[u8], crypto: &impl VerifySignature) -> Result<Self, TrustError> {
        Self::recover(root, crypto, Floors::default())
    }

    /// A fresh start after the state was lost or can't be read: from a root that came with the device, and the greatest
    /// floors that anything else on it remembers. Nothing is trusted until a whole refresh has passed, and that refuses
    /// whatever is lower than `floors`.
    ///
    /// # Errors
    /// As [`TrustState::new`].
    pub fn recover(root: &[u8], crypto: &impl VerifySignature, floors: Floors) -> Result<Self, TrustError> {
        let signed: Signed<Root> = open("root.json", root)?;
        let verified = signed
            .verify_self(crypto)
            .map_err(|source| TrustError::Signature { file: "root.json".into(), source })?
            .into_inner();
        let floors = Floors { root: floors.root.max(verified.version()), ..floors };
        Ok(Self {
            sequence: 1,
            root: verified,
            root_bytes: root.into(),
            timestamp: None,
            snapshot: None,
            targets: None,
            delegated: BTreeMap::new(),
            floors,
        })
    }

    /// Rises by one with each change to be saved.
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// The trusted root.
    pub fn root(&self) -> &Root {
        &self.root
    }

    /// The trusted root as received.
    pub fn root_bytes(&self) -> &[u8] {
        &self.root_bytes
    }

    /// The versions below which nothing may fall.
    pub fn floors(&self) -> &Floors {
        &self.floors
    }

    /// The floors of the roles that are held, and no others: a snapshot may list thousands, these are few enough to be
    /// noted in another record.
    pub fn floors_held(&self) -> Floors {
        let Floors { root, timestamp, snapshot, ref roles } = self.floors;
        let held = self.delegated.keys().map(|role| format!("{role}.json"));
        let held = held.chain([format!("{}.json", TopRole::Targets)]);
        let roles = held.filter_map(|name| Some((roles.get(&name).copied()?, name)));
        Floors { root, timestamp, snapshot, roles: roles.map(|(version, name)| (name, version)).collect() }
    }

    /// Every trusted file as received, by its unversioned name: `root.json`, `timestamp.json`, `<role>.json`, …
    /// (TUF 5.3.8, 5.4.5, 5.5.7, 5.6.6).
    pub fn files(&self) -> impl Iterator<Item = (String, &[u8])> {
        let top = [
            (TopRole::Root, Some(&self.root_bytes)),
            (TopRole::Timestamp, self.timestamp.as_ref()),
            (TopRole::Snapshot, self.snapshot.as_ref()),
            (TopRole::Targets, self.targets.as_ref()),
        ];
        let top =
            top.into_iter().filter_map(|(role, bytes)| Some((format!("{role}.json"), bytes?.as_slice())));
        let delegated = self.delegated.iter();
        top.chain(delegated.map(|(role, bytes)| (format!("{}.json", role.file_name()), bytes.as_slice())))
    }

    /// Whether timestamp, snapshot and targets were all taken: nothing may be installed before.
    pub fn is_complete(&self) -> bool {
        self.timestamp.is_some() && self.snapshot.is_some() && self.targets.is_some()
    }

    /// Notes that there is something to save.
    pub(super) fn touch(&mut self) {
        self.sequence = self.sequence.saturating_add(1);
    }

    /// Keeps a delegated file, within [`DELEGATED_KEPT`] and [`DELEGATED_BYTES`]. The largest name goes first: a
    /// product's bins sort after its own role, which each search asks. Floors are apart, so that a file dropped here
    /// costs a fetch, and a floor less for [`Self::floors_held`].
    pub(super) fn keep_delegated(&mut self, role: &RoleName, bytes: Vec<u8>) {
        self.delegated.remove(role);
        let mut sum: usize = bytes.len() + self.delegated.values().map(Vec::len).sum::<usize>();
        while sum > DELEGATED_BYTES || self.delegated.len() >= DELEGATED_KEPT {
            let Some((_, dropped)) = self.delegated.pop_last() else { break };
            sum -= dropped.len();
        }
        self.delegated.insert(role.clone(), bytes);
    }
}
