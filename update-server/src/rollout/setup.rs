//! An engine over a state folder: for a running server, and for commands while none runs.

use super::ballot::Ballot;
use super::engine::{Engine, Means};
use super::figures::Figures;
use super::offers::Board;
use super::votes::MarkKey;
use crate::config::Config;
use crate::keys::{FileKey, KeyError, OnlineKey};
use crate::site::Caching;
use crate::state::State;
use crate::store::Store;
use std::sync::Arc;
use std::time::Duration;

/// How long caches keep a rollout's status, at most: a halt should be heard of soon.
const FRESH: Duration = Duration::from_secs(30);

/// An engine with the state's keys.
///
/// # Errors
/// [`KeyError`] where a key can't be used; the key of the marks is made where it isn't there.
pub(crate) fn engine(
    config: &Config,
    state: &State,
    store: &Arc<dyn Store>,
    figures: &Arc<Figures>,
) -> Result<Arc<Engine>, KeyError> {
    let key = FileKey::load(&state.keys().join("rollout.key"))?;
    let ballot = Ballot {
        board: Arc::new(Board::new(Arc::clone(store), state.blobs())),
        own: key.keyid().clone(),
        key: MarkKey::load(&state.keys().join("marks.key"))?,
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
