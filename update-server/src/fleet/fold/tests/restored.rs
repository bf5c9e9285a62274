//! Records that were brought back from an older copy: what devices were given meanwhile is forgotten, and nobody is taken for
//! a copy because of it; a copy is found as before.

use super::*;

/// The records as they are now, for later.
struct Copy(Option<Row>, HashMap<Vec<u8>, Vec<u8>>, HashMap<Sha256Digest, Owner>);

impl World {
    fn copy(&self) -> Copy {
        Copy(self.row.clone(), self.events.clone(), self.keys.clone())
    }

    fn restore(&mut self, copy: &Copy) {
        (self.row, self.events, self.keys) = (copy.0.clone(), copy.1.clone(), copy.2.clone());
        self.restored = Restored { times: self.restored.times + 1, at: Some(self.now) };
    }

    fn later(&mut self) {
        self.now = self.now.plus_days(30);
    }

    fn renew(&mut self, who: &Who) -> Who {
        let Who::Device(identity) = who else { panic!() };
        self.enrol(&Arc::clone(identity)).unwrap().0
    }
}

#[test]
fn a_device_that_goes_on_after_older_records_were_restored_is_no_copy() {
    let mut world = World::new();
    let (fleet, _, first) = world.enrol(&world.factory(1)).unwrap();
    let (second, _) = world.check_in(&fleet, Some(&first)).unwrap();
    world.report(&fleet, &[(1, "a")]).unwrap();
    let copy = world.copy();
    let (third, _) = world.check_in(&fleet, Some(&second)).unwrap();
    let (fourth, _) = world.check_in(&fleet, Some(&third)).unwrap();
    world.report(&fleet, &[(2, "b"), (3, "c")]).unwrap();
    for _ in 0..2 {
        world.restore(&copy);
        // What was acknowledged meanwhile the device has no more: it is missing here, and that is all.
        assert_eq!(world.report(&fleet, &[(4, "d")]), Ok((4, vec![])));
        assert_eq!((world.row().gaps, world.row().reports), (2, 2));
        // The answer with the next ticket may get lost, as ever.
        assert_eq!(world.check_in(&fleet, Some(&fourth)).unwrap().1, []);
        let (fifth, flags) = world.check_in(&fleet, Some(&fourth)).unwrap();
        assert_eq!(flags, []);
        assert_eq!(world.check_in(&fleet, Some(&fifth)).unwrap().1, []);
        assert_eq!(world.standing(), Standing::Enrolled);
    }
    // Once is enough: whoever shows what is old from then on is a copy.
    assert_eq!(world.check_in(&fleet, Some(&third)).unwrap().1, [Flag::TicketForked]);
    assert_eq!(world.standing(), Standing::Quarantined);
    let clue = &world.row().clues[&Flag::TicketForked];
    assert!(clue.contains("a ticket that was used up") && clue.contains("running 2.1.0"), "{clue}");
}

#[test]
fn a_thief_of_an_old_ticket_is_found_when_the_device_comes_whoever_was_first() {
    for thief_first in [true, false] {
        let mut world = World::new();
        let (fleet, _, stolen) = world.enrol(&world.factory(1)).unwrap();
        let copy = world.copy();
        let (own, _) = world.check_in(&fleet, Some(&stolen)).unwrap();
        let (own, _) = world.check_in(&fleet, Some(&own)).unwrap();
        world.restore(&copy);
        let mut order = [&stolen, &own];
        if !thief_first {
            order.reverse();
        }
        assert_eq!(world.check_in(&fleet, Some(order[0])).unwrap().1, []);
        assert_eq!(world.check_in(&fleet, Some(order[1])).unwrap().1, [Flag::TicketForked], "{thief_first}");
    }
}

#[test]
fn a_certificate_that_restored_records_have_forgotten_is_taken_up() {
    let mut world = World::new();
    let factory = world.factory(1);
    let (first, _, ticket) = world.enrol(&factory).unwrap();
    world.report(&first, &[(1, "a")]).unwrap();
    let copy = world.copy();
    world.later();
    let second = world.renew(&first);
    world.report(&second, &[(2, "b")]).unwrap();
    // Without a restoration nobody has a certificate that the records don't know.
    world.restore(&copy);
    world.restored = Restored::default();
    assert_eq!(world.report(&second, &[(3, "c")]), Err(RefusalCode::Superseded));
    world.restore(&copy);
    assert_eq!(world.report(&second, &[(3, "c")]), Ok((3, vec![])));
    assert_eq!(world.check_in(&second, Some(&ticket)).unwrap().1, []);
    assert_eq!((world.standing(), world.keys.len(), world.row().epoch), (Standing::Enrolled, 2, 2));
    // It goes on as any other, and the one before it is a copy's.
    world.later();
    let third = world.renew(&second);
    assert_eq!(world.report(&third, &[(4, "d")]), Ok((4, vec![])));
    assert_eq!(world.report(&first, &[(5, "")]), Err(RefusalCode::Superseded));
    assert_eq!(world.standing(), Standing::Quarantined);
    // The first thing that a device does may be its renewal.
    world.restore(&copy);
    let fourth = world.renew(&third);
    assert_eq!(world.report(&fourth, &[(6, "f")]), Ok((6, vec![])));
    assert_eq!(world.standing(), Standing::Enrolled);
}

#[test]
fn an_enrolment_that_restored_records_have_forgotten_begins_its_numbers_anew() {
    let mut world = World::new();
    let factory = world.factory(1);
    let (first, ..) = world.enrol(&factory).unwrap();
    world.report(&first, &[(1, "a"), (2, "b"), (3, "c")]).unwrap();
    let copy = world.copy();
    world.later();
    // Its journal was lost, so that it enrolled again.
    let (second, ..) = world.enrol(&factory).unwrap();
    world.report(&second, &[(1, "begun anew")]).unwrap();
    world.restore(&copy);
    assert_eq!(world.report(&second, &[(2, "other")]), Ok((2, vec![])));
    assert_eq!((world.standing(), world.row().epoch), (Standing::Enrolled, 2));
    // One that had never enrolled before is asked to, as any that isn't known.
    world.row = None;
    assert_eq!(world.report(&second, &[(3, "")]), Err(RefusalCode::NotEnrolled));
    let (again, epoch, _) = world.enrol(&factory).unwrap();
    assert_eq!((epoch, world.report(&again, &[(3, "")])), (1, Ok((3, vec![]))));
}

#[test]
fn a_thief_of_an_old_certificate_is_found_when_the_device_comes() {
    let mut world = World::new();
    let factory = world.factory(1);
    let (first, ..) = world.enrol(&factory).unwrap();
    let copy = world.copy();
    world.later();
    let stolen = world.renew(&first);
    world.report(&stolen, &[(1, "")]).unwrap();
    world.later();
    let own = world.renew(&stolen);
    world.report(&own, &[(2, "")]).unwrap();
    world.restore(&copy);
    assert_eq!(world.report(&stolen, &[(1, "thief")]), Ok((1, vec![])));
    assert_eq!(world.standing(), Standing::Enrolled);
    // One is taken up, and no second one: the device comes back by its factory certificate.
    assert_eq!(world.report(&own, &[(3, "own")]), Err(RefusalCode::Superseded));
    assert_eq!(world.standing(), Standing::Quarantined);
    let clue = &world.row().clues[&Flag::SupersededCertificate];
    assert!(clue.contains("was used, and the newest that these records know is of"), "{clue}");
    let (again, ..) = world.enrol(&factory).unwrap();
    assert_eq!(world.report(&again, &[(3, "own")]), Ok((3, vec![])));
    assert_eq!(world.report(&stolen, &[(4, "thief")]), Err(RefusalCode::Superseded));
    // Where the device came first, it is the thief who is told.
    world.restore(&copy);
    assert_eq!(world.report(&own, &[(3, "own")]), Ok((3, vec![])));
    assert_eq!(world.report(&stolen, &[(4, "thief")]), Err(RefusalCode::Superseded));
    assert_eq!(world.standing(), Standing::Quarantined);
    assert!(world.row().clues[&Flag::SupersededCertificate].contains("had taken the place of"));
    assert_eq!(world.report(&own, &[(4, "own")]), Ok((4, vec![])));
    // A revoked device is none that is remembered, and a key that another device has isn't taken up.
    world.restore(&copy);
    let other = Owner { device: "d-2".parse().unwrap(), kind: Kind::Fleet };
    let Who::Device(identity) = &own else { panic!() };
    world.keys.insert(identity.key, other);
    assert_eq!(world.report(&own, &[(3, "")]), Err(RefusalCode::Superseded));
    world.restore(&copy);
    world.revoked = vec![1; 16];
    assert_eq!(world.report(&own, &[(3, "")]), Err(RefusalCode::Revoked));
    assert_eq!(world.row().epoch, 1);
}

#[test]
fn what_was_done_with_an_old_certificate_is_told_when_the_device_comes() {
    let mut world = World::new();
    let (stolen, _, ticket) = world.enrol(&world.factory(1)).unwrap();
    let copy = world.copy();
    world.later();
    let own = world.renew(&stolen);
    world.report(&own, &[(1, "own")]).unwrap();
    let Who::Device(known) = &stolen else { panic!() };
    type Use = fn(&mut World, &Who, &Ticket);
    let uses: [Use; 3] = [
        |world, who, _| drop(world.report(who, &[(1, "thief")]).unwrap()),
        |world, who, ticket| drop(world.check_in(who, Some(ticket)).unwrap()),
        |world, who, _| drop(world.renew(who)),
    ];
    for thief in uses {
        world.restore(&copy);
        // These records know the thief's certificate, and nothing against it.
        thief(&mut world, &stolen, &ticket);
        assert_eq!(world.standing(), Standing::Enrolled);
        assert_eq!(world.report(&own, &[(2, "own")]), Err(RefusalCode::Superseded));
        assert_eq!(world.standing(), Standing::Quarantined);
    }
    // A gateway that brings what was signed long ago says nothing of now.
    world.restore(&copy);
    let queue = vec![world.one(&stolen, 1, "late")];
    world.hand_in(&Who::Carried(Arc::clone(known)), queue).unwrap();
    assert_eq!(world.report(&own, &[(2, "own")]), Ok((2, vec![])));
    assert_eq!(world.standing(), Standing::Enrolled);
    // But what it brings of a forgotten certificate, where an older one was used since, tells two places.
    world.restore(&copy);
    world.report(&stolen, &[(1, "thief")]).unwrap();
    let Who::Device(newer) = &own else { panic!() };
    let queue = vec![world.one(&own, 2, "own")];
    let refused = world.hand_in(&Who::Carried(Arc::clone(newer)), queue);
    assert_eq!((refused, world.standing()), (Err(RefusalCode::Superseded), Standing::Quarantined));
}

#[test]
fn only_what_was_made_before_the_records_were_restored_is_forgotten() {
    let mut world = World::new();
    let factory = world.factory(1);
    let (first, ..) = world.enrol(&factory).unwrap();
    let copy = world.copy();
    // Meanwhile the server's clock ran ahead for a day, and somebody has a certificate of then.
    world.now = world.now.plus_days(20);
    let ahead = world.renew(&first);
    world.now = world.now.plus_days(-19);
    world.restore(&copy);
    world.now = world.now.plus_days(30);
    assert_eq!(world.report(&ahead, &[(1, "thief")]), Err(RefusalCode::Superseded));
    // The second or fiftieth time that the device renews, neither.
    let (own, ..) = world.enrol(&factory).unwrap();
    let flagged = |world: &World| world.row().flags[&Flag::SupersededCertificate].count;
    assert_eq!(flagged(&world), 1);
    assert_eq!(world.report(&ahead, &[(1, "thief")]), Err(RefusalCode::Superseded));
    assert_eq!(world.report(&own, &[(1, "own")]), Ok((1, vec![])));
    assert_eq!(flagged(&world), 2);
    // A row of a version before, of which nobody knows when it was last used, is closed by its newest certificate.
    let later = world.renew(&own);
    world.report(&later, &[(2, "own")]).unwrap();
    world.row.as_mut().unwrap().used = 0;
    assert_eq!(world.report(&ahead, &[(1, "thief")]), Err(RefusalCode::Superseded));
    // Records that were restored by an earlier version don't say when: nothing counts as forgotten.
    world.restore(&copy);
    world.restored.at = None;
    assert_eq!(world.report(&later, &[(3, "")]), Err(RefusalCode::Superseded));
}

#[test]
fn the_newest_restoration_counts() {
    let mut world = World::new();
    let factory = world.factory(1);
    let (first, _, ticket) = world.enrol(&factory).unwrap();
    let copy = world.copy();
    world.later();
    let second = world.renew(&first);
    world.restore(&copy);
    world.report(&second, &[(1, "a")]).unwrap();
    let later = world.copy();
    world.later();
    let third = world.renew(&second);
    // What the second restoration forgets was made after the first one.
    world.restore(&later);
    assert_eq!(world.report(&third, &[(2, "b")]), Ok((2, vec![])));
    assert_eq!(world.report(&second, &[(3, "")]), Err(RefusalCode::Superseded));
    world.check_in(&third, Some(&ticket)).unwrap();
    // A front end that hasn't heard of it yet takes nothing back.
    let newest = world.restored;
    world.restored.times -= 1;
    let (again, ..) = world.enrol(&factory).unwrap();
    world.check_in(&again, Some(&ticket)).unwrap();
    assert_eq!((world.row().life, world.row().used), (newest.times, newest.times));
}

#[test]
fn an_expired_certificate_that_was_forgotten_opens_nothing_and_says_nothing() {
    let mut world = World::new();
    let factory = world.factory(1);
    let (first, ..) = world.enrol(&factory).unwrap();
    let copy = world.copy();
    world.later();
    let second = world.renew(&first);
    let Who::Device(identity) = &second else { panic!() };
    world.restore(&copy);
    world.now = world.now.plus_days(91);
    let row = world.row.clone();
    // Neither a report nor a renewal; the device enrols by its factory certificate, and is no copy.
    assert_eq!(world.report(&second, &[(1, "")]), Err(RefusalCode::Superseded));
    assert_eq!(world.enrol(identity).unwrap_err(), RefusalCode::Superseded);
    assert_eq!(world.row, row);
    let (again, ..) = world.enrol(&factory).unwrap();
    assert_eq!(world.report(&again, &[(1, "")]), Ok((1, vec![])));
    assert_eq!(world.standing(), Standing::Enrolled);
}
