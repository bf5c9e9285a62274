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
        self.life += 1;
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
    world.life = 0;
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
    let (first, ..) = world.enrol(&world.factory(1)).unwrap();
    let copy = world.copy();
    world.later();
    let stolen = world.renew(&first);
    world.report(&stolen, &[(1, "")]).unwrap();
    world.later();
    let own = world.renew(&stolen);
    world.report(&own, &[(2, "")]).unwrap();
    world.restore(&copy);
    assert_eq!(world.report(&stolen, &[(1, "thief")]), Ok((1, vec![])));
    assert_eq!(world.report(&own, &[(3, "own")]), Ok((3, vec![])));
    assert_eq!(world.report(&stolen, &[(4, "thief")]), Err(RefusalCode::Superseded));
    assert_eq!(world.standing(), Standing::Quarantined);
    assert!(world.row().clues[&Flag::SupersededCertificate].contains("had taken the place of"));
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
