mod restored;

use super::*;
use crate::fleet::event::Event;
use crate::fleet::identity::Identity;
use crate::fleet::releases::Known;
use crate::fleet::row::{Credential, Standing};
use crate::fleet::testkit::{Maker, now};
use perennial_schemas::report::Report;
use std::collections::HashMap;

/// A server of one device, in memory.
struct World {
    maker: Maker,
    row: Option<Row>,
    events: HashMap<Vec<u8>, Vec<u8>>,
    keys: HashMap<Sha256Digest, Owner>,
    releases: Releases,
    now: Timestamp,
    revoked: Vec<u8>,
    tickets: u8,
    restored: Restored,
}

struct Records<'w>(&'w HashMap<Vec<u8>, Vec<u8>>, &'w HashMap<Sha256Digest, Owner>);

impl Beside for Records<'_> {
    fn event(&mut self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.0.get(key).cloned())
    }
    fn owner(&mut self, key: &Sha256Digest) -> Result<Option<Owner>, StoreError> {
        Ok(self.1.get(key).cloned())
    }
}

impl World {
    fn new() -> Self {
        let known = Known {
            product: "thermostat".parse().unwrap(),
            version: "2.1.0".into(),
            hardware: ["revC".parse().unwrap()].into(),
        };
        Self {
            maker: Maker::new(),
            row: None,
            events: HashMap::new(),
            keys: HashMap::new(),
            releases: Releases::of([(Sha256Digest([0xab; 32]), known)]),
            now: now(),
            revoked: Vec::new(),
            tickets: 0,
            restored: Restored::default(),
        }
    }

    fn apply(&mut self, who: &Who, act: Act) -> (Verdict, Vec<Flag>) {
        let operation = Operation { who: who.clone(), act };
        let revoked = self.revoked.clone();
        let facts = Facts {
            now: self.now,
            releases: &self.releases,
            is_revoked: &|serial| serial == revoked,
            oldest: self.now.plus_days(-365),
            restored: self.restored,
        };
        let mut effects = Effects::default();
        let mut records = Records(&self.events, &self.keys);
        let verdict = fold(&mut self.row, &operation, &facts, &mut records, &mut effects).unwrap();
        self.events.extend(effects.events);
        for (key, owner) in effects.keys {
            match owner {
                Some(owner) => drop(self.keys.insert(key, owner)),
                None => drop(self.keys.remove(&key)),
            }
        }
        // What is kept must be readable.
        if let Some(row) = &self.row {
            assert_eq!(Row::decode(&row.encode()).as_ref(), Ok(row));
        }
        (verdict, effects.flags)
    }

    fn factory(&self, serial: u8) -> Arc<Identity> {
        self.maker.identify(&self.maker.factory(serial, |_| {}))
    }

    /// Enrols, and gives the identity of the new certificate.
    fn enrol(&mut self, identity: &Arc<Identity>) -> Result<(Who, u32, Ticket), RefusalCode> {
        let (device, credential) = self.maker.fleet(identity, self.now);
        self.tickets += 1;
        let ticket = Ticket::of_bytes(&[self.tickets; 16]);
        let act = Act::Enrol(Box::new(Enrol { credential, ticket: ticket.clone() }));
        match self.apply(&Who::Device(Arc::clone(identity)), act).0? {
            Done::Enrolled { epoch } => {
                Ok((Who::Device(self.maker.trust.identify(&device.chain, self.now).unwrap()), epoch, ticket))
            }
            other => panic!("{other:?}"),
        }
    }

    fn report(&mut self, who: &Who, reports: &[(u64, &str)]) -> Result<(u64, Vec<(u64, Flag)>), RefusalCode> {
        let reports = reports.iter().map(|(sequence, detail)| self.one(who, *sequence, detail)).collect();
        self.hand_in(who, reports)
    }

    fn hand_in(&mut self, who: &Who, reports: Vec<Report>) -> Result<(u64, Vec<(u64, Flag)>), RefusalCode> {
        let queue = ReportQueue::new(who.device().clone(), reports);
        match self.apply(who, Act::Reports(queue)).0? {
            Done::Acknowledged { acknowledged, flagged } => {
                Ok((acknowledged, flagged.iter().map(|one| (one.sequence, one.flag)).collect()))
            }
            other => panic!("{other:?}"),
        }
    }

    fn one(&self, who: &Who, sequence: u64, detail: &str) -> Report {
        serde_json::from_value(serde_json::json!({
            "format": "perennial.report/1", "requires": [], "device": who.device(), "sequence": sequence,
            "at": self.now, "product": "thermostat", "hardware": "revC", "version": "2.1.0",
            "manifest": "ab".repeat(32), "outcome": "started", "detail": detail,
        }))
        .unwrap()
    }

    fn check_in(&mut self, who: &Who, ticket: Option<&Ticket>) -> Result<(Ticket, Vec<Flag>), RefusalCode> {
        self.tickets += 1;
        let next = Ticket::of_bytes(&[self.tickets; 16]);
        let said: CheckIn = serde_json::from_value(serde_json::json!({
            "format": "perennial.check-in/1", "requires": [], "at": self.now, "product": "thermostat",
            "hardware": "revC", "channel": "stable", "version": "2.1.0", "security_version": 1, "agent": "a 1",
            "manifest": "ab".repeat(32), "ticket": ticket,
        }))
        .unwrap();
        let (verdict, flags) = self.apply(who, Act::CheckIn(Box::new(said), next.clone()));
        verdict.map(|_| (next, flags))
    }

    fn standing(&self) -> Standing {
        self.row.as_ref().unwrap().standing()
    }

    fn row(&self) -> &Row {
        self.row.as_ref().unwrap()
    }
}

#[test]
fn reports_are_kept_once_whatever_is_sent_again() {
    let mut world = World::new();
    let (fleet, epoch, _) = world.enrol(&world.factory(1)).unwrap();
    assert_eq!(epoch, 1);
    assert_eq!(world.report(&fleet, &[(1, "a"), (2, "b")]), Ok((2, vec![])));
    assert_eq!(world.report(&fleet, &[(2, "b"), (3, "c")]), Ok((3, vec![(2, Flag::Replayed)])));
    assert_eq!((world.events.len(), world.row().reports, world.row().gaps), (3, 3, 0));
    assert_eq!(world.standing(), Standing::Enrolled);
    // A gap is counted, and filled where another connection was overtaken.
    assert_eq!(world.report(&fleet, &[(6, "f")]), Ok((6, vec![])));
    assert_eq!(world.row().gaps, 2);
    assert_eq!(world.report(&fleet, &[(5, "e")]), Ok((5, vec![])));
    assert_eq!((world.row().gaps, world.row().last_sequence, world.events.len()), (1, 6, 5));
}

#[test]
fn a_sequence_with_two_contents_is_a_copied_identity() {
    let mut world = World::new();
    let (fleet, ..) = world.enrol(&world.factory(1)).unwrap();
    world.report(&fleet, &[(1, "a"), (2, "b")]).unwrap();
    let again = world.report(&fleet, &[(1, "other"), (3, "c")]);
    assert_eq!(again, Ok((3, vec![(1, Flag::SequenceForked)])));
    assert_eq!(world.standing(), Standing::Quarantined);
    // The first stays, and the device is served all the same.
    let first = Event::decode(&world.events[&Event::key(fleet.device(), 1, 1)]).unwrap();
    assert_eq!(first.detail, "a");
    let clue = &world.row().clues[&Flag::SequenceForked];
    assert!(clue.starts_with("report 1.1 came with two contents"), "{clue}");
    assert!(crate::fleet::desk::evidence(&first, world.row()).is_err());
    assert!(world.check_in(&fleet, None).is_ok());
}

#[test]
fn what_was_swept_is_not_taken_for_new() {
    let mut world = World::new();
    let (fleet, ..) = world.enrol(&world.factory(1)).unwrap();
    let old = world.one(&fleet, 1, "a");
    world.hand_in(&fleet, vec![old.clone(), world.one(&fleet, 2, "b")]).unwrap();
    world.now = world.now.plus_days(80);
    world.events.clear();
    let facts_oldest = world.now.plus_days(-365);
    assert!(old.at > facts_oldest);
    let mut ancient = old;
    ancient.at = facts_oldest.plus_seconds(-1);
    assert_eq!(world.hand_in(&fleet, vec![ancient]), Ok((1, vec![(1, Flag::Replayed)])));
    assert!(world.events.is_empty());
}

#[test]
fn impossible_releases_and_clocks_are_told() {
    let mut world = World::new();
    let (fleet, ..) = world.enrol(&world.factory(1)).unwrap();
    let mut reports: Vec<Report> = (1..=4).map(|n| world.one(&fleet, n, "")).collect();
    reports[0].manifest = Sha256Digest([1; 32]);
    reports[1].hardware = "revB".parse().unwrap();
    reports[2].at = world.now.plus_days(2000);
    reports[3].at = Timestamp::EPOCH;
    let (_, flagged) = world.hand_in(&fleet, reports).unwrap();
    let impossible = Flag::ImpossibleVersion;
    assert_eq!(flagged, [(1, impossible), (2, impossible), (3, Flag::ClockAhead), (4, Flag::ClockBehind)]);
    assert_eq!(world.standing(), Standing::Enrolled);
    let event = Event::decode(&world.events[&Event::key(fleet.device(), 1, 1)]).unwrap();
    assert!(crate::fleet::desk::evidence(&event, world.row()).unwrap_err().contains("doesn't know"));
    // One that waited for half a year is no wrong clock.
    let mut late = world.one(&fleet, 5, "");
    late.at = world.now.plus_days(-90);
    assert_eq!(world.hand_in(&fleet, vec![late]), Ok((5, vec![])));
}

#[test]
fn a_version_that_is_not_its_manifests_is_impossible() {
    let mut world = World::new();
    let (fleet, ..) = world.enrol(&world.factory(1)).unwrap();
    let mut report = world.one(&fleet, 1, "");
    report.version = "9.9.9".parse().unwrap();
    assert_eq!(world.hand_in(&fleet, vec![report]), Ok((1, vec![(1, Flag::ImpossibleVersion)])));
    let event = Event::decode(&world.events[&Event::key(fleet.device(), 1, 1)]).unwrap();
    assert!(crate::fleet::desk::evidence(&event, world.row()).is_err());
    let said: CheckIn = serde_json::from_value(serde_json::json!({
        "format": "perennial.check-in/1", "requires": [], "at": world.now, "product": "thermostat",
        "hardware": "revC", "channel": "stable", "version": "9.9.9", "security_version": 1, "agent": "a 1",
        "manifest": "ab".repeat(32),
    }))
    .unwrap();
    world.row.as_mut().unwrap().tickets.clear();
    let act = Act::CheckIn(Box::new(said), Ticket::of_bytes(&[8; 16]));
    assert_eq!(world.apply(&fleet, act).1, [Flag::ImpossibleVersion]);
}

#[test]
fn answers_that_are_lost_one_after_another_are_no_copy() {
    let mut world = World::new();
    let (fleet, _, first) = world.enrol(&world.factory(1)).unwrap();
    let Who::Device(identity) = &fleet else { panic!() };
    // A check-in, and then two renewals: the device has the first ticket still.
    world.check_in(&fleet, Some(&first)).unwrap();
    world.enrol(identity).unwrap();
    world.enrol(identity).unwrap();
    assert_eq!(world.check_in(&fleet, Some(&first)).unwrap().1, []);
    assert_eq!(world.standing(), Standing::Enrolled);
}

#[test]
fn a_ticket_from_elsewhere_is_a_copied_identity_and_a_lost_answer_is_not() {
    let mut world = World::new();
    let (fleet, _, first) = world.enrol(&world.factory(1)).unwrap();
    let (second, flags) = world.check_in(&fleet, Some(&first)).unwrap();
    assert_eq!(flags, []);
    // The answer with the third is lost: the second is shown again.
    world.check_in(&fleet, Some(&second)).unwrap();
    let (fourth, flags) = world.check_in(&fleet, Some(&second)).unwrap();
    assert_eq!((flags, world.standing()), (vec![], Standing::Enrolled));
    // After a quarantine was lifted whoever comes first goes on, also where that answer is lost.
    world.row.as_mut().unwrap().lift();
    for _ in 0..2 {
        assert_eq!(world.check_in(&fleet, Some(&fourth)).unwrap().1, []);
    }
    let (fourth, _) = world.check_in(&fleet, Some(&fourth)).unwrap();
    // A copy shows an old one, or none at all.
    let (_, flags) = world.check_in(&fleet, Some(&first)).unwrap();
    assert_eq!((flags, world.standing()), (vec![Flag::TicketForked], Standing::Quarantined));
    assert_eq!(world.check_in(&fleet, None).unwrap().1, [Flag::TicketForked]);
    assert_eq!(world.check_in(&fleet, Some(&fourth)).unwrap().1, [Flag::TicketForked]);
}

#[test]
fn only_a_fleet_certificate_opens_more_than_enrolment() {
    let mut world = World::new();
    let factory = world.factory(1);
    let as_factory = Who::Device(Arc::clone(&factory));
    assert_eq!(world.report(&as_factory, &[(1, "")]), Err(RefusalCode::NotEnrolled));
    let (fleet, ..) = world.enrol(&factory).unwrap();
    assert_eq!(world.report(&as_factory, &[(1, "")]), Err(RefusalCode::FactoryOnly));
    assert_eq!(world.report(&fleet, &[(1, "")]), Ok((1, vec![])));
    world.now = world.now.plus_days(91);
    assert_eq!(world.report(&fleet, &[(2, "")]), Err(RefusalCode::Expired));
    // But its renewal is open still.
    let Who::Device(expired) = &fleet else { panic!() };
    let (renewed, epoch, _) = world.enrol(&Arc::clone(expired)).unwrap();
    assert_eq!(epoch, 1);
    assert_eq!(world.report(&renewed, &[(2, "")]), Ok((2, vec![])));
}

#[test]
fn a_renewal_whose_answer_was_lost_is_asked_for_again() {
    let mut world = World::new();
    let (fleet, ..) = world.enrol(&world.factory(1)).unwrap();
    let Who::Device(old) = &fleet else { panic!() };
    let (lost, ..) = world.enrol(old).unwrap();
    assert_eq!(world.report(&fleet, &[(1, "")]), Ok((1, vec![])));
    let (renewed, ..) = world.enrol(old).unwrap();
    assert_eq!(world.keys.len(), 3, "factory, old, newest");
    assert_eq!(world.report(&renewed, &[(2, "")]), Ok((2, vec![])));
    // From its first use on, the ones before are superseded.
    assert_eq!(world.keys.len(), 2);
    assert_eq!(world.report(&fleet, &[(3, "")]), Err(RefusalCode::Superseded));
    assert_eq!(world.standing(), Standing::Quarantined);
    assert_eq!(world.report(&lost, &[(3, "")]), Err(RefusalCode::Superseded));
    assert_eq!(world.enrol(old).unwrap_err(), RefusalCode::Superseded);
}

#[test]
fn what_a_gateway_brings_late_or_again_is_no_copy_and_no_sign_of_life() {
    let mut world = World::new();
    let (fleet, ..) = world.enrol(&world.factory(1)).unwrap();
    let Who::Device(old) = &fleet else { panic!() };
    let carried = Who::Carried(Arc::clone(old));
    let queue = vec![world.one(&fleet, 1, "a"), world.one(&fleet, 2, "b")];
    world.hand_in(&fleet, queue[..1].to_vec()).unwrap();
    let (heard, at) = (world.row().last_seen, world.now);
    world.now = world.now.plus_days(3);
    // What it signed and the gateway brings now is new, and was said before.
    assert_eq!(world.hand_in(&carried, queue.clone()), Ok((2, vec![(1, Flag::Replayed)])));
    assert_eq!((world.row().last_seen, &world.row().flags), (heard, &Default::default()));
    let event = Event::decode(&world.events[&Event::key(fleet.device(), 1, 2)]).unwrap();
    assert_eq!(event.received, world.now);
    // The device renews, and the same queue is brought again.
    world.now = at.plus_days(4);
    let (renewed, ..) = world.enrol(old).unwrap();
    world.report(&renewed, &[(3, "c")]).unwrap();
    let heard = world.row().last_seen;
    world.now = at.plus_days(9);
    assert_eq!(world.hand_in(&carried, queue), Err(RefusalCode::Superseded));
    assert_eq!((world.standing(), world.row().last_seen), (Standing::Enrolled, heard));
    assert!(world.row().flags.is_empty());
    // Two contents under one number, each signed with the device's key, are a copy's all the same.
    let Who::Device(newest) = &renewed else { panic!() };
    let forked = world.report(&Who::Carried(Arc::clone(newest)), &[(3, "other")]);
    assert_eq!(forked, Ok((3, vec![(3, Flag::SequenceForked)])));
    assert_eq!(world.standing(), Standing::Quarantined);
}

#[test]
fn an_event_that_is_damaged_on_the_disk_is_no_copy() {
    let mut world = World::new();
    let (fleet, ..) = world.enrol(&world.factory(1)).unwrap();
    world.report(&fleet, &[(1, "a")]).unwrap();
    world.events.insert(Event::key(fleet.device(), 1, 1), b"?".to_vec());
    assert_eq!(world.report(&fleet, &[(1, "a")]), Ok((1, vec![(1, Flag::Replayed)])));
    assert_eq!(world.standing(), Standing::Enrolled);
}

#[test]
fn a_new_enrolment_begins_a_new_epoch_and_ends_the_old_certificate() {
    let mut world = World::new();
    let factory = world.factory(1);
    let (first, ..) = world.enrol(&factory).unwrap();
    world.report(&first, &[(1, "a")]).unwrap();
    let (second, epoch, _) = world.enrol(&factory).unwrap();
    assert_eq!(epoch, 2);
    assert_eq!(world.report(&second, &[(1, "begun anew")]), Ok((1, vec![])));
    assert_eq!(world.standing(), Standing::Enrolled);
    assert_eq!(world.events.len(), 2);
    assert_eq!(world.report(&first, &[(2, "")]), Err(RefusalCode::Superseded));
    assert_eq!(world.standing(), Standing::Quarantined);
}

#[test]
fn keys_are_nobody_elses() {
    let mut world = World::new();
    let (one, two) = (world.factory(1), world.factory(2));
    world.enrol(&one).unwrap();
    let taken = world.row().fleet.clone().unwrap();
    world.row = None;
    let with = |world: &mut World, key| {
        let credential = Credential { key, ..taken.clone() };
        let ticket = Ticket::of_bytes(&[9; 16]);
        world.apply(&Who::Device(Arc::clone(&two)), Act::Enrol(Box::new(Enrol { credential, ticket }))).0
    };
    assert_eq!(with(&mut world, taken.key), Err(RefusalCode::KeyShared));
    assert_eq!(with(&mut world, one.key), Err(RefusalCode::KeyShared));
    assert_eq!(with(&mut world, two.key), Err(RefusalCode::KeyShared));
    assert!(world.row.is_none());
    assert!(with(&mut world, Sha256Digest([5; 32])).is_ok());
}

#[test]
fn what_is_revoked_here_or_by_the_maker_opens_nothing() {
    let mut world = World::new();
    let factory = world.factory(1);
    let (fleet, ..) = world.enrol(&factory).unwrap();
    world.revoked = vec![1; 16];
    assert_eq!(world.report(&fleet, &[(1, "")]), Err(RefusalCode::Revoked));
    world.revoked.clear();
    assert_eq!(world.report(&fleet, &[(1, "")]), Ok((1, vec![])));
    let by = crate::fleet::row::Revoked { at: world.now, by: "command".into(), why: "stolen".into() };
    world.row.as_mut().unwrap().revoked = Some(by);
    assert_eq!(world.report(&fleet, &[(2, "")]), Err(RefusalCode::Revoked));
    assert_eq!(world.enrol(&factory).unwrap_err(), RefusalCode::Revoked);
}

#[test]
fn a_laboratory_speaks_for_no_device_with_an_identity_and_is_no_evidence() {
    let mut world = World::new();
    let factory = world.factory(1);
    let lab = Who::Lab(factory.name.device.clone());
    assert_eq!(world.report(&lab, &[(1, "")]), Ok((1, vec![])));
    assert_eq!(world.standing(), Standing::Lab);
    let event = Event::decode(&world.events[&Event::key(lab.device(), 0, 1)]).unwrap();
    assert!(event.lab && crate::fleet::desk::evidence(&event, world.row()).is_err());
    assert_eq!(world.enrol_as_lab(&lab), Err(RefusalCode::NotOffered));
    let (fleet, ..) = world.enrol(&factory).unwrap();
    assert_eq!(world.standing(), Standing::Enrolled);
    assert!(crate::fleet::desk::evidence(&event, world.row()).is_err());
    assert_eq!(world.report(&lab, &[(2, "")]), Err(RefusalCode::OtherDevice));
    assert_eq!(world.report(&fleet, &[(1, "")]), Ok((1, vec![])));
}

impl World {
    fn enrol_as_lab(&mut self, who: &Who) -> Verdict {
        let (_, credential) = self.maker.fleet(&self.factory(3), self.now);
        let ticket = Ticket::of_bytes(&[9; 16]);
        self.apply(who, Act::Enrol(Box::new(Enrol { credential, ticket }))).0
    }
}
