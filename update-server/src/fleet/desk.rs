//! What people ask of the fleet: which devices there are, what is held on one, why one isn't updating, and to revoke or
//! erase one. Plain functions over the store, for commands and the admin plane; each change is audited with it.

use super::event::Event;
use super::releases::{Possible, Releases};
use super::row::{Revoked, Row, Standing};
use crate::audit;
use crate::store::{Batch, Space, Store, StoreError};
use perennial_schemas::fleet::{AuditMark, DeviceId, Erased, Erasure, Flag};
use perennial_schemas::report::Outcome;
use perennial_schemas::{Document, Sha256Digest, Timestamp};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// Events removed in one commit while a device is erased: at most 8 MB of them are read for that.
const PAGE: usize = 1000;
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
}

/// Up to `limit` devices after `after`, by id, and the id to go on after where there may be more.
///
/// # Errors
/// [`StoreError`].
pub fn list(
    store: &dyn Store,
    filter: &Filter,
    after: Option<&DeviceId>,
    limit: usize,
) -> Result<(Vec<Listed>, Option<DeviceId>), StoreError> {
    let mut found = Vec::new();
    let mut last = after.map(|device| device.as_str().as_bytes().to_vec());
    loop {
        let page = store.scan(Space::Devices, last.as_deref(), ROWS)?;
        let whole = page.len() < ROWS;
        for (key, value) in page {
            if found.len() == limit {
                return Ok((found, last.map(|key| id(&key)).transpose()?));
            }
            let (device, row) = (id(&key)?, decode(&key, &value)?);
            last = Some(key);
            if filter.takes(&row) {
                found.push(listed(device, &row));
            }
        }
        if whole {
            return Ok((found, None));
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
    /// Its row.
    #[serde(flatten)]
    pub row: Row,
    /// Its reports, the newest epoch last.
    pub events: Vec<HeldEvent>,
    /// True where there are more reports than are shown.
    pub more: bool,
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

/// What is held on a device, with up to `limit` of its reports; `None` where it isn't known.
///
/// # Errors
/// [`StoreError`].
pub fn show(store: &dyn Store, device: &DeviceId, limit: usize) -> Result<Option<Held>, StoreError> {
    let Some(row) = row(store, device)? else { return Ok(None) };
    let pairs = store.scan_prefix(Space::Reports, &Event::prefix(device), None, limit.saturating_add(1))?;
    let more = pairs.len() > limit;
    let events =
        pairs.iter().take(limit).map(|(key, value)| held_event(key, value)).collect::<Result<_, _>>()?;
    Ok(Some(Held { device: device.clone(), standing: row.standing(), row, events, more }))
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
    for (flag, marked) in row.flags.iter().filter(|(flag, _)| flag.is_of_a_clone()) {
        why.push(format!("quarantined: {flag}, {} times, last at {}", marked.count, marked.last));
    }
    if let Some(fleet) = row.fleet.as_ref().filter(|fleet| fleet.not_after < now) {
        why.push(format!("its certificate expired at {}, and it didn't renew it", fleet.not_after));
    }
    let silent = (now.unix() - row.last_seen.unix()) / 86_400;
    if silent >= 3 {
        why.push(format!("it was last heard of {silent} days ago, at {}", row.last_seen));
    }
    match &row.check_in {
        None => why.push("it never checked in".into()),
        Some(last) => {
            let possible =
                last.manifest.as_ref().map(|it| releases.possible(it, &row.product, &row.hardware));
            if possible == Some(Possible::No) {
                why.push(format!(
                    "it says that it runs {}, which this server never published for it",
                    last.version
                ));
            }
        }
    }
    for flag in [Flag::ClockAhead, Flag::ClockBehind] {
        if let Some(marked) = row.flags.get(&flag) {
            why.push(format!("{flag}: its clock was off by more than a day, last at {}", marked.last));
        }
    }
    let bad = |outcome| matches!(outcome, Outcome::Failed | Outcome::RolledBack);
    if let Some(last) = held.events.last().filter(|last| bad(last.event.outcome)) {
        let code = last.event.failure.map_or_else(|| "no code".into(), |code| code.number().to_string());
        let event = &last.event;
        why.push(format!(
            "its last report is that {} failed ({code}) at {}: {}",
            event.version, event.at, event.detail
        ));
    }
    why
}

/// Revokes a device: nothing of the fleet plane opens for it any more. Audited with the device's id, as somebody must be
/// able to answer for it. `false` where it isn't known, or was revoked before.
///
/// # Errors
/// [`StoreError`].
pub fn revoke(
    store: &dyn Store,
    device: &DeviceId,
    by: &str,
    why: &str,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let key = device.as_str();
    loop {
        let Some(before) = store.get(Space::Devices, key.as_bytes())? else { return Ok(false) };
        let mut row = decode(key.as_bytes(), &before)?;
        if row.revoked.is_some() {
            return Ok(false);
        }
        row.revoked = Some(Revoked { at: now, by: by.into(), why: why.into() });
        let batch =
            Batch::new().expect(Space::Devices, key, Some(before)).put(Space::Devices, key, row.encode());
        let detail = [("device", key.to_owned()), ("why", why.to_owned())];
        match audit::commit(store, &batch, &audit::Event::new(now, by, "device.revoked", &detail)) {
            Ok(_) => return Ok(true),
            // It reported at that moment.
            Err(StoreError::Changed(_)) => {}
            Err(error) => return Err(error),
        }
    }
}

/// Erases a device: its row, its reports, and by which keys it was known. The audit says that a device was erased and not
/// which. What is revoked stays revoked: of it, the bare revocation is kept. `None` where it isn't known.
///
/// # Errors
/// [`StoreError`]; a part of its reports may be gone then, and asking again erases the rest.
pub fn erase(
    store: &dyn Store,
    device: &DeviceId,
    by: &str,
    now: Timestamp,
) -> Result<Option<Erasure>, StoreError> {
    let (key, prefix) = (device.as_str(), Event::prefix(device));
    let mut reports = 0_u64;
    loop {
        let Some(before) = store.get(Space::Devices, key.as_bytes())? else { return Ok(None) };
        let row = decode(key.as_bytes(), &before)?;
        let events = store.scan_prefix(Space::Reports, &prefix, None, PAGE)?;
        let last = events.len() < PAGE;
        let count = events.len() as u64;
        let batch =
            events.into_iter().fold(Batch::new(), |batch, (key, _)| batch.remove(Space::Reports, key));
        if !last {
            store.commit(batch)?;
            reports += count;
            continue;
        }
        let (batch, keys, kept) =
            forget(store, batch.expect(Space::Devices, key, Some(before)), device, &row)?;
        let detail = [("reports", (reports + count).to_string())];
        match audit::commit(store, &batch, &audit::Event::new(now, by, "device.erased", &detail)) {
            Ok(head) => {
                return Ok(Some(Erasure {
                    format: Erasure::FORMAT.into(),
                    requires: Vec::new(),
                    device: device.clone(),
                    at: now,
                    erased: Erased {
                        reports: reports + count,
                        check_ins: row.check_in.is_some().into(),
                        attributes: row.check_in.map_or(0, |last| last.attributes.len() as u64),
                        keys,
                    },
                    kept,
                    audit: AuditMark { sequence: head.sequence, digest: head.digest },
                }));
            }
            // It reported at that moment: what came is erased too.
            Err(StoreError::Changed(_)) => {}
            Err(error) => return Err(error),
        }
    }
}

/// Takes the row and its keys away, or all of it but the revocation.
fn forget(
    store: &dyn Store,
    mut batch: Batch,
    device: &DeviceId,
    row: &Row,
) -> Result<(Batch, u64, Vec<String>), StoreError> {
    let mut kept = vec![
        "that a device was erased, without saying which: in the audit log, which nobody can change"
            .to_owned(),
        "its votes on releases that are being rolled out, under a key that nobody can trace back to it without this server's: so that it has one vote whatever happens; they go when the release is offered no more".to_owned(),
    ];
    let keys: BTreeSet<&Sha256Digest> = row.keys().collect();
    let count = keys.len() as u64;
    if let Some(revoked) = &row.revoked {
        let mut bare = Row::new(row.product.clone(), row.hardware.clone(), false, revoked.at);
        bare.revoked = Some(revoked.clone());
        bare.factory = row.factory.clone();
        batch = batch.put(Space::Devices, device.as_str(), bare.encode());
        kept.push("that this device is revoked, and its factory key: so that nobody uses it again".into());
        return Ok((batch, count, kept));
    }
    for key in keys {
        if store.get(Space::Keys, key.as_bytes())?.is_some() {
            batch = batch.remove(Space::Keys, *key.as_bytes());
        }
    }
    Ok((batch.remove(Space::Devices, device.as_str()), count, kept))
}

/// How many devices there are, by standing.
///
/// # Errors
/// [`StoreError`].
pub fn count(store: &dyn Store) -> Result<BTreeMap<Standing, u64>, StoreError> {
    let mut counted = BTreeMap::new();
    let mut after: Option<Vec<u8>> = None;
    loop {
        let page = store.scan(Space::Devices, after.as_deref(), ROWS)?;
        for (key, value) in &page {
            *counted.entry(decode(key, value)?.standing()).or_default() += 1;
        }
        match page.into_iter().next_back() {
            Some((key, _)) => after = Some(key),
            None => return Ok(counted),
        }
    }
}

impl Filter {
    fn takes(&self, row: &Row) -> bool {
        self.product.as_deref().is_none_or(|product| product == row.product.as_str())
            && self.standing.is_none_or(|standing| standing == row.standing())
            && (!self.flagged || !row.flags.is_empty())
    }
}

fn listed(device: DeviceId, row: &Row) -> Listed {
    Listed {
        device,
        standing: row.standing(),
        product: row.product.to_string(),
        hardware: row.hardware.to_string(),
        labels: row.labels.iter().map(ToString::to_string).collect(),
        version: row.check_in.as_ref().map(|last| last.version.to_string()),
        last_seen: row.last_seen,
        flags: row.flags.keys().copied().collect(),
    }
}

fn held_event(key: &[u8], value: &[u8]) -> Result<HeldEvent, StoreError> {
    let corrupt = |error| StoreError::Corrupt(format!("reports/{}: {error}", key.escape_ascii()));
    let (epoch, sequence) = Event::place(key).map_err(corrupt)?;
    Ok(HeldEvent { epoch, sequence, event: Event::decode(value).map_err(corrupt)? })
}

fn id(key: &[u8]) -> Result<DeviceId, StoreError> {
    let text = std::str::from_utf8(key).ok().and_then(|text| text.parse().ok());
    text.ok_or_else(|| StoreError::Corrupt(format!("devices/{}", key.escape_ascii())))
}

fn decode(key: &[u8], value: &[u8]) -> Result<Row, StoreError> {
    Row::decode(value)
        .map_err(|error| StoreError::Corrupt(format!("devices/{}: {error}", key.escape_ascii())))
}
