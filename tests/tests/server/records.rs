//! The records as a whole, the tokens and the audit: what the commands print, with and without a running server.

use super::kit::{Kit, ask_admin as ask};
use serde_json::Value;

fn kit_with_bundle() -> Kit {
    let mut kit = Kit::new();
    kit.target("cam/a", "a");
    let bundle = kit.publish("first.bundle");
    kit.ingest(&bundle).ok();
    kit
}

fn json(kit: &Kit, args: &[&str]) -> Value {
    let state = kit.state();
    let args = args.iter().copied().chain(["--json", "--state", state.to_str().unwrap()]);
    serde_json::from_str(&kit.command(args.collect::<Vec<_>>()).ok()).unwrap()
}

#[test]
fn an_export_taken_while_the_server_runs_fills_another_server() {
    let kit = kit_with_bundle();
    let file = kit.path("records.export");
    let server = kit.serve("");
    let exported = json(&kit, &["store", "export", file.to_str().unwrap()]);
    server.stop();
    assert_eq!(json(&kit, &["store", "check"])["contents"], exported["contents"]);
    let (what, _) = kit
        .command(["store", "export", file.to_str().unwrap(), "--state", kit.state().to_str().unwrap()])
        .refused();
    assert!(what.ends_with("exists already"), "{what}");

    // A new server gets the records, and by copying, keys, root, tokens and blobs.
    let other = kit.path("other");
    let other = other.to_str().unwrap();
    kit.command(["init", "--state", other]).ok();
    let said = kit.command(["store", "import", file.to_str().unwrap(), "--state", other]).ok();
    assert!(said.contains("records are in the store (fjall)"), "{said}");
    // With another key of the votes one may look, and is told that no server starts with it.
    let status: Value =
        serde_json::from_str(&kit.command(["status", "--json", "--state", other]).ok()).unwrap();
    assert_eq!((&status["generation"], &status["alarms"][0]["code"]), (&1.into(), &"other_marks".into()));
    let alarm = status["alarms"][0].to_string();
    assert!(alarm.contains("isn't the key that the votes in this store are kept under"), "{alarm}");
    assert!(
        alarm.contains("copy keys/marks.key from a front end of this store, or from a backup"),
        "{alarm}"
    );
    assert!(
        kit.command(["rollout", "list", "--state", other]).ok().contains("No release with a rollout plan")
    );
    let (what, _) =
        kit.command(["rollout", "halt", "cam", "1.0.0", "--reason", "x", "--state", other]).refused();
    assert!(what.ends_with("isn't the key that the votes in this store are kept under"), "{what}");
    let marks = |state: &std::path::Path| state.join("keys/marks.key");
    std::fs::copy(marks(&kit.state()), marks(other.as_ref())).unwrap();
    let status: Value =
        serde_json::from_str(&kit.command(["status", "--json", "--state", other]).ok()).unwrap();
    assert_eq!((&status["generation"], &status["audit"]["sequence"]), (&1.into(), &2.into()));
    let (what, hint) = kit.command(["store", "import", file.to_str().unwrap(), "--state", other]).refused();
    assert!(
        what.contains("there are records in fjall already") && hint.contains("new state folder"),
        "{what}"
    );

    // A damaged one leaves nothing behind.
    let mut bytes = std::fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    let third = kit.path("third");
    let third = third.to_str().unwrap();
    kit.command(["init", "--state", third]).ok();
    let refused = || kit.command(["store", "import", file.to_str().unwrap(), "--state", third]).refused();
    assert!(refused().0.starts_with("the export is damaged"));
    assert!(kit.command(["status", "--state", third]).ok().contains("No bundle has been ingested yet"));
}

#[test]
fn records_move_to_another_engine_and_back_and_the_configuration_must_agree() {
    let mut kit = kit_with_bundle();
    let before = json(&kit, &["store", "check"]);
    let moved = json(&kit, &["store", "migrate", "--to", "sled"]);
    assert_eq!((&moved["contents"], &moved["engine"]), (&before["contents"], &"sled".into()));
    assert!(std::path::Path::new(moved["aside"].as_str().unwrap()).is_dir());
    let config = kit.path("server.toml");
    let text = format!("state = {:?}\n[store]\nengine = \"fjall\"\n", kit.state().to_str().unwrap());
    std::fs::write(&config, text).unwrap();
    let config = config.to_str().unwrap();
    let (what, hint) = kit.command(["status", "--config", config]).refused();
    assert!(what.contains("are in sled, and store.engine says fjall"), "{what}");
    assert!(hint.contains("store migrate --to fjall"), "{hint}");

    // Everything goes on there.
    kit.target("cam/b", "b");
    let bundle = kit.publish("second.bundle");
    let server = kit.serve("");
    kit.ingest(&bundle).ok();
    let (what, hint) = kit.command(["store", "migrate", "--to", "fjall", "--config", config]).refused();
    assert!(what.contains("in use") && hint.contains("stop the server"), "{what}");
    server.stop();
    kit.command(["store", "migrate", "--to", "fjall", "--config", config]).ok();
    let status: Value =
        serde_json::from_str(&kit.command(["status", "--json", "--config", config]).ok()).unwrap();
    assert_eq!(status["generation"], 2);
    let actions: Vec<String> = {
        let server = kit.serve("");
        let audit = ask(&server, "GET", "/api/v1/audit", Some(&kit.token()));
        let audit: Value = serde_json::from_str(audit.text()).unwrap();
        audit["entries"]
            .as_array()
            .unwrap()
            .iter()
            .map(|entry| entry["action"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(actions, ["bundle.ingested", "store.migrated", "bundle.ingested", "store.migrated"]);
    let (what, _) = kit.command(["store", "migrate", "--to", "fjall", "--config", config]).refused();
    assert!(what.contains("in fjall already"), "{what}");
}

#[test]
fn a_token_works_at_once_and_is_taken_back_at_once() {
    let kit = kit_with_bundle();
    let file = kit.path("ci.token");
    let state = kit.state();
    let state = state.to_str().unwrap();
    // Before the server runs, and while it does.
    let shown = json(&kit, &["token", "create", "--name", "early", "--role", "viewer"]);
    let early = shown["token"].as_str().unwrap().to_owned();
    let server = kit.serve("");
    let said = kit
        .command([
            "token",
            "create",
            "--name",
            "ci",
            "--role",
            "operator",
            "--days",
            "30",
            "--out",
            file.to_str().unwrap(),
            "--state",
            state,
        ])
        .ok();
    let ci = std::fs::read_to_string(&file).unwrap().trim().to_owned();
    assert!(!said.contains(&ci), "{said}");
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&file).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
    for token in [&early, &ci] {
        assert_eq!(ask(&server, "GET", "/api/v1/status", Some(token)).status, 200);
        assert_eq!(ask(&server, "GET", "/api/v1/tokens", Some(token)).status, 403);
    }
    let kept = std::fs::read_to_string(kit.state().join("tokens.json")).unwrap();
    assert!(!kept.contains(&ci) && !kept.contains(&early));
    let listed = json(&kit, &["token", "list"]);
    let names: Vec<&str> =
        listed.as_array().unwrap().iter().map(|token| token["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["admin", "early", "ci"]);

    let (what, hint) =
        kit.command(["token", "create", "--name", "ci", "--role", "viewer", "--state", state]).refused();
    assert_eq!((what.as_str(), hint.contains("revoke")), ("there is a token ci already", true));
    let (what, _) =
        kit.command(["token", "create", "--name", "c i", "--role", "viewer", "--state", state]).refused();
    assert_eq!(what, "`c i` can't be a token's name");
    kit.command(["token", "revoke", "ci", "--state", state]).ok();
    let refused = ask(&server, "GET", "/api/v1/status", Some(&ci));
    assert_eq!(refused.status, 401);
    // Its bearer is told what became of it; of others nothing is told.
    assert!(refused.text().contains("this token was revoked at 2026-"), "{}", refused.text());
    let unknown = ask(&server, "GET", "/api/v1/status", Some("guessed"));
    assert!(unknown.text().contains("no known token was given"), "{}", unknown.text());
    let kept = std::fs::read_to_string(kit.state().join("tokens.json")).unwrap();
    assert!(!kept.contains(&ci) && !json(&kit, &["token", "list"]).to_string().contains("revoked"), "{kept}");
    assert_eq!(ask(&server, "GET", "/api/v1/status", Some(&early)).status, 200);
    let (what, _) = kit.command(["token", "revoke", "ci", "--state", state]).refused();
    assert_eq!(what, "there is no token ci");
    // The clock takes the other one back.
    let short = json(&kit, &["token", "create", "--name", "short", "--role", "viewer", "--days", "1"]);
    let short = short["token"].as_str().unwrap();
    assert_eq!(ask(&server, "GET", "/api/v1/status", Some(short)).status, 200);
    kit.clock.set(perennial_tests::simulator::day(3));
    let refused = ask(&server, "GET", "/api/v1/status", Some(short));
    assert!(refused.text().contains("this token expired at 2026-"), "{}", refused.text());
    // Also after a restart.
    server.stop();
    let server = kit.serve("");
    assert!(ask(&server, "GET", "/api/v1/status", Some(&ci)).text().contains("was revoked at"));

    let audit = ask(&server, "GET", "/api/v1/audit", Some(&kit.token()));
    assert_eq!(audit.text().matches("token.created").count(), 3);
    assert_eq!(audit.text().matches("token.revoked").count(), 1);
    assert!(!audit.text().contains(&ci));
}

#[test]
fn the_audit_is_verified_against_heads_that_were_seen() {
    let kit = kit_with_bundle();
    let head = json(&kit, &["audit", "verify"]);
    let head = format!("{}:{}", head["sequence"], head["digest"].as_str().unwrap());
    kit.command([
        "token",
        "create",
        "--name",
        "a",
        "--role",
        "viewer",
        "--state",
        kit.state().to_str().unwrap(),
    ])
    .ok();
    let server = kit.serve("");
    for _ in 0..2 {
        let later = json(&kit, &["audit", "verify", "--head", &head]);
        assert_eq!(later["sequence"], 2);
        let forged = head.replace(|c: char| c.is_ascii_hexdigit() && c > '8', "8");
        let state = kit.state();
        let (what, hint) =
            kit.command(["audit", "verify", "--head", &forged, "--state", state.to_str().unwrap()]).refused();
        assert!(
            what.ends_with("the past was rewritten") && hint.contains("keep this state folder"),
            "{what}"
        );
    }
    server.stop();
}

#[test]
fn the_audit_is_listed_and_shown_with_and_without_a_server() {
    let kit = kit_with_bundle();
    let state = kit.state();
    let state = state.to_str().unwrap();
    kit.clock.set(perennial_tests::simulator::day(5));
    for name in ["a", "b"] {
        kit.command(["token", "create", "--name", name, "--role", "viewer", "--state", state]).ok();
    }
    let sequences = |args: &[&str]| -> Vec<u64> {
        let entries = json(&kit, &[&["audit", "list"], args].concat());
        entries.as_array().unwrap().iter().map(|entry| entry["sequence"].as_u64().unwrap()).collect()
    };
    for round in 0..2 {
        let server = (round == 1).then(|| kit.serve(""));
        assert_eq!(sequences(&[]), [1, 2, 3]);
        assert_eq!(sequences(&["--limit", "2"]), [2, 3]);
        assert_eq!(sequences(&["--before", "3", "--limit", "1"]), [2]);
        assert_eq!(sequences(&["--kind", "token"]), [2, 3]);
        assert_eq!(sequences(&["--kind", "bundle.ingested"]), [1]);
        assert_eq!(sequences(&["--actor", "server"]), [0; 0]);
        assert_eq!(sequences(&["--actor", "command"]), [1, 2, 3]);
        let first = json(&kit, &["audit", "show", "2"])["at"].as_str().unwrap().to_owned();
        assert_eq!(sequences(&["--since", &first]), [2, 3]);
        assert_eq!(sequences(&["--since", &first[..10]]), [2, 3]);
        let said = kit.command(["audit", "list", "--limit", "1", "--state", state]).ok();
        assert!(
            said.contains("--before 3") && said.contains("token.created") && said.contains("name=b"),
            "{said}"
        );
        let head = json(&kit, &["audit", "verify"])["digest"].as_str().unwrap().to_owned();
        let shown = kit.command(["audit", "show", "3", "--state", state]).ok();
        assert!(
            shown.contains(&format!("The head with it: 3:{head}")) && shown.contains("role    viewer"),
            "{shown}"
        );
        let (what, hint) = kit.command(["audit", "show", "9", "--state", state]).refused();
        assert_eq!((what.as_str(), hint.contains("audit list")), ("the audit has no entry 9", true));
        let (what, _) = kit.command(["audit", "list", "--since", "yesterday", "--state", state]).refused();
        assert!(what.contains("2026-11-22T20:00:00Z"), "{what}");
        drop(server);
    }
    let server = kit.serve("");
    let found = |asked: &str| {
        let found = ask(&server, "GET", &format!("/api/v1/audit?{asked}"), Some(&kit.token()));
        let found: Value = serde_json::from_str(found.text()).unwrap();
        (found["entries"].as_array().unwrap().len(), found["next"].as_u64())
    };
    assert_eq!(found("newest=true&limit=1"), (1, Some(3)));
    assert_eq!(found("newest=true&limit=1&before=2&action=token"), (0, None));
    assert_eq!(found("limit=1&action=token"), (1, Some(2)));
    for wrong in ["since=x", "newest=1", "before=9223372036854775808", "newest=true&before=x"] {
        let answer = ask(&server, "GET", &format!("/api/v1/audit?{wrong}"), Some(&kit.token()));
        assert_eq!(answer.status, 400, "{wrong}");
    }
}

#[test]
fn whoever_asks_too_often_waits() {
    let kit = kit_with_bundle();
    let server = kit.serve("[admin]\nrate = 1\n");
    let statuses: Vec<u16> =
        (0..12).map(|_| ask(&server, "GET", "/api/v1/status", Some(&kit.token())).status).collect();
    assert_eq!(statuses[..4], [200; 4]);
    assert!(statuses[4..].contains(&429), "{statuses:?}");
    let refused = loop {
        let answer = ask(&server, "GET", "/api/v1/status", Some("guess"));
        if answer.status == 429 {
            break answer;
        }
        assert_eq!(answer.status, 401);
    };
    assert_eq!(refused.header("retry-after"), "1");
    // Its owner goes in by another door.
    json(&kit, &["status"]);
}

#[test]
fn the_description_is_served_and_the_export_is_for_the_owner_alone() {
    let kit = kit_with_bundle();
    let server = kit.serve("");
    let answer = ask(&server, "GET", "/api/v1/openapi.json", None);
    let document: Value = serde_json::from_str(answer.text()).unwrap();
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
    assert!(document["paths"]["/api/v1/tokens/{name}"]["delete"].is_object());
    // Every path that is described is answered, and none without saying who asks.
    for (path, methods) in document["paths"].as_object().unwrap() {
        for method in methods.as_object().unwrap().keys() {
            let path = path.replace("{name}", "x").replace("{id}", "x");
            let status = ask(&server, &method.to_uppercase(), &path, None).status;
            let open = matches!(path.as_str(), "/healthz" | "/readyz" | "/metrics" | "/api/v1/openapi.json");
            let wanted: &[u16] = if open { &[200] } else { &[401, 403, 429] };
            assert!(wanted.contains(&status), "{method} {path}: {status}");
        }
    }
    let token = kit.token();
    assert_eq!(ask(&server, "GET", "/api/v1/store/export", Some(&token)).status, 403);
    assert_eq!(ask(&server, "GET", "/api/v1/nothing", Some(&token)).status, 404);
}
