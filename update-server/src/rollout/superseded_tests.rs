use super::desk;
use super::machine::Wish;
use super::offers::{Offers, Plain};
use super::testkit::{Bench, day, hardware, offer, offers};
use super::view::Rollout;
use perennial_schemas::rollout::WHOLE;
use perennial_schemas::{Sha256Digest, Timestamp};
use std::sync::Arc;

/// 2.1.0 is halted at the second day.
fn halted() -> Bench {
    let bench = Bench::new();
    bench.tick(day(0));
    change(&bench, &Wish::Halt(None), day(2));
    bench
}

fn change(bench: &Bench, wish: &Wish, at: Timestamp) -> Rollout {
    let name = ("thermostat", "2.1.0");
    desk::change(&bench.drive().engine, name, wish, ("command", "it smells"), at).unwrap()
}

/// A newer release without a plan, on offer beside it.
fn beside(bench: &Bench, change: impl FnOnce(&mut Plain)) -> Offers {
    let mut newer = Plain {
        product: bench.offer.product.clone(),
        version: "2.2.0".parse().unwrap(),
        hardware: bench.offer.hardware.clone(),
        channels: bench.offer.channels.clone(),
        minimum: None,
    };
    change(&mut newer);
    let plain = [(Sha256Digest([9; 32]), Arc::new(newer))].into();
    Offers { plain, ..offers([bench.offer.clone()]) }
}

fn alarms(bench: &Bench, at: Timestamp) -> usize {
    bench.tick(at);
    let shown = desk::list(&bench.drive().engine, at).unwrap();
    let halted = shown.iter().find(|it| it.version == "2.1.0").unwrap();
    assert_eq!(halted.state, "halted", "it is still shown");
    let gauge = prometheus_gauge(bench);
    assert_eq!(gauge, i64::from(halted.superseded_by.is_some()), "the metric says the same");
    halted.alarms().len()
}

fn prometheus_gauge(bench: &Bench) -> i64 {
    bench.drive().engine.figures().superseded(&bench.offer.product, &bench.offer.version)
}

#[test]
fn a_halted_release_wakes_nobody_once_every_device_takes_a_newer_one_in_its_place() {
    let bench = halted();
    assert_eq!(alarms(&bench, day(2)), 1);
    bench.drive().offer(beside(&bench, |_| {}));
    assert_eq!(alarms(&bench, day(3)), 0);
    let shown = desk::show(&bench.drive().engine, "thermostat", "2.1.0", day(3)).unwrap();
    assert!(shown.line().ends_with("[superseded by 2.2.0: nothing to be done]"), "{}", shown.line());
    let said = shown.sentences().join("\n");
    assert!(
        said.contains("2.2.0 is open for every device that could take this one: nothing has to be done."),
        "{said}"
    );
    assert!(said.contains("perennial-signer withdraw thermostat 2.1.0"), "what may be done is said: {said}");
    assert!(
        !said.contains("Devices wait") && !said.contains("rollout resume"),
        "and nothing else is asked for: {said}"
    );
    // Past its hold, with its signers' consent: devices would go on with it, were there none newer.
    let mut late = bench.offer.clone();
    late.signed_at = Some(day(20));
    let mut offers = beside(&bench, |_| {});
    offers.offered.insert(late.manifest, Arc::new(late.clone()));
    bench.drive().offer(offers);
    assert_eq!(alarms(&bench, day(21)), 0);
    bench.drive().offer(self::offers([late]));
    assert_eq!(alarms(&bench, day(21)), 2);
}

#[test]
fn it_stays_an_alarm_where_some_device_could_still_take_it() {
    let bench = halted();
    type Change = fn(&mut Plain);
    let cases: [(&str, Change); 5] = [
        ("an older one", |it| it.version = "2.0.5".parse().unwrap()),
        ("another product", |it| it.product = "camera".parse().unwrap()),
        ("not for revD", |it| it.hardware.retain(|it| it.as_str() != "revD")),
        ("on another channel", |it| it.channels = ["beta".parse().unwrap()].into()),
        ("behind a barrier", |it| it.minimum = Some("2.1.0".parse().unwrap())),
    ];
    for (what, change) in cases {
        bench.drive().offer(beside(&bench, change));
        assert_eq!(alarms(&bench, day(3)), 1, "{what}");
    }
    // On two channels, of which one has nothing newer.
    let mut offers = beside(&bench, |_| {});
    let mut both = bench.offer.clone();
    both.channels.insert("beta".parse().unwrap());
    offers.offered.insert(both.manifest, Arc::new(both));
    bench.drive().offer(offers);
    assert_eq!(alarms(&bench, day(3)), 1, "one channel alone");
}

#[test]
fn one_that_is_rolled_out_itself_stands_in_its_place_once_it_is_open_for_all() {
    let bench = halted();
    let mut newer = offer(2);
    (newer.plan.key, newer.key) = (bench.offer.plan.key.clone(), bench.offer.key.clone());
    newer.plan.phases.truncate(1);
    newer.plan.phases[0].share = WHOLE;
    newer.plan.phases[0].not_before = day(5);
    newer.plan.early.clear();
    bench.drive().offer(offers([bench.offer.clone(), newer.clone()]));
    assert_eq!(alarms(&bench, day(4)), 1, "its time hasn't come");
    assert_eq!(alarms(&bench, day(5)), 0);
    let name = ("thermostat", "2.2.0");
    let engine = &bench.drive().engine;
    let steer = |wish, at| desk::change(engine, name, &wish, ("command", "a look"), at).unwrap();
    steer(Wish::Halt(Some(hardware("revD"))), day(6));
    assert_eq!(alarms(&bench, day(6)), 1, "revD waits");
    steer(Wish::Resume { hardware: Some(hardware("revD")), set_aside: false }, day(7));
    assert_eq!(alarms(&bench, day(7)), 1, "revD catches up");
    assert_eq!(alarms(&bench, day(8)), 0);
    steer(Wish::Pause, day(9));
    assert_eq!(alarms(&bench, day(9)), 1);
}
