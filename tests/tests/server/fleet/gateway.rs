//! What gateways carry: each queue by itself, however late, however often, and never more than there is room for.

use super::kit::{Fleet, Tls, Unit, batch, signed};
use perennial_tests::simulator::day;
use serde_json::{Value, json};

/// One word for each answer of a batch.
fn said(answer: &Value) -> Vec<String> {
    let one = |one: &Value| {
        one["code"].as_str().map_or_else(|| format!("up to {}", one["acknowledged"]), str::to_owned)
    };
    answer["answers"].as_array().unwrap_or_else(|| panic!("{answer}")).iter().map(one).collect()
}

fn hand_in(wire: &mut Tls, queues: &[Value]) -> Vec<String> {
    said(&wire.ask_with("POST", "/v1/reports/batch", &[], &batch(queues)).json())
}

/// A large body is announced, and nothing of it sent.
fn announce(
    fleet: &Fleet,
    server: &perennial_server::server::Running,
    unit: &Unit,
    path: &str,
    length: u64,
) -> Tls {
    let mut wire = fleet.connect(server, unit);
    wire.send(&format!("POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n"));
    std::io::Write::flush(&mut wire.0).unwrap();
    wire
}

#[test]
fn a_gateways_batch_counts_by_its_devices_signatures() {
    let fleet = Fleet::new();
    let server = fleet.serve("", "");
    let (gateway, one, two) = (fleet.enrolled(&server), fleet.enrolled(&server), fleet.enrolled(&server));
    let text = |unit: &Unit, sequence| fleet.queue(&unit.device, &[sequence]).to_string();
    let mut forged = signed(&one, &text(&one, 5));
    forged["reports"] = text(&one, 6).into();
    let bare = json!({ "reports": text(&two, 9) });
    let borrowed = signed(&two, &text(&one, 7));
    let stranger = signed(&fleet.factory(), &text(&one, 8));
    let queues =
        [forged, bare, borrowed, stranger, signed(&one, &text(&one, 1)), signed(&two, &text(&two, 1))];
    let mut wire = fleet.connect(&server, &gateway);
    let answer = wire.ask_with("POST", "/v1/reports/batch", &[], &batch(&queues)).json();
    let said = said(&answer);
    let expected = ["not-signed", "not-signed", "other-device", "other-device", "up to 1", "up to 1"];
    assert_eq!(said, expected, "{answer}");
    // Nothing of what was refused was kept.
    let held = fleet.connect(&server, &one).ask_with("GET", "/v1/devices/self", &[], b"").json();
    assert_eq!((held["reports"].as_u64(), held["last_sequence"].as_u64()), (Some(1), Some(1)));
}

#[test]
fn a_gateway_that_brings_old_queues_again_after_a_renewal_harms_nobody() {
    let fleet = Fleet::new();
    let server = fleet.serve("", "");
    let (gateway, unit) = (fleet.enrolled(&server), fleet.enrolled(&server));
    let old = signed(&unit, &fleet.queue(&unit.device, &[1]).to_string());
    let mut wire = fleet.connect(&server, &gateway);
    assert_eq!(hand_in(&mut wire, std::slice::from_ref(&old)), ["up to 1"]);
    let renewed = fleet.enrol(&server, &unit).unwrap();
    assert_eq!(fleet.report(&server, &renewed, &[2]).status, 200);
    fleet.kit.clock.set(day(3));
    assert_eq!(hand_in(&mut wire, &[old]), ["certificate-superseded"]);
    fleet.kit.clock.set(day(1));
    let held = fleet.connect(&server, &renewed).ask_with("GET", "/v1/devices/self", &[], b"").json();
    assert_eq!((held["standing"].as_str(), &held["flags"]), (Some("enrolled"), &json!({})), "{held}");
    assert!(held["last_seen"].as_str().unwrap() < day(2).to_string().as_str(), "{held}");
    // The same certificate from its own connection is a copy's.
    assert_eq!(fleet.report(&server, &unit, &[3]).code(), (403, "certificate-superseded".into()));
    let held = fleet.connect(&server, &renewed).ask_with("GET", "/v1/devices/self", &[], b"").json();
    assert_eq!(held["standing"], "quarantined", "{held}");
}

#[test]
fn a_batch_holds_each_device_once_and_within_its_rate() {
    let fleet = Fleet::new();
    let config = fleet.toml("", "").replace("rate = 1000\nburst = 1000\n", "rate = 1\nburst = 5\n");
    let server = fleet.kit.serve(&config);
    let (gateway, one, two) = (fleet.enrolled(&server), fleet.enrolled(&server), fleet.enrolled(&server));
    let queue = |unit: &Unit, sequence| signed(unit, &fleet.queue(&unit.device, &[sequence]).to_string());
    let others: Vec<Unit> = (0..3).map(|_| fleet.enrolled(&server)).collect();
    let mut wire = fleet.connect(&server, &gateway);
    let answers = hand_in(&mut wire, &[queue(&one, 1), queue(&one, 2), queue(&two, 1)]);
    assert_eq!(answers, ["up to 1", "unacceptable", "up to 1"]);
    // Five at once are allowed, whoever brings them.
    let mut turns: Vec<String> = Vec::new();
    for gateway in &others {
        let mut wire = fleet.connect(&server, gateway);
        for sequence in [10, 11] {
            turns.extend(hand_in(&mut wire, &[queue(&one, sequence + turns.len() as u64)]));
        }
    }
    assert!(turns[..4].iter().all(|turn| turn.starts_with("up to")), "{turns:?}");
    assert!(turns.contains(&"rate".to_owned()), "{turns:?}");
    // What gateways use up isn't the device's own.
    assert_eq!(fleet.report(&server, &one, &[20]).json()["acknowledged"], 20);
}

#[test]
fn a_queue_that_breaks_a_rule_is_refused_in_its_place_and_the_others_count() {
    let fleet = Fleet::new();
    let server = fleet.serve("", "");
    let (gateway, one) = (fleet.enrolled(&server), fleet.enrolled(&server));
    let good = signed(&one, &fleet.queue(&one.device, &[1]).to_string());
    let bent = |name: &str, value: Value| {
        let mut queue = good.clone();
        queue[name] = value;
        queue
    };
    let long = vec!["AAAA"; 5];
    let queues = [
        bent("signature", "no base64".into()),
        bent("chain", json!(long)),
        bent("reports", 7.into()),
        json!("not even an object"),
        bent("reports", "x".repeat(512 * 1024 + 1).into()),
        good.clone(),
    ];
    let mut wire = fleet.connect(&server, &gateway);
    let refused = "unacceptable";
    assert_eq!(hand_in(&mut wire, &queues), [refused, refused, refused, refused, refused, "up to 1"]);
    // A batch that is none is refused whole.
    let answer = wire.ask_with("POST", "/v1/reports/batch", &[], &batch(&[]));
    assert_eq!(answer.code(), (422, "unacceptable".into()));
}

#[test]
fn large_bodies_are_refused_unread_where_there_is_no_right_or_no_room() {
    const BATCH: u64 = 8 << 20;
    let fleet = Fleet::new();
    let server = fleet.serve("", "");
    // Nobody is let in for a body that nobody may send.
    let factory = fleet.factory();
    for (path, length) in [("/v1/reports/batch", BATCH), ("/v1/reports", 500 << 10)] {
        let refused = announce(&fleet, &server, &factory, path, length).read(false);
        assert_eq!(refused.code(), (403, "not-enrolled".into()), "{path}");
    }
    let units: Vec<Unit> = (0..9).map(|_| fleet.enrolled(&server)).collect();
    let refused = announce(&fleet, &server, &units[0], "/v1/reports/batch", BATCH + 1).read(false);
    assert_eq!(refused.code(), (413, "too-large".into()));
    // Eight of the largest fill the room, each by one device.
    let mut waiting: Vec<Tls> =
        units[..8].iter().map(|unit| announce(&fleet, &server, unit, "/v1/reports/batch", BATCH)).collect();
    crate::server::kit::eventually("the room is full", || {
        let refused = announce(&fleet, &server, &units[8], "/v1/reports/batch", BATCH).read(false);
        refused.code() == (503, "busy".into()) && !refused.header("retry-after").is_empty()
    });
    let refused = announce(&fleet, &server, &units[0], "/v1/reports", 500 << 10).read(false);
    assert_eq!(refused.code(), (429, "rate".into()));
    // Small ones need none of it, and who goes away gives the room back.
    assert_eq!(fleet.report(&server, &units[8], &[1]).json()["acknowledged"], 1);
    waiting.clear();
    let many: Vec<u64> = (2..=129).collect();
    crate::server::kit::eventually("there is room again", || {
        fleet.report(&server, &units[8], &many).status == 200
    });
}
