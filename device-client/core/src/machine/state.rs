//! The states of an update, and what can happen to it.

use perennial_schemas::report::FailureCode;
use serde::{Deserialize, Serialize};

/// How far an update has come. Durable: part of the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "state")]
pub enum State {
    /// Nothing is under way.
    Idle,
    /// A release was chosen; metadata and manifest are verified.
    Verified,
    /// The payload is arriving in the staging area.
    Downloading {
        /// Bytes of the payload that are there, verified and durable.
        offset: u64,
    },
    /// The payload is in the staging area, or it is going to be streamed.
    Staged,
    /// The target slot is unbootable, and what it held is given up.
    Claimed,
    /// The image is being written.
    Installing {
        /// Bytes of the image that are in the slot, verified and durable.
        offset: u64,
    },
    /// The image is in the slot, read back and right.
    Installed,
    /// The boot loader starts it next.
    Activated {
        /// Boots that it gets.
        tries: u8,
    },
    /// It was booted; its health is not known yet.
    Trying,
    /// It was healthy: it counts. What remains is to mark the slot good and to raise the counter.
    Confirmed,
    /// It was booted and is given up; the slot is to be made unbootable and the device restarted.
    Unhealthy {
        /// Why.
        code: FailureCode,
    },
    /// It was given up with its image in the slot. The boot loader may have been told of it, and the power gone or the
    /// disk full before that was noted: the slot is to be made unbootable.
    Retiring,
    /// The device runs its old release again; the slot is to be made unbootable.
    FellBack {
        /// Why.
        code: FailureCode,
    },
}

impl State {
    /// Whether the boot loader has not been told of the update yet, so that it may be dropped without more.
    pub fn is_before_activation(self) -> bool {
        matches!(
            self,
            State::Verified
                | State::Downloading { .. }
                | State::Staged
                | State::Claimed
                | State::Installing { .. }
                | State::Installed
        )
    }

    /// Whether what comes next disturbs whoever uses the device: work on its slots, or its restart.
    pub fn waits_for_quiet(self) -> bool {
        self.is_before_activation() || matches!(self, State::Activated { .. })
    }

    /// Its name in logs and in `status`.
    pub fn name(self) -> &'static str {
        match self {
            State::Idle => "idle",
            State::Retiring => "retiring",
            State::Verified => "verified",
            State::Downloading { .. } => "downloading",
            State::Staged => "staged",
            State::Claimed => "claimed",
            State::Installing { .. } => "installing",
            State::Installed => "installed",
            State::Activated { .. } => "activated",
            State::Trying => "trying",
            State::Confirmed => "confirmed",
            State::Unhealthy { .. } => "unhealthy",
            State::FellBack { .. } => "fell-back",
        }
    }
}

/// What can happen to an update.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// A release was chosen.
    Chosen,
    /// The owner wants the release in the other slot back, which was confirmed once.
    Reverting,
    /// There is room to stage the payload.
    Stages,
    /// There is none: the payload is streamed.
    Streams,
    /// So many bytes are verified and durable.
    Progress {
        /// Of the payload or of the image.
        offset: u64,
    },
    /// The whole payload is in the staging area.
    Arrived,
    /// The target slot is unbootable.
    Claimed,
    /// The slot is ready to be written.
    Begun,
    /// The whole image is in the slot, and was read back.
    Installed,
    /// The boot loader was told.
    Activated {
        /// Boots that it gets.
        tries: u8,
    },
    /// The new release is running.
    BootedNew,
    /// The old release is running, though the new one should be.
    BootedOld {
        /// What is known of the reason.
        code: FailureCode,
    },
    /// The product says that it works.
    Healthy,
    /// The product says that it does not, or said nothing in time.
    Unhealthy {
        /// Why.
        code: FailureCode,
    },
    /// The slot of the release that failed is unbootable.
    Retired,
    /// The slot is marked good and the counter is raised.
    Settled,
    /// The delta is of no use here: the full payload takes its place.
    DeltaFailed {
        /// Why.
        code: FailureCode,
    },
    /// It can't be installed.
    Failed {
        /// Why.
        code: FailureCode,
    },
    /// It is not offered any more, or another release is better.
    Dropped,
}

/// This can't happen in that state. A defect of the driver, or a journal that somebody changed; nothing is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{event:?} can't happen in the state {state:?}")]
pub struct Illegal {
    /// The state.
    pub state: State,
    /// What was said to happen.
    pub event: Event,
}
