use super::desk;
use super::drive::Member;
use super::machine::Wish;
use super::offers::{Damaged, Offers};
use super::record::State;
use super::testkit::{Bench, day, hardware, offers};
use crate::audit;
#[cfg(feature = "postgres")]
use crate::store::Engine;
use crate::store::{Batch, Settings, Space, Store, StoreError};
use perennial_schemas::rollout::{RolloutState, WHOLE};
use perennial_schemas::{Sha256Digest, Timestamp};

fn entries(bench: &Bench) -> Vec<audit::Entry> {
    audit::verify(bench.store()).unwrap();
    audit::entries(bench.store(), 0, 1000).unwrap()
}

/// A fleet whose first phase opens for half of it.
pub(super) fn half_open(at: Timestamp) -> (Bench, Vec<Member>) {
    let mut bench = Bench::new();
    bench.offer.plan.phases[0].share = 500_000;
    bench.offer.plan.phases[1].share = 600_000;
    bench.start(at);
    bench.tick(at);
    let members = bench.members(1000, "revC");
    (bench, members)
}

#[test]
fn a_release_is_taken_up_recorded_signed_and_shown() {
    let mut bench = Bench::new();
    assert_eq!(bench.tick(day(-3)), ["rollout.scheduled"]);
    let first = bench.status();
    // Open for the first phase before its time: the plan alone counts then.
    assert_eq!((first.open, first.state, first.stopped.len()), (10_000, RolloutState::Running, 0));
    assert_eq!(first.common.version, day(-3).unix() as u64);
    let head = audit::head(bench.store()).unwrap();
    assert_eq!(first.audit, head.to_string());
    assert_eq!(bench.tick(day(-3).plus_seconds(1)), [""; 0]);
    assert_eq!(bench.status(), first, "nothing changed, and half of its life isn't over");
    assert_eq!(bench.tick(day(-3).plus_seconds(43_200)), [""; 0]);
    assert_eq!(bench.status().common.version, first.common.version + 43_200);
    assert_eq!(bench.tick(day(-1)), ["rollout.started"]);
    assert_eq!(entries(&bench).len(), 2);
    // The number rises, also when the clock goes back.
    let last = bench.status().common.version;
    let back = day(-1).plus_seconds(-3600);
    bench.start(back);
    bench.tick(back);
    assert_eq!(bench.status().common.version, last + 1);
    // By more than a status lives: what was numbered while the clock was wrong, no device has taken.
    bench.start(day(-30));
    bench.tick(day(-30));
    assert_eq!(bench.status().common.version, day(-30).unix() as u64);
}

#[test]
fn proof_opens_the_next_phase_and_the_end_finishes_it() {
    let (mut bench, members) = half_open(day(0));
    bench.report(&members, "started");
    assert_eq!(bench.wait(day(2).plus_seconds(1)), [""; 0]);
    bench.report(&members, "confirmed");
    assert_eq!(bench.tick(day(2)), ["rollout.advanced"]);
    assert_eq!(bench.status().open, 600_000);
    assert_eq!(bench.wait(day(4)), [""; 0]);
    assert_eq!(bench.tick(day(4)), ["rollout.advanced"]);
    assert_eq!(bench.status().open, WHOLE);
    assert_eq!(bench.wait(day(5)), [""; 0]);
    assert_eq!(bench.tick(day(5)), ["rollout.finished"]);
    assert_eq!(bench.status().state, RolloutState::Running);
    let said = entries(&bench);
    let last = &said.last().unwrap().detail;
    assert!(last["counts"].ends_with("confirmed, 0 failed, 0 rolled back, 0 missing"), "{last:?}");
    assert!(last["bound"].contains("where 20 lets it go on") && last["rule"].contains("ceiling 2 %"));
}

#[test]
fn a_halt_is_there_after_a_restart_whatever_was_told_before_and_whenever_it_died() {
    let (mut bench, members) = half_open(day(0));
    bench.report(&members, "rolled-back");
    // It dies before its turn: what was acknowledged counts when it is back.
    bench.start(day(1));
    assert_eq!(bench.tick(day(1)), ["rollout.halted"]);
    assert_eq!(bench.status().state, RolloutState::Halted);
    let before = bench.status().common.version;
    // It dies between the record and the status: the status says it at the next turn.
    let mut record = bench.record();
    let saved = record.encode().unwrap();
    record.status = record.status.replace("halted", "running");
    let key = bench.offer.manifest.0;
    let batch = Batch::new().expect(Space::Rollouts, key, Some(saved));
    bench.store().commit(batch.put(Space::Rollouts, key, record.encode().unwrap())).unwrap();
    bench.start(day(1));
    assert_eq!(bench.tick(day(1)), [""; 0]);
    assert_eq!((bench.status().state, bench.status().common.version), (RolloutState::Halted, before + 1));
    assert_eq!(bench.record().state, State::Halted);
}

#[test]
fn one_revision_is_stopped_in_the_status_while_others_go_on() {
    let (mut bench, members) = half_open(day(0));
    let rare = bench.members(40, "revD");
    bench.report(&members, "confirmed");
    assert_eq!(bench.wait(day(1)), [""; 0]);
    bench.report(&rare, "rolled-back");
    assert_eq!(bench.tick(day(1)), ["rollout.stopped"]);
    let status = bench.status();
    assert_eq!((status.state, status.stopped), (RolloutState::Running, vec![hardware("revD")]));
    assert_eq!(status.since, day(1), "consent must be later than that");
    assert!(status.reason.starts_with("its first time came"), "{}", status.reason);
    let why = &status.stopped_reasons[&hardware("revD")];
    assert!(
        why.starts_with("it failed on ") && why.ends_with("of revD, more than the ceiling allows"),
        "{why}"
    );
    assert_eq!(bench.wait(day(2)), [""; 0]);
    assert_eq!(bench.tick(day(2)), ["rollout.advanced"]);
}

/// A person's words for one revision stand in the public status, and go with the stop; a status has room for all revisions.
#[test]
fn the_words_of_a_stop_for_one_revision_stand_in_the_status() {
    let (mut bench, _) = half_open(day(0));
    let change = |bench: &Bench, what: Wish, why: &str| {
        let name = ("thermostat", "2.1.0");
        desk::change(&bench.drive().engine, name, &what, ("command", why), day(1)).unwrap();
        bench.tick(day(1));
    };
    let (halt, name) = (Wish::Halt(Some(hardware("revD"))), ("thermostat", "2.1.0"));
    let blank = desk::change(&bench.drive().engine, name, &halt, ("command", " \u{a0}"), day(1));
    assert!(matches!(blank, Err(desk::DeskError::Why)), "{blank:?}");
    change(&bench, halt, "a bad batch of sensors");
    let shown = desk::show(&bench.drive().engine, "thermostat", "2.1.0", day(1)).unwrap();
    let said = shown.sentences().join("\n");
    assert!(said.contains("Devices of revD wait; from "), "only they do: {said}");
    let status = bench.status();
    assert_eq!(status.stopped_reasons[&hardware("revD")], "a bad batch of sensors");
    let resume = Wish::Resume { hardware: Some(hardware("revD")), set_aside: false };
    change(&bench, resume, "they were replaced");
    assert!(bench.status().stopped_reasons.is_empty() && bench.status().stopped.is_empty());
    let many = (0..perennial_schemas::limits::IMAGES)
        .map(|number| hardware(&format!("{}{number:02}", "r".repeat(61))));
    bench.offer.hardware = many.collect();
    bench.start(day(1));
    for revision in bench.offer.hardware.clone().into_iter().skip(1) {
        let what = Wish::Halt(Some(revision));
        let name = ("thermostat", "2.1.0");
        desk::change(
            &bench.drive().engine,
            name,
            &what,
            ("command", &"\\".repeat(crate::audit::why::LENGTH)),
            day(1),
        )
        .unwrap();
    }
    bench.tick(day(1));
    assert_eq!(bench.status().stopped_reasons.len(), perennial_schemas::limits::IMAGES - 1);
}

/// Clocks of signers may be an hour ahead: what they signed before a halt is no consent to it.
#[test]
fn what_was_signed_before_a_halt_is_no_consent_whatever_time_it_says() {
    let (mut bench, members) = half_open(day(0));
    let ahead = day(1).plus_seconds(3000);
    bench.offer.signed_at = Some(ahead);
    bench.start(day(0));
    bench.report(&members, "rolled-back");
    assert_eq!(bench.tick(day(1)), ["rollout.halted"]);
    assert_eq!(bench.status().since, ahead, "consent is later than that");
    bench.drive().set(day(15));
    let end = |bench: &Bench| {
        bench.tick(day(15));
        desk::show(&bench.drive().engine, "thermostat", "2.1.0", day(15)).unwrap().hold.unwrap()
    };
    assert_eq!(end(&bench).consent, None);
    // Signed anew, it is one.
    bench.offer.signed_at = Some(day(1).plus_seconds(3001));
    bench.drive().offer(offers([bench.offer.clone()]));
    assert_eq!(bench.status().since, ahead);
    assert!(end(&bench).consent.is_some());
    // A later halt begins anew.
    let change = |what: Wish| {
        let name = ("thermostat", "2.1.0");
        desk::change(&bench.drive().engine, name, &what, ("command", "a drill"), day(15)).unwrap();
        bench.tick(day(15));
    };
    change(Wish::Resume { hardware: None, set_aside: true });
    change(Wish::Halt(None));
    assert_eq!(bench.status().since, day(15));
}

#[test]
fn whoever_looks_is_told_until_when_devices_catch_up() {
    let (bench, _) = half_open(day(0));
    let engine = &bench.drive().engine;
    let name = ("thermostat", "2.1.0");
    let change = |what: Wish, at| desk::change(engine, name, &what, ("command", "a drill"), at).unwrap();
    let halted = change(Wish::Halt(None), day(2));
    let hold = halted.hold.clone().unwrap();
    assert_eq!((hold.last, hold.all_by), (day(4 + 14), day(4 + 14 + 1)));
    let said = halted.sentences().join("\n");
    assert!(said.contains(&format!("to {} (the last, after catching up)", day(19))), "{said}");
    let resumed = change(Wish::Resume { hardware: None, set_aside: false }, day(7));
    assert_eq!(resumed.catching_up_until, Some(day(8)));
    let said = resumed.sentences().join("\n");
    assert!(said.contains(&format!("come back one after another until {}", day(8))), "{said}");
    bench.tick(day(7));
    // Each whose time had come by then may catch up, and no other.
    let members = bench.members(40, "revC");
    let places = |at| -> Vec<String> {
        bench.tick(at);
        let offers = offers([bench.offer.clone()]);
        let one = |member: &Member| {
            let row = crate::fleet::desk::row(bench.store(), &member.device).unwrap().unwrap();
            desk::places(bench.store(), &offers, &member.device, &row, at).unwrap().remove(0)
        };
        members.iter().map(one).collect()
    };
    let words =
        ": the rollout was stopped and goes on; where the device heard that it was held, its turn comes at ";
    let (first, later) = (places(day(7)), places(day(8)));
    let catching_up =
        first.iter().filter(|it| it.contains(words) && it.contains("else it may be installed now"));
    let others = first.iter().filter(|it| it.contains("the rollout is open for"));
    assert!(catching_up.count() > 10 && others.count() > 10, "{first:?}");
    assert!(later.iter().all(|it| !it.contains(words)), "{later:?}");
    let shown = desk::show(engine, "thermostat", "2.1.0", day(8)).unwrap();
    assert_eq!(shown.catching_up_until, None);
}

#[test]
fn who_begins_and_falls_silent_holds_the_next_phase_until_it_is_heard_of_again() {
    let mut bench = Bench::new();
    bench.offer.plan.phases.iter_mut().for_each(|phase| phase.share = 1_000_000);
    bench.start(day(0));
    bench.tick(day(0));
    let members = bench.members(1000, "revC");
    let (told, lost) = members.split_at(900);
    bench.report(&members, "started");
    bench.report(told, "confirmed");
    bench.wait(day(9));
    bench.drive().set(day(9));
    bench.report(told, "confirmed");
    // Nobody has looked who fell silent: it doesn't advance.
    assert_eq!(bench.tick(day(9)), [""; 0]);
    assert!(bench.drive().engine.must_listen());
    bench.drive().engine.listen(day(9), &|| {}).unwrap();
    assert!(!bench.drive().engine.must_listen());
    assert_eq!(bench.tick(day(9)), [""; 0], "they are missing");
    let counted = bench.drive().engine.counted(&bench.offer).unwrap();
    let missing = counted.votes[&hardware("revC")].missing;
    assert_eq!(missing, 100);
    assert_eq!(counted.others.all, 0, "everybody's time has come");
    bench.report(lost, "confirmed");
    bench.drive().engine.listen(day(9), &|| {}).unwrap();
    assert_eq!(bench.tick(day(9)), ["rollout.advanced"]);
}

#[test]
fn silence_is_measured_by_devices_whose_time_has_not_come() {
    let (mut bench, members) = half_open(day(0));
    bench.report(&members, "started");
    bench.drive().set(day(1));
    // Nobody is heard of: neither those that began nor the others.
    bench.drive().engine.listen(day(3), &|| {}).unwrap();
    let counted = |bench: &Bench| bench.drive().engine.counted(&bench.offer).unwrap();
    assert_eq!(counted(&bench).others.silent, 0, "three days and the interruption aren't over");
    bench.tick(day(1));
    bench.drive().engine.listen(day(3).plus_seconds(61), &|| {}).unwrap();
    let others = counted(&bench).others;
    assert!(others.all > 300 && others.silent == others.all, "{others:?}");
}

#[test]
fn many_votes_are_counted_bit_by_bit_and_nothing_is_decided_before() {
    let mut bench = Bench::new();
    bench.tick(day(0));
    let status = bench.status();
    let mark = super::votes::Mark {
        began: day(0),
        vote: super::votes::Vote::Failed,
        hardware: hardware("revC"),
        received: day(0),
        code: None,
    };
    let marks = (0..60_000_u64).fold(Batch::new(), |batch, number| {
        let key = [bench.offer.manifest.0.as_slice(), &number.to_be_bytes(), &[0; 8]].concat();
        batch.put(Space::Marks, key, mark.encode())
    });
    bench.store().commit(marks).unwrap();
    bench.start(day(0));
    assert_eq!(bench.tick(day(0)), [""; 0], "50 pages of them are counted");
    assert_eq!(bench.status(), status, "devices see what they saw");
    bench.drive().engine.count_new(&|| {}).unwrap();
    assert_eq!(bench.tick(day(0)), ["rollout.halted"]);
    assert_eq!(bench.votes()[&hardware("revC")].failed, 60_000);
}

#[test]
fn another_servers_plan_is_left_alone() {
    let mut bench = Bench::new();
    let mut other = super::testkit::offer(2);
    other.version = "3.0.0".parse().unwrap();
    bench.drive().offer(offers([bench.offer.clone(), other]));
    assert_eq!(bench.tick(day(0)), ["rollout.scheduled", "rollout.started"]);
    assert_eq!(bench.store().scan(Space::Rollouts, None, 10).unwrap().len(), 1);
    assert_eq!(bench.drive().engine.shown().load().len(), 1);
    // A plan whose key this server no longer has: its record stays as it was.
    let record = bench.record();
    bench.folder = {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("store")).unwrap();
        bench.drive = None;
        std::fs::remove_dir(folder.path().join("store")).unwrap();
        std::fs::rename(bench.folder.path().join("store"), folder.path().join("store")).unwrap();
        folder
    };
    bench.start(day(1));
    assert_eq!(bench.tick(day(1)), [""; 0]);
    assert_eq!(bench.record(), record);
}

#[test]
fn what_is_withdrawn_is_halted_in_its_last_status_which_ends_by_itself() {
    let bench = Bench::new();
    bench.tick(day(0));
    let mut gone = Offers { generation: Some(2), ..Offers::default() };
    gone.withdrawn.insert((bench.offer.product.clone(), bench.offer.manifest), "it overheats".into());
    bench.drive().offer(gone);
    assert_eq!(bench.tick(day(1)), ["rollout.withdrawn"]);
    let status = bench.status();
    assert_eq!((status.state, status.open), (RolloutState::Halted, 0));
    assert_eq!(bench.tick(day(1).plus_seconds(80_000)), [""; 0]);
    assert_eq!(bench.status(), status, "it isn't renewed");
    assert_eq!(bench.tick(day(2)), [""; 0]);
    assert!(bench.drive().engine.shown().load().is_empty());
    // Before the first generation nothing is known, and nothing is withdrawn.
    let bench = Bench::new();
    bench.tick(day(0));
    bench.drive().offer(Offers::default());
    assert_eq!(bench.tick(day(1)), [""; 0]);
    assert_eq!(bench.record().state, State::Running);
}

#[test]
fn two_front_ends_never_lose_each_others_changes() {
    let mut bench = Bench::new();
    bench.offer.plan.phases.iter_mut().for_each(|phase| phase.share = 1_000_000);
    bench.start(day(-2));
    let shared = std::sync::Arc::clone(&bench.drive().store);
    two_front_ends(&mut bench, shared);
}

/// Each with connections of its own.
#[test]
#[ignore = "needs a database: tests/run postgres starts one"]
#[cfg(feature = "postgres")]
fn two_front_ends_on_postgres_never_lose_each_others_changes() {
    let file = std::env::var_os("PERENNIAL_POSTGRES_URL_FILE").expect("tests/run postgres sets it");
    let settings = Settings { url_file: Some(file.into()), ..Settings::default() };
    let open = || Engine::Postgres.open(std::path::Path::new(""), settings.clone()).unwrap();
    // Nothing is left of an earlier run.
    crate::records::copy::clear(&open()).unwrap();
    let mut bench = Bench::new();
    bench.offer.plan.phases.iter_mut().for_each(|phase| phase.share = 1_000_000);
    bench.start_on(open(), day(-2));
    two_front_ends(&mut bench, open());
}

/// The bench's, and another one over `store`: votes told to either count once, one of them takes each step, and what one of
/// them stops is stopped at both.
fn two_front_ends(bench: &mut Bench, store: std::sync::Arc<dyn Store>) {
    let other = bench.beside(store, day(-2));
    bench.tick(day(-2));
    let members = bench.members(3000, "revC");
    let at = |bench: &Bench, at| {
        bench.wait(at);
        bench.drive().set(at);
        other.set(at);
    };
    // Both take the same turn at once: one change, one entry.
    let both = |bench: &Bench, at| -> usize {
        std::thread::scope(|scope| {
            let engines = [&bench.drive().engine, &other.engine];
            engines.iter().for_each(|engine| engine.listen(at, &|| {}).unwrap());
            let turns = engines.map(|engine| scope.spawn(move || engine.tick(at).unwrap().len()));
            turns.map(|turn| turn.join().unwrap()).iter().sum()
        })
    };
    at(bench, day(1));
    other.engine.tick(day(1)).unwrap();
    let good: Vec<_> = members.iter().map(|member| bench.told(member, "confirmed")).collect();
    std::thread::scope(|scope| {
        let (one, two) = good.split_at(1500);
        scope.spawn(|| bench.drive().report(one.to_vec()).unwrap());
        scope.spawn(|| other.report(two.to_vec()).unwrap());
    });
    // Told to the other one, too: no vote more.
    let again: Vec<_> = members[..100].iter().map(|member| bench.told(member, "confirmed")).collect();
    other.report(again).unwrap();
    let told = |bench: &Bench| {
        [&bench.drive().engine, &other.engine].map(|engine| {
            engine.recount(true, &|| {}).unwrap();
            let all = engine.ballot().tallies.of(&bench.offer.manifest).unwrap();
            all[&hardware("revC")]
        })
    };
    bench.tick(day(1));
    other.engine.tick(day(1)).unwrap();
    let counted = super::votes::Votes { confirmed: 3000, ..Default::default() };
    assert_eq!(told(bench), [counted; 2]);
    at(bench, day(2));
    assert_eq!(both(bench, day(2)), 1, "the next phase, opened by one of them");
    assert_eq!(bench.record().phase, 1);
    // What fails is told to one of them, and halts at both.
    let bad: Vec<_> = members[..1500].iter().map(|member| bench.told(member, "rolled-back")).collect();
    other.report(bad).unwrap();
    let counted = super::votes::Votes { confirmed: 1500, rolled_back: 1500, ..Default::default() };
    assert_eq!(told(bench), [counted; 2]);
    assert_eq!(both(bench, day(3)), 1);
    let actions: Vec<String> = entries(bench).into_iter().map(|entry| entry.action).collect();
    assert_eq!(actions, ["rollout.scheduled", "rollout.started", "rollout.advanced", "rollout.halted"]);
    bench.tick(day(3));
    other.engine.tick(day(3)).unwrap();
    let said = bench.status();
    assert_eq!(said.state, RolloutState::Halted);
    let shown = |drive: &super::drive::Drive| {
        drive.engine.shown().load().values().map(|entry| entry.etag.clone()).collect::<Vec<_>>()
    };
    assert_eq!(shown(bench.drive()), shown(&other), "one and the same status");
    // A person's halt at one of them, too.
    let name = ("thermostat", bench.offer.version.as_str());
    let wish = |drive: &super::drive::Drive, wish: Wish| {
        desk::change(&drive.engine, name, &wish, ("command", "a test"), day(3)).unwrap()
    };
    wish(&other, Wish::Resume { hardware: None, set_aside: true });
    assert_eq!((bench.tick(day(3)).len(), bench.status().state), (0, RolloutState::Running));
    wish(bench.drive(), Wish::Halt(None));
    other.engine.tick(day(3)).unwrap();
    bench.tick(day(3));
    assert_eq!((bench.status().state, shown(bench.drive())), (RolloutState::Halted, shown(&other)));
}

/// The plan has come to all, and the gate to a half of them: whoever says that it failed before their turn isn't heard.
#[test]
fn devices_that_the_gate_has_not_let_in_have_no_vote_until_they_were_held_for_as_long_as_may_be() {
    let (mut bench, members) = half_open(day(0));
    bench.drive().set(day(8));
    bench.report(&members, "failed");
    let failed = |bench: &Bench| bench.votes()[&hardware("revC")].failed;
    assert!((400..600).contains(&failed(&bench)), "about a half: {}", failed(&bench));
    let released = day(8).plus_seconds(bench.offer.plan.max_hold_seconds as i64);
    bench.drive().set(released);
    bench.report(&members, "rolled-back");
    assert_eq!(bench.votes()[&hardware("revC")].rolled_back, 1000);
}

/// Taken from its channel for a weekend, it is judged by all that was told of it; after a month it begins anew, and nothing that was
/// set aside before hides what comes.
#[test]
fn a_release_that_comes_back_is_judged_by_all_that_was_told_of_it_unless_it_was_gone_for_long() {
    let (mut bench, members) = half_open(day(0));
    bench.report(&members[..60], "rolled-back");
    assert_eq!(bench.tick(day(0)), ["rollout.halted"]);
    let resume = Wish::Resume { hardware: None, set_aside: true };
    let version = bench.offer.version.clone();
    let name = ("thermostat", version.as_str());
    desk::change(&bench.drive().engine, name, &resume, ("command", "a test bench"), day(0)).unwrap();
    bench.report(&members, "confirmed");
    let (told, aside) = (bench.votes(), bench.record().set_aside);
    assert!(aside[&hardware("revC")].rolled_back > 20, "{aside:?}");
    let leave = |bench: &Bench, at| {
        bench.drive().offer(offers([]));
        assert_eq!(bench.tick(at), ["rollout.withdrawn"]);
    };
    let come_back = |bench: &Bench, at| {
        bench.drive().offer(offers([bench.offer.clone()]));
        assert_eq!(bench.tick(at)[0], "rollout.offered-again");
    };
    leave(&bench, day(1));
    let last = entries(&bench).pop().unwrap();
    let counts = told[&hardware("revC")].counts(&Default::default()).to_string();
    assert_eq!(
        (last.action.as_str(), last.detail["counts"].as_str()),
        ("rollout.withdrawn", counts.as_str())
    );
    let shown = |bench: &Bench| desk::show(&bench.drive().engine, name.0, name.1, day(1)).unwrap();
    assert_eq!(shown(&bench).state, "withdrawn");
    assert_eq!(shown(&bench).votes["revC"], told[&hardware("revC")]);
    assert!(bench.drive().engine.sweep(day(31).plus_seconds(-1)).unwrap(), "nothing is removed");
    come_back(&bench, day(31).plus_seconds(-1));
    assert_eq!((bench.votes(), bench.record().set_aside), (told, aside));
    leave(&bench, day(31));
    while !bench.drive().engine.sweep(day(61)).unwrap() {}
    assert!(bench.store().scan(Space::Marks, None, 1).unwrap().is_empty());
    assert_eq!((bench.record().set_aside.len(), bench.record().emptied), (0, Some(day(61))));
    assert!(shown(&bench).votes.is_empty());
    assert_eq!(entries(&bench).iter().filter(|entry| entry.action == "rollout.votes-removed").count(), 1);
    come_back(&bench, day(62));
    assert_eq!((bench.votes().len(), bench.record().emptied), (0, None));
    bench.report(&members[..60], "rolled-back");
    assert_eq!(bench.tick(day(62)), ["rollout.halted"]);
}

/// A full disk takes the brake away from nobody.
#[test]
fn below_the_reserve_what_stops_something_is_still_written_and_nothing_else() {
    let (mut bench, members) = half_open(day(0));
    bench.report(&members[..60], "rolled-back");
    let full = Settings { reserve: u64::MAX, ..Settings::default() };
    bench.start_with(full.clone(), day(0));
    let told = bench.told(&members[60], "rolled-back");
    assert!(bench.drive().report(vec![told]).is_err());
    assert_eq!(bench.tick(day(1)), ["rollout.halted"], "by evidence");
    assert_eq!(bench.status().state, RolloutState::Halted);
    let store = bench.store();
    assert!(
        crate::fleet::desk::revoke(store, &members[0].device, "command", "stolen", false, day(1))
            .unwrap()
            .unwrap()
    );
    let version = bench.offer.version.clone();
    let name = ("thermostat", version.as_str());
    let by = ("command", "a test");
    let wish = |bench: &Bench, wish| desk::change(&bench.drive().engine, name, &wish, by, day(1));
    let resume = || Wish::Resume { hardware: None, set_aside: true };
    let refused = wish(&bench, resume());
    assert!(matches!(refused, Err(desk::DeskError::Store(StoreError::Full(_)))), "{refused:?}");
    bench.start(day(1));
    wish(&bench, resume()).unwrap();
    bench.start_with(full, day(1));
    assert_eq!(wish(&bench, Wish::Pause).unwrap().state, "paused");
    bench.tick(day(1));
    assert_eq!(bench.status().state, RolloutState::Paused);
}

#[test]
fn whoever_looks_is_told_when_devices_go_on_although_it_is_stopped() {
    let (mut bench, members) = half_open(day(0));
    bench.report(&members[..60], "rolled-back");
    assert_eq!(bench.tick(day(1)), ["rollout.halted"]);
    let shown = |bench: &Bench, signed, now| {
        let offer = super::offers::Offer { signed_at: Some(signed), ..bench.offer.clone() };
        bench.drive().offer(offers([offer]));
        let all = desk::show(&bench.drive().engine, "thermostat", bench.offer.version.as_str(), now).unwrap();
        let codes: Vec<&str> = all.alarms().iter().map(|(code, ..)| *code).collect();
        (codes.join(" "), all.alarms()[0].1.clone() + &all.sentences().join(" "))
    };
    // The early group's time came a day before the first phase; it waits for fourteen.
    let first = day(13);
    let (codes, said) = shown(&bench, day(0), day(3));
    assert_eq!(codes, "rollout_halted");
    let until =
        format!("from {first} (the first) to {} (the last, after catching up) they go on if", day(19));
    assert!(said.contains(&until), "{said}");
    assert!(said.contains("It is open for nobody; it had come to 50 % of the fleet"), "{said}");
    let (codes, said) = shown(&bench, day(0), day(14));
    assert_eq!(codes, "rollout_halted");
    let since = format!("since {first} (the first) they go on as soon as its signers sign");
    assert!(said.contains(&since), "{said}");
    let (codes, said) = shown(&bench, day(3), day(3));
    assert_eq!(codes, "rollout_goes_on rollout_halted");
    let again = format!("signers signed again at {0}, for devices whose time came before {0}", day(3));
    assert!(said.contains(&format!("Its {again}: devices go on from {first} (the first) on")), "{said}");
    let (codes, said) = shown(&bench, day(5), day(14));
    assert_eq!(codes, "rollout_goes_on rollout_halted");
    let since = format!("signed again at {}: devices go on since {first} (the first) on", day(5));
    assert!(said.contains(&since), "{said}");
    assert!(said.contains("--reason WORDS --set-aside-evidence"), "{said}");
    // A pause holds no longer.
    let wish = |wish| {
        let name = ("thermostat", bench.offer.version.as_str());
        desk::change(&bench.drive().engine, name, &wish, ("command", "a test"), day(2)).unwrap()
    };
    wish(Wish::Resume { hardware: None, set_aside: true });
    let alarm = wish(Wish::Pause).alarms().pop().unwrap();
    assert_eq!(alarm.0, "rollout_paused");
    assert!(alarm.1.contains("is paused by command: a test"), "{alarm:?}");
}

/// Two releases of this server, both running with proof.
fn two_running() -> (Bench, super::offers::Offer) {
    let (mut bench, members) = half_open(day(0));
    let mut other = bench.offer.clone();
    (other.manifest, other.version) = (Sha256Digest([2; 32]), "3.0.0".parse().unwrap());
    bench.drive().offer(offers([bench.offer.clone(), other.clone()]));
    assert_eq!(bench.tick(day(0)), ["rollout.scheduled", "rollout.started"]);
    bench.report(&members, "confirmed");
    (bench.offer, other) = (other, bench.offer);
    bench.report(&members, "confirmed");
    (bench, other)
}

fn list(bench: &Bench, at: Timestamp) -> Vec<super::view::Rollout> {
    desk::list(&bench.drive().engine, at).unwrap()
}

#[test]
fn a_record_that_cannot_be_read_is_told_and_passed_over_and_the_others_go_on() {
    let (bench, damaged) = two_running();
    let batch = Batch::new().put(Space::Rollouts, damaged.manifest.0, *b"?");
    bench.store().commit(batch).unwrap();
    let marks = bench.store().scan(Space::Marks, None, 10_000).unwrap().len();
    bench.wait(day(2));
    assert_eq!(bench.tick(day(2)), ["rollout.advanced"]);
    assert_eq!(bench.record().phase, 1, "the other one");
    let shown = bench.drive().engine.shown().load_full();
    assert_eq!(shown.keys().map(AsRef::as_ref).collect::<Vec<&str>>(), ["/rollouts/thermostat/3.0.0.json"]);
    let all = list(&bench, day(2));
    let told = all.iter().find(|it| it.state == "unreadable").unwrap();
    assert_eq!((told.product.as_str(), told.version.as_str()), ("thermostat", damaged.version.as_str()));
    assert!(told.line().contains("unreadable: the store's record rollouts/"), "{}", told.line());
    assert_eq!(told.alarms()[0].0, "rollout_damaged");
    assert_eq!((all.len(), bench.drive().engine.unreadable()), (2, 1));
    let wish = desk::change(
        &bench.drive().engine,
        ("thermostat", damaged.version.as_str()),
        &Wish::Pause,
        ("command", "to look at it"),
        day(2),
    );
    assert!(matches!(wish, Err(desk::DeskError::Store(StoreError::Corrupt(_)))), "{wish:?}");
    // Its votes are kept, also where it is offered no more: nobody knows since when.
    bench.drive().offer(offers([bench.offer.clone()]));
    assert!(bench.drive().engine.sweep(day(400)).unwrap());
    assert_eq!(bench.store().scan(Space::Marks, None, 10_000).unwrap().len(), marks);
    let kept = bench.store().get(Space::Rollouts, &damaged.manifest.0).unwrap();
    assert_eq!(kept.as_deref(), Some(&b"?"[..]));
}

#[test]
fn where_a_channel_cannot_be_read_its_rollouts_stand_still_and_may_halt_and_the_others_go_on() {
    let (mut bench, gone) = two_running();
    bench.wait(day(2));
    let mut left = offers([bench.offer.clone()]);
    let mut camera = bench.offer.clone();
    (camera.product, camera.manifest) = ("camera".parse().unwrap(), Sha256Digest([3; 32]));
    left.offered.insert(camera.manifest, std::sync::Arc::new(camera));
    let why = "blobs/00 (targets/thermostat/beta.channel.json): it isn't there".to_owned();
    left.damaged.push(Damaged { product: Some(bench.offer.product.clone()), manifest: None, why });
    bench.drive().offer(left);
    // Another product's is taken up; the one that no channel is known to offer isn't taken for withdrawn.
    assert_eq!(bench.tick(day(2)), ["rollout.scheduled", "rollout.started"]);
    let records = super::record::all(bench.store()).unwrap().whole;
    assert_eq!(records[&gone.manifest].0.state, State::Running);
    assert_eq!((bench.record().phase, records[&gone.manifest].0.phase), (0, 0), "proof doesn't advance them");
    assert_eq!(bench.status().issued, day(2), "what a channel offers is renewed as it is");
    assert_eq!(bench.drive().engine.unreadable(), 1);
    let all = list(&bench, day(2));
    let still = all.iter().find(|it| it.version == "3.0.0" && it.product == "thermostat").unwrap();
    assert!(still.sentences().join(" ").contains("it stands still until this can be read: blobs/00"));
    assert_eq!(all.iter().filter(|it| it.state == "unreadable").count(), 1);
    let name = ("thermostat", "3.0.0");
    let change = |wish: Wish| desk::change(&bench.drive().engine, name, &wish, ("command", "a test"), day(2));
    change(Wish::Pause).unwrap();
    let resume = change(Wish::Resume { hardware: None, set_aside: false });
    assert!(matches!(resume, Err(desk::DeskError::Store(StoreError::Corrupt(_)))), "{resume:?}");
    let members = bench.members(1000, "revC");
    bench.report(&members, "rolled-back");
    assert_eq!(bench.tick(day(2)), ["rollout.halted"]);
    assert_eq!(bench.status().state, RolloutState::Halted);
}
