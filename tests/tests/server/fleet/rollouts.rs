//! Rollouts over the server's sockets: what devices see, what people do, and what is left after a kill.

use std::process::{Child, Command, Stdio};

use perennial_device::fetch::BundleSource;
use perennial_device_core::crypto::Ring;
use perennial_device_core::port::Fetch as _;
use perennial_schemas::key_file::KeyFile;
use perennial_schemas::rollout::{Plan, RolloutState, RolloutStatus};
use perennial_schemas::tuf::Role as _;
use perennial_schemas::{Digest as _, Document, Signed, Timestamp};
use perennial_server::server::Running;
use perennial_server::state::State;
use perennial_server::store::{Batch, Space, Store as _};
use perennial_tests::simulator::day;
use serde_json::{Value, json};

use super::figures::figures_are_named_as_they_are;
use super::kit::{Fleet, Unit};
use crate::server::kit::{Kit, Wire, ask_admin, eventually, get};
use crate::server::product::{add_staged, channel, support};

const PATH: &str = "/rollouts/cam/1.0.0.json";

/// For everybody from `start` on, or for one half from then and all ten days later.
fn plan(kit: &Kit, start: Timestamp, first: u32) -> Value {
    let text = std::fs::read(kit.state().join("keys/rollout.pub.json")).unwrap();
    let key = KeyFile::parse(&text).unwrap().key;
    let mut phases = vec![json!({ "share": first, "not_before": start, "spread": "at-once" })];
    if first < 1_000_000 {
        phases.push(json!({ "share": 1_000_000, "not_before": start.plus_days(10), "spread": "at-once" }));
    }
    json!({
        "salt": "00".repeat(16), "key": key, "phases": phases,
        "gate": { "ceiling_ppm": 20_000, "alpha_ppm": 50_000, "beta_ppm": 50_000, "least_sample": 5, "least_soak_seconds": 60 },
        "max_hold_seconds": 1_209_600, "on_deadline": "consent", "catch_up_seconds": 3600, "status_max_age_seconds": 86_400,
    })
}

/// A release with that plan, taken in.
fn publish(kit: &mut Kit, plan: &Value) {
    kit.target("cam/support.json", support(&["2031-06-30"]));
    add_staged(kit, "1.0.0", plan);
    let bundle = kit.publish("staged.bundle");
    kit.ingest(&bundle).ok();
}

/// The status as a device would take it.
fn status(server: &Running, plan: &Value, manifest: &str, now: Timestamp) -> RolloutStatus {
    let answer = get(server.plain[0], PATH);
    assert_eq!(answer.status, 200, "{}", answer.text());
    verified(&answer.body, plan, manifest, now)
}

fn verified(text: &[u8], plan: &Value, manifest: &str, now: Timestamp) -> RolloutStatus {
    let plan: Plan = serde_json::from_value(plan.clone()).unwrap();
    let signed = Signed::<RolloutStatus>::parse(text).unwrap();
    let manifest = manifest.parse().unwrap();
    let status = RolloutStatus::verify(signed, &plan, &"cam".parse().unwrap(), &manifest, &Ring).unwrap();
    status.check_current(&plan, 0, now).unwrap();
    status.into_inner()
}

fn manifest(kit: &Kit) -> String {
    Ring.sha256(&kit.contents["cam/1.0.0.release.json"]).to_string()
}

/// A camera with a fleet certificate.
fn camera(fleet: &Fleet, server: &Running) -> Unit {
    let unit = fleet.made(|params| {
        for name in &mut params.subject_alt_names {
            let rcgen::SanType::URI(uri) = name else { continue };
            let text = uri
                .as_str()
                .replace("product/thermostat", "product/cam")
                .replace("hardware/revC", "hardware/a");
            *uri = text.as_str().try_into().unwrap();
        }
    });
    fleet.enrol(server, &unit).unwrap()
}

fn tell(fleet: &Fleet, server: &Running, unit: &Unit, sequence: u64, outcome: &str) {
    let mut queue = fleet.queue(&unit.device, &[sequence]);
    let report = &mut queue["reports"][0];
    report["product"] = "cam".into();
    report["hardware"] = "a".into();
    report["version"] = "1.0.0".into();
    report["manifest"] = manifest(&fleet.kit).into();
    report["outcome"] = outcome.into();
    if outcome == "rolled-back" {
        report["failure"] = 501.into();
    }
    let answer =
        fleet.connect(server, unit).ask_with("POST", "/v1/reports", &[], queue.to_string().as_bytes());
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.json().get("flagged"), None);
}

fn run(kit: &Kit, args: &[&str]) -> crate::server::kit::Ran {
    let state = kit.state();
    kit.command(args.iter().copied().chain(["--state", state.to_str().unwrap()]).collect::<Vec<_>>())
}

fn json_of(kit: &Kit, args: &[&str]) -> Value {
    serde_json::from_str(&run(kit, &[args, &["--json"]].concat()).ok()).unwrap()
}

#[test]
fn a_status_is_served_signed_cached_and_exported() {
    let mut kit = Kit::new();
    let plan = plan(&kit, day(2), 500_000);
    publish(&mut kit, &plan);
    assert!(
        run(&kit, &["rollout", "list"])
            .ok()
            .starts_with("cam 1.0.0  scheduled  open 0 % (plan 0 %), phase 1 of 2")
    );
    let server = kit.serve("");
    let first = status(&server, &plan, &manifest(&kit), day(1));
    assert_eq!((first.state, first.open), (RolloutState::Running, 500_000));
    let answer = get(server.plain[0], PATH);
    assert_eq!(answer.header("cache-control"), "public, max-age=30");
    assert_eq!(answer.header("content-type"), "application/json");
    let again = Wire::to(server.plain[0]).ask("GET", PATH, &[("If-None-Match", answer.header("etag"))]);
    assert_eq!((again.status, again.body.len()), (304, 0));
    assert_eq!(Wire::to(server.plain[0]).ask("HEAD", PATH, &[]).status, 200);
    for nothing in ["/rollouts/", "/rollouts/cam/1.0.1.json", "/rollouts/cam/1.0.0", "/rollouts/../admin"] {
        assert_eq!(get(server.plain[0], nothing).status, 404, "{nothing}");
    }
    assert_eq!(get(server.plain[0], "/rollouts/cam/1.0.1.json").header("cache-control"), "no-cache");
    // Its time comes: half of the status' life is over too.
    kit.clock.set(day(2));
    eventually("it runs", || json_of(&kit, &["rollout", "show", "cam", "1.0.0"])["state"] == "running");
    eventually("a later status", || get(server.plain[0], PATH).body != answer.body);
    assert_eq!(status(&server, &plan, &manifest(&kit), day(2)).issued, day(2));
    // What is exported is what is served, with a server and without.
    let served = get(server.plain[0], PATH).body;
    for (name, server) in [("one", Some(server)), ("two", None)] {
        let (to, file) = (kit.path(name), kit.path(&format!("{name}.site")));
        run(&kit, &["export-site", to.to_str().unwrap()]).ok();
        assert_eq!(std::fs::read(to.join("rollouts/cam/1.0.0.json")).unwrap(), served);
        run(&kit, &["export-site", file.to_str().unwrap()]).ok();
        let status = BundleSource::open(&file).unwrap().status(&PATH[1..], RolloutStatus::MAX_LENGTH);
        assert_eq!(status.unwrap().unwrap(), served);
        drop(server);
    }
    // What it says of the dates is what stands in it.
    let exported = json_of(&kit, &["export-site", kit.path("three").to_str().unwrap()]);
    assert_eq!(exported["rollouts_expire"], json!({ &PATH[1..]: day(3) }));
    assert_eq!(exported["rollouts_expired"], json!({}));
    // After a day without a server none of them counts any more: said, and left out.
    kit.clock.set(day(3));
    let said = run(&kit, &["export-site", kit.path("four").to_str().unwrap()]).ok();
    assert!(
        said.contains(&format!("Without {}, which expired at {}: devices", &PATH[1..], day(3))),
        "{said}"
    );
    let exported = json_of(&kit, &["export-site", kit.path("five.site").to_str().unwrap()]);
    assert_eq!(exported["rollouts_expired"], json!({ &PATH[1..]: day(3) }));
    assert!(!kit.path("four").join(&PATH[1..]).exists());
    kit.clock.set(day(2));
    // A server that takes such a file in passes over what another one said of rollouts.
    kit.ingest(&kit.path("two.site")).ok();
    // A withdrawal is halted at once.
    let gone =
        json!([{ "version": "1.0.0", "manifest": manifest(&kit), "reason": "it overheats", "at": day(2) }]);
    channel(&mut kit, &json!([]), &gone);
    let bundle = kit.publish("gone.bundle");
    kit.ingest(&bundle).ok();
    let server = kit.serve("");
    let last = status(&server, &plan, &manifest(&kit), day(2));
    assert_eq!((last.state, last.open), (RolloutState::Halted, 0));
    assert_eq!(last.reason, "its maker withdrew it: it overheats");
    assert_eq!(json_of(&kit, &["rollout", "show", "cam", "1.0.0"])["state"], "withdrawn");
    assert_eq!(json_of(&kit, &["store", "check"])["wrong"], 0);
}

#[test]
fn failing_devices_halt_a_release_and_people_see_why_and_what_to_do() {
    let mut fleet = Fleet::new();
    let plan = plan(&fleet.kit, day(1), 1_000_000);
    publish(&mut fleet.kit, &plan);
    let server = fleet.serve("", "");
    let kit = &fleet.kit;
    // With seven on which it runs, two failures are not enough, and three are: it is halted at the third, and not before.
    for _ in 0..7 {
        let good = camera(&fleet, &server);
        tell(&fleet, &server, &good, 1, "started");
        tell(&fleet, &server, &good, 2, "confirmed");
    }
    let shown = json_of(kit, &["rollout", "show", "cam", "1.0.0"]);
    assert_eq!((&shown["votes"]["a"]["confirmed"], &shown["open_ppm"]), (&json!(7), &json!(1_000_000)));
    let cameras: Vec<Unit> = (0..3).map(|_| camera(&fleet, &server)).collect();
    for unit in &cameras {
        tell(&fleet, &server, unit, 1, "rolled-back");
    }
    eventually("it is halted", || {
        status(&server, &plan, &manifest(kit), day(1)).state == RolloutState::Halted
    });
    let named = "On 3 devices of a it failed with 501 (it booted and was not healthy): ";
    let explained = || run(kit, &["rollout", "explain", "cam", "1.0.0"]).ok();
    eventually("they are named", || explained().contains(named));
    let said = explained();
    for words in [
        "cam 1.0.0 is halted since 2026-11-02T00:00:00Z: it failed on 3 of 10 devices, more than the ceiling allows.",
        "Devices: 7 confirmed, 0 failed, 3 rolled back, 0 began and have not told more (0 of them missing).",
        "from 2026-11-16T00:00:00Z (the first) to 2026-11-16T01:00:00Z (the last, after catching up)",
        named,
        "perennial-signer release affirm cam 1.0.0",
        "perennial-server rollout resume cam 1.0.0 --reason WORDS --set-aside-evidence.",
    ] {
        assert!(said.contains(words), "{words}\n{said}");
    }
    // The failures with whom to look at: in the command's JSON and in the admin plane's.
    let own: Vec<&str> = cameras.iter().map(|unit| unit.device.as_str()).collect();
    let failures = |shown: &Value| {
        let failures = &shown["failures"][0];
        let newest = failures["newest"].as_array().unwrap();
        let all_own = newest.iter().all(|it| own.contains(&it["device"].as_str().unwrap()));
        (
            failures["hardware"].clone(),
            failures["code"].clone(),
            failures["devices"].clone(),
            newest.len(),
            all_own,
        )
    };
    let wanted = (json!("a"), json!(501), json!(3), 3, true);
    eventually("they are named", || failures(&json_of(kit, &["rollout", "show", "cam", "1.0.0"])) == wanted);
    let answer = ask_admin(&server, "GET", "/api/v1/rollouts/cam/1.0.0", Some(&kit.token()));
    assert_eq!(failures(&serde_json::from_slice(&answer.body).unwrap()), wanted);
    let said = run(kit, &["rollout", "show", "cam", "1.0.0"]).ok();
    assert!(said.contains("To look at one: perennial-server device show "), "{said}");
    let held = run(kit, &["device", "show", own[0]]).ok();
    assert!(held.contains("rolled-back 1.0.0  501: It booted and was not healthy."), "{held}");
    let told = json_of(kit, &["status"]);
    assert_eq!(told["alarms"][0]["code"], "rollout_halted");
    assert!(run(kit, &["status"]).ok().contains("ALARM: the rollout of cam 1.0.0 is halted"));
    let why = run(kit, &["device", "explain", cameras[0].device.as_str()]).ok();
    assert!(why.contains("Rollout of 1.0.0: the rollout is halted; it is held until 2026-11-16"), "{why}");
    assert!(why.contains("1.0.0 failed (501: It booted and was not healthy) at "), "{why}");
    figures_are_named_as_they_are(&server);
    // Against the evidence only with the words that say so.
    let resume = ["rollout", "resume", "cam", "1.0.0", "--reason", "a bad batch of SD cards"];
    let (what, hint) = run(kit, &resume).refused();
    assert!(
        what.contains("the evidence speaks against it") && hint.contains("--set-aside-evidence"),
        "{what}"
    );
    let resumed = json_of(kit, &[&resume[..], &["--set-aside-evidence"]].concat());
    assert_eq!(
        (&resumed["state"], &resumed["set_aside"]["a"]["rolled_back"]),
        (&json!("running"), &json!(3))
    );
    assert_eq!(status(&server, &plan, &manifest(kit), day(1)).state, RolloutState::Running);
    let audit = ask_admin(&server, "GET", "/api/v1/audit", Some(&kit.token()));
    let audit: Value = serde_json::from_slice(&audit.body).unwrap();
    let audit = audit["entries"].as_array().unwrap();
    let of = |action: &str| audit.iter().find(|entry| entry["action"] == action).unwrap().clone();
    let halted = of("rollout.halted");
    assert_eq!(halted["actor"], "server");
    assert_eq!(halted["detail"]["counts"], "7 confirmed, 0 failed, 3 rolled back, 0 missing");
    assert!(halted["detail"]["bound"].as_str().unwrap().contains("halts"));
    let resumed = of("rollout.resumed");
    assert_eq!((&resumed["actor"], &resumed["detail"]["set_aside"]), (&json!("command"), &json!("yes")));
    assert!(run(kit, &["audit", "verify"]).ok().contains("entries"));
}

/// At three in the morning, over a store that nobody serves, in which a vote and a device can't be read; and then with the key
/// of another store's votes.
#[test]
fn without_a_server_a_rollout_is_shown_and_stopped_and_what_nobody_looked_at_is_unknown() {
    let mut fleet = Fleet::new();
    let plan = plan(&fleet.kit, day(1), 1_000_000);
    publish(&mut fleet.kit, &plan);
    let server = fleet.serve("", "");
    for _ in 0..3 {
        tell(&fleet, &server, &camera(&fleet, &server), 1, "started");
    }
    let bad = camera(&fleet, &server);
    tell(&fleet, &server, &bad, 1, "rolled-back");
    eventually("it runs", || json_of(&fleet.kit, &["rollout", "show", "cam", "1.0.0"])["state"] == "running");
    server.stop();
    let kit = &fleet.kit;
    let damage = |space: Space, key: &[u8]| {
        let held = State::at(kit.state()).hold().unwrap();
        held.store.commit(Batch::new().put(space, key, [9])).unwrap();
    };
    damage(Space::Devices, b"a-device");
    damage(
        Space::Marks,
        &[&manifest(kit).parse::<perennial_schemas::Sha256Digest>().unwrap().0[..], &[9; 16]].concat(),
    );
    let (list, show) = (["rollout", "list"], ["rollout", "show", "cam", "1.0.0"]);
    let named = format!("it failed with 501 (it booted and was not healthy): {} at ", bad.device);
    // Devices are looked at for whoever asks of one rollout.
    assert!(run(kit, &list).ok().contains("0 good, 1 bad, missing unknown"));
    assert_eq!(json_of(kit, &list)["rollouts"][0]["missing_unknown"], true);
    assert!(run(kit, &["status"]).ok().contains("0 good, 1 bad, missing unknown"));
    let shown = run(kit, &show);
    assert!(!shown.err.contains("notice"), "{}", shown.err);
    let said = shown.ok();
    assert!(
        said.contains("3 began and have not told more (0 of them missing)") && said.contains(&named),
        "{said}"
    );
    assert!(said.contains("a: 0 confirmed, 0 failed, 1 rolled back, 3 began, 0 missing"), "{said}");
    let unknown = "3 began and have not told more (how many of them are missing is unknown)";
    let halted = run(kit, &["rollout", "halt", "cam", "1.0.0", "--reason", "it smokes"]).ok();
    assert!(halted.starts_with("cam 1.0.0 is halted since") && halted.contains(unknown), "{halted}");
    assert!(halted.ends_with("devices see this once it runs again.\n"), "{halted}");
    let log = run(kit, &["audit", "list"]).ok();
    assert!(log.contains("0 confirmed, 0 failed, 1 rolled back, missing unknown"), "{log}");
    // Whose the votes are, another key doesn't tell.
    std::fs::write(kit.state().join("keys/marks.key"), [7; 32]).unwrap();
    let shown = run(kit, &show);
    let notice = "which devices fell silent, and on which a release failed, is unknown with it";
    assert!(shown.err.contains(notice), "{}", shown.err);
    let said = shown.ok();
    assert!(said.contains(unknown) && !said.contains(bad.device.as_str()), "{said}");
    assert!(said.contains("a: 0 confirmed, 0 failed, 1 rolled back, 3 began, missing unknown"), "{said}");
    let why = "On which devices it failed, and which fell silent, can't be looked up: ";
    assert!(
        said.contains(why) && said.contains("isn't the key that the votes in this store are kept under"),
        "{said}"
    );
    assert_eq!(json_of(kit, &show)["missing_unknown"], true);
    run(kit, &["rollout", "explain", "cam", "1.0.0"]).ok();
}

#[test]
fn a_device_that_runs_what_its_maker_withdrew_is_said_to_and_until_when() {
    let mut fleet = Fleet::new();
    let plan = plan(&fleet.kit, day(1), 1_000_000);
    publish(&mut fleet.kit, &plan);
    let server = fleet.serve("", "");
    let unit = camera(&fleet, &server);
    let said = json!({
        "format": "perennial.check-in/1", "requires": [], "at": day(1), "product": "cam", "hardware": "a", "channel": "stable",
        "version": "1.0.0", "manifest": manifest(&fleet.kit), "security_version": 1, "agent": "perennial-device 0.1.0",
        "attributes": {},
    });
    let said = said.to_string();
    let answer = fleet.connect(&server, &unit).ask_with("PUT", "/v1/devices/self", &[], said.as_bytes());
    assert_eq!(answer.status, 200, "{}", answer.text());
    let explain = |fleet: &Fleet| run(&fleet.kit, &["device", "explain", unit.device.as_str()]).ok();
    assert!(!explain(&fleet).contains("withdrew"), "{}", explain(&fleet));
    let gone = json!([
        { "version": "1.0.0", "manifest": manifest(&fleet.kit), "reason": "it overheats", "at": day(1) }
    ]);
    channel(&mut fleet.kit, &json!([]), &gone);
    let bundle = fleet.kit.publish("gone.bundle");
    fleet.kit.ingest(&bundle).ok();
    let said = explain(&fleet);
    let words = "it runs 1.0.0, which its maker withdrew (it overheats); it goes on with that until it has a newer release: its channel stable offers none yet, its signers must publish one";
    assert!(said.contains(words), "{said}");
}

#[test]
fn who_may_only_look_changes_no_rollout() {
    let mut kit = Kit::new();
    let plan = plan(&kit, day(1), 500_000);
    publish(&mut kit, &plan);
    let token = |role: &str| {
        json_of(&kit, &["token", "create", "--name", role, "--role", role])["token"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    let (viewer, operator) = (token("viewer"), token("operator"));
    let server = kit.serve("");
    let base = "/api/v1/rollouts/cam/1.0.0";
    for looking in ["/api/v1/rollouts", base, &format!("{base}/explain")] {
        assert_eq!(ask_admin(&server, "GET", looking, Some(&viewer)).status, 200, "{looking}");
        assert_eq!(ask_admin(&server, "GET", looking, None).status, 401, "{looking}");
        assert_eq!(get(server.plain[0], looking).status, 404, "{looking}");
    }
    let ask = |token: &str, word: &str, body: &str| {
        let field = format!("Bearer {token}");
        let mut wire = Wire::to(server.admin.unwrap());
        wire.ask_with("POST", &format!("{base}/{word}"), &[("Authorization", &field)], body.as_bytes())
    };
    let why = r#"{"why":"a look at it"}"#;
    for word in ["pause", "halt", "resume"] {
        assert_eq!(ask(&viewer, word, why).status, 403, "{word}");
        assert_eq!(ask(&operator, word, "{}").status, 400, "{word}");
        assert_eq!(ask(&operator, word, r#"{"why":""}"#).status, 422, "{word}");
    }
    // What a call doesn't know it doesn't pass over: that pause would be for all.
    for (word, more) in [
        ("pause", r#""hardware":"a""#),
        ("pause", r#""set_aside_evidence":true"#),
        ("halt", r#""set_aside_evidence":true"#),
    ] {
        let body = format!(r#"{{"why":"one",{more}}}"#);
        assert_eq!(ask(&operator, word, &body).status, 400, "{word} {body}");
        assert_eq!(ask(&operator, word, r#"{"why":"  "}"#).status, 422, "{word}");
    }
    assert_eq!(ask(&operator, "resume", why).status, 409, "it runs");
    let paused = ask(&operator, "pause", why);
    assert_eq!((paused.status, paused.json()["by"].clone()), (200, json!("token:operator")));
    let seen = status(&server, &plan, &manifest(&kit), day(1));
    assert_eq!((seen.state, seen.reason.as_str()), (RolloutState::Paused, "a look at it"));
    assert_eq!(ask(&operator, "halt", r#"{"why":"one","hardware":"z"}"#).status, 409);
    assert_eq!(ask(&operator, "halt", r#"{"why":"one","hardware":"a"}"#).json()["state"], "halted");
    let other = ask_admin(&server, "GET", "/api/v1/rollouts/cam/9.9.9", Some(&viewer));
    assert_eq!(other.status, 404);
}

const SERVER: &str = env!("CARGO_BIN_EXE_tested-server");

fn serve(config: &str) -> Child {
    let mut command = Command::new(SERVER);
    command.args(["serve", "--config", config]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

#[test]
fn a_server_that_is_killed_at_any_moment_keeps_what_it_told() {
    let mut kit = Kit::live();
    let plan = plan(&kit, (kit.clock.now())().plus_seconds(-60), 500_000);
    publish(&mut kit, &plan);
    let (config, socket) = (kit.path("server.toml"), kit.state().join("admin.sock"));
    let text = format!(
        "state = {:?}\n[serve]\nplain = [\"127.0.0.1:0\"]\ncores = 1\n[admin]\nlisten = \"\"\n",
        kit.state().to_str().unwrap()
    );
    std::fs::write(&config, text).unwrap();
    let mut sequence = 0;
    for round in 0..8_u64 {
        let mut running = serve(config.to_str().unwrap());
        eventually("the server is there", || std::os::unix::net::UnixStream::connect(&socket).is_ok());
        let words = if round % 2 == 0 { ("halt", "halted") } else { ("resume", "running") };
        let done = json_of(&kit, &["rollout", words.0, "cam", "1.0.0", "--reason", "a drill"]);
        assert_eq!(done["state"], words.1);
        std::thread::sleep(std::time::Duration::from_millis(round * 7));
        running.kill().unwrap();
        running.wait().unwrap();
        // What was answered is what is there, in the record and in the status that is shown next.
        let left = json_of(&kit, &["rollout", "show", "cam", "1.0.0"]);
        assert_eq!(left["state"], words.1, "round {round}");
        let server = kit.serve("");
        let seen = status(&server, &plan, &manifest(&kit), (kit.clock.now())());
        let halted = if round % 2 == 0 { RolloutState::Halted } else { RolloutState::Running };
        assert_eq!(seen.state, halted, "round {round}");
        assert!(seen.common.version >= sequence, "a status' number never falls");
        sequence = seen.common.version;
        server.stop();
    }
    run(&kit, &["audit", "verify"]).ok();
}
