//! Releases with plans for unit tests.

use super::ballot::Ballot;
use super::drive::{Drive, Member};
use super::offers::{Board, Offer, Offers};
use super::record::{self, Record};
use super::tallies::{Strata, Tallies};
use super::votes::{MarkKey, Votes};
use crate::keys::FileKey;
use crate::site::Content;
use crate::store::{Batch, FjallStore, Pair, Settings, Space, Store, StoreError, Visit};
use perennial_device_core::crypto::Ring;
use perennial_schemas::key_file::KeyFile;
use perennial_schemas::report::Report;
use perennial_schemas::rollout::{
    EarlyGroup, Gate, OnDeadline, Phase, Plan, RolloutStatus, Salt, Spread, WHOLE,
};
use perennial_schemas::tuf::Key;
use perennial_schemas::{Document, HardwareName, Sha256Digest, Signed, Timestamp};
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

pub(crate) fn start() -> Timestamp {
    Timestamp::from_unix(1_800_000_000)
}

pub(crate) fn day(days: i64) -> Timestamp {
    start().plus_days(days)
}

pub(crate) fn hardware(name: &str) -> HardwareName {
    name.parse().unwrap()
}

/// 1 % at once, evenly to 20 % from day 2 on, all on day 4; revC and revD; devices labelled `ring=canary` a day before.
pub(crate) fn plan() -> Plan {
    let phase = |share, days, spread| Phase { share, not_before: day(days), spread };
    Plan {
        salt: Salt::new(vec![1; 16]).unwrap(),
        key: Key::ed25519(&[1; 32]),
        phases: vec![
            phase(10_000, 0, Spread::AtOnce),
            phase(200_000, 2, Spread::Linear),
            phase(WHOLE, 4, Spread::AtOnce),
        ],
        early: vec![EarlyGroup { labels: vec!["ring=canary".parse().unwrap()], not_before: day(-1) }],
        hardware: None,
        gate: Gate {
            ceiling_ppm: 20_000,
            alpha_ppm: 50_000,
            beta_ppm: 50_000,
            least_sample: 50,
            least_soak_seconds: 86_400,
        },
        max_hold_seconds: 14 * 86_400,
        on_deadline: OnDeadline::Consent,
        catch_up_seconds: 86_400,
        status_max_age_seconds: 86_400,
    }
}

pub(crate) fn offer(manifest: u8) -> Offer {
    let plan = plan();
    Offer {
        product: "thermostat".parse().unwrap(),
        version: format!("2.{manifest}.0").parse().unwrap(),
        manifest: Sha256Digest([manifest; 32]),
        key: plan.key.id(&Ring).unwrap(),
        plan,
        hardware: BTreeSet::from([hardware("revC"), hardware("revD")]),
        interruption: 60,
        postponable: Some(2),
        channels: BTreeSet::from(["stable".parse().unwrap()]),
        signed_at: Some(day(-7)),
        minimum: None,
    }
}

pub(crate) fn offers(offered: impl IntoIterator<Item = Offer>) -> Offers {
    let offered = offered.into_iter().map(|offer| (offer.manifest, Arc::new(offer))).collect();
    Offers { generation: Some(1), offered, ..Offers::default() }
}

pub(crate) fn votes(confirmed: u64, failed: u64, rolled_back: u64) -> Votes {
    Votes { confirmed, failed, rolled_back, ..Votes::default() }
}

/// A server's rollout key, in a file.
pub(crate) fn key(folder: &Path) -> (FileKey, Key) {
    let key = FileKey::create(folder, "rollout", "rollout").unwrap();
    let text = crate::disk::read(&folder.join("rollout.pub.json"), 4096).unwrap();
    (key, KeyFile::parse(&text).unwrap().key)
}

/// The writer and the engine over a store in a folder, with one release on offer.
pub(crate) struct Bench {
    pub(crate) drive: Option<Drive>,
    pub(crate) offer: Offer,
    pub(crate) folder: tempfile::TempDir,
    pub(crate) sequence: u64,
}

impl Bench {
    /// Three days before the plan's first phase.
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut offer = offer(1);
        offer.plan.key = key(folder.path()).1;
        offer.key = offer.plan.key.id(&Ring).unwrap();
        let mut bench = Self { drive: None, offer, folder, sequence: 0 };
        bench.start(day(-3));
        bench
    }

    /// Starts anew, as after a kill: nothing is known but what the store holds.
    pub(crate) fn start(&mut self, at: Timestamp) {
        self.start_with(Settings::default(), at);
    }

    pub(crate) fn start_with(&mut self, settings: Settings, at: Timestamp) {
        self.drive = None;
        let store = FjallStore::open(&self.folder.path().join("store"), settings).unwrap();
        self.start_on(Arc::new(store), at);
    }

    /// The same on another store.
    pub(crate) fn start_on(&mut self, store: Arc<dyn Store>, at: Timestamp) {
        self.drive = None;
        self.drive = Some(self.beside(store, at));
    }

    /// Another one over a store: the same folder, release and keys.
    pub(crate) fn beside(&self, store: Arc<dyn Store>, at: Timestamp) -> Drive {
        let key = Box::new(key(self.folder.path()).0);
        let offers = offers([self.offer.clone()]);
        let usual = Duration::from_secs(3 * 86_400);
        Drive::new(store, key, &[7; 32], offers, usual, at).unwrap()
    }

    pub(crate) fn drive(&self) -> &Drive {
        self.drive.as_ref().unwrap()
    }

    pub(crate) fn store(&self) -> &dyn Store {
        self.drive().store.as_ref()
    }

    /// A turn at a time.
    pub(crate) fn tick(&self, at: Timestamp) -> Vec<&'static str> {
        self.drive().set(at);
        self.drive().engine.tick(at).unwrap().iter().map(|change| change.action).collect()
    }

    /// Turns up to a time, often enough for a status to be there all along.
    pub(crate) fn wait(&self, until: Timestamp) -> Vec<&'static str> {
        let half = self.offer.plan.status_max_age_seconds as i64 / 2;
        let mut changes = Vec::new();
        let mut at = self.drive().now();
        while at < until {
            changes.extend(self.tick(at));
            at = at.plus_seconds(half);
        }
        changes
    }

    /// Devices, enrolled now.
    pub(crate) fn members(&self, count: u32, of: &str) -> Vec<Member> {
        let members: Vec<Member> = (0..count)
            .map(|number| Member {
                device: format!("{of}-{number}").parse().unwrap(),
                product: "thermostat".parse().unwrap(),
                hardware: hardware(of),
                labels: BTreeSet::new(),
            })
            .collect();
        self.drive().enrol(&members).unwrap();
        members
    }

    /// One more report of a device.
    pub(crate) fn told(&mut self, member: &Member, outcome: &str) -> (Member, Vec<Report>) {
        self.sequence += 1;
        let report = serde_json::from_value(serde_json::json!({
            "format": "perennial.report/1", "requires": [], "device": member.device, "sequence": self.sequence,
            "at": self.drive().now(), "product": member.product, "hardware": member.hardware,
            "version": self.offer.version, "manifest": self.offer.manifest, "outcome": outcome,
        }));
        (member.clone(), vec![report.unwrap()])
    }

    /// Failures with their code, one after another.
    pub(crate) fn fail(&mut self, members: &[Member], outcome: &str, code: u16) {
        for member in members {
            let (member, mut reports) = self.told(member, outcome);
            reports.iter_mut().for_each(|report| report.failure = Some(code.into()));
            self.drive().report(vec![(member, reports)]).unwrap();
            self.drive().set(self.drive().now().plus_seconds(1));
        }
    }

    pub(crate) fn report(&mut self, members: &[Member], outcome: &str) {
        let queues: Vec<_> = members.iter().map(|member| self.told(member, outcome)).collect();
        self.drive().report(queues).unwrap();
    }

    pub(crate) fn votes(&self) -> Strata {
        self.drive().engine.ballot().tallies.of(&self.offer.manifest).unwrap_or_default()
    }

    /// The votes as the marks have them.
    pub(crate) fn recounted(&self) -> Strata {
        let fresh = Tallies::default();
        fresh.recount(self.store(), &self.offer.manifest, &|| {}).unwrap();
        fresh.of(&self.offer.manifest).unwrap()
    }

    pub(crate) fn record(&self) -> Record {
        record::all(self.store()).unwrap().whole.remove(&self.offer.manifest).unwrap().0
    }

    /// The status as a device would take it.
    pub(crate) fn status(&self) -> RolloutStatus {
        let shown = self.drive().engine.shown().load_full();
        let path = format!("/rollouts/thermostat/{}.json", self.offer.version);
        let Content::Memory(text) = &shown.get(path.as_str()).unwrap().content else { panic!() };
        let signed = Signed::<RolloutStatus>::parse(text).unwrap();
        let (plan, product) = (&self.offer.plan, &self.offer.product);
        let status = RolloutStatus::verify(signed, plan, product, &self.offer.manifest, &Ring).unwrap();
        status.check_current(plan, 0, self.drive().now()).unwrap();
        status.into_inner()
    }
}

/// The store of a bench, with something odd about it. Others write into it, too, unseen by whoever holds it.
pub(crate) struct Odd {
    pub(crate) inner: Arc<dyn Store>,
    /// The space that can't be read.
    pub(crate) unreadable: Option<Space>,
    /// What the next commit comes to.
    pub(crate) fails: Mutex<Option<StoreError>>,
}

impl Odd {
    /// Nothing else is odd as yet.
    pub(crate) fn over(bench: &Bench) -> Self {
        Self { inner: Arc::clone(&bench.drive().store), unreadable: None, fails: Mutex::default() }
    }

    fn read(&self, space: Space) -> Result<&dyn Store, StoreError> {
        let what = || StoreError::Corrupt(format!("{} at offset 4096", space.name()));
        if self.unreadable == Some(space) { Err(what()) } else { Ok(&self.inner) }
    }
}

impl Store for Odd {
    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.read(space)?.get(space, key)
    }

    fn scan_prefix(
        &self,
        space: Space,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<Pair>, StoreError> {
        self.read(space)?.scan_prefix(space, prefix, after, limit)
    }

    fn scan_back(
        &self,
        space: Space,
        prefix: &[u8],
        before: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<Pair>, StoreError> {
        self.read(space)?.scan_back(space, prefix, before, limit)
    }

    fn last(&self, space: Space) -> Result<Option<Pair>, StoreError> {
        self.inner.last(space)
    }

    fn walk(&self, visit: &mut Visit<'_>) -> Result<(), StoreError> {
        self.inner.walk(visit)
    }

    fn commit(&self, batch: Batch) -> Result<(), StoreError> {
        match self.fails.lock().unwrap().take() {
            Some(error) => Err(error),
            None => self.inner.commit(batch),
        }
    }
}

/// Where votes on these releases are taken.
pub(crate) fn ballot(offered: impl IntoIterator<Item = Offer>) -> Arc<Ballot> {
    Arc::new(Ballot {
        board: Arc::new(Board::of(offers(offered))),
        own: plan().key.id(&Ring).unwrap(),
        key: MarkKey::new(&[7; 32]),
        tallies: Arc::default(),
        reached: Default::default(),
    })
}
