//! On which devices a release failed: a few of the newest for each failure code, so that somebody can look at one. Their ids
//! stand in no record of a vote; whoever has the marks' key finds them by asking for each device's mark, in a pass beside
//! everything else. What is found is kept in memory only, so that nothing of it outlives an erasure.

use super::ballot::Ballot;
use super::tallies::Codes;
use super::votes::Mark;
use crate::fleet::desk::id;
use crate::fleet::row::Row;
use crate::store::{Space, Store, StoreError};
use perennial_schemas::fleet::DeviceId;
use perennial_schemas::report::FailureCode;
use perennial_schemas::{HardwareName, Sha256Digest, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// Devices looked at, at once.
const PAGE: usize = 1000;
/// Devices that are named of each kind.
pub const NAMED: usize = 5;

/// A few devices of each kind, the newest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Newest<K: Ord>(BTreeMap<K, Vec<(Timestamp, DeviceId)>>);

impl<K: Ord> Default for Newest<K> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<K: Ord> Newest<K> {
    /// Notes a device, where it is among the newest.
    pub(super) fn note(&mut self, kind: K, at: Timestamp, device: DeviceId) {
        let known = self.0.entry(kind).or_default();
        let place = known.partition_point(|(other, _)| *other >= at);
        known.insert(place, (at, device));
        known.truncate(NAMED);
    }

    /// Those of a kind.
    pub fn of(&self, kind: &K) -> &[(Timestamp, DeviceId)] {
        self.0.get(kind).map_or(&[], Vec::as_slice)
    }
}

/// By hardware revision and failure code.
pub type Failing = Newest<(HardwareName, Option<FailureCode>)>;

/// What was found of a release, and what had failed then: looked for again once that has changed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// What had failed.
    pub codes: Codes,
    /// It was offered no more by then: no vote has come since.
    pub is_last: bool,
    /// On whom, the newest first.
    pub failing: Failing,
}

/// Looks at every device, for these releases. `pause` is called after each page.
///
/// # Errors
/// [`StoreError`]
pub fn look(
    store: &dyn Store,
    ballot: &Ballot,
    wanted: &[Sha256Digest],
    pause: &dyn Fn(),
) -> Result<BTreeMap<Sha256Digest, Failing>, StoreError> {
    let mut found: BTreeMap<_, _> = wanted.iter().map(|manifest| (*manifest, Failing::default())).collect();
    let mut after: Option<Vec<u8>> = None;
    while !wanted.is_empty() {
        let page = store.scan(Space::Devices, after.as_deref(), PAGE)?;
        let Some((last, _)) = page.last() else { break };
        after = Some(last.clone());
        let devices: Vec<(DeviceId, &[u8])> =
            page.iter().filter_map(|(key, row)| Some((id(key)?, row.as_slice()))).collect();
        for manifest in wanted {
            let keys: Vec<Vec<u8>> =
                devices.iter().map(|(device, _)| ballot.key.mark(manifest, device)).collect();
            let marks = store.get_many(Space::Marks, &keys)?;
            for ((device, row), mark) in devices.iter().zip(marks) {
                // A damaged one is told of by whoever counts the votes.
                let Some(Ok(mark)) = mark.as_deref().map(Mark::decode) else { continue };
                if mark.vote.is_bad() && is_nameable(row, mark.received) {
                    let kind = (mark.hardware, mark.code);
                    found.entry(*manifest).or_default().note(kind, mark.received, device.clone());
                }
            }
        }
        pause();
    }
    Ok(found)
}

/// Devices of one hardware revision on which a release failed in the same way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Failures {
    /// The hardware revision.
    pub hardware: String,
    /// The failure code; `null` where the devices told none.
    pub code: Option<u16>,
    /// What it means.
    pub what: String,
    /// How many devices.
    pub devices: u64,
    /// A few of them, the newest first, as far as they aren't erased; in lists of rollouts they are left out.
    #[serde(default)]
    pub newest: Vec<Named>,
}

/// A device that is named.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Named {
    /// Its id, as `device list` shows it.
    pub device: String,
    /// Of one on which a release failed: when it told that. Of one that fell silent: when it was last heard of.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
}

/// Devices of one hardware revision that began with a release and fell silent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Lost {
    /// The hardware revision.
    pub hardware: String,
    /// How many devices.
    pub devices: u64,
    /// A few of them, those heard of last first.
    pub newest: Vec<Named>,
}

/// What failed, by hardware revision, the most frequent first.
pub(super) fn failures(codes: &Codes) -> Vec<Failures> {
    let mut all: Vec<Failures> = codes
        .iter()
        .map(|((hardware, code), devices)| Failures {
            hardware: hardware.to_string(),
            code: code.map(FailureCode::number),
            what: code.map_or("They told no code.", FailureCode::text).into(),
            devices: *devices,
            newest: Vec::new(),
        })
        .collect();
    all.sort_by(|a, b| (&a.hardware, b.devices).cmp(&(&b.hardware, a.devices)));
    all
}

/// Those who are still known: what was erased since is named no more.
///
/// # Errors
/// [`StoreError`]
pub(super) fn named(store: &dyn Store, newest: &[(Timestamp, DeviceId)]) -> Result<Vec<Named>, StoreError> {
    let mut named = Vec::new();
    for (at, device) in newest {
        let row = store.get(Space::Devices, device.as_str().as_bytes())?;
        if row.is_some_and(|row| is_nameable(&row, *at)) {
            named.push(Named { device: device.to_string(), at: *at });
        }
    }
    Ok(named)
}

/// Whether a device may be named with what it told at a time: its row is known since before, and nothing of that was erased. A
/// damaged row doesn't tell.
fn is_nameable(row: &[u8], at: Timestamp) -> bool {
    Row::decode(row).is_ok_and(|row| row.told_by(at))
}

impl Failures {
    /// In a sentence, with whom to look at.
    pub(super) fn words(&self) -> String {
        let Self { hardware, what, devices, newest, .. } = self;
        let code = self.code.map_or(String::new(), |code| format!(" with {code}"));
        let many = devices_of(*devices, hardware);
        format!("On {many} it failed{code} ({}){}", plain(what), these(newest, *devices))
    }
}

impl Lost {
    /// In a sentence, with whom to look at.
    pub(super) fn words(&self) -> String {
        let Self { hardware, devices, newest } = self;
        format!("{} fell silent{}", devices_of(*devices, hardware), these(newest, *devices))
    }
}

fn devices_of(count: u64, hardware: &str) -> String {
    format!("{count} device{} of {hardware}", if count == 1 { "" } else { "s" })
}

/// `it booted and was not healthy`
fn plain(sentence: &str) -> String {
    let mut letters = sentence.trim_end_matches('.').chars();
    let first = letters.next().map_or(String::new(), |first| first.to_lowercase().collect());
    first + letters.as_str()
}

fn these(newest: &[Named], devices: u64) -> String {
    let each: Vec<String> = newest.iter().map(|it| format!("{} at {}", it.device, it.at)).collect();
    match each.len() {
        0 => ".".into(),
        some if some as u64 == devices => format!(": {}.", each.join(", ")),
        _ => format!("; the newest: {}.", each.join(", ")),
    }
}
