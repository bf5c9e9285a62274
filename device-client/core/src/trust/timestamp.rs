//! The timestamp role (TUF 5.4): which snapshot is the latest.

use alloc::vec::Vec;

use perennial_schemas::crypto::Crypto;
use perennial_schemas::tuf::{Role, TimestampRole, TopRole};

use super::TrustError;
use super::checks::{current, not_below, open, signed_by};
use super::refresh::{Refresh, Request};

const FILE: &str = "timestamp.json";

impl<C: Crypto> Refresh<'_, C> {
    /// 5.4.1: up to X bytes, always under its plain name.
    pub(super) fn timestamp_request(&self) -> Request {
        Request { path: FILE.into(), max_length: self.limits.timestamp_length }
    }

    /// Takes a timestamp (5.4.2 to 5.4.5). Says whether it is a new one.
    pub(super) fn accept_timestamp(&mut self, bytes: Vec<u8>) -> Result<bool, TrustError> {
        let root = &self.state.root;
        let authority = root.authority(TopRole::Timestamp);

        // 5.4.2 Arbitrary software: a threshold of the root's timestamp keys.
        let new = signed_by(FILE, open::<TimestampRole>(FILE, &bytes)?, &authority, self.crypto)?;

        // 5.4.3.1 Rollback: not older than the trusted one.
        not_below(FILE, self.state.floors.timestamp, new.version())?;

        // The same version: the trusted one is kept, whatever the new one says, and that is no error. The workflow goes
        // on, as the last one may have ended before it had snapshot and targets.
        if new.version() == self.state.floors.timestamp
            && let Some(trusted) = self.stored_timestamp()
        {
            // 5.4.4 holds for the one that is kept, too.
            current(FILE, trusted.expires(), self.now())?;
            self.set.timestamp = Some(trusted);
            return Ok(false);
        }

        // 5.4.3.2 Rollback: the snapshot that it lists is not older than the one listed before.
        let snapshot = new.snapshot().map_or(0, |meta| meta.version);
        not_below("snapshot.json", self.state.floors.snapshot, snapshot)?;

        // 5.4.4 Freeze.
        current(FILE, new.expires(), self.now())?;

        self.state.floors.timestamp = new.version();
        self.state.floors.snapshot = snapshot;
        self.set.timestamp = Some(new);
        // 5.4.5 It is saved next.
        self.state.timestamp = Some(bytes);
        Ok(true)
    }

    /// The saved timestamp, if the present root's keys still vouch for it. Its expiry does not matter yet: its version
    /// is a floor all the same.
    fn stored_timestamp(&self) -> Option<perennial_schemas::Verified<TimestampRole>> {
        let bytes = self.state.timestamp.as_deref()?;
        let authority = self.state.root.authority(TopRole::Timestamp);
        signed_by(FILE, open(FILE, bytes).ok()?, &authority, self.crypto).ok()
    }
}
