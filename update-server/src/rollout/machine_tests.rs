use super::machine::{Change, Counted, Facts, Refused, Wish, evidence, step, wish};
use super::offers::Offer;
use super::record::{Cause, Record, State};
use super::testkit::{day, hardware, offer, votes};
use super::votes::Votes;
use perennial_gate::Watched;
use perennial_schemas::Timestamp;
use std::collections::BTreeMap;

/// A rollout that a test drives.
struct Rollout {
    offer: Offer,
    record: Record,
    counted: Counted,
    offered: bool,
    withdrawn: Option<&'static str>,
    /// What the audit said last.
    detail: BTreeMap<&'static str, String>,
}

impl Rollout {
    fn new() -> Self {
        let offer = offer(1);
        let record = Record::new(&offer, day(-3));
        Self {
            offer,
            record,
            counted: Counted::default(),
            offered: true,
            withdrawn: None,
            detail: BTreeMap::new(),
        }
    }

    /// One that runs since its first moment.
    fn running() -> Self {
        let mut rollout = Self::new();
        assert_eq!(rollout.step(day(-1)), ["rollout.started"]);
        rollout
    }

    fn facts(&self) -> Facts<'_> {
        let offer = self.offered.then_some(&self.offer);
        Facts { offer, withdrawn: self.withdrawn, counted: &self.counted }
    }

    /// Everything that is due.
    fn step(&mut self, now: Timestamp) -> Vec<&'static str> {
        let mut actions = Vec::new();
        while let Some(change) = step(&self.record, &self.facts(), now) {
            self.take(&change, now);
            actions.push(change.action);
            assert!(actions.len() < 10, "{actions:?}");
        }
        actions
    }

    fn wish(&mut self, what: Wish, now: Timestamp) -> Result<&'static str, Refused> {
        let change = wish(&self.record, &self.facts(), &what, "token:ann", "looked at it", now)?;
        assert_eq!(change.by, "token:ann");
        self.take(&change, now);
        Ok(change.action)
    }

    fn take(&mut self, change: &Change, now: Timestamp) {
        self.detail = change.detail.iter().map(|(name, value)| (*name, value.clone())).collect();
        let detail = |name| change.detail.iter().any(|(known, value)| *known == name && !value.is_empty());
        assert!(["product", "version", "manifest", "state", "reason"].into_iter().all(detail), "{change:?}");
        assert_eq!(detail("counts"), change.action != "rollout.clock-set-back", "{change:?}");
        let automatic = ["rollout.halted", "rollout.advanced", "rollout.finished", "rollout.stopped"];
        if automatic.contains(&change.action) {
            assert!(detail("counts"), "{change:?}");
            assert_eq!(detail("bound") && detail("rule"), change.by == "server", "{change:?}");
        }
        assert!(change.record.changed() <= now);
        // As it comes back from the store.
        let key = change.record.manifest.as_bytes();
        self.record = Record::decode(key, &change.record.encode().unwrap()).unwrap();
        assert_eq!(self.record, change.record);
    }

    fn count(&mut self, name: &str, votes: Votes) {
        self.counted.votes.insert(hardware(name), votes);
    }
}

#[test]
fn a_good_release_goes_from_its_first_time_to_its_end_and_never_faster_than_its_plan() {
    let mut rollout = Rollout::new();
    assert_eq!(rollout.step(day(-1).plus_seconds(-1)), [""; 0], "not before the early group's time");
    assert_eq!(rollout.step(day(-1)), ["rollout.started"]);
    assert_eq!((rollout.record.state, rollout.record.cause), (State::Running, Cause::Plan));
    // Proof is there from the beginning, and each phase waits for its time and for being watched.
    rollout.count("revC", votes(5000, 0, 0));
    assert_eq!(rollout.step(day(2).plus_seconds(-1)), [""; 0]);
    assert_eq!((rollout.step(day(2)), rollout.record.phase), (vec!["rollout.advanced"], 1));
    assert_eq!(rollout.step(day(4).plus_seconds(-1)), [""; 0]);
    assert_eq!((rollout.step(day(4)), rollout.record.phase), (vec!["rollout.advanced"], 2));
    assert_eq!(rollout.step(day(5).plus_seconds(-1)), [""; 0], "the last phase is watched too");
    assert_eq!(rollout.step(day(5)), ["rollout.finished"]);
    assert_eq!(rollout.step(day(400)), [""; 0]);
}

#[test]
fn a_server_that_was_down_for_long_takes_one_phase_at_a_time() {
    let mut rollout = Rollout::new();
    rollout.count("revC", votes(5000, 0, 0));
    assert_eq!(rollout.step(day(30)), ["rollout.started"]);
    assert_eq!(rollout.step(day(31)), ["rollout.advanced"]);
    assert_eq!(rollout.step(day(31).plus_seconds(3600)), [""; 0]);
    assert_eq!(rollout.step(day(32)), ["rollout.advanced"]);
    assert_eq!(rollout.step(day(33)), ["rollout.finished"]);
}

#[test]
fn without_proof_sample_soak_or_with_silence_it_waits() {
    let mut rollout = Rollout::running();
    rollout.count("revC", votes(100, 0, 0));
    assert_eq!(rollout.step(day(2)), [""; 0], "100 devices prove little");
    rollout.count("revC", Votes { missing: 60, ..votes(400, 0, 0) });
    assert_eq!(rollout.step(day(2)), [""; 0], "60 fell silent");
    assert_eq!(rollout.record.state, State::Running, "silence never halts");
    rollout.counted.others = Watched { silent: 200, all: 1000 };
    assert_eq!(rollout.step(day(2)), ["rollout.advanced"], "as many as elsewhere");
    // Once few others are left, they are remembered as they were then.
    rollout.counted.others = Watched { silent: 1, all: 2 };
    let seen = |rollout: &Rollout| evidence(&rollout.record, &rollout.offer, &rollout.counted).others;
    assert_eq!(seen(&rollout), Watched { silent: 200, all: 1000 });
}

#[test]
fn a_bad_release_halts_whatever_its_state_and_stays_halted() {
    for state in [State::Running, State::Paused, State::Finished] {
        let mut rollout = Rollout::running();
        rollout.record.state = state;
        rollout.count("revC", votes(10, 3, 3));
        rollout.count("revD", votes(10, 3, 3));
        assert_eq!(rollout.step(day(1)), ["rollout.halted"], "{state:?}");
        let Record { state, cause, reason, since, .. } = &rollout.record;
        assert_eq!((*state, *cause, *since), (State::Halted, Cause::Gate, day(1)));
        assert_eq!(reason, "it failed on 12 of 32 devices, more than the ceiling allows");
        // Later evidence never brings it back by itself.
        rollout.count("revC", votes(100_000, 3, 3));
        assert_eq!(rollout.step(day(9)), [""; 0]);
    }
}

#[test]
fn one_hardware_revision_stops_alone_and_the_others_go_on_without_its_failures() {
    let mut rollout = Rollout::running();
    rollout.count("revC", votes(500, 1, 0));
    rollout.count("revD", votes(2, 0, 6));
    assert_eq!(rollout.step(day(1)), ["rollout.stopped"]);
    assert_eq!(rollout.record.state, State::Running);
    assert_eq!((rollout.record.since, rollout.record.changed()), (day(-1), day(1)));
    assert!(rollout.record.stopped[&hardware("revD")].reason.contains("6 of 8 devices of revD"));
    let seen = evidence(&rollout.record, &rollout.offer, &rollout.counted);
    assert_eq!((seen.all.told(), seen.strata.len()), (501, 2));
    assert_eq!(rollout.step(day(2)), ["rollout.advanced"]);
    // When the last one is stopped too, all of it is halted.
    rollout.count("revC", votes(500, 100, 0));
    assert_eq!(rollout.step(day(3)), ["rollout.halted"]);
    assert_eq!(rollout.step(day(4)), [""; 0]);
}

#[test]
fn a_person_stops_each_revision_and_then_it_is_halted() {
    let mut rollout = Rollout::running();
    let revision = |name| Wish::Halt(Some(hardware(name)));
    assert_eq!(rollout.wish(revision("revC"), day(1)), Ok("rollout.stopped"));
    assert_eq!(rollout.wish(revision("revC"), day(1)), Err(Refused::StoppedBefore(hardware("revC"))));
    assert_eq!(rollout.wish(revision("revE"), day(1)), Err(Refused::Hardware(hardware("revE"))));
    assert_eq!(rollout.wish(revision("revD"), day(2)), Ok("rollout.halted"));
    assert_eq!(rollout.record.state, State::Halted);
    let all = Wish::Resume { hardware: None, set_aside: false };
    assert_eq!(rollout.wish(all, day(3)), Ok("rollout.resumed"));
    assert!(rollout.record.stopped.is_empty() && rollout.record.state == State::Running);
    let one = Wish::Resume { hardware: Some(hardware("revC")), set_aside: false };
    assert_eq!(rollout.wish(one, day(3)), Err(Refused::NotStopped(hardware("revC"))));
}

#[test]
fn a_pause_holds_the_advance_and_evidence_still_halts() {
    let mut rollout = Rollout::running();
    rollout.count("revC", votes(5000, 0, 0));
    assert_eq!(rollout.wish(Wish::Pause, day(1)), Ok("rollout.paused"));
    assert_eq!(rollout.wish(Wish::Pause, day(1)), Err(Refused::State(State::Paused)));
    assert_eq!(rollout.step(day(10)), [""; 0]);
    let resume = || Wish::Resume { hardware: None, set_aside: false };
    assert_eq!(rollout.wish(resume(), day(10)), Ok("rollout.resumed"));
    assert_eq!(rollout.wish(resume(), day(10)), Err(Refused::State(State::Running)));
    assert_eq!(rollout.step(day(11).plus_seconds(-1)), [""; 0], "nobody could take it while it was paused");
    assert_eq!(rollout.step(day(11)), ["rollout.advanced"]);
    // Paused before its time, it goes on waiting for that.
    let mut early = Rollout::new();
    assert_eq!(early.wish(Wish::Pause, day(-2)), Ok("rollout.paused"));
    assert_eq!(early.step(day(-1)), [""; 0]);
    assert_eq!(early.wish(resume(), day(-2)), Ok("rollout.resumed"));
    assert_eq!(early.record.state, State::Scheduled);
}

#[test]
fn after_a_halt_by_evidence_a_person_must_say_that_it_is_set_aside() {
    let mut rollout = Rollout::running();
    rollout.count("revC", votes(20, 6, 0));
    rollout.count("revD", votes(20, 6, 0));
    assert_eq!(rollout.step(day(1)), ["rollout.halted"]);
    let resume = |set_aside| Wish::Resume { hardware: None, set_aside };
    let refused = rollout.wish(resume(false), day(2)).unwrap_err();
    assert!(matches!(&refused, Refused::Evidence(why) if why.contains("12 failed")), "{refused}");
    assert!(refused.hint().contains("--set-aside-evidence"));
    assert_eq!(rollout.wish(resume(true), day(2)), Ok("rollout.resumed"));
    assert_eq!(rollout.record.set_aside[&hardware("revC")], votes(20, 6, 0));
    assert_eq!((rollout.record.phase_since, rollout.step(day(2))), (Some(day(2)), vec![]));
    // What comes after it counts, from nothing.
    rollout.count("revC", votes(25, 7, 0));
    assert_eq!(evidence(&rollout.record, &rollout.offer, &rollout.counted).all.told(), 6);
    rollout.count("revC", votes(25, 12, 0));
    rollout.count("revD", votes(40, 6, 0));
    assert_eq!(rollout.step(day(2)), ["rollout.stopped"]);
    // And for one revision.
    let one = |set_aside| Wish::Resume { hardware: Some(hardware("revC")), set_aside };
    assert!(matches!(rollout.wish(one(false), day(3)), Err(Refused::Evidence(_))));
    assert_eq!(rollout.wish(one(true), day(3)), Ok("rollout.resumed"));
    assert_eq!(rollout.step(day(3)), [""; 0]);
}

/// One owner after another who installs it all the same would else lift the halt.
#[test]
fn what_halted_by_evidence_stands_until_it_is_set_aside_or_the_release_is_proved_to_be_good() {
    let resume = |set_aside| Wish::Resume { hardware: None, set_aside };
    for gone_meanwhile in [false, true] {
        let mut rollout = Rollout::running();
        rollout.count("revC", votes(1, 3, 0));
        assert_eq!(rollout.step(day(1)), ["rollout.halted"]);
        if gone_meanwhile {
            rollout.offered = false;
            rollout.step(day(1));
            rollout.offered = true;
            rollout.step(day(1));
        }
        rollout.count("revC", votes(20, 3, 0));
        let evidence = evidence(&rollout.record, &rollout.offer, &rollout.counted);
        let bounds = perennial_gate::bounds(&rollout.offer.plan.gate, &evidence);
        assert!(bounds.against < bounds.halts_at, "it would not halt by now: {bounds:?}");
        let refused = rollout.wish(resume(false), day(2)).unwrap_err();
        assert!(matches!(&refused, Refused::Stands(why) if why.contains("3 of 4")), "{refused}");
        assert!(refused.hint().contains("--set-aside-evidence"));
        let mut proved = rollout.record.clone();
        rollout.count("revC", votes(5000, 3, 0));
        assert_eq!(rollout.wish(resume(false), day(2)), Ok("rollout.resumed"));
        assert_eq!(rollout.record.halted_by, None);
        std::mem::swap(&mut proved, &mut rollout.record);
        rollout.count("revC", votes(20, 3, 0));
        assert_eq!(rollout.wish(resume(true), day(2)), Ok("rollout.resumed"));
        assert_eq!(
            rollout.detail["counts_set_aside"],
            "revC: 20 confirmed, 3 failed, 0 rolled back, 0 missing"
        );
        assert_eq!(rollout.detail["halted_for"], "it failed on 3 of 4 devices, more than the ceiling allows");
        assert!(rollout.detail["bound"].contains("against it"), "{:?}", rollout.detail);
    }
}

#[test]
fn one_revision_that_was_stopped_by_evidence_takes_the_words_too_also_where_all_were_one_by_one() {
    let mut rollout = Rollout::running();
    rollout.count("revC", votes(500, 1, 0));
    rollout.count("revD", votes(2, 0, 6));
    assert_eq!(rollout.step(day(1)), ["rollout.stopped"]);
    assert!(rollout.detail["reason"].contains("6 of 8 devices of revD"), "{:?}", rollout.detail);
    assert!(rollout.detail["bound"].contains("against it on revD"), "{:?}", rollout.detail);
    rollout.count("revD", votes(60, 0, 6));
    let one = |set_aside| Wish::Resume { hardware: Some(hardware("revD")), set_aside };
    assert!(matches!(rollout.wish(one(false), day(2)), Err(Refused::Stands(_))));
    let stopped = rollout.record.clone();
    assert_eq!(rollout.wish(one(true), day(2)), Ok("rollout.resumed"));
    assert_eq!(
        (rollout.detail["reason"].as_str(), rollout.detail["hardware"].as_str()),
        ("looked at it", "revD")
    );
    assert_eq!(rollout.detail["counts_set_aside"], "revD: 60 confirmed, 0 failed, 6 rolled back, 0 missing");
    // The other one by a person: then it is halted, and a plain word lifts neither.
    rollout.record = stopped;
    assert_eq!(rollout.wish(Wish::Halt(Some(hardware("revC"))), day(2)), Ok("rollout.halted"));
    assert_eq!(
        (rollout.detail["reason"].as_str(), rollout.detail["hardware"].as_str()),
        ("looked at it", "revC")
    );
    let all = |set_aside| Wish::Resume { hardware: None, set_aside };
    assert!(matches!(rollout.wish(all(false), day(3)), Err(Refused::Stands(_))));
    let halted = rollout.record.clone();
    assert_eq!(rollout.wish(all(true), day(3)), Ok("rollout.resumed"));
    assert_eq!((rollout.record.state, rollout.record.stopped.len()), (State::Running, 0));
    // Let go one by one, it goes on for that one.
    rollout.record = halted;
    let one = Wish::Resume { hardware: Some(hardware("revC")), set_aside: false };
    assert_eq!(rollout.wish(one, day(3)), Ok("rollout.resumed"));
    assert_eq!((rollout.record.state, rollout.record.stopped.len()), (State::Running, 1));
}

#[test]
fn a_person_who_halts_may_let_it_go_on_unless_evidence_came_meanwhile() {
    let mut rollout = Rollout::running();
    assert_eq!(rollout.wish(Wish::Halt(None), day(1)), Ok("rollout.halted"));
    assert_eq!(rollout.wish(Wish::Halt(None), day(1)), Err(Refused::State(State::Halted)));
    rollout.count("revC", votes(20, 12, 0));
    let resume = Wish::Resume { hardware: None, set_aside: false };
    assert!(matches!(rollout.wish(resume.clone(), day(2)), Err(Refused::Evidence(_))));
    rollout.count("revC", votes(20, 0, 0));
    assert_eq!(rollout.wish(resume, day(2)), Ok("rollout.resumed"));
}

#[test]
fn what_is_withdrawn_is_over_and_what_was_halted_before_is_halted_when_it_is_offered_again() {
    let mut rollout = Rollout::running();
    assert_eq!(rollout.wish(Wish::Halt(None), day(1)), Ok("rollout.halted"));
    rollout.withdrawn = Some("it overheats");
    assert_eq!(rollout.step(day(2)), ["rollout.withdrawn"]);
    assert_eq!(rollout.record.reason, "its maker withdrew it: it overheats");
    assert_eq!(rollout.step(day(3)), [""; 0]);
    assert_eq!(rollout.wish(Wish::Pause, day(3)), Err(Refused::NotOffered));
    (rollout.withdrawn, rollout.offered) = (None, false);
    assert_eq!(rollout.step(day(3)), [""; 0]);
    rollout.offered = true;
    assert_eq!(rollout.step(day(4)), ["rollout.offered-again"]);
    assert_eq!((rollout.record.state, rollout.record.since), (State::Halted, day(4)));
    // One that ran and is no longer on offer.
    let mut rollout = Rollout::running();
    rollout.offered = false;
    assert_eq!(rollout.step(day(1)), ["rollout.withdrawn"]);
    rollout.offered = true;
    assert_eq!((rollout.step(day(2)), rollout.record.state), (vec!["rollout.offered-again"], State::Running));
    // Nobody could take it meanwhile: the phase is watched anew.
    rollout.count("revC", votes(5000, 0, 0));
    assert_eq!(rollout.step(day(3).plus_seconds(-1)), [""; 0]);
    assert_eq!(rollout.step(day(3)), ["rollout.advanced"]);
}

/// Votes that went without a word, as with a damaged disk: what was set aside of them must not hide those that come.
#[test]
fn what_was_set_aside_counts_no_more_where_those_votes_are_gone() {
    for (left, stays) in
        [(votes(20, 6, 0), true), (votes(22, 4, 2), true), (votes(20, 5, 0), false), (votes(19, 6, 0), false)]
    {
        let mut rollout = Rollout::running();
        rollout.record.set_aside.insert(hardware("revC"), votes(20, 6, 0));
        rollout.offered = false;
        rollout.step(day(1));
        rollout.offered = true;
        rollout.count("revC", left);
        rollout.step(day(2));
        assert_eq!(rollout.record.set_aside.contains_key(&hardware("revC")), stays, "{left:?}");
    }
}

/// The early group comes a day before; what the first phase shows isn't known by then.
#[test]
fn the_first_phase_is_watched_from_its_own_time_on_and_a_pause_before_it_changes_nothing() {
    let rollout = Rollout::running();
    assert_eq!(rollout.record.phase_since, Some(day(0)));
    let mut rollout = Rollout::new();
    assert_eq!(rollout.wish(Wish::Pause, day(-2)), Ok("rollout.paused"));
    let resume = Wish::Resume { hardware: None, set_aside: false };
    assert_eq!(rollout.wish(resume, day(1)), Ok("rollout.resumed"));
    rollout.count("revC", votes(5000, 0, 0));
    assert_eq!(rollout.record.phase_since, Some(day(1)));
    assert_eq!(rollout.step(day(2)), ["rollout.advanced"]);
}

#[test]
fn a_clock_that_ran_ahead_holds_no_phase_until_then() {
    let mut rollout = Rollout::new();
    rollout.count("revC", votes(5000, 0, 0));
    assert_eq!(rollout.step(day(400)), ["rollout.started"]);
    assert_eq!(rollout.step(day(1)), ["rollout.clock-set-back"]);
    assert_eq!((rollout.record.phase_since, rollout.record.since), (Some(day(1)), day(1)));
    assert_eq!(rollout.step(day(2)), ["rollout.advanced"]);
}

/// What was stopped while the clock ran ahead would be no business of the signers until that time came.
#[test]
fn a_halt_of_a_clock_that_ran_ahead_is_one_of_now_once_the_clock_is_set_back() {
    let revision = |name| Some(hardware(name));
    let ahead = || {
        let mut rollout = Rollout::running();
        rollout.wish(Wish::Halt(revision("revD")), day(390)).unwrap();
        rollout.wish(Wish::Resume { hardware: revision("revD"), set_aside: false }, day(395)).unwrap();
        rollout.wish(Wish::Halt(revision("revC")), day(399)).unwrap();
        rollout.wish(Wish::Halt(None), day(400)).unwrap();
        rollout
    };
    let mut rollout = ahead();
    assert_eq!(rollout.record.changed(), day(400));
    assert_eq!(rollout.step(day(1)), ["rollout.clock-set-back"]);
    assert!(rollout.detail["clock"].contains("ran ahead"), "{:?}", rollout.detail);
    let Record { since, state, stopped, resumed, .. } = &rollout.record;
    assert_eq!((*since, *state, stopped[&hardware("revC")].since), (day(1), State::Halted, day(1)));
    let resumed = &resumed[&hardware("revD")];
    assert_eq!((resumed.held_since, resumed.at), (day(1), day(1)));
    assert_eq!(rollout.step(day(1)), [""; 0], "once");
    // Another front end's clock may be ahead by a little.
    let mut rollout = Rollout::running();
    rollout.wish(Wish::Halt(None), day(1).plus_seconds(60)).unwrap();
    assert_eq!(rollout.step(day(1)), [""; 0]);
    // What was signed with a date yet to come when it was stopped: that date goes as far as no signature of then becomes consent.
    let hour = day(1).plus_seconds(3600);
    for (signed_before, signed_at, after) in [
        (day(400), day(-7), day(1)),
        (day(400), day(3), day(3)),
        (day(400), day(400), day(400)),
        (day(400), day(401), day(400)),
        (hour, hour, hour),
        (hour, day(1).plus_seconds(60), hour),
    ] {
        let mut rollout = ahead();
        rollout.record.signed_before = Some(signed_before);
        rollout.offer.signed_at = Some(signed_at);
        let change = step(&rollout.record, &rollout.facts(), day(1)).unwrap();
        assert_eq!(change.record.signed_before, Some(after), "{signed_before} {signed_at}");
        rollout.record = change.record;
        assert_eq!(step(&rollout.record, &rollout.facts(), day(1)), None, "once");
    }
}

/// All of it is halted for what is one revision's: the others go on, and that one isn't open for a moment between.
#[test]
fn while_all_is_halted_one_revision_can_be_stopped_for_longer_than_the_others() {
    let mut rollout = Rollout::running();
    rollout.count("revC", votes(20, 1, 0));
    rollout.count("revD", votes(0, 0, 6));
    rollout.wish(Wish::Halt(None), day(1)).unwrap();
    let stop = Wish::Halt(Some(hardware("revD")));
    rollout.wish(stop.clone(), day(1)).unwrap();
    assert_eq!(rollout.record.state, State::Halted);
    assert_eq!(rollout.wish(stop.clone(), day(1)), Err(Refused::StoppedBefore(hardware("revD"))));
    rollout.wish(Wish::Resume { hardware: None, set_aside: false }, day(1)).unwrap();
    assert_eq!(rollout.record.state, State::Running);
    assert!(rollout.record.stopped.contains_key(&hardware("revD")));
    // Also the last one: then nothing is let go on by that.
    rollout.wish(Wish::Halt(None), day(2)).unwrap();
    rollout.wish(Wish::Halt(Some(hardware("revC"))), day(2)).unwrap();
    assert_eq!(rollout.record.state, State::Halted);
}
