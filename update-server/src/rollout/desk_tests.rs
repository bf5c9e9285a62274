use super::desk::{self, DeskError};
use super::engine_tests::half_open;
use super::machine::Wish;
use super::offers::Offers;
use super::record::State;
use super::testkit::{Bench, Odd, day, hardware, offers};
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

#[test]
fn a_device_is_told_that_a_release_has_no_image_for_it() {
    let bench = Bench::new();
    bench.tick(day(0));
    let member = bench.members(1, "revE").remove(0);
    let row = crate::fleet::desk::row(bench.store(), &member.device).unwrap().unwrap();
    let places = |offers: &Offers| desk::places(bench.store(), offers, &member.device, &row, day(9)).unwrap();
    assert_eq!(places(&offers([bench.offer.clone()])), ["2.1.0: it has no image for hardware revE"]);
    let mut left_out = bench.offer.clone();
    left_out.plan.hardware = Some([hardware("revC")].into());
    assert_eq!(places(&offers([left_out])), ["2.1.0: the rollout leaves this hardware revision out"]);
}

/// From day 2 to day 4 the plan opens it evenly; what is stopped is opened no further, whatever the plan has come to.
#[test]
fn what_is_stopped_stays_at_the_share_that_it_had_come_to() {
    let mut bench = Bench::new();
    bench.offer.plan.phases.remove(0);
    bench.start(day(0));
    bench.tick(day(2));
    let name = (NAME.0, NAME.1);
    let halt =
        |wish| desk::change(&bench.drive().engine, name, &wish, ("command", "a drill."), day(3)).unwrap();
    let halted = halt(Wish::Halt(None));
    assert_eq!(halted.reached_ppm, 100_000);
    let later = desk::show(&bench.drive().engine, name.0, name.1, day(20)).unwrap();
    assert_eq!((later.reached_ppm, later.open_ppm, later.planned_ppm), (100_000, 0, 1_000_000));
    assert!(later.line().contains("stopped at 10 % (plan 100 %)"), "{}", later.line());
    assert!(later.sentences()[0].ends_with(": a drill."), "one full stop: {:?}", later.sentences()[0]);
}

#[test]
fn the_line_of_a_withdrawn_rollout_invents_no_phases_and_no_votes() {
    let (mut bench, members) = half_open(day(0));
    bench.report(&members[..5], "confirmed");
    let of = (bench.offer.product.clone(), bench.offer.manifest);
    let withdrawn = [(of, "It overheats.".into())].into();
    bench.drive().offer(Offers { generation: Some(2), withdrawn, ..Offers::default() });
    bench.tick(day(1));
    let listed = desk::list(&bench.drive().engine, day(1)).unwrap().remove(0).line();
    assert!(
        listed.starts_with("thermostat 2.1.0  withdrawn since ") && !listed.contains("phase"),
        "{listed}"
    );
    assert!(!listed.contains("good"), "nobody counted: {listed}");
    let shown = desk::show(&bench.drive().engine, NAME.0, NAME.1, day(1)).unwrap();
    assert!(shown.line().contains(" good, 0 bad, "), "{}", shown.line());
    assert!(shown.sentences()[0].ends_with("It overheats."), "{:?}", shown.sentences()[0]);
}

#[test]
fn a_reason_that_hides_or_turns_words_is_none() {
    let bench = sick(Space::Devices);
    for why in ["it \u{202e}smokes", "two\u{2028}lines", "hid\u{200b}den", "a\nb", " "] {
        let refused = desk::change(&bench.drive().engine, NAME, &Wish::Pause, ("command", why), day(1));
        assert!(matches!(refused, Err(DeskError::Why)), "{why:?}");
    }
}
