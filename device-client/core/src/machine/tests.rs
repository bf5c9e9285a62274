use super::*;
use crate::decide::Refusal;
use crate::journal::Known;
use crate::plan::{Coding, IndexFile, Source};
use crate::port::BootFlag;
use alloc::vec;
use alloc::vec::Vec;
use perennial_schemas::report::Outcome;
use perennial_schemas::{ReleaseVersion, Sha256Digest};
use proptest::prelude::*;

const CODE: FailureCode = FailureCode::Unhealthy;

fn states() -> Vec<State> {
    vec![
        State::Idle,
        State::Verified,
        State::Downloading { offset: 8192 },
        State::Staged,
        State::Claimed,
        State::Installing { offset: 8192 },
        State::Installed,
        State::Activated { tries: 3 },
        State::Trying,
        State::Confirmed,
        State::Unhealthy { code: CODE },
        State::FellBack { code: CODE },
        State::Retiring,
    ]
}

fn events() -> Vec<Event> {
    vec![
        Event::Chosen,
        Event::Reverting,
        Event::Stages,
        Event::Streams,
        Event::Progress { offset: 8192 },
        Event::Arrived,
        Event::Claimed,
        Event::Begun,
        Event::Installed,
        Event::Activated { tries: 3 },
        Event::BootedNew,
        Event::BootedOld { code: CODE },
        Event::Healthy,
        Event::Unhealthy { code: CODE },
        Event::Retired,
        Event::Settled,
        Event::DeltaFailed { code: CODE },
        Event::Failed { code: CODE },
        Event::Dropped,
    ]
}

/// The table once more, as text: one row a state, one column an event, in the order above. A letter is the next state's
/// first one, `.` an illegal pair. A change in `table.rs` has to be made here as well.
const TABLE: &str = "\
idle        VI.................
verified    ..DS............Vii
downloading ....DS..........Vii
staged      ......C..........ii
claimed     .......I.........ii
installing  ....I...I.......Iii
installed   .........ATF.....RR
activated   ..........TF.......
trying      ..........TFCU.....
confirmed   ...........F...i...
unhealthy   ...........F.......
fell-back   ..............i....
retiring    ..............i....";

#[test]
fn every_pair_is_as_the_table_says_and_all_others_are_illegal() {
    for (state, row) in states().into_iter().zip(TABLE.lines()) {
        let (name, cells) = row.split_at(12);
        assert_eq!(name.trim(), state.name());
        for (event, cell) in events().into_iter().zip(cells.chars()) {
            let letter = match next(state, event) {
                Ok(State::Idle) => 'i',
                Ok(to) => to.name().chars().next().map_or('?', |first| first.to_ascii_uppercase()),
                Err(illegal) => {
                    assert_eq!(illegal, Illegal { state, event });
                    '.'
                }
            };
            assert_eq!(letter, cell, "{state:?} {event:?}");
        }
    }
}

#[test]
fn offsets_never_go_back() {
    for state in [State::Downloading { offset: 8192 }, State::Installing { offset: 8192 }] {
        assert!(next(state, Event::Progress { offset: 4096 }).is_err());
    }
}

const NOW: Timestamp = Timestamp::EPOCH;

fn plan(n: u8) -> Plan {
    let index = |name: &str| IndexFile { path: name.into(), length: 96, root: Sha256Digest([n; 32]) };
    let source = Source {
        image_index: index("i"),
        payload_index: index("p"),
        payload: "payload".into(),
        payload_length: 10,
        coding: Coding::Plain,
        base: None,
        full: None,
        expires: NOW.plus_days(7),
        rollout: None,
        staged: false,
    };
    Plan {
        version: "2.0.0".parse().unwrap(),
        manifest: Sha256Digest([n; 32]),
        security_version: 1,
        slot: Slot::B,
        length: 10,
        sha256: Sha256Digest([n; 32]),
        source: Some(source),
    }
}

fn update(plan: &Plan) -> Decision {
    let (version, manifest) = (plan.version.clone(), plan.manifest);
    Decision::Update { version, manifest, passed_over: vec![], admitted: None }
}

fn started(booted: Slot, b: BootFlag) -> Input {
    Input::Started { booted, status: BootStatus { a: BootFlag::Good, b, next: booted } }
}

/// A client on slot A that was told to install `plan(1)`.
fn chosen() -> Client {
    let mut client = Client::new(Journal::new(Slot::A, None), Settings::default());
    assert_eq!(client.poll_effect(NOW), Some(Effect::LookAround));
    client.handle(started(Slot::A, BootFlag::Unbootable), NOW).unwrap();
    assert_eq!(client.poll_effect(NOW), Some(Effect::Check));
    assert_eq!(client.poll_effect(NOW), None, "one effect at a time");
    client.handle(Input::Checked(update(&plan(1)), Some(Box::new(plan(1)))), NOW).unwrap();
    client
}

/// The next effect at `now`, with the journal saved before it.
fn effect(client: &mut Client, now: Timestamp) -> Option<Effect> {
    client.handle(Input::Tick, now).unwrap();
    let effect = client.poll_effect(now);
    if effect != Some(Effect::Save) {
        return effect;
    }
    client.handle(Input::Saved, now).unwrap();
    client.poll_effect(now)
}

fn happen(client: &mut Client, events: &[Event]) {
    for event in events {
        let _ = effect(client, NOW);
        client.handle(Input::Happened(*event), NOW).unwrap();
    }
}

const TO_INSTALLED: [Event; 4] = [Event::Streams, Event::Claimed, Event::Begun, Event::Installed];

#[test]
fn nothing_is_handed_out_before_the_journal_is_saved() {
    let mut client = chosen();
    assert_eq!(client.poll_effect(NOW), Some(Effect::Save));
    assert_eq!(client.poll_effect(NOW), Some(Effect::Save), "again, until it is saved");
    client.handle(Input::Saved, NOW).unwrap();
    assert_eq!(client.poll_effect(NOW), Some(Effect::Prepare));
}

#[test]
fn an_answer_of_any_length_leaves_a_journal_that_can_be_saved() {
    let mut client = Client::new(Journal::new(Slot::A, None), Settings::default());
    assert_eq!(client.poll_effect(NOW), Some(Effect::LookAround));
    client.handle(started(Slot::A, BootFlag::Unbootable), NOW).unwrap();
    assert_eq!(effect(&mut client, NOW), Some(Effect::Check));
    let error = PortError::new(FailureCode::Malformed, "checking for updates", "é".repeat(400_000));
    client.handle(Input::Failed(error), NOW).unwrap();
    assert!(client.journal().said.as_ref().unwrap().text.starts_with("could not check"));
    let length = client.journal().encode().unwrap().len() as u64;
    assert!(length < crate::port::Record::Journal.max_length() / 2, "{length}");
}

#[test]
fn progress_is_saved_while_the_effect_goes_on() {
    let mut client = chosen();
    happen(&mut client, &TO_INSTALLED[..3]);
    assert_eq!(effect(&mut client, NOW), Some(Effect::Install { from: 0 }));
    client.handle(Input::Happened(Event::Progress { offset: 4096 }), NOW).unwrap();
    assert_eq!(client.poll_effect(NOW), Some(Effect::Save));
    client.handle(Input::Saved, NOW).unwrap();
    assert_eq!(client.poll_effect(NOW), None, "it still goes on");
    client.handle(Input::Failed(PortError::new(FailureCode::Unreachable, "fetching", "gone")), NOW).unwrap();
    let (until, why) = client.poll_timeout().unwrap();
    assert_eq!((until, why), (NOW.plus_seconds(30), Why::Retry));
    assert_eq!(effect(&mut client, NOW), None);
    assert_eq!(effect(&mut client, until), Some(Effect::Install { from: 4096 }));
}

#[test]
fn metadata_that_expired_since_is_refreshed_before_activation() {
    let late = NOW.plus_days(7);
    let mut client = chosen();
    happen(&mut client, &TO_INSTALLED);
    assert_eq!(effect(&mut client, late), Some(Effect::Check));
    client.handle(Input::Failed(PortError::new(FailureCode::Unreachable, "checking", "gone")), late).unwrap();
    let (again, _) = client.poll_timeout().unwrap();
    assert_eq!(effect(&mut client, again), Some(Effect::Check), "never activated on expired metadata");
    let mut renewed = plan(1);
    renewed.source.as_mut().unwrap().expires = late.plus_days(7);
    client.handle(Input::Checked(update(&renewed), Some(Box::new(renewed))), again).unwrap();
    assert_eq!(effect(&mut client, again), Some(Effect::Activate { tries: 3 }));
}

#[test]
fn a_clock_turned_back_revives_nothing_that_expired() {
    let mut client = chosen();
    happen(&mut client, &TO_INSTALLED);
    // What was refreshed since was signed after the plan's metadata expired, and nothing else of that check came.
    let known = Known { signed_at: Some(NOW.plus_days(8)), ..Known::default() };
    client.note_known(known.clone());
    assert_eq!(effect(&mut client, NOW), Some(Effect::Check));
    client.handle(Input::Failed(PortError::new(FailureCode::Unreachable, "checking", "gone")), NOW).unwrap();
    let again = NOW.plus_seconds(60);
    assert_eq!(effect(&mut client, again), Some(Effect::Check), "it is never activated");
    let mut renewed = plan(1);
    renewed.source.as_mut().unwrap().expires = NOW.plus_days(15);
    client.handle(Input::Checked(update(&renewed), Some(Box::new(renewed))), again).unwrap();
    assert_eq!(effect(&mut client, again), Some(Effect::Activate { tries: 3 }));
    let kept = Journal::decode(&client.journal().encode().unwrap()).unwrap();
    assert_eq!(kept.known, known, "and a restart changes nothing");
}

/// Starts the program again on the old release, as often as it goes on waiting for the new one.
fn starts_in_vain(mut client: Client, settings: Settings) -> (u32, Client) {
    for starts in 0..100 {
        let before = client.state();
        let mut next = Client::new(client.journal().clone(), settings);
        next.handle(started(Slot::A, BootFlag::Trying(3)), NOW).unwrap();
        client = next;
        if client.state() != before {
            return (starts, client);
        }
    }
    (100, client)
}

#[test]
fn a_boot_loader_that_never_starts_the_new_release_is_not_asked_for_ever() {
    let mut client = chosen();
    happen(&mut client, &TO_INSTALLED);
    happen(&mut client, &[Event::Activated { tries: 3 }]);
    let (restarts, mut client) = starts_in_vain(client, Settings::default());
    assert_eq!((restarts, client.state()), (3, State::FellBack { code: FailureCode::DidNotBoot }));
    assert_eq!(effect(&mut client, NOW), Some(Effect::Retire));
    assert_eq!(client.journal().failed[0].tries, 1);
}

#[test]
fn a_boot_loader_that_never_starts_a_confirmed_release_is_not_asked_for_ever() {
    let mut client = chosen();
    happen(&mut client, &TO_INSTALLED);
    happen(&mut client, &[Event::Activated { tries: 3 }]);
    client.handle(started(Slot::B, BootFlag::Trying(2)), NOW).unwrap();
    client.handle(Input::Said(Verdict::Healthy), NOW).unwrap();
    assert_eq!(client.state(), State::Confirmed);
    assert!(client.journal().content(Slot::B).is_some());
    let (restarts, mut client) = starts_in_vain(client, Settings::default());
    assert_eq!((restarts, client.state()), (3, State::FellBack { code: FailureCode::DidNotBoot }));
    assert_eq!(client.journal().content(Slot::B), None, "its slot is made unbootable");
    assert_eq!(effect(&mut client, NOW), Some(Effect::Retire));
}

#[test]
fn where_somebody_else_restarts_the_device_the_new_release_waits() {
    let mut client = chosen();
    happen(&mut client, &TO_INSTALLED);
    happen(&mut client, &[Event::Activated { tries: 3 }]);
    let settings = Settings { restarts: false, ..Settings::default() };
    let (starts, client) = starts_in_vain(client, settings);
    assert_eq!((starts, client.state()), (100, State::Activated { tries: 3 }));
}

fn held(version: Option<ReleaseVersion>, reason: Reason) -> Decision {
    let told = PassedOver { version, manifest: Some(Sha256Digest([1; 32])), reason };
    Decision::Held { passed_over: vec![told.clone()], told }
}

#[test]
fn updates_are_put_off_for_thirty_days_at_most_and_by_no_clock_that_ran_ahead() {
    let mut client = chosen();
    client.handle(Input::Owner(Wish::PostponeUntil(NOW.plus_days(3650))), NOW).unwrap();
    assert_eq!(client.journal().postponed_until, Some(NOW.plus_days(30)));
    let ahead = NOW.plus_days(3650);
    let until = ahead.plus_days(2);
    client.handle(Input::Owner(Wish::PostponeUntil(until)), ahead).unwrap();
    assert_eq!(effect(&mut client, ahead), Some(Effect::Check));
    let put_off = |until| {
        let reason = Reason::Held { until: Some(until), why: HoldReason::Postponed };
        Input::Checked(held(Some("2.0.0".parse().unwrap()), reason), None)
    };
    client.handle(put_off(until), ahead).unwrap();
    assert_eq!(client.poll_timeout(), Some((until, Why::Postponed)));
    assert_eq!(client.journal().put_off.as_ref().unwrap().since, ahead);
    // The clock is put right: neither the pause nor the day of the first time stands.
    assert_eq!(effect(&mut client, NOW), Some(Effect::Check));
    client.handle(put_off(NOW.plus_days(1)), NOW).unwrap();
    assert_eq!(client.journal().put_off.as_ref().unwrap().since, NOW);
    client.handle(put_off(NOW.plus_days(1)), NOW.plus_seconds(60)).unwrap();
    assert_eq!(client.journal().put_off.as_ref().unwrap().since, NOW, "and then it stays");
}

#[test]
fn an_update_that_is_withdrawn_before_its_activation_is_dropped() {
    let late = NOW.plus_days(7);
    let mut client = chosen();
    happen(&mut client, &TO_INSTALLED);
    assert_eq!(effect(&mut client, late), Some(Effect::Check));
    let reason = Reason::Refused(Refusal::Withdrawn);
    let refused = Decision::Refused(PassedOver { version: None, manifest: None, reason });
    client.handle(Input::Checked(refused, None), late).unwrap();
    // Activating it may have failed after the boot loader was told.
    assert_eq!(effect(&mut client, late), Some(Effect::Retire));
    client.handle(Input::Happened(Event::Retired), late).unwrap();
    assert_eq!(client.state(), State::Idle);
    assert_eq!(client.journal().content(Slot::B), None, "the slot holds nothing that counts");
}

#[test]
fn a_better_release_replaces_the_one_under_way() {
    let mut client = chosen();
    happen(&mut client, &TO_INSTALLED[..3]);
    let later = NOW.plus_seconds(5 * 3600);
    assert_eq!(effect(&mut client, later), Some(Effect::Check));
    client.handle(Input::Checked(update(&plan(2)), Some(Box::new(plan(2)))), later).unwrap();
    assert_eq!(client.state(), State::Verified);
    assert_eq!(client.journal().plan, Some(plan(2)));
}

#[test]
fn a_better_release_replaces_an_installed_one_once_its_slot_is_unbootable() {
    let mut client = chosen();
    happen(&mut client, &TO_INSTALLED);
    let later = NOW.plus_seconds(5 * 3600);
    assert_eq!(effect(&mut client, later), Some(Effect::Check));
    let better = || Input::Checked(update(&plan(2)), Some(Box::new(plan(2))));
    client.handle(better(), later).unwrap();
    assert_eq!(effect(&mut client, later), Some(Effect::Retire));
    client.handle(Input::Happened(Event::Retired), later).unwrap();
    assert_eq!(effect(&mut client, later), Some(Effect::Check), "at once");
    client.handle(better(), later).unwrap();
    assert_eq!(client.journal().plan, Some(plan(2)));
}

#[test]
fn a_program_that_dies_again_and_again_ends_its_trial() {
    let mut client = chosen();
    happen(&mut client, &TO_INSTALLED);
    happen(&mut client, &[Event::Activated { tries: 3 }]);
    let mut starts = 0;
    while client.state() != (State::Unhealthy { code: CODE }) {
        starts += 1;
        assert!(starts <= trial::QUESTIONS + 1);
        let mut next = Client::new(client.journal().clone(), Settings::default());
        next.handle(started(Slot::B, BootFlag::Trying(2)), NOW).unwrap();
        client = next;
    }
    assert_eq!(effect(&mut client, NOW), Some(Effect::FallBack));
}

#[test]
fn an_owner_who_puts_updates_off_stops_the_one_under_way_and_loses_nothing() {
    let mut client = chosen();
    happen(&mut client, &TO_INSTALLED[..3]);
    let until = NOW.plus_days(2);
    client.handle(Input::Owner(Wish::PostponeUntil(until)), NOW).unwrap();
    assert_eq!(effect(&mut client, NOW), Some(Effect::Check));
    let reason = Reason::Held { until: Some(until), why: HoldReason::Postponed };
    client.handle(Input::Checked(held(None, reason), None), NOW).unwrap();
    assert_eq!(effect(&mut client, NOW), None);
    assert_eq!(client.poll_timeout(), Some((until, Why::Postponed)));
    assert_eq!(client.state(), State::Installing { offset: 0 });
}

#[test]
fn what_is_here_goes_on_while_nobody_answers_but_neither_for_ever_nor_against_the_owner() {
    let installed = || {
        let mut client = chosen();
        happen(&mut client, &TO_INSTALLED);
        Client::new(client.journal().clone(), Settings::default())
    };
    let unanswered = |mut client: Client, code, now| {
        client.handle(started(Slot::A, BootFlag::Unbootable), now).unwrap();
        assert_eq!(effect(&mut client, now), Some(Effect::Check));
        client.handle(Input::Failed(PortError::new(code, "checking", "gone")), now).unwrap();
        effect(&mut client, now)
    };
    let activate = Some(Effect::Activate { tries: 3 });
    assert_eq!(unanswered(installed(), FailureCode::Unreachable, NOW), activate);
    // Somebody who answers, and wrongly, may be hiding something.
    assert_eq!(unanswered(installed(), FailureCode::Rollback, NOW), None);
    assert_eq!(unanswered(installed(), FailureCode::Unreachable, NOW.plus_days(7)), None, "it has expired");
    let mut put_off = installed();
    put_off.handle(Input::Owner(Wish::PostponeUntil(NOW.plus_days(2))), NOW).unwrap();
    assert_eq!(unanswered(put_off, FailureCode::Unreachable, NOW), None);
    // What is streamed needs the network in any case.
    let mut streamed = chosen();
    happen(&mut streamed, &TO_INSTALLED[..3]);
    let streamed = Client::new(streamed.journal().clone(), Settings::default());
    assert_eq!(unanswered(streamed, FailureCode::Unreachable, NOW), None);
}

#[test]
fn a_failed_release_waits_longer_each_time_and_after_three_for_the_owner() {
    let mut client = chosen();
    let mut waits = vec![];
    for _ in 0..3 {
        client.journal.state = State::Trying;
        client.journal.plan = Some(plan(1));
        let code = FailureCode::Unhealthy;
        client.handle(Input::Happened(Event::Unhealthy { code }), NOW).unwrap();
        client.handle(started(Slot::A, BootFlag::Unbootable), NOW).unwrap();
        client.handle(Input::Happened(Event::Retired), NOW).unwrap();
        waits.push(client.journal().failed[0].again.map(Timestamp::unix));
    }
    assert_eq!(waits, [Some(3600), Some(24 * 3600), None]);
    let rolled_back = |entry: &&crate::report::Entry| entry.outcome == Outcome::RolledBack;
    assert_eq!(client.journal().reports.history().iter().filter(rolled_back).count(), 3);
    client.handle(Input::Owner(Wish::Retry), NOW).unwrap();
    assert!(client.journal().failed.is_empty());
}

#[test]
fn a_full_disk_waits_without_ever_giving_the_release_up() {
    let mut client = chosen();
    let mut waits = vec![];
    for _ in 0..8 {
        client.journal.state = State::Claimed;
        client.journal.plan = Some(plan(1));
        let code = FailureCode::NoRoom;
        client.handle(Input::Happened(Event::Failed { code }), NOW).unwrap();
        waits.push(client.journal().failed[0].again.map(|again| again.unix() / 3600).unwrap());
    }
    assert_eq!(waits, [1, 2, 4, 8, 16, 24, 24, 24], "hours, up to a day");
    // What is the release's own fault is counted apart, and the longer wait counts.
    client.journal.state = State::Trying;
    client.journal.plan = Some(plan(1));
    client.handle(Input::Happened(Event::Unhealthy { code: CODE }), NOW).unwrap();
    client.handle(started(Slot::A, BootFlag::Unbootable), NOW).unwrap();
    let failed = &client.journal().failed[0];
    assert_eq!((failed.tries, failed.others, failed.again), (1, 8, Some(NOW.plus_days(1))));
}

#[test]
fn a_product_that_never_answers_falls_back_in_the_end() {
    let mut client = chosen();
    happen(&mut client, &TO_INSTALLED);
    happen(&mut client, &[Event::Activated { tries: 3 }]);
    client.handle(started(Slot::B, BootFlag::Trying(2)), NOW).unwrap();
    let mut now = NOW;
    for _ in 0..trial::QUESTIONS {
        assert_eq!(effect(&mut client, now), Some(Effect::AskHealth));
        client.handle(Input::Said(Verdict::NotYet), now).unwrap();
        now = now.plus_seconds(trial::QUESTION_SECONDS);
    }
    assert_eq!(effect(&mut client, now), Some(Effect::FallBack));
    assert_eq!(effect(&mut client, now), None, "the device is restarting");
}

#[test]
fn a_clock_that_is_put_back_stops_nothing() {
    let mut client = chosen();
    assert_eq!(effect(&mut client, NOW), Some(Effect::Prepare));
    let ahead = NOW.plus_days(3650);
    client
        .handle(Input::Failed(PortError::new(FailureCode::Storage, "asking for room", "gone")), ahead)
        .unwrap();
    assert_eq!(effect(&mut client, NOW), Some(Effect::Prepare));
    client
        .handle(Input::Failed(PortError::new(FailureCode::NoRoom, "asking for room", "full")), ahead)
        .unwrap();
    assert_eq!(client.state(), State::Idle);
    assert_eq!(effect(&mut client, ahead), Some(Effect::Check));
    client.handle(Input::Checked(Decision::UpToDate { passed_over: vec![] }, None), ahead).unwrap();
    assert_eq!(effect(&mut client, ahead), None);
    assert_eq!(effect(&mut client, NOW), Some(Effect::Check), "the next check lies too far ahead");
}

#[test]
fn a_plan_for_the_running_slot_is_refused() {
    let mut client = Client::new(Journal::new(Slot::B, None), Settings::default());
    let input = || Input::Checked(update(&plan(1)), Some(Box::new(plan(1))));
    assert!(client.handle(input(), NOW).is_err(), "which slot runs is not known yet");
    client.handle(started(Slot::B, BootFlag::Good), NOW).unwrap();
    assert!(client.handle(input(), NOW).is_err());
    assert_eq!(client.state(), State::Idle);
}

/// What a driver could ever say, in any order: most of it is out of place.
fn any_input() -> impl Strategy<Value = fn() -> Input> {
    let inputs: Vec<fn() -> Input> = vec![
        || Input::Tick,
        || Input::Saved,
        || started(Slot::A, BootFlag::Unbootable),
        || started(Slot::A, BootFlag::Trying(0)),
        || started(Slot::A, BootFlag::Trying(2)),
        || started(Slot::B, BootFlag::Trying(1)),
        || started(Slot::B, BootFlag::Good),
        || Input::Checked(update(&plan(1)), Some(Box::new(plan(1)))),
        || Input::Checked(update(&plan(2)), Some(Box::new(plan(2)))),
        || Input::Checked(Decision::UpToDate { passed_over: vec![] }, None),
        || Input::Said(Verdict::Healthy),
        || Input::Said(Verdict::NotYet),
        || Input::Said(Verdict::Unhealthy("no".into())),
        || Input::Failed(PortError::new(FailureCode::Unreachable, "fetching", "gone")),
        || Input::Failed(PortError::new(FailureCode::NoRoom, "writing", "full")),
        || Input::Owner(Wish::CheckNow),
        || Input::Owner(Wish::Retry),
        || Input::Owner(Wish::PostponeUntil(NOW.plus_days(1))),
        || Input::Owner(Wish::Confirm),
        || Input::Owner(Wish::Revert(Box::new(Plan { source: None, ..plan(3) }))),
        || Input::Happened(Event::Streams),
        || Input::Happened(Event::Stages),
        || Input::Happened(Event::Progress { offset: 4096 }),
        || Input::Happened(Event::Arrived),
        || Input::Happened(Event::Claimed),
        || Input::Happened(Event::Begun),
        || Input::Happened(Event::Installed),
        || Input::Happened(Event::Activated { tries: 3 }),
        || Input::Happened(Event::Retired),
        || Input::Happened(Event::Settled),
    ];
    proptest::sample::select(inputs)
}

proptest! {
    #[test]
    fn whatever_is_said_the_journal_holds_together_and_the_running_slot_is_not_written(
        inputs in proptest::collection::vec(any_input(), 0..60),
    ) {
        let mut client = Client::new(Journal::new(Slot::A, None), Settings::default());
        let mut now = NOW;
        for input in inputs {
            now = now.plus_seconds(40);
            let _ = client.handle(input(), now);
            let journal = client.journal();
            prop_assert_eq!(journal.state == State::Idle, journal.plan.is_none());
            let read_back = Journal::decode(&journal.encode().unwrap());
            prop_assert_eq!(read_back.as_ref(), Ok(journal));
            let target = journal.plan.as_ref().map(|plan| plan.slot);
            let booted = client.booted();
            let effect = client.poll_effect(now);
            if matches!(effect, Some(Effect::Claim | Effect::Begin | Effect::Install { .. })) {
                prop_assert_ne!(target, booted, "{:?}", effect);
            }
        }
    }
}

#[test]
fn an_event_out_of_place_is_an_error_and_changes_nothing() {
    let mut client = chosen();
    let before = client.journal().clone();
    for event in
        [Event::Activated { tries: 3 }, Event::Healthy, Event::Chosen, Event::Reverting, Event::Settled]
    {
        assert!(client.handle(Input::Happened(event), NOW).is_err(), "{event:?}");
    }
    assert_eq!(*client.journal(), before);
}

#[test]
fn the_journal_is_read_back() {
    let mut client = chosen();
    happen(&mut client, &TO_INSTALLED[..3]);
    assert_eq!(&Journal::decode(&client.journal().encode().unwrap()).unwrap(), client.journal());
}

#[test]
fn quiet_hours_put_work_and_restarts_off_and_neither_checks_nor_trials() {
    // Quiet from midnight to six, and now it is midnight.
    let quiet = QuietHours::new(&[crate::quiet::Window { from: 0, to: 360 }], 0).unwrap();
    let end = NOW.plus_seconds(6 * 3600);
    let at = |events: &[Event]| {
        let mut client = chosen();
        happen(&mut client, events);
        client.settings.quiet = quiet;
        client
    };
    let to_activated = [TO_INSTALLED.as_slice(), &[Event::Activated { tries: 3 }]].concat();
    for (events, then) in [
        (&to_activated[..0], Effect::Prepare),
        (&to_activated[..1], Effect::Claim),
        (&to_activated[..3], Effect::Install { from: 0 }),
        (&to_activated[..4], Effect::Activate { tries: 3 }),
        (&to_activated[..5], Effect::Reboot),
    ] {
        let mut client = at(events);
        assert_eq!(effect(&mut client, NOW), None, "{then:?}");
        assert_eq!(client.poll_timeout(), Some((end, Why::Quiet)), "{then:?}");
        // The last check is some hours old by then.
        client.next_check = end.plus_seconds(1);
        assert_eq!(effect(&mut client, end), Some(then));
        // The owner doesn't wait.
        let mut client = at(events);
        assert_eq!(effect(&mut client, NOW), None);
        client.handle(Input::Owner(Wish::AtOnce), NOW).unwrap();
        if then != Effect::Reboot {
            assert_eq!(effect(&mut client, NOW), Some(Effect::Check));
            client.handle(Input::Checked(update(&plan(1)), Some(Box::new(plan(1)))), NOW).unwrap();
        }
        assert_eq!(effect(&mut client, NOW), Some(then));
    }
    let mut client = at(&to_activated);
    client.handle(started(Slot::B, BootFlag::Trying(2)), NOW).unwrap();
    assert_eq!(effect(&mut client, NOW), Some(Effect::AskHealth));
    let mut idle = Client::new(Journal::new(Slot::A, None), Settings { quiet, ..Settings::default() });
    idle.handle(started(Slot::A, BootFlag::Unbootable), NOW).unwrap();
    assert_eq!(effect(&mut idle, NOW), Some(Effect::Check));
}

#[test]
fn a_wish_for_a_release_at_once_ends_with_it_or_with_nothing_to_take() {
    let mut client = chosen();
    client.handle(Input::Owner(Wish::AtOnce), NOW).unwrap();
    assert_eq!(effect(&mut client, NOW), Some(Effect::Check));
    client.handle(Input::Checked(update(&plan(1)), Some(Box::new(plan(1)))), NOW).unwrap();
    assert_eq!(client.journal().at_once, Some(AtOnce::Of(Sha256Digest([1; 32]))));
    client.handle(Input::Happened(Event::Failed { code: CODE }), NOW).unwrap();
    assert_eq!((client.state(), client.journal().at_once), (State::Idle, None));
    client.handle(Input::Owner(Wish::AtOnce), NOW).unwrap();
    assert_eq!(effect(&mut client, NOW), Some(Effect::Check));
    client.handle(Input::Checked(Decision::UpToDate { passed_over: vec![] }, None), NOW).unwrap();
    assert_eq!(client.journal().at_once, None);
}
