//! Staged rollouts on a whole device: what its server, a dead one and a thief can do to it, and what they can't.

use perennial_device_core::crypto::Ring;
use perennial_device_core::decide::{Decision, HoldReason, Reason};
use perennial_device_core::machine::{State, Why, Wish};
use perennial_device_core::port::Record;
use perennial_device_core::port::memory::{Fault, MemoryStaging, RunLength};
use perennial_device_core::run::Step;
use perennial_device_core::support::Floors;
use perennial_schemas::release::{Encoding, Release};
use perennial_schemas::report::FailureCode;
use perennial_schemas::rollout::{Admission, Hold, Plan, RolloutState, RolloutStatus, bucket};
use perennial_schemas::{Document, Sha256Digest, Timestamp};
use perennial_tests::simulator::{
    Conduct, PRODUCT, Product, ROLLOUT_KEY, Signer, Unit, day, image, path_of_status, signed_status, staged,
    status,
};

use super::fresh;

/// 2.0.0 in stages, and a device that it is meant for.
struct Rollout {
    product: Product,
    unit: Unit,
    manifest: Sha256Digest,
    /// When the plan opens for the device.
    planned: Timestamp,
    statuses: Vec<(&'static str, RolloutStatus, Signer)>,
}

impl Rollout {
    fn new() -> Self {
        Self::with(|_| ())
    }

    /// With a plan that a test changes.
    fn with(change: fn(&mut Plan)) -> Self {
        let new = image(2, 8);
        Self::of(&new, &new, Encoding::Plain, change)
    }

    /// With a payload that can't be entered in its middle, and is twice as long as its image.
    fn packed() -> Self {
        let new: Vec<u8> = (0..30_000_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        Self::of(&new, &RunLength::encode(&new), Encoding::Zstd, |_| ())
    }

    fn of(new: &[u8], payload: &[u8], encoding: Encoding, change: fn(&mut Plan)) -> Self {
        let (mut product, mut unit) = fresh();
        let manifest = product.offer_payload("2.0.0", new, payload, encoding, |release| {
            staged(release);
            change(release.rollout.as_mut().unwrap());
        });
        product.publish();
        unit.knows(new, "2.0.0", Conduct::Healthy);
        let planned = plan_of(&product, "2.0.0").opens_for(bucket_of(&product, "2.0.0"));
        assert!(planned > day(2) && planned < day(12), "{planned}");
        let mut rollout = Self { product, unit, manifest, planned, statuses: vec![] };
        rollout.serve();
        rollout
    }

    /// Serves what is published, and the statuses.
    fn serve(&mut self) {
        self.unit.fetch = self.product.serve();
        for (version, status, signer) in &self.statuses {
            self.unit.fetch.statuses.insert(path_of_status(version), signed_status(status, *signer));
        }
    }

    /// Serves this status of 2.0.0, signed by the rollout key.
    fn say(&mut self, status: RolloutStatus) {
        self.statuses = vec![("2.0.0", status, ROLLOUT_KEY)];
        self.serve();
    }

    fn status(&self, issued: Timestamp) -> RolloutStatus {
        status(self.manifest, issued)
    }

    fn halted(&self, since: Timestamp, issued: Timestamp) -> RolloutStatus {
        RolloutStatus { state: RolloutState::Halted, since, ..self.status(issued) }
    }

    /// Lets the device live at a time; gives what it runs then.
    fn live_at(&mut self, now: Timestamp) -> &'static str {
        self.unit.now = now;
        self.unit.live().unwrap();
        self.unit.runs()
    }

    /// What it said last.
    fn said(&self) -> String {
        self.unit.journal().said.unwrap().text
    }

    /// Times that a rollout status was asked for since the files were served last.
    fn asked(&self) -> usize {
        self.unit.fetch.log.iter().filter(|path| path.starts_with("rollouts/")).count()
    }

    fn floors(&self) -> Floors {
        Floors::decode(&self.unit.store.records[&Record::Floors]).unwrap()
    }

    /// The product's team signs its role again at this time, and another team's snapshot goes with it.
    fn affirm(&mut self, now: Timestamp) {
        self.product.repository.role(PRODUCT).common.signed_at = Some(now);
        self.product.publish();
        self.serve();
    }

    /// What a check decides, without doing it.
    fn decision(&mut self, now: Timestamp) -> Decision {
        self.unit.now = now;
        let mut decision = None;
        self.unit
            .with_runner(|runner| {
                decision = Some(runner.check(now)?.decision);
                Ok(())
            })
            .unwrap();
        decision.unwrap()
    }

    /// What was begun is installed, and looked at once more.
    fn installs(&mut self, now: Timestamp) {
        let done = self.unit.with_runner(|runner| {
            while runner.client().state() != State::Installed {
                runner.step(now)?;
            }
            runner.step(now)
        });
        done.unwrap();
    }

    /// The server says nothing of the release, and the next part of the download comes all the same.
    fn answers_nothing(&mut self, now: Timestamp) {
        self.statuses.clear();
        self.serve();
        self.unit.now = now;
        let done = self.unit.with_runner(|runner| {
            for _ in 0..50 {
                if matches!(runner.client().state(), State::Downloading { offset: 16_384.. }) {
                    break;
                }
                runner.step(now)?;
            }
            Ok(())
        });
        done.unwrap();
        assert!(self.asked() > 0);
        assert_eq!(self.unit.journal().state, State::Downloading { offset: 16_384 });
    }

    fn hold(&mut self, now: Timestamp) -> Option<Hold> {
        match self.decision(now).reason_for(&self.manifest)? {
            Reason::Held {
                why: HoldReason::Rollout { admission: Admission::Held { hold, .. }, .. }, ..
            } => Some(*hold),
            _ => None,
        }
    }
}

fn plan_of(product: &Product, version: &str) -> Plan {
    let text = &product.files[&format!("{PRODUCT}/{version}.release.json")];
    Release::parse(text).unwrap().rollout.unwrap()
}

fn bucket_of(product: &Product, version: &str) -> u32 {
    bucket(&plan_of(product, version).salt, &"unit-1".parse().unwrap(), &Ring)
}

#[test]
fn a_device_comes_in_its_turn_and_asks_for_no_status_before() {
    let mut rollout = Rollout::new();
    rollout.say(rollout.status(rollout.planned));
    let before = rollout.planned.plus_seconds(-1);
    assert_eq!((rollout.live_at(before), rollout.asked()), ("1.0.0", 0));
    assert_eq!(rollout.said(), format!("2.0.0 waits: its turn in the rollout comes at {}", rollout.planned));
    assert!(rollout.floors().rollouts().is_empty(), "the plan alone needs no memory");
    assert_eq!(rollout.live_at(rollout.planned), "2.0.0");
    // Asked once, and again before the activation that followed at the same moment: no.
    assert_eq!(rollout.asked(), 1);
}

#[test]
fn an_early_group_comes_by_its_label() {
    let mut rollout = Rollout::new();
    rollout.say(RolloutStatus { open: 0, ..rollout.status(day(1)) });
    assert_eq!(rollout.live_at(day(1)), "1.0.0");
    rollout.unit.identity.labels.insert("beta".parse().unwrap());
    assert_eq!(rollout.live_at(day(1).plus_seconds(1)), "2.0.0");
}

#[test]
fn what_a_thief_or_an_old_copy_says_is_no_status() {
    let refused = |change: &dyn Fn(&mut Rollout), why: &str| {
        let mut rollout = Rollout::new();
        change(&mut rollout);
        let now = rollout.planned.plus_seconds(60);
        assert_eq!(rollout.live_at(now), "1.0.0", "{why}");
        assert!(rollout.said().contains("the server doesn't say how far the rollout is open"), "{why}");
        let mut told = None;
        rollout
            .unit
            .with_runner(|runner| {
                told = runner.check(now)?.status_refused.map(|(version, why)| format!("{version}: {why}"));
                Ok(())
            })
            .unwrap();
        assert_eq!(rollout.unit.fetch.forgotten > 0, told.is_some(), "{why}");
        let told = told.unwrap_or_default();
        assert!(told.contains(why), "{why}: {told}");
    };
    refused(&|_| (), "");
    refused(
        &|rollout| {
            let status = rollout.status(rollout.planned);
            rollout.statuses = vec![("2.0.0", status, Signer(901))];
            rollout.serve();
        },
        "the rollout key of the plan hasn't signed it",
    );
    refused(
        &|rollout| rollout.say(status(Sha256Digest([9; 32]), rollout.planned)),
        "it is the status of another release",
    );
    refused(
        &|rollout| {
            let issued = rollout.planned.plus_days(-2);
            rollout.say(rollout.status(issued));
        },
        "it expired at",
    );
    let y2099 = Timestamp::from_unix(4_070_908_800);
    refused(&|rollout| rollout.say(rollout.status(y2099)), "it is dated 2099-01-01T00:00:00Z");
    refused(
        &|rollout| {
            let mut status = rollout.status(rollout.planned);
            status.common.version = y2099.unix() as u64;
            rollout.say(status);
        },
        "its number 4070908800 is far ahead of its date",
    );
    refused(
        &|rollout| {
            let mut status = rollout.status(rollout.planned);
            status.common.expires = y2099;
            rollout.say(status);
        },
        "it claims to be valid for longer than its plan allows",
    );
    refused(
        &|rollout| {
            rollout.say(rollout.status(rollout.planned));
            rollout.unit.fetch.faults = vec![("2.0.0.json".into(), Fault::Unreachable)];
        },
        "can't reach",
    );
    refused(
        &|rollout| {
            rollout.say(rollout.status(rollout.planned));
            rollout.unit.fetch.faults = vec![("2.0.0.json".into(), Fault::Endless)];
        },
        "is longer than 32768 bytes",
    );
}

#[test]
fn the_status_of_one_release_serves_no_other() {
    let mut rollout = Rollout::new();
    let newer = image(3, 8);
    let manifest = rollout.product.offer("3.0.0", &newer, |release| {
        staged(release);
        // Another salt, and so another place in the queue.
        release.rollout.as_mut().unwrap().salt = "ab".repeat(16).parse().unwrap();
    });
    rollout.product.publish();
    rollout.unit.knows(&newer, "3.0.0", Conduct::Healthy);
    let now = day(12);
    // 3.0.0 is halted. Its status is hidden by that of 2.0.0, which runs.
    let running = rollout.status(now);
    rollout.statuses = vec![("3.0.0", running.clone(), ROLLOUT_KEY), ("2.0.0", running, ROLLOUT_KEY)];
    rollout.serve();
    let decision = rollout.decision(now);
    assert!(
        matches!(&decision, Decision::Update { version, .. } if version.as_str() == "2.0.0"),
        "{decision}"
    );
    assert!(matches!(
        decision.reason_for(&manifest),
        Some(Reason::Held {
            why: HoldReason::Rollout { admission: Admission::Held { hold: Hold::NoStatus, .. }, .. },
            ..
        })
    ));
    // The newest release that it is admitted to is the one that it takes.
    assert_eq!(rollout.live_at(now), "2.0.0");
}

#[test]
fn an_older_status_undoes_no_halt() {
    let mut rollout = Rollout::new();
    let now = rollout.planned;
    rollout.say(rollout.halted(now, now.plus_seconds(60)));
    assert_eq!(rollout.hold(now.plus_seconds(60)), Some(Hold::Halted));
    // The one before, which would still be valid.
    rollout.say(rollout.status(now));
    assert_eq!(rollout.hold(now.plus_seconds(120)), Some(Hold::NoStatus));
    // Another agent, after a power cut: what was seen is kept.
    assert_eq!(rollout.live_at(now.plus_seconds(180)), "1.0.0");
    rollout.say(rollout.status(now.plus_seconds(200)));
    assert_eq!(rollout.live_at(now.plus_seconds(240)), "2.0.0", "and the next one counts");
}

#[test]
fn the_number_of_a_status_is_kept_before_the_status_is_used() {
    let mut operations = 0;
    loop {
        let mut rollout = Rollout::new();
        let now = rollout.planned;
        rollout.say(rollout.status(now.plus_seconds(5)));
        rollout.unit.now = now.plus_seconds(5);
        rollout.unit.power.cut_after(operations);
        let done = rollout.unit.work().is_ok() && !rollout.unit.power.is_off();
        let seen = rollout.unit.store.records.get(&Record::Floors).map(|bytes| {
            let floors = Floors::decode(bytes).unwrap();
            floors.rollouts().seen(&rollout.manifest)
        });
        let journal = rollout.unit.store.records.contains_key(&Record::Journal);
        if journal && rollout.unit.journal().state != State::Idle {
            assert_eq!(seen, Some(now.plus_seconds(5).unix() as u64), "cut after {operations}");
            break;
        }
        assert!(!done, "the release is chosen");
        // Whenever the power went: an older status counts only where the newer one was not kept.
        rollout.unit.crash(operations);
        rollout.say(rollout.status(now));
        let expected = if seen.unwrap_or(0) == 0 { None } else { Some(Hold::NoStatus) };
        assert_eq!(rollout.hold(now.plus_seconds(10)), expected, "cut after {operations}");
        operations += 1;
    }
    assert!(operations > 2);
}

#[test]
fn a_store_that_is_full_takes_no_status() {
    let mut rollout = Rollout::new();
    let planned = rollout.planned;
    rollout.live_at(planned.plus_days(-1));
    rollout.say(rollout.status(planned));
    rollout.unit.store.full.insert(Record::Floors);
    rollout.unit.now = planned;
    rollout.unit.work().unwrap();
    assert_eq!(rollout.unit.journal().state, State::Idle);
    rollout.unit.store.full.clear();
    assert_eq!(rollout.live_at(planned.plus_seconds(3600)), "2.0.0");
}

#[test]
fn a_dead_server_starves_nobody_whose_signers_stand_by_the_release() {
    let mut rollout = Rollout::new();
    let deadline = rollout.planned.plus_days(7);
    assert_eq!(rollout.live_at(rollout.planned), "1.0.0");
    // Another team's release makes a new snapshot, and the deadline passes: nobody of this team has said a word.
    rollout.product.repository.snapshot.common.signed_at = Some(deadline);
    rollout.product.repository.publish();
    for file in ["targets", PRODUCT] {
        assert_eq!(rollout.product.repository.role(file).common.signed_at, Some(day(0)));
    }
    rollout.serve();
    assert_eq!(rollout.live_at(deadline.plus_seconds(1)), "1.0.0");
    assert_eq!(
        rollout.said(),
        format!(
            "2.0.0 waits: the rollout was stopped, and since {deadline} it takes its signers to let it go on"
        )
    );
    rollout.affirm(deadline.plus_seconds(2));
    assert_eq!(rollout.live_at(deadline.plus_days(1)), "2.0.0");
}

#[test]
fn consent_from_before_the_deadline_opens_at_the_deadline_and_no_sooner() {
    let mut rollout = Rollout::new();
    let (planned, deadline) = (rollout.planned, rollout.planned.plus_days(7));
    rollout.affirm(planned.plus_days(1));
    assert_eq!(rollout.live_at(deadline.plus_seconds(-1)), "1.0.0");
    assert_eq!(rollout.live_at(deadline), "2.0.0");
}

#[test]
fn a_halt_takes_a_consent_from_after_it() {
    let mut rollout = Rollout::new();
    let (planned, deadline) = (rollout.planned, rollout.planned.plus_days(7));
    rollout.affirm(planned.plus_days(1));
    // Halted after that, and the server lives on and says so past the deadline.
    let halted = planned.plus_days(2);
    for now in [halted, deadline, deadline.plus_days(3)] {
        rollout.say(rollout.halted(halted, now));
        assert_eq!(rollout.live_at(now), "1.0.0");
    }
    assert_eq!(rollout.hold(deadline.plus_days(3)), Some(Hold::NoConsent));
    rollout.affirm(deadline.plus_days(3));
    assert_eq!(rollout.live_at(deadline.plus_days(3).plus_seconds(60)), "2.0.0");
}

#[test]
fn a_wrong_clock_moves_one_device_and_strands_none() {
    let running = |hours: i64| {
        let mut rollout = Rollout::new();
        let planned = rollout.planned;
        // What the world's clock says when the device's says that its turn has come.
        rollout.say(rollout.status(planned.plus_seconds(-3600 * hours)));
        (rollout.live_at(planned), rollout)
    };
    for (hours, installs) in [(1, true), (-1, true), (23, true), (-23, true), (25, false), (-25, false)] {
        let (runs, mut rollout) = running(hours);
        assert_eq!(runs, if installs { "2.0.0" } else { "1.0.0" }, "{hours} hours ahead");
        // No clock is so wrong that the signers' consent doesn't reach it: their date moves a slow one, too.
        let deadline = rollout.planned.plus_days(7);
        rollout.affirm(deadline);
        rollout.live_at(deadline.plus_seconds(3600 * hours));
        if installs {
            continue;
        }
        assert_eq!(rollout.unit.runs(), "2.0.0", "{hours} hours ahead");
    }
    // Ten years behind: the newest offline signature says how late it is at least.
    let mut rollout = Rollout::new();
    let planned = rollout.planned;
    rollout.say(rollout.status(planned));
    let behind = |now: Timestamp| now.plus_days(-3652);
    assert_eq!(rollout.live_at(behind(planned)), "1.0.0");
    rollout.affirm(planned.plus_days(8));
    rollout.say(rollout.status(planned.plus_days(8)));
    assert_eq!(rollout.live_at(behind(planned.plus_days(8))), "2.0.0");
    // Ten years ahead: nothing is valid there, and nothing of it is left when the clock is right again.
    let mut rollout = Rollout::new();
    rollout.say(rollout.status(planned));
    rollout.unit.now = planned.plus_days(3652);
    rollout.unit.work().unwrap();
    assert_eq!(rollout.unit.failures.last().map(|failure| failure.code), Some(FailureCode::Expired));
    assert_eq!(rollout.live_at(planned.plus_seconds(3600)), "2.0.0");
}

#[test]
fn what_is_offered_no_more_is_forgotten() {
    let mut rollout = Rollout::new();
    let now = rollout.planned;
    rollout.say(rollout.halted(now, now));
    rollout.live_at(now);
    assert_eq!(rollout.floors().rollouts().seen(&rollout.manifest), now.unix() as u64);
    assert_eq!(rollout.floors().rollouts().memory(&rollout.manifest).held, Some(now));
    rollout.product.withdraw("2.0.0");
    rollout.product.publish();
    rollout.serve();
    rollout.live_at(now.plus_days(1));
    assert!(rollout.floors().rollouts().is_empty());
}

#[test]
fn an_owner_takes_it_now_whatever_the_rollout_says() {
    let mut rollout = Rollout::new();
    let now = day(1);
    let at_once = |rollout: &mut Rollout, now| {
        rollout.unit.now = now;
        let wish = rollout.unit.with_runner(|runner| {
            runner.wish(Wish::PostponeUntil(now.plus_days(3)), now)?;
            runner.run(now)?;
            runner.wish(Wish::AtOnce, now)?;
            runner.run(now)
        });
        wish.unwrap();
        rollout.unit.live().unwrap();
        rollout.unit.runs()
    };
    // The server is asked so that the owner hears of a halt; it says nothing here, and nothing hangs on it.
    assert_eq!((at_once(&mut rollout, now), rollout.asked()), ("2.0.0", 1));
    assert_eq!(rollout.unit.journal().at_once, None, "the wish is granted");
    // Never what is withdrawn.
    let mut rollout = Rollout::new();
    rollout.product.withdraw("2.0.0");
    rollout.product.publish();
    rollout.serve();
    assert_eq!(at_once(&mut rollout, now), "1.0.0");
    assert_eq!(rollout.unit.journal().at_once, None, "nothing is left of it");
    // Nor what lies behind a barrier or below the counter, is for other hardware, or failed here.
    let spoilt = |change: fn(&mut Release)| {
        let mut rollout = Rollout::new();
        rollout.unit.counter.value = 5;
        rollout.unit.knows(&image(3, 8), "3.0.0", Conduct::Healthy);
        rollout.product.offer("3.0.0", &image(3, 8), |release| {
            release.security_version = 5;
            staged(release);
            change(release);
        });
        rollout.product.withdraw("2.0.0");
        rollout.product.publish();
        rollout.serve();
        at_once(&mut rollout, now)
    };
    assert_eq!(spoilt(|_| ()), "3.0.0", "nothing is wrong with the rest of it");
    assert_eq!(spoilt(|release| release.security_version = 4), "1.0.0");
    assert_eq!(spoilt(|release| release.minimum_version = Some("2.0.0".parse().unwrap())), "1.0.0");
    assert_eq!(spoilt(|release| release.images[0].hardware = vec!["revD".parse().unwrap()]), "1.0.0");
    assert_eq!(
        spoilt(|release| {
            release.images[0].hardware.push("revD".parse().unwrap());
            release.rollout.as_mut().unwrap().hardware = Some(vec!["revD".parse().unwrap()]);
        }),
        "1.0.0"
    );
    let mut rollout = Rollout::new();
    rollout.unit.knows(&image(2, 8), "2.0.0", Conduct::Sick);
    at_once(&mut rollout, now);
    let boots = rollout.unit.boots.len();
    assert_eq!(at_once(&mut rollout, now.plus_seconds(60)), "1.0.0");
    assert_eq!(rollout.unit.boots.len(), boots, "a failed release comes again in its own time");
}

/// A device with room to stage, in the middle of its download.
fn downloading() -> Rollout {
    begun(Rollout::new())
}

fn begun(rollout: Rollout) -> Rollout {
    begun_by(rollout, 0)
}

/// By a status that is dated ahead by so many seconds.
fn downloading_by(ahead: i64) -> Rollout {
    begun_by(Rollout::new(), ahead)
}

fn begun_by(mut rollout: Rollout, ahead: i64) -> Rollout {
    rollout.unit.staging = Some(MemoryStaging::new(&rollout.unit.power, 1 << 20));
    rollout.say(rollout.status(rollout.planned.plus_seconds(ahead)));
    rollout.unit.now = rollout.planned;
    rollout
        .unit
        .with_runner(|runner| {
            while !matches!(runner.client().state(), State::Downloading { offset: 8192.. }) {
                runner.step(rollout.planned)?;
            }
            Ok(())
        })
        .unwrap();
    assert_eq!(rollout.unit.journal().state, State::Downloading { offset: 8192 });
    rollout
}

#[test]
fn a_halt_stops_a_download_which_goes_on_where_it_was() {
    let mut rollout = downloading();
    let halted = rollout.planned.plus_seconds(400);
    rollout.say(rollout.halted(halted, halted));
    rollout.unit.now = halted;
    assert!(matches!(rollout.unit.work().unwrap(), Step::Waiting(Some((_, Why::Rollout)))));
    assert_eq!(rollout.unit.journal().state, State::Downloading { offset: 8192 });
    assert!(rollout.said().contains("the rollout is halted"), "{}", rollout.said());
    // The server dies: its last word was "stop".
    rollout.unit.fetch.faults = vec![(String::new(), Fault::Unreachable)];
    rollout.unit.now = halted.plus_seconds(3600);
    let _ = rollout.unit.work().unwrap();
    assert_eq!(rollout.unit.journal().state, State::Downloading { offset: 8192 });
    // It goes on, and so does the download.
    let resumed = halted.plus_seconds(7200);
    rollout.say(rollout.status(resumed));
    rollout.unit.fetch.ranges.clear();
    assert_eq!(rollout.live_at(resumed), "2.0.0");
    assert_eq!(rollout.unit.fetch.ranges.first().map(String::as_str), Some("8192..16384"));
}

/// Without room to stage a payload it is streamed, in parts likewise.
#[test]
fn a_halt_stops_what_is_streamed_which_goes_on_where_it_was() {
    for (mut rollout, again) in [(Rollout::new(), "8192..16384"), (Rollout::packed(), "0..8192")] {
        rollout.say(rollout.status(rollout.planned));
        let planned = rollout.planned;
        let begun = rollout.unit.with_runner(|runner| {
            for _ in 0..100 {
                if matches!(runner.client().state(), State::Installing { offset: 8192.. }) {
                    break;
                }
                runner.step(planned)?;
            }
            Ok(())
        });
        begun.unwrap();
        let installing = rollout.unit.journal().state;
        let halted = planned.plus_seconds(400);
        rollout.say(rollout.halted(halted, halted));
        rollout.unit.now = halted;
        rollout.unit.fetch.ranges.clear();
        assert!(matches!(rollout.unit.work().unwrap(), Step::Waiting(Some((_, Why::Rollout)))));
        assert_eq!((rollout.unit.journal().state, rollout.unit.fetch.ranges.len()), (installing, 0));
        assert!(rollout.said().contains("the rollout is halted"), "{}", rollout.said());
        // By another run of the agent, which has no decompressor in the middle of anything.
        let resumed = halted.plus_seconds(7200);
        rollout.say(rollout.status(resumed));
        assert_eq!(rollout.live_at(resumed), "2.0.0");
        assert_eq!(rollout.unit.fetch.ranges.first().map(String::as_str), Some(again));
    }
}

#[test]
fn a_halt_is_heard_between_the_parts_of_what_is_streamed_and_nothing_is_fetched_twice() {
    for mut rollout in [Rollout::new(), Rollout::packed()] {
        rollout.say(rollout.status(rollout.planned));
        let planned = rollout.planned;
        let minutes = rollout.unit.with_runner(|runner| {
            let mut minutes = 0;
            for _ in 0..100 {
                if runner.client().state() == State::Installed {
                    break;
                }
                // A slow line: a minute for each step.
                minutes += i64::from(matches!(runner.client().state(), State::Installing { .. }));
                runner.step(planned.plus_seconds(60 * minutes))?;
            }
            Ok(minutes)
        });
        let (minutes, asked) = (minutes.unwrap(), rollout.asked() as i64);
        assert!(
            asked > 1 && asked >= minutes / 5 && asked <= 2 + minutes / 5,
            "{asked} in {minutes} minutes"
        );
        let ranges: Vec<(u64, u64)> = rollout
            .unit
            .fetch
            .ranges
            .iter()
            .map(|range| range.split_once("..").unwrap())
            .map(|(from, to)| (from.parse().unwrap(), to.parse().unwrap()))
            .collect();
        assert!(ranges.len() > 3 && ranges[0].0 == 0, "{ranges:?}");
        assert!(ranges.windows(2).all(|pair| pair[0].1 == pair[1].0), "{ranges:?}");
    }
}

#[test]
fn a_halt_is_heard_between_the_parts_of_a_download_without_a_restart() {
    let mut rollout = Rollout::new();
    rollout.unit.staging = Some(MemoryStaging::new(&rollout.unit.power, 1 << 20));
    rollout.say(rollout.status(rollout.planned));
    let planned = rollout.planned;
    let asks = rollout
        .unit
        .with_runner(|runner| {
            let (mut now, mut parts) = (planned, 0);
            while !matches!(runner.client().state(), State::Installed) {
                // A slow line: three minutes for each part.
                if matches!(runner.client().state(), State::Downloading { .. }) {
                    now = now.plus_seconds(60);
                    parts += 1;
                }
                runner.step(now)?;
            }
            Ok((now, parts))
        })
        .unwrap();
    let minutes = (asks.0.unix() - planned.unix()) / 60;
    let asked = rollout.asked();
    assert!(asked as i64 >= minutes / 5 && asked as i64 <= 2 + minutes / 5, "{asked} in {minutes} minutes");
}

#[test]
fn a_halt_before_the_activation_is_heard_and_what_is_installed_waits() {
    let mut rollout = downloading();
    rollout.unit.now = rollout.planned.plus_seconds(10);
    let now = rollout.unit.now;
    rollout.installs(now);
    let halted = now.plus_seconds(120);
    rollout.say(rollout.halted(halted, halted));
    rollout.unit.now = halted;
    assert!(matches!(rollout.unit.work().unwrap(), Step::Waiting(Some((_, Why::Rollout)))));
    assert_eq!((rollout.unit.journal().state, rollout.unit.runs()), (State::Installed, "1.0.0"));
    // Nobody answers any more: an agent that starts anew still knows.
    rollout.unit.fetch.faults = vec![(String::new(), Fault::Unreachable)];
    rollout.unit.crash(1);
    rollout.unit.now = halted.plus_seconds(60);
    let _ = rollout.unit.work().unwrap();
    assert_eq!((rollout.unit.journal().state, rollout.unit.runs()), (State::Installed, "1.0.0"));
    // Withdrawn: dropped, and its slot is given up.
    rollout.product.withdraw("2.0.0");
    rollout.product.publish();
    rollout.serve();
    assert_eq!(rollout.live_at(halted.plus_days(1)), "1.0.0");
    assert_eq!(rollout.unit.journal().state, State::Idle);
}

#[test]
fn what_is_held_is_dropped_for_a_better_release() {
    let mut rollout = downloading();
    let halted = rollout.planned.plus_seconds(400);
    rollout.say(rollout.halted(halted, halted));
    rollout.unit.now = halted;
    rollout.unit.work().unwrap();
    let better = image(3, 4);
    rollout.product.offer("2.0.1", &better, |_| {});
    rollout.product.publish();
    rollout.unit.knows(&better, "2.0.1", Conduct::Healthy);
    rollout.serve();
    assert_eq!(rollout.live_at(halted.plus_days(1)), "2.0.1");
}

#[test]
fn without_a_network_the_last_status_counts_as_long_as_it_is_valid() {
    let installed = |ahead: i64, wait: i64| {
        let mut rollout = downloading_by(ahead);
        let now = rollout.planned;
        rollout.installs(now);
        rollout.unit.fetch.faults = vec![(String::new(), Fault::Unreachable)];
        rollout.unit.crash(3);
        rollout.unit.now = now.plus_seconds(wait);
        rollout.unit.works(6).unwrap();
        rollout.unit.runs()
    };
    assert_eq!(installed(0, 23 * 3600), "2.0.0");
    assert_eq!(installed(0, 25 * 3600), "1.0.0");
    // Nor longer where it is dated ahead.
    assert_eq!(installed(12 * 3600, 23 * 3600), "2.0.0");
    assert_eq!(installed(12 * 3600, 25 * 3600), "1.0.0");
}

#[test]
fn a_status_that_is_hidden_on_the_way_stops_nothing_before_the_last_one_ends() {
    let mut rollout = downloading();
    rollout.statuses.clear();
    rollout.serve();
    let planned = rollout.planned;
    assert_eq!(rollout.live_at(planned.plus_seconds(3600)), "2.0.0");
    let mut rollout = downloading();
    rollout.statuses.clear();
    rollout.serve();
    assert_eq!(rollout.live_at(planned.plus_days(1)), "1.0.0");
    assert_eq!(rollout.unit.journal().state, State::Downloading { offset: 8192 });
}

/// Whoever is held comes back in a turn of its own, up to `catch_up` later; one answer that was lost is no hold.
#[test]
fn one_lost_answer_puts_no_download_off() {
    let mut rollout = begun(Rollout::with(|plan| plan.catch_up_seconds = 6 * 86_400));
    let planned = rollout.planned;
    rollout.answers_nothing(planned.plus_seconds(400));
    assert_eq!(rollout.floors().rollouts().memory(&rollout.manifest).held, None);
    rollout.say(rollout.status(planned.plus_seconds(800)));
    assert_eq!(rollout.live_at(planned.plus_seconds(800)), "2.0.0");
    // One that was held is put off by then.
    let mut rollout = begun(Rollout::with(|plan| plan.catch_up_seconds = 6 * 86_400));
    let halted = planned.plus_seconds(400);
    rollout.say(rollout.halted(halted, halted));
    assert_eq!(rollout.live_at(halted), "1.0.0");
    rollout.say(rollout.status(planned.plus_seconds(800)));
    assert_eq!(rollout.live_at(planned.plus_seconds(800)), "1.0.0");
    assert!(rollout.said().contains("this device's turn comes at"), "{}", rollout.said());
}

#[test]
fn one_lost_answer_drops_no_download_for_an_older_release() {
    let mut rollout = begun(Rollout::new());
    let older = image(4, 4);
    rollout.product.offer("1.5.0", &older, |_| {});
    rollout.product.publish();
    rollout.unit.knows(&older, "1.5.0", Conduct::Healthy);
    let planned = rollout.planned;
    rollout.answers_nothing(planned.plus_seconds(400));
    rollout.say(rollout.status(planned.plus_seconds(800)));
    assert_eq!(rollout.live_at(planned.plus_seconds(800)), "2.0.0");
    // Where its last word counts no more, the older one is better than none.
    let mut rollout = begun(Rollout::new());
    rollout.product.offer("1.5.0", &older, |_| {});
    rollout.product.publish();
    rollout.unit.knows(&older, "1.5.0", Conduct::Healthy);
    rollout.statuses.clear();
    rollout.serve();
    assert_eq!(rollout.live_at(planned.plus_days(1)), "1.5.0");
}

#[test]
fn a_signature_of_the_future_is_no_consent() {
    let mut rollout = Rollout::new();
    let deadline = rollout.planned.plus_days(7);
    assert_eq!(rollout.live_at(rollout.planned), "1.0.0");
    // By a clock that ran ten years ahead, while nobody was held yet: it would stand for every halt of ten years.
    rollout.affirm(deadline.plus_days(3652));
    assert_eq!(rollout.live_at(deadline.plus_days(1)), "1.0.0");
    assert_eq!(rollout.hold(deadline.plus_days(1)), Some(Hold::NoConsent));
    rollout.affirm(deadline.plus_days(1));
    assert_eq!(rollout.live_at(deadline.plus_days(1).plus_seconds(60)), "2.0.0");
}

/// Whoever hides the status after a halt gains nothing: the consent must be later than the halt that was heard.
#[test]
fn a_halt_that_was_heard_counts_through_any_silence_up_to_its_end_and_asks_for_consent_then() {
    let mut rollout = Rollout::new();
    let (planned, deadline) = (rollout.planned, rollout.planned.plus_days(7));
    rollout.affirm(planned.plus_days(1));
    let halted = planned.plus_days(2);
    rollout.say(rollout.halted(halted, halted));
    assert_eq!(rollout.live_at(halted), "1.0.0");
    rollout.statuses.clear();
    rollout.serve();
    for now in [halted.plus_days(2), deadline.plus_seconds(-1), deadline, deadline.plus_days(2)] {
        rollout.unit.crash(1);
        assert_eq!(rollout.live_at(now), "1.0.0", "{now}");
    }
    assert_eq!(rollout.hold(deadline.plus_days(2)), Some(Hold::NoConsent));
    rollout.affirm(deadline.plus_days(2));
    assert_eq!(rollout.live_at(deadline.plus_days(3)), "2.0.0");
}

/// A status may be dated ahead, for devices whose clock is slow; shown again and again it lasts no longer than any other.
#[test]
fn a_status_that_is_dated_ahead_lasts_no_longer_than_any_other() {
    let last = |wait: i64| {
        let mut rollout = Rollout::new();
        let planned = rollout.planned;
        let ahead = RolloutStatus { open: 0, ..rollout.status(planned.plus_seconds(20 * 3600)) };
        rollout.say(ahead);
        assert!(matches!(rollout.hold(planned), Some(Hold::Share { .. })));
        rollout.unit.crash(1);
        rollout.hold(planned.plus_seconds(wait))
    };
    assert!(matches!(last(23 * 3600), Some(Hold::Share { .. })));
    assert_eq!(last(25 * 3600), Some(Hold::NoStatus));
}
