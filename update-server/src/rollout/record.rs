//! What is kept of a rollout: its state with the reason, how far it is open, what was set aside, and the status that was signed
//! last. One record for each release, read and written whole, always under the condition that nobody else changed it.

use super::offers::Offer;
use super::votes::Votes;
use crate::store::{Space, Store, StoreError};
use perennial_schemas::limits::ROLLOUT_PHASES;
use perennial_schemas::{HardwareName, KeyId, ProductName, ReleaseVersion, Sha256Digest, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Rollouts read at once.
const PAGE: usize = 256;
/// The version of the encoding.
const FORMAT: u8 = 1;

/// The state of a rollout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// Its first time has not come.
    Scheduled,
    /// It goes on, as the plan and the evidence let it.
    Running,
    /// A person has stopped it for now.
    Paused,
    /// Evidence, or a person, has stopped it.
    Halted,
    /// It is open for all, and the evidence is good. It is still watched.
    Finished,
    /// Its maker offers it no more.
    Withdrawn,
}

/// By what a rollout came into its state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cause {
    /// By the plan: its time came.
    Plan,
    /// By evidence.
    Gate,
    /// By a person.
    Person,
    /// By what its maker published.
    Maker,
    /// By a restoration of older records, which have forgotten what stopped it since.
    Restored,
}

/// A hardware revision for which it is halted while it goes on for others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stopped {
    /// Since when.
    pub since: Timestamp,
    /// By what.
    pub cause: Cause,
    /// Who, as the audit calls them.
    pub by: String,
    /// Why.
    pub reason: String,
}

/// The end of a hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Resumed {
    /// Since when devices had been held.
    pub held_since: Timestamp,
    /// Until when.
    pub at: Timestamp,
}

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    format: u8,
    /// The product.
    pub product: ProductName,
    /// The release.
    pub version: ReleaseVersion,
    /// SHA-256 of its manifest.
    pub manifest: Sha256Digest,
    /// The rollout key of its plan.
    pub key: KeyId,
    /// The longest that a status may be valid, in seconds.
    pub status_max_age: u64,
    /// The state.
    pub state: State,
    /// Since when.
    pub since: Timestamp,
    /// By what.
    pub cause: Cause,
    /// Who, as the audit calls them.
    pub by: String,
    /// Why, in plain words.
    pub reason: String,
    /// The state before it was withdrawn: should it be offered again, it goes on from there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<State>,
    /// The phase that is open, from 0.
    pub phase: usize,
    /// Since when that is watched; `None` before the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase_since: Option<Timestamp>,
    /// Hardware revisions for which it is halted.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub stopped: BTreeMap<HardwareName, Stopped>,
    /// Of the devices whose time hadn't come when it last went on: how many were silent, of how many. In the last phases there are
    /// none left to compare with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub others: Option<[u64; 2]>,
    /// What was counted when a person set the evidence aside: it counts no more.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub set_aside: BTreeMap<HardwareName, Votes>,
    /// When that was last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub set_aside_at: Option<Timestamp>,
    /// What halted all of it by evidence: that stands against the release until a person sets it aside.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub halted_by: Option<String>,
    /// When devices that had been held were let go on.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub resumed: BTreeMap<HardwareName, Resumed>,
    /// When the product's role was signed that was served when it was stopped, where that role said a time that was yet to come:
    /// what was signed before it was stopped is no consent, whatever date it bears.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signed_before: Option<Timestamp>,
    /// When its votes were removed, because it had been offered no more for long; `None` once it is offered again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub emptied: Option<Timestamp>,
    /// How often these records had been restored from an older copy when it was last known whether it is open.
    #[serde(default, skip_serializing_if = "is_never")]
    pub life: u32,
    /// The number of the last status; 0 for none.
    pub sequence: u64,
    /// The last status, as it is served; empty for none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub status: String,
}

impl State {
    /// Every one, with its word.
    pub const ALL: [(Self, &'static str); 6] = [
        (Self::Scheduled, "scheduled"),
        (Self::Running, "running"),
        (Self::Paused, "paused"),
        (Self::Halted, "halted"),
        (Self::Finished, "finished"),
        (Self::Withdrawn, "withdrawn"),
    ];

    /// No device begins it.
    pub fn is_stopped(self) -> bool {
        matches!(self, Self::Paused | Self::Halted | Self::Withdrawn)
    }

    /// As it is written in JSON.
    pub fn as_str(self) -> &'static str {
        Self::ALL.iter().find(|(state, _)| *state == self).map_or("", |(_, word)| word)
    }
}

impl Record {
    /// Of a release that is offered for the first time.
    pub fn new(offer: &Offer, now: Timestamp) -> Self {
        Self {
            format: FORMAT,
            product: offer.product.clone(),
            version: offer.version.clone(),
            manifest: offer.manifest,
            key: offer.key.clone(),
            status_max_age: offer.plan.status_max_age_seconds,
            state: State::Scheduled,
            since: now,
            cause: Cause::Maker,
            by: "server".into(),
            reason: format!("its plan begins at {}", offer.first()),
            before: None,
            phase: 0,
            phase_since: None,
            stopped: BTreeMap::new(),
            others: None,
            set_aside: BTreeMap::new(),
            set_aside_at: None,
            halted_by: None,
            resumed: BTreeMap::new(),
            signed_before: None,
            emptied: None,
            life: 0,
            sequence: 0,
            status: String::new(),
        }
    }

    /// What halted it by evidence, for all or for one hardware revision, and was not set aside since.
    pub fn stands_against(&self, hardware: Option<&HardwareName>) -> Option<&str> {
        match hardware {
            Some(hardware) => {
                let stopped = self.stopped.get(hardware).filter(|stopped| stopped.cause == Cause::Gate);
                stopped.map(|stopped| stopped.reason.as_str())
            }
            None => {
                // Also in a record of a version that didn't say it apart.
                let is_halted = self.state == State::Halted && self.cause == Cause::Gate;
                self.halted_by.as_deref().or_else(|| is_halted.then_some(self.reason.as_str()))
            }
        }
    }

    /// Since when it is as it is, hardware revisions that were stopped included: what consent must be later than.
    pub fn changed(&self) -> Timestamp {
        let stopped = self.stopped.values().map(|stopped| stopped.since);
        stopped.chain(self.signed_before).fold(self.since, Timestamp::max)
    }

    /// The record.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] when it can't be written down, which its types exclude.
    pub fn encode(&self) -> Result<Vec<u8>, StoreError> {
        serde_json::to_vec(self).map_err(|error| StoreError::Corrupt(error.to_string()))
    }

    /// Reads a record.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`], which names it.
    pub fn decode(key: &[u8], value: &[u8]) -> Result<Self, StoreError> {
        let corrupt = |why: String| StoreError::Corrupt(format!("rollouts/{}: {why}", key.escape_ascii()));
        let record: Self = serde_json::from_slice(value).map_err(|error| corrupt(error.to_string()))?;
        if record.format != FORMAT || record.manifest.as_bytes() != key {
            return Err(corrupt("it is another one's, or of a later version".into()));
        }
        if record.phase >= ROLLOUT_PHASES {
            return Err(corrupt(format!("no plan has so many phases as {}", record.phase)));
        }
        if !record.set_aside.values().all(Votes::is_possible) {
            return Err(corrupt("more was set aside than there are devices".into()));
        }
        Ok(record)
    }
}

fn is_never(times: &u32) -> bool {
    *times == 0
}

/// The record of one release, as it was read.
///
/// # Errors
/// [`StoreError`] when it can't be read.
pub fn one(store: &dyn Store, manifest: &Sha256Digest) -> Result<Option<(Record, Vec<u8>)>, StoreError> {
    let Some(value) = store.get(Space::Rollouts, &manifest.0)? else { return Ok(None) };
    Ok(Some((Record::decode(&manifest.0, &value)?, value)))
}

/// All records.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Records {
    /// Those that can be read, as they were read.
    pub whole: BTreeMap<Sha256Digest, (Record, Vec<u8>)>,
    /// Why others can't be, by their key: nobody knows how far those rollouts are, so that nobody steers them.
    pub damaged: BTreeMap<Vec<u8>, String>,
}

impl Records {
    /// Why the record of a release can't be read, where that is so.
    pub fn damage(&self, manifest: &Sha256Digest) -> Option<&str> {
        self.damaged.get(manifest.as_bytes().as_slice()).map(String::as_str)
    }
}

/// Reads all records; one that is damaged doesn't hide the others.
///
/// # Errors
/// [`StoreError`] when the store can't be read.
pub fn all(store: &dyn Store) -> Result<Records, StoreError> {
    let (mut records, mut after) = (Records::default(), None::<Vec<u8>>);
    loop {
        let page = store.scan(Space::Rollouts, after.as_deref(), PAGE)?;
        let whole = page.len() < PAGE;
        for (key, value) in page {
            match Record::decode(&key, &value) {
                Ok(record) => drop(records.whole.insert(record.manifest, (record, value))),
                Err(error) => drop(records.damaged.insert(key.clone(), error.to_string())),
            }
            after = Some(key);
        }
        if whole {
            return Ok(records);
        }
    }
}
