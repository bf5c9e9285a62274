//! A server without doors, for simulations: the same keeper, writer, store and rollouts as behind the listeners, over a state
//! folder as `init` makes it, driven by a clock that the caller turns. Devices are taken at their word for who they are, so no
//! server uses it.

use crate::config::Config;
use crate::fleet::WriterMeans;
use crate::fleet::releases::Shelf;
use crate::ingest::accept::CoreJudge;
use crate::ingest::{IngestError, Outcome};
use crate::io::Hand;
use crate::keeper::{Keeper, Rules};
use crate::keys::FileKey;
use crate::metrics::Metrics;
use crate::records::restored;
use crate::rollout::drive::{Drive, DriveError};
use crate::rollout::engine::EngineError;
use crate::rollout::machine::Change;
use crate::rollout::setup;
use crate::server::StartError;
use crate::site::Content;
use crate::state::State;
use perennial_schemas::Timestamp;
use std::sync::Arc;

/// See the module.
pub struct Rehearsal {
    /// Devices, and what becomes of what they say.
    pub drive: Drive,
    keeper: Keeper,
    blobs: crate::blobs::Blobs,
}

/// Why a state can't be rehearsed with.
#[derive(Debug, thiserror::Error)]
pub enum RehearsalError {
    /// A server couldn't start on it either.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The parts behind the listeners can't be set up.
    #[error(transparent)]
    Drive(#[from] DriveError),
}

impl Rehearsal {
    /// Opens a state folder as a server would, at a time.
    ///
    /// # Errors
    /// [`RehearsalError`].
    pub fn open(config: &Config, at: Timestamp) -> Result<Self, RehearsalError> {
        let clock = Hand::at(at);
        let state = State::of(config);
        let held = state.hold().map_err(StartError::from)?;
        let key = FileKey::load(&state.keys().join("timestamp.key")).map_err(StartError::from)?;
        let metrics = Arc::new(Metrics::new().map_err(|error| StartError::Setup(error.to_string()))?);
        let store = Arc::clone(&held.store);
        let rules = Rules::of(config);
        let keeper =
            Keeper::new(held, Box::new(key), Box::new(CoreJudge), rules, clock.clock(), Arc::clone(&metrics))
                .map_err(StartError::from)?;
        keeper.tend();
        let engine = setup::engine(config, &state, &store, &metrics.rollouts, setup::Purpose::Serve)
            .map_err(StartError::from)?;
        let restored = restored::read(&store).map_err(|error| StartError::State(error.into()))?;
        let means = WriterMeans {
            store: Arc::clone(&store),
            releases: Arc::new(Shelf::new(store, state.blobs(), Arc::clone(&keeper.site))),
            trust: None,
            ballot: Arc::clone(engine.ballot()),
            figures: Arc::clone(&metrics.fleet),
            now: clock.clock(),
            queue: config.fleet.queue,
            restored,
            keep: config.fleet.keep.reports.0,
        };
        let drive = Drive::of(engine, means, clock)?;
        Ok(Self { drive, keeper, blobs: state.blobs() })
    }

    /// Takes a bundle in.
    ///
    /// # Errors
    /// [`IngestError`].
    pub fn take_in(&self, bundle: &[u8]) -> Result<Outcome, IngestError> {
        self.keeper.ingest(&mut &bundle[..], "rehearsal")
    }

    /// What is due: the timestamp's renewal, and the rollouts' next steps.
    ///
    /// # Errors
    /// [`EngineError`].
    pub fn tick(&self) -> Result<Vec<Change>, EngineError> {
        self.keeper.tend();
        self.drive.engine.tick(self.drive.now())
    }

    /// What the static plane would answer; `None` for what isn't there.
    pub fn get(&self, path: &str) -> Option<Vec<u8>> {
        let (site, shown) = (self.keeper.site.load(), self.drive.engine.shown());
        let shown = shown.load();
        let entry = shown.get(path).or_else(|| site.find(path))?;
        match &entry.content {
            Content::Memory(bytes) => Some(bytes.to_vec()),
            Content::Blob(digest) => self.blobs.read(digest, entry.length).ok(),
        }
    }
}
