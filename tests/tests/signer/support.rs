//! Support records by the signer's commands: what is drafted from flags and files, how it is reviewed, shown and linted, and
//! how mistakes are told.

use std::fs;
use std::path::Path;

use serde_json::Value;

use super::desk::{Desk, established, publish};
use super::transcripts::{golden, transcript};
use crate::release::TEAM;

pub(super) const COHORTS: &str = r#"
[[cohort]]
name = "made-2026"
label = "Made until 2027"
find = "The serial number begins with 26 or 27."
placed_from = "2026-12"
placed_until = "2027-12"

[[cohort]]
name = "made-2028"
label = "Made from 2028 on"
find = "The serial number begins with 28 or more."
placed_from = 2028-01-01
markets = ["GB", "EU"]
"#;

pub(super) const MODEL: &str = r#"
[maker]
name = "Glow Ltd"
address = """1 High Street
Leeds LS1 1AA
United Kingdom"""
website = "https://glow.example"

[model]
name = "Glow thermostat"
designation = "GT-100"
kind = "Room thermostat"
automatic_updates = true
connects_to = ["updates.glow.example"]

[[model.identifiers]]
scheme = "gtin"
value = "4 006381 333931"

[[model.identifiers]]
scheme = "mpn"
value = "GT-100-W"

[[model.hardware]]
name = "revC"
marking = "A C after the serial number"

[aftercare]
after = "It goes on heating by its own buttons; the app no longer reaches it."
isolate = "Take it off your Wi-Fi: hold both buttons for five seconds."
wipe = "Hold both buttons for ten seconds; it shows 'erased'."
dispose = "Bring it to a collection point for electrical waste."
"#;

const STATEMENT: &str = r#"
[[statement]]
schedule = 2
signatory = "Ada Glow"
function = "Director"
place = "Leeds"
date = 2026-11-21

[[statement.standards]]
number = "ETSI EN 303 645"
version = "V3.1.3"
date = 2024-09-01
"#;

const REPLACEMENT: &str = r#"
rationale = "Its program is in a memory that can be written once."
isolate = "Take out its battery; it then transmits nothing."
terms = "Send it to Glow Ltd, 1 High Street, Leeds: you get a new one free of charge."
"#;

fn desk() -> Desk {
    let desk = established();
    for (name, text) in [
        ("cohorts.toml", COHORTS),
        ("model.toml", MODEL),
        ("statement.toml", STATEMENT),
        ("replacement.toml", REPLACEMENT),
    ] {
        desk.write(name, text);
    }
    desk
}

/// Everything that a maker says in the life of a product, as it is reviewed.
#[test]
fn a_product_from_its_box_to_its_end() {
    let desk = desk();
    let mut text = String::new();
    for command in [
        "support model thermostat model.toml",
        "support compliance thermostat statement.toml",
        "support cohort thermostat cohorts.toml",
        "support promise thermostat --cohort made-2028 --until 2034-12 --reason \"Sold later, supported for longer.\"",
        "support notice thermostat --text \"Somebody on your own Wi-Fi can read the temperature.\" \
         --advice \"Nothing; we are working on it.\" --vulnerability CVE-2026-12345 --severity medium --disclosed 2026-11-19",
        "support contact thermostat --address https://glow.example/report --acknowledgement-days 2 \
         --status-update-days 7 --policy https://glow.example/policy --language en",
    ] {
        text += &transcript(&desk, &[command]);
        publish(&desk, &TEAM);
        desk.wait_days(1);
    }
    text += &transcript(
        &desk,
        &[
            "support show",
            "support lint thermostat",
            "support lint --profile uk --allow psti-statement-first-supply",
        ],
    );
    desk.wait_days(3 * 365);
    text += &transcript(
        &desk,
        &[
            "support lint --profile eu",
            "support notice thermostat --cohort made-2026 --text \"Our supplier has gone out of business.\" \
             --advice \"Take it off your Wi-Fi.\" --ended-early 2029-11-30",
        ],
    );
    golden("support.txt", &text);
}

#[test]
fn mistakes_are_told_with_what_was_meant() {
    let desk = desk();
    desk.write("typo.toml", &MODEL.replace("designation =", "desigation ="));
    desk.write("digit.toml", &MODEL.replace("333931", "333932"));
    desk.write("sold.toml", &COHORTS.replace("placed_until = \"2027-12\"", "placed_until = \"2032-06\""));
    desk.write("market.toml", &COHORTS.replace("\"GB\"", "\"uk\""));
    desk.write(
        "first.toml",
        &STATEMENT.replace("schedule", "support_at_first_supply = \"2033-06\"\nschedule"),
    );
    desk.write("page.toml", &COHORTS.replace("made-2028", "statement"));
    desk.write("empty.toml", "");
    let text = transcript(
        &desk,
        &[
            "support extend thermostat --until lifetime --reason more",
            "support extend thermostat --until tba --reason more",
            "support extend thermostat --until \"5 years\" --reason more",
            "support extend thermostat --until 30.6.2033 --reason more",
            "support extend thermostat --until 2025-12 --reason more",
            "product add kettle --support-until 2025-12 --reason x --contact contact.toml --key erin.pub.json",
            "support extend thermostat --until 2060-01 --reason more",
            "support extend thermostat --until 2031-12 --reason same",
            "support extend thermostat --until 2033-12 --reason \" \"",
            "support extend thermostat --cohort made-2027 --until 2033-12 --reason more",
            "support extend kettle --until 2033-12 --reason more",
            "support promise thermostat --until 2033-12 --reason more",
            "support extend thermostat --until 2033-12 --reason more --replacement replacement.toml",
            "support model thermostat typo.toml",
            "support model thermostat digit.toml",
            "support model thermostat empty.toml",
            "support model thermostat missing.toml",
            "support cohort thermostat sold.toml",
            "support cohort thermostat market.toml",
            "support cohort thermostat page.toml",
            "product add audit --support-until 2033-06 --reason x --contact contact.toml --key erin.pub.json",
            "support compliance thermostat first.toml",
            "support notice thermostat --text x --vulnerability CVE-2026-1",
            "support notice thermostat --text x --ended-early yesterday",
            "support contact thermostat --address security@example.com --acknowledgement-days 3 --status-update-days 3",
            "support show kettle",
            "support lint kettle",
        ],
    );
    golden("support-errors.txt", &text);
}

/// Neither is published yet, so neither draft could know of the other.
#[test]
fn two_products_of_one_proposal_never_claim_one_gtin() {
    let desk = desk();
    desk.add_key("ida");
    desk.ok("support model thermostat model.toml");
    let one = desk.proposal();
    desk.ok("product add kettle --support-until 2033-06 --reason \"Six years.\" --contact contact.toml --model model.toml \
         --key ida.pub.json");
    let both = desk.proposal_named("kettle");
    let about = |proposal: &Path| -> Value {
        serde_json::from_slice(&fs::read(proposal.join("proposal.json")).unwrap()).unwrap()
    };
    let mut joined = about(&both);
    joined["base"]["thermostat"] = about(&one)["base"]["thermostat"].clone();
    fs::write(both.join("proposal.json"), joined.to_string()).unwrap();
    fs::rename(one.join("metadata/thermostat.json"), both.join("metadata/thermostat.json")).unwrap();
    fs::rename(one.join("targets/thermostat"), both.join("targets/thermostat")).unwrap();
    fs::remove_dir_all(one).unwrap();
    for command in ["review", "sign --key erin.key"] {
        let refused = desk.refused(command);
        assert!(refused.contains("the GTIN 4006381333931 belongs to"), "{command}: {refused}");
    }
}

#[test]
fn a_gtin_belongs_to_one_product() {
    let desk = desk();
    desk.ok("support model thermostat model.toml");
    publish(&desk, &TEAM);
    desk.add_key("ida");
    let add = "product add kettle --support-until 2033-06 --reason \"Six years.\" --contact contact.toml --key ida.pub.json";
    let refused = desk.refused(&format!("{add} --model model.toml"));
    assert!(refused.contains("the GTIN 4006381333931 belongs to thermostat already"), "{refused}");
    desk.ok(add);
    publish(&desk, &["alice", "bob", "ida", "dora", "tess"]);
    let refused = desk.refused("support model kettle model.toml");
    assert!(refused.contains("the GTIN 4006381333931 belongs to thermostat already"), "{refused}");
}

#[test]
fn a_label_is_drawn_offline_from_what_is_published() {
    let desk = desk();
    desk.ok("support model thermostat model.toml");
    publish(&desk, &TEAM);
    for name in ["box.svg", "box.png", "box.gif"] {
        desk.write(name, "an older label");
    }
    let told = desk.ok("support label thermostat box.svg --address https://updates.glow.example");
    assert!(told.contains("Its code leads to https://updates.glow.example/01/04006381333931"), "{told}");
    let svg = std::fs::read_to_string(desk.path("box.svg")).unwrap();
    assert!(
        svg.contains("<title id=\"label-title\">Glow thermostat: Security updates until at least "),
        "{svg:.400}"
    );
    desk.ok("support label thermostat box.png --address https://updates.glow.example --size a7 --dpi 150");
    assert!(std::fs::read(desk.path("box.png")).unwrap().starts_with(b"\x89PNG"));
    for (line, why) in [
        ("support label thermostat box.gif --address https://updates.glow.example", "neither .svg nor .png"),
        ("support label thermostat box.svg --address updates.glow.example", "must be an https:// address"),
        ("support label thermostat box.svg --address https://a.example --size a9", "a8 (74 x 52 mm)"),
        ("support label thermostat box.png --address https://a.example --dpi 20", "choose 72 to 1200"),
        ("support label kettle box.svg --address https://a.example", "kettle"),
    ] {
        let refused = desk.refused(line);
        assert!(refused.contains(why), "{line}: {refused}");
    }
}

#[test]
fn what_can_t_be_updated_is_promised_a_replacement() {
    let desk = desk();
    desk.add_key("ida");
    let text = transcript(
        &desk,
        &[
            "product add tag --support-until 2033-06 --reason \"As long as its battery.\" --contact contact.toml \
           --key ida.pub.json --replacement replacement.toml",
        ],
    );
    golden("replacement.txt", &text);
    publish(&desk, &["alice", "bob", "ida", "dora", "tess"]);
    // An extension is of the same kind, without saying it again.
    let review = desk.ok("support extend tag --until 2034-06 --reason \"A year more.\"");
    assert!(review.contains("Promise 2: replacement until 30 June 2034"), "{review}");
}

#[test]
fn lint_fails_where_a_clause_is_not_met_and_passes_where_all_are() {
    let desk = desk();
    let bare = desk.run("support lint thermostat --json");
    assert!(!bare.ok, "a record without maker, model and statement");
    let report: Value = serde_json::from_str(&bare.stdout).unwrap();
    let errors =
        report["findings"].as_array().unwrap().iter().filter(|finding| finding["severity"] == "error");
    assert!(errors.count() > 3 && bare.stderr.lines().count() == 2, "{}", bare.stderr);
    for command in [
        "support model thermostat model.toml",
        "support compliance thermostat statement.toml",
        "support contact thermostat --address mailto:a@example.com --acknowledgement-days 2 \
         --status-update-days 7 --policy https://glow.example/policy",
    ] {
        desk.ok(command);
        publish(&desk, &TEAM);
    }
    let whole = desk.ok("support lint thermostat");
    assert!(whole.contains("1 product by the rules of UK, EU, AU: 0 errors, 0 findings"), "{whole}");
}
