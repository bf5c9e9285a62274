use perennial_schemas::support::{
    Aftercare, Compliance, Maker, Model, Notice, NoticeKind, OpenVulnerability, Party, Promise, Statement,
    VulnerabilityContact,
};

use super::*;

fn date(text: &str) -> Date {
    text.parse().unwrap()
}

fn bare() -> Support {
    let made = "2026-11-22T09:00:00Z".parse().unwrap();
    let promise = Promise::new(made, date("2032-12-31"), "Six years.");
    Support::new("lamp".parse().unwrap(), promise, VulnerabilityContact::new("mailto:a@example.com", 3, 14))
}

/// A record in which no profile finds anything.
fn whole() -> Support {
    let mut record = bare();
    let party = || Party { name: "Glow Ltd".into(), address: "1 High Street\nLeeds".into() };
    record.maker = Some(Maker {
        party: party(),
        website: Some("https://glow.example".into()),
        representatives: Vec::new(),
    });
    record.model = Some(Model {
        name: "Glow lamp".into(),
        designation: "GL-1".into(),
        kind: "Lamp".into(),
        identifiers: Vec::new(),
        hardware: Vec::new(),
        automatic_updates: true,
        connects_to: Vec::new(),
    });
    record.contact.policy = Some("https://glow.example/security".into());
    let text = || String::from("Unplug it.");
    let (after, isolate, wipe, dispose, replace) = (text(), text(), text(), text(), String::new());
    record.aftercare = Some(Aftercare { after, isolate, wipe, dispose, replace });
    record.compliance = Some(Compliance {
        statements: vec![Statement {
            product_type: "Lamp".into(),
            batches: Vec::new(),
            manufacturers: vec![party()],
            representatives: Vec::new(),
            schedule: 1,
            standards: Vec::new(),
            support_at_first_supply: date("2032-12-31"),
            signatory: "A. Person".into(),
            function: "Director".into(),
            place: "Leeds".into(),
            date: date("2026-11-22"),
        }],
    });
    record
}

fn found(record: &Support, profile: Profile, today: &str) -> Vec<(&'static str, Severity)> {
    let findings = check(record, &[], date(today), false, profile);
    findings.into_iter().map(|finding| (finding.rule, finding.severity)).collect()
}

#[test]
fn a_whole_record_has_no_findings() {
    for profile in [Profile::Uk, Profile::Eu, Profile::Au] {
        assert_eq!(found(&whole(), profile, "2026-12-01"), [], "{profile}");
    }
}

#[test]
fn a_bare_record_lacks_what_each_country_asks_for() {
    use Severity::{Advice, Error};
    let (today, record) = ("2026-12-01", bare());
    assert_eq!(found(&record, Profile::Uk, today), [("psti-clear", Advice), ("psti-statement", Error)]);
    let eu = found(&record, Profile::Eu, today);
    let errors: Vec<_> =
        eu.iter().filter(|(_, severity)| *severity == Error).map(|(rule, _)| *rule).collect();
    assert_eq!(errors, ["cra-maker", "cra-type", "cra-disclosure-policy"]);
    assert_eq!(
        found(&record, Profile::Au, today),
        [("au-statement-maker", Error), ("au-statement-type", Error)]
    );
}

#[test]
fn less_than_five_years_is_an_error_and_names_the_date_that_is_enough() {
    let mut record = whole();
    record.promises[0].guaranteed_until = date("2031-11-21");
    let findings = check(&record, &[], date("2026-12-01"), false, Profile::Eu);
    assert_eq!(findings[0].rule, "cra-five-years");
    assert!(findings[0].todo.contains("--until 2031-11-22"), "{}", findings[0].todo);
}

#[test]
fn an_early_end_breaks_every_country_s_rules() {
    let mut record = whole();
    record.notices.push(Notice {
        made: "2028-01-02T00:00:00Z".parse().unwrap(),
        kind: NoticeKind::EndedEarly { on: date("2028-01-01") },
        text: "We are sorry.".into(),
        advice: String::new(),
        cohorts: Vec::new(),
    });
    for (profile, rule) in
        [(Profile::Uk, "psti-shortened"), (Profile::Eu, "cra-shortened"), (Profile::Au, "au-shortened")]
    {
        assert!(found(&record, profile, "2028-02-01").contains(&(rule, Severity::Error)), "{profile}");
    }
}

#[test]
fn a_known_weakness_that_stays_open_is_an_error_after_three_months() {
    let mut record = whole();
    let disclosed = date("2027-01-01");
    let severity = perennial_schemas::release::Severity::High;
    record.notices.push(Notice {
        made: "2027-01-02T00:00:00Z".parse().unwrap(),
        kind: NoticeKind::Vulnerability(OpenVulnerability { id: "CVE-2027-1".into(), severity, disclosed }),
        text: "A weakness.".into(),
        advice: String::new(),
        cohorts: Vec::new(),
    });
    let open = ("cra-open-weakness", Severity::Error);
    assert!(!found(&record, Profile::Eu, "2027-03-31").contains(&open));
    assert!(found(&record, Profile::Eu, "2027-06-01").contains(&open));
}

#[test]
fn languages_without_english_and_standards_without_a_name_are_errors() {
    let mut record = whole();
    record.contact.languages = vec!["de".into()];
    record.compliance.as_mut().unwrap().statements[0].schedule = 2;
    let uk = found(&record, Profile::Uk, "2026-12-01");
    let errors: Vec<_> = uk.iter().map(|(rule, _)| *rule).collect();
    assert_eq!(errors, ["psti-report-english", "psti-statement-standard"]);
    assert_eq!(found(&record, Profile::Au, "2026-12-01"), [("au-report-english", Severity::Error)]);
}
