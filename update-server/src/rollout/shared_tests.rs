use super::drive::Drive;
use super::testkit::{Bench, day, hardware, key, offers, votes};
use crate::store::{Batch, Pair, Space, Store, StoreError, Visit};
use std::sync::Arc;
use std::time::Duration;

/// A store that others write into, too, unseen by whoever holds it.
struct Shared(Arc<dyn Store>);

impl Store for Shared {
    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.0.get(space, key)
    }

    fn scan_prefix(
        &self,
        space: Space,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<Pair>, StoreError> {
        self.0.scan_prefix(space, prefix, after, limit)
    }

    fn scan_back(
        &self,
        space: Space,
        prefix: &[u8],
        before: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<Pair>, StoreError> {
        self.0.scan_back(space, prefix, before, limit)
    }

    fn last(&self, space: Space) -> Result<Option<Pair>, StoreError> {
        self.0.last(space)
    }

    fn walk(&self, visit: &mut Visit<'_>) -> Result<(), StoreError> {
        self.0.walk(visit)
    }

    fn commit(&self, batch: Batch) -> Result<(), StoreError> {
        self.0.commit(batch)
    }
}

/// What is told to one of them is no proof as long as nobody has looked at what was told to the other.
#[test]
fn a_front_end_that_shares_its_store_counts_what_the_others_were_told_before_it_opens_a_phase() {
    let mut bench = Bench::new();
    bench.offer.plan.phases.iter_mut().for_each(|phase| phase.share = 1_000_000);
    bench.start(day(0));
    let inner = Arc::clone(&bench.drive().store);
    bench.start_on(Arc::new(Shared(Arc::clone(&inner))), day(0));
    let front_end = |bench: &Bench| {
        let key = Box::new(key(bench.folder.path()).0);
        let store: Arc<dyn Store> = Arc::new(Shared(Arc::clone(&inner)));
        let (usual, offered) = (Duration::from_secs(86_400), offers([bench.offer.clone()]));
        Drive::new(store, key, &[7; 32], offered, usual, day(0)).unwrap()
    };
    let other = front_end(&bench);
    bench.tick(day(0));
    other.engine.tick(day(0)).unwrap();
    let members = bench.members(1000, "revC");
    let (good, bad) = members.split_at(800);
    bench.report(good, "confirmed");
    let told: Vec<_> = bad.iter().map(|member| bench.told(member, "rolled-back")).collect();
    other.report(told).unwrap();
    assert_eq!(bench.wait(day(2)), [""; 0]);
    assert_eq!(bench.votes()[&hardware("revC")], votes(800, 0, 0), "its own share");
    assert_eq!(bench.tick(day(2)), ["rollout.halted"]);
    assert_eq!(bench.votes()[&hardware("revC")], votes(800, 0, 200));
}
