//! The snapshot role (TUF 5.5): which versions belong together.

use alloc::format;
use alloc::string::ToString;
use alloc::vec::Vec;

use perennial_schemas::crypto::Crypto;
use perennial_schemas::tuf::{MetaFile, Role, Snapshot, TopRole};

use super::TrustError;
use super::checks::{as_listed, current, length_of, not_below, open, signed_by, version_is, versioned};
use super::refresh::{Refresh, Request};

const FILE: &str = "snapshot.json";

impl<C: Crypto> Refresh<'_, C> {
    /// 5.5.1: up to the listed number of bytes, or Y.
    pub(super) fn snapshot_request(&self) -> Result<Request, TrustError> {
        let meta = self.snapshot_meta()?;
        let path = versioned(self.state.root.consistent_snapshot, meta.version, "snapshot");
        let max_length = length_of(&path, meta, self.limits.snapshot_length)?;
        Ok(Request { path, max_length })
    }

    /// Takes the saved snapshot if it passes every check that a fetched one has to pass.
    pub(super) fn reuse_snapshot(&mut self) -> bool {
        let Some(bytes) = self.state.snapshot.take() else { return false };
        let fits = self.check_snapshot(&bytes);
        self.state.snapshot = Some(bytes);
        fits.map(|snapshot| self.set.snapshot = Some(snapshot)).is_ok()
    }

    /// Takes a fetched snapshot.
    pub(super) fn accept_snapshot(&mut self, bytes: Vec<u8>) -> Result<(), TrustError> {
        let snapshot = self.check_snapshot(&bytes)?;
        let versions = snapshot.meta.iter().map(|(name, meta)| (name.clone(), meta.version));
        self.state.floors.roles = versions.collect();
        self.set.snapshot = Some(snapshot);
        // 5.5.7 It is saved next.
        self.state.snapshot = Some(bytes);
        Ok(())
    }

    /// 5.5.2 to 5.5.6.
    fn check_snapshot(&self, bytes: &[u8]) -> Result<perennial_schemas::Verified<Snapshot>, TrustError> {
        let meta = self.snapshot_meta()?;

        // 5.5.2 Mix and match: length and digests as the timestamp lists them.
        as_listed(FILE, bytes, meta, self.crypto)?;

        // 5.5.3 Arbitrary software: a threshold of the root's snapshot keys.
        let authority = self.state.root.authority(TopRole::Snapshot);
        let snapshot = signed_by(FILE, open::<Snapshot>(FILE, bytes)?, &authority, self.crypto)?;

        // 5.5.4 Mix and match: the version that the timestamp lists.
        version_is(FILE, meta.version, snapshot.version())?;

        // 5.5.5 Rollback: every role that was listed stays listed, with no lower version.
        for (name, floor) in &self.state.floors.roles {
            let listed = snapshot.meta.get(name);
            let listed = listed.ok_or_else(|| TrustError::Unlisted { file: name.clone() })?;
            not_below(name, *floor, listed.version)?;
        }

        // 5.5.6 Freeze.
        current(FILE, snapshot.expires(), self.now())?;
        Ok(snapshot)
    }

    /// What the timestamp lists.
    fn snapshot_meta(&self) -> Result<&MetaFile, TrustError> {
        let timestamp = self.set.timestamp.as_ref();
        let meta = timestamp.and_then(|timestamp| timestamp.snapshot());
        meta.ok_or_else(|| TrustError::NotListed { file: FILE.to_string() })
    }

    /// What the snapshot lists of a targets file, `name` without `.json`.
    pub(super) fn listed(&self, name: &str) -> Result<&MetaFile, TrustError> {
        let file = format!("{name}.json");
        let snapshot = self.set.snapshot.as_ref();
        let meta = snapshot.and_then(|snapshot| snapshot.meta.get(&file));
        meta.ok_or(TrustError::NotListed { file })
    }
}
