//! What is kept of a report: when it came, what is odd about it, and what it says. Written once and never changed.

use super::bytes::{Decoder, Encoder, Unreadable};
use perennial_schemas::fleet::{DeviceId, Flag};
use perennial_schemas::report::{FailureCode, Outcome, Report};
use perennial_schemas::{HardwareName, ProductName, ReleaseVersion, Sha256Digest, Timestamp};
use serde::Serialize;
use std::collections::BTreeSet;

const VERSION: u8 = 1;
const LAB: u8 = 1;

/// One report as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Event {
    /// The server's clock when it came, in whole seconds.
    pub received: Timestamp,
    /// True when it came in lab mode: never evidence.
    pub lab: bool,
    /// What is odd about it.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub flags: BTreeSet<Flag>,
    /// The device's clock when it happened.
    pub at: Timestamp,
    /// What happened.
    pub outcome: Outcome,
    /// What failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<FailureCode>,
    /// The release.
    pub version: ReleaseVersion,
    /// SHA-256 of its manifest.
    pub manifest: Sha256Digest,
    /// The product.
    pub product: ProductName,
    /// The hardware revision.
    pub hardware: HardwareName,
    /// A short text for people.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub detail: String,
}

impl Event {
    /// The key of a device's event: id, a zero byte, epoch, sequence. The zero keeps the events of `a` apart from those of
    /// `ab`: no id holds one.
    pub fn key(device: &DeviceId, epoch: u32, sequence: u64) -> Vec<u8> {
        let mut key = Self::prefix(device);
        key.extend_from_slice(&epoch.to_be_bytes());
        key.extend_from_slice(&sequence.to_be_bytes());
        key
    }

    /// What the keys of all of a device's events begin with.
    pub fn prefix(device: &DeviceId) -> Vec<u8> {
        let mut key = Vec::with_capacity(device.as_str().len() + 13);
        key.extend_from_slice(device.as_str().as_bytes());
        key.push(0);
        key
    }

    /// Epoch and sequence of a key.
    ///
    /// # Errors
    /// [`Unreadable`] where it is none.
    pub fn place(key: &[u8]) -> Result<(u32, u64), Unreadable> {
        let wrong = Unreadable("key");
        let (rest, sequence) = key.split_last_chunk::<8>().ok_or(wrong)?;
        let (_, epoch) = rest.split_last_chunk::<4>().ok_or(wrong)?;
        Ok((u32::from_be_bytes(*epoch), u64::from_be_bytes(*sequence)))
    }

    /// A record of `content`, which [`content`] made.
    pub(crate) fn record(received: Timestamp, lab: bool, flags: &[Flag], content: &[u8]) -> Vec<u8> {
        let mut record = Encoder::with_version(VERSION);
        let flags = flags.iter().fold(0, |bits, flag| bits | 1 << flag_number(*flag));
        record.signed(received.unix()).byte(if lab { LAB } else { 0 }).number(flags).fixed(content);
        record.finish()
    }

    /// What a record holds of the report itself: equal where the same report was sent again.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub(crate) fn content_of(record: &[u8]) -> Result<&[u8], Unreadable> {
        let mut decoder = Decoder::of(record, VERSION)?;
        decoder.signed("time")?;
        decoder.byte("marks")?;
        decoder.number("flags")?;
        Ok(decoder.rest())
    }

    /// When a record was received, without reading the rest of it.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub(crate) fn received(record: &[u8]) -> Result<Timestamp, Unreadable> {
        Ok(Timestamp::from_unix(Decoder::of(record, VERSION)?.signed("time")?))
    }

    /// Reads a record.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub fn decode(record: &[u8]) -> Result<Self, Unreadable> {
        let mut decoder = Decoder::of(record, VERSION)?;
        let received = Timestamp::from_unix(decoder.signed("time")?);
        let lab = decoder.byte("marks")? & LAB != 0;
        let bits = decoder.number("flags")?;
        let event = Self {
            received,
            lab,
            flags: Flag::ALL.iter().copied().filter(|flag| bits >> flag_number(*flag) & 1 == 1).collect(),
            at: Timestamp::from_unix(decoder.signed("clock")?),
            outcome: outcome_of(decoder.byte("outcome")?),
            failure: match decoder.small("failure")? {
                0 => None,
                number => Some(u16::try_from(number).map_err(|_| Unreadable("failure"))?.into()),
            },
            version: decoder.name("release")?,
            manifest: Sha256Digest(decoder.fixed("manifest")?),
            product: decoder.name("product")?,
            hardware: decoder.name("hardware")?,
            detail: decoder.text("detail")?.to_owned(),
        };
        decoder.end()?;
        Ok(event)
    }
}

/// What a report says, in the compact encoding.
pub(crate) fn content(report: &Report) -> Vec<u8> {
    let mut content = Encoder::with_room(160 + report.detail.len());
    content
        .signed(report.at.unix())
        .byte(outcome_number(report.outcome))
        .number(report.failure.map_or(0, |failure| failure.number().into()))
        .text(report.version.as_str())
        .fixed(report.manifest.as_bytes())
        .text(report.product.as_str())
        .text(report.hardware.as_str())
        .text(&report.detail);
    content.finish()
}

/// A flag's number on disk; never changed once released.
pub(crate) const fn flag_number(flag: Flag) -> u8 {
    match flag {
        Flag::Unknown => 0,
        Flag::SequenceForked => 1,
        Flag::TicketForked => 2,
        Flag::SupersededCertificate => 3,
        Flag::ImpossibleVersion => 4,
        Flag::ClockAhead => 5,
        Flag::ClockBehind => 6,
        Flag::Replayed => 7,
    }
}

/// An outcome's number on disk; never changed once released.
const fn outcome_number(outcome: Outcome) -> u8 {
    match outcome {
        Outcome::Unknown => 0,
        Outcome::Started => 1,
        Outcome::Installed => 2,
        Outcome::Confirmed => 3,
        Outcome::Failed => 4,
        Outcome::RolledBack => 5,
        Outcome::DeltaFailed => 6,
    }
}

fn outcome_of(number: u8) -> Outcome {
    const ALL: [Outcome; 6] = [
        Outcome::Started,
        Outcome::Installed,
        Outcome::Confirmed,
        Outcome::Failed,
        Outcome::RolledBack,
        Outcome::DeltaFailed,
    ];
    ALL.into_iter().find(|outcome| outcome_number(*outcome) == number).unwrap_or(Outcome::Unknown)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        serde_json::from_value(serde_json::json!({
            "format": "perennial.report/1", "requires": [], "device": "d-1", "sequence": 7, "at": "2026-11-22T10:00:00Z",
            "product": "thermostat", "hardware": "revC", "version": "2.1.0", "manifest": "ab".repeat(32),
            "outcome": "rolled-back", "failure": 501, "detail": "it was not healthy: é",
        }))
        .unwrap()
    }

    #[test]
    fn a_report_is_kept_whole_and_its_content_compares() {
        let report = report();
        let (now, content) = (Timestamp::from_unix(1_800_000_000), content(&report));
        let record = Event::record(now, true, &[Flag::ClockAhead, Flag::ImpossibleVersion], &content);
        let event = Event::decode(&record).unwrap();
        assert_eq!(event.flags, BTreeSet::from([Flag::ClockAhead, Flag::ImpossibleVersion]));
        assert!(event.lab && event.received == now && Event::received(&record) == Ok(now));
        assert_eq!((event.at, event.outcome, event.failure), (report.at, report.outcome, report.failure));
        assert_eq!((&event.version, &event.manifest), (&report.version, &report.manifest));
        assert_eq!((&event.product, &event.hardware), (&report.product, &report.hardware));
        assert_eq!(event.detail, report.detail);
        assert_eq!(Event::content_of(&record), Ok(&content[..]));
        for length in 0..record.len() {
            assert!(Event::decode(&record[..length]).is_err());
        }
    }

    #[test]
    fn the_keys_of_one_device_are_no_beginning_of_anothers() {
        let (a, ab): (DeviceId, DeviceId) = ("a".parse().unwrap(), "ab".parse().unwrap());
        assert!(!Event::key(&ab, 1, 1).starts_with(&Event::prefix(&a)));
        assert!(
            Event::key(&a, 1, 255) < Event::key(&a, 1, 256) && Event::key(&a, 1, 256) < Event::key(&a, 2, 1)
        );
        assert_eq!(Event::place(&Event::key(&a, 3, u64::MAX)), Ok((3, u64::MAX)));
        assert!(Event::place(b"a\0\0").is_err());
    }
}
