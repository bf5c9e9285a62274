//! One target, verified from a root on with nothing kept: for whoever checks a maker without being one of its devices.
//!
//! Decides nothing of its own: the same refresh and the same search as a device's.

use alloc::vec::Vec;

use perennial_schemas::crypto::Crypto;
use perennial_schemas::support::Annulment;
use perennial_schemas::{TargetPath, Timestamp};

use crate::port::Fetch;
use crate::session::{FromPort, SessionError, read_target};
use crate::trust::{
    DriveError, FoundTarget, Limits, Refresh, StoreError, TrustState, TrustStore, Validity, drive,
};

/// Refreshes that follow each other where more roots were published than one of them walks. Stops a walk without end.
const WALKS: usize = 64;

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

/// Fetches a target and everything that vouches for it, from `root` on. `None`: no role vouches for the path.
///
/// # Errors
/// [`SessionError`].
pub fn look_up<C: Crypto>(
    fetch: &mut dyn Fetch,
    root: &[u8],
    path: &TargetPath,
    max_length: u64,
    now: Timestamp,
    crypto: &C,
) -> Result<Option<LookedUp>, SessionError> {
    let mut state = TrustState::new(root, crypto).map_err(DriveError::Trust)?;
    for _ in 0..WALKS {
        let mut refresh = Refresh::new(state, crypto, now, Limits::default());
        let driven = drive(&mut refresh, &mut FromPort(&mut *fetch), &mut Nowhere);
        if refresh.stopped_at_root_limit() {
            state = refresh.into_state();
            continue;
        }
        driven?;
        refresh.find(path).map_err(DriveError::Trust)?;
        drive(&mut refresh, &mut FromPort(&mut *fetch), &mut Nowhere)?;
        let Some(target) = refresh.found().cloned() else { return Ok(None) };
        let bytes = read_target(fetch, crypto, &target, max_length)?;
        let annulments = refresh.state().root().annulments.clone();
        return Ok(Some(LookedUp { target, bytes, annulments, validity: refresh.validity() }));
    }
    Err(SessionError::NotVouchedFor { path: path.as_str().into() })
}

/// Nothing is kept.
struct Nowhere;

impl TrustStore for Nowhere {
    fn save(&mut self, _: &TrustState) -> Result<(), StoreError> {
        Ok(())
    }
}
