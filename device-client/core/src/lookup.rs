//! Targets verified from a root on with nothing kept: for whoever checks a maker without being one of its devices.
//!
//! Decides nothing of its own: the same refresh and the same search as a device's.

use alloc::vec::Vec;

use perennial_schemas::crypto::Crypto;
use perennial_schemas::support::Annulment;
use perennial_schemas::{RoleName, TargetPath, Timestamp};

use crate::port::Fetch;
use crate::session::{FromPort, SessionError, read_target};
use crate::trust::{
    DriveError, FoundTarget, Limits, Refresh, StoreError, TrustState, TrustStore, Validity, drive,
};

/// Refreshes that follow each other where more roots were published than one of them walks. Stops a walk without end.
const WALKS: usize = 64;

/// What a maker publishes, as far as it was asked for.
pub struct LookUp<'l, C> {
    fetch: &'l mut dyn Fetch,
    crypto: &'l C,
    refresh: Refresh<'l, C>,
}

/// A target that a role vouches for.
#[derive(Debug, Clone)]
pub struct LookedUp {
    /// Who vouches for it, and until when.
    pub target: FoundTarget,
    /// Its bytes, of that length and digest.
    pub bytes: Vec<u8>,
    /// What the newest root has annulled.
    pub annulments: Vec<Annulment>,
    /// Until when the metadata holds.
    pub validity: Validity,
}

impl<'l, C: Crypto> LookUp<'l, C> {
    /// Fetches the top-level roles, from `root` on.
    ///
    /// # Errors
    /// [`SessionError`].
    pub fn open(
        fetch: &'l mut dyn Fetch,
        root: &[u8],
        now: Timestamp,
        crypto: &'l C,
    ) -> Result<Self, SessionError> {
        let mut state = TrustState::new(root, crypto).map_err(DriveError::Trust)?;
        for _ in 0..WALKS {
            let mut refresh = Refresh::new(state, crypto, now, Limits::default());
            let driven = drive(&mut refresh, &mut FromPort(&mut *fetch), &mut Nowhere);
            if !refresh.stopped_at_root_limit() {
                driven?;
                return Ok(Self { fetch, crypto, refresh });
            }
            state = refresh.into_state();
        }
        Err(SessionError::NotVouchedFor { path: "root.json".into() })
    }

    /// Fetches a target of at most `max_length` bytes, and whatever vouches for it. `None`: no role does.
    ///
    /// # Errors
    /// [`SessionError`].
    pub fn get(&mut self, path: &TargetPath, max_length: u64) -> Result<Option<LookedUp>, SessionError> {
        self.refresh.find(path).map_err(DriveError::Trust)?;
        drive(&mut self.refresh, &mut FromPort(&mut *self.fetch), &mut Nowhere)?;
        let Some(target) = self.refresh.found().cloned() else { return Ok(None) };
        let bytes = read_target(self.fetch, self.crypto, &target, max_length)?;
        let annulments = self.refresh.state().root().annulments.clone();
        Ok(Some(LookedUp { target, bytes, annulments, validity: self.refresh.validity() }))
    }

    /// The paths that a role lists itself, where a search has come to it.
    pub fn listed(&self, role: &RoleName) -> impl Iterator<Item = &str> {
        let top = self.refresh.targets().filter(|_| role.as_str() == "targets");
        let role = self.refresh.delegated(role).or(top);
        role.into_iter().flat_map(|role| role.targets.keys().map(AsRef::as_ref))
    }
}

/// Nothing is kept.
struct Nowhere;

impl TrustStore for Nowhere {
    fn save(&mut self, _: &TrustState) -> Result<(), StoreError> {
        Ok(())
    }
}
