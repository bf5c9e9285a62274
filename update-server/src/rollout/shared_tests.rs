use super::testkit::{Bench, Odd, day, hardware, votes};
use std::sync::Arc;

/// What is told to one of them is no proof as long as nobody has looked at what was told to the other.
#[test]
fn a_front_end_that_shares_its_store_counts_what_the_others_were_told_before_it_opens_a_phase() {
    let mut bench = Bench::new();
    bench.offer.plan.phases.iter_mut().for_each(|phase| phase.share = 1_000_000);
    bench.start(day(0));
    let [one, another] = [Odd::over(&bench), Odd::over(&bench)].map(Arc::new);
    bench.start_on(one, day(0));
    let other = bench.beside(another, day(0));
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
