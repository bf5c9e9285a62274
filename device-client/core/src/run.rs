//! Carries the state machine's effects out through the ports, and tells it what happened.
//!
//! Decides nothing but the order of two operations inside one effect. Knows no clock: whoever calls it says what time
//! it is.

mod install;

use alloc::boxed::Box;
use alloc::string::{String, ToString};

use perennial_schemas::crypto::Crypto;
use perennial_schemas::report::FailureCode;
use perennial_schemas::{Sha256Digest, Timestamp};

use self::install::is_delta;
use crate::apply::Paused;
use crate::download::{Checkpoint, stage};
use crate::journal::Journal;
use crate::machine::{Client, Effect, Event, Illegal, Input, Settings, State, Why, Wish};
use crate::plan::{Plan, Source};
use crate::port::{
    BootControl, Counter, Decompress, Fetch, Health, HookEvent, Hooks, Identity, PortError, Reboot, Record,
    Slots, Staging, Store,
};
use crate::recover;
use crate::revert::{self, RevertError};
use crate::session::{self, Checked, Device, Session, SessionError};
use crate::slots::{ReadBackError, WrittenSlot};
use crate::support::SupportEvent;

/// All ports of a device.
pub struct Ports<'p> {
    /// Where files come from.
    pub fetch: &'p mut dyn Fetch,
    /// Where images live.
    pub slots: &'p mut dyn Slots,
    /// The boot loader.
    pub boot: &'p mut dyn BootControl,
    /// Durable records.
    pub store: &'p mut dyn Store,
    /// The anti-rollback counter.
    pub counter: &'p mut dyn Counter,
    /// Whether what booted works.
    pub health: &'p mut dyn Health,
    /// The product's hooks.
    pub hooks: &'p mut dyn Hooks,
    /// Restarts the device.
    pub reboot: &'p mut dyn Reboot,
    /// For compressed payloads.
    pub decompress: &'p mut dyn Decompress,
    /// Room for a payload, where there is some.
    pub staging: Option<&'p mut (dyn Staging + 'p)>,
    /// Told of everything worth a log line or a progress bar. Its answer doesn't matter to anything.
    pub notice: &'p mut dyn FnMut(Notice<'_>),
}

/// Something worth telling.
#[derive(Debug)]
pub enum Notice<'n> {
    /// An effect begins.
    Begins(Effect),
    /// A check came to a decision.
    Checked(&'n Checked),
    /// Something of the support that the owner should know; told once.
    Support(&'n SupportEvent),
    /// A download or installation has come so far; verified and durable.
    Progress {
        /// Bytes done.
        done: u64,
        /// Bytes in all.
        total: u64,
    },
    /// The delta came to nothing; the release goes on with its full payload.
    DeltaFailed(&'n PortError),
    /// Something failed; the machine knows what to do about it.
    Failed(&'n PortError),
}

/// What came of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Something was done; there may be more.
    Worked,
    /// There is nothing to do before this time, if any is given.
    Waiting(Option<(Timestamp, Why)>),
    /// The device restarts. Nothing more is to be done.
    Restarting,
}

/// Why the device can't go on.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The journal can't be saved or loaded: nothing is done that could not be remembered.
    #[error("keeping the journal")]
    Journal(#[source] PortError),
    /// The journal was there once and can't be read. Fails closed, until it is begun again ([`crate::recover`]).
    #[error("the journal is lost: {0}")]
    Lost(String),
    /// A defect.
    #[error(transparent)]
    Illegal(#[from] Illegal),
    /// The slots can't be asked.
    #[error(transparent)]
    Slots(PortError),
    /// What the device trusts can't be loaded.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// The owner's wish to go back can't be granted.
    #[error(transparent)]
    Revert(#[from] RevertError),
}

/// A device at work.
pub struct Runner<'r, C> {
    client: Client,
    session: Option<Session<'r, C>>,
    identity: Identity,
    root: &'r [u8],
    ports: Ports<'r>,
    crypto: &'r C,
    written: Option<WrittenSlot>,
    /// An installation that came in parts so far: of which release, from which payload.
    paused: Option<(Sha256Digest, String, Paused)>,
}

impl<'r, C: Crypto> Runner<'r, C> {
    /// Loads the journal. `root` is the root that the device was born with. What it trusts is loaded with the first
    /// check: a trial comes to its end even where that is lost.
    ///
    /// # Errors
    /// [`RunError::Lost`], [`RunError::Journal`], [`RunError::Slots`].
    pub fn open(
        ports: Ports<'r>,
        identity: Identity,
        root: &'r [u8],
        settings: Settings,
        crypto: &'r C,
    ) -> Result<Self, RunError> {
        let journal = match session::load(ports.store, Record::Journal, Journal::decode) {
            Ok(Some(journal)) => journal,
            Ok(None) => {
                let booted = ports.slots.booted().map_err(RunError::Slots)?;
                Journal::new(booted, recover::factory_content(&identity))
            }
            Err(SessionError::Lost { detail, .. }) => return Err(RunError::Lost(detail)),
            Err(SessionError::Store(error)) => return Err(RunError::Journal(error)),
            Err(error) => return Err(RunError::Session(error)),
        };
        let client = Client::new(journal, settings);
        Ok(Self { client, session: None, identity, root, ports, crypto, written: None, paused: None })
    }

    /// The state machine.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Reports up to `sequence` are durable at a server: the journal notes it.
    ///
    /// # Errors
    /// [`RunError::Journal`]; they are told again then.
    pub fn acknowledge(&mut self, sequence: u64, now: Timestamp) -> Result<(), RunError> {
        if sequence <= self.client.journal().reports.acknowledged() {
            return Ok(());
        }
        self.client.acknowledge(sequence);
        save(&mut self.client, self.ports.store, now).map_err(RunError::Journal)
    }

    /// What the device trusts.
    ///
    /// # Errors
    /// [`SessionError::Lost`]: nothing is installed until it is recovered.
    pub fn session(&mut self) -> Result<&Session<'r, C>, SessionError> {
        let session = match self.session.take() {
            Some(session) => session,
            None => Session::open(self.ports.store, &self.identity, self.root, self.crypto)?,
        };
        Ok(self.session.insert(session))
    }

    /// Takes a wish of the owner; the next steps carry it out.
    ///
    /// # Errors
    /// [`RunError::Illegal`] where it can't be granted now.
    pub fn wish(&mut self, wish: Wish, now: Timestamp) -> Result<(), RunError> {
        self.look_around(now)?;
        Ok(self.client.handle(Input::Owner(wish), now)?)
    }

    /// Makes durable what a wish has changed, before anybody is told that it is granted.
    ///
    /// # Errors
    /// [`RunError::Journal`]; it is saved before the next effect then.
    pub fn keep(&mut self, now: Timestamp) -> Result<(), RunError> {
        save(&mut self.client, self.ports.store, now).map_err(RunError::Journal)
    }

    /// Goes back to the release in the other slot, if that may be.
    ///
    /// # Errors
    /// [`RunError::Revert`], and what loading the floors and the counter says.
    pub fn revert(&mut self, now: Timestamp) -> Result<(), RunError> {
        self.look_around(now)?;
        let counter =
            least_security_version(self.ports.counter, &self.client).map_err(SessionError::Store)?;
        let withdrawn = self.session()?.floors().withdrawn().clone();
        let booted = self.ports.slots.booted().map_err(RunError::Slots)?;
        let plan = revert::plan(self.client.journal(), booted, counter, &withdrawn)?;
        Ok(self.client.handle(Input::Owner(Wish::Revert(Box::new(plan))), now)?)
    }

    /// Checks and decides, and does nothing about it but to keep what it came to, for whoever asks later.
    ///
    /// # Errors
    /// [`SessionError`].
    pub fn check(&mut self, now: Timestamp) -> Result<Checked, SessionError> {
        let checked = self.look(now);
        match &checked {
            Ok(checked) => self.client.note_decision(&checked.decision, now),
            Err(error) => self.client.note_no_decision(&error.to_port_error(), now),
        }
        if self.client.is_unsaved() {
            // Whoever asked is answered all the same; the next save has it.
            let _ = save(&mut self.client, self.ports.store, now);
        }
        checked
    }

    /// Checks, decides, and notes what was learnt.
    fn look(&mut self, now: Timestamp) -> Result<Checked, SessionError> {
        let checked = self.ask(now);
        let cohort = self.identity.cohort.as_ref();
        if let Some(known) = self.session.as_ref().and_then(|session| session.known(cohort)) {
            self.client.note_known(known);
        }
        if let Ok(checked) = &checked {
            self.client.note_recalled(checked.recalled.clone());
            self.client.note_refused(checked.status_refused.as_ref(), now);
        }
        checked
    }

    fn ask(&mut self, now: Timestamp) -> Result<Checked, SessionError> {
        self.session()?;
        let slot = self.ports.slots.booted()?;
        let capacity = self.ports.slots.capacity(slot.other())?;
        let counter = self.ports.counter.read()?;
        let device = Device {
            identity: &self.identity,
            journal: self.client.journal(),
            booted: slot,
            counter,
            capacity,
            delta_memory: self.client.settings().delta_memory,
        };
        let session = match &mut self.session {
            Some(session) => session,
            slot => slot.insert(Session::open(self.ports.store, &self.identity, self.root, self.crypto)?),
        };
        let checked = session.check(self.ports.fetch, self.ports.store, &device, now);
        for event in session.take_news() {
            (self.ports.notice)(Notice::Support(&event));
        }
        checked
    }

    /// Does the next thing.
    ///
    /// # Errors
    /// [`RunError::Journal`]: to be called again later, from where it was. [`RunError::Illegal`]: a defect.
    pub fn step(&mut self, now: Timestamp) -> Result<Step, RunError> {
        self.client.handle(Input::Tick, now)?;
        let Some(effect) = self.client.poll_effect(now) else {
            return Ok(Step::Waiting(self.client.poll_timeout()));
        };
        if effect == Effect::Save {
            save(&mut self.client, self.ports.store, now).map_err(RunError::Journal)?;
            return Ok(Step::Worked);
        }
        (self.ports.notice)(Notice::Begins(effect));
        match self.carry_out(effect, now) {
            Ok(Some(input)) => self.client.handle(input, now)?,
            Ok(None) => return Ok(Step::Restarting),
            Err(error) => {
                let was_delta = is_delta(&self.client);
                let handled = self.client.handle(Input::Failed(error.clone()), now);
                let goes_on = was_delta && !is_delta(&self.client) && self.client.journal().plan.is_some();
                (self.ports.notice)(if goes_on {
                    Notice::DeltaFailed(&error)
                } else {
                    Notice::Failed(&error)
                });
                handled?;
            }
        }
        Ok(Step::Worked)
    }

    /// Works until there is nothing to do now.
    ///
    /// # Errors
    /// As [`Runner::step`].
    pub fn run(&mut self, now: Timestamp) -> Result<Step, RunError> {
        loop {
            match self.step(now)? {
                Step::Worked => {}
                step => return Ok(step),
            }
        }
    }

    fn look_around(&mut self, now: Timestamp) -> Result<(), RunError> {
        if self.client.booted().is_none() {
            let input = self.started().map_err(RunError::Slots)?;
            self.client.handle(input, now)?;
        }
        Ok(())
    }

    fn started(&mut self) -> Result<Input, PortError> {
        Ok(Input::Started { booted: self.ports.slots.booted()?, status: self.ports.boot.status()? })
    }

    /// Carries an effect out. `None`: the device restarts.
    fn carry_out(&mut self, effect: Effect, now: Timestamp) -> Result<Option<Input>, PortError> {
        let event = match effect {
            Effect::Save => {
                save(&mut self.client, self.ports.store, now)?;
                return Ok(Some(Input::Tick));
            }
            Effect::LookAround => return self.started().map(Some),
            Effect::Check => {
                let checked = self.look(now).map_err(|error| error.to_port_error())?;
                (self.ports.notice)(Notice::Checked(&checked));
                return Ok(Some(Input::Checked(checked.decision, checked.plan.map(Box::new))));
            }
            Effect::AskHealth => return self.ports.health.check().map(|verdict| Some(Input::Said(verdict))),
            Effect::Prepare => self.prepare()?,
            Effect::Download { from } => match self.download(from, now)? {
                Some(event) => event,
                None => return Ok(Some(Input::Paused)),
            },
            Effect::Claim => {
                self.check_withdrawn()?;
                let plan = plan(&self.client)?;
                self.ports.boot.set_unbootable(plan.slot)?;
                Event::Claimed
            }
            Effect::Begin => {
                let plan = plan(&self.client)?;
                self.ports.slots.begin(plan.slot, plan.length)?;
                Event::Begun
            }
            Effect::Install { from } => match self.install(from, now)? {
                Some(event) => event,
                None => return Ok(Some(Input::Paused)),
            },
            Effect::Activate { tries } => self.activate(tries)?,
            Effect::Settle => {
                let (slot, security_version) = {
                    let plan = plan(&self.client)?;
                    (plan.slot, plan.security_version)
                };
                // In this order: a counter raised first would lock the old release out while it may still be needed.
                self.ports.boot.mark_good(slot)?;
                self.ports.counter.raise_to(security_version)?;
                Event::Settled
            }
            Effect::Retire => {
                let plan = plan(&self.client)?;
                // Going back was given up: the confirmed release in the other slot stays what it is.
                let keep = plan.source.is_none() && self.client.state() == State::Retiring;
                if !keep {
                    self.ports.boot.set_unbootable(plan.slot)?;
                }
                Event::Retired
            }
            Effect::Reboot | Effect::Reinstate | Effect::FallBack => {
                self.restart(effect)?;
                return Ok(None);
            }
        };
        Ok(Some(Input::Happened(event)))
    }

    fn restart(&mut self, effect: Effect) -> Result<(), PortError> {
        let slot = plan(&self.client)?.slot;
        match effect {
            Effect::Reinstate => self.ports.boot.mark_good(slot)?,
            Effect::FallBack => self.ports.boot.set_unbootable(slot)?,
            _ => {}
        }
        self.ports.reboot.reboot()
    }

    fn prepare(&mut self) -> Result<Event, PortError> {
        let (plan, source) = plan_and_source(&self.client)?;
        let (plan, source) = (plan.clone(), source.clone());
        check_counter(self.ports.counter, &self.client, &plan)?;
        if source.delta().is_some() {
            self.examine_delta(&plan, &source)?;
        }
        self.ports.hooks.before_install(&hook_event(&plan))?;
        let room = match &mut self.ports.staging {
            Some(staging) => staging.room()?,
            None => 0,
        };
        Ok(if room >= source.payload_length { Event::Stages } else { Event::Streams })
    }

    /// Downloads. What is rolled out in stages comes in parts, so that a halt is heard in between: `None` after each but the
    /// last.
    fn download(&mut self, from: u64, now: Timestamp) -> Result<Option<Event>, PortError> {
        let (plan, source) = plan_and_source(&self.client)?;
        let (plan, source) = (plan.clone(), source.clone());
        let Ports { fetch, staging, store, notice, .. } = &mut self.ports;
        let Some(staging) = staging else {
            let detail = "the staging area that holds the download is gone";
            return Err(PortError::new(FailureCode::NoRoom, "downloading", detail));
        };
        let every = self.client.settings().checkpoint_bytes;
        let to = if source.rollout.is_some() { from.saturating_add(every) } else { u64::MAX };
        let part = from..to.min(source.payload_length);
        let mut save = saver(&mut self.client, *store, *notice, source.payload_length, now);
        let checkpoint = Checkpoint { every, save: &mut save };
        let done = stage(*fetch, *staging, &plan, &source, part, self.crypto, checkpoint)?;
        Ok((done >= source.payload_length).then_some(Event::Arrived))
    }

    fn activate(&mut self, tries: u8) -> Result<Event, PortError> {
        let plan = plan(&self.client)?.clone();
        check_counter(self.ports.counter, &self.client, &plan)?;
        self.check_withdrawn()?;
        let written = match self.written.take().filter(|written| written.slot() == plan.slot) {
            Some(written) => written,
            // It was right when it was installed, or confirmed.
            None => self.read_back(&plan).map_err(ReadBackError::of_the_disk)?,
        };
        if plan.source.is_some() {
            self.ports.hooks.after_install(&hook_event(&plan))?;
        }
        self.ports.boot.activate(&written, tries)?;
        Ok(Event::Activated { tries })
    }

    /// What is withdrawn is asked again here: a check learns it before it fails, and the update may go on without one.
    fn check_withdrawn(&mut self) -> Result<(), PortError> {
        let plan = plan(&self.client)?;
        let (version, manifest) = (plan.version.clone(), plan.manifest);
        let session = self.session().map_err(|error| error.to_port_error())?;
        if !session.floors().withdrawn().contains(&manifest) {
            return Ok(());
        }
        let operation = alloc::format!("installing {version}");
        Err(PortError::new(FailureCode::Withdrawn, operation, "its maker has withdrawn it"))
    }
}

fn plan(client: &Client) -> Result<&Plan, PortError> {
    let plan = client.journal().plan.as_ref();
    plan.ok_or_else(|| PortError::new(FailureCode::Internal, "working", "there is no plan in this state"))
}

fn plan_and_source(client: &Client) -> Result<(&Plan, &Source), PortError> {
    let plan = plan(client)?;
    let source = plan.source.as_ref();
    let none = || PortError::new(FailureCode::Internal, "working", "the plan has no source");
    Ok((plan, source.ok_or_else(none)?))
}

fn hook_event(plan: &Plan) -> HookEvent<'_> {
    HookEvent { version: &plan.version, manifest: &plan.manifest, slot: plan.slot }
}

/// The counter is asked again here: it may have risen since the decision, and the journal is no authority over it.
fn check_counter(counter: &mut dyn Counter, client: &Client, plan: &Plan) -> Result<(), PortError> {
    let counter = least_security_version(counter, client)?;
    if plan.security_version >= counter {
        return Ok(());
    }
    let detail =
        alloc::format!("its security version is {}, the counter is {counter}", plan.security_version);
    Err(PortError::new(FailureCode::SecurityVersion, alloc::format!("installing {}", plan.version), detail))
}

/// The counter, or the number of what runs, where the counter has not risen to it yet.
fn least_security_version(counter: &mut dyn Counter, client: &Client) -> Result<u32, PortError> {
    let running = client.booted().and_then(|slot| client.journal().content(slot));
    Ok(counter.read()?.max(running.map_or(0, |running| running.security_version)))
}

/// What journals and tells how far a download or an installation of `total` bytes has come.
fn saver<'s>(
    client: &'s mut Client,
    store: &'s mut dyn Store,
    notice: &'s mut dyn FnMut(Notice<'_>),
    total: u64,
    now: Timestamp,
) -> impl FnMut(u64) -> Result<(), PortError> + 's {
    move |offset| {
        let happened = client.handle(Input::Happened(Event::Progress { offset }), now);
        let defect =
            |error: Illegal| PortError::new(FailureCode::Internal, "journalling progress", error.to_string());
        happened.map_err(defect)?;
        save(client, store, now)?;
        notice(Notice::Progress { done: offset, total });
        Ok(())
    }
}

fn save(client: &mut Client, store: &mut dyn Store, now: Timestamp) -> Result<(), PortError> {
    let bytes = client
        .journal()
        .encode()
        .map_err(|error| PortError::new(FailureCode::Internal, "encoding the journal", error.to_string()))?;
    store.save(Record::Journal, &bytes)?;
    let saved = client.handle(Input::Saved, now);
    saved.map_err(|error| PortError::new(FailureCode::Internal, "saving the journal", error.to_string()))
}
