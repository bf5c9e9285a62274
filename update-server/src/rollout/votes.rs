//! Votes on a release: one for each device, the worst outcome wins. What is kept of a vote is a mark under a keyed hash, so that
//! whoever reads the store can't tell whose it is; the counts are sums over marks.

use crate::disk::{self, DiskError};
use crate::fleet::Unreadable;
use crate::fleet::bytes::{Decoder, Encoder};
use crate::keys::KeyError;
use perennial_gate::{Counts, Young};
use perennial_schemas::fleet::DeviceId;
use perennial_schemas::report::{FailureCode, Outcome};
use perennial_schemas::{HardwareName, Sha256Digest, Timestamp};
use ring::hmac;
use serde::{Deserialize, Serialize};
use std::path::Path;
use utoipa::ToSchema;

const VERSION: u8 = 3;
/// Written before it was kept when a device began.
const WITHOUT_BEGAN: u8 = 2;
/// Written before the code was kept.
const WITHOUT_CODE: u8 = 1;
/// More devices than there can be.
const DEVICES: u64 = 1 << 40;
/// Bytes of a mark's key: the manifest, and half of a hash. 2^64 devices could share a release before two marks met.
pub const KEY_LENGTH: usize = 32 + 16;

/// The outcome of a release on a device, from the mildest to the worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Vote {
    /// It was installed while it was held, and not a word of failure was heard: that says nothing.
    Held,
    /// It began, and nothing was heard of how it went.
    Started,
    /// It runs, and was healthy.
    Confirmed,
    /// It could not be installed.
    Failed,
    /// It ran, and the device went back.
    RolledBack,
}

/// What is kept of a device's vote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// The worst outcome so far.
    pub vote: Vote,
    /// The hardware revision.
    pub hardware: HardwareName,
    /// When that outcome was told, by the server's clock in whole seconds.
    pub received: Timestamp,
    /// When the device was first heard of with this release: it began then. Never after `received`.
    pub began: Timestamp,
    /// What failed, where something did and the device said it.
    pub code: Option<FailureCode>,
}

/// How the devices of one hardware revision voted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Votes {
    /// They began, and have not told how it went.
    pub started: u64,
    /// It runs, and was healthy.
    pub confirmed: u64,
    /// It could not be installed.
    pub failed: u64,
    /// It ran, and the device went back.
    pub rolled_back: u64,
    /// Of those that began: not heard of for longer than usual.
    pub missing: u64,
    /// Of those that began: as long ago, and they are heard of.
    #[serde(default)]
    pub late: u64,
    /// Of the late: their owners can't have put it off for so long.
    #[serde(default)]
    pub overdue: u64,
    /// Of all: began so long ago that they would be missing by now, had they fallen silent.
    #[serde(default)]
    pub ripe: u64,
    /// Of no other kind: installed at their owners' word while they should have been held. Only their failures count.
    #[serde(default)]
    pub held: u64,
}

/// The key under which marks are kept: whoever hasn't got it can't tell whose a mark is.
pub struct MarkKey(hmac::Key);

impl Vote {
    /// The vote of a report; `None` where it says nothing of the release.
    pub fn of(outcome: Outcome) -> Option<Self> {
        match outcome {
            Outcome::Started | Outcome::Installed => Some(Self::Started),
            Outcome::Confirmed => Some(Self::Confirmed),
            Outcome::Failed => Some(Self::Failed),
            Outcome::RolledBack => Some(Self::RolledBack),
            Outcome::DeltaFailed | Outcome::Unknown => None,
        }
    }

    /// It is told of as bad.
    pub fn is_bad(self) -> bool {
        self >= Self::Failed
    }

    /// What counts of a device once this is told, beside what is known of it; `held` where it should have been held by now. Who
    /// began before that was let in.
    #[must_use]
    pub fn beside(self, known: Option<Self>, held: bool) -> Self {
        match known {
            _ if self.is_bad() => known.map_or(self, |known| known.max(self)),
            Some(Self::Held) => Self::Held,
            None if held => Self::Held,
            known => known.map_or(self, |known| known.max(self)),
        }
    }

    /// Its number on disk; never changed once released.
    const fn number(self) -> u8 {
        match self {
            Self::Started => 1,
            Self::Confirmed => 2,
            Self::Failed => 3,
            Self::RolledBack => 4,
            Self::Held => 5,
        }
    }
}

impl Mark {
    /// The record.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Encoder::with_version(VERSION);
        out.byte(self.vote.number()).signed(self.received.unix()).text(self.hardware.as_str());
        out.number(self.code.map_or(0, |code| code.number().into()));
        let before = self.received.unix().saturating_sub(self.began.unix());
        out.number(before.clamp(0, u32::MAX.into()) as u64).finish()
    }

    /// Reads a record.
    ///
    /// # Errors
    /// [`Unreadable`], which names the part.
    pub fn decode(record: &[u8]) -> Result<Self, Unreadable> {
        const VOTES: [Vote; 5] = [Vote::Held, Vote::Started, Vote::Confirmed, Vote::Failed, Vote::RolledBack];
        let version =
            record.first().copied().filter(|version| [WITHOUT_CODE, WITHOUT_BEGAN].contains(version));
        let version = version.unwrap_or(VERSION);
        let mut from = Decoder::of(record, version)?;
        let number = from.byte("outcome")?;
        let vote = VOTES.into_iter().find(|vote| vote.number() == number).ok_or(Unreadable("outcome"))?;
        let received = Timestamp::from_unix(from.signed("time")?);
        let hardware = from.name("hardware")?;
        let code = match if version == WITHOUT_CODE { 0 } else { from.small("failure")? } {
            0 => None,
            number => Some(u16::try_from(number).map_err(|_| Unreadable("failure"))?.into()),
        };
        let before = if version == VERSION { from.small("beginning")? } else { 0 };
        let began = received.plus_seconds(-i64::from(before));
        let mark = Self { vote, received, began, hardware, code };
        from.end()?;
        Ok(mark)
    }

    /// The manifest in a mark's key.
    ///
    /// # Errors
    /// [`Unreadable`] where it is none.
    pub fn manifest(key: &[u8]) -> Result<Sha256Digest, Unreadable> {
        let (manifest, _) =
            key.split_first_chunk::<32>().filter(|_| key.len() == KEY_LENGTH).ok_or(Unreadable("key"))?;
        Ok(Sha256Digest(*manifest))
    }
}

impl Votes {
    /// Whether so many devices can be: a count past that was made up, and sums of it would overflow.
    pub fn is_possible(&self) -> bool {
        let Self { started, confirmed, failed, rolled_back, missing, late, overdue, ripe, held } = *self;
        let all = [started, confirmed, failed, rolled_back, missing, late, overdue, ripe, held];
        all.iter().all(|count| *count < DEVICES)
    }

    /// Adds a vote, or takes one away.
    pub(crate) fn change(&mut self, vote: Vote, added: bool) {
        let count = match vote {
            Vote::Held => &mut self.held,
            Vote::Started => &mut self.started,
            Vote::Confirmed => &mut self.confirmed,
            Vote::Failed => &mut self.failed,
            Vote::RolledBack => &mut self.rolled_back,
        };
        *count = if added { *count + 1 } else { count.saturating_sub(1) };
    }

    /// What the gate judges of them, without those that were set aside.
    pub fn counts(&self, aside: &Self) -> Counts {
        Counts {
            confirmed: self.confirmed.saturating_sub(aside.confirmed),
            failed: self.failed.saturating_sub(aside.failed),
            rolled_back: self.rolled_back.saturating_sub(aside.rolled_back),
            missing: self.missing.saturating_sub(aside.missing),
            late: self.late.saturating_sub(aside.late),
            overdue: self.overdue.saturating_sub(aside.overdue),
            ripe: self.ripe.saturating_sub(aside.ripe),
            // Also those that had begun by then: what they tell from now on counts.
            pending: self.started.saturating_sub(self.missing),
            unheard: false,
            young: Young::default(),
        }
    }

    /// Whether these can have been counted among `all`: of one and the same votes there are never fewer than there were, nor
    /// fewer bad ones.
    pub fn is_part_of(&self, all: &Self) -> bool {
        let bad = |votes: &Self| votes.failed + votes.rolled_back;
        let told = |votes: &Self| votes.started + votes.confirmed + bad(votes);
        bad(self) <= bad(all) && told(self) <= told(all)
    }

    /// No device said anything.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl std::ops::AddAssign for Votes {
    fn add_assign(&mut self, other: Self) {
        self.started += other.started;
        self.confirmed += other.confirmed;
        self.failed += other.failed;
        self.rolled_back += other.rolled_back;
        self.missing += other.missing;
        self.late += other.late;
        self.overdue += other.overdue;
        self.ripe += other.ripe;
        self.held += other.held;
    }
}

impl MarkKey {
    /// Of 32 random bytes.
    pub fn new(bytes: &[u8; 32]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, bytes))
    }

    /// Loads the key, and makes it where it isn't there: front ends that share a store share this file too.
    ///
    /// # Errors
    /// [`KeyError::Exposed`] where others can read it, [`KeyError::Marks`] where it isn't 32 bytes.
    pub fn load(path: &Path) -> Result<Self, KeyError> {
        if !disk::exists(path) {
            let random = ring::rand::SystemRandom::new();
            let bytes: [u8; 32] = ring::rand::generate(&random).map_err(|_| KeyError::Random)?.expose();
            disk::replace(path, &bytes, 0o600)?;
        }
        let mode = disk::mode(path)?;
        if mode & 0o077 != 0 {
            return Err(KeyError::Exposed { path: path.into(), mode });
        }
        let bytes: Result<Vec<u8>, DiskError> = disk::read(path, 64);
        let bytes: [u8; 32] = bytes?.try_into().map_err(|_| KeyError::Marks(path.into()))?;
        Ok(Self::new(&bytes))
    }

    /// What tells this key from another, and nothing of it: kept beside the marks.
    pub(crate) fn check(&self) -> Vec<u8> {
        // Shorter than a manifest, so that no mark's hash is over the same.
        hmac::sign(&self.0, b"perennial marks key").as_ref()[..16].to_vec()
    }

    /// The key of a device's mark: the manifest, then 16 bytes of HMAC-SHA256 over manifest and device id. The manifest is in
    /// the hash so that marks of one device on two releases have nothing in common.
    pub fn mark(&self, manifest: &Sha256Digest, device: &DeviceId) -> Vec<u8> {
        let mut hash = hmac::Context::with_key(&self.0);
        hash.update(manifest.as_bytes());
        hash.update(device.as_str().as_bytes());
        let mut key = Vec::with_capacity(KEY_LENGTH);
        key.extend_from_slice(manifest.as_bytes());
        key.extend_from_slice(&hash.sign().as_ref()[..16]);
        key
    }
}

impl std::fmt::Debug for MarkKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MarkKey")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_kept_whole_and_refused_when_it_is_cut_short() {
        let hardware: HardwareName = "revC".parse().unwrap();
        for vote in [Vote::Held, Vote::Started, Vote::Confirmed, Vote::Failed, Vote::RolledBack] {
            let code = vote.is_bad().then_some(FailureCode::Unhealthy);
            let received = Timestamp::from_unix(1_800_000_000);
            let began = received.plus_seconds(-100);
            let mark = Mark { vote, hardware: hardware.clone(), received, began, code };
            let mut record = mark.encode();
            assert_eq!(Mark::decode(&record), Ok(mark.clone()));
            (0..record.len()).for_each(|length| assert!(Mark::decode(&record[..length]).is_err()));
            // As it was written before it was kept when they began, and before there were codes.
            (record[0], _) = (2, record.truncate(record.len() - 1));
            assert_eq!(Mark::decode(&record), Ok(Mark { began: received, ..mark.clone() }));
            (record[0], _) = (1, record.truncate(record.len() - if code.is_some() { 2 } else { 1 }));
            assert_eq!(Mark::decode(&record), Ok(Mark { began: received, code: None, ..mark }));
        }
        assert!(
            Vote::RolledBack > Vote::Failed
                && Vote::Failed > Vote::Confirmed
                && Vote::Confirmed > Vote::Started
        );
    }

    /// Else the first two that fail afterwards would be all that were tried.
    #[test]
    fn who_had_begun_when_evidence_was_set_aside_is_still_under_way() {
        let aside = Votes { started: 8000, failed: 40, ..Votes::default() };
        let counts = Votes { started: 8100, failed: 42, ..Votes::default() }.counts(&aside);
        assert_eq!((counts.pending, counts.failed), (8100, 2));
    }

    #[test]
    fn a_marks_key_is_made_once_for_its_owner_and_tells_devices_and_releases_apart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("marks.key");
        let (key, again) = (MarkKey::load(&path).unwrap(), MarkKey::load(&path).unwrap());
        let (one, other) = (Sha256Digest([1; 32]), Sha256Digest([2; 32]));
        let (a, b): (DeviceId, DeviceId) = ("a".parse().unwrap(), "b".parse().unwrap());
        assert_eq!(key.mark(&one, &a), again.mark(&one, &a));
        assert_eq!(Mark::manifest(&key.mark(&one, &a)), Ok(one));
        assert_ne!(key.mark(&one, &a), key.mark(&one, &b));
        assert_ne!(key.mark(&one, &a)[32..], key.mark(&other, &a)[32..]);
        disk::set_mode(&path, 0o640).unwrap();
        assert!(matches!(MarkKey::load(&path), Err(KeyError::Exposed { .. })));
        disk::replace(&path, b"short", 0o600).unwrap();
        assert!(matches!(MarkKey::load(&path), Err(KeyError::Marks(_))));
    }
}
