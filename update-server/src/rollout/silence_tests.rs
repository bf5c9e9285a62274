use super::desk;
use super::drive::Member;
use super::machine::{Counted, Wish};
use super::testkit::{Bench, day, hardware};
use perennial_gate::Watched;
use perennial_schemas::Timestamp;
use perennial_schemas::fleet::Ticket;
use perennial_schemas::rollout::WHOLE;

/// What was counted at a time, once somebody listened then.
fn heard_at(bench: &Bench, at: Timestamp) -> Counted {
    bench.drive().set(at);
    bench.drive().engine.listen(at, &|| {}).unwrap();
    bench.drive().engine.counted(&bench.offer).unwrap()
}

/// Open for all from the first phase on, with so many devices.
fn open_for_all() -> Bench {
    let mut bench = Bench::new();
    bench.offer.plan.phases.iter_mut().for_each(|phase| phase.share = WHOLE);
    bench.offer.postponable = Some(0);
    bench.start(day(0));
    bench.tick(day(0));
    bench
}

fn change(bench: &Bench, wish: &Wish, at: i64) {
    desk::change(&bench.drive().engine, ("thermostat", "2.1.0"), wish, ("test", "to look"), day(at)).unwrap();
}

#[test]
fn devices_that_are_heard_of_and_never_tell_hold_the_next_phase() {
    let mut bench = open_for_all();
    let members = bench.members(1000, "revC");
    bench.report(&members, "started");
    let (quick, slow) = members.split_at(300);
    bench.report(quick, "confirmed");
    let votes = |counted: &Counted| counted.votes[&hardware("revC")];
    bench.wait(day(4));
    bench.drive().set(day(4));
    bench.report(slow, "started");
    let counted = heard_at(&bench, day(4));
    assert_eq!((votes(&counted).late, votes(&counted).overdue, votes(&counted).missing), (700, 0, 0));
    assert_eq!(bench.tick(day(4)), [""; 0], "most have not told");
    bench.report(&slow[100..], "confirmed");
    assert_eq!(votes(&heard_at(&bench, day(4))).late, 100);
    // Three days and the interruption, and one for quiet hours: no owner may put it off.
    let over = day(4).plus_seconds(61);
    assert_eq!(votes(&heard_at(&bench, over)).overdue, 100);
    assert_eq!(bench.tick(over), [""; 0], "a tenth never told");
    // One that says that it runs a later release tells no more of this one.
    let said = |member: &Member, version: &str| {
        let said = serde_json::json!({
            "format": "perennial.check-in/1", "requires": [], "at": over,
            "product": member.product, "hardware": member.hardware, "channel": "stable", "version": version,
            "security_version": 1, "agent": "1.0.0",
        });
        (member.clone(), serde_json::from_value(said).unwrap(), Ticket::of_bytes(&[1; 16]))
    };
    bench.drive().check_in(slow[..99].iter().map(|member| said(member, "2.9.0")).collect()).unwrap();
    bench.drive().check_in(vec![said(&slow[99], "1.0.0")]).unwrap();
    assert_eq!(votes(&heard_at(&bench, over)).overdue, 1);
    assert_eq!(bench.tick(over), ["rollout.advanced"]);
}

#[test]
fn who_was_held_meanwhile_is_not_late() {
    let mut bench = open_for_all();
    let members = bench.members(1000, "revC");
    bench.report(&members, "started");
    change(&bench, &Wish::Pause, 0);
    bench.tick(day(0));
    bench.drive().set(day(9));
    bench.report(&members, "started");
    let late = |counted: Counted| counted.votes[&hardware("revC")].late;
    assert_eq!(late(heard_at(&bench, day(9))), 0);
    change(&bench, &Wish::Resume { hardware: None, set_aside: false }, 9);
    bench.tick(day(9));
    bench.drive().set(day(12));
    bench.report(&members, "started");
    assert_eq!(late(heard_at(&bench, day(12))), 0, "a day to catch up, and three to tell");
    bench.drive().set(day(14));
    bench.report(&members, "started");
    assert_eq!(late(heard_at(&bench, day(14))), 1000);
}

/// Boxes on a shelf can't be among those that begin: what is usual of them is no measure.
#[test]
fn who_was_silent_before_it_began_is_no_measure_of_silence() {
    let mut bench = Bench::new();
    bench.offer.plan.phases[0].share = 500_000;
    bench.start(day(-30));
    bench.members(400, "revD");
    bench.drive().set(day(0));
    bench.tick(day(0));
    bench.members(1000, "revC");
    let others = heard_at(&bench, day(1)).others;
    assert!(others.silent == 0 && (400..600).contains(&others.all), "{others:?}");
    let all = others.all;
    assert_eq!(heard_at(&bench, day(4)).others, Watched { silent: all, all }, "fell silent since");
}
