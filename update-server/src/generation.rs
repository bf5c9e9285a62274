//! A generation: everything that one published state of the repository answers, by name and digest. It is committed
//! whole by one write to the store, after all of its content is on the disk; nothing in it changes afterwards.

use crate::blobs::Digest;
use crate::freshness::SnapshotRef;
use crate::store::{Batch, Space, Store, StoreError};
use perennial_schemas::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Names the generation that is served.
pub(crate) const SERVED: &[u8] = b"served";
/// The timestamp that goes with it.
const TIMESTAMP: &[u8] = b"timestamp";
/// The device core's trust state after it.
const TRUST: &[u8] = b"trust";

/// One generation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Generation {
    /// Counts from 1.
    pub number: u64,
    /// When it was taken in.
    pub created: Timestamp,
    /// Who sent it, as the audit calls them.
    #[serde(default)]
    pub by: String,
    /// Its snapshot.
    pub snapshot: SnapshotRef,
    /// True when an offline key signed its timestamp, and this server's can't renew it.
    pub offline_timestamp: bool,
    /// Every file by its path, `metadata/…` or `targets/…`.
    pub files: BTreeMap<String, FileRef>,
    /// When each role's metadata expires.
    pub expiries: BTreeMap<String, Timestamp>,
    /// Paths of the support records by product.
    pub support: BTreeMap<String, String>,
}

/// A file's content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileRef {
    /// Length in bytes.
    pub length: u64,
    /// Digest.
    pub sha256: Digest,
}

/// What is served: a generation with its timestamp.
#[derive(Debug, Clone)]
pub struct Served {
    /// The generation.
    pub generation: Generation,
    /// Its timestamp file.
    pub timestamp: Vec<u8>,
}

/// The generation that is served, `None` before the first.
///
/// # Errors
/// [`StoreError`] when it can't be read.
pub fn served(store: &dyn Store) -> Result<Option<Served>, StoreError> {
    let Some(key) = store.get(Space::Meta, SERVED)? else { return Ok(None) };
    let generation = load(store, &key)?.ok_or_else(|| StoreError::Corrupt("meta/served".into()))?;
    let timestamp =
        store.get(Space::Meta, TIMESTAMP)?.ok_or_else(|| StoreError::Corrupt("meta/timestamp".into()))?;
    Ok(Some(Served { generation, timestamp }))
}

/// A generation by its number.
///
/// # Errors
/// [`StoreError`] when it can't be read.
pub fn numbered(store: &dyn Store, number: u64) -> Result<Option<Generation>, StoreError> {
    load(store, &number.to_be_bytes())
}

/// The first generation after number `after`.
///
/// # Errors
/// [`StoreError`] when it can't be read.
pub fn next(store: &dyn Store, after: Option<u64>) -> Result<Option<Generation>, StoreError> {
    let after = after.map(u64::to_be_bytes);
    let found = store.scan(Space::Generations, after.as_ref().map(<[u8; 8]>::as_slice), 1)?;
    found.first().map(|(key, value)| parse(key, value)).transpose()
}

/// A generation's number, and what it holds, if that can be read.
pub type Looked = (u64, Result<Generation, StoreError>);

/// The first generation after number `after`, also where it can't be read.
///
/// # Errors
/// [`StoreError`] when the store can't be read.
pub fn look(store: &dyn Store, after: Option<u64>) -> Result<Option<Looked>, StoreError> {
    let after = after.map(u64::to_be_bytes);
    let found = store.scan(Space::Generations, after.as_ref().map(<[u8; 8]>::as_slice), 1)?;
    let Some((key, value)) = found.first() else { return Ok(None) };
    let number = key.as_slice().try_into().map(u64::from_be_bytes);
    let number = number.map_err(|_| StoreError::Corrupt(format!("generations/{}", key.escape_ascii())))?;
    Ok(Some((number, parse(key, value))))
}

/// The trust state that the device's core reached with the generation that is served.
///
/// # Errors
/// [`StoreError`] when it can't be read.
pub fn trust(store: &dyn Store) -> Result<Option<Vec<u8>>, StoreError> {
    store.get(Space::Meta, TRUST)
}

/// A batch that makes `generation` the served one, with its timestamp and trust state, on the condition that
/// `previous` is served until then.
///
/// # Errors
/// [`StoreError::Corrupt`] when it can't be written down, which its types exclude.
pub fn publish(
    previous: Option<u64>,
    generation: &Generation,
    timestamp: &[u8],
    trust: &[u8],
) -> Result<Batch, StoreError> {
    let key = generation.number.to_be_bytes();
    let value = serde_json::to_vec(generation).map_err(|error| StoreError::Corrupt(error.to_string()))?;
    Ok(Batch::new()
        .expect(Space::Meta, SERVED, previous.map(|number| number.to_be_bytes().to_vec()))
        .put(Space::Generations, key, value)
        .put(Space::Meta, TIMESTAMP, timestamp)
        .put(Space::Meta, TRUST, trust)
        .put(Space::Meta, SERVED, key))
}

/// A batch that replaces the timestamp of the served generation, on the condition that both are still the same.
pub fn refresh(served: &Served, timestamp: &[u8]) -> Batch {
    let number = served.generation.number.to_be_bytes().to_vec();
    Batch::new()
        .expect(Space::Meta, SERVED, Some(number))
        .expect(Space::Meta, TIMESTAMP, Some(served.timestamp.clone()))
        .put(Space::Meta, TIMESTAMP, timestamp)
}

fn load(store: &dyn Store, key: &[u8]) -> Result<Option<Generation>, StoreError> {
    store.get(Space::Generations, key)?.map(|value| parse(key, &value)).transpose()
}

pub(crate) fn parse(key: &[u8], value: &[u8]) -> Result<Generation, StoreError> {
    let corrupt = |error: serde_json::Error| {
        StoreError::Corrupt(format!("generations/{}: {error}", key.escape_ascii()))
    };
    serde_json::from_slice(value).map_err(corrupt)
}
