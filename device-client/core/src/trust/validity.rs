//! Until when a trusted set holds, and what its offline signatures say of the time.
//!
//! A device whose clock is behind learns a lower bound of the time from `signed_at` of root, snapshot, targets and
//! delegated files, all signed offline. The timestamp is signed online and never counts. The bound is read from the
//! files that are trusted now and stored nowhere: a signer's wrong clock is forgotten with the file that it signed, so no
//! device is stranded by it.

use alloc::string::String;
use alloc::vec::Vec;

use perennial_schemas::Timestamp;
use perennial_schemas::tuf::Role;

/// The expiry of each file of a trusted set, and the lower bound of the time that the set gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Validity {
    files: Vec<(String, Timestamp)>,
    offline_until: Option<Timestamp>,
    bound: Timestamp,
}

/// A file's expiry, and its `signed_at` where it was signed offline.
#[derive(Clone)]
pub(super) struct Times {
    pub(super) file: String,
    pub(super) expires: Timestamp,
    pub(super) signed_at: Option<Timestamp>,
    pub(super) is_offline: bool,
}

impl Times {
    pub(super) fn offline(file: &str, role: &impl Role) -> Self {
        let signed_at = role.common().signed_at;
        Self { file: file.into(), expires: role.expires(), signed_at, is_offline: true }
    }

    pub(super) fn online(file: &str, role: &impl Role) -> Self {
        Self { signed_at: None, is_offline: false, ..Self::offline(file, role) }
    }
}

impl Validity {
    pub(super) fn new(files: Vec<Times>) -> Self {
        let earliest = files.iter().map(|times| times.expires).min();
        let bound = files
            .iter()
            .filter_map(|times| times.signed_at)
            // A file that was signed after another of the same set expired contradicts it: a wrong clock somewhere. It
            // is left out, as refusing the set would strand every device for one signer's clock.
            .filter(|signed_at| earliest.is_some_and(|earliest| *signed_at < earliest))
            .max()
            .unwrap_or(Timestamp::EPOCH);
        let offline_until = files.iter().filter(|times| times.is_offline).map(|times| times.expires).min();
        Self {
            offline_until,
            bound,
            files: files.into_iter().map(|times| (times.file, times.expires)).collect(),
        }
    }

    /// The time that counts where the clock says `clock`: never before the newest offline signature.
    pub fn now(&self, clock: Timestamp) -> Timestamp {
        clock.max(self.bound)
    }

    /// The lower bound of the time that the offline signatures give.
    pub fn lower_bound(&self) -> Timestamp {
        self.bound
    }

    /// When the first file of the set expires that is signed offline: until then its signers stand by all of it.
    pub fn offline_until(&self) -> Option<Timestamp> {
        self.offline_until
    }

    /// When the first file of the set expires.
    pub fn earliest(&self) -> Option<(&str, Timestamp)> {
        let first = self.files.iter().min_by_key(|(_, expires)| *expires)?;
        Some((first.0.as_str(), first.1))
    }
}
