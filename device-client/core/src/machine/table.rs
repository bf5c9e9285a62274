//! The transition table: every pair that is allowed, on one screen.

use super::state::{Event as E, Illegal, State as S};

/// The state after `event`.
///
/// # Errors
/// [`Illegal`] for a pair that is not in the table.
#[rustfmt::skip]
pub fn next(state: S, event: E) -> Result<S, Illegal> {
    Ok(match (state, event) {
        // state                         event                          next
        (S::Idle,                        E::Chosen)                  => S::Verified,
        (S::Idle,                        E::Reverting)               => S::Installed,

        (S::Verified,                    E::Stages)                  => S::Downloading { offset: 0 },
        (S::Verified,                    E::Streams)                 => S::Staged,
        (S::Downloading { offset: old }, E::Progress { offset })
                                                if offset >= old     => S::Downloading { offset },
        (S::Downloading { .. },          E::Arrived)                 => S::Staged,
        (S::Staged,                      E::Claimed)                 => S::Claimed,
        (S::Claimed,                     E::Begun)                   => S::Installing { offset: 0 },
        (S::Installing { offset: old },  E::Progress { offset })
                                                if offset >= old     => S::Installing { offset },
        (S::Installing { .. },           E::Installed)               => S::Installed,
        (S::Installed,                   E::Activated { tries })     => S::Activated { tries },

        // The full payload goes on from the last chunk that was written.
        (S::Verified,                    E::DeltaFailed { .. })      => S::Verified,
        (S::Downloading { .. },          E::DeltaFailed { .. })      => S::Verified,
        (S::Installing { offset },       E::DeltaFailed { .. })      => S::Installing { offset },

        // A power cut after the boot loader was told and before the journal was: the boot loader is right.
        (S::Installed,                   E::BootedNew)               => S::Trying,
        (S::Installed,                   E::BootedOld { code })      => S::FellBack { code },
        (S::Activated { .. },            E::BootedNew)               => S::Trying,
        (S::Activated { .. },            E::BootedOld { code })      => S::FellBack { code },
        (S::Trying,                      E::BootedNew)               => S::Trying,
        (S::Trying,                      E::BootedOld { code })      => S::FellBack { code },

        (S::Trying,                      E::Healthy)                 => S::Confirmed,
        (S::Trying,                      E::Unhealthy { code })      => S::Unhealthy { code },
        (S::Confirmed,                   E::Settled)                 => S::Idle,
        // It works, and the boot loader doesn't start it, however often it is told to.
        (S::Confirmed,                   E::BootedOld { code })      => S::FellBack { code },

        // The first reason is the one that counts: the boot that follows only carries it out.
        (S::Unhealthy { code },          E::BootedOld { .. })        => S::FellBack { code },
        (S::FellBack { .. },             E::Retired)                 => S::Idle,

        // Whether the boot loader was told is not known for certain.
        (S::Installed,                   E::Failed { .. })           => S::Retiring,
        (S::Installed,                   E::Dropped)                 => S::Retiring,
        (S::Retiring,                    E::Retired)                 => S::Idle,

        (state,                          E::Failed { .. } | E::Dropped)
                                if state.is_before_activation()      => S::Idle,

        (state,                          event)                      => return Err(Illegal { state, event }),
    })
}
