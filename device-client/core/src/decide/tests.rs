use super::*;
use crate::crypto::Ring;
use alloc::{format, vec};
use perennial_schemas::release::{Class, IndexRef, Notes};
use perennial_schemas::rollout::{Gate, OnDeadline, Phase, Plan, RolloutState, Salt, Spread, WHOLE};
use perennial_schemas::tuf::{Common, Key, Role};
use perennial_schemas::{Date, Document, ReleaseVersion};
use proptest::prelude::*;

const NOW: Timestamp = Timestamp::EPOCH;

fn digest(version: &str) -> Sha256Digest {
    Sha256Digest(core::array::from_fn(|i| version.as_bytes().get(i).copied().unwrap_or(0)))
}

fn version(text: &str) -> ReleaseVersion {
    text.parse().unwrap()
}

fn release(text: &str) -> Release {
    let index = |name: &str| IndexRef {
        target: format!("thermostat/{text}.{name}").parse().unwrap(),
        root: digest(name),
    };
    let payload = Payload {
        encoding: Encoding::Zstd,
        target: format!("thermostat/{text}.image.zst").parse().unwrap(),
        length: 500,
        index: index("image.zst.index"),
        source: None,
    };
    let image = Image {
        hardware: vec!["revC".parse().unwrap()],
        length: 1000,
        sha256: digest("image"),
        index: index("image.index"),
        payloads: vec![payload],
    };
    Release {
        format: Release::FORMAT.into(),
        requires: vec![],
        product: "thermostat".parse().unwrap(),
        version: version(text),
        security_version: 5,
        class: Class::Security,
        created: NOW,
        notes: Notes { what: "x".into(), why: "y".into(), interruption_seconds: 0 },
        fixes: vec![],
        minimum_version: None,
        postponable_days: None,
        sbom: None,
        advisories: vec![],
        secrets_let_through: None,
        rollout: None,
        available_until: Date::from_days(40_000),
        images: vec![image],
    }
}

/// A thermostat on 1.0.0 with counter 5 that is offered 1.0.0, 2.0.0 and 3.0.0; a test changes what it is about.
struct World {
    channel: Channel,
    documents: Documents,
    running: Option<Content>,
    withdrawn: BTreeSet<Sha256Digest>,
    failed: Vec<FailedRelease>,
    postponed_until: Option<Timestamp>,
    put_off: Option<PutOff>,
    counter: u32,
    capacity: u64,
    hardware: &'static str,
    now: Timestamp,
    drawn_as: DeviceId,
    labels: BTreeSet<Label>,
    signed_at: Option<Timestamp>,
    remembered: Rollouts,
    at_once: Option<AtOnce>,
}

impl World {
    fn new() -> Self {
        let mut channel = Channel::new("thermostat".parse().unwrap(), "stable".parse().unwrap());
        let mut documents = Documents::default();
        for text in ["2.0.0", "3.0.0", "1.0.0"] {
            channel.releases.push(Offered { version: version(text), manifest: digest(text) });
            documents.manifests.insert(digest(text), Manifest::Read(Box::new(release(text))));
        }
        let running = Some(Content {
            version: version("1.0.0"),
            manifest: Some(digest("1.0.0")),
            security_version: 5,
            image: None,
        });
        let (withdrawn, failed) = (BTreeSet::new(), vec![]);
        Self {
            channel,
            documents,
            running,
            withdrawn,
            failed,
            postponed_until: None,
            put_off: None,
            counter: 5,
            capacity: 1000,
            hardware: "revC",
            now: NOW,
            drawn_as: "unit-1".parse().unwrap(),
            labels: BTreeSet::new(),
            signed_at: None,
            remembered: Rollouts::default(),
            at_once: None,
        }
    }

    fn change(mut self, text: &str, change: impl Fn(&mut Release)) -> Self {
        if let Some(Manifest::Read(release)) = self.documents.manifests.get_mut(&digest(text)) {
            change(release);
        }
        self
    }

    fn fail(mut self, text: &str, code: Option<FailureCode>, tries: u8, again: Option<i64>) -> Self {
        let again = again.map(Timestamp::from_unix);
        let (manifest, version) = (digest(text), version(text));
        self.failed.push(FailedRelease { manifest, version, code, tries, others: 0, again });
        self
    }

    fn step(&self) -> Step<'_> {
        let (product, hardware) = ("thermostat".parse().unwrap(), self.hardware.parse().unwrap());
        let facts = Facts {
            product: &product,
            hardware: &hardware,
            channel: &"stable".parse().unwrap(),
            running: self.running.as_ref(),
            counter: self.counter,
            withdrawn: &self.withdrawn,
            failed: &self.failed,
            postponed_until: self.postponed_until,
            put_off: self.put_off.as_ref(),
            capacity: self.capacity,
            standing: Standing {
                drawn_as: &self.drawn_as,
                labels: &self.labels,
                signed_at: self.signed_at,
                remembered: &self.remembered,
                now: self.now,
            },
            at_once: self.at_once,
        };
        decide(&facts, &self.channel, &self.documents, &Ring, self.now)
    }

    fn says(&self) -> String {
        match self.step() {
            Step::Need(offered) => format!("needs {}", offered.version),
            Step::NeedStatus(offered) => format!("needs the status of {}", offered.version),
            Step::Made(decision) => decision.to_string(),
        }
    }
}

#[test]
fn the_newest_release_that_may_be_installed_is_taken() {
    assert_eq!(World::new().says(), "3.0.0 is to be installed");
}

#[test]
fn an_owner_puts_a_release_off_as_far_as_its_maker_lets_them() {
    let today = Timestamp::from_unix(1_793_491_200);
    let put_off = |days: Option<u16>, since: i64, until: i64| {
        let mut world = World::new().change("3.0.0", |release| release.postponable_days = days);
        world.now = today;
        world.postponed_until = Some(today.plus_days(until));
        world.put_off = Some(PutOff { version: version("3.0.0"), since: today.plus_days(since) });
        world
    };
    let held = |world: World| match world.step() {
        Step::Made(Decision::Held {
            told: PassedOver { reason: Reason::Held { until: Some(until), .. }, .. },
            ..
        }) => Some((until.unix() - today.unix()) / 86_400),
        _ => None,
    };
    assert_eq!(held(put_off(None, -100, 7)), Some(7), "without a limit the owner's word counts");
    assert_eq!(held(put_off(Some(14), -10, 7)), Some(4), "14 days since the first");
    assert_eq!(held(put_off(Some(14), -14, 7)), None, "and no more after them");
    assert_eq!(held(put_off(Some(0), 0, 7)), None);
    assert_eq!(held(put_off(Some(14), 1000, 20)), Some(14), "a start that a fast clock noted is no start");
    let mut other = put_off(Some(14), -100, 7);
    other.put_off.as_mut().unwrap().version = version("2.0.0");
    assert_eq!(held(other), Some(7), "another release has days of its own");
    // Whoever puts updates off does so within thirty days: a later time is a fast clock's.
    assert_eq!(held(put_off(None, 0, 30)), Some(30));
    assert_eq!(held(put_off(None, 0, 31)), None);
}

#[test]
fn what_runs_is_a_floor_before_the_counter_has_risen_to_it() {
    let mut world = World::new().change("3.0.0", |release| release.security_version = 4);
    world.counter = 0;
    let says = world.change("2.0.0", |release| release.security_version = 4).says();
    assert_eq!(says, "3.0.0 is refused: its security version is 4, and this device has confirmed 5 already");
}

#[test]
fn each_reason_passes_a_release_over_or_holds_it() {
    let w = World::new;
    let third = |reason: &str| format!("3.0.0 {reason}");
    let all = |mut world: World, change: fn(&mut Release)| {
        for text in ["2.0.0", "3.0.0"] {
            world = world.change(text, change);
        }
        world.says()
    };
    #[rustfmt::skip]
    let table = [
        (w().change("3.0.0", |r| r.minimum_version = Some(version("2.0.0"))).says(), "2.0.0 is to be installed".into()),
        (w().change("3.0.0", |r| r.security_version = 4).says(),      "2.0.0 is to be installed".into()),
        (w().change("3.0.0", |r| r.images.clear()).says(),            "2.0.0 is to be installed".into()),
        (w().change("3.0.0", |r| r.version = version("9.0.0")).says(), "2.0.0 is to be installed".into()),
        (w().fail("3.0.0", Some(FailureCode::Unhealthy), 3, None).says(), "2.0.0 is to be installed".into()),
        (w().fail("3.0.0", Some(FailureCode::Unhealthy), 1, Some(0)).says(), "3.0.0 is to be installed".into()),
        (w().fail("3.0.0", Some(FailureCode::Unhealthy), 1, Some(1 << 33)).says(), "3.0.0 is to be installed".into()),
        (all(w(), |r| r.minimum_version = Some(version("1.5"))),
            third("is refused: 1.5 or a later release has to be installed first")),
        (all(w(), |r| r.security_version = 4),
            third("is refused: its security version is 4, and this device has confirmed 5 already")),
        (all(w(), |r| r.images[0].length = 1001),
            third("is refused: its image has 1001 bytes, and 1000 fit into a slot")),
        (all(w(), |r| r.images[0].payloads[0].encoding = Encoding::Unknown("br".into())),
            third("is refused: it comes in no encoding that this agent knows")),
        (all(w(), |r| r.product = "kettle".parse().unwrap()),
            third("is refused: its manifest names another product or version")),
        (World { hardware: "revA", ..w() }.says(), third("is refused: it has no image for hardware revA")),
        (World { withdrawn: [digest("3.0.0"), digest("2.0.0")].into(), ..w() }.says(),
            third("is refused: its maker has withdrawn it")),
        (World { postponed_until: Some(Timestamp::from_unix(60)), ..w() }.says(),
            third("waits until 1970-01-01T00:01:00Z: the owner has put updates off")),
        (World { postponed_until: Some(NOW), ..w() }.says(), "3.0.0 is to be installed".into()),
        (w().fail("3.0.0", Some(FailureCode::Unhealthy), 1, Some(60)).fail("2.0.0", None, 0, None).says(),
            third("waits until 1970-01-01T00:01:00Z: it failed here before (code 501)")),
        (w().fail("3.0.0", Some(FailureCode::DidNotBoot), 3, None).fail("2.0.0", None, 0, None).says(),
            third("waits for the owner: it failed here 3 times (code 502)")),
        (w().fail("3.0.0", None, 0, None).fail("2.0.0", None, 0, None).says(),
            third("waits for the owner: the owner went back from it")),
    ];
    for (i, (said, expected)) in table.into_iter().enumerate() {
        assert_eq!(said, expected, "row {i}");
    }
}

#[test]
fn an_up_to_date_device_asks_for_no_manifest() {
    let mut world = World::new();
    world.running = world.running.map(|running| Content { version: version("3.0"), ..running });
    world.documents.manifests.clear();
    assert_eq!(world.says(), "up to date", "3.0 and 3.0.0 have the same rank");
    world.channel.releases.retain(|offered| offered.version == version("1.0.0"));
    assert_eq!(world.says(), "up to date", "a device never goes to a lower version by itself");
}

#[test]
fn manifests_are_asked_for_from_the_newest_on_and_withdrawn_ones_never() {
    let mut world = World::new();
    world.documents.manifests.clear();
    assert_eq!(world.says(), "needs 3.0.0");
    world.withdrawn.insert(digest("3.0.0"));
    assert_eq!(world.says(), "needs 2.0.0");
}

/// A maker ends a revision with the release before: what runs is the newest that is for it.
#[test]
fn what_is_for_other_hardware_leaves_a_device_up_to_date_and_hardware_that_nothing_is_for_is_refused() {
    let for_others = |release: &mut Release| release.images[0].hardware = vec!["revD".parse().unwrap()];
    let left_out = |release: &mut Release| {
        let hardware = Some(["revD".parse().unwrap()].into());
        release.rollout = Some(Plan { hardware, ..rollout(0, OnDeadline::Consent) });
    };
    let w = || World::new().change("2.0.0", for_others).change("3.0.0", for_others);
    let current = "up to date; 3.0.0 is passed over: it has no image for hardware revC";
    assert_eq!(w().says(), current);
    let Step::Made(decision) = w().step() else { panic!("it asks") };
    assert_eq!(decision.waits(), (None, crate::journal::Waits::Nothing, None));
    let refusal = Refusal::NoImage { hardware: "revC".parse().unwrap() };
    assert_eq!(decision.reason_for(&digest("2.0.0")), Some(&Reason::Refused(refusal)), "each is told");
    // What the device runs is looked at, too, and nothing that was withdrawn.
    let mut unread = w();
    unread.documents.manifests.remove(&digest("1.0.0"));
    assert_eq!(unread.says(), "needs 1.0.0");
    unread.withdrawn.insert(digest("1.0.0"));
    assert_eq!(unread.says(), "3.0.0 is refused: it has no image for hardware revC");
    // A name that no release of the channel has is a slip in the configuration.
    let nowhere = w().change("1.0.0", for_others);
    assert_eq!(nowhere.says(), "3.0.0 is refused: it has no image for hardware revC");
    let unknown = World { running: None, ..w().change("1.0.0", for_others) };
    assert_eq!(unknown.says(), "3.0.0 is refused: it has no image for hardware revC");
    // The plan alone leaves it out: there is an image, so its name is right.
    let planned = World::new().change("2.0.0", for_others).change("3.0.0", left_out);
    let said = "up to date; 3.0.0 is passed over: its rollout leaves hardware revC out";
    assert_eq!(planned.change("1.0.0", for_others).says(), said);
    // What is for it and may not be installed is told before what isn't.
    let behind = World::new().change("3.0.0", for_others);
    let behind = behind.change("2.0.0", |release| release.minimum_version = Some(version("1.5")));
    assert_eq!(behind.says(), "2.0.0 is refused: 1.5 or a later release has to be installed first");
}

#[test]
fn another_products_channel_is_refused() {
    let mut world = World::new();
    world.channel.product = "kettle".parse().unwrap();
    assert_eq!(world.says(), "the channel is refused: it is for another product or channel");
}

#[test]
fn a_manifest_that_requires_more_than_this_agent_knows_is_passed_over() {
    let mut world = World::new();
    let mut newest = release("3.0.0");
    newest.requires.push("teleport".into());
    world.documents.manifests.insert(digest("3.0.0"), Manifest::parse(&serde_json::to_vec(&newest).unwrap()));
    let Step::Made(Decision::Update { version, passed_over, .. }) = world.step() else {
        panic!("no update");
    };
    assert_eq!(version.as_str(), "2.0.0");
    let Reason::Refused(refusal) = &passed_over[0].reason else { panic!("held") };
    assert_eq!(refusal.code(), FailureCode::RequirementUnknown);
}

#[test]
fn a_device_that_does_not_know_what_it_runs_takes_releases_without_a_barrier() {
    let mut world = World::new().change("3.0.0", |r| r.minimum_version = Some(version("0.1")));
    world.running = None;
    assert_eq!(world.says(), "2.0.0 is to be installed");
}

#[test]
fn a_decision_reads_a_bounded_number_of_manifests() {
    let mut world = World::new();
    world.channel.releases.clear();
    for minor in 0..=MANIFESTS {
        let text = format!("4.{minor}");
        world.channel.releases.push(Offered { version: version(&text), manifest: digest(&text) });
        let mut release = release(&text);
        release.security_version = 1 + 4 * u32::from(minor == 0);
        world.documents.manifests.insert(digest(&text), Manifest::Read(Box::new(release)));
    }
    let said = world.says();
    assert!(said.starts_with("4.64 is refused: its security version is 1"), "{said}");
    world.channel.releases.pop();
    assert_eq!(world.says(), "4.0 is to be installed");
}

/// Open to everybody from that second on.
fn rollout(starts: i64, on_deadline: OnDeadline) -> Plan {
    let not_before = Timestamp::from_unix(starts);
    Plan {
        salt: Salt::new(vec![7; 16]).unwrap(),
        key: Key::ed25519(&[1; 32]),
        phases: vec![Phase { share: WHOLE, not_before, spread: Spread::AtOnce }],
        early: vec![],
        hardware: None,
        gate: Gate {
            ceiling_ppm: 20_000,
            alpha_ppm: 50_000,
            beta_ppm: 50_000,
            least_sample: 50,
            least_soak_seconds: 86_400,
        },
        max_hold_seconds: 86_400,
        on_deadline,
        catch_up_seconds: 0,
        status_max_age_seconds: 3600,
    }
}

fn running(manifest: Sha256Digest, now: Timestamp) -> RolloutStatus {
    RolloutStatus {
        common: Common::new(RolloutStatus::TYPE, 1, now.plus_seconds(3600), None),
        product: "thermostat".parse().unwrap(),
        manifest,
        key: "k".parse().unwrap(),
        issued: now,
        open: WHOLE,
        state: RolloutState::Running,
        stopped: vec![],
        since: now,
        reason: "".into(),
        stopped_reasons: BTreeMap::new(),
        audit: "".into(),
    }
}

proptest! {
    /// Whatever the server says, how long ago its turn came, whether the signers stand by it, the deadline opens by itself, or
    /// the owner wants it at once: what was withdrawn is taken by nobody, and what was not is taken in its place.
    #[test]
    fn a_withdrawn_release_never_opens(
        withdrawn in any::<bool>(), planned in prop::option::of(-86_400_i64..86_400), silence in any::<bool>(),
        told in any::<bool>(), now in 0..400 * 86_400_i64, signed_at in prop::option::of(0..400 * 86_400_i64),
        at_once in 0..3_usize, failed in any::<bool>(),
    ) {
        let (now, newest) = (Timestamp::from_unix(now), digest("3.0.0"));
        let on_deadline = if silence { OnDeadline::Silence } else { OnDeadline::Consent };
        let mut world = World::new().change("3.0.0", |release| {
            release.rollout = planned.map(|planned| rollout(planned, on_deadline));
        });
        if failed {
            world = world.fail("3.0.0", Some(FailureCode::Unhealthy), 1, Some(0));
        }
        world.documents.statuses.insert(newest, told.then(|| running(newest, now)));
        world.withdrawn.extend(withdrawn.then_some(newest));
        world.now = now;
        world.signed_at = signed_at.map(Timestamp::from_unix);
        world.at_once = [None, Some(AtOnce::Next), Some(AtOnce::Of(newest))][at_once];
        match world.step() {
            Step::Made(Decision::Update { manifest, .. }) if withdrawn => prop_assert_eq!(manifest, digest("2.0.0")),
            Step::Made(Decision::Update { manifest, .. }) if manifest == newest => {}
            // The same, had it not been withdrawn, is held back by its rollout only.
            step => prop_assert!(!withdrawn && planned.is_some() && at_once == 0, "{step:?}"),
        }
    }
}
