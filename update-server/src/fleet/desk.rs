//! What people ask of the fleet: which devices there are, what is held on one, why one isn't updating, and to revoke one,
//! lift its quarantine, or erase it. Plain functions over the store, for commands and the admin plane; each change is audited with it.

pub use super::count::{Counted, count};
pub use super::erase::erase;
use super::event::Event;
use super::lists::ByMaker;
use super::quarantine::Quarantine;
use super::releases::{Possible, Releases};
use super::row::{Revoked, Row, Standing};
use crate::audit;
use crate::store::{Batch, Space, Store, StoreError};
use perennial_schemas::Timestamp;
use perennial_schemas::fleet::{DeviceId, Flag};
use perennial_schemas::report::Outcome;
use serde::{Serialize, Serializer};
use std::fmt;
use std::str::FromStr;

/// Rows read at once.
const ROWS: usize = 1000;
/// Who wants a receipt of it, as the audit calls them.
pub const DEVICE: &str = "device";

/// One line of a list.
#[derive(Debug, Clone, Serialize)]
pub struct Listed {
    /// The device.
    pub device: DeviceId,
    /// What it counts as.
    pub standing: Standing,
    /// Its product.
    pub product: String,
    /// Its hardware revision.
    pub hardware: String,
    /// Its early groups.
    pub labels: Vec<String>,
    /// The release that it said it runs.
    pub version: Option<String>,
    /// When it was last heard of.
    pub last_seen: Timestamp,
    /// What was odd.
    pub flags: Vec<Flag>,
}

/// Which devices to list.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Of this product only.
    pub product: Option<String>,
    /// Of this standing only.
    pub standing: Option<Standing>,
    /// Only those with something odd.
    pub flagged: bool,
    /// Whom the maker's lists revoke.
    pub by_maker: ByMaker,
}

/// A page of a list.
#[derive(Debug, Clone, Default)]
pub struct Page {
    /// The devices, by id.
    pub devices: Vec<Listed>,
    /// The id to go on after, where there may be more.
    pub next: Option<DeviceId>,
    /// Among them, those of whom nothing can be said, as their rows can't be read: their keys, in readable form.
    pub damaged: Vec<String>,
}

/// Up to `limit` devices after `after`, by id.
///
/// # Errors
/// [`StoreError`]; a row that can't be read is told in its page and passed over.
pub fn list(
    store: &dyn Store,
    filter: &Filter,
    after: Option<&DeviceId>,
    limit: usize,
) -> Result<Page, StoreError> {
    let mut found = Page::default();
    let mut last = after.map(|device| device.as_str().as_bytes().to_vec());
    let mut known = after.cloned();
    loop {
        let page = store.scan(Space::Devices, last.as_deref(), ROWS)?;
        let whole = page.len() < ROWS;
        for (key, value) in page {
            if found.devices.len() == limit {
                found.next = known;
                return Ok(found);
            }
            match (id(&key), Row::decode(&value)) {
                (Some(device), Ok(row)) => {
                    let standing = filter.by_maker.standing(&row);
                    if filter.takes(&row, standing) {
                        found.devices.push(listed(device.clone(), &row, standing));
                    }
                    known = Some(device);
                }
                (device, _) => {
                    // A page has no more of them than of devices.
                    if found.damaged.len() < limit {
                        found.damaged.push(key.escape_ascii().to_string());
                    }
                    known = device.or(known);
                }
            }
            last = Some(key);
        }
        if whole {
            return Ok(found);
        }
    }
}

/// Everything that is held on a device: what its owner may ask for.
#[derive(Debug, Clone, Serialize)]
pub struct Held {
    /// The device.
    pub device: DeviceId,
    /// What it counts as.
    pub standing: Standing,
    /// Its maker's list revokes it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub revoked_by_maker: bool,
    /// Its row.
    #[serde(flatten)]
    pub row: Row,
    /// Its reports, the newest first.
    pub events: Vec<HeldEvent>,
    /// Among these, reports that can't be read.
    #[serde(skip_serializing_if = "is_none")]
    pub damaged: u64,
    /// Where there are earlier ones than are shown: what `before` is for the next page.
    pub next: Option<Cursor>,
}

/// Where a device's reports are gone on from, written `EPOCH.SEQUENCE`: by its place, so that what comes meanwhile moves
/// nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    /// In which of its enrolments.
    pub epoch: u32,
    /// The report's number.
    pub sequence: u64,
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.epoch, self.sequence)
    }
}

impl FromStr for Cursor {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = "a place among reports is written EPOCH.SEQUENCE, as in 1.42";
        let (epoch, sequence) = text.split_once('.').ok_or(wrong)?;
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if !digits(epoch) || !digits(sequence) {
            return Err(wrong);
        }
        Ok(Self { epoch: epoch.parse().map_err(|_| wrong)?, sequence: sequence.parse().map_err(|_| wrong)? })
    }
}

impl Held {
    /// The same, with what the maker's lists say.
    #[must_use]
    pub fn with(mut self, by_maker: &ByMaker) -> Self {
        self.revoked_by_maker = by_maker.revokes(&self.row);
        self.standing = by_maker.standing(&self.row);
        self
    }
}

impl Serialize for Cursor {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

fn is_none(count: &u64) -> bool {
    *count == 0
}

/// One report of a device.
#[derive(Debug, Clone, Serialize)]
pub struct HeldEvent {
    /// In which of its enrolments.
    pub epoch: u32,
    /// Its number.
    pub sequence: u64,
    /// What it said.
    #[serde(flatten)]
    pub event: Event,
}

/// What is held on a device, with up to `limit` of its reports, the newest of those before `before`; `None` where it isn't
/// known.
///
/// # Errors
/// [`StoreError`], also where its row can't be read; a report that can't be is counted and passed over.
pub fn show(
    store: &dyn Store,
    device: &DeviceId,
    before: Option<Cursor>,
    limit: usize,
) -> Result<Option<Held>, StoreError> {
    let Some(row) = row(store, device)? else { return Ok(None) };
    let before = before.map(|before| Event::key(device, before.epoch, before.sequence));
    let prefix = Event::prefix(device);
    let pairs = store.scan_back(Space::Reports, &prefix, before.as_deref(), limit.saturating_add(1))?;
    let more = pairs.len() > limit;
    let pairs = &pairs[..pairs.len().min(limit)];
    let events: Vec<HeldEvent> = pairs.iter().filter_map(|(key, value)| held_event(key, value)).collect();
    let last = pairs.last().and_then(|(key, _)| Event::place(key).ok());
    Ok(Some(Held {
        device: device.clone(),
        standing: row.standing(),
        revoked_by_maker: false,
        row,
        damaged: (pairs.len() - events.len()) as u64,
        next: last.filter(|_| more).map(|(epoch, sequence)| Cursor { epoch, sequence }),
        events,
    }))
}

/// A device's row.
///
/// # Errors
/// [`StoreError`].
pub fn row(store: &dyn Store, device: &DeviceId) -> Result<Option<Row>, StoreError> {
    let key = device.as_str().as_bytes();
    store.get(Space::Devices, key)?.map(|value| decode(key, &value)).transpose()
}

/// Whether an event of a device speaks for or against a release.
///
/// # Errors
/// Why it doesn't, in words.
pub fn evidence(event: &Event, row: &Row) -> Result<(), &'static str> {
    match row.standing() {
        _ if event.lab => Err("it was told in lab mode, where anybody may say anything"),
        Standing::Lab => Err("the device is known in lab mode only"),
        Standing::Revoked => Err("the device is revoked"),
        Standing::Quarantined => Err("the device's identity seems to have been copied"),
        Standing::Enrolled if event.flags.contains(&Flag::ImpossibleVersion) => {
            Err("it is of a release that this server doesn't know for such a device")
        }
        Standing::Enrolled => Ok(()),
    }
}

/// Why a device isn't updating, as far as the server knows: the reasons, the most weighty first; empty where nothing
/// speaks against it.
pub fn explain(held: &Held, releases: &Releases, now: Timestamp) -> Vec<String> {
    let row = &held.row;
    let mut why = Vec::new();
    if let Some(revoked) = &row.revoked {
        why.push(format!("it was revoked at {} by {}: {}", revoked.at, revoked.by, revoked.why));
    }
    if held.revoked_by_maker {
        why.push("it is revoked by the maker's list, which names its factory certificate: nothing of the fleet plane opens for it".into());
    }
    if let Some(quarantine) = Quarantine::of(&held.device, row) {
        why.push(format!("quarantined, which stops no update: {}", quarantine.means));
        why.extend(quarantine.evidence.iter().map(|evidence| format!("quarantined: {evidence}")));
    }
    if let Some(fleet) = row.fleet.as_ref().filter(|fleet| fleet.not_after < now) {
        why.push(format!("its certificate expired at {}, and it didn't renew it", fleet.not_after));
    }
    let silent = (now.unix() - row.last_seen.unix()) / 86_400;
    if silent >= 3 && row.was_heard() {
        why.push(format!("it was last heard of {silent} days ago, at {}", row.last_seen));
    }
    match &row.check_in {
        None => why.push("it never checked in".into()),
        Some(last) => {
            let judge = |it| releases.possible(it, &last.version, &row.product, &row.hardware);
            match last.manifest.as_ref().map(judge) {
                Some(Possible::No) => why.push(format!(
                    "it says that it runs {}, with a manifest that this server never published under that version for it",
                    last.version
                )),
                Some(Possible::Unknowable) if releases.unreadable() > 0 => why.push(format!(
                    "whether it runs a release of this server can't be said: {} of its generations or manifests can't be read",
                    releases.unreadable()
                )),
                _ => {}
            }
        }
    }
    for flag in [Flag::ClockAhead, Flag::ClockBehind] {
        if let Some(marked) = row.flags.get(&flag) {
            why.push(format!("{flag}: its clock was off by more than a day, last at {}", marked.last));
        }
    }
    let bad = |outcome| matches!(outcome, Outcome::Failed | Outcome::RolledBack);
    if let Some(last) = held.events.first().filter(|last| bad(last.event.outcome)) {
        let event = &last.event;
        let code = event.failure.map_or_else(
            || "no code".into(),
            |code| format!("{}: {}", code.number(), code.text().trim_end_matches('.')),
        );
        let detail = if event.detail.is_empty() { String::new() } else { format!(", {}", event.detail) };
        why.push(format!(
            "its last report is that {} failed ({code}) at {}{detail}; of one and the same release it tries that again after a growing time, three times at most",
            event.version, event.at
        ));
    }
    why
}

/// Revokes a device: nothing of the fleet plane opens for it any more. Audited with the device's id, as somebody must be
/// able to answer for it. `false` where it was revoked before; `None` where it isn't known, unless also an `unknown` one is
/// to be revoked: then that is all that is kept of it, and it can't enrol.
///
/// # Errors
/// [`StoreError`].
pub fn revoke(
    store: &dyn Store,
    device: &DeviceId,
    by: &str,
    why: &str,
    unknown: bool,
    now: Timestamp,
) -> Result<Option<bool>, StoreError> {
    let key = device.as_str();
    loop {
        let before = store.get(Space::Devices, key.as_bytes())?;
        let mut row = match &before {
            Some(before) => decode(key.as_bytes(), before)?,
            None if unknown => Row::unheard(now).map_err(|error| StoreError::Corrupt(error.to_string()))?,
            None => return Ok(None),
        };
        if row.revoked.is_some() {
            return Ok(Some(false));
        }
        row.revoked = Some(Revoked { at: now, by: by.into(), why: why.into() });
        let batch = Batch::new().expect(Space::Devices, key, before).put(Space::Devices, key, row.encode());
        let batch = batch.urgent(true);
        let detail = [("device", key.to_owned()), ("why", why.to_owned())];
        match audit::commit(store, &batch, &audit::Event::new(now, by, "device.revoked", &detail)) {
            Ok(_) => return Ok(Some(true)),
            // It reported at that moment.
            Err(StoreError::Changed(_)) => {}
            Err(error) => return Err(error),
        }
    }
}

/// Lifts a device's quarantine: what spoke for a copied identity is taken off its row, and its next check-in begins a new
/// chain of tickets. Audited with the device's id and with what was taken off. `false` where nothing was to be lifted;
/// `None` where the device isn't known.
///
/// # Errors
/// [`StoreError`].
pub fn lift(
    store: &dyn Store,
    device: &DeviceId,
    by: &str,
    why: &str,
    now: Timestamp,
) -> Result<Option<bool>, StoreError> {
    let key = device.as_str();
    loop {
        let Some(before) = store.get(Space::Devices, key.as_bytes())? else { return Ok(None) };
        let mut row = decode(key.as_bytes(), &before)?;
        if row.flags.keys().all(|flag| !flag.is_of_a_clone()) {
            return Ok(Some(false));
        }
        let lifted = row.lift().join(" ");
        let batch =
            Batch::new().expect(Space::Devices, key, Some(before)).put(Space::Devices, key, row.encode());
        let detail = [("device", key.to_owned()), ("why", why.to_owned()), ("flags", lifted)];
        match audit::commit(store, &batch, &audit::Event::new(now, by, "device.lifted", &detail)) {
            Ok(_) => return Ok(Some(true)),
            // It reported at that moment.
            Err(StoreError::Changed(_)) => {}
            Err(error) => return Err(error),
        }
    }
}

impl Filter {
    fn takes(&self, row: &Row, of: Standing) -> bool {
        self.product.as_deref().is_none_or(|product| product == row.product.as_str())
            && self.standing.is_none_or(|standing| standing == of)
            && (!self.flagged || !row.flags.is_empty())
    }
}

fn listed(device: DeviceId, row: &Row, standing: Standing) -> Listed {
    Listed {
        device,
        standing,
        product: row.product.to_string(),
        hardware: row.hardware.to_string(),
        labels: row.labels.iter().map(ToString::to_string).collect(),
        version: row.check_in.as_ref().map(|last| last.version.to_string()),
        last_seen: row.last_seen,
        flags: row.flags.keys().copied().collect(),
    }
}

fn held_event(key: &[u8], value: &[u8]) -> Option<HeldEvent> {
    let (epoch, sequence) = Event::place(key).ok()?;
    Some(HeldEvent { epoch, sequence, event: Event::decode(value).ok()? })
}

pub(crate) fn id(key: &[u8]) -> Option<DeviceId> {
    std::str::from_utf8(key).ok().and_then(|text| text.parse().ok())
}

fn decode(key: &[u8], value: &[u8]) -> Result<Row, StoreError> {
    Row::decode(value)
        .map_err(|error| StoreError::Corrupt(format!("devices/{}: {error}", key.escape_ascii())))
}
