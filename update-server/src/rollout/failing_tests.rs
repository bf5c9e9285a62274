use super::desk;
use super::engine_tests::half_open;
use super::failing::{Lost, Named};
use super::offers::Offers;
use super::testkit::{Bench, day};
use super::view::Rollout;
use crate::fleet::desk::{erase, revoke};

fn shown(bench: &Bench) -> Rollout {
    bench.drive().engine.find_failing(&|| {}).unwrap();
    desk::show(&bench.drive().engine, "thermostat", "2.1.0", bench.drive().now()).unwrap()
}

fn ids(named: &[Named]) -> Vec<&str> {
    named.iter().map(|it| it.device.as_str()).collect()
}

/// An operator at three in the morning: what halted it, on whom, and which command comes next.
#[test]
fn a_halt_names_what_failed_how_often_and_on_whom_the_newest_first() {
    let (mut bench, members) = half_open(day(0));
    let rare = bench.members(40, "revD");
    bench.fail(&members[..9], "rolled-back", 501);
    bench.fail(&members[9..11], "failed", 404);
    bench.fail(&rare[..1], "failed", 404);
    bench.report(&members[500..502], "failed");
    assert_eq!(bench.tick(day(1)), ["rollout.halted"]);
    // A device that is let in has one vote: those that are not named said it before their turn.
    let voted = |named: &[Named]| named.windows(2).all(|pair| pair[0].at >= pair[1].at);
    let show = shown(&bench);
    let kinds: Vec<_> = show
        .failures
        .iter()
        .map(|it| (it.hardware.as_str(), it.code, it.newest.len() as u64, it.devices))
        .collect();
    let counted = bench.votes();
    let all: u64 = counted.values().map(|votes| votes.failed + votes.rolled_back).sum();
    assert_eq!(
        all,
        kinds.iter().map(|(.., devices)| devices).sum::<u64>(),
        "as many as the votes: {kinds:?}"
    );
    assert!(show.failures.iter().all(|it| voted(&it.newest) && it.newest.len() as u64 == it.devices.min(5)));
    let first = &show.failures[0];
    assert_eq!((first.hardware.as_str(), first.code), ("revC", Some(501)));
    assert_eq!(first.what, "It booted and was not healthy.");
    let said = show.sentences().join("\n");
    let newest = first.newest[0].device.clone();
    let words =
        format!("On {} devices of revC it failed with 501 (it booted and was not healthy)", first.devices);
    assert!(said.contains(&words) && said.contains(&newest), "{said}");
    assert!(said.contains(&format!("To look at one: perennial-server device show {newest}.")), "{said}");
    // A list counts, and names nobody.
    let listed = desk::list(&bench.drive().engine, bench.drive().now()).unwrap();
    assert_eq!(listed[0].failures.len(), show.failures.len());
    assert!(listed[0].failures.iter().all(|it| it.newest.is_empty()));
    // Whoever is erased is named no more, and still counts.
    erase(bench.store(), &newest.parse().unwrap(), "command", day(1)).unwrap().unwrap();
    let after = shown(&bench);
    assert_eq!(after.failures[0].devices, first.devices);
    assert!(!ids(&after.failures[0].newest).contains(&newest.as_str()));
    // Nor is whoever enrolled again after that, and tells something, or of whom the bare revocation is kept.
    let back = |id: &str| members.iter().find(|it| it.device.as_str() == id).unwrap();
    bench.drive().set(day(1).plus_seconds(60));
    bench.drive().enrol(std::slice::from_ref(back(&newest))).unwrap();
    bench.report(std::slice::from_ref(back(&newest)), "started");
    let revoked = after.failures[0].newest[0].device.clone();
    revoke(bench.store(), &revoked.parse().unwrap(), "command", "lost", false, day(1)).unwrap();
    erase(bench.store(), &revoked.parse().unwrap(), "command", day(1)).unwrap().unwrap();
    let gone = |named: &[&str]| named.iter().all(|it| ![newest.as_str(), revoked.as_str()].contains(it));
    assert!(gone(&ids(&shown(&bench).failures[0].newest)), "named where it was found before");
    // What another front end took in, and after a restart: from the store alone.
    bench.start(day(2));
    bench.tick(day(2));
    let (after, left) = (shown(&bench), (first.devices as usize - 2).min(5));
    assert_eq!((after.failures[0].devices, after.failures[0].newest.len()), (first.devices, left));
    assert!(gone(&ids(&after.failures[0].newest)), "{after:?}");
    // Withdrawn, it is looked into most of all; also by a server that never saw it offered.
    let mut over = Offers { generation: Some(2), ..Offers::default() };
    over.withdrawn.insert((bench.offer.product.clone(), bench.offer.manifest), "it overheats".into());
    for restarted in [false, true] {
        if restarted {
            bench.start(day(3));
        }
        bench.drive().offer(over.clone());
        bench.tick(day(3));
        let shown = shown(&bench);
        assert_eq!((shown.state.as_str(), shown.failures.len()), ("withdrawn", after.failures.len()));
        assert_eq!(shown.failures[0].newest, after.failures[0].newest, "restarted: {restarted}");
    }
}

/// The worst outcome is what a device counts with, and so is its code.
#[test]
fn a_device_that_fails_twice_counts_with_the_worse_failure() {
    let (mut bench, members) = half_open(day(0));
    let turn = |bench: &Bench| bench.votes().values().map(|votes| votes.failed).sum::<u64>() > 0;
    let one = members
        .iter()
        .find(|member| {
            bench.fail(std::slice::from_ref(member), "failed", 404);
            turn(&bench)
        })
        .unwrap();
    let kinds = |bench: &Bench| -> Vec<_> {
        shown(bench).failures.iter().map(|it| (it.code, it.devices, ids(&it.newest).len())).collect()
    };
    assert_eq!(kinds(&bench), [(Some(404), 1, 1)]);
    bench.fail(std::slice::from_ref(one), "rolled-back", 502);
    assert_eq!(kinds(&bench), [(Some(502), 1, 1)]);
    bench.fail(std::slice::from_ref(one), "failed", 301);
    assert_eq!(kinds(&bench), [(Some(502), 1, 1)], "milder than what is known");
    // The same in one queue, whichever comes first.
    let other = members.iter().skip_while(|it| it.device != one.device).skip(1);
    let before = bench.votes().values().map(|votes| votes.rolled_back).sum::<u64>();
    for member in other.take(20) {
        let mut all = Vec::new();
        for (outcome, code) in [("failed", 404), ("rolled-back", 503), ("failed", 301)] {
            let (_, mut reports) = bench.told(member, outcome);
            reports[0].failure = Some(code.into());
            all.extend(reports);
        }
        bench.drive().report(vec![(member.clone(), all)]).unwrap();
    }
    let more = bench.votes().values().map(|votes| votes.rolled_back).sum::<u64>() - before;
    assert!(more > 3);
    assert!(kinds(&bench).contains(&(Some(503), more, 5.min(more as usize))), "{:?}", kinds(&bench));
    assert_eq!(kinds(&bench).len(), 2);
    bench.drive().engine.recount(true, &|| {}).unwrap();
    assert!(kinds(&bench).contains(&(Some(502), 1, 1)), "as the marks have it");
}

#[test]
fn devices_that_fell_silent_are_named_too() {
    let mut bench = Bench::new();
    bench.offer.plan.phases.iter_mut().for_each(|phase| phase.share = 1_000_000);
    bench.start(day(0));
    bench.tick(day(0));
    let members = bench.members(20, "revC");
    bench.report(&members, "started");
    bench.drive().set(day(9));
    bench.report(&members[..13], "confirmed");
    bench.drive().engine.listen(day(9), &|| {}).unwrap();
    let lost = shown(&bench).lost;
    assert_eq!((lost.len(), lost[0].devices, lost[0].newest.len()), (1, 7, 5));
    let all = ids(&lost[0].newest).join(" ");
    let said = shown(&bench).sentences().join("\n");
    assert!(said.contains("7 devices of revC fell silent; the newest: revC-"), "{said}");
    assert!(said.contains("13 that told, 7 began and haven't told yet"), "{said}");
    // Two are erased and enrol again; one of them tells something, and falls silent once more. They count, and aren't named.
    for member in &members[13..15] {
        assert!(all.contains(member.device.as_str()), "{all}");
        erase(bench.store(), &member.device, "command", day(9)).unwrap().unwrap();
    }
    bench.drive().enrol(&members[13..15]).unwrap();
    bench.report(&members[14..15], "started");
    let gone = |lost: &[Lost]| ids(&lost[0].newest).iter().all(|it| !["revC-13", "revC-14"].contains(it));
    assert!(gone(&shown(&bench).lost), "named where it was found before");
    bench.drive().engine.listen(day(18), &|| {}).unwrap();
    let lost = shown(&bench).lost;
    assert_eq!((lost[0].devices, lost[0].newest.len(), gone(&lost)), (7, 5, true), "{lost:?}");
}
