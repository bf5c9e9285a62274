//! The agent at work: steps of the core, one after the other, with the pauses that it asks for.

use std::cell::RefCell;
use std::time::Duration;

use perennial_device_core::crypto::Ring;
use perennial_device_core::machine::{Settings, State, Why};
use perennial_device_core::report::Entry;
use perennial_device_core::run::{Notice, RunError, Runner, Step};
use perennial_schemas::Timestamp;

use super::Adapters;
use super::screen::Screen;
use super::tell::Teller;
use crate::config::Config;
use crate::fleet::Beside;
use crate::http::{HttpClient, Interrupt, jittered};

/// Restarts that are simulated in one go: an installation needs two, and falling back one more.
const RESTARTS: u32 = 16;
/// The longest sleep: a clock that jumps is noticed by then.
const NAP: Duration = Duration::from_secs(600);
/// Before the next attempt when the journal can't be saved.
const JOURNAL_PAUSE: Duration = Duration::from_secs(30);

/// How long a command that ends waits for the fleet plane.
const PATIENCE: Duration = Duration::from_secs(20);

/// What the owner wants before the first step.
pub type Wish<'w> = Box<dyn FnOnce(&mut Runner<'_, Ring>, Timestamp) -> Result<(), RunError> + 'w>;

/// The owner, whose wishes come while the agent works.
pub trait Owner {
    /// Takes up what has come, between two steps. What can't be granted ends no work.
    fn hear(&mut self, runner: &mut Runner<'_, Ring>, teller: &RefCell<Teller<'_>>, now: Timestamp);

    /// Nothing more comes of a wish for now: what was not answered is.
    fn settle(&mut self, runner: &Runner<'_, Ring>, teller: &RefCell<Teller<'_>>, now: Timestamp);

    /// Waits so long, or until a wish comes.
    fn sleep(&self, client: &HttpClient, time: Duration);
}

/// What to work on, and how.
pub struct Job<'j> {
    /// The configuration.
    pub config: &'j Config,
    /// The clock.
    pub now: &'j dyn Fn() -> Timestamp,
    /// Ends the work.
    pub interrupt: &'j Interrupt,
    /// Goes on for ever, through every pause; otherwise only a trial is waited for.
    pub for_ever: bool,
    /// What the owner wants first.
    pub wish: Option<Wish<'j>>,
    /// What the owner wants later.
    pub owner: Option<&'j mut dyn Owner>,
}

/// How the work ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// Nothing is to be done before this time.
    Waiting(Option<(Timestamp, Why)>),
    /// The device restarts, or somebody has to restart it.
    Restarting,
    /// Somebody asked for an end.
    Interrupted,
}

/// What happened, and where the device stands.
#[derive(Debug)]
pub struct Outcome {
    /// How the work ended.
    pub end: End,
    /// What happened to releases since the work began, oldest first.
    pub events: Vec<Entry>,
    /// The release that runs now, where it is known.
    pub running: Option<perennial_device_core::journal::Content>,
    /// The release on trial was given up; the restart brings the old one back.
    pub falling_back: bool,
}

/// Works until there is nothing to do now.
///
/// # Errors
/// [`RunError`].
pub fn work(
    adapters: &mut Adapters,
    job: Job<'_>,
    teller: &RefCell<Teller<'_>>,
) -> Result<Outcome, RunError> {
    let Job { config, now, interrupt, for_ever, mut wish, mut owner } = job;
    let client = adapters.client();
    let mut beside = adapters.take_fleet().and_then(Beside::start);
    let mut seen = None;
    let mut restarts = 0;
    let mut screen = Screen::new(config);
    screen.refresh(now());
    loop {
        let mut notice = |notice: Notice<'_>| teller.borrow_mut().hear(&notice);
        let mut runner = adapters.runner(settings(config), &mut notice)?;
        let seen = *seen.get_or_insert_with(|| last_sequence(&runner));
        if let Some(wish) = wish.take() {
            wish(&mut runner, now())?;
        }
        let end = loop {
            teller.borrow_mut().look(runner.client());
            if interrupt.is_on() {
                break End::Interrupted;
            }
            if let Some(beside) = &mut beside {
                beside.turn(&mut runner, now());
            }
            if let Some(owner) = &mut owner {
                owner.hear(&mut runner, teller, now());
            }
            match runner.step(now()) {
                Ok(Step::Worked) => {}
                Ok(Step::Restarting) => break End::Restarting,
                Ok(Step::Waiting(Some((until, why)))) if for_ever || why == Why::Health => {
                    screen.refresh(now());
                    let seconds = until.unix().saturating_sub(now().unix()).max(1);
                    let told = beside.as_ref().map_or(seconds, |beside| beside.seconds_left(now()));
                    let seconds = seconds.min(told);
                    let seconds = Duration::from_secs(seconds.unsigned_abs()).min(NAP);
                    match &mut owner {
                        Some(owner) => {
                            owner.settle(&runner, teller, now());
                            owner.sleep(&client, seconds);
                        }
                        None => client.sleep(seconds),
                    }
                }
                Ok(Step::Waiting(why)) => break End::Waiting(why),
                Err(RunError::Journal(error)) if for_ever => {
                    tracing::error!(%error, "the journal can't be saved");
                    client.sleep(JOURNAL_PAUSE);
                }
                Err(error) => return Err(error),
            }
        };
        if let Some(owner) = &mut owner {
            owner.settle(&runner, teller, now());
        }
        restarts += 1;
        screen.refresh(now());
        if end == End::Restarting && config.boot.simulate && (for_ever || restarts < RESTARTS) {
            continue; // the simulator has chosen a slot: as if the device had started
        }
        if let Some(beside) = beside.as_mut().filter(|_| !for_ever && end != End::Interrupted) {
            beside.finish(&mut runner, now(), PATIENCE);
        }
        return Ok(outcome(&runner, end, seen));
    }
}

/// A pause by chance before the first check of a device that has just started, so that a fleet whose power came back
/// together does not come together: up to a tenth of the interval, at most five minutes.
pub fn first_pause(config: &Config) -> Duration {
    jittered(Duration::from_secs(u64::from(config.check_seconds / 10).min(300)))
}

/// The core's settings, as the configuration says.
pub fn settings(config: &Config) -> Settings {
    let spread = Duration::from_secs(u64::from(config.check_seconds) / 5);
    Settings {
        tries: config.boot.tries,
        restarts: config.boot.simulate || !config.hooks.reboot.is_empty(),
        check_seconds: config.check_seconds.into(),
        quiet: config.quiet(),
        delta_memory: u64::from(config.delta_memory_mib) << 20,
        jitter_seconds: i64::try_from(jittered(spread).as_secs()).unwrap_or(0),
        ..Settings::default()
    }
}

fn last_sequence(runner: &Runner<'_, Ring>) -> u64 {
    runner.client().journal().reports.history().last().map_or(0, |entry| entry.sequence)
}

fn outcome(runner: &Runner<'_, Ring>, end: End, seen: u64) -> Outcome {
    let journal = runner.client().journal();
    let events = journal.reports.history().iter().filter(|entry| entry.sequence > seen).cloned().collect();
    let running = runner.client().booted().and_then(|slot| journal.content(slot)).cloned();
    let falling_back = matches!(journal.state, State::Unhealthy { .. } | State::Retiring);
    Outcome { end, events, running, falling_back }
}
