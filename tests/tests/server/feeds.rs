//! What the server tells other programs of a product, over the wire: all of it from one record, changed by one bundle.

use std::net::SocketAddr;

use perennial_device_core::crypto::Ring;
use perennial_device_core::trust::{FetchError, MetadataSource, Request};
use perennial_schemas::Document;
use perennial_schemas::crypto::Digest;
use perennial_schemas::support::{Summary, Support};
use perennial_tests::simulator::{Device, day};

use super::kit::{Kit, Wire, get};
use super::product::{published, support, support_after};

/// Every address that says until when.
const EVERYWHERE: &[&str] = &[
    "/support/cam",
    "/support/cam/summary.json",
    "/support/cam/record.json",
    "/support/cam/openeox.json",
    "/support/cam/endoflife.json",
    "/support/cam/calendar.ics",
    "/support/cam/feed.atom",
    "/support/cam/label.svg",
    "/support/products.csv",
    "/support/products.json",
    "/support/feed.atom",
];

/// A configuration with a public address, which labels and network profiles name.
const PUBLIC: &str = "[serve]\npublic = \"https://updates.maker.example\"\n";

/// A server's metadata, as a device fetches it.
struct Net(SocketAddr);

impl MetadataSource for Net {
    fn fetch(&mut self, request: &Request) -> Result<Option<Vec<u8>>, FetchError> {
        let answer = get(self.0, &format!("/metadata/{}", request.path));
        Ok((answer.status == 200).then_some(answer.body))
    }
}

/// What each address says now: its tag and its text.
fn all(server: SocketAddr) -> Vec<(String, String)> {
    let ask = |path: &&str| {
        let answer = get(server, path);
        assert_eq!(answer.status, 200, "{path}");
        assert_eq!(answer.header("cache-control"), "public, max-age=60", "{path}");
        (answer.header("etag").to_owned(), answer.text().to_owned())
    };
    EVERYWHERE.iter().map(ask).collect()
}

/// Whether a text gives this date, in figures or in words.
fn says(text: &str, figures: &str, words: &str) -> bool {
    text.contains(figures) || text.contains(&figures.replace('-', "")) || text.contains(words)
}

/// The record that a device finds and trusts.
fn on_a_device(device: &mut Device, server: SocketAddr) -> Support {
    let found = device.find(&mut Net(server), "cam/support.json").unwrap().unwrap();
    let sha256 = &found.hashes["sha256"];
    let target = get(server, &format!("/targets/cam/{sha256}.support.json"));
    assert_eq!(Ring.sha256(&target.body).to_string(), *sha256);
    Support::parse(&target.body).unwrap()
}

#[test]
fn an_extension_reaches_page_feeds_label_and_device_with_one_bundle() {
    let mut kit = published();
    let server = kit.serve(PUBLIC);
    let address = server.plain[0];
    let mut device = Device::born_with(kit.repository.first_root());
    let before = all(address);
    for (path, (_, text)) in EVERYWHERE.iter().zip(&before) {
        assert!(says(text, "2031-06-30", "30 June 2031"), "{path}: {text}");
        assert!(!says(text, "2033-06-30", "30 June 2033"), "{path}");
    }
    assert_eq!(on_a_device(&mut device, address).guaranteed_until().to_string(), "2031-06-30");

    let first = support(&["2031-06-30"]);
    kit.target("cam/support.json", support_after(&first, &["2031-06-30", "2033-06-30"]));
    let bundle = kit.publish("extended.bundle");
    kit.ingest(&bundle).ok();

    for ((path, (tag, _)), (after, text)) in EVERYWHERE.iter().zip(&before).zip(all(address)) {
        assert!(says(&text, "2033-06-30", "30 June 2033"), "{path}: {text}");
        assert_ne!(*tag, after, "{path} has another tag, so that no cache keeps the old");
    }
    let record = on_a_device(&mut device, address);
    assert_eq!(record.guaranteed_until().to_string(), "2033-06-30");
    let summary = Summary::parse(&get(address, "/support/cam/summary.json").body).unwrap();
    let bytes = get(address, "/support/cam/record.json").body;
    assert_eq!((summary.record.sequence, summary.record.sha256), (2, Ring.sha256(&bytes)));
    assert_eq!(summary.support, record);
    let calendar = get(address, "/support/cam/calendar.ics");
    assert!(calendar.text().contains("\r\nSEQUENCE:1\r\n"), "{}", calendar.text());
}

#[test]
fn a_feed_that_did_not_change_is_not_sent_again() {
    let kit = published();
    let server = kit.serve(PUBLIC);
    let mut wire = Wire::to(server.plain[0]);
    let others = ["/support/cam/mud.json", "/.well-known/security.txt", "/support/audit.json"];
    for path in EVERYWHERE.iter().chain(&others) {
        let tag = wire.ask("GET", path, &[]).header("etag").to_owned();
        let again = wire.ask("GET", path, &[("If-None-Match", &tag)]);
        assert_eq!((again.status, again.body.len()), (304, 0), "{path}");
    }
    drop(server);
    // A network profile needs a public address to name itself by.
    let server = kit.serve("");
    assert_eq!(get(server.plain[0], "/support/cam/mud.json").status, 404);
}

/// The product's own role is signed until day 90, the snapshot until day 30: then no reader can verify the record.
#[test]
fn a_record_is_confirmed_no_longer_when_a_role_above_it_has_run_out() {
    let mut kit = published();
    let server = kit.serve("");
    let address = server.plain[0];
    let states = |kit: &Kit, at: i64| {
        kit.clock.set(day(at));
        let summary = Summary::parse(&get(address, "/support/cam/summary.json").body).unwrap();
        let page = get(address, "/support/cam").text().contains("No longer confirmed");
        let audit: serde_json::Value =
            serde_json::from_slice(&get(address, "/support/audit.json").body).unwrap();
        (summary.record.lapsed, page, audit["lapsed"][0]["signed_until"].as_str().map(str::to_owned))
    };
    assert_eq!(states(&kit, 29), (false, false, None));
    assert_eq!(states(&kit, 31), (true, true, Some(day(30).to_string())));
    kit.repository.snapshot.common.expires = day(60);
    let bundle = kit.publish("renewed.bundle");
    kit.ingest(&bundle).ok();
    assert_eq!(states(&kit, 32), (false, false, None), "its signers stand by it again");
    assert_eq!(states(&kit, 61), (true, true, Some(day(60).to_string())));
}

#[test]
fn shops_ask_for_what_changed_and_a_mistyped_day_is_refused() {
    let kit = published();
    let server = kit.serve("");
    let rows =
        |query: &str| get(server.plain[0], &format!("/support/products.csv{query}")).text().lines().count();
    assert_eq!((rows(""), rows("?changed-since=2026-11-01"), rows("?changed-since=2026-11-02")), (2, 2, 1));
    let refused = get(server.plain[0], "/support/products.json?changed-since=yesterday");
    assert_eq!((refused.status, refused.text()), (400, "changed-since is a day, such as 2026-11-22\n"));
    // Signatures run out, the snapshot's first, so it reads otherwise from then on, although nobody wrote anything.
    let ends = kit.repository.snapshot.common.expires;
    kit.clock.set(ends.plus_days(2));
    let since = |days: i64| rows(&format!("?changed-since={}", ends.plus_days(days).date()));
    assert_eq!((since(-1), since(1)), (2, 1));
}

#[test]
fn security_txt_lasts_as_long_as_the_records_and_runs_out_loudly() {
    let kit = published();
    let server = kit.serve(PUBLIC);
    let ends = kit.repository.roles["cam"].common.expires;
    let file = get(server.plain[0], "/.well-known/security.txt");
    assert_eq!(file.header("content-type"), "text/plain; charset=utf-8");
    let fields: Vec<_> = file
        .text()
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once(": "))
        .collect();
    let expires = ends.to_string();
    assert_eq!(
        fields,
        [
            ("Contact", "mailto:security@example.com"),
            ("Expires", expires.as_str()),
            ("Canonical", "https://updates.maker.example/.well-known/security.txt"),
        ]
    );
    let state = kit.state();
    kit.clock.set(ends.plus_days(-13));
    let said = kit.command(["status", "--state", state.to_str().unwrap()]).ok();
    assert!(said.contains(&format!("ALARM: security.txt expires at {expires}")), "{said}");
}

#[test]
fn check_config_warns_of_a_security_txt_that_readers_could_not_use() {
    let bare = Kit::new();
    let warnings = |kit: &Kit, public: &str| {
        let config = kit.path("server.toml");
        let state = format!("state = {:?}\n", kit.state().to_str().unwrap());
        std::fs::write(&config, format!("{state}[serve]\npublic = {public:?}\n")).unwrap();
        let config = config.to_str().unwrap();
        let said = kit.command(["check-config", "--config", config]).ok();
        assert!(said.ends_with("server.toml is in order.\n"), "{said}");
        let json = kit.command(["check-config", "--config", config, "--json"]).ok();
        let json: serde_json::Value = serde_json::from_str(&json).unwrap();
        let warnings = json["warnings"].as_array().unwrap().iter();
        let warnings: Vec<String> =
            warnings.map(|warning| warning["what"].as_str().unwrap().to_owned()).collect();
        for warning in &warnings {
            assert!(said.contains(&format!("Warning: {warning}\n")), "{said}");
        }
        warnings.join("; ")
    };
    let https = "https://updates.maker.example";
    assert!(warnings(&bare, https).contains("nobody is named as a contact"), "{}", warnings(&bare, https));
    let kit = published();
    assert_eq!(warnings(&kit, https), "");
    assert!(warnings(&kit, "").contains("2.5.2"));
    assert!(warnings(&kit, "http://updates.maker.example").contains("over https only"));
    let ends = kit.repository.roles["cam"].common.expires;
    for (day, what) in [(-13, "expires at"), (1, "expired at")] {
        kit.clock.set(ends.plus_days(day));
        assert_eq!(warnings(&kit, https).split(&format!("security.txt {what} {ends}")).count(), 2, "{day}");
    }
    kit.clock.set(day(1));
    let _running = kit.serve("");
    assert_eq!(warnings(&kit, https), "", "the running server tells what it serves");
}

#[test]
fn an_audit_reads_the_same_from_a_running_server_and_from_its_state() {
    let kit = published();
    let state = kit.state();
    let audit = |json: &[&str]| {
        let args = ["support", "audit", "--state", state.to_str().unwrap()];
        kit.command(args.iter().chain(json)).ok()
    };
    let said = audit(&[]);
    assert!(said.starts_with("1 products, 1 on sale, as of 2 November 2026 (generation 1).\n"), "{said}");
    assert!(
        said.contains("Records that lack something: 1\n  cam  statement, maker, model, gtin\n"),
        "{said}"
    );
    let server = kit.serve("");
    assert_eq!(audit(&[]), said);
    let json: serde_json::Value = serde_json::from_str(&audit(&["--json"])).unwrap();
    let served: serde_json::Value =
        serde_json::from_slice(&get(server.plain[0], "/support/audit.json").body).unwrap();
    assert_eq!(json, served);
    assert_eq!(kit.clock.now()(), day(1));
    let (_, hint) = kit.command(["support", "audit", "--state", "/nonexistent"]).refused();
    assert!(hint.starts_with("make it first"), "{hint}");
}
