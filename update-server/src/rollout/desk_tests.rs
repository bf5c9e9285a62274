use super::desk::{self, DeskError};
use super::engine_tests::half_open;
use super::machine::Wish;
use super::record::State;
use super::testkit::{Bench, Odd, day};
use crate::audit;
use crate::store::{Space, StoreError};
use std::sync::Arc;

const NAME: (&str, &str) = ("thermostat", "2.1.0");

/// A rollout of which some began, on a store in which one space can't be read, and no server that runs.
fn sick(space: Space) -> Bench {
    let (mut bench, members) = half_open(day(0));
    bench.report(&members, "started");
    bench.fail(&members[..9], "failed", 404);
    let store = Odd { unreadable: Some(space), ..Odd::over(&bench) };
    bench.start_on(Arc::new(store), day(1));
    bench.drive().engine.learn().unwrap();
    bench
}

/// At three in the morning: a stop needs no count.
#[test]
fn what_can_not_be_counted_is_halted_all_the_same_and_not_resumed() {
    let bench = sick(Space::Marks);
    let engine = &bench.drive().engine;
    let change = |wish: &Wish| desk::change(engine, NAME, wish, ("command", "it overheats"), day(1));
    let halted = change(&Wish::Halt(None)).unwrap();
    assert_eq!((halted.state.as_str(), bench.record().state), ("halted", State::Halted));
    let said = halted.sentences().join("\n");
    assert!(said.contains("Its votes can't be counted: ") && said.contains("marks at offset 4096"), "{said}");
    assert!(!said.contains("0 confirmed") && halted.line().contains("votes can't be counted"), "{said}");
    let entry = audit::entries(bench.store(), 0, 1000).unwrap().pop().unwrap();
    assert!(entry.detail["counts"].starts_with("they can't be counted: "), "{entry:?}");
    let resumed = change(&Wish::Resume { hardware: None, set_aside: true });
    assert!(matches!(resumed, Err(DeskError::Store(StoreError::Corrupt(_)))), "{resumed:?}");
    let listed = desk::list(engine, day(1)).unwrap();
    assert!(listed[0].uncounted.as_ref().is_some_and(|why| why.contains("marks at offset 4096")));
}

/// Votes are counted without a look at devices.
#[test]
fn what_is_known_is_shown_where_devices_can_not_be_looked_at() {
    let bench = sick(Space::Devices);
    let engine = &bench.drive().engine;
    let shown = desk::look(engine, NAME.0, NAME.1, None, day(1)).unwrap();
    let said = shown.sentences().join("\n");
    assert!(said.contains("(how many of them are missing is unknown)"), "{said}");
    let why = "On which devices it failed, and which fell silent, can't be looked up: ";
    assert!(said.contains(why) && said.contains("devices at offset 4096"), "{said}");
    assert!(said.contains("it failed with 404"), "{said}");
    assert!(shown.line().ends_with("bad, missing unknown"), "{}", shown.line());
    let paused = desk::change(engine, NAME, &Wish::Pause, ("command", "it overheats"), day(1)).unwrap();
    assert_eq!(paused.state, "paused");
    let entry = audit::entries(bench.store(), 0, 1000).unwrap().pop().unwrap();
    assert!(entry.detail["counts"].ends_with("rolled back, missing unknown"), "{entry:?}");
}
