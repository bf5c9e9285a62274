//! United Kingdom: the Product Security and Telecommunications Infrastructure (Security Requirements for Relevant Connectable
//! Products) Regulations 2023, SI 2023/1007, in force since 29 April 2024.

use super::Subject;

pub(super) const PERIOD: &str = "psti-support-period";
pub(super) const PERIOD_CLAUSE: &str =
    "SI 2023/1007, Schedule 1, paragraph 3 (minimum security update periods)";
const REPORT_CLAUSE: &str = "SI 2023/1007, Schedule 1, paragraph 2 (how to report security issues)";
const STATEMENT_CLAUSE: &str = "SI 2023/1007, Schedule 4 (minimum information for statements of compliance)";

pub(super) fn check(subject: &mut Subject<'_>) {
    let name = subject.name().to_owned();
    if let Some(on) = subject.ended_early() {
        subject.error(
            "psti-shortened",
            PERIOD_CLAUSE,
            format!("updates ended on {on}, before the date that was published: once published it is never shortened"),
            "nothing mends it but updates; take legal advice before more units are supplied",
        );
    }
    if subject.lapsed {
        subject.error(
            "psti-published",
            PERIOD_CLAUSE,
            "the signatures on the published date have expired, so devices and pages show it as lapsed",
            "sign it anew: perennial-signer archive, or any proposal for the product",
        );
    }
    if !subject.reads_english() {
        subject.error(
            "psti-report-english",
            REPORT_CLAUSE,
            "the contact says which languages are understood, and English is not among them",
            format!("support contact {name} … --language en"),
        );
    }
    let what_is_covered = subject.record.promises.iter().any(|promise| !promise.components.is_empty());
    if what_is_covered {
        subject.advice(
            "psti-components",
            PERIOD_CLAUSE,
            "the promise names some components: hardware and software for the product's intended use are all in scope",
            "name every one that can be updated, or none, which means all of its software",
        );
    }
    identity(subject, &name);
    statements(subject, &name);
}

fn identity(subject: &mut Subject<'_>, name: &str) {
    if subject.record.model.is_none() {
        subject.advice(
            "psti-clear",
            PERIOD_CLAUSE,
            "the record has no model: buyers look for the name and designation on the box",
            format!("support model {name} FILE"),
        );
    }
}

fn statements(subject: &mut Subject<'_>, name: &str) {
    let record = subject.record;
    let Some(compliance) = record.compliance.as_ref().filter(|c| !c.statements.is_empty()) else {
        subject.error(
            "psti-statement",
            STATEMENT_CLAUSE,
            "there is no statement of compliance: the product may not be supplied without one",
            format!("support compliance {name} FILE"),
        );
        return;
    };
    let first: Vec<_> = record
        .promises
        .iter()
        .enumerate()
        .filter(|(index, promise)| {
            // The first to these units: nothing before it covers them.
            !record.promises[..*index].iter().any(|before| {
                before.cohorts.is_empty() || promise.cohorts.iter().any(|cohort| before.covers(Some(cohort)))
            })
        })
        .map(|(_, promise)| promise.guaranteed_until)
        .collect();
    for statement in &compliance.statements {
        let date = statement.support_at_first_supply;
        if !first.contains(&date) {
            subject.advice(
                "psti-statement-first-supply",
                STATEMENT_CLAUSE,
                format!("a statement says {date} as correct at first supply, and that was an extension"),
                "check the date: units supplied before the extension need a statement with the first date",
            );
        }
        if statement.schedule == 2 && statement.standards.is_empty() {
            subject.error(
                "psti-statement-standard",
                STATEMENT_CLAUSE,
                "a statement declares compliance by Schedule 2, and names no standard",
                "add a statement with [[statement.standards]]: number, version, date",
            );
        }
    }
}
