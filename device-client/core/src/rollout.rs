//! What a device keeps of rollouts under way: how far their statuses have come, since when it was held.
//!
//! Decides what is forgotten: a release that its channel offers no more, and the oldest where there are too many. A status'
//! number never falls while its release is offered, so that no old "go on" undoes a halt. A plan names one key, so a manifest
//! stands for both.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use perennial_schemas::rollout::{Admission, Memory, Plan, RolloutStatus};
use perennial_schemas::tuf::Role;
use perennial_schemas::{Sha256Digest, Timestamp};
use serde::{Deserialize, Serialize};

/// Rollouts that are remembered. A product has few in flight.
pub const ROLLOUTS: usize = 16;

/// The rollouts that a device remembers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Rollouts(Vec<Note>);

/// What is remembered of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Note {
    /// SHA-256 of the release's manifest.
    manifest: Sha256Digest,
    /// The greatest number of a status that was taken; 0 before the first.
    #[serde(default)]
    seen: u64,
    /// When that was heard first: a status that is dated ahead lives no longer than one that isn't.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    heard: Option<Timestamp>,
    /// Since when it was held, and has been open again.
    #[serde(default)]
    memory: Memory,
}

/// What lets a device have a release that is rolled out in stages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Admitted {
    /// Until when that counts without another word of the server; `None`: as long as its metadata is valid, since its
    /// signers alone have opened it.
    pub until: Option<Timestamp>,
}

impl Admitted {
    /// Whether that counts at `now`.
    pub fn is_current(&self, now: Timestamp) -> bool {
        self.until.is_none_or(|until| now < until)
    }

    /// Not any more: the server has said so since.
    pub const HELD: Admitted = Admitted { until: Some(Timestamp::EPOCH) };
}

impl Rollouts {
    /// Whether nothing is remembered.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The greatest number of a status of this release that was taken; 0 before the first.
    pub fn seen(&self, manifest: &Sha256Digest) -> u64 {
        self.note(manifest).map_or(0, |note| note.seen)
    }

    /// Since when the device was held.
    pub fn memory(&self, manifest: &Sha256Digest) -> Memory {
        self.note(manifest).map(|note| note.memory).unwrap_or_default()
    }

    /// Until when a status counts that is heard at `now`: until it expires, and for no longer than one may be old since it was
    /// heard first. A server whose clock runs ahead, or a thief, could else give one twice that time.
    pub fn ends(&self, plan: &Plan, status: &RolloutStatus, now: Timestamp) -> Timestamp {
        let note = self.note(&status.manifest).filter(|note| note.seen == status.version());
        let heard = note.and_then(|note| note.heard).map_or(now, |heard| heard.min(now));
        status.expires().min(heard.plus_seconds(plan.status_max_age_seconds as i64))
    }

    /// A status is to be taken at `now`.
    pub(crate) fn saw(&mut self, status: &RolloutStatus, now: Timestamp) {
        let number = status.version();
        self.change(&status.manifest, |note| {
            // A clock that was set back has heard of it by now.
            let again = note.heard.filter(|_| note.seen == number);
            note.heard = Some(again.map_or(now, |heard| heard.min(now)));
            note.seen = note.seen.max(number);
            note.memory.told = Some(status.since);
        });
    }

    /// What an admission leaves behind.
    pub(crate) fn admitted(&mut self, manifest: &Sha256Digest, admission: &Admission, now: Timestamp) {
        let after = self.memory(manifest).after(admission, now);
        self.change(manifest, |note| note.memory = after);
    }

    /// Forgets what is offered no more.
    pub(crate) fn keep(&mut self, offered: &BTreeSet<Sha256Digest>) {
        self.0.retain(|note| offered.contains(&note.manifest));
    }

    fn note(&self, manifest: &Sha256Digest) -> Option<&Note> {
        self.0.iter().find(|note| note.manifest == *manifest)
    }

    /// Leaves no note that says nothing.
    fn change(&mut self, manifest: &Sha256Digest, change: impl FnOnce(&mut Note)) {
        let fresh = Note { manifest: *manifest, seen: 0, heard: None, memory: Memory::default() };
        if let Some(note) = self.0.iter_mut().find(|note| note.manifest == *manifest) {
            return change(note);
        }
        let mut note = fresh;
        change(&mut note);
        if note == fresh {
            return;
        }
        if self.0.len() >= ROLLOUTS {
            self.0.remove(0);
        }
        self.0.push(note);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::String;
    use perennial_schemas::rollout::{RolloutState, Wait};
    use perennial_schemas::tuf::Common;

    fn manifest(n: u8) -> Sha256Digest {
        Sha256Digest([n; 32])
    }

    fn status(release: u8, number: u64) -> RolloutStatus {
        let common = Common::new(RolloutStatus::TYPE, number, Timestamp::from_unix(1000), None);
        RolloutStatus {
            common,
            product: "thermostat".parse().unwrap(),
            manifest: manifest(release),
            key: "k".parse().unwrap(),
            issued: Timestamp::EPOCH,
            open: 0,
            state: RolloutState::Running,
            stopped: Vec::new(),
            since: Timestamp::EPOCH,
            reason: String::new(),
            stopped_reasons: Default::default(),
            audit: String::new(),
        }
    }

    #[test]
    fn a_number_never_falls_and_goes_with_its_release() {
        let mut rollouts = Rollouts::default();
        rollouts.saw(&status(1, 7), Timestamp::EPOCH);
        rollouts.saw(&status(1, 3), Timestamp::EPOCH);
        rollouts.saw(&status(2, 1), Timestamp::EPOCH);
        assert_eq!((rollouts.seen(&manifest(1)), rollouts.seen(&manifest(3))), (7, 0));
        rollouts.keep(&[manifest(1)].into());
        assert_eq!((rollouts.seen(&manifest(1)), rollouts.seen(&manifest(2))), (7, 0));
    }

    #[test]
    fn so_many_are_remembered_and_only_what_says_something() {
        let mut rollouts = Rollouts::default();
        rollouts.admitted(&manifest(0), &Admission::Now, Timestamp::EPOCH);
        let place = Admission::NotBefore { at: Timestamp::EPOCH, wait: Wait::Place };
        rollouts.admitted(&manifest(0), &place, Timestamp::EPOCH);
        assert!(rollouts.is_empty());
        for n in 0..20 {
            rollouts.saw(&status(n, 1), Timestamp::EPOCH);
        }
        assert_eq!(rollouts.0.len(), ROLLOUTS);
        assert_eq!((rollouts.seen(&manifest(3)), rollouts.seen(&manifest(19))), (0, 1));
    }
}
