//! Power cuts at every operation of the whole story, and again during the recovery from each.
//!
//! The story: 1.0.0 from the factory takes 2.0.0 and confirms it, tries 3.0.0, which is unhealthy, and falls back.
//! Operations are what changes something durable: commits of the store, slot writes and syncs, changes of the boot
//! state, the counter. Whatever the moment: what boots is always a whole signed image ([`Unit::boot`] checks it), and
//! the story comes to the same end.

use perennial_device_core::machine::State;
use perennial_device_core::port::memory::{MemoryFetch, MemoryStaging};
use perennial_device_core::port::{BootFlag, Slot};
use perennial_schemas::release::Encoding;
use perennial_schemas::report::FailureCode;
use perennial_tests::simulator::{Conduct, Unit, delta, image, noise};

use super::fresh;

/// How many operations into the recovery from cut number `first` the second cut comes.
fn second_cuts(first: u64) -> [u64; 4] {
    [first % 3, 3 + first % 4, 7 + first % 5, 12 + first % 9]
}

struct Story {
    root: Vec<u8>,
    first: MemoryFetch,
    second: MemoryFetch,
    images: [Vec<u8>; 3],
    staged: bool,
}

impl Story {
    fn new(staged: bool) -> Self {
        let (mut product, _) = fresh();
        let images = [image(1, 3), image(2, 5), image(3, 6)];
        product.offer("2.0.0", &images[1], |release| release.security_version = 3);
        product.publish();
        let first = product.serve();
        product.offer("3.0.0", &images[2], |release| release.security_version = 4);
        product.publish();
        let root = product.repository.first_root().to_vec();
        Self { root, first, second: product.serve(), images, staged }
    }

    /// The same by deltas: from what the factory installed, then from what that became.
    fn of_deltas(staged: bool) -> Self {
        let (mut product, _) = fresh();
        let first = noise(1, 14_000);
        let second = [&first[..6_000], &noise(2, 500), &first[6_000..], &noise(3, 2_000)].concat();
        let third = [&second[..10_000], &noise(4, 300), &second[10_200..], &noise(5, 3_000)].concat();
        let images = [first, second, third];
        let mut served = Vec::new();
        for (at, version, from) in [(1, "2.0.0", "1.0.0"), (2, "3.0.0", "2.0.0")] {
            let (old, new) = (&images[at - 1], &images[at]);
            product.offer_payload(version, new, new, Encoding::Plain, |release| {
                release.security_version = 2 + at as u32;
            });
            product.add_delta(from, old, &delta(old, new), |_| {});
            product.publish();
            served.push(product.serve());
        }
        let root = product.repository.first_root().to_vec();
        let [first, second] = served.try_into().unwrap_or_else(|_| panic!("two releases"));
        Self { root, first, second, images, staged }
    }

    fn unit(&self) -> Unit {
        let mut unit = Unit::new(&self.root, &self.images[0]);
        unit.knows(&self.images[1], "2.0.0", Conduct::Healthy);
        unit.knows(&self.images[2], "3.0.0", Conduct::Sick);
        if self.staged {
            unit.staging = Some(MemoryStaging::new(&unit.power, 1 << 20));
        }
        unit
    }

    /// Lives the story; at each power cut the next number of `cuts` says how long the power lasts then.
    fn live(&self, unit: &mut Unit, cuts: &[u64]) -> usize {
        let mut cuts = cuts.iter().copied().enumerate();
        let mut crashes = 0;
        let mut arm = |unit: &mut Unit| {
            if let Some((_, operations)) = cuts.next() {
                unit.power.cut_after(operations);
            }
        };
        arm(unit);
        for fetch in [&self.first, &self.second] {
            unit.fetch = fetch.clone();
            loop {
                let outcome = unit.live();
                if !unit.power.is_off() {
                    outcome.expect("nothing but the power fails");
                    break;
                }
                crashes += 1;
                unit.crash(unit.power.log().len() as u64 * 0x9E37);
                arm(unit);
            }
            unit.now = unit.now.plus_seconds(5 * 3600);
        }
        crashes
    }

    /// The one end that the story has.
    fn check(unit: &Unit, cuts: &[u64]) {
        let journal = unit.journal();
        assert_eq!(unit.runs(), "2.0.0", "{cuts:?}");
        assert_eq!(journal.state, State::Idle, "{cuts:?}");
        assert_eq!(unit.counter.value, 3, "{cuts:?}: raised by what was confirmed, and by nothing else");
        let (b, a) = (unit.boot.status.b, unit.boot.status.a);
        assert_eq!(
            (a, b, unit.boot.status.next),
            (BootFlag::Unbootable, BootFlag::Good, Slot::B),
            "{cuts:?}"
        );
        let failed: Vec<(&str, u8)> =
            journal.failed.iter().map(|failed| (failed.version.as_str(), failed.tries)).collect();
        assert_eq!(failed, [("3.0.0", 1)], "{cuts:?}");
        let confirmed = journal.content(Slot::B).map(|content| content.version.as_str());
        assert_eq!((confirmed, journal.content(Slot::A)), (Some("2.0.0"), None), "{cuts:?}");
    }
}

fn crash_everywhere(story: &Story) {
    let staged = story.staged;
    let mut unit = story.unit();
    story.live(&mut unit, &[]);
    Story::check(&unit, &[]);
    let log = unit.power.log();
    let (mut once, mut twice) = (0, 0);
    for first in 0..log.len() as u64 {
        let mut unit = story.unit();
        once += story.live(&mut unit, &[first]);
        Story::check(&unit, &[first]);
        for second in second_cuts(first) {
            let mut unit = story.unit();
            twice += usize::from(story.live(&mut unit, &[first, second]) == 2);
            Story::check(&unit, &[first, second]);
        }
    }
    assert_eq!(once, log.len(), "power was cut at every operation");
    println!(
        "{} operations ({}): power cut at each, and {twice} times again during the recovery",
        log.len(),
        if staged { "staged" } else { "streamed" },
    );
}

#[test]
fn a_power_cut_at_any_operation_of_a_streamed_update_is_survived() {
    crash_everywhere(&Story::new(false));
}

#[test]
fn a_power_cut_at_any_operation_of_a_staged_update_is_survived() {
    crash_everywhere(&Story::new(true));
}

/// No full payload is ever asked for: a power cut is no reason to give a delta up.
fn only_deltas(story: &Story) {
    let mut unit = story.unit();
    story.live(&mut unit, &[]);
    assert!(unit.fetch.log.iter().any(|path| path.ends_with("3.0.0.revC.from-2.0.0.delta")));
    for cuts in [[9, 40], [21, 7], [30, 30]] {
        let mut unit = story.unit();
        story.live(&mut unit, &cuts);
        assert!(!unit.fetch.log.iter().any(|path| path.ends_with("image.zst")), "{cuts:?}");
        assert!(unit.journal().failed_deltas.is_empty(), "{cuts:?}");
    }
}

#[test]
fn a_power_cut_at_any_operation_of_a_streamed_delta_is_survived() {
    let story = Story::of_deltas(false);
    crash_everywhere(&story);
    only_deltas(&story);
}

#[test]
fn a_power_cut_at_any_operation_of_a_staged_delta_is_survived() {
    let story = Story::of_deltas(true);
    crash_everywhere(&story);
    only_deltas(&story);
}

#[test]
fn a_cut_during_the_trial_does_not_blame_a_healthy_release_while_it_has_tries_left() {
    let story = Story::new(false);
    let mut unit = story.unit();
    unit.fetch = story.first.clone();
    let _ = unit.work().unwrap();
    unit.boot();
    unit.crash(0);
    unit.live().unwrap();
    assert_eq!(unit.runs(), "2.0.0");
    assert!(unit.journal().failed.is_empty());
}

#[test]
fn a_release_that_resets_without_a_word_is_reported_as_an_unattributed_reset() {
    let story = Story::new(false);
    let mut unit = story.unit();
    unit.fetch = story.first.clone();
    let _ = unit.work().unwrap();
    unit.boot();
    // It comes up, the journal says that it is on trial, and then the power goes, time after time.
    unit.power.cut_after(1);
    let _ = unit.work();
    for _ in 0..2 {
        unit.crash(0);
    }
    assert_eq!(unit.runs(), "2.0.0");
    unit.crash(0);
    assert_eq!(unit.runs(), "1.0.0", "the boot loader fell back");
    let _ = unit.live();
    let failed = unit.journal().failed;
    assert_eq!(failed[0].code, Some(FailureCode::UnattributedReset));
}
