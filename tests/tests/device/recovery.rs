//! Records that are lost, and what a device still refuses once they are begun again.

use perennial_device_core::crypto::Ring;
use perennial_device_core::port::Record;
use perennial_device_core::recover::{RecoverError, Remains, recover};
use perennial_device_core::support::Floors;
use perennial_device_core::trust::{Floors as Versions, TrustState};
use perennial_schemas::Sha256Digest;
use perennial_schemas::report::FailureCode;
use perennial_tests::simulator::{Product, Unit, day, image, support_until};

use super::{fresh, offer, take_codes};

/// Begins again what is lost.
fn recovered(
    product: &Product,
    unit: &mut Unit,
    take_any_release: bool,
) -> Result<Vec<Record>, RecoverError> {
    let root = product.repository.first_root();
    let remains = Remains { identity: &unit.identity, root, take_any_release };
    recover(&mut unit.store, &mut unit.slots, remains, unit.now, &Ring)
}

/// Everything as it stood when 2.0.0 was offered, and a device that has confirmed 3.0.0 since.
fn moved_on() -> (Product, Unit, perennial_device_core::port::memory::MemoryFetch) {
    let (mut product, mut unit) = fresh();
    offer(&mut product, &mut unit, "2.0.0", &image(2, 6));
    let before = product.serve();
    product.withdraw("2.0.0");
    offer(&mut product, &mut unit, "3.0.0", &image(3, 6));
    unit.live().unwrap();
    assert_eq!(unit.runs(), "3.0.0");
    (product, unit, before)
}

#[test]
fn a_lost_trust_state_comes_back_no_lower_than_the_journal_noted() {
    let (product, mut unit, before) = moved_on();
    let trusted = TrustState::decode(&unit.store.records[&Record::Trust]).unwrap();
    unit.store.lost.insert(Record::Trust);
    assert_eq!(recovered(&product, &mut unit, false).unwrap(), [Record::Trust]);
    let again = TrustState::decode(&unit.store.records[&Record::Trust]).unwrap();
    assert_eq!(again.floors(), trusted.floors());
    unit.now = unit.now.plus_days(1);
    let now_served = std::mem::replace(&mut unit.fetch, before);
    let _ = unit.work().unwrap();
    assert_eq!(take_codes(&mut unit), [FailureCode::Rollback]);
    unit.fetch = now_served;
    unit.now = unit.now.plus_days(1);
    unit.live().unwrap();
    assert_eq!((take_codes(&mut unit), unit.runs()), (vec![], "3.0.0"));
    let last = unit.journal().reports.history().last().cloned().unwrap();
    assert_eq!(last.failure, Some(FailureCode::TrustStateLost));
    assert_eq!(
        (last.version.as_str(), last.detail.as_str()),
        ("3.0.0", "the trust record was lost, and begun again")
    );
}

#[test]
fn lost_floors_come_back_with_the_promised_date_and_what_is_withdrawn() {
    let (mut product, mut unit, _) = moved_on();
    let floors = Floors::decode(&unit.store.records[&Record::Floors]).unwrap();
    assert_eq!(floors.withdrawn().len(), 1);
    unit.store.lost.insert(Record::Floors);
    assert_eq!(recovered(&product, &mut unit, false).unwrap(), [Record::Floors]);
    product.support = support_until("2031-12-31");
    product.publish();
    unit.fetch = product.serve();
    unit.now = unit.now.plus_days(1);
    unit.live().unwrap();
    let again = Floors::decode(&unit.store.records[&Record::Floors]).unwrap();
    assert_eq!(again.guaranteed_until(), floors.guaranteed_until());
    assert_eq!(again.withdrawn(), floors.withdrawn(), "learnt again with the first check");
}

#[test]
fn a_device_that_lost_everything_goes_no_lower_than_its_image() {
    let (product, mut unit, before) = moved_on();
    unit.store.lost.extend(Record::ALL);
    let running = unit.identity.running.as_mut().unwrap();
    running.version = "3.0.0".parse().unwrap();
    running.manifest = Some(Sha256Digest([1; 32]));
    // As it stood when the image was made: 2.0.0 was out, and 3.0.0 not yet.
    running.floors = Versions { root: 1, snapshot: 4, ..Versions::default() };
    assert_eq!(
        recovered(&product, &mut unit, false).unwrap(),
        [Record::Journal, Record::Trust, Record::Floors]
    );
    unit.now = unit.now.plus_days(1);
    let now_served = std::mem::replace(&mut unit.fetch, before);
    let _ = unit.work().unwrap();
    assert_eq!(take_codes(&mut unit), [FailureCode::Rollback]);
    unit.fetch = now_served;
    unit.now = unit.now.plus_days(1);
    unit.live().unwrap();
    let journal = unit.journal();
    let reported: Vec<_> = journal.reports.history().iter().map(|entry| entry.failure).collect();
    assert_eq!(reported, [Some(FailureCode::TrustStateLost); 3], "each loss is told");
}

#[test]
fn a_new_device_begins_with_the_floors_of_its_image() {
    let (mut product, mut unit) = fresh();
    let running = unit.identity.running.as_mut().unwrap();
    running.floors = Versions { root: 1, snapshot: 9, ..Versions::default() };
    let _ = unit.work().unwrap();
    assert_eq!(take_codes(&mut unit), [FailureCode::Rollback]);
    product.repository.snapshot.common.version = 9;
    product.publish();
    unit.fetch = product.serve();
    unit.now = day(2);
    let _ = unit.work().unwrap();
    assert_eq!(take_codes(&mut unit), []);
}

#[test]
fn nothing_is_begun_again_where_nothing_says_which_release_runs() {
    let (product, mut unit, _) = moved_on();
    unit.store.lost.extend(Record::ALL);
    unit.identity.running = None;
    let error = recovered(&product, &mut unit, false).unwrap_err();
    assert!(matches!(error, RecoverError::UnknownRelease), "{error}");
    assert_eq!(unit.store.lost.len(), 3);
    // While the journal is there, it says what runs.
    unit.store.lost.remove(&Record::Journal);
    recovered(&product, &mut unit, false).unwrap();
    unit.store.lost.insert(Record::Journal);
    assert_eq!(recovered(&product, &mut unit, true).unwrap(), [Record::Journal]);
    assert!(recovered(&product, &mut unit, false).unwrap().is_empty());
}

#[test]
fn floors_under_the_later_root_count_and_under_the_same_one_the_greater_of_each() {
    let floors = |root, timestamp, a: u64| Versions {
        root,
        timestamp,
        snapshot: 5,
        roles: [("a.json".into(), a)].into(),
    };
    // Rotated keys have cleared what was seen under root 2.
    assert_eq!(floors(3, 1, 1).newest(floors(2, 99, 9)), floors(3, 1, 1));
    assert_eq!(floors(2, 99, 9).newest(floors(3, 1, 1)), floors(3, 1, 1));
    assert_eq!(floors(2, 1, 9).newest(floors(2, 99, 1)), floors(2, 99, 9));
}
