use super::desk;
use super::engine_tests::half_open;
use super::machine::Wish;
use super::record::{self, State};
use super::testkit::{Bench, day, offer, offers};
use super::view::Rollout;
use crate::audit::{self, Event};
use crate::records::{archive, copy, restored};
use crate::store::{Batch, FjallStore, Settings, Space};
use perennial_schemas::rollout::RolloutState;
use perennial_schemas::tuf::Role;
use std::sync::Arc;

const NAME: (&str, &str) = ("thermostat", "2.1.0");

fn change(bench: &Bench, wish: Wish) -> Rollout {
    let now = bench.drive().now();
    desk::change(&bench.drive().engine, NAME, &wish, ("command", "it smokes"), now).unwrap()
}

fn resume() -> Wish {
    Wish::Resume { hardware: None, set_aside: false }
}

/// A restart over the same store.
fn restart(bench: &mut Bench) {
    let (store, now) = (Arc::clone(&bench.drive().store), bench.drive().now());
    bench.start_on(store, now);
}

/// It was halted after the copy was made.
#[test]
fn what_is_open_in_restored_records_is_paused_once_and_devices_believe_it() {
    let (mut bench, _) = half_open(day(0));
    let mut copied = Vec::new();
    archive::write(bench.store(), day(0), &mut copied).unwrap();
    bench.tick(day(1));
    change(&bench, Wish::Halt(None));
    bench.tick(day(1));
    let halted = bench.status();
    assert_eq!(halted.state, RolloutState::Halted);

    let store = FjallStore::open(&bench.folder.path().join("restored"), Settings::default()).unwrap();
    let event = |_: &_, _: &_| Event::new(day(2), "command", "store.imported", &[]);
    copy::import(&mut copied.as_slice(), &store, event).unwrap();
    bench.start_on(Arc::new(store), day(2));
    assert_eq!(bench.record().state, State::Running, "the copy has forgotten it");
    // Before any status goes out.
    assert_eq!(bench.tick(day(2)), ["rollout.paused"]);
    let paused = bench.status();
    assert_eq!((paused.state, paused.since), (RolloutState::Paused, day(2)));
    assert!(paused.reason.contains("restored from an older copy"), "{}", paused.reason);
    paused.check_current(&bench.offer.plan, halted.version(), day(2)).unwrap();
    let entry = audit::entries(bench.store(), 0, 1000).unwrap().pop().unwrap();
    assert_eq!((entry.action.as_str(), entry.actor.as_str()), ("rollout.paused", "server"));

    let shown = desk::show(&bench.drive().engine, NAME.0, NAME.1, day(2)).unwrap();
    let said = shown.sentences().join("\n");
    for words in [
        "perennial-server audit verify --head SEQUENCE:DIGEST",
        "perennial-server rollout halt thermostat 2.1.0 --reason WORDS",
        "perennial-server rollout resume thermostat 2.1.0 --reason WORDS",
    ] {
        assert!(said.contains(words), "{words}\n{said}");
    }
    let alarms = shown.alarms();
    let (code, what, hint) = &alarms[0];
    assert_eq!(*code, "rollout_paused");
    assert!(what.contains("restored from an older copy"), "{what}");
    assert!(hint.contains("perennial-server rollout explain thermostat 2.1.0 says where to look"), "{hint}");

    // Once: also where the server dies, and after somebody has looked.
    restart(&mut bench);
    assert_eq!(bench.tick(day(2)), [""; 0]);
    change(&bench, resume());
    restart(&mut bench);
    let soon = day(2).plus_seconds(1);
    assert_eq!(bench.tick(soon), [""; 0]);
    let running = bench.status();
    assert_eq!(running.state, RolloutState::Running);
    running.check_current(&bench.offer.plan, paused.version(), soon).unwrap();
    assert!(!desk::show(&bench.drive().engine, NAME.0, NAME.1, soon).unwrap().forgotten);
    // And each time that it happens.
    restored::note(bench.store(), &Event::new(soon, "command", "store.restored", &[])).unwrap();
    assert_eq!(bench.tick(soon), ["rollout.paused"]);
}

/// One revision that is let go on says nothing of the others.
#[test]
fn what_is_stopped_in_restored_records_stays_so_and_is_resumed_once() {
    for (wish, state) in [(Wish::Pause, State::Paused), (Wish::Halt(None), State::Halted)] {
        let (bench, _) = half_open(day(0));
        change(&bench, wish);
        restored::note(bench.store(), &Event::new(day(1), "command", "store.restored", &[])).unwrap();
        assert_eq!((bench.tick(day(1)), bench.record().state), (vec![], state));
        change(&bench, resume());
        assert_eq!((bench.tick(day(1)), bench.record().state), (vec![], State::Running));
    }
    let (bench, _) = half_open(day(0));
    let revision = || "revD".parse().unwrap();
    change(&bench, Wish::Halt(Some(revision())));
    restored::note(bench.store(), &Event::new(day(1), "command", "store.restored", &[])).unwrap();
    change(&bench, Wish::Resume { hardware: Some(revision()), set_aside: false });
    assert_eq!(bench.tick(day(1)), ["rollout.paused"]);
}

/// Of what begins later, nothing can have been forgotten.
#[test]
fn a_release_that_restored_records_never_heard_of_is_paused_where_it_had_begun_by_then() {
    let bench = Bench::new();
    restored::note(bench.store(), &Event::new(day(1), "command", "store.restored", &[])).unwrap();
    let mut later = offer(3);
    (later.key, later.plan.key) = (bench.offer.key.clone(), bench.offer.plan.key.clone());
    later.plan.early.clear();
    later.plan.phases.iter_mut().for_each(|phase| phase.not_before = phase.not_before.plus_days(2));
    bench.drive().offer(offers([bench.offer.clone(), later.clone()]));
    assert_eq!(
        bench.tick(day(2)),
        ["rollout.scheduled", "rollout.paused", "rollout.scheduled", "rollout.started"]
    );
    let records = record::all(bench.store()).unwrap().whole;
    assert_eq!(records[&later.manifest].0.state, State::Running);
    assert_eq!(bench.record().state, State::Paused);
}

#[test]
fn a_record_of_more_restorations_than_there_were_is_paused_all_the_same() {
    let (mut bench, _) = half_open(day(0));
    restored::note(bench.store(), &Event::new(day(1), "command", "store.restored", &[])).unwrap();
    let mut record = bench.record();
    record.life = u32::MAX;
    let batch = Batch::new().put(Space::Rollouts, record.manifest.0, record.encode().unwrap());
    bench.store().commit(batch).unwrap();
    restart(&mut bench);
    assert_eq!(bench.tick(day(1)), ["rollout.paused"]);
    assert_eq!(bench.record().life, 1);
}

#[test]
fn a_restoration_dated_ahead_is_one_of_now() {
    let (bench, _) = half_open(day(0));
    restored::note(bench.store(), &Event::new(day(400), "command", "store.restored", &[])).unwrap();
    let known = restored::read(bench.store()).unwrap();
    assert_eq!((known.times, known.by(day(1)).at, known.by(day(500)).at), (1, Some(day(1)), Some(day(400))));
}

/// What is damaged holds up the turn, and not the halt.
#[test]
fn what_was_stopped_is_shown_to_nobody_where_no_turn_can_say_so() {
    let (bench, _) = half_open(day(0));
    let is_shown = || !bench.drive().engine.shown().load().is_empty();
    assert!(is_shown());
    let damaged = Batch::new().put(Space::Meta, *b"restored", *b"?");
    bench.store().commit(damaged).unwrap();
    bench.drive().set(day(1));
    assert!(bench.drive().engine.tick(day(0)).is_err());
    assert!(is_shown(), "what goes on, goes on");
    change(&bench, Wish::Halt(None));
    assert!(bench.drive().engine.tick(day(0)).is_err());
    assert!(!is_shown(), "devices wait without");
    bench.store().commit(Batch::new().remove(Space::Meta, *b"restored")).unwrap();
    bench.tick(day(1));
    assert_eq!(bench.status().state, RolloutState::Halted);
}
