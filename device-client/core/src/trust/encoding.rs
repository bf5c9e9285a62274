//! The trust state as bytes. Unknown bytes are an error, never an absent state: whoever could make a floor vanish by
//! damaging a file could roll the device back.
//!
//! Layout, integers big-endian; a *block* is a u32 length and as many bytes:
//!
//! ```text
//! magic        8   "PNTRUST" and a zero byte
//! layout       u16 1
//! sequence     u64
//! root         block
//! timestamp    u8 0, or u8 1 and a block; likewise snapshot, targets
//! delegated    u32 count, then (name block, file block), names ascending
//! floors       u64 root, u64 timestamp, u64 snapshot, u32 count, then (name block, u64), names ascending
//! checksum     u64 CRC-64/XZ of all bytes before
//! ```

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use perennial_schemas::document::FormatError;
use perennial_schemas::limits::{
    JSON_VALUES, ROOT_LENGTH, SNAPSHOT_LENGTH, TARGETS_LENGTH, TIMESTAMP_LENGTH,
};
use perennial_schemas::tuf::{Role, Root, Snapshot, Targets, TimestampRole};
use perennial_schemas::{RoleName, Signed};

use super::state::{DELEGATED_KEPT, Floors, TrustState};

const MAGIC: &[u8; 8] = b"PNTRUST\0";
const LAYOUT: u16 = 1;
/// A file name in a snapshot. No name, and no number of names, that a snapshot can hold may be unreadable here.
const NAME_LENGTH: u64 = SNAPSHOT_LENGTH;
const NAMES: usize = JSON_VALUES;

/// Why a stored state can't be read. The device then trusts nothing until it is recovered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StateError {
    /// No state of ours at all.
    #[error("this is no trust state")]
    Magic,
    /// Written by a newer version.
    #[error("the trust state has layout {0}, and only layout 1 is known here")]
    Layout(u16),
    /// Torn or altered.
    #[error("the trust state's checksum does not match: it was damaged, or torn while it was written")]
    Checksum,
    /// The checksum fits and the content does not.
    #[error("the trust state is malformed: {0}")]
    Malformed(&'static str),
    /// A stored file can't be read.
    #[error("the trust state holds a file that can't be read")]
    File(#[source] FormatError),
}

impl TrustState {
    /// As bytes, to be saved.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.root_bytes.len() * 2 + 1024);
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&LAYOUT.to_be_bytes());
        put_u64(&mut out, self.sequence);
        put_block(&mut out, &self.root_bytes);
        for file in [&self.timestamp, &self.snapshot, &self.targets] {
            out.push(file.is_some().into());
            if let Some(bytes) = file {
                put_block(&mut out, bytes);
            }
        }
        put_count(&mut out, self.delegated.len());
        for (name, bytes) in &self.delegated {
            put_block(&mut out, name.as_str().as_bytes());
            put_block(&mut out, bytes);
        }
        put_u64(&mut out, self.floors.root);
        put_u64(&mut out, self.floors.timestamp);
        put_u64(&mut out, self.floors.snapshot);
        put_count(&mut out, self.floors.roles.len());
        for (name, version) in &self.floors.roles {
            put_block(&mut out, name.as_bytes());
            put_u64(&mut out, *version);
        }
        let checksum = crc64(&out);
        put_u64(&mut out, checksum);
        out
    }

    /// Back from bytes.
    ///
    /// # Errors
    /// [`StateError`] for anything but what [`TrustState::encode`] wrote.
    pub fn decode(bytes: &[u8]) -> Result<Self, StateError> {
        let mut reader = open(bytes)?;
        let sequence = reader.u64()?;
        let root_bytes = reader.block(ROOT_LENGTH)?.to_vec();
        let root = read_file::<Root>(&root_bytes)?.unverified().clone();
        let timestamp = reader.optional::<TimestampRole>(TIMESTAMP_LENGTH)?;
        let snapshot = reader.optional::<Snapshot>(SNAPSHOT_LENGTH)?;
        let targets = reader.optional::<Targets>(TARGETS_LENGTH)?;
        let delegated = reader.delegated()?;
        let floors = reader.floors()?;
        if !reader.rest.is_empty() {
            return Err(StateError::Malformed("bytes after the end"));
        }
        if floors.root < root.version() {
            return Err(StateError::Malformed("the root is newer than its floor"));
        }
        Ok(Self { sequence, root, root_bytes, timestamp, snapshot, targets, delegated, floors })
    }
}

/// Checks magic, layout and checksum, in the order that gives the clearest message.
fn open(bytes: &[u8]) -> Result<Reader<'_>, StateError> {
    let rest = bytes.strip_prefix(MAGIC).ok_or(StateError::Magic)?;
    let (layout, _) = rest.split_first_chunk::<2>().ok_or(StateError::Checksum)?;
    let layout = u16::from_be_bytes(*layout);
    if layout != LAYOUT {
        return Err(StateError::Layout(layout));
    }
    let (covered, checksum) = bytes.split_last_chunk::<8>().ok_or(StateError::Checksum)?;
    if covered.len() < MAGIC.len() + 2 || crc64(covered) != u64::from_be_bytes(*checksum) {
        return Err(StateError::Checksum);
    }
    Ok(Reader { rest: &covered[MAGIC.len() + 2..] })
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], StateError> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or(StateError::Malformed("it ends early"))?;
        self.rest = rest;
        Ok(*taken)
    }

    fn u64(&mut self) -> Result<u64, StateError> {
        self.take().map(u64::from_be_bytes)
    }

    fn count(&mut self, limit: usize) -> Result<usize, StateError> {
        let count = u32::from_be_bytes(self.take()?) as usize;
        if count <= limit { Ok(count) } else { Err(StateError::Malformed("more entries than its limit")) }
    }

    fn block(&mut self, limit: u64) -> Result<&'a [u8], StateError> {
        let length = u32::from_be_bytes(self.take()?);
        if u64::from(length) > limit {
            return Err(StateError::Malformed("a block longer than its limit"));
        }
        let split = self.rest.split_at_checked(length as usize);
        let (block, rest) = split.ok_or(StateError::Malformed("it ends early"))?;
        self.rest = rest;
        Ok(block)
    }

    fn text(&mut self) -> Result<&'a str, StateError> {
        core::str::from_utf8(self.block(NAME_LENGTH)?).map_err(|_| StateError::Malformed("a name is no text"))
    }

    fn optional<T: Role>(&mut self, limit: u64) -> Result<Option<Vec<u8>>, StateError> {
        match self.take()? {
            [0] => Ok(None),
            [1] => {
                let bytes = self.block(limit)?;
                read_file::<T>(bytes)?;
                Ok(Some(bytes.to_vec()))
            }
            _ => Err(StateError::Malformed("a flag is neither 0 nor 1")),
        }
    }

    fn delegated(&mut self) -> Result<BTreeMap<RoleName, Vec<u8>>, StateError> {
        let mut files = BTreeMap::new();
        for _ in 0..self.count(DELEGATED_KEPT)? {
            let name: RoleName =
                self.text()?.parse().map_err(|_| StateError::Malformed("a name is no role name"))?;
            let bytes = self.block(TARGETS_LENGTH)?;
            read_file::<Targets>(bytes)?;
            ascending(files.last_key_value().map(|(last, _)| last), &name)?;
            files.insert(name, bytes.to_vec());
        }
        Ok(files)
    }

    fn floors(&mut self) -> Result<Floors, StateError> {
        let (root, timestamp, snapshot) = (self.u64()?, self.u64()?, self.u64()?);
        let mut roles: BTreeMap<String, u64> = BTreeMap::new();
        for _ in 0..self.count(NAMES)? {
            let name = String::from(self.text()?);
            let version = self.u64()?;
            ascending(roles.last_key_value().map(|(last, _)| last), &name)?;
            roles.insert(name, version);
        }
        Ok(Floors { root, timestamp, snapshot, roles })
    }
}

fn read_file<T: Role>(bytes: &[u8]) -> Result<Signed<T>, StateError> {
    Signed::parse(bytes).map_err(StateError::File)
}

fn ascending<T: Ord>(last: Option<&T>, next: &T) -> Result<(), StateError> {
    let fits = last.is_none_or(|last| last < next);
    if fits { Ok(()) } else { Err(StateError::Malformed("names are not ascending")) }
}

fn put_u64(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(&value.to_be_bytes());
}

/// Lengths and counts are bounded by the formats' limits, all far below 4 GiB.
fn put_count(out: &mut Vec<u8>, count: usize) {
    out.extend_from_slice(&(count as u32).to_be_bytes());
}

fn put_block(out: &mut Vec<u8>, bytes: &[u8]) {
    put_count(out, bytes.len());
    out.extend_from_slice(bytes);
}

/// CRC-64/XZ (ECMA-182, reflected). Finds torn and decayed records; it is no protection against whoever may write them.
fn crc64(bytes: &[u8]) -> u64 {
    !bytes.iter().fold(!0, |crc, byte| CRC64[usize::from(crc as u8 ^ byte)] ^ (crc >> 8))
}

const CRC64: [u64; 256] = {
    let mut table = [0; 256];
    let mut i = 0;
    while i < 256 {
        let mut crc = i as u64;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0xC96C_5795_D787_0F42 } else { crc >> 1 };
            bit += 1;
        }
        table[i] = crc;
        i += 1;
    }
    table
};
