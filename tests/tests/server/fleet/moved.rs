//! Records that move from the embedded store to PostgreSQL and back, with devices that report in between.

use super::kit::queue;
use crate::server::kit::{Kit, Wire, eventually};
use perennial_server::server::Running;
use perennial_tests::simulator::day;
use serde_json::Value;

#[test]
#[ignore = "needs a database: tests/run postgres starts one"]
fn records_move_to_a_database_and_back() {
    let mut kit = Kit::new();
    kit.target("cam/a", "a");
    let bundle = kit.publish("first.bundle");
    kit.ingest(&bundle).ok();
    let url = std::env::var("PERENNIAL_POSTGRES_URL_FILE").expect("tests/run postgres sets it");
    let config = kit.path("server.toml");
    let text = format!(
        "state = {:?}\n[fleet]\nlab = true\nwithout_tls = [\"127.0.0.1:0\"]\n[store]\nurl_file = {url:?}\n",
        kit.state().to_str().unwrap()
    );
    std::fs::write(&config, &text).unwrap();
    let json = |kit: &Kit, args: &[&str]| -> Value {
        let args = args.iter().copied().chain(["--json", "--config", config.to_str().unwrap()]);
        serde_json::from_str(&kit.command(args.collect::<Vec<_>>()).ok()).unwrap()
    };
    let serve = |kit: &Kit| kit.serve(text.split_once('\n').unwrap().1);
    let report = |server: &Running, sequence: u64| {
        let body = queue(&"d-1".parse().unwrap(), &[sequence], day(1)).to_string();
        Wire::to(server.fleet_plain[0]).ask_with("POST", "/v1/reports", &[], body.as_bytes()).json()
    };
    let server = serve(&kit);
    assert_eq!(report(&server, 1)["acknowledged"], 1);
    server.stop();
    for (to, round) in [("postgres", 2), ("fjall", 3)] {
        let before = json(&kit, &["store", "check"]);
        let moved = json(&kit, &["store", "migrate", "--to", to]);
        assert_eq!((&moved["contents"], &moved["engine"]), (&before["contents"], &to.into()));
        // A folder is put aside; a database stays as it is, and that is said.
        let left = (to == "fjall").then_some(url.as_str());
        assert_eq!((moved["left_in"].as_str(), moved["aside"].is_null()), (left, left.is_some()));
        let checked = json(&kit, &["store", "check"]);
        assert_eq!(checked["wrong"], 0, "{checked}");
        // Everything goes on there: bundles, reports, and the audit's chain.
        kit.target(&format!("cam/{round}"), to);
        let bundle = kit.publish("next.bundle");
        let server = serve(&kit);
        json(&kit, &["ingest", bundle.to_str().unwrap()]);
        assert_eq!(report(&server, round)["acknowledged"], round);
        // The threads that look into the store by themselves do so in every engine.
        eventually("the devices are counted", || json(&kit, &["status"])["fleet"]["devices"]["lab"] == 1);
        server.stop();
        let status = json(&kit, &["status"]);
        assert_eq!(status["generation"], round);
    }
    let device = json(&kit, &["device", "show", "d-1"]);
    assert_eq!(device["reports"], 3, "{device}");
    let audit = json(&kit, &["audit", "list"]).to_string();
    assert_eq!(audit.matches("store.migrated").count(), 2, "{audit}");
    let (what, _) =
        kit.command(["store", "migrate", "--to", "postgres", "--config", config.to_str().unwrap()]).refused();
    assert!(what.contains("there are records in postgres already"), "{what}");
}
