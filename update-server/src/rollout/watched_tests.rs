use super::desk;
use super::drive::{Drive, Member};
use super::engine_tests::half_open;
use super::machine::Wish;
use super::offers::Offer;
use super::testkit::{Bench, day, key, offers};
use crate::audit;
use crate::keys::{FileKey, OnlineKey};
use perennial_schemas::KeyId;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// A fleet that has proved the release to be good, and whose second phase has opened on day 2.
fn second_phase() -> (Bench, Vec<Member>) {
    let (mut bench, members) = half_open(day(0));
    bench.report(&members, "confirmed");
    assert_eq!(bench.wait(day(2)), [""; 0]);
    assert_eq!(bench.tick(day(2)), ["rollout.advanced"]);
    (bench, members)
}

/// Killed a minute after a phase has opened, and back after days: no device could take that phase meanwhile.
#[test]
fn a_server_that_was_down_watches_the_open_phase_anew_before_it_opens_the_next() {
    let (mut bench, members) = second_phase();
    bench.start(day(9));
    assert_eq!(bench.tick(day(9)), ["rollout.watched-anew"]);
    assert_eq!((bench.record().phase, bench.record().phase_since), (1, Some(day(9))));
    let entry = audit::entries(bench.store(), 0, 100).unwrap().pop().unwrap();
    assert_eq!(entry.action, "rollout.watched-anew");
    let words = format!(
        "its last status expired at {}, and devices had none since: the open phase is watched from {} on",
        day(3),
        day(9)
    );
    assert_eq!(entry.detail["reason"], words);
    audit::verify(bench.store()).unwrap();
    assert_eq!(bench.status().open, 600_000);
    assert_eq!(bench.wait(day(10)), [""; 0], "once");
    assert_eq!(bench.tick(day(10)), ["rollout.advanced"]);
    // Evidence halts in the same turn.
    bench.report(&members, "rolled-back");
    bench.start(day(19));
    assert_eq!(bench.tick(day(19)), ["rollout.halted"]);
    let resume = Wish::Resume { hardware: None, set_aside: true };
    desk::change(&bench.drive().engine, ("thermostat", "2.1.0"), &resume, ("command", "a drill"), day(19))
        .unwrap();
    assert_eq!(bench.tick(day(19)), [""; 0], "it is watched from then on");
}

/// Down for less than a status lasts, and turns that come often: nothing is watched anew.
#[test]
fn while_devices_have_a_status_that_counts_the_phase_is_watched() {
    let (mut bench, _) = second_phase();
    let last = day(3).plus_seconds(-1);
    bench.start(last);
    assert_eq!(bench.tick(last), [""; 0]);
    assert_eq!(bench.record().phase_since, Some(day(2)));
}

#[test]
fn a_leap_of_the_clock_opens_no_phase() {
    let (bench, _) = second_phase();
    assert_eq!(bench.tick(day(400)), ["rollout.watched-anew"]);
    let back = day(2).plus_seconds(3600);
    assert_eq!(bench.tick(back), ["rollout.clock-set-back"]);
    assert_eq!((bench.record().phase, bench.record().phase_since), (1, Some(back)));
    assert_eq!(bench.wait(day(4)), [""; 0]);
    assert_eq!(bench.tick(day(4)), ["rollout.advanced"]);
}

/// Signers who sign after such a halt let it go on at its deadline, whatever time the server believed it was.
#[test]
fn consent_to_a_halt_of_a_clock_that_ran_ahead_is_later_than_the_time_at_which_it_was_set_back() {
    let (bench, _) = half_open(day(0));
    bench.tick(day(400));
    let name = ("thermostat", "2.1.0");
    desk::change(&bench.drive().engine, name, &Wish::Halt(None), ("command", "a drill"), day(400)).unwrap();
    bench.tick(day(400));
    assert_eq!(bench.status().since, day(400));
    assert_eq!(bench.tick(day(1)), ["rollout.clock-set-back"]);
    assert_eq!((bench.status().since, bench.status().issued), (day(1), day(1)), "signed anew");
    let offer = Offer { signed_at: Some(day(2)), ..bench.offer.clone() };
    bench.drive().offer(offers([offer]));
    bench.tick(day(15));
    let shown = desk::show(&bench.drive().engine, name.0, name.1, day(15)).unwrap();
    assert!(shown.hold.unwrap().consent.is_some());
}

/// A key that signs nothing while it is told so.
struct Sulking(FileKey, Arc<AtomicBool>);

impl OnlineKey for Sulking {
    fn keyid(&self) -> &KeyId {
        self.0.keyid()
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, String> {
        if self.1.load(Ordering::SeqCst) { Err("it sulks".into()) } else { self.0.sign(message) }
    }
}

#[test]
fn while_no_status_can_be_signed_no_phase_opens_and_nothing_is_written_again_and_again() {
    let (mut bench, _) = second_phase();
    let sulks = Arc::new(AtomicBool::new(false));
    let key = Box::new(Sulking(key(bench.folder.path()).0, Arc::clone(&sulks)));
    let (store, usual) = (Arc::clone(&bench.drive().store), Duration::from_secs(3 * 86_400));
    let drive = Drive::new(store, key, &[7; 32], offers([bench.offer.clone()]), usual, day(2)).unwrap();
    bench.drive = Some(drive);
    let entries = |bench: &Bench| audit::entries(bench.store(), 0, 100).unwrap().len();
    let before = entries(&bench);
    sulks.store(true, Ordering::SeqCst);
    for hours in 13..72 {
        let at = day(2).plus_seconds(hours * 3600);
        bench.drive().set(at);
        assert!(bench.drive().engine.tick(at).is_err(), "{hours}");
    }
    assert_eq!((entries(&bench), bench.record().phase), (before, 1));
    sulks.store(false, Ordering::SeqCst);
    assert_eq!(bench.tick(day(5)), ["rollout.watched-anew"]);
    assert_eq!(bench.wait(day(6)), [""; 0]);
    assert_eq!(bench.tick(day(6)), ["rollout.advanced"]);
}
