//! Every format is read back, and says what the summary says: dates, names, the record's number and digest.

use super::*;
use crate::support::catalogue::Catalogue;
use crate::support::tests::{date, view};
use crate::support::{Update, routes};
use perennial_schemas::channel::Withdrawn;
use perennial_schemas::release::{Class, FixedVulnerability, Notes, Release, Severity};
use perennial_schemas::support::summary::Standing;
use perennial_schemas::support::{
    Annulment, Cohort, Identifier, Maker, Model, Notice, NoticeKind, OpenVulnerability, Party, Promise,
    Replacement, Summary, Support, VulnerabilityContact,
};
use perennial_schemas::{Document, Sha256Digest, Timestamp};
use serde_json::Value;
use std::collections::BTreeMap;

/// As it is written in the tests' products.
const NAME: &str = "Glow, the \"warm\" <thermostat> & more";

fn at(day: &str) -> Timestamp {
    date(day).start()
}

fn promise(made: &str, until: &str, cohorts: &[&str]) -> Promise {
    let cohorts = cohorts.iter().map(|name| name.parse().unwrap()).collect();
    Promise { cohorts, ..Promise::new(at(made), date(until), "Five years; \\ and <then> some, we hope.") }
}

fn cohort(name: &str, from: &str, until: Option<&str>) -> Cohort {
    Cohort {
        name: name.parse().unwrap(),
        label: format!("Units of {name}, all of them"),
        find: "On the back".into(),
        placed_from: date(from),
        placed_until: until.map(date),
        batches: vec![],
        markets: vec![],
        hardware: vec![],
    }
}

fn notice(kind: NoticeKind) -> Notice {
    Notice {
        made: at("2028-01-01"),
        kind,
        text: "What happened.".into(),
        advice: "Do.".into(),
        cohorts: vec![],
    }
}

pub(crate) fn update(version: &str, created: &str, fixes: &[(&str, Option<&str>)]) -> Update {
    let fix = |(id, disclosed): &(&str, Option<&str>)| FixedVulnerability {
        id: (*id).into(),
        severity: Severity::High,
        disclosed: disclosed.map(date),
    };
    let release = Release {
        format: Release::FORMAT.into(),
        requires: vec![],
        product: "glow".parse().unwrap(),
        version: version.parse().unwrap(),
        security_version: 1,
        class: Class::Security,
        created: at(created),
        notes: Notes { what: "Closes a hole & more.".into(), why: String::new(), interruption_seconds: 0 },
        fixes: fixes.iter().map(fix).collect(),
        minimum_version: None,
        postponable_days: None,
        sbom: None,
        advisories: vec![],
        secrets_let_through: None,
        rollout: None,
        available_until: date("2041-01-01"),
        images: vec![],
    };
    Update { release, withdrawn: None, channels: vec!["stable".parse().unwrap()] }
}

/// A product with everything: model, maker, two cohorts, two promises, a weakness, an update and a withdrawn one.
pub(crate) fn rich() -> Listed {
    let mut contact = VulnerabilityContact::new("mailto:security@example.com", 5, 14);
    contact.policy = Some("https://example.com/policy".into());
    contact.languages = vec!["en".into(), "de".into()];
    let first = Support::new("glow".parse().unwrap(), promise("2026-01-05", "2031-06-30", &[]), contact);
    let mut record = first.successor(Sha256Digest([1; 32]), at("2027-03-01"));
    let identifier = |scheme: &str, value: &str| Identifier { scheme: scheme.into(), value: value.into() };
    record.model = Some(Model {
        name: NAME.into(),
        designation: "=GL-100".into(),
        kind: "Room thermostat".into(),
        identifiers: vec![
            identifier("gtin14", "04006381333931"),
            identifier("gtin14", "00000096385074"),
            identifier("mpn", "+GL100"),
        ],
        hardware: vec![],
        automatic_updates: true,
        connects_to: vec!["updates.maker.example".into(), "time.maker.example".into()],
    });
    record.maker = Some(Maker {
        party: Party { name: "Glow <Works> & Söhne".into(), address: "1 High Street\nTown".into() },
        website: Some("https://maker.example".into()),
        representatives: vec![],
    });
    record.cohorts =
        vec![cohort("y2026", "2026-01-05", Some("2026-12-31")), cohort("y2027", "2027-01-01", None)];
    record.promises.push(promise("2027-01-01", "2033-06-30", &["y2027"]));
    record.notices = vec![notice(NoticeKind::Vulnerability(OpenVulnerability {
        id: "CVE-2028-1".into(),
        severity: Severity::High,
        disclosed: date("2027-12-01"),
    }))];
    let mut withdrawn = update("1.1.0", "2027-02-01", &[]);
    withdrawn.channels.clear();
    withdrawn.withdrawn = Some(Withdrawn {
        version: "1.1.0".parse().unwrap(),
        manifest: Sha256Digest([2; 32]),
        reason: "It crashed.".into(),
        at: at("2027-02-05"),
    });
    let updates = vec![update("1.2.0", "2027-06-01", &[("CVE-2027-7", Some("2027-05-01"))]), withdrawn];
    let (sha256, signed_until) = (Sha256Digest([7; 32]), at("2040-01-01"));
    Listed { record: record.seal(), sha256, signed_until, updates }
}

/// The same with a change.
fn but(change: impl FnOnce(&mut Listed)) -> Listed {
    let mut listed = rich();
    change(&mut listed);
    listed.record = listed.record.clone().seal();
    listed
}

/// One product for each state, and for each way of having dates.
pub(crate) fn every_case() -> Vec<(&'static str, Listed)> {
    let annul = |listed: &mut Listed| {
        let record = &mut listed.record;
        record.promises.push(promise("2027-02-01", "2049-12-31", &[]));
        record.annulled = vec![Annulment {
            product: record.product.clone(),
            promise: 3,
            made: record.promises[2].made,
            guaranteed_until: date("2049-12-31"),
            reason: "A key was stolen.".into(),
            at: at("2027-02-20"),
        }];
    };
    let replace = |listed: &mut Listed| {
        let replacement =
            Replacement { rationale: "ROM.".into(), isolate: "Unplug.".into(), terms: "Free.".into() };
        for promise in &mut listed.record.promises {
            promise.replacement = Some(replacement.clone());
        }
    };
    let bare = |listed: &mut Listed| {
        listed.record.cohorts.clear();
        listed.record.promises.truncate(1);
        (listed.record.model, listed.record.maker) = (None, None);
        listed.updates.clear();
    };
    let tell = |kind: NoticeKind| move |listed: &mut Listed| listed.record.notices.push(notice(kind));
    vec![
        ("two cohorts", rich()),
        ("no cohort, no model", but(bare)),
        ("sold out", but(|listed| listed.record.cohorts[1].placed_until = Some(date("2027-12-31")))),
        ("annulled", but(annul)),
        ("replaced", but(replace)),
        ("ended early", but(tell(NoticeKind::EndedEarly { on: date("2028-06-30") }))),
        ("ceased", but(tell(NoticeKind::Ceased { on: date("2028-06-30") }))),
        ("ceased after the end", but(tell(NoticeKind::Ceased { on: date("2033-12-01") }))),
        ("lapsed", but(|listed| listed.signed_until = at("2028-01-01"))),
    ]
}

/// What a format says, as far as it says it.
#[derive(Debug, Default)]
struct Told {
    name: Option<String>,
    /// The last day with updates; of the model under the empty name, of cohorts under theirs.
    days: BTreeMap<String, Date>,
    /// The promised date of the model.
    promised: Option<Date>,
    state: Option<String>,
    record: Option<(u64, String)>,
}

#[test]
fn every_format_says_what_the_summary_says() {
    for day in ["2027-06-15", "2030-07-01", "2031-06-30", "2031-07-01", "2034-01-01"] {
        let view = view(day);
        for (case, listed) in every_case() {
            listed.record.validate().unwrap();
            let summary = listed.summary(&view);
            let last = |standing: &Standing| {
                standing.ended_on.map_or(standing.guaranteed_until, |on| on.min(standing.guaranteed_until))
            };
            for (format, read) in READERS {
                let told = read(&answer(&listed, format, &view));
                let place = format!("{format} of {case:?} on {day}: {told:?}");
                if let Some(name) = &told.name {
                    assert_eq!(name, listed.record.display_name(), "{place}");
                }
                // A feed says what happened, and when; its reader looks for the promise by itself.
                assert!(!told.days.is_empty() || ["feed.atom", "page"].contains(format), "{place}");
                for (cohort, day) in &told.days {
                    let own = summary.cohorts.iter().find(|(name, _)| name.as_str() == cohort);
                    let standing = own.map_or(&summary.standing, |(_, standing)| standing);
                    assert_eq!(*day, last(standing), "{cohort}: {place}");
                }
                if ["summary.json", "endoflife.json", "calendar.ics", "products.json"].contains(format) {
                    assert!(told.days.len() >= summary.cohorts.len().max(1), "{place}");
                }
                if let Some(promised) = told.promised {
                    assert_eq!(promised, summary.standing.guaranteed_until, "{place}");
                }
                if let Some(state) = &told.state {
                    assert_eq!(state, summary.standing.state.as_str(), "{place}");
                }
                match &told.record {
                    Some((sequence, sha256)) => {
                        assert_eq!(*sequence, summary.record.sequence, "{place}");
                        // A label has room for the beginning of the digest.
                        let whole = summary.record.sha256.to_string();
                        assert!(whole.starts_with(sha256.as_str()) && sha256.len() >= 12, "{place}");
                    }
                    None => assert_eq!(*format, "openeox.json", "only OpenEoX has no room for it: {place}"),
                }
            }
        }
    }
}

type Reader = fn(&str) -> Told;

const READERS: &[(&str, Reader)] = &[
    ("page", read_page),
    ("label.svg", read_label),
    ("summary.json", read_summary),
    ("openeox.json", read_openeox),
    ("endoflife.json", read_endoflife),
    ("calendar.ics", read_calendar),
    ("feed.atom", read_atom),
    ("JSON-LD", read_linked),
    ("products.csv", read_csv),
    ("products.json", read_products),
];

fn answer(listed: &Listed, format: &str, view: &View<'_>) -> String {
    let path = match format {
        "JSON-LD" => return linked::of(listed, view),
        "page" => "/support/glow".to_owned(),
        all if all.starts_with("products") => format!("/support/{all}"),
        own => format!("/support/glow/{own}"),
    };
    let catalogue = Catalogue::of([listed.clone()]);
    let rendered = catalogue.answer(&path, None, None, view).unwrap();
    assert_eq!(rendered.status, 200, "{path}");
    String::from_utf8(rendered.body.to_vec()).unwrap()
}

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

fn day(value: &Value) -> Date {
    date(value.as_str().unwrap().get(..10).unwrap())
}

fn text(value: &Value) -> Option<String> {
    Some(value.as_str().unwrap().into())
}

/// The page for people: its heading, and which record it came from.
fn read_page(body: &str) -> Told {
    let after = |mark: &str| body.split_once(mark).unwrap_or_else(|| panic!("{mark}: {body}")).1;
    let heading = after("<h1>").split("</h1>").next().unwrap();
    let days: Vec<Date> = heading.split("<time datetime=\"").skip(1).map(|rest| date(&rest[..10])).collect();
    let source = after("id=\"source\"");
    let sequence: String =
        source.split_once("Record ").unwrap().1.chars().take_while(char::is_ascii_digit).collect();
    let sha256 = source.split_once("class=\"digest\" dir=\"ltr\">").unwrap().1;
    let state = after("<span class=\"state ").split(['"', ' ']).next().unwrap().to_owned();
    Told {
        promised: Some(days[0]),
        state: Some(state),
        record: Some((sequence.parse().unwrap(), sha256[..64].to_owned())),
        ..Told::default()
    }
}

/// The label: as those hear it who don't see it.
fn read_label(body: &str) -> Told {
    let label = roxmltree::Document::parse(body).unwrap();
    let said = |tag: &str| {
        let node = label.descendants().find(|node| node.tag_name().name() == tag).unwrap();
        node.text().unwrap().to_owned()
    };
    let (title, description) = (said("title"), said("desc"));
    let words: Vec<&str> = title.rsplitn(4, ' ').collect();
    let end = Date::end_of_month(words[0].parse().unwrap(), month(words[1])).unwrap();
    let all = (1..=end.parts().2).map(|day| Date::new(end.parts().0, end.parts().1, day).unwrap());
    let last = all.into_iter().find(|day| title.ends_with(&format!(" {}", day.in_words()))).unwrap();
    let source: Vec<&str> = description.rsplit_once("Record ").unwrap().1.split([' ', '.']).collect();
    Told {
        days: BTreeMap::from([(String::new(), last)]),
        record: Some((source[0].parse().unwrap(), source[1].into())),
        ..Told::default()
    }
}

fn month(name: &str) -> u8 {
    let named = |month: &u8| Date::new(2031, *month, 1).unwrap().in_words().to_string().contains(name);
    (1..=12).find(named).unwrap()
}

fn read_summary(body: &str) -> Told {
    // As anybody's program reads it, who checks it against the record in it.
    let summary = Summary::parse(body.as_bytes()).unwrap();
    let last = |standing: &Standing| {
        standing.ended_on.map_or(standing.guaranteed_until, |on| on.min(standing.guaranteed_until))
    };
    let mut days: BTreeMap<String, Date> =
        summary.cohorts.iter().map(|(name, standing)| (name.to_string(), last(standing))).collect();
    days.insert(String::new(), last(&summary.standing));
    Told {
        name: Some(summary.support.display_name().into()),
        days,
        promised: Some(summary.standing.guaranteed_until),
        state: Some(summary.standing.state.as_str().into()),
        record: Some((summary.record.sequence, summary.record.sha256.to_string())),
    }
}

fn read_openeox(body: &str) -> Told {
    let core = parsed(body);
    let problems: Vec<String> =
        openeox_schema().iter_errors(&core).map(|problem| problem.to_string()).collect();
    assert!(problems.is_empty(), "{problems:?}");
    for name in ["end_of_security_support", "end_of_life"] {
        assert!(core[name].as_str().unwrap().ends_with("T23:59:59Z"), "{core}");
    }
    let dates = ["general_availability", "end_of_sales", "end_of_security_support", "end_of_life"];
    let dates: Vec<&str> = dates.iter().filter_map(|name| core[name].as_str()).collect();
    assert!(dates.iter().all(|date| *date <= core["end_of_life"].as_str().unwrap()), "{core}");
    if let Some(available) = core["general_availability"].as_str() {
        assert!(dates.iter().all(|date| available <= *date), "{core}");
    }
    Told { days: BTreeMap::from([(String::new(), day(&core["end_of_security_support"]))]), ..Told::default() }
}

/// The rules of OpenEoX Core in our own words; the committee's file instead, where the environment names one.
fn openeox_schema() -> jsonschema::Validator {
    let moment = serde_json::json!({ "type": "string", "format": "date-time" });
    let own = serde_json::json!({
        "type": "object",
        "required": ["$schema", "end_of_life", "end_of_security_support", "last_updated"],
        "additionalProperties": false,
        "properties": {
            "$schema": { "const": "https://docs.oasis-open.org/openeox/v1.0/schema/core.json" },
            "end_of_life": moment, "end_of_sales": moment, "end_of_security_support": moment,
            "general_availability": moment, "last_updated": moment,
        },
    });
    let named = std::env::var_os("PERENNIAL_OPENEOX_SCHEMA");
    let schema = named.map_or(own, |path| {
        let mut theirs = parsed(&std::fs::read_to_string(path).unwrap());
        // Its own dialect is draft 2020-12 with names for its vocabularies.
        theirs["$schema"] = "https://json-schema.org/draft/2020-12/schema".into();
        theirs
    });
    jsonschema::draft202012::options().should_validate_formats(true).build(&schema).unwrap()
}

fn read_endoflife(body: &str) -> Told {
    let answer = parsed(body);
    let product = &answer["result"];
    for name in ["name", "label", "aliases", "category", "tags", "identifiers", "labels", "links", "releases"]
    {
        assert!(!product[name].is_null(), "{name}: {product}");
    }
    let (mut days, mut record) = (BTreeMap::new(), None);
    for release in product["releases"].as_array().unwrap() {
        let name = release["name"].as_str().unwrap();
        let name = if name == "glow" { "" } else { name };
        days.insert(name.to_owned(), day(&release["eolFrom"]));
        let custom = &release["custom"];
        let sequence = custom["recordSequence"].as_str().unwrap().parse().unwrap();
        record = Some((sequence, text(&custom["recordSha256"]).unwrap()));
        assert!(release["isEol"].is_boolean() && release["isMaintained"].is_boolean(), "{release}");
        assert!(!release["isEol"].as_bool().unwrap() || !release["isMaintained"].as_bool().unwrap());
    }
    Told { name: text(&product["label"]), days, record, ..Told::default() }
}

fn read_calendar(body: &str) -> Told {
    assert!(body.ends_with("END:VCALENDAR\r\n"), "{body}");
    assert!(body.split("\r\n").all(|line| line.len() <= 75 && !line.contains('\n')), "{body}");
    let unfolded = body.replace("\r\n ", "");
    let mut told = Told::default();
    for event in unfolded.split("BEGIN:VEVENT\r\n").skip(1) {
        let value = |name: &str| {
            let line = event.lines().find(|line| line.split([':', ';']).next() == Some(name));
            line.unwrap_or_else(|| panic!("{name}: {event}")).split_once(':').unwrap().1
        };
        let start = value("DTSTART");
        let start = date(&format!("{}-{}-{}", &start[..4], &start[4..6], &start[6..]));
        let whom = value("URL").rsplit_once("/glow").unwrap().1.trim_start_matches('/');
        told.days.insert(whom.to_owned(), start);
        told.record =
            Some((value("X-PERENNIAL-SEQUENCE").parse().unwrap(), value("X-PERENNIAL-SHA256").to_owned()));
        let summary = value("SUMMARY").replace("\\,", ",").replace("\\;", ";").replace("\\\\", "\\");
        let name = summary.strip_prefix("Last day of security updates: ").unwrap();
        told.name = Some(name.split(" (Units").next().unwrap().to_owned());
        assert_eq!(event.matches("BEGIN:VALARM").count(), 3, "{event}");
    }
    told
}

fn read_atom(body: &str) -> Told {
    let document = roxmltree::Document::parse(body).unwrap();
    let child = |node: roxmltree::Node<'_, '_>, name: &str| {
        let found = node.children().find(|child| child.has_tag_name(("http://www.w3.org/2005/Atom", name)));
        found.unwrap_or_else(|| panic!("{name}")).text().unwrap_or_default().to_owned()
    };
    let feed = document.root_element();
    // "Record 2 of glow, SHA-256 …"
    let subtitle = child(feed, "subtitle");
    let words: Vec<&str> = subtitle.split([' ', ',']).collect();
    let entries: Vec<_> = feed.children().filter(|child| child.tag_name().name() == "entry").collect();
    let ids: std::collections::BTreeSet<String> = entries.iter().map(|entry| child(*entry, "id")).collect();
    assert_eq!(ids.len(), entries.len(), "ids are its own");
    // The promise that counts for the model is one of those told of.
    let titles: Vec<String> = entries.iter().map(|entry| child(*entry, "title")).collect();
    assert!(titles.iter().any(|title| title.contains("promised until 30 June 2031")), "{titles:?}");
    let name = child(feed, "title").strip_suffix(": security updates").unwrap().to_owned();
    Told {
        name: Some(name),
        record: Some((words[1].parse().unwrap(), words.last().unwrap().to_string())),
        ..Told::default()
    }
}

fn read_linked(body: &str) -> Told {
    let product = parsed(body);
    assert_eq!((&product["@context"], &product["@type"]), (&"https://schema.org".into(), &"Product".into()));
    let fact = |id: &str| {
        let facts = product["additionalProperty"].as_array().unwrap();
        facts.iter().find(|fact| fact["propertyID"] == id).unwrap()["value"].clone()
    };
    let sequence = fact("supportRecordSequence").as_str().unwrap().parse().unwrap();
    Told {
        name: text(&product["name"]),
        days: BTreeMap::from([(String::new(), day(&fact("securityUpdatesEnd")))]),
        promised: Some(day(&fact("securityUpdatesUntil"))),
        state: text(&fact("supportState")),
        record: Some((sequence, text(&fact("supportRecordSha256")).unwrap())),
    }
}

fn read_csv(body: &str) -> Told {
    let mut reader = csv::Reader::from_reader(body.as_bytes());
    assert_eq!(reader.headers().unwrap(), retail::COLUMNS.as_slice());
    let rows: Vec<BTreeMap<String, String>> = reader.deserialize().map(Result::unwrap).collect();
    let row = &rows[0];
    assert!(rows.iter().all(|other| other["last_day"] == row["last_day"]));
    let (sequence, sha256) = row["record"].split_once(':').unwrap();
    Told {
        name: Some(row["name"].clone()),
        days: BTreeMap::from([(String::new(), date(&row["last_day"]))]),
        promised: Some(date(&row["guaranteed_until"])),
        state: Some(row["state"].clone()),
        record: Some((sequence.parse().unwrap(), sha256.into())),
    }
}

fn read_products(body: &str) -> Told {
    let product = &parsed(body)["products"][0];
    let cohorts = product["cohorts"].as_object().unwrap();
    let mut days: BTreeMap<String, Date> =
        cohorts.iter().map(|(name, cohort)| (name.clone(), day(&cohort["last_day"]))).collect();
    days.insert(String::new(), day(&product["last_day"]));
    Told {
        name: text(&product["name"]),
        days,
        promised: Some(day(&product["guaranteed_until"])),
        state: text(&product["state"]),
        record: Some((product["sequence"].as_u64().unwrap(), text(&product["sha256"]).unwrap())),
    }
}

#[test]
fn every_address_of_a_product_is_compared() {
    for (name, _) in routes::PRODUCT {
        let compared = READERS.iter().any(|(format, _)| format == name);
        // The other labels are the same in another size; a network profile has no date.
        let other = name.starts_with("label") || *name == "mud.json";
        assert!(compared || other, "{name} is read back by no test");
    }
}
