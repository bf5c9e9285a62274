//! One copy of a record: what is around its bytes, so that a torn or foreign file is never taken for it.
//!
//! ```text
//! magic "PRNSTORE"      8 bytes
//! layout version = 1    u8
//! record                u8      1 trust, 2 floors, 3 journal
//! reserved = 0          6 bytes
//! sequence              u64 LE  rises by one with each save
//! length of the bytes   u64 LE
//! the bytes
//! SHA-256               32 bytes, of everything before
//! ```

use perennial_device_core::port::Record;

const MAGIC: &[u8; 8] = b"PRNSTORE";
const LAYOUT: u8 = 1;
const HEADER: usize = 32;
const CHECKSUM: usize = 32;
/// Bytes around the record's own.
pub(super) const AROUND: u64 = (HEADER + CHECKSUM) as u64;

pub(super) fn encode(record: Record, sequence: u64, bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len() + HEADER + CHECKSUM);
    out.extend_from_slice(MAGIC);
    out.extend_from_slice(&[LAYOUT, number(record), 0, 0, 0, 0, 0, 0]);
    out.extend_from_slice(&sequence.to_le_bytes());
    out.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
    out.extend_from_slice(bytes);
    let checksum = ring::digest::digest(&ring::digest::SHA256, &out);
    out.extend_from_slice(checksum.as_ref());
    out
}

/// Sequence and bytes of a whole copy; `None` for anything else.
pub(super) fn decode(record: Record, copy: &[u8]) -> Option<(u64, &[u8])> {
    let (before, checksum) = copy.split_at_checked(copy.len().checked_sub(CHECKSUM)?)?;
    let (header, bytes) = before.split_at_checked(HEADER)?;
    let u64_at = |at: usize| u64::from_le_bytes(std::array::from_fn(|i| header[at + i]));
    let ours = &header[..8] == MAGIC
        && header[8..16] == [LAYOUT, number(record), 0, 0, 0, 0, 0, 0]
        && u64_at(24) == bytes.len() as u64
        && ring::digest::digest(&ring::digest::SHA256, before).as_ref() == checksum;
    ours.then(|| (u64_at(16), bytes))
}

fn number(record: Record) -> u8 {
    match record {
        Record::Trust => 1,
        Record::Floors => 2,
        Record::Journal => 3,
    }
}
