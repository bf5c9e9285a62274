use super::drive::Member;
use super::machine::Wish;
use super::sweep::{KEPT_DAYS, sweep};
use super::tallies::Tallies;
use super::testkit::{Bench, day, hardware, offer, offers, votes};
use super::votes::Votes;
use crate::fleet::desk;
use crate::store::{Batch, Space};
use perennial_schemas::rollout::bucket;

/// Those of so many devices whose turn comes with the first phase, and the others.
fn first_and_others(bench: &Bench, count: u32) -> (Vec<Member>, Vec<Member>) {
    let members = bench.members(count, "revC");
    let salt = &bench.offer.plan.salt;
    let crypto = perennial_device_core::crypto::Ring;
    members.into_iter().partition(|member| bucket(salt, &member.device, &crypto) < 10_000)
}

#[test]
fn a_device_has_one_vote_and_its_worst_outcome_counts_across_batches_and_restarts() {
    let mut bench = Bench::new();
    bench.tick(day(-2));
    let (first, _) = first_and_others(&bench, 300);
    assert!(first.len() >= 2, "{}", first.len());
    bench.drive().set(day(0));
    bench.report(&first, "started");
    let all = first.len() as u64;
    let started = |started| Votes { started, ..Votes::default() };
    assert_eq!(bench.votes()[&hardware("revC")], started(all));
    bench.report(&first, "installed");
    assert_eq!(bench.votes()[&hardware("revC")], started(all));
    bench.report(&first, "confirmed");
    // In one batch: the worst of it.
    let both = [bench.told(&first[0], "rolled-back"), bench.told(&first[0], "confirmed")];
    bench.drive().report(both.to_vec()).unwrap();
    bench.report(&first[..1], "failed");
    bench.report(&first[..1], "started");
    assert_eq!(bench.votes()[&hardware("revC")], votes(all - 1, 0, 1));
    assert_eq!(bench.recounted(), bench.votes());
    // What says nothing of the release is no vote.
    bench.report(&first[1..2], "delta-failed");
    assert_eq!(bench.votes()[&hardware("revC")], votes(all - 1, 0, 1));
    bench.start(day(1));
    bench.tick(day(1));
    assert_eq!(bench.votes()[&hardware("revC")], votes(all - 1, 0, 1));
}

#[test]
fn only_devices_that_the_plan_had_admitted_vote() {
    let mut bench = Bench::new();
    bench.tick(day(-2));
    let (first, others) = first_and_others(&bench, 300);
    let mut canary = bench.members(2, "revD");
    canary.iter_mut().for_each(|member| member.labels = ["ring=canary".parse().unwrap()].into());
    bench.drive().enrol(&canary).unwrap();
    bench.report(&canary, "confirmed");
    assert!(bench.votes().is_empty(), "two days before its time, at its owner's word");
    bench.drive().set(day(-1));
    bench.report(&canary[..1], "confirmed");
    assert_eq!(bench.votes()[&hardware("revD")], votes(1, 0, 0));
    bench.drive().set(day(0));
    bench.report(&others, "failed");
    bench.report(&first[..1], "confirmed");
    assert_eq!(bench.votes()[&hardware("revC")], votes(1, 0, 0), "only the first phase is open");
    // Hardware that has no part, a revoked device, a copied identity.
    let stranger = bench.members(1, "revX");
    bench.report(&stranger, "failed");
    let store = bench.store();
    assert!(desk::revoke(store, &first[1].device, "command", "stolen", false, day(0)).unwrap().unwrap());
    let told = bench.told(&first[1], "failed");
    assert!(bench.drive().report(vec![told]).is_err());
    let mut forked = bench.told(&canary[1], "failed");
    bench.drive().report(vec![forked.clone()]).unwrap();
    assert_eq!(bench.votes()[&hardware("revD")], votes(1, 1, 0));
    forked.1[0].detail = "another".into();
    bench.drive().report(vec![forked]).unwrap();
    bench.report(&canary[1..], "rolled-back");
    assert_eq!(bench.votes()[&hardware("revD")], votes(1, 1, 0), "it is quarantined");
    assert!(!bench.votes().contains_key(&hardware("revX")));
    assert_eq!(bench.recounted(), bench.votes());
}

/// Of sixty that began two hours ago twelve went back; a thousand that began since hide that no more.
#[test]
fn failures_of_those_that_began_long_ago_count_whoever_has_just_begun() {
    let mut bench = Bench::new();
    bench.offer.plan.early[0].not_before = day(-2);
    bench.start(day(-1));
    let mut canary = bench.members(1060, "revC");
    canary.iter_mut().for_each(|member| member.labels = ["ring=canary".parse().unwrap()].into());
    bench.drive().enrol(&canary).unwrap();
    bench.tick(day(-1));
    let (old, young) = canary.split_at(60);
    bench.report(old, "started");
    bench.drive().set(day(-1).plus_seconds(7200));
    bench.report(young, "started");
    bench.drive().set(day(-1).plus_seconds(7260));
    bench.report(&old[12..52], "confirmed");
    bench.report(&old[..5], "rolled-back");
    bench.drive().set(day(-1).plus_seconds(7320));
    bench.report(&young[..7], "failed");
    assert_eq!(bench.tick(day(-1).plus_seconds(7320)), [""; 0], "seven that have just begun say nothing yet");
    let young_of = |tallies: &Tallies| tallies.young(&bench.offer.manifest);
    let counted = young_of(&bench.drive().engine.ballot().tallies);
    let fresh = Tallies::default();
    fresh.recount(bench.store(), &bench.offer.manifest, &|| {}).unwrap();
    assert_eq!(young_of(&fresh), counted, "as the marks have it");
    bench.report(&old[5..12], "rolled-back");
    let changes = bench.tick(day(-1).plus_seconds(7320));
    assert_eq!(changes, ["rollout.halted"]);
}

/// Else a hundred that are well, told late and were set aside, would be taken from those that are left.
#[test]
fn evidence_that_was_set_aside_is_in_no_part_of_what_counts() {
    let mut bench = Bench::new();
    bench.offer.plan.early[0].not_before = day(-2);
    bench.start(day(-1));
    let mut canary = bench.members(220, "revC");
    canary.iter_mut().for_each(|member| member.labels = ["ring=canary".parse().unwrap()].into());
    bench.drive().enrol(&canary).unwrap();
    bench.tick(day(-1));
    let (under_way, well) = canary.split_at(120);
    bench.report(under_way, "started");
    let later = day(-1).plus_seconds(4 * 3600);
    bench.drive().set(later);
    bench.report(well, "confirmed");
    let (name, by) = (("thermostat", bench.offer.version.as_str()), ("command", "a test"));
    for wish in [Wish::Pause, Wish::Resume { hardware: None, set_aside: true }] {
        super::desk::change(&bench.drive().engine, name, &wish, by, later).unwrap();
    }
    bench.drive().set(later.plus_seconds(60));
    bench.report(&under_way[..5], "rolled-back");
    assert_eq!(bench.tick(later.plus_seconds(60)), [""; 0], "5 of 120");
}

/// The plan has come to the second phase, and the gate hasn't: devices of an early group go by their own time all the same.
#[test]
fn an_early_group_votes_from_its_time_on_also_while_the_gate_waits() {
    let mut bench = Bench::new();
    bench.offer.plan.early[0].not_before = day(3);
    bench.start(day(0));
    bench.tick(day(0));
    let (_, others) = first_and_others(&bench, 400);
    let (mut canary, others) = (others[..300].to_vec(), &others[300..]);
    canary.iter_mut().for_each(|member| member.labels = ["ring=canary".parse().unwrap()].into());
    bench.drive().enrol(&canary).unwrap();
    bench.wait(day(3));
    bench.drive().set(day(3).plus_seconds(-1));
    bench.report(&canary, "started");
    assert!(bench.votes().is_empty(), "not before their time");
    bench.drive().set(day(3));
    bench.report(&canary, "started");
    bench.report(others, "failed");
    let all = canary.len() as u64;
    assert_eq!(bench.votes()[&hardware("revC")], Votes { started: all, ..Votes::default() });
    // And those that fall silent are missing, and no measure of what is usual.
    let engine = &bench.drive().engine;
    engine.listen(day(7), &|| {}).unwrap();
    let counted = engine.counted(&bench.offer).unwrap();
    assert_eq!(counted.votes[&hardware("revC")].missing, all);
    assert_eq!(counted.others.all, others.len() as u64);
    bench.report(&canary[..2], "rolled-back");
    assert_eq!(bench.votes()[&hardware("revC")].rolled_back, 2);
}

/// Somebody at a device who has just seen the halt, and installs it all the same.
#[test]
fn what_is_installed_while_it_is_held_speaks_against_it_and_never_for_it() {
    let mut bench = Bench::new();
    bench.offer.plan.phases[0].share = 900_000;
    bench.start(day(0));
    bench.tick(day(0));
    let members: Vec<_> = bench.members(40, "revC");
    let crypto = perennial_device_core::crypto::Ring;
    let salt = bench.offer.plan.salt.clone();
    let (open, _): (Vec<_>, Vec<_>) =
        members.into_iter().partition(|member| bucket(&salt, &member.device, &crypto) < 900_000);
    let (began, late) = open.split_at(2);
    bench.report(began, "started");
    let name = ("thermostat", bench.offer.version.as_str().to_owned());
    let wish = |bench: &Bench, what: Wish, at| {
        let by = ("command", "a test");
        super::desk::change(&bench.drive().engine, (name.0, &name.1), &what, by, at).unwrap();
        bench.tick(at);
    };
    wish(&bench, Wish::Pause, day(1));
    bench.report(&late[..3], "started");
    bench.report(&late[..3], "confirmed");
    bench.report(&late[2..4], "rolled-back");
    bench.report(&began[..1], "confirmed");
    let held = |held| Votes { held, started: 1, ..votes(1, 0, 2) };
    assert_eq!(bench.votes()[&hardware("revC")], held(2), "who began before it was let in");
    // Who was held waits for a part of a day; after a hold of which most heard.
    let resumed = day(5);
    wish(&bench, Wish::Resume { hardware: None, set_aside: true }, resumed);
    let part = |member: &&Member| perennial_schemas::rollout::catch_up_part(&salt, &member.device, &crypto);
    let last = late[4..20].iter().max_by_key(part).unwrap().clone();
    let first = late[4..20].iter().min_by_key(part).unwrap().clone();
    bench.drive().set(resumed.plus_seconds(43_200));
    bench.report(&[first], "confirmed");
    bench.report(&[last], "confirmed");
    bench.report(&late[..1], "confirmed");
    let after = Votes { held: 3, started: 1, ..votes(2, 0, 2) };
    assert_eq!(bench.votes()[&hardware("revC")], after);
    assert_eq!(bench.recounted(), bench.votes());
    // Halted for one revision; past its hold, once its signers have signed again, it is let in.
    wish(&bench, Wish::Halt(Some(hardware("revC"))), day(6));
    bench.report(&late[20..21], "confirmed");
    assert_eq!(bench.votes()[&hardware("revC")].held, 4);
    let past = day(20);
    bench.offer.signed_at = Some(day(7));
    bench.drive().offer(offers([bench.offer.clone()]));
    bench.tick(past);
    bench.report(&late[21..22], "confirmed");
    assert_eq!(bench.votes()[&hardware("revC")], Votes { held: 4, ..Votes { confirmed: 3, ..after } });
}

#[test]
fn a_recount_agrees_with_what_is_told_while_it_goes_on() {
    let mut bench = Bench::new();
    bench.offer.plan.phases[0].share = 900_000;
    bench.start(day(-3));
    bench.tick(day(-2));
    let members = bench.members(2500, "revC");
    bench.drive().set(day(0));
    bench.report(&members, "started");
    // After each page some more tell how it went: in front of it and behind it.
    let (engine, store) = (bench.drive().engine.ballot().clone(), bench.drive().store.clone());
    let manifest = bench.offer.manifest;
    let told = std::cell::RefCell::new((&mut bench, 0));
    let pause = || {
        let (bench, at) = &mut *told.borrow_mut();
        let some: Vec<_> = members.iter().skip(*at).step_by(3).cloned().collect();
        bench.report(&some, "confirmed");
        *at += 1;
    };
    engine.tallies.recount(store.as_ref(), &manifest, &pause).unwrap();
    let (_, at) = told.into_inner();
    assert!(at >= 2, "it took several pages");
    assert_eq!(bench.votes(), bench.recounted());
    assert!(bench.votes()[&hardware("revC")].confirmed > 1000);
}

#[test]
fn erasing_a_device_leaves_its_mark_which_says_nothing_of_it_and_goes_with_the_release() {
    let mut bench = Bench::new();
    bench.tick(day(-2));
    let (first, _) = first_and_others(&bench, 300);
    bench.drive().set(day(0));
    bench.report(&first, "rolled-back");
    let counted = bench.votes();
    let receipt = desk::erase(bench.store(), &first[0].device, desk::DEVICE, day(0)).unwrap().unwrap();
    assert!(receipt.kept.iter().any(|kept| kept.contains("vote")), "{:?}", receipt.kept);
    assert_eq!(bench.recounted(), counted);
    for (key, value) in bench.store().scan(Space::Marks, None, 1000).unwrap() {
        let id = first[0].device.as_str().as_bytes();
        assert!(![key, value].iter().any(|part| part.windows(id.len()).any(|window| window == id)));
    }
    // It enrols anew: still one vote.
    bench.drive().enrol(&first[..1]).unwrap();
    bench.report(&first[..1], "failed");
    assert_eq!(bench.votes(), counted);
    // As long as the release is offered the marks stay, and for a month after that; others' marks stay.
    let other = [[2; 32].as_slice(), &[9; 16]].concat();
    let mark = bench.store().scan(Space::Marks, None, 1).unwrap().remove(0).1;
    bench.store().commit(Batch::new().put(Space::Marks, other.clone(), mark)).unwrap();
    let marks = || bench.store().scan(Space::Marks, None, 1000).unwrap();
    let both = offers([bench.offer.clone(), offer(2)]);
    assert!(sweep(bench.store(), &both, day(400)).unwrap());
    let left = offers([offer(2)]);
    bench.drive().offer(left.clone());
    assert_eq!(bench.tick(day(1)), ["rollout.withdrawn"]);
    let end = day(1 + KEPT_DAYS);
    assert!(sweep(bench.store(), &left, end.plus_seconds(-1)).unwrap());
    assert_eq!(marks().len(), first.len() + 1);
    assert!(!sweep(bench.store(), &left, end).unwrap());
    assert!(sweep(bench.store(), &left, end).unwrap());
    assert_eq!(marks().into_iter().map(|(key, _)| key).collect::<Vec<_>>(), [other]);
    // Of what no record tells, nobody can have been promised anything.
    assert!(!sweep(bench.store(), &offers([]), end).unwrap());
    assert!(marks().is_empty());
}
