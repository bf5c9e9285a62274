//! The simulation: time goes on in steps, and in each of them some devices poll, some installations end, the reports of both
//! reach the server, and the server looks at its rollouts.

use std::collections::{BTreeMap, BTreeSet};

use perennial_schemas::fleet::{CheckIn, Label, Ticket};
use perennial_schemas::report::{FailureCode, Outcome, Report};
use perennial_schemas::rollout::{Admission, RolloutStatus, Standing};
use perennial_schemas::tuf::TopRole;
use perennial_schemas::{Document, HardwareName, ProductName, Timestamp};

use super::offer::{Fate, Offer};
use super::server::Server;
use super::tell::Waits;
use super::thief::Thief;
use super::unit::{self, Life, Unit};
use crate::maker::{Maker, PRODUCT};
use crate::simulator::{Device, day};
use perennial_server::rollout::drive::Member;

/// Seconds of a step.
pub const STEP: i64 = 900;
/// The label of devices that may have their own time in a plan.
pub const EARLY: &str = "beta";
/// A device polls every so many steps: six hours.
const POLL: u32 = 24;
/// It checks in every so many polls: a day.
const CHECK_IN: u32 = 4;
/// The longest that an installation takes, in steps; it takes one at least.
const INSTALLING: u32 = 4;

/// What a fleet is made of.
#[derive(Debug, Clone)]
pub struct Makeup {
    /// Devices.
    pub devices: usize,
    /// Hardware revisions, with their share in parts per million.
    pub hardware: Vec<(HardwareName, u32)>,
    /// The share of devices that bear the label `beta`, in parts per million.
    pub beta: u32,
    /// At each poll, so many devices in a million are switched off for up to five days.
    pub resting: u32,
    /// The server looks who fell silent every so many steps.
    pub listens: u32,
    /// What luck begins with.
    pub seed: u64,
}

impl Makeup {
    /// So many devices of hardware revC.
    pub fn of(devices: usize) -> Self {
        let hardware = vec![("revC".parse().expect("a hardware name"), 1_000_000)];
        Self { devices, hardware, beta: 0, resting: 2000, listens: 4, seed: 344 }
    }
}

/// What devices see when they ask.
pub enum Serving {
    /// The server.
    Server,
    /// Nothing.
    Nobody,
    /// What the signers have exported, on somebody's web server: no statuses.
    Export,
}

/// The simulation.
pub struct World {
    /// The time.
    pub now: Timestamp,
    /// The signers.
    pub maker: Maker,
    /// The server, whether or not devices reach it.
    pub server: Server,
    /// What devices see.
    pub serving: Serving,
    /// Who holds the server's rollout key beside it, and answers in its place.
    pub thief: Option<Thief>,
    /// The releases, in the order in which they were offered.
    pub offers: Vec<Offer>,
    /// The devices.
    pub units: Vec<Unit>,
    /// Why devices that polled in the last six hours took nothing newer.
    pub waits: Waits,
    pub(super) makeup: Makeup,
    pub(super) step: u32,
    pub(super) random: fastrand::Rng,
    trusted: Option<Trusted>,
    /// A device that verifies for all.
    probe: Device,
    /// Installations under way, by the step in which they end: device and release.
    due: BTreeMap<u32, Vec<(usize, usize)>>,
    /// Reports that were not acknowledged yet.
    outbox: BTreeMap<usize, Vec<Report>>,
    /// Devices that check in with this step.
    check_ins: Vec<usize>,
    product: ProductName,
    labels: [BTreeSet<Label>; 2],
}

/// What devices have verified.
struct Trusted {
    /// When the product's role was signed.
    signed_at: Option<Timestamp>,
    /// Until when all of it holds.
    until: Timestamp,
    /// The lower bound of the time.
    bound: Timestamp,
    /// The timestamp that it was verified by.
    timestamp: Vec<u8>,
}

impl World {
    /// A fleet on day 1, enrolled at a server that was just set up.
    pub fn new(makeup: Makeup) -> Self {
        let mut maker = Maker::new();
        let now = day(1);
        let server = Server::new(now, |key| {
            maker.repository.root.common.expires = now.plus_days(3000);
            maker.repository.root.keys.insert(key.keyid.clone(), key.key.clone());
            maker.repository.top(TopRole::Timestamp).keyids.push(key.keyid.clone());
            maker.repository.publish_root();
            maker.repository.first_root().to_vec()
        });
        let mut random = fastrand::Rng::with_seed(makeup.seed);
        let units = (0..makeup.devices).map(|_| {
            let mut unit = Unit::new(drawn(&makeup.hardware, &mut random));
            unit.labelled = random.u32(0..1_000_000) < makeup.beta;
            unit
        });
        let units = units.collect();
        let probe = Device::born_with(maker.repository.first_root());
        let mut world = Self {
            now,
            maker,
            server,
            serving: Serving::Server,
            thief: None,
            offers: Vec::new(),
            units,
            waits: Waits::default(),
            makeup,
            step: 0,
            random,
            trusted: None,
            probe,
            due: BTreeMap::new(),
            outbox: BTreeMap::new(),
            check_ins: Vec::new(),
            product: PRODUCT.parse().expect("a product"),
            labels: [BTreeSet::new(), BTreeSet::from([EARLY.parse().expect("a label")])],
        };
        world.publish();
        world.enrol();
        world
    }

    fn enrol(&mut self) {
        let numbers: Vec<usize> = (0..self.units.len()).collect();
        // A million names at once would be the largest thing in memory.
        for some in numbers.chunks(10_000) {
            let enrolled: Vec<Member> = some.iter().map(|number| self.member(*number)).collect();
            self.server.enrol(&enrolled);
        }
    }

    /// Who a device is, as its certificate would say.
    fn member(&self, number: usize) -> Member {
        let unit = &self.units[number];
        Member {
            device: unit::id(number),
            product: self.product.clone(),
            hardware: self.makeup.hardware[usize::from(unit.hardware)].0.clone(),
            labels: self.labels[usize::from(unit.labelled)].clone(),
        }
    }

    /// Lets time go on by one step.
    pub fn advance(&mut self) {
        self.step += 1;
        self.now = self.now.plus_seconds(STEP);
        self.server.at(self.now);
        if self.step.is_multiple_of(POLL) {
            self.waits.turn();
        }
        self.verify();
        for (number, release) in self.due.remove(&self.step).unwrap_or_default() {
            self.end(number, release);
        }
        let first = (self.step % POLL) as usize;
        for number in (first..self.units.len()).step_by(POLL as usize) {
            if self.units[number].is_up(self.step) {
                self.poll(number);
            }
        }
        if matches!(self.serving, Serving::Server) {
            self.deliver();
            self.server.tick(self.step.is_multiple_of(self.makeup.listens));
        }
    }

    /// Bytes that the devices themselves take: what is no part of the server, nor of its signers.
    pub fn bytes(&self) -> usize {
        let offers: usize = self.offers.iter().map(Offer::bytes).sum();
        self.units.capacity() * size_of::<Unit>() + offers
    }

    /// What the device's own core makes of what is served.
    fn verify(&mut self) {
        let timestamp = self.file("metadata/timestamp.json");
        let Some(timestamp) = timestamp else { return self.trusted = None };
        let known = self.trusted.as_ref().is_some_and(|trusted| trusted.timestamp == timestamp);
        if !known {
            self.probe.clock = self.now;
            let channel = format!("{PRODUCT}/stable.channel.json");
            let found = match self.serving {
                Serving::Server => self.probe.find_valid(&mut self.server.metadata(), &channel),
                _ => self.probe.find_valid(&mut self.maker.repository, &channel),
            };
            self.trusted = found.ok().and_then(|(found, validity)| {
                let (_, until) = validity.earliest()?;
                Some(Trusted { signed_at: found?.signed_at, until, bound: validity.lower_bound(), timestamp })
            });
        }
        for number in 0..self.offers.len() {
            let text = self.status(number);
            self.offers[number].hear(text.as_deref());
        }
    }

    /// A file as devices see it.
    fn file(&self, path: &str) -> Option<Vec<u8>> {
        match self.serving {
            Serving::Server => self.server.get(path),
            Serving::Nobody => None,
            Serving::Export => self.maker.repository.files.get(path.strip_prefix("metadata/")?).cloned(),
        }
    }

    /// What devices get for the status of a release.
    fn status(&self, number: usize) -> Option<Vec<u8>> {
        if !matches!(self.serving, Serving::Server) {
            return None;
        }
        let honest = |number: usize| {
            self.server.get(&RolloutStatus::path(&self.product, &self.offers[number].version))
        };
        match &self.thief {
            Some(thief) => thief.status(&self.offers, number, self.now, &honest),
            None => honest(number),
        }
    }

    fn poll(&mut self, number: usize) {
        if self.random.u32(0..1_000_000) < self.makeup.resting {
            self.units[number].wakes = self.step + self.random.u32(1..=5 * 96);
            return;
        }
        let unit = self.units[number];
        if (self.step / POLL + number as u32).is_multiple_of(CHECK_IN) {
            self.check_ins.push(number);
        }
        if unit.liar {
            self.lie(number);
        }
        if unit.life == Life::Installing {
            return;
        }
        let Some(trusted) = &self.trusted else { return self.waits.unreachable() };
        let clock = self.now.plus_seconds(unit.clock).max(trusted.bound);
        if trusted.until <= clock {
            return self.waits.expired();
        }
        let standing = Standing { signed_at: trusted.signed_at };
        let hardware = &self.makeup.hardware[usize::from(unit.hardware)].0;
        let labels = &self.labels[usize::from(unit.labelled)];
        for release in (usize::from(unit.runs)..self.offers.len()).rev() {
            let offer = &mut self.offers[release];
            if !offer.offered || unit.has_failed(release) {
                continue;
            }
            match offer.ask(number, hardware, labels, standing, clock) {
                Admission::Now => return self.begin(number, release),
                other => self.waits.note(&other),
            }
        }
    }

    fn begin(&mut self, number: usize, release: usize) {
        self.units[number].life = Life::Installing;
        let ends = self.step + self.random.u32(1..=INSTALLING);
        self.due.entry(ends).or_default().push((number, release));
        self.report(number, release, Outcome::Started, None);
    }

    fn end(&mut self, number: usize, release: usize) {
        let hardware = &self.makeup.hardware[usize::from(self.units[number].hardware)].0;
        let drawn = self.random.u32(0..1_000_000);
        let fate = self.offers[release].build.fate(hardware, drawn);
        let unit = &mut self.units[number];
        unit.life = Life::Awake;
        match fate {
            Fate::Bricks => unit.life = Life::Dead,
            Fate::Works => {
                unit.runs = release as u8 + 1;
                self.report(number, release, Outcome::Installed, None);
                self.report(number, release, Outcome::Confirmed, None);
            }
            Fate::Fails => {
                unit.failed |= 1 << release;
                self.report(number, release, Outcome::Installed, None);
                self.report(number, release, Outcome::RolledBack, Some(FailureCode::Unhealthy));
            }
        }
    }

    /// A device says of the newest release that it has failed, whether or not it was offered.
    fn lie(&mut self, number: usize) {
        if let Some(newest) = self.offers.len().checked_sub(1) {
            self.report(number, newest, Outcome::RolledBack, Some(FailureCode::DidNotBoot));
        }
    }

    fn report(&mut self, number: usize, release: usize, outcome: Outcome, failure: Option<FailureCode>) {
        let (unit, offer) = (&mut self.units[number], &self.offers[release]);
        unit.sequence += 1;
        let report = Report {
            format: Report::FORMAT.into(),
            requires: Vec::new(),
            device: unit::id(number),
            sequence: unit.sequence.into(),
            at: self.now.plus_seconds(unit.clock),
            product: self.product.clone(),
            hardware: self.makeup.hardware[usize::from(unit.hardware)].0.clone(),
            version: offer.version.clone(),
            manifest: offer.manifest,
            outcome,
            failure,
            detail: String::new(),
        };
        self.outbox.entry(number).or_default().push(report);
    }

    /// Whoever is switched on hands in what was not acknowledged yet.
    fn deliver(&mut self) {
        let mut queues = Vec::new();
        for (number, reports) in std::mem::take(&mut self.outbox) {
            queues.push((self.member(number), reports));
        }
        self.server.report(queues);
        let check_ins = std::mem::take(&mut self.check_ins);
        let check_ins = check_ins.into_iter().map(|number| self.check_in(number)).collect();
        self.server.check_in(check_ins);
    }

    fn check_in(&mut self, number: usize) -> (Member, CheckIn, Ticket) {
        let member = self.member(number);
        let unit = &mut self.units[number];
        let shown = Some(ticket(number, unit.check_ins));
        unit.check_ins += 1;
        let runs = usize::from(unit.runs).checked_sub(1).map(|release| &self.offers[release]);
        let said = CheckIn {
            format: CheckIn::FORMAT.into(),
            requires: Vec::new(),
            at: self.now.plus_seconds(unit.clock),
            product: self.product.clone(),
            hardware: member.hardware.clone(),
            channel: "stable".parse().expect("a channel"),
            version: runs.map_or_else(|| "1.0.0".parse().expect("a version"), |offer| offer.version.clone()),
            security_version: 1,
            manifest: runs.map(|offer| offer.manifest),
            agent: "simulated".into(),
            attributes: BTreeMap::new(),
            ticket: shown,
        };
        (member, said, ticket(number, unit.check_ins))
    }
}

/// The ticket that a device is given at its check-in of that number; at 0, when it enrols.
fn ticket(number: usize, check_in: u32) -> Ticket {
    let digest = unit::digest(&check_in.to_be_bytes(), number);
    Ticket::of_bytes(digest.as_bytes().first_chunk().expect("a digest has 32 bytes"))
}

/// The number of the entry that luck has drawn.
fn drawn(hardware: &[(HardwareName, u32)], random: &mut fastrand::Rng) -> u8 {
    let mut drawn = random.u32(0..1_000_000);
    for (number, (_, share)) in hardware.iter().enumerate() {
        if drawn < *share {
            return number as u8;
        }
        drawn -= share;
    }
    hardware.len() as u8 - 1
}
