//! What the server tells whoever looks after it: its status, and who tried what.

use super::kit::{Kit, ask_admin};
use super::product::{published, support};
use perennial_server::server::Running;
use perennial_tests::simulator::day;

fn status(kit: &Kit) -> serde_json::Value {
    let state = kit.state();
    let said = kit.command(["status", "--state", state.to_str().unwrap(), "--json"]).ok();
    serde_json::from_str(&said).unwrap()
}

fn status_text(kit: &Kit) -> String {
    kit.command(["status", "--state", kit.state().to_str().unwrap()]).ok()
}

fn metrics(server: &Running) -> String {
    ask_admin(server, "GET", "/metrics", None).text().to_owned()
}

#[test]
fn whoever_tries_a_shorter_promise_is_told_in_figures_audit_and_status() {
    let mut kit = published();
    let server = kit.serve("");
    kit.target("cam/support.json", support(&["2030-06-30"]));
    let shorter = kit.publish("shorter.bundle");
    kit.push(&server, &shorter).refused();
    let told = metrics(&server);
    assert!(told.contains("perennial_ingest_refused_total{reason=\"support_shorter\"} 1\n"), "{told}");
    let at = day(1).unix();
    let last = format!("perennial_ingest_last_refused_seconds{{reason=\"support_shorter\"}} {at}\n");
    assert!(told.contains(&last), "{told}");
    server.stop();

    // Whoever does it on the machine itself, while no server runs, is told as well.
    kit.ingest(&shorter).refused();
    let server = kit.serve("");
    let told = metrics(&server);
    assert!(told.contains("perennial_ingest_refused_total{reason=\"support_shorter\"} 2\n"), "{told}");
    let audit = ask_admin(&server, "GET", "/api/v1/audit", Some(&kit.token()));
    let audit: serde_json::Value = serde_json::from_slice(&audit.body).unwrap();
    let audit = &audit["entries"];
    for (entry, actor) in [(1, "token:admin"), (2, "command")] {
        assert_eq!(audit[entry]["action"], "bundle.refused");
        assert_eq!(
            (&audit[entry]["actor"], &audit[entry]["detail"]["reason"]),
            (&actor.into(), &"support_shorter".into())
        );
        assert!(audit[entry]["detail"]["error"].as_str().unwrap().contains("never earlier"));
    }
    let status = status(&kit);
    assert_eq!(status["alarms"][0]["code"], "refused");
    assert_eq!(status["refused"]["support_shorter"]["count"], 2);
    assert!(
        status_text(&kit).contains("ALARM: a bundle from command was refused at"),
        "{}",
        status_text(&kit)
    );
}

#[test]
fn a_key_below_the_threshold_that_tries_a_shorter_promise_is_told() {
    let mut kit = published();
    let thief = kit.repository.new_signer();
    kit.repository.signers.insert("cam".into(), vec![thief]);
    kit.target("cam/support.json", support(&["2030-06-30"]));
    let bundle = kit.publish("b");
    kit.ingest(&bundle).refused();
    assert_eq!(status(&kit)["last_refused"]["reason"], "signature");
    assert_eq!(status(&kit)["alarms"][1]["code"], "refused");
}

#[test]
fn the_status_of_a_server_says_what_is_served_and_what_must_be_done() {
    let kit = published();
    let server = kit.serve("");
    let text = status_text(&kit);
    assert!(text.starts_with("Running since 2026-11-02T00:00:00Z, ready.\n"), "{text}");
    assert!(text.contains("\nGeneration 1: snapshot 2, "), "{text}");
    assert!(text.contains("taken in at 2026-11-02T00:00:00Z from command.\n"), "{text}");
    assert!(text.contains("(1 day left, renewed by this server)"), "{text}");
    assert!(text.ends_with("Nothing has to be done.\n"), "{text}");
    let status_of_it = status(&kit);
    assert_eq!((&status_of_it["generation"], &status_of_it["ready"]), (&1.into(), &true.into()));
    assert_eq!(status_of_it["alarms"], serde_json::json!([]));
    server.stop();

    // Read from what it left, long after.
    kit.clock.set(day(85));
    let text = status_text(&kit);
    assert!(text.starts_with("The server isn't running.\n\nALARM: the server isn't running\n"), "{text}");
    assert!(text.contains("ALARM: timestamp expired at"), "{text}");
    let status = status(&kit);
    let codes: Vec<_> = status["alarms"].as_array().unwrap().iter().map(|alarm| &alarm["code"]).collect();
    assert!(codes[0] == "not_running" && codes[1..].iter().any(|code| *code == "expires_soon"), "{codes:?}");
}

#[test]
fn the_status_says_so_before_the_first_bundle() {
    let kit = Kit::new();
    assert!(status_text(&kit).contains("No bundle has been ingested yet."));
    let server = kit.serve("");
    assert!(status_text(&kit).starts_with("Running since 2026-11-02T00:00:00Z, NOT READY.\n"));
    server.stop();
}

#[test]
fn the_documented_alarms_look_at_figures_that_there_are() {
    let mut kit = published();
    let server = kit.serve("");
    kit.target("cam/support.json", support(&["2030-06-30"]));
    let shorter = kit.publish("shorter.bundle");
    kit.push(&server, &shorter).refused();
    let told = metrics(&server);
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    for document in ["docs/server.md", "examples/prometheus/perennial-server.rules.yml"] {
        let text = std::fs::read_to_string(root.join(document)).unwrap();
        let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let mut named = words.filter(|word| word.starts_with("perennial_")).peekable();
        assert!(named.peek().is_some(), "{document} names no figure");
        for word in named {
            assert!(told.contains(&format!("# TYPE {word} ")), "{document} names {word}, which isn't shown");
        }
        for reason in ["support_shorter", "availability", "signature"] {
            assert!(text.contains(reason) && told.contains(&format!("{{reason=\"{reason}\"}}")), "{reason}");
        }
    }
    let text = std::fs::read_to_string(root.join("docs/server.md")).unwrap();
    for (_, word) in perennial_server::ingest::Reason::ALL {
        assert!(text.contains(&format!("`{word}`")), "docs/server.md doesn't tell what {word} means");
    }
}
