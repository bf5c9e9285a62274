use super::desk;
use super::erase::erase_while;
use super::event::Event;
use super::figures::Figures;
use super::fold::{Act, Done, Enrol, Operation, Who};
use super::releases::{Releases, Shelf};
use super::row::{Row, Standing};
use super::sweep::Sweep;
use super::testkit::{Maker, now};
use super::writer::{Fault, Means, Writer, start};
use crate::io::Hand;
use crate::records::restored::Restored;
use crate::steady::Steady;
use crate::store::{Batch, FjallStore, Pair, Settings, Space, Store, StoreError, Visit};
use perennial_schemas::Timestamp;
use perennial_schemas::fleet::{CheckIn, DeviceId, Flag, RefusalCode, ReportQueue, Ticket};
use std::sync::atomic::{AtomicI64, AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A real store whose commits can be made to fail, as those of a database that is away for a minute.
struct Weather {
    store: FjallStore,
    /// 0 fair, 1 away, 2 full, 3 somebody else is faster once, 4 full once, 5 panics once.
    now: AtomicU8,
    /// Records that were asked for.
    reads: AtomicUsize,
    /// Commits wait for it.
    gate: Mutex<()>,
}

impl Store for Weather {
    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        match self.now.load(Ordering::SeqCst) {
            1 => Err(StoreError::Engine { operation: "read", reason: "connection refused".into() }),
            _ => self.store.get(space, key),
        }
    }

    fn scan_prefix(
        &self,
        space: Space,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<Pair>, StoreError> {
        self.store.scan_prefix(space, prefix, after, limit)
    }

    fn scan_back(
        &self,
        space: Space,
        prefix: &[u8],
        before: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<Pair>, StoreError> {
        self.store.scan_back(space, prefix, before, limit)
    }

    fn last(&self, space: Space) -> Result<Option<Pair>, StoreError> {
        self.store.last(space)
    }

    fn walk(&self, visit: &mut Visit<'_>) -> Result<(), StoreError> {
        self.store.walk(visit)
    }

    fn moment(&self) -> Option<u64> {
        self.store.moment()
    }

    fn commit(&self, batch: Batch) -> Result<(), StoreError> {
        if self.now.compare_exchange(5, 0, Ordering::SeqCst, Ordering::SeqCst).is_ok() {
            panic!("of a test");
        }
        let _gate = self.gate.lock().unwrap();
        match self.now.load(Ordering::SeqCst) {
            2 => return Err(StoreError::Full("of a test".into())),
            4 => {
                self.now.store(0, Ordering::SeqCst);
                return Err(StoreError::Full("of a test".into()));
            }
            3 => {
                self.now.store(0, Ordering::SeqCst);
                // Revoked at that very moment, by somebody else.
                let device: DeviceId = "d-1".parse().unwrap();
                assert!(
                    desk::revoke(&self.store, &device, "command", "stolen", false, Timestamp::EPOCH)
                        .unwrap()
                        .unwrap()
                );
            }
            _ => {}
        }
        self.store.commit(batch)
    }
}

struct Bench {
    store: Arc<Weather>,
    writer: Option<Writer>,
    thread: Option<std::thread::JoinHandle<()>>,
    clock: Arc<AtomicI64>,
    folder: tempfile::TempDir,
}

impl Bench {
    fn new(queue: usize, reserve: u64) -> Self {
        let settings = Settings { reserve, ..Settings::default() };
        let folder = tempfile::tempdir().unwrap();
        let store = FjallStore::open(&folder.path().join("store"), settings).unwrap();
        let store = Arc::new(Weather {
            store,
            now: AtomicU8::new(0),
            reads: AtomicUsize::new(0),
            gate: Mutex::new(()),
        });
        let clock = Arc::new(AtomicI64::new(1_800_000_000));
        let shared: Arc<dyn Store> = Arc::clone(&store) as _;
        let at = Arc::clone(&clock);
        let (writer, thread) = start(Means {
            releases: Arc::new(Shelf::of(Arc::clone(&shared), Releases::default())),
            store: shared,
            trust: None,
            ballot: crate::rollout::testkit::ballot([]),
            figures: Arc::new(Figures::new(&prometheus::Registry::new()).unwrap()),
            now: Arc::new(move || Timestamp::from_unix(at.load(Ordering::SeqCst))),
            queue,
            restored: Restored::default(),
            keep: Duration::from_secs(86_400),
        })
        .unwrap();
        Self { store, writer: Some(writer), thread: Some(thread), clock, folder }
    }

    fn write(&self, operations: Vec<Operation>) -> Result<Vec<super::fold::Verdict>, Fault> {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(self.writer.as_ref().unwrap().write(operations))
    }

    fn row(&self, device: &str) -> Option<Row> {
        desk::row(&self.store.store, &device.parse().unwrap()).unwrap()
    }

    fn events(&self, device: &str) -> usize {
        let prefix = Event::prefix(&device.parse().unwrap());
        self.store.store.scan_prefix(Space::Reports, &prefix, None, 1000).unwrap().len()
    }

    /// Everything that was taken is written, and the thread ends.
    fn end(&mut self) {
        self.writer = None;
        self.thread.take().unwrap().join().unwrap();
    }
}

fn reports(device: &str, sequences: std::ops::RangeInclusive<u64>) -> Operation {
    let device: DeviceId = device.parse().unwrap();
    let one = |sequence: u64| {
        serde_json::from_value(serde_json::json!({
            "format": "perennial.report/1", "requires": [], "device": device, "sequence": sequence,
            "at": "2026-11-22T10:00:00Z", "product": "thermostat", "hardware": "revC", "version": "2.1.0",
            "manifest": "ab".repeat(32), "outcome": "started",
        }))
        .unwrap()
    };
    let queue = ReportQueue::new(device.clone(), sequences.map(one).collect());
    Operation { who: Who::Lab(device), act: Act::Reports(queue) }
}

fn check_in(device: &str) -> Operation {
    let said: CheckIn = serde_json::from_value(serde_json::json!({
        "format": "perennial.check-in/1", "requires": [], "at": "2027-01-15T08:00:00Z", "product": "thermostat",
        "hardware": "revC", "channel": "stable", "version": "2.1.0", "security_version": 1, "agent": "a 1",
    }))
    .unwrap();
    let act = Act::CheckIn(Box::new(said), Ticket::of_bytes(&[1; 16]));
    Operation { who: Who::Lab(device.parse().unwrap()), act }
}

fn acknowledged(number: u64) -> super::fold::Verdict {
    Ok(Done::Acknowledged { acknowledged: number, flagged: Vec::new() })
}

#[test]
fn what_is_answered_is_in_the_store_and_counted_once() {
    let mut bench = Bench::new(1000, 0);
    let verdicts = bench.write(vec![reports("d-1", 1..=3), reports("d-2", 1..=1), check_in("d-1")]).unwrap();
    assert_eq!(verdicts, [acknowledged(3), acknowledged(1), Ok(Done::CheckedIn { acknowledged: 3 })]);
    assert_eq!((bench.events("d-1"), bench.events("d-2")), (3, 1));
    // Twice in one batch, and again after a restart of the client.
    let verdicts = bench.write(vec![reports("d-1", 2..=5), reports("d-1", 4..=6)]).unwrap();
    assert_eq!(verdicts.len(), 2);
    assert_eq!((bench.events("d-1"), bench.row("d-1").unwrap().reports), (6, 6));
    bench.end();
    assert!(bench.folder.path().exists());
}

#[test]
fn a_store_that_is_away_loses_nothing_that_was_acknowledged_and_works_again_when_it_is_back() {
    let bench = Bench::new(1000, 0);
    assert_eq!(bench.write(vec![reports("d-1", 1..=2)]).unwrap(), [acknowledged(2)]);
    bench.store.now.store(1, Ordering::SeqCst);
    assert_eq!(bench.write(vec![reports("d-1", 3..=4)]).unwrap_err(), Fault::Unavailable);
    bench.store.now.store(2, Ordering::SeqCst);
    assert_eq!(bench.write(vec![reports("d-1", 3..=4)]).unwrap_err(), Fault::Full);
    bench.store.now.store(0, Ordering::SeqCst);
    assert_eq!(bench.events("d-1"), 2);
    assert_eq!(bench.write(vec![reports("d-1", 3..=4)]).unwrap(), [acknowledged(4)]);
    assert_eq!((bench.events("d-1"), bench.row("d-1").unwrap().gaps), (4, 0));
}

#[test]
fn below_the_reserve_nothing_is_written_and_nothing_is_lost() {
    let bench = Bench::new(1000, u64::MAX);
    assert_eq!(bench.write(vec![reports("d-1", 1..=2)]).unwrap_err(), Fault::Full);
    assert!(bench.row("d-1").is_none());
}

#[test]
#[expect(clippy::await_holding_lock, reason = "the writer's thread, and nobody here, waits for it")]
fn past_the_queues_limit_the_answer_is_busy_at_once() {
    let bench = Bench::new(10, 0);
    let writer = bench.writer.clone().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let closed = bench.store.gate.lock().unwrap();
        let waiting = {
            let first = writer.write(vec![reports("d-1", 1..=8)]);
            let second = writer.write(vec![reports("d-2", 1..=8)]);
            tokio::pin!(first);
            // Polled once, it waits in the queue; the next one finds no room.
            tokio::select! {
                biased;
                _ = &mut first => panic!("it isn't durable yet"),
                refused = second => assert_eq!(refused.unwrap_err(), Fault::Busy),
            }
            drop(closed);
            first.await
        };
        assert_eq!(waiting.unwrap(), [acknowledged(8)]);
        assert_eq!(writer.write(vec![reports("d-2", 1..=8)]).await.unwrap(), [acknowledged(8)]);
    });
}

/// Large jobs one after the other: the second is folded while the first is on its way.
#[test]
#[expect(clippy::await_holding_lock, reason = "the writer's threads, and nobody here, wait for it")]
fn what_is_folded_ahead_counts_once_and_is_folded_anew_where_the_batch_before_it_changes() {
    // The first is written; or somebody else was faster; or it finds the disk full.
    for weather in [0, 3, 4] {
        let bench = Bench::new(10_000, 0);
        bench.write(vec![reports("d-1", 1..=1)]).unwrap();
        let writer = bench.writer.clone().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let job = |first: u64| {
            let others = (0..5).map(|n| reports(&format!("e-{first}-{n}"), 1..=100));
            [reports("d-1", first..=first + 99)].into_iter().chain(others).collect::<Vec<_>>()
        };
        let answers = runtime.block_on(async {
            let closed = bench.store.gate.lock().unwrap();
            let mut jobs: Vec<_> = [2, 102, 202, 102].map(|first| Box::pin(writer.write(job(first)))).into();
            for (number, job) in jobs.iter_mut().enumerate() {
                let reads = bench.store.reads.load(Ordering::SeqCst);
                tokio::select! {
                    biased;
                    _ = job => panic!("it isn't durable yet"),
                    () = std::future::ready(()) => {}
                }
                // It is folded, though nothing can be written; later ones wait.
                while number < 2 && bench.store.reads.load(Ordering::SeqCst) == reads {
                    std::thread::yield_now();
                }
            }
            bench.store.now.store(weather, Ordering::SeqCst);
            drop(closed);
            let mut answers = Vec::new();
            for job in jobs {
                let verdicts = job.await;
                answers.push(verdicts.map(|mut verdicts| match verdicts.swap_remove(0).unwrap() {
                    Done::Acknowledged { acknowledged, flagged } => (acknowledged, flagged.len()),
                    other => panic!("{other:?}"),
                }));
            }
            answers
        });
        let first = if weather == 4 { Err(Fault::Full) } else { Ok((101, 0)) };
        assert_eq!(answers, [first, Ok((201, 0)), Ok((301, 0)), Ok((201, 100))], "{weather}");
        let (row, missing) = (bench.row("d-1").unwrap(), if weather == 4 { 100 } else { 0 });
        assert_eq!((row.last_sequence, row.reports, row.gaps), (301, 301 - missing, missing), "{weather}");
        assert_eq!((bench.events("d-1") as u64, bench.events("e-102-4")), (301 - missing, 100));
        assert_eq!(row.revoked.is_some(), weather == 3);
    }
}

#[test]
fn a_row_that_somebody_else_changed_is_folded_anew() {
    let bench = Bench::new(1000, 0);
    bench.write(vec![reports("d-1", 1..=1)]).unwrap();
    bench.store.now.store(3, Ordering::SeqCst);
    bench.write(vec![reports("d-1", 2..=2)]).unwrap();
    let row = bench.row("d-1").unwrap();
    assert!(row.revoked.is_some(), "the revocation isn't overwritten");
    assert_eq!((row.last_sequence, bench.events("d-1")), (2, 2));
}

#[test]
fn last_heard_of_is_written_behind_and_never_brings_a_device_back() {
    let mut bench = Bench::new(1000, 0);
    bench.write(vec![reports("d-1", 1..=1)]).unwrap();
    bench.clock.fetch_add(100, Ordering::SeqCst);
    let writer = bench.writer.clone().unwrap();
    writer.seen(&"d-1".parse().unwrap());
    writer.seen(&"never-known".parse().unwrap());
    drop(writer);
    bench.end();
    assert_eq!(bench.row("d-1").unwrap().last_seen, Timestamp::from_unix(1_800_000_100));
    assert!(bench.row("never-known").is_none());
}

#[test]
fn a_damaged_row_is_left_as_it_is_and_holds_nobody_else_up() {
    let bench = Bench::new(1000, 0);
    bench.store.store.commit(Batch::new().put(Space::Devices, *b"d-1", *b"?")).unwrap();
    let verdicts = bench.write(vec![reports("d-1", 1..=1), reports("d-2", 1..=1)]).unwrap();
    assert!(verdicts[0].is_err());
    assert_eq!(verdicts[1], acknowledged(1));
    assert_eq!(bench.store.store.get(Space::Devices, b"d-1").unwrap().unwrap(), b"?");
}

#[test]
fn a_damaged_record_of_a_key_refuses_its_own_enrolment_and_holds_nobody_else_up() {
    let bench = Bench::new(1000, 0);
    let maker = Maker::new();
    let factory = maker.identify(&maker.factory(1, |_| {}));
    let (_, credential) = maker.fleet(&factory, now());
    let store = &bench.store.store;
    let damaged = *credential.key.as_bytes();
    store.commit(Batch::new().put(Space::Keys, damaged, *b"?")).unwrap();
    let enrol = |credential| {
        let act = Act::Enrol(Box::new(Enrol { credential, ticket: Ticket::of_bytes(&[1; 16]) }));
        Operation { who: Who::Device(Arc::clone(&factory)), act }
    };
    let verdicts = bench.write(vec![enrol(credential), reports("d-2", 1..=1)]).unwrap();
    assert_eq!(verdicts, [Err(RefusalCode::Internal), acknowledged(1)]);
    assert!(bench.row(factory.name.device.as_str()).is_none());
    assert_eq!(store.get(Space::Keys, &damaged).unwrap().unwrap(), b"?");
    // Another key of the same device is none of its business.
    let (_, credential) = maker.fleet(&factory, now());
    assert_eq!(bench.write(vec![enrol(credential)]).unwrap(), [Ok(Done::Enrolled { epoch: 1 })]);
}

#[test]
fn who_was_heard_of_is_written_down_though_a_row_changes_at_that_moment() {
    let mut bench = Bench::new(1000, 0);
    bench.write(vec![reports("d-1", 1..=1), reports("d-2", 1..=1)]).unwrap();
    bench.clock.fetch_add(100, Ordering::SeqCst);
    let writer = bench.writer.clone().unwrap();
    ["d-1", "d-2"].iter().for_each(|device| writer.seen(&device.parse().unwrap()));
    bench.store.now.store(3, Ordering::SeqCst);
    drop(writer);
    bench.end();
    assert_eq!(bench.store.now.load(Ordering::SeqCst), 0, "somebody else was faster");
    let seen = |device: &str| bench.row(device).unwrap().last_seen;
    assert_eq!([seen("d-1"), seen("d-2")], [Timestamp::from_unix(1_800_000_100); 2]);
    assert!(bench.row("d-1").unwrap().revoked.is_some());
}

#[test]
fn what_is_erased_is_gone_and_what_is_revoked_stays_so() {
    let bench = Bench::new(1000, 0);
    bench.write(vec![reports("d-1", 1..=5), check_in("d-1"), reports("d-10", 1..=1)]).unwrap();
    let (store, device) = (&bench.store.store, "d-1".parse().unwrap());
    let now = Timestamp::from_unix(1_800_000_000);
    let receipt = desk::erase(store, &device, desk::DEVICE, now).unwrap().unwrap();
    assert_eq!((receipt.erased.reports, receipt.erased.check_ins), (5, 1));
    assert_eq!(crate::audit::head(store).unwrap().digest, receipt.audit.digest);
    let entry = crate::audit::entries(store, 0, 10).unwrap().remove(0);
    assert!(!format!("{entry:?}").contains("d-1"), "{entry:?}");
    assert!(bench.row("d-1").is_none() && bench.events("d-1") == 0 && bench.events("d-10") == 1);
    assert!(desk::erase(store, &device, desk::DEVICE, now).unwrap().is_none());

    assert!(desk::revoke(store, &"d-10".parse().unwrap(), "command", "stolen", false, now).unwrap().unwrap());
    assert!(!desk::revoke(store, &"d-10".parse().unwrap(), "command", "again", false, now).unwrap().unwrap());
    let receipt = desk::erase(store, &"d-10".parse().unwrap(), "command", now).unwrap().unwrap();
    assert_eq!(receipt.kept.len(), 4);
    assert!(bench.row("d-10").unwrap().revoked.is_some() && bench.events("d-10") == 0);
}

#[test]
fn a_sweep_removes_what_is_past_its_time_and_nothing_else() {
    let bench = Bench::new(1000, 0);
    bench.write(vec![reports("d-1", 1..=2), reports("d-2", 1..=1), reports("d-3", 1..=1)]).unwrap();
    let store = &bench.store.store;
    for device in ["d-3", "d-33"] {
        desk::revoke(store, &device.parse().unwrap(), "command", "stolen", true, Timestamp::EPOCH).unwrap();
    }
    bench.clock.fetch_add(40 * 86_400, Ordering::SeqCst);
    bench.write(vec![reports("d-1", 3..=3)]).unwrap();
    let days = |days: u64| crate::config::Span::seconds(days * 86_400);
    let keep = crate::config::fleet::Keep { reports: days(30), devices: days(35) };
    let now = Timestamp::from_unix(bench.clock.load(Ordering::SeqCst));
    let mut sweep = Sweep::new(&keep);
    // Told to stop, it begins nothing more.
    assert_eq!((0..10).filter(|_| sweep.step(store, now, &|| true).unwrap()).count(), 0);
    assert!(bench.row("d-2").is_some());
    assert!((0..10).any(|_| sweep.step(store, now, &|| false).unwrap()));
    assert_eq!((sweep.swept.reports, sweep.swept.devices), (4, 1));
    assert_eq!((bench.events("d-1"), bench.row("d-1").is_some()), (1, true));
    assert!(bench.row("d-2").is_none() && bench.row("d-3").is_some() && bench.row("d-33").is_some());
}

#[test]
fn a_device_that_is_heard_of_while_it_is_erased_for_its_silence_stays() {
    let bench = Bench::new(1000, 0);
    bench.write(vec![reports("d-1", 1..=3)]).unwrap();
    let silent = bench.row("d-1").unwrap().last_seen;
    let asked = std::cell::Cell::new(0);
    let still = |row: Option<&Row>| {
        asked.set(asked.get() + 1);
        let silent = row.unwrap().last_seen == silent;
        if asked.get() == 1 {
            // Between the look and the commit.
            bench.clock.fetch_add(100, Ordering::SeqCst);
            bench.write(vec![reports("d-1", 4..=4)]).unwrap();
        }
        silent
    };
    let store = &bench.store.store;
    assert_eq!(erase_while(store, &"d-1".parse().unwrap(), "server", now(), &still).unwrap(), None);
    assert_eq!((asked.get(), bench.events("d-1")), (2, 4));
}

#[test]
fn a_sweep_erases_few_devices_in_one_step() {
    let bench = Bench::new(1000, 0);
    bench.write((1..=40).map(|number| reports(&format!("d-{number}"), 1..=1)).collect()).unwrap();
    let day = crate::config::Span::seconds(86_400);
    let keep = crate::config::fleet::Keep { reports: day, devices: day };
    let now = Timestamp::from_unix(1_800_000_000).plus_days(3);
    let mut sweep = Sweep::new(&keep);
    let mut steps = vec![0];
    while !sweep.step(&bench.store.store, now, &|| false).unwrap() {
        steps.push(sweep.swept.devices);
    }
    assert!(steps.windows(2).all(|pair| pair[1] - pair[0] <= 16), "{steps:?}");
    assert_eq!((sweep.swept.devices, sweep.swept.reports), (40, 40));
}

#[test]
fn a_fault_while_a_batch_is_committed_refuses_that_batch_and_no_later_one() {
    let mut bench = Bench::new(1000, 0);
    bench.store.now.store(5, Ordering::SeqCst);
    assert_eq!(bench.write(vec![reports("d-1", 1..=2)]), Err(Fault::Unavailable));
    assert_eq!(bench.write(vec![reports("d-1", 1..=2)]).unwrap(), [acknowledged(2)]);
    bench.end();
}

#[test]
fn a_clock_that_is_wrong_for_a_moment_erases_no_device_and_no_report() {
    let bench = Bench::new(1000, 0);
    bench.write(vec![reports("d-1", 1..=2)]).unwrap();
    let store = &bench.store.store;
    let hand = Hand::at(Timestamp::from_unix(bench.clock.load(Ordering::SeqCst)));
    let mut steady = Steady::new(hand.clock());
    let keep = crate::config::fleet::Keep::default();
    let mut swept = |store| {
        let mut sweep = Sweep::new(&keep);
        while !sweep.step(store, steady.now(store).unwrap(), &|| false).unwrap() {}
        (sweep.swept.reports, sweep.swept.devices)
    };
    let right = hand.now();
    assert_eq!(swept(store), (0, 0));
    hand.set(right.plus_days(1200));
    assert_eq!(swept(store), (0, 0));
    hand.set(right);
    assert_eq!(swept(store), (0, 0));
    // The clock was wrong when the device was heard of last, and it is years behind.
    let mut row = bench.row("d-1").unwrap();
    row.last_seen = right.plus_days(-2000);
    store.commit(Batch::new().put(Space::Devices, *b"d-1", row.encode())).unwrap();
    let mut sweep = Sweep::new(&keep);
    while !sweep.step(store, right, &|| false).unwrap() {}
    assert!(bench.row("d-1").is_some() && bench.events("d-1") == 2);
}

#[test]
fn damaged_rows_are_told_and_passed_over_and_can_be_erased() {
    let bench = Bench::new(1000, 0);
    bench.write(vec![reports("d-1", 1..=1), reports("d-3", 1..=1)]).unwrap();
    let store = &bench.store.store;
    store
        .commit(Batch::new().put(Space::Devices, *b"d-2", *b"?").put(Space::Devices, *b"\xff", *b""))
        .unwrap();
    let page = desk::list(store, &desk::Filter::default(), None, 10).unwrap();
    let ids: Vec<&str> = page.devices.iter().map(|one| one.device.as_str()).collect();
    assert_eq!((ids, page.next), (vec!["d-1", "d-3"], None));
    assert_eq!(page.damaged, ["d-2", "\\xff"]);
    let page = desk::list(store, &desk::Filter::default(), None, 1).unwrap();
    let rest = desk::list(store, &desk::Filter::default(), page.next.as_ref(), 1).unwrap();
    assert_eq!(rest.devices[0].device.as_str(), "d-3");
    let counted = desk::count(store).unwrap();
    assert_eq!((counted.by[&Standing::Lab], counted.damaged), (2, 2));
    let receipt = desk::erase(store, &"d-2".parse().unwrap(), "command", now()).unwrap().unwrap();
    assert!(receipt.kept.iter().any(|kept| kept.contains("damaged")), "{:?}", receipt.kept);
    assert_eq!(desk::count(store).unwrap().damaged, 1);
}

#[test]
fn what_is_kept_of_a_revoked_device_is_told_truly() {
    let bench = Bench::new(1000, 0);
    let maker = Maker::new();
    let factory = maker.identify(&maker.factory(1, |_| {}));
    let (_, credential) = maker.fleet(&factory, now());
    let fleet_key = *credential.key.as_bytes();
    let act = Act::Enrol(Box::new(Enrol { credential, ticket: Ticket::of_bytes(&[1; 16]) }));
    bench.write(vec![Operation { who: Who::Device(Arc::clone(&factory)), act }]).unwrap();
    let (store, device) = (&bench.store.store, &factory.name.device);
    assert!(desk::revoke(store, device, "command", "stolen", false, now()).unwrap().unwrap());
    let receipt = desk::erase(store, device, "command", now()).unwrap().unwrap();
    assert_eq!(receipt.erased.keys, 1);
    assert!(receipt.kept.iter().any(|kept| kept.contains("revoked") && kept.contains("factory")));
    assert!(receipt.kept.iter().any(|kept| kept.contains("exports")), "{:?}", receipt.kept);
    assert_eq!(store.get(Space::Keys, &fleet_key).unwrap(), None);
    assert!(store.get(Space::Keys, factory.key.as_bytes()).unwrap().is_some());
    let row = bench.row(device.as_str()).unwrap();
    assert_eq!((row.fleet, row.check_in, row.revoked.is_some()), (None, None, true));
}

#[test]
fn the_newest_reports_are_shown_first_and_earlier_ones_page_by_page() {
    let bench = Bench::new(1000, 0);
    bench.write(vec![reports("d-1", 1..=5), reports("d-10", 1..=1)]).unwrap();
    let (store, device) = (&bench.store.store, "d-1".parse().unwrap());
    let mut before = None;
    let mut seen = Vec::new();
    loop {
        let held = desk::show(store, &device, before, 2).unwrap().unwrap();
        seen.push(held.events.iter().map(|event| event.sequence).collect::<Vec<_>>());
        match held.next {
            Some(next) => before = Some(next.to_string().parse().unwrap()),
            None => break,
        }
    }
    assert_eq!(seen, [vec![5, 4], vec![3, 2], vec![1]]);
    for wrong in ["", "1", "1.", ".1", "-1.2", "1.2.3", "1.+2", "4294967296.1"] {
        assert!(wrong.parse::<desk::Cursor>().is_err(), "{wrong}");
    }
    // A report that can't be read is counted, and the others are shown.
    store.commit(Batch::new().put(Space::Reports, Event::key(&device, 0, 4), *b"?")).unwrap();
    let held = desk::show(store, &device, None, 2).unwrap().unwrap();
    assert_eq!((held.events.len(), held.damaged, held.next.unwrap().sequence), (1, 1, 4));
}

#[test]
fn a_quarantine_is_lifted_with_its_reason_in_the_audit_and_tickets_begin_anew() {
    let bench = Bench::new(1000, 0);
    bench.write(vec![check_in("d-1"), check_in("d-1")]).unwrap();
    let (store, device) = (&bench.store.store, "d-1".parse().unwrap());
    assert!(bench.row("d-1").unwrap().flags.contains_key(&Flag::TicketForked));
    let lift = || desk::lift(store, &device, "command", "a board was swapped", now()).unwrap();
    assert_eq!((lift(), lift()), (Some(true), Some(false)));
    assert_eq!(desk::lift(store, &"d-9".parse().unwrap(), "command", "x", now()).unwrap(), None);
    assert!(bench.row("d-1").unwrap().flags.is_empty());
    let entry = format!("{:?}", crate::audit::entries(store, 0, 10).unwrap());
    assert!(entry.contains("device.lifted") && entry.contains("a board was swapped"), "{entry}");
    assert!(entry.contains("ticket-forked"), "{entry}");
    bench.write(vec![check_in("d-1")]).unwrap();
    assert!(bench.row("d-1").unwrap().flags.is_empty());
}
