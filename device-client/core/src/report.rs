//! What this device has to tell: outcomes with sequence numbers, kept until somebody has acknowledged them, and then
//! as history.
//!
//! Decides what is kept. Never sends anything.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use perennial_schemas::report::{FailureCode, Outcome, Report};
use perennial_schemas::{ReleaseVersion, Sha256Digest, Timestamp, document::Document};
use serde::{Deserialize, Serialize};

use crate::port::Identity;

/// Entries kept. At about 600 bytes each the journal stays under 128 KiB. Acknowledged ones go first.
pub const REPORTS: usize = 128;
/// The length of a detail, in bytes of UTF-8; longer ones are cut.
pub const DETAIL_LENGTH: usize = 240;

/// The reports of a device.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reports {
    /// The sequence number of the last one; 0 before the first.
    last: u64,
    /// Everything up to this number is acknowledged.
    acknowledged: u64,
    entries: Vec<Entry>,
}

/// One outcome.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Rises by one with each.
    pub sequence: u64,
    /// The device's clock when it happened.
    pub at: Timestamp,
    /// The release.
    pub version: ReleaseVersion,
    /// SHA-256 of its manifest.
    pub manifest: Sha256Digest,
    /// What happened.
    pub outcome: Outcome,
    /// What failed.
    pub failure: Option<FailureCode>,
    /// A short text for people.
    pub detail: String,
}

impl Reports {
    /// Adds an outcome of a release, named by its version and its manifest's digest.
    pub(crate) fn add(
        &mut self,
        at: Timestamp,
        (version, manifest): (&ReleaseVersion, &Sha256Digest),
        outcome: Outcome,
        failure: Option<FailureCode>,
        detail: &str,
    ) {
        self.last += 1;
        let (sequence, version, manifest) = (self.last, version.clone(), *manifest);
        let detail = cut(detail).to_string();
        self.entries.push(Entry { sequence, at, version, manifest, outcome, failure, detail });
        // The oldest goes first, and so an acknowledged one wherever there is one.
        if self.entries.len() > REPORTS {
            self.entries.remove(0);
        }
    }

    /// Everything up to `sequence` has reached the server durably. A number past the last one counts as the last one.
    pub fn acknowledge(&mut self, sequence: u64) {
        self.acknowledged = self.acknowledged.max(sequence.min(self.last));
    }

    /// The sequence number of the last one; 0 before the first.
    pub fn last(&self) -> u64 {
        self.last
    }

    /// Everything up to this number is acknowledged.
    pub fn acknowledged(&self) -> u64 {
        self.acknowledged
    }

    /// What happened, oldest first.
    pub fn history(&self) -> &[Entry] {
        &self.entries
    }

    /// What nobody has acknowledged yet, oldest first.
    pub fn pending(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter().filter(|entry| entry.sequence > self.acknowledged)
    }
}

impl Entry {
    /// As it is sent.
    pub fn to_report(&self, identity: &Identity) -> Report {
        Report {
            format: Report::FORMAT.into(),
            requires: Vec::new(),
            device: identity.device.clone(),
            sequence: self.sequence,
            at: self.at,
            product: identity.product.clone(),
            hardware: identity.hardware.clone(),
            version: self.version.clone(),
            manifest: self.manifest,
            outcome: self.outcome,
            failure: self.failure,
            detail: self.detail.clone(),
        }
    }
}

/// As much of a text as a record keeps.
pub(crate) fn cut(detail: &str) -> &str {
    &detail[..detail.floor_char_boundary(DETAIL_LENGTH)]
}

/// Whether a terminal would obey, or hide, none of somebody's words.
pub fn is_plain(text: &str) -> bool {
    !text.chars().any(hidden)
}

fn hidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// Somebody's words as they are shown on a terminal: up to `most` characters, none of which it would obey, or hide.
pub fn plain(text: &str, most: usize) -> String {
    let mut plain: String = text.chars().map(|c| if hidden(c) { '\u{fffd}' } else { c }).take(most).collect();
    if text.chars().nth(most).is_some() {
        plain.push('…');
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANIFEST: Sha256Digest = Sha256Digest([1; 32]);

    #[test]
    fn reports_are_kept_until_they_are_acknowledged_and_then_as_history() {
        let mut reports = Reports::default();
        let version: ReleaseVersion = "1.0.0".parse().unwrap();
        for _ in 0..3 {
            reports.add(Timestamp::EPOCH, (&version, &MANIFEST), Outcome::Started, None, "");
        }
        reports.acknowledge(2);
        assert_eq!(reports.pending().map(|entry| entry.sequence).collect::<Vec<_>>(), [3]);
        reports.acknowledge(1);
        assert_eq!(reports.pending().count(), 1, "an older acknowledgement takes nothing back");
        reports.acknowledge(99);
        reports.add(Timestamp::EPOCH, (&version, &MANIFEST), Outcome::Confirmed, None, "");
        assert_eq!(reports.pending().map(|entry| entry.sequence).collect::<Vec<_>>(), [4]);
        assert_eq!(reports.history().len(), 4);
    }

    #[test]
    fn the_number_and_length_of_reports_are_bounded() {
        let mut reports = Reports::default();
        let version: ReleaseVersion = "1.0.0".parse().unwrap();
        let long = "é".repeat(DETAIL_LENGTH);
        for _ in 0..2 * REPORTS {
            reports.add(
                Timestamp::EPOCH,
                (&version, &MANIFEST),
                Outcome::Failed,
                Some(FailureCode::NoRoom),
                &long,
            );
        }
        assert_eq!(reports.history().len(), REPORTS);
        assert!(reports.history().iter().all(|entry| entry.detail.len() <= DETAIL_LENGTH));
        assert_eq!(reports.history().last().map(|entry| entry.sequence), Some(2 * REPORTS as u64));
        let text = serde_json::to_vec(&reports).unwrap();
        assert!(text.len() < 128 * 1024, "{}", text.len());
    }
}
