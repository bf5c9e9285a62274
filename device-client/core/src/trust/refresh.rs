//! What comes after what: the client workflow as a machine that asks for one file after the other.
//!
//! Each step is one of: fetch a file, save the state, done. A file that is saved already and still fits is not fetched
//! again, so an unchanged repository costs the question for root N + 1 and a timestamp.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use perennial_schemas::crypto::Crypto;
use perennial_schemas::tuf::{Snapshot, Targets, TimestampRole};
use perennial_schemas::{RoleName, Timestamp, Verified};

use super::search::Search;
use super::validity::Times;
use super::walk::Walk;
use super::{Limits, TrustError, TrustState, Validity};

/// A file to fetch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Its name below the metadata base, percent-encoded where a role's name asks for it, such as `2.root.json`.
    pub path: String,
    /// More bytes than this are refused.
    pub max_length: u64,
}

/// What the refresh needs next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Fetch this; answer with [`Answer::Bytes`] or [`Answer::NotFound`].
    Fetch(Request),
    /// Save [`Refresh::state`] durably; answer with [`Answer::Persisted`].
    Persist,
    /// Nothing more to do.
    Done,
    /// An error ended the refresh; what was trusted before stays trusted, and the next refresh begins anew.
    Stopped,
}

/// The answer to a [`Step`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The file's content.
    Bytes(Vec<u8>),
    /// The repository says that it has no such file. Not for failures: those end the refresh.
    NotFound,
    /// The state is saved.
    Persisted,
}

/// One refresh, and the searches that follow it. Time stands still meanwhile (TUF 5.1).
pub struct Refresh<'c, C> {
    pub(super) state: TrustState,
    pub(super) crypto: &'c C,
    pub(super) limits: Limits,
    pub(super) set: TrustedSet,
    pub(super) job: Job,
    clock: Timestamp,
    stage: Stage,
    pending: Option<Step>,
    roots_walked: u32,
}

/// What was verified in this refresh; the root stands in the state.
#[derive(Default)]
pub(super) struct TrustedSet {
    pub(super) timestamp: Option<Verified<TimestampRole>>,
    pub(super) snapshot: Option<Verified<Snapshot>>,
    pub(super) targets: Option<Verified<Targets>>,
    pub(super) delegated: BTreeMap<RoleName, Delegated>,
    /// The length of all of them together, in bytes, with those that were let go.
    pub(super) delegated_length: u64,
    /// How long delegated roles hold that a walk has read and needs no more. Their bodies would take ten times their files'
    /// room.
    pub(super) let_go: Vec<Times>,
}

/// A delegated role that was verified.
pub(super) struct Delegated {
    /// The role that delegated to it: another one may give it other keys.
    pub(super) by: RoleName,
    /// The length of its file in bytes.
    pub(super) length: u64,
    pub(super) targets: Verified<Targets>,
}

/// What is looked for once the top-level roles are there.
pub(super) enum Job {
    None,
    Search(Box<Search>),
    Walk(Walk),
}

/// What a job does next.
pub(super) enum Next {
    Fetch(Request),
    Done,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Root,
    Timestamp,
    Snapshot,
    Targets,
    Ready,
    Stopped,
}

impl<'c, C: Crypto> Refresh<'c, C> {
    /// Begins a refresh at the time `clock` (TUF 5.1).
    pub fn new(state: TrustState, crypto: &'c C, clock: Timestamp, limits: Limits) -> Self {
        let mut refresh = Self {
            state,
            crypto,
            limits,
            set: TrustedSet::default(),
            job: Job::None,
            clock,
            stage: Stage::Root,
            pending: None,
            roots_walked: 0,
        };
        refresh.pending = Some(Step::Fetch(refresh.root_request()));
        refresh
    }

    /// What is needed next. Asking again without an answer gives the same step.
    pub fn next(&self) -> Step {
        match (&self.pending, self.stage) {
            (Some(step), _) => step.clone(),
            (None, Stage::Stopped) => Step::Stopped,
            (None, _) => Step::Done,
        }
    }

    /// Takes the answer to the last step.
    ///
    /// # Errors
    /// [`TrustError`] with the file and the check that it failed. An error before the top-level roles are there stops the
    /// refresh; one in a search ends that search alone.
    pub fn supply(&mut self, answer: Answer) -> Result<(), TrustError> {
        let outcome = match (self.pending.take(), answer) {
            (Some(Step::Fetch(request)), Answer::Bytes(bytes)) => self.take_file(&request, bytes),
            (Some(Step::Fetch(request)), Answer::NotFound) => self.take_absence(request),
            (Some(Step::Persist), Answer::Persisted) => self.advance(),
            _ => Err(TrustError::OutOfOrder { why: "the answer does not belong to the last step" }),
        };
        if outcome.is_err() {
            self.pending = None;
            self.job = Job::None;
            if self.stage != Stage::Ready {
                self.stage = Stage::Stopped;
            }
        }
        outcome
    }

    /// Whether root, timestamp, snapshot and targets were all taken and are current.
    pub fn is_refreshed(&self) -> bool {
        self.stage == Stage::Ready
    }

    /// Whether the walk along the roots stopped at its limit, so that another refresh should follow.
    pub fn stopped_at_root_limit(&self) -> bool {
        self.roots_walked >= self.limits.root_rotations
    }

    /// What is trusted now.
    pub fn state(&self) -> &TrustState {
        &self.state
    }

    /// Gives the state back.
    pub fn into_state(self) -> TrustState {
        self.state
    }

    /// The snapshot, once the refresh has come that far.
    pub fn snapshot(&self) -> Option<&Verified<Snapshot>> {
        self.set.snapshot.as_ref()
    }

    /// The timestamp, once the refresh has come that far.
    pub fn timestamp(&self) -> Option<&Verified<TimestampRole>> {
        self.set.timestamp.as_ref()
    }

    /// The top-level targets file, once the refresh has come that far.
    pub fn targets(&self) -> Option<&Verified<Targets>> {
        self.set.targets.as_ref()
    }

    /// A delegated role that a search visited.
    pub fn delegated(&self, role: &RoleName) -> Option<&Verified<Targets>> {
        self.set.delegated.get(role).map(|delegated| &delegated.targets)
    }

    /// Until when the set holds that was verified so far, delegated roles that a search visited included.
    pub fn validity(&self) -> Validity {
        let mut files = alloc::vec![Times::offline("root.json", &self.state.root)];
        files.extend(self.set.timestamp.as_ref().map(|role| Times::online("timestamp.json", &**role)));
        files.extend(self.set.snapshot.as_ref().map(|role| Times::offline("snapshot.json", &**role)));
        files.extend(self.set.targets.as_ref().map(|role| Times::offline("targets.json", &**role)));
        let delegated = self.set.delegated.iter();
        files.extend(delegated.map(|(name, role)| Times::offline(&format!("{name}.json"), &*role.targets)));
        files.extend(self.set.let_go.iter().cloned());
        Validity::new(files)
    }

    /// Forgets what a role lists. Another way to it fetches it again.
    pub(super) fn let_go(&mut self, role: &RoleName) {
        if let Some(known) = self.set.delegated.remove(role) {
            self.set.let_go.push(Times::offline(&format!("{role}.json"), &*known.targets));
        }
    }

    /// The fixed time of this refresh: the clock as it began, and never before an offline signature that is trusted.
    pub(super) fn now(&self) -> Timestamp {
        self.validity().now(self.clock)
    }

    /// Something was accepted: it is saved before it is acted upon.
    pub(super) fn persist(&mut self) {
        self.state.touch();
        self.pending = Some(Step::Persist);
    }

    /// Begins a job on the refreshed set.
    pub(super) fn begin(&mut self, job: Job) -> Result<(), TrustError> {
        // A fetch of an earlier search that the caller gave up may be open; a state to save may not.
        if self.stage != Stage::Ready || self.pending == Some(Step::Persist) {
            return Err(TrustError::OutOfOrder { why: "a search begins after a refresh that is done" });
        }
        self.pending = None;
        self.job = job;
        self.advance().inspect_err(|_| self.job = Job::None)
    }

    fn take_file(&mut self, request: &Request, bytes: Vec<u8>) -> Result<(), TrustError> {
        if bytes.len() as u64 > request.max_length {
            return Err(TrustError::TooLong { file: request.path.clone(), limit: request.max_length });
        }
        match self.stage {
            Stage::Root => {
                self.accept_root(bytes)?;
                self.roots_walked += 1;
                self.persist();
            }
            Stage::Timestamp => {
                let changed = self.accept_timestamp(bytes)?;
                self.stage = Stage::Snapshot;
                if changed {
                    self.persist();
                }
            }
            Stage::Snapshot => {
                self.accept_snapshot(bytes)?;
                self.stage = Stage::Targets;
                self.persist();
            }
            Stage::Targets => {
                self.accept_targets(bytes)?;
                self.stage = Stage::Ready;
                self.persist();
            }
            Stage::Ready => {
                self.accept_for_job(bytes)?;
                self.persist();
            }
            Stage::Stopped => {}
        }
        // After a change the step is to save it; the workflow goes on once that is done.
        if self.pending.is_none() { self.advance() } else { Ok(()) }
    }

    fn take_absence(&mut self, request: Request) -> Result<(), TrustError> {
        if self.stage != Stage::Root {
            return Err(TrustError::Missing { file: request.path });
        }
        // 5.3.3: no root N + 1, so that the trusted one is the latest.
        self.finish_root()?;
        self.stage = Stage::Timestamp;
        self.advance()
    }

    /// Goes on as far as nothing has to be fetched or saved.
    fn advance(&mut self) -> Result<(), TrustError> {
        if self.stage == Stage::Root {
            if self.roots_walked < self.limits.root_rotations {
                self.pending = Some(Step::Fetch(self.root_request()));
                return Ok(());
            }
            // 5.3.3: "or we have downloaded more than Y number of root metadata files".
            self.finish_root()?;
            self.stage = Stage::Timestamp;
        }
        if self.stage == Stage::Snapshot && self.reuse_snapshot() {
            self.stage = Stage::Targets;
        }
        if self.stage == Stage::Targets && self.reuse_targets() {
            self.stage = Stage::Ready;
        }
        let request = match self.stage {
            Stage::Timestamp => self.timestamp_request(),
            Stage::Snapshot => self.snapshot_request()?,
            Stage::Targets => self.targets_request()?,
            Stage::Ready => match self.continue_job()? {
                Next::Fetch(request) => request,
                Next::Done => return Ok(()),
            },
            Stage::Root | Stage::Stopped => return Ok(()),
        };
        self.pending = Some(Step::Fetch(request));
        Ok(())
    }
}
