//! Australia: the Cyber Security (Security Standards for Smart Devices) Rules 2025, Schedule 1 in force since 4 March 2026.

use super::Subject;

pub(super) const PERIOD: &str = "au-support-period";
pub(super) const PERIOD_CLAUSE: &str =
    "Security Standards for Smart Devices Rules 2025, Schedule 1, clause 4 (defined support periods)";
const REPORT_CLAUSE: &str =
    "Security Standards for Smart Devices Rules 2025, Schedule 1, clause 3 (reports of security issues)";
const STATEMENT_CLAUSE: &str =
    "Security Standards for Smart Devices Rules 2025, section 9 (statements of compliance)";

pub(super) fn check(subject: &mut Subject<'_>) {
    let name = subject.name().to_owned();
    if let Some(on) = subject.ended_early() {
        subject.error(
            "au-shortened",
            PERIOD_CLAUSE,
            format!(
                "updates ended on {on}, before the published date: a published period must not be shortened"
            ),
            "nothing mends it but updates; take legal advice before more units are supplied",
        );
    }
    if subject.lapsed {
        subject.error(
            "au-published",
            PERIOD_CLAUSE,
            "the signatures on the published date have expired, so devices and pages show it as lapsed",
            "sign it anew: perennial-signer archive, or any proposal for the product",
        );
    }
    if !subject.reads_english() {
        subject.error(
            "au-report-english",
            REPORT_CLAUSE,
            "the contact says which languages are understood, and English is not among them",
            format!("support contact {name} … --language en"),
        );
    }
    if subject.record.maker.is_none() {
        subject.error(
            "au-statement-maker",
            STATEMENT_CLAUSE,
            "the record does not say who the manufacturer is, which a statement must name with its address",
            format!("support model {name} FILE, with [maker]"),
        );
    }
    if subject.record.model.is_none() {
        subject.error(
            "au-statement-type",
            STATEMENT_CLAUSE,
            "the record does not say what kind of product it is, which a statement must name with its batch",
            format!("support model {name} FILE, with [model]"),
        );
    }
}
