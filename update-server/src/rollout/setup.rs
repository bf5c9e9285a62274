//! An engine over a state folder: for a running server, and for commands while none runs. Front ends that share a store share
//! the key of its votes; one with another key doesn't start.

use super::ballot::Ballot;
use super::engine::{Engine, Means};
use super::figures::Figures;
use super::offers::Board;
use super::votes::MarkKey;
use crate::audit::{self, Event};
use crate::config::Config;
use crate::keys::{FileKey, KeyError, OnlineKey};
use crate::site::Caching;
use crate::state::State;
use crate::store::{Batch, Space, Store, StoreError};
use perennial_schemas::Timestamp;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// How long caches keep a rollout's status, at most: a halt should be heard of soon.
const FRESH: Duration = Duration::from_secs(30);

/// Which key the votes in a store are kept under.
const MARKS: &[u8] = b"marks-key";

/// Why a state has no engine.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// A key can't be used.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A device would have a vote under each key.
    #[error("{path} isn't the key that the votes in this store are kept under", path = .0.display())]
    OtherMarks(PathBuf),
}

impl SetupError {
    /// What to do about it.
    pub fn hint(&self) -> String {
        match self {
            Self::Key(KeyError::Exposed { path, .. }) => {
                format!("make it its owner's alone: chmod 600 {}", path.display())
            }
            Self::Key(_) => {
                "bring STATE/keys/rollout.key back from the backup, devices take no other for the plans that name it; on a new server perennial-server init makes it".into()
            }
            Self::Store(error) => error.hint().unwrap_or("look at the store, then try again").into(),
            Self::OtherMarks(_) => {
                "copy keys/marks.key from a front end of this store, or from a backup; is it lost for good: perennial-server rollout replace-marks-key --devices-may-vote-twice".into()
            }
        }
    }
}

/// What somebody wants of an engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// To serve: the first server notes in the store which key the votes are kept under.
    Serve,
    /// To change a rollout.
    Steer,
    /// To look, which needs no votes of its own: also with another key than theirs.
    Look,
}

/// An engine with the state's keys.
///
/// # Errors
/// [`SetupError`]; the key of the marks is made where it isn't there.
pub(crate) fn engine(
    config: &Config,
    state: &State,
    store: &Arc<dyn Store>,
    figures: &Arc<Figures>,
    purpose: Purpose,
) -> Result<Arc<Engine>, SetupError> {
    let key = FileKey::load(&state.keys().join("rollout.key"))?;
    let path = marks(state);
    let marks = MarkKey::load(&path)?;
    if purpose != Purpose::Look && !is_the_one(store, &marks, purpose == Purpose::Serve)? {
        return Err(SetupError::OtherMarks(path));
    }
    let ballot = Ballot {
        board: Arc::new(Board::new(Arc::clone(store), state.blobs())),
        own: key.keyid().clone(),
        key: marks,
        tallies: Arc::default(),
        reached: Default::default(),
    };
    Ok(Arc::new(Engine::new(Means {
        store: Arc::clone(store),
        key: Box::new(key),
        ballot: Arc::new(ballot),
        figures: Arc::clone(figures),
        silence: config.silence(),
        caching: Caching::new(config.cache.fresh.0.min(FRESH), config.cache.missing.0),
    })))
}

/// Why a server wouldn't start: its key isn't that of the votes. For whoever only looks.
///
/// # Errors
/// [`SetupError`]
pub(crate) fn other_marks(state: &State, store: &dyn Store) -> Result<Option<SetupError>, SetupError> {
    let path = marks(state);
    let same = is_the_one(store, &MarkKey::load(&path)?, false)?;
    Ok((!same).then_some(SetupError::OtherMarks(path)))
}

/// Keeps votes under the state's key from now on, whatever they were kept under: devices that have voted may vote again.
///
/// # Errors
/// [`SetupError`]
pub(crate) fn replace_marks(state: &State, store: &dyn Store, now: Timestamp) -> Result<(), SetupError> {
    let key = MarkKey::load(&marks(state))?;
    let batch = Batch::new().put(Space::Meta, MARKS, key.check());
    let event = Event::new(now, "command", "rollout.marks-key-replaced", &[]);
    audit::commit(store, &batch, &event)?;
    Ok(())
}

fn marks(state: &State) -> PathBuf {
    state.keys().join("marks.key")
}

fn is_the_one(store: &dyn Store, key: &MarkKey, begins: bool) -> Result<bool, StoreError> {
    let check = key.check();
    let mut known = store.get(Space::Meta, MARKS)?;
    if known.is_none() && begins {
        let first = Batch::new().expect(Space::Meta, MARKS, None).put(Space::Meta, MARKS, check.clone());
        match store.commit(first) {
            // Another front end was faster: its key is the one.
            Ok(()) | Err(StoreError::Changed(_)) => known = store.get(Space::Meta, MARKS)?,
            Err(error) => return Err(error),
        }
    }
    Ok(known.is_none_or(|known| known == check))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{FjallStore, Settings};

    #[test]
    fn the_first_server_says_which_key_the_votes_are_under_and_another_one_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let store = FjallStore::open(&folder.path().join("store"), Settings::default()).unwrap();
        let (one, other) = (MarkKey::new(&[1; 32]), MarkKey::new(&[2; 32]));
        // A command only looks.
        assert!(is_the_one(&store, &other, false).unwrap());
        assert!(is_the_one(&store, &one, true).unwrap());
        assert!(is_the_one(&store, &one, true).unwrap());
        assert!(!is_the_one(&store, &other, true).unwrap());
        assert!(!is_the_one(&store, &other, false).unwrap());
        let kept = store.get(Space::Meta, MARKS).unwrap().unwrap();
        assert_eq!((kept.len(), kept == [1; 16]), (16, false), "nothing of the key");
    }
}
