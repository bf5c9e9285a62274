//! Whether a device may have a release now: a pure function of the plan, the status, the device's place, what it remembers,
//! and the time.
//!
//! The device calls it to decide, the server to explain, a simulation to foresee. Whether the release is withdrawn, fits the
//! hardware or lies behind a barrier is decided before.

use alloc::collections::BTreeSet;
use core::fmt;

use serde::{Deserialize, Serialize};

use super::{OnDeadline, Plan, RolloutState, RolloutStatus, WHOLE};
use crate::ident::{HardwareName, Label};
use crate::time::Timestamp;

/// Where a device stands in a rollout.
#[derive(Debug, Clone, Copy)]
pub struct Place<'p> {
    /// [`super::bucket()`].
    pub bucket: u32,
    /// [`super::catch_up_part()`].
    pub catch_up_part: u32,
    /// Its hardware revision.
    pub hardware: &'p HardwareName,
    /// Its labels, from its certificate or its provisioning.
    pub labels: &'p BTreeSet<Label>,
}

/// What the signers say of the release now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// When the product's role was signed that offers it; `None` where the role doesn't say.
    pub signed_at: Option<Timestamp>,
}

/// What a device remembers of a rollout, by the release's manifest.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    /// Since when it was held, where it was.
    pub held: Option<Timestamp>,
    /// Since when it has seen the release open after that.
    pub opened: Option<Timestamp>,
    /// Since when the state holds that the last status told which counted: a halt that was heard isn't forgotten where nobody
    /// says anything any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub told: Option<Timestamp>,
}

/// Whether a device may have the release, and why not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Admission {
    /// It may.
    Now,
    /// It may at that time, as things stand.
    NotBefore {
        /// When.
        at: Timestamp,
        /// What it waits for.
        wait: Wait,
    },
    /// Its time has come, and it is held back.
    Held {
        /// Since when.
        since: Timestamp,
        /// Until when it may be held at most.
        until: Timestamp,
        /// Why.
        hold: Hold,
        /// What opens it then.
        on_deadline: OnDeadline,
    },
    /// It never gets the release by this plan.
    Excluded(Excluded),
}

/// What a device waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// Its place in the plan.
    Place,
    /// Its turn among those that were held.
    CatchUp,
}

/// Why a device is held back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hold {
    /// There is no status that counts.
    NoStatus,
    /// The server has opened it for a smaller share than the plan allows.
    Share {
        /// That share, in parts per million.
        open: u32,
    },
    /// A person has stopped it.
    Paused,
    /// It was halted.
    Halted,
    /// It was halted for devices of this hardware revision.
    HaltedHardware,
    /// It is in a state that this version does not know.
    Unknown,
    /// It was held as long as it may be, and its signers have not signed it again since it was stopped.
    NoConsent,
}

/// Why a device has no part in a rollout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Excluded {
    /// Its hardware revision isn't among those of the plan.
    Hardware,
}

/// Decides. `status` is one that counts now ([`RolloutStatus::check_current`]), if there is one.
pub fn admit(
    plan: &Plan,
    status: Option<&RolloutStatus>,
    place: &Place<'_>,
    memory: &Memory,
    standing: Standing,
    now: Timestamp,
) -> Admission {
    if !plan.takes(place.hardware) {
        return Admission::Excluded(Excluded::Hardware);
    }
    let early = plan.early_from(place.labels);
    let by_bucket = plan.opens_for(place.bucket);
    let planned = early.map_or(by_bucket, |early| early.min(by_bucket));
    if now < planned {
        return Admission::NotBefore { at: planned, wait: Wait::Place };
    }
    match hold(status, place, early.is_some_and(|early| early <= now)) {
        None => after_a_hold(plan, place, memory, now),
        Some(hold) => at_the_deadline(plan, status, place, memory, standing, now, (planned, hold)),
    }
}

impl Admission {
    /// Whether nothing but the want of a status holds the device back.
    pub fn is_silence(&self) -> bool {
        matches!(self, Self::Held { hold: Hold::NoStatus, .. })
    }
}

impl Memory {
    /// What is remembered after an admission at `now`.
    #[must_use]
    pub fn after(self, admission: &Admission, now: Timestamp) -> Self {
        match admission {
            Admission::Held { since, .. } => Self { held: Some(*since), opened: None, ..self },
            Admission::NotBefore { wait: Wait::CatchUp, .. } => {
                Self { opened: Some(self.opened_by(now)), ..self }
            }
            Admission::Now | Admission::NotBefore { .. } | Admission::Excluded(_) => self,
        }
    }

    /// A note of the future was made by a clock that ran ahead.
    fn held_by(self, now: Timestamp) -> Timestamp {
        self.held.map_or(now, |held| held.min(now))
    }

    fn opened_by(self, now: Timestamp) -> Timestamp {
        self.opened.map_or(now, |opened| opened.min(now))
    }
}

/// What a status holds a device back by.
fn hold(status: Option<&RolloutStatus>, place: &Place<'_>, early: bool) -> Option<Hold> {
    let Some(status) = status else { return Some(Hold::NoStatus) };
    match status.state {
        RolloutState::Running if status.stopped.contains(place.hardware) => Some(Hold::HaltedHardware),
        RolloutState::Running if early || place.bucket < status.open => None,
        RolloutState::Running => Some(Hold::Share { open: status.open }),
        RolloutState::Paused => Some(Hold::Paused),
        RolloutState::Halted => Some(Hold::Halted),
        RolloutState::Unknown => Some(Hold::Unknown),
    }
}

/// Whoever was held waits a part of `catch_up`, so that the end of a hold is no stampede.
fn after_a_hold(plan: &Plan, place: &Place<'_>, memory: &Memory, now: Timestamp) -> Admission {
    if memory.held.is_none() {
        return Admission::Now;
    }
    let wait = plan.catch_up_seconds * u64::from(place.catch_up_part) / u64::from(WHOLE);
    let at = memory.opened_by(now).plus_seconds(wait as i64);
    if now < at { Admission::NotBefore { at, wait: Wait::CatchUp } } else { Admission::Now }
}

fn at_the_deadline(
    plan: &Plan,
    status: Option<&RolloutStatus>,
    place: &Place<'_>,
    memory: &Memory,
    standing: Standing,
    now: Timestamp,
    (planned, hold): (Timestamp, Hold),
) -> Admission {
    let deadline = planned.plus_seconds(plan.max_hold_seconds as i64);
    // The word of the online key counts up to the deadline only: later it could ask for consent after consent, for ever.
    let told = status.map(|status| status.since).or(memory.told);
    let stopped = told.map_or(planned, |told| told.min(deadline)).max(planned);
    let consent = standing.signed_at.is_some_and(|signed| signed > stopped);
    let (open, hold) = match plan.on_deadline {
        _ if now < deadline => (false, hold),
        OnDeadline::Silence => (true, hold),
        OnDeadline::Consent if consent => (true, hold),
        OnDeadline::Consent => (false, Hold::NoConsent),
    };
    if open {
        return after_a_hold(plan, place, memory, now);
    }
    Admission::Held { since: memory.held_by(now), until: deadline, hold, on_deadline: plan.on_deadline }
}

impl fmt::Display for Admission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Now => write!(f, "it may be installed now"),
            Self::NotBefore { at, wait: Wait::Place } => write!(f, "its turn in the rollout comes at {at}"),
            Self::NotBefore { at, wait: Wait::CatchUp } => {
                write!(f, "the rollout was stopped and goes on; this device's turn comes at {at}")
            }
            Self::Held { hold: Hold::NoConsent, until, .. } => {
                write!(f, "the rollout was stopped, and since {until} it takes its signers to let it go on")
            }
            Self::Held { until, hold, on_deadline, .. } => {
                write!(f, "{hold}; it is held until {until} at most")?;
                match on_deadline {
                    OnDeadline::Consent => {
                        write!(f, ", and goes on then if its signers have signed it again")
                    }
                    OnDeadline::Silence => write!(f, ", and goes on then by itself"),
                }
            }
            Self::Excluded(Excluded::Hardware) => write!(f, "the rollout leaves this hardware revision out"),
        }
    }
}

impl fmt::Display for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoStatus => write!(f, "the server doesn't say how far the rollout is open"),
            Self::Share { open } => {
                write!(f, "the rollout is open for {}.{:04} % of all devices", open / 10_000, open % 10_000)
            }
            Self::Paused => write!(f, "the rollout is paused"),
            Self::Halted => write!(f, "the rollout is halted"),
            Self::HaltedHardware => write!(f, "the rollout is halted for this hardware revision"),
            Self::Unknown => write!(f, "the rollout is in a state that this program does not know"),
            Self::NoConsent => write!(f, "the rollout was stopped for as long as it may be"),
        }
    }
}
