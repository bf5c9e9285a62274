//! Releases with a rollout plan: proposed, shown to those who sign, refused where the plan is a slip.

use perennial_schemas::Document;
use perennial_schemas::crypto::Digest;
use perennial_schemas::release::Release;
use perennial_schemas::rollout::{RolloutState, RolloutStatus};
use perennial_schemas::{Sha256Digest, Timestamp};
use perennial_tests::simulator::{ROLLOUT_KEY, signed_status, status};

use super::{TEAM, propose, release, with_images};
use crate::agent::kit::Device;
use crate::signer::desk::{Desk, publish};
use crate::signer::transcripts::{golden, transcript};

/// A desk with images and `plan.toml`, the preset canary-week from 2026-12-01 on.
pub(crate) fn with_plan() -> Desk {
    let desk = with_images();
    let key = desk.path("rollout.pub.json");
    perennial_signer::keys::write_public(&key, "the server's rollout key", ROLLOUT_KEY.key()).unwrap();
    let plan = desk.path("plan.toml");
    desk.ok(&format!(
        "rollout new {} --preset canary-week --key rollout.pub.json --start 2026-12-01T06:00:00Z",
        plan.display()
    ));
    desk
}

/// A transcript in which what is drawn anew each time has no figures: the salt, and so every digest of the manifest.
fn told(desk: &Desk, commands: &[&str]) -> String {
    let text = transcript(desk, commands);
    let text = text.replace(desk.path("").to_str().unwrap().trim_end_matches('/'), "DESK");
    let words = text.split_inclusive(|letter: char| !letter.is_ascii_hexdigit());
    let masked = words.map(|word| {
        let digits = word.trim_end_matches(|letter: char| !letter.is_ascii_hexdigit());
        match digits.len() {
            64 => word.replace(digits, "SHA256"),
            6 if digits.bytes().any(|byte| byte.is_ascii_digit()) => word.replace(digits, "ID"),
            _ => word.to_owned(),
        }
    });
    masked.collect()
}

/// The manifest of a version, as it is published.
fn manifest(desk: &Desk, version: &str) -> Release {
    let files = std::fs::read_dir(desk.path("repo/targets/thermostat")).unwrap();
    let mut files = files.map(|file| file.unwrap().path());
    let end = format!(".{version}.release.json");
    let path = files.find(|path| path.to_str().unwrap().ends_with(&end)).unwrap();
    Release::parse(&std::fs::read(path).unwrap()).unwrap()
}

#[test]
fn a_plan_lies_before_everybody_who_signs_it() {
    let desk = with_plan();
    let propose = propose(&desk, "1.0.0", "v1.bin", "--rollout plan.toml");
    let text = told(&desk, &[&propose, "review"]);
    golden("release-rollout.txt", &with_id(&text, "release-thermostat-1.0.0-"));
}

/// `review` puts what `rollout simulate` would say beside the plan, by the same figures; `status` calls it a draft until it is
/// published.
#[test]
fn a_draft_is_tried_on_the_fleet_by_whoever_reviews_it() {
    let desk = with_plan();
    let refused = |desk: &Desk| desk.refused("review --devices 500");
    desk.ok(&propose(&desk, "0.9.0", "v1.bin", ""));
    assert!(refused(&desk).contains("brings no release with a rollout plan"), "{}", refused(&desk));
    assert!(!desk.ok("status").contains("Rollout of"));
    publish(&desk, &TEAM);
    desk.ok(&propose(&desk, "1.0.0", "v1.bin", "--rollout plan.toml"));
    let said = desk.ok("review --hardware revC=160000 --hardware revD=40000");
    let alone = desk.ok("rollout simulate plan.toml --hardware revC=160000 --hardware revD=40000");
    let forecast = format!("The rollout of thermostat 1.0.0, tried by simulation. {alone}");
    assert!(said.ends_with(&forecast), "{said}");
    assert!(
        said.contains("2026-12-01T06:00:00Z  to 1 % at once                  2,000  (revC 1,600, revD 400)"),
        "{said}"
    );
    let draft = "Rollout of thermostat 1.0.0: draft, to begin at 2026-12-01T06:00:00Z\n";
    assert!(desk.ok("status").contains(draft), "{}", desk.ok("status"));
    publish(&desk, &TEAM);
    assert!(!desk.ok("status").contains("Rollout of"));
}

#[test]
fn each_release_draws_its_own_order_of_devices() {
    let desk = with_plan();
    let mut salts = Vec::new();
    for version in ["1.0.0", "1.1.0"] {
        desk.ok(&propose(&desk, version, "v1.bin", "--rollout plan.toml"));
        publish(&desk, &TEAM);
        let release = manifest(&desk, version);
        assert_eq!(release.requires, ["rollout"]);
        salts.push(release.rollout.unwrap().salt);
    }
    assert_eq!(salts[0].as_bytes().len(), 32);
    assert_ne!(salts[0], salts[1]);
    let shown = desk.ok("inspect thermostat/1.1.0.release.json");
    assert!(shown.contains("2026-12-01T06:00:00Z  to 1 % at once"), "{shown}");
}

#[test]
fn a_plan_of_the_past_and_a_stranger_to_the_release_are_refused() {
    let desk = with_plan();
    let plan = std::fs::read_to_string(desk.path("plan.toml")).unwrap();
    desk.write("past.toml", &plan.replace("2026-12-01", "2026-11-01"));
    desk.write("stranger.toml", &plan.replacen("\n[[phase]]", "hardware = [\"revX\"]\n\n[[phase]]", 1));
    desk.write("begun.toml", &plan.replace("2026-12-01", "2026-11-20"));
    let refused = desk.refused(&propose(&desk, "1.0.0", "v1.bin", "--rollout past.toml"));
    assert!(refused.contains("every device would get the release at once"), "{refused}");
    let lint = desk.run("rollout lint past.toml");
    assert!(!lint.ok && lint.stdout.starts_with("error, over: its last phase began"), "{lint:?}");
    let refused = desk.refused(&propose(&desk, "1.0.0", "v1.bin", "--rollout stranger.toml"));
    assert!(refused.contains("names hardware revX, for which there is no image"), "{refused}");
    let said = desk.ok(&propose(&desk, "1.0.0", "v1.bin", "--rollout begun.toml"));
    assert!(said.contains("warning      past: its first phase began at 2026-11-20T06:00:00Z"), "{said}");
}

/// One phase whose time is past is all at once as well: it takes the same ugly words.
#[test]
fn a_plan_that_is_open_for_everybody_by_now_takes_the_ugly_words() {
    let desk = with_plan();
    let preset = "--preset all-at-once --everybody-at-once --key rollout.pub.json --start";
    desk.ok(&format!("rollout new {} {preset} 2026-11-01T06:00:00Z", desk.path("one.toml").display()));
    desk.ok(&format!("rollout new {} {preset} 2026-12-01T06:00:00Z", desk.path("later.toml").display()));
    let wide = std::fs::read_to_string(desk.path("plan.toml")).unwrap();
    desk.write(
        "wide.toml",
        &wide
            .replace("2026-12-01", "2026-11-20")
            .replacen("\"1 %\"", "\"100 %\"", 1)
            .replace("share = \"5 %\"", "share = \"100 %\"")
            .replace("share = \"25 %\"", "share = \"100 %\""),
    );
    for plan in ["one.toml", "wide.toml"] {
        let rollout = format!("--rollout {plan}");
        let refused = desk.run(&propose(&desk, "1.0.0", "v1.bin", &rollout));
        assert!(
            !refused.ok && refused.stderr.contains("every device would get the release at once"),
            "{refused:?}"
        );
        assert!(
            refused.stderr.contains("hint: set start to") && refused.stderr.contains("--everybody-at-once"),
            "{refused:?}"
        );
        assert!(!desk.run(&format!("rollout lint {plan}")).ok);
    }
    let said = desk.ok(&propose(&desk, "1.0.0", "v1.bin", "--rollout one.toml --everybody-at-once"));
    assert!(
        said.contains("warning      over: it opens for everybody at 2026-11-01T06:00:00Z, which is past"),
        "{said}"
    );
    desk.ok(&propose(&desk, "1.1.0", "v1.bin", "--rollout later.toml"));
}

/// 2.0.0 is published with a plan, in place of 1.0.0.
fn rolled_out() -> Desk {
    let desk = with_plan();
    release(&desk, "1.0.0", "v1.bin");
    desk.ok(&propose(&desk, "2.0.0", "v2.bin", "--rollout plan.toml"));
    publish(&desk, &TEAM);
    desk
}

fn now(desk: &Desk) -> Timestamp {
    Timestamp::from_unix(desk.now())
}

/// The digest of a version's manifest, from its file's name.
fn digest(desk: &Desk, version: &str) -> Sha256Digest {
    perennial_device_core::crypto::Ring
        .sha256(&perennial_schemas::signed::to_text(&manifest(desk, version)).unwrap())
}

#[test]
fn renewed_consent_says_what_it_is_to_whoever_gives_it() {
    let desk = rolled_out();
    desk.wait_days(15);
    let halted = RolloutStatus {
        state: RolloutState::Halted,
        since: now(&desk).plus_days(-3),
        reason: "7 of 212 devices failed, and the plan allows 2 %".into(),
        audit: format!("412:{}", Sha256Digest([7; 32])),
        open: 10_000,
        ..status(digest(&desk, "2.0.0"), now(&desk).plus_seconds(-600))
    };
    std::fs::write(desk.path("2.0.0.json"), signed_status(&halted, ROLLOUT_KEY)).unwrap();
    let one = RolloutStatus {
        state: RolloutState::Running,
        stopped: vec!["revC".parse().unwrap(), "revD".parse().unwrap()],
        stopped_reasons: [("revC".parse().unwrap(), "a bad batch of sensors".into())].into(),
        ..halted.clone()
    };
    std::fs::write(desk.path("one.json"), signed_status(&one, ROLLOUT_KEY)).unwrap();
    let other = RolloutStatus { manifest: Sha256Digest([1; 32]), ..halted.clone() };
    std::fs::write(desk.path("other.json"), signed_status(&other, ROLLOUT_KEY)).unwrap();
    let thief = perennial_tests::simulator::Signer(901);
    std::fs::write(desk.path("forged.json"), signed_status(&halted, thief)).unwrap();
    let commands = [
        "release affirm thermostat 2.0.0",
        "review --status 2.0.0.json",
        "review --status other.json",
        "review --status forged.json",
        "inspect 2.0.0.json",
    ];
    golden("release-affirm.txt", &with_id(&told(&desk, &commands), "affirm-thermostat-2.0.0-"));
    let said = desk.ok("review --status one.json");
    assert!(said.contains("Halted for hardware revC: a bad batch of sensors"), "{said}");
    assert!(said.contains("Halted for hardware revD."), "{said}");
    publish(&desk, &TEAM);
    // Whatever else this team signs is consent, too, and says so.
    desk.ok("channel create thermostat beta");
    let said = desk.ok("review");
    assert!(said.contains("Signing this is renewed consent to 2.0.0"), "{said}");
}

/// What of an id isn't masked, as it may be a word of letters alone.
fn with_id(text: &str, before: &str) -> String {
    let Some(id) = text.split(before).nth(1).and_then(|rest| rest.split_whitespace().next()) else {
        return text.to_owned();
    };
    text.replace(&format!("{before}{id}"), &format!("{before}ID"))
}

#[test]
fn consent_is_asked_for_where_a_device_may_be_held_and_nowhere_else() {
    let desk = rolled_out();
    let refused = |version: &str| desk.refused(&format!("release affirm thermostat {version}"));
    assert!(refused("1.0.0").contains("has no rollout plan"));
    assert!(refused("2.0.0").contains("begins at 2026-12-01T06:00:00Z: no device is held back yet"));
    assert!(refused("3.0.0").contains("thermostat has no release 3.0.0"));
    desk.wait_days(15);
    desk.ok("withdraw thermostat 2.0.0 --reason \"It overheats.\"");
    let said = desk.ok("review");
    assert!(!said.contains("renewed consent"), "whoever withdraws it consents to nothing: {said}");
    publish(&desk, &TEAM);
    assert!(refused("2.0.0").contains("was withdrawn"));
}

#[test]
fn a_device_that_was_held_as_long_as_it_may_be_goes_on_once_its_signers_say_so() {
    let desk = rolled_out();
    let root = std::fs::read(desk.path("repo/metadata/1.root.json")).unwrap();
    let mut device = Device::born_with(&root, desk.path("repo").to_str().unwrap());
    device.clock = now(&desk);
    device.run(&["update"]).ok();
    assert_eq!(device.running(), "1.0.0");
    // Its turn comes by the 8th of December; no server says anything. The 22nd is the last day of that.
    let wait = |days| {
        desk.wait_days(days);
        // The keys on call renew snapshot and timestamp for everybody: no consent.
        desk.ok("snapshot");
        publish(&desk, &["dora", "tess"]);
        now(&desk)
    };
    device.clock = wait(20);
    assert_eq!(device.run(&["update"]).code, 11);
    let why = device.run(&["why"]).ok();
    assert!(why.contains("the server doesn't say how far the rollout is open; it is held until"), "{why}");
    device.clock = wait(12);
    assert_eq!(device.run(&["update"]).code, 11);
    let why = device.run(&["why"]).ok();
    assert!(why.contains("it takes its signers to let it go on"), "{why}");
    desk.ok("release affirm thermostat 2.0.0");
    publish(&desk, &TEAM);
    // Whoever was held comes back in the two days of catch_up.
    device.clock = now(&desk).plus_seconds(60);
    assert_eq!(device.run(&["update"]).code, 11);
    let json: serde_json::Value = serde_json::from_str(&device.run(&["why", "--json"]).ok()).unwrap();
    assert_eq!(json["waits_for"], "turn");
    device.clock = now(&desk).plus_days(2).plus_seconds(60);
    device.run(&["update"]).ok();
    assert_eq!(device.running(), "2.0.0");
}

/// What people have read and signed was a release in stages.
#[test]
fn whoever_signs_a_release_whose_stages_went_by_is_told_and_publishing_it_takes_the_ugly_words() {
    let desk = with_plan();
    desk.ok(&propose(&desk, "1.0.0", "v1.bin", "--rollout plan.toml"));
    let said = desk.ok("sign --key erin.key");
    assert!(!said.contains("WARNING"), "{said}");
    desk.wait_days(20);
    let warning = "  ! WARNING: the rollout of 1.0.0 is over before it begins: its last phase began at ";
    for command in ["review", "sign --key frank.key"] {
        let said = desk.ok(command);
        assert!(
            said.contains(warning) && said.contains("every device would get the release at once"),
            "{said}"
        );
    }
    for person in ["dora", "tess"] {
        desk.ok(&format!("sign --key {person}.key"));
    }
    let refused = desk.refused("publish");
    assert!(refused.contains("the stages of 1.0.0 went by while it was signed"), "{refused}");
    assert!(refused.contains("publish it with --everybody-at-once"), "{refused}");
    desk.ok("publish --everybody-at-once");
    // Offered on another channel much later, it is told again.
    desk.ok("channel create thermostat beta");
    publish(&desk, &TEAM);
    desk.ok("channel offer thermostat 1.0.0 --channel beta");
    assert!(desk.ok("review").contains(warning));
    publish(&desk, &TEAM);
}

/// Words that were said when it was proposed needn't be said again.
#[test]
fn what_never_had_stages_is_published_without_more_words() {
    let desk = with_plan();
    let preset = "--preset all-at-once --everybody-at-once --key rollout.pub.json --start";
    desk.ok(&format!("rollout new {} {preset} 2026-12-01T06:00:00Z", desk.path("later.toml").display()));
    let past = std::fs::read_to_string(desk.path("plan.toml")).unwrap().replace("2026-12-01", "2026-11-01");
    desk.write("past.toml", &past);
    desk.ok(&propose(&desk, "1.0.0", "v1.bin", "--rollout past.toml --everybody-at-once"));
    assert!(desk.ok("review").contains("! WARNING: the rollout of 1.0.0 is over before it begins"));
    publish(&desk, &TEAM);
    desk.ok(&propose(&desk, "1.1.0", "v2.bin", "--rollout later.toml"));
    desk.wait_days(20);
    publish(&desk, &TEAM);
}

/// The file beside the right one, in a hurry: no server would open that rollout, and nobody would know before.
#[test]
fn a_plan_with_a_key_that_signs_something_else_is_refused_before_any_server_meets_it() {
    let desk = with_plan();
    let odd = desk.path("odd.toml");
    let new = |key: &str| format!("rollout new {} --preset canary-week --key {key}", odd.display());
    for (key, role) in [("tess.pub.json", "timestamp"), ("erin.pub.json", "thermostat")] {
        let refused = desk.refused(&new(key));
        assert!(refused.contains(&format!("the key of the plan signs {role} here")), "{refused}");
        assert!(refused.contains("STATE/keys/rollout.pub.json"), "{refused}");
        let plan = std::fs::read_to_string(desk.path("plan.toml")).unwrap();
        desk.write("odd.toml", &plan.replace("rollout.pub.json", key));
        assert!(desk.refused("rollout lint odd.toml").contains("it is no server's rollout key"));
        let refused = desk.refused(&propose(&desk, "1.0.0", "v1.bin", "--rollout odd.toml"));
        let what = format!("the plan of 1.0.0 names a key as its server's rollout key that signs {role}");
        assert!(refused.contains(&what), "{refused}");
        std::fs::remove_file(&odd).unwrap();
    }
    let refused = desk.refused(&new("erin.key"));
    assert!(refused.contains("erin.key is a private key, where its public half is needed"), "{refused}");
    let refused = desk.refused("rollout simulate plan.toml --devices 100 --label beta=3");
    assert!(refused.contains("no early group of the plan has the label beta"), "{refused}");
}

#[test]
fn what_is_likely_a_slip_about_a_release_is_told_when_it_is_proposed() {
    let desk = with_plan();
    let said = desk.ok(&propose(&desk, "1.0.0", "v1.bin", "--rollout plan.toml"));
    assert!(!said.contains("warning"), "a first release has none before it: {said}");
    publish(&desk, &TEAM);
    let said = desk.ok(&propose(&desk, "1.1.0", "v2.bin", ""));
    let what = "it has no rollout plan, as 1.0.0 had one: everybody gets it at once";
    assert!(said.contains(&format!("  warning      {what}\n")), "{said}");
    let review = desk.ok("review 1.1.0");
    assert!(review.contains(&format!("! WARNING: 1.1.0: {what}")), "{review}");
    let other = propose(&desk, "0.9.0", "v2.bin", "--rollout plan.toml").replace("revC=", "revX=");
    let said = desk.ok(&other);
    for what in [
        "1.0.0 is published already: a device that has it doesn't go back to 0.9.0",
        "no release before it has hardware revX",
        "hardware revC, for which 1.0.0 is, gets nothing from it",
    ] {
        assert!(said.contains(&format!("  warning      {what}\n")), "{what}: {said}");
    }
    assert!(!said.contains("rollout plan"), "{said}");
}
