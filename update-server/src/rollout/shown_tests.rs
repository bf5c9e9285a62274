use super::desk;
use super::machine::Wish;
use super::shown::statuses;
use super::testkit::{Bench, Odd, day, hardware};
use crate::store::StoreError;
use perennial_schemas::rollout::RolloutState;
use std::sync::Arc;

/// Where a turn comes to nothing, devices go on seeing what they saw: no status would hold all of them.
#[test]
fn a_status_is_served_while_it_is_valid_whatever_becomes_of_a_turn() {
    let bench = Bench::new();
    bench.tick(day(0));
    let store = Arc::new(Odd::over(&bench));
    let drive = bench.beside(store.clone(), day(0));
    let shown = || drive.engine.shown().load().len();
    let half = day(0).plus_seconds(43_200);
    let fails = |error| *store.fails.lock().unwrap() = Some(error);
    fails(StoreError::Full("0 bytes are free".into()));
    assert!(drive.engine.tick(half).is_err());
    assert_eq!(shown(), 1, "it can't be renewed, and lasts for another half of its life");
    fails(StoreError::Changed("rollouts".into()));
    assert_eq!(drive.engine.tick(half).unwrap().len(), 0, "another front end was faster");
    assert_eq!(shown(), 1);
    fails(StoreError::Full("0 bytes are free".into()));
    assert!(drive.engine.tick(day(1)).is_err());
    assert_eq!(shown(), 0, "what has expired is shown to nobody");
}

/// A command stopped it while no server ran; or the disk was full just after a halt was recorded.
#[test]
fn a_status_that_goes_on_is_shown_to_nobody_once_its_rollout_is_stopped() {
    let bench = Bench::new();
    bench.tick(day(0));
    let engine = &bench.drive().engine;
    let exported = || statuses(bench.store(), day(0)).unwrap();
    let change = |wish: Wish| {
        desk::change(engine, ("thermostat", "2.1.0"), &wish, ("command", "it overheats"), day(0)).unwrap()
    };
    for wish in [Wish::Halt(Some(hardware("revD"))), Wish::Pause] {
        assert_eq!((exported().current.len(), engine.shown().load().len()), (1, 1));
        change(wish);
        assert_eq!((exported().current.len(), exported().expired.len()), (0, 0), "devices wait without any");
        let store = Arc::new(Odd::over(&bench));
        let drive = bench.beside(store.clone(), day(0));
        *store.fails.lock().unwrap() = Some(StoreError::Full("0 bytes are free".into()));
        assert!(drive.engine.tick(day(0)).is_err());
        assert_eq!(drive.engine.shown().load().len(), 0, "none can be signed that says so");
        bench.tick(day(0));
    }
    assert_eq!(bench.status().state, RolloutState::Paused);
}
