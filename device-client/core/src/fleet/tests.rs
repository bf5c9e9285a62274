use alloc::collections::{BTreeMap, BTreeSet};

use perennial_schemas::Sha256Digest;
use perennial_schemas::fleet::AttributeName;
use perennial_schemas::report::Outcome;

use super::*;
use crate::port::LinkError;
use crate::port::memory::{LinkFault, MemoryLink, MemoryVault};
use crate::port::power::Power;
use crate::report::Entry;

const MANIFEST: Sha256Digest = Sha256Digest([9; 32]);

fn identity() -> Identity {
    Identity {
        device: "desk".parse().unwrap(),
        product: "thermostat".parse().unwrap(),
        hardware: "revC".parse().unwrap(),
        channel: "stable".parse().unwrap(),
        cohort: None,
        drawn_as: "unit-1".parse().unwrap(),
        labels: Default::default(),
        running: None,
    }
}

fn entry(sequence: u64, life: i64) -> Entry {
    Entry {
        sequence,
        at: Timestamp::from_unix(life * 1000 + sequence.cast_signed()),
        version: "1.0.0".parse().unwrap(),
        manifest: MANIFEST,
        outcome: Outcome::Started,
        failure: None,
        detail: String::new(),
    }
}

/// A device and its server in memory.
struct Pair {
    link: MemoryLink,
    vault: MemoryVault,
    power: Power,
    history: Vec<Entry>,
    acknowledged: u64,
    attributes: BTreeMap<AttributeName, String>,
    version: &'static str,
    now: Timestamp,
}

impl Pair {
    fn new(reports: u64) -> Self {
        let power = Power::new();
        let now = Timestamp::from_unix(1_800_000_000);
        let mut link = MemoryLink::default();
        link.now = Some(now);
        Self {
            link,
            vault: MemoryVault::new(&power),
            power,
            history: (1..=reports).map(|sequence| entry(sequence, 0)).collect(),
            acknowledged: 0,
            attributes: BTreeMap::new(),
            version: "1.0.0",
            now,
        }
    }

    fn with<T>(&mut self, act: impl FnOnce(&mut Fleet<'_>, &Facts<'_>, Timestamp) -> T) -> Option<T> {
        let identity = identity();
        let facts = Facts {
            identity: &identity,
            running: Some(Running {
                version: self.version.parse().unwrap(),
                security_version: 1,
                manifest: Some(MANIFEST),
            }),
            agent: "perennial-device 0.1.0",
            attributes: &self.attributes,
            history: &self.history,
            last: self.history.last().map_or(0, |entry| entry.sequence),
            acknowledged: self.acknowledged,
            chance: 500_000,
        };
        let mut fleet = Fleet::open(&mut self.link, &mut self.vault).ok()?;
        Some(act(&mut fleet, &facts, self.now))
    }

    fn tell(&mut self) -> Told {
        let told = self.with(|fleet, facts, now| fleet.tell(facts, now, false)).unwrap_or_default();
        if !self.power.is_off() {
            self.acknowledged = self.acknowledged.max(told.acknowledged);
        }
        told
    }

    fn record(&self) -> FleetRecord {
        FleetRecord::decode(self.vault.record.as_ref().unwrap()).unwrap()
    }

    fn later(&mut self, seconds: i64) {
        self.now = self.now.plus_seconds(seconds);
        self.link.now = Some(self.now);
    }

    fn refuse(&mut self, code: RefusalCode) {
        self.link.faults.push_back(LinkFault::Refuse(code));
    }

    /// Everything was told once, in one epoch, and nothing was odd.
    fn is_whole(&self, reports: u64) -> bool {
        let sequences: BTreeSet<u64> = self
            .link
            .reports
            .keys()
            .filter(|(epoch, _)| *epoch == self.link.epoch)
            .map(|(_, n)| *n)
            .collect();
        self.link.odd.is_empty() && self.acknowledged == reports && sequences.len() as u64 <= reports
    }
}

#[test]
fn a_device_enrols_checks_in_and_reports_in_one_go() {
    let mut pair = Pair::new(300);
    let told = pair.tell();
    assert_eq!((told.enrolled, told.checked_in, told.sent, told.acknowledged), (Some(1), true, 300, 300));
    assert_eq!(told.trouble, None);
    // 128 at a time.
    assert_eq!(pair.link.calls, [Call::Enrol, Call::CheckIn, Call::Report, Call::Report, Call::Report]);
    // A day, a tenth less, and half of a fifth more.
    assert_eq!(told.next, Some(pair.now.plus_seconds(86_400)));
    // Nothing is due: nothing is asked.
    pair.link.calls.clear();
    assert_eq!(pair.tell().next, Some(pair.now.plus_seconds(86_400)));
    assert_eq!(pair.link.calls, []);
    // A report goes at once, another release too; the check-in comes again in time.
    pair.history.push(entry(301, 0));
    pair.tell();
    assert_eq!(pair.link.calls, [Call::Report]);
    pair.version = "2.0.0";
    assert!(pair.tell().checked_in);
    pair.later(86_400);
    assert!(pair.tell().checked_in);
    assert!(pair.is_whole(301));
    let reports = pair.link.reports.values();
    assert!(
        reports
            .map(|report| &report.device)
            .all(|device| *device == pair.record().membership.unwrap().device)
    );
}

/// Whichever request or answer is lost, and however many: in the end everything was told once, in order, and the server saw
/// nothing odd.
#[test]
fn whatever_is_lost_on_the_way_everything_is_told_once() {
    for fault in [LinkFault::Unreachable, LinkFault::AnswerLost, LinkFault::Refuse(RefusalCode::Busy)] {
        for at in 0..8 {
            for many in 1..4 {
                let mut pair = Pair::new(200);
                let passing = LinkFault::Refuse(RefusalCode::Unavailable);
                let mut rounds = 0;
                pair.link.faults.extend((0..at).map(|_| fault).take(many));
                while !(pair.acknowledged == 200 && rounds > 10) {
                    if rounds == at {
                        pair.link.faults.extend((0..many).map(|_| fault));
                        pair.link.faults.push_back(passing);
                    }
                    pair.tell();
                    pair.later(7 * 3600 * 3);
                    rounds += 1;
                    assert!(rounds < 40, "{fault:?} at {at}, {many} times: {:?}", pair.record());
                }
                assert!(pair.is_whole(200), "{fault:?} at {at}, {many} times: {:?}", pair.link.odd);
            }
        }
    }
}

/// Power is cut in each operation that changes something; the device goes on from there.
#[test]
fn whatever_the_moment_of_a_power_cut_nothing_is_odd_afterwards() {
    for cut in 0..40 {
        let mut pair = Pair::new(140);
        for round in 0..6 {
            if round == 0 {
                pair.power.cut_after(cut);
            }
            pair.tell();
            pair.power.restore();
            // Past two thirds of a certificate's life each time.
            pair.later(61 * 86_400);
        }
        assert!(pair.is_whole(140), "cut at {cut}: {:?} {:?}", pair.link.odd, pair.record());
        assert!(pair.link.epoch <= 2, "cut at {cut}: epoch {}", pair.link.epoch);
        assert!(pair.vault.keys.len() <= 2, "cut at {cut}: old keys stay");
    }
}

#[test]
fn a_certificate_is_renewed_in_time_and_a_failed_renewal_keeps_nobody_silent() {
    let mut pair = Pair::new(1);
    pair.tell();
    let before = pair.record().membership.unwrap();
    pair.later(60 * 86_400);
    pair.link.faults.push_back(LinkFault::Unreachable);
    pair.history.push(entry(2, 0));
    let told = pair.tell();
    assert_eq!((told.renewed, told.checked_in, told.acknowledged), (false, true, 2));
    assert!(matches!(told.trouble, Some(FleetError::Link(_))));
    // An answer that was lost: the old certificate serves on, and the same key gets another certificate.
    pair.later(600);
    pair.link.faults.push_back(LinkFault::AnswerLost);
    pair.tell();
    pair.later(3600);
    let told = pair.tell();
    assert!(told.renewed, "{:?}", told.trouble);
    let after = pair.record().membership.unwrap();
    assert_ne!((before.key, &before.chain), (after.key, &after.chain));
    assert_eq!((before.epoch, after.epoch), (1, 1));
    assert_eq!(pair.vault.keys.len(), 1, "the old key is gone");
    assert!(pair.is_whole(2), "{:?}", pair.link.odd);
}

#[test]
fn an_enrolment_whose_answer_is_lost_is_asked_for_again() {
    let mut pair = Pair::new(2);
    pair.tell();
    pair.link.faults.push_back(LinkFault::AnswerLost);
    let enrolled = pair.with(|fleet, _, now| fleet.enrol(now)).unwrap();
    assert!(matches!(enrolled, Err(FleetError::Link(_))), "{enrolled:?}");
    pair.later(3600);
    let told = pair.tell();
    assert_eq!((told.enrolled, told.trouble), (Some(3), None));
    assert_eq!(pair.link.odd, Vec::<String>::new(), "the certificate from before was not used again");
}

#[test]
fn what_the_server_says_of_the_certificate_leads_to_another_one() {
    // Expired: renewed with it, at once.
    let mut pair = Pair::new(1);
    pair.tell();
    pair.later(86_400 * 2);
    pair.refuse(RefusalCode::Expired);
    let told = pair.tell();
    assert!(told.renewed && told.checked_in && told.trouble.is_none(), "{told:?}");
    assert_eq!(pair.link.epoch, 1);
    // Not known any more, or superseded: a new epoch.
    for code in [RefusalCode::NotEnrolled, RefusalCode::Superseded, RefusalCode::BadCertificate] {
        let mut pair = Pair::new(1);
        pair.tell();
        pair.later(86_400 * 2);
        pair.refuse(code);
        let told = pair.tell();
        assert_eq!((told.enrolled, told.checked_in, told.trouble), (Some(2), true, None), "{code}");
    }
    // A renewal that is refused leads to enrolment, too.
    let mut pair = Pair::new(1);
    pair.tell();
    pair.later(86_400 * 61);
    pair.refuse(RefusalCode::NotEnrolled);
    assert_eq!(pair.tell().enrolled, Some(2));
    // What can't be helped by another certificate is asked again later, and for ever.
    let mut pair = Pair::new(1);
    (0..3).for_each(|_| pair.refuse(RefusalCode::NotEnrolled));
    let told = pair.tell();
    assert!(told.trouble.is_some() && told.next.is_some());
    assert_eq!(pair.link.calls.len(), 1);
}

#[test]
fn a_key_that_the_server_refuses_is_replaced() {
    let mut pair = Pair::new(0);
    pair.refuse(RefusalCode::KeyShared);
    pair.tell();
    let first: BTreeSet<_> = pair.vault.keys.clone();
    assert!(first.is_empty());
    pair.later(3600);
    assert_eq!(pair.tell().enrolled, Some(1));
    assert_eq!(pair.record().membership.unwrap().key, Sha256Digest([2; 32]));
}

#[test]
fn pauses_double_and_end_and_are_the_servers_to_lengthen() {
    let mut pair = Pair::new(1);
    let mut pauses = Vec::new();
    for _ in 0..14 {
        pair.link.faults.push_back(LinkFault::Unreachable);
        let told = pair.tell();
        let next = told.next.unwrap();
        pauses.push(next.unix() - pair.now.unix());
        // Before its end nothing is asked, unless the owner presses.
        let calls = pair.link.calls.len();
        pair.tell();
        assert_eq!(pair.link.calls.len(), calls);
        pair.later(next.unix() - pair.now.unix());
    }
    // Three quarters, as chance is one half.
    assert_eq!(pauses[..4], [45, 90, 180, 360]);
    assert_eq!(pauses[13], 6 * 3600 / 4 * 3);
    pair.refuse(RefusalCode::Rate);
    let told = pair.tell();
    assert!(told.next >= Some(pair.now.plus_seconds(1000)));
    let told = pair.with(|fleet, facts, now| fleet.tell(facts, now, true)).unwrap();
    assert_eq!((told.acknowledged, told.trouble), (1, None));
    // A clock that was set back by years does not silence the device.
    pair.link.faults.push_back(LinkFault::Unreachable);
    pair.history.push(entry(2, 0));
    pair.tell();
    pair.later(-86_400 * 3650);
    assert_eq!(pair.tell().acknowledged, 2);
}

#[test]
fn a_journal_that_begins_again_begins_a_new_epoch() {
    // It has fewer reports than the server holds.
    let mut pair = Pair::new(5);
    pair.tell();
    (pair.history, pair.acknowledged) = (vec![entry(1, 7)], 0);
    let told = pair.tell();
    assert_eq!((told.enrolled, told.acknowledged), (Some(2), 1));
    // It has more of them by now, and others.
    let mut pair = Pair::new(2);
    pair.tell();
    (pair.history, pair.acknowledged) = ((1..=4).map(|sequence| entry(sequence, 7)).collect(), 0);
    let told = pair.tell();
    assert_eq!((told.enrolled, told.acknowledged), (Some(2), 4));
    // The record is lost with the journal, but not the certificate's place at the server.
    let mut pair = Pair::new(5);
    pair.tell();
    (pair.history, pair.acknowledged) = (vec![entry(1, 7)], 0);
    pair.vault.record = Some(b"{ torn".to_vec());
    assert_eq!(pair.tell().enrolled, Some(2));
    assert_eq!(pair.link.odd, [] as [&str; 0]);
    // One that was only cut short of an acknowledgement goes on.
    let mut pair = Pair::new(5);
    pair.tell();
    pair.acknowledged = 3;
    assert_eq!(pair.tell().enrolled, None);
    assert!(pair.is_whole(5));
}

#[test]
fn one_report_that_the_server_cannot_read_holds_up_no_other() {
    let mut pair = Pair::new(4);
    pair.tell();
    pair.history.extend((5..=8).map(|sequence| entry(sequence, 0)));
    pair.refuse(RefusalCode::Malformed);
    pair.link.faults.extend([LinkFault::Refuse(RefusalCode::Unacceptable)]);
    let told = pair.tell();
    assert_eq!((told.acknowledged, told.trouble), (8, None));
    let kept: Vec<u64> = pair.link.reports.keys().map(|(_, sequence)| *sequence).collect();
    assert_eq!(kept, [1, 2, 3, 4, 6, 7, 8]);
}

#[test]
fn erased_means_silent_until_the_owner_enrols_again() {
    let mut pair = Pair::new(3);
    let none = pair.with(|fleet, _, now| fleet.erase(now)).unwrap();
    assert_eq!(none, Err(FleetError::NotEnrolled));
    pair.tell();
    let gone = pair.with(|fleet, _, now| fleet.erase(now)).unwrap().unwrap();
    let Gone::Now(receipt) = gone else { panic!("{gone:?}") };
    assert_eq!(receipt.erased.reports, 3);
    assert!(pair.vault.keys.is_empty() && pair.record().membership.is_none());
    pair.history.push(entry(4, 0));
    pair.later(86_400 * 30);
    pair.link.calls.clear();
    let told = pair.tell();
    assert_eq!((told.next, told.trouble), (None, None));
    let told = pair.with(|fleet, facts, now| fleet.tell(facts, now, true)).unwrap();
    assert_eq!(told.trouble, Some(FleetError::Silent));
    assert_eq!(pair.link.calls, []);
    pair.with(|fleet, _, now| fleet.enrol(now)).unwrap().unwrap();
    assert_eq!(pair.tell().acknowledged, 4);
    // With a certificate that has expired, the owner's rights are asked for after its renewal.
    pair.refuse(RefusalCode::Expired);
    pair.with(|fleet, _, now| fleet.data(None, now)).unwrap().unwrap();
    assert_eq!(pair.link.calls[pair.link.calls.len() - 2..], [Call::Enrol, Call::Data]);
}

#[test]
fn an_erasure_whose_answer_is_lost_is_asked_for_again_and_nothing_else_is_told() {
    for (fault, again) in [(LinkFault::AnswerLost, Call::Erase), (LinkFault::Unreachable, Call::Erase)] {
        let mut pair = Pair::new(3);
        pair.tell();
        pair.link.faults.push_back(fault);
        pair.link.calls.clear();
        assert!(matches!(pair.with(|fleet, _, now| fleet.erase(now)), Some(Err(FleetError::Link(_)))));
        assert!(matches!(pair.record().stopped, Some(Stopped::Erasing { .. })));
        // There is more to tell, and it stays here.
        pair.history.push(entry(4, 0));
        pair.later(86_400);
        pair.refuse(RefusalCode::Busy);
        let told = pair.tell();
        assert!(told.next.is_some() && told.trouble.is_some(), "{told:?}");
        pair.later(86_400);
        assert_eq!(pair.tell().trouble, None);
        assert_eq!(pair.link.calls, [Call::Erase, again, again]);
        assert!(matches!(pair.record().stopped, Some(Stopped::Erased { .. })));
        assert!(pair.link.reports.is_empty() && pair.vault.keys.is_empty());
        assert_eq!(pair.with(|fleet, _, now| fleet.erase(now)).unwrap(), Err(FleetError::Silent));
    }
    // With a certificate that isn't good any more, a new one is asked for.
    let mut pair = Pair::new(1);
    pair.tell();
    pair.refuse(RefusalCode::Superseded);
    assert!(matches!(pair.with(|fleet, _, now| fleet.erase(now)), Some(Ok(Gone::Now(_)))));
    // The owner's other wish ends it.
    let mut pair = Pair::new(1);
    pair.tell();
    pair.link.faults.push_back(LinkFault::Unreachable);
    let _ = pair.with(|fleet, _, now| fleet.erase(now));
    pair.with(|fleet, _, now| fleet.enrol(now)).unwrap().unwrap();
    assert_eq!((pair.record().stopped, pair.tell().trouble), (None, None));
}

#[test]
fn whatever_the_moment_of_a_power_cut_an_erasure_goes_on() {
    for cut in 0..12 {
        let mut pair = Pair::new(3);
        pair.tell();
        pair.power.cut_after(cut);
        let first = pair.with(|fleet, _, now| fleet.erase(now));
        pair.power.restore();
        if pair.record().stopped.is_none() {
            // Cut before the wish was noted: nothing was asked for.
            assert!(!pair.link.calls.contains(&Call::Erase), "cut at {cut}: {first:?}");
            continue;
        }
        pair.later(86_400);
        pair.tell();
        assert!(matches!(pair.record().stopped, Some(Stopped::Erased { .. })), "cut at {cut}: {first:?}");
        assert!(pair.link.reports.is_empty() && pair.link.odd.is_empty(), "cut at {cut}");
    }
}

#[test]
fn a_queue_stays_within_its_limit_however_long_its_reports_are() {
    let mut pair = Pair::new(QUEUE_REPORTS as u64);
    pair.acknowledged = 0;
    pair.history.iter_mut().for_each(|entry| entry.detail = "\u{1}".repeat(1000));
    let told = pair.tell();
    assert_eq!((told.acknowledged, told.trouble), (QUEUE_REPORTS as u64, None));
    let calls = pair.link.calls.iter().filter(|call| **call == Call::Report).count();
    assert_eq!(calls, 2);
    pair.acknowledged = 0;
    let text = pair.with(|fleet, facts, _| fleet.queue(facts)).unwrap().unwrap().unwrap();
    assert!(text.len() as u64 <= QUEUE_LENGTH, "{}", text.len());
}

#[test]
fn consent_is_told_at_once_and_so_is_its_end() {
    let mut pair = Pair::new(0);
    pair.tell();
    pair.with(|fleet, _, _| fleet.consent(true)).unwrap().unwrap();
    pair.attributes = [("uptime".parse().unwrap(), "3 h".into())].into();
    assert!(pair.tell().checked_in);
    assert_eq!(pair.link.check_in.as_ref().unwrap().attributes.len(), 1);
    pair.with(|fleet, _, _| fleet.consent(false)).unwrap().unwrap();
    pair.attributes.clear();
    assert!(pair.tell().checked_in);
    assert_eq!(pair.link.check_in.as_ref().unwrap().attributes.len(), 0);
}

#[test]
fn a_device_without_a_factory_certificate_says_why_it_is_silent() {
    let mut pair = Pair::new(1);
    pair.vault.factory = false;
    let told = pair.tell();
    assert_eq!(told.trouble, Some(FleetError::NoIdentity));
    assert_eq!(pair.record().trouble, "this device has no factory certificate");
    assert_eq!(pair.link.calls, []);
}

#[test]
fn answers_that_make_no_sense_are_told_and_cost_a_pause() {
    struct Odd(Reply);
    impl FleetLink for Odd {
        fn ask(&mut self, _: Call, _: Who<'_>, _: &[u8]) -> Result<Reply, LinkError> {
            Ok(self.0.clone())
        }
    }
    let mut pair = Pair::new(1);
    pair.tell();
    pair.history.push(entry(2, 0));
    for (status, body, says) in [
        (200, "{}", "is missing"),
        (200, "", "not acceptable JSON"),
        (502, "<html>Bad gateway</html>", "answers 502"),
        (
            200,
            r#"{"format":"perennial.acknowledged/1","requires":[],"acknowledged":0}"#,
            "acknowledges 0 only",
        ),
    ] {
        let mut odd = Odd(Reply { status, body: body.into(), retry_after: None });
        let identity = identity();
        let facts = Facts {
            identity: &identity,
            running: None,
            agent: "x",
            attributes: &BTreeMap::new(),
            history: &pair.history,
            last: 2,
            acknowledged: 1,
            chance: 0,
        };
        let mut fleet = Fleet::open(&mut odd, &mut pair.vault).unwrap();
        let told = fleet.tell(&facts, pair.now, true);
        let trouble = told.trouble.unwrap().to_string();
        assert!(trouble.contains(says), "{trouble}");
        assert!(told.next.is_some() && told.acknowledged == 1);
    }
}
