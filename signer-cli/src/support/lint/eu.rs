//! European Union: the Cyber Resilience Act, Regulation (EU) 2024/2847; most of it applies from 11 December 2027.

use perennial_schemas::Date;
use perennial_schemas::release::Class;
use perennial_schemas::support::NoticeKind;

use super::Subject;

pub(super) const PERIOD: &str = "cra-five-years";
pub(super) const PERIOD_CLAUSE: &str = "Regulation (EU) 2024/2847, Article 13(8) (support period)";
const KEPT_CLAUSE: &str = "Regulation (EU) 2024/2847, Article 13(9) (availability of security updates)";
const TYPE_CLAUSE: &str = "Regulation (EU) 2024/2847, Article 13(15) (identification of the product)";
const MAKER_CLAUSE: &str = "Regulation (EU) 2024/2847, Article 13(16) (name and address of the manufacturer)";
const AUTOMATIC_CLAUSE: &str =
    "Regulation (EU) 2024/2847, Annex I, Part I, (2)(c) (automatic security updates)";
const REMEDY_CLAUSE: &str = "Regulation (EU) 2024/2847, Annex I, Part II, (2) (remediation without delay)";
const POLICY_CLAUSE: &str = "Regulation (EU) 2024/2847, Annex I, Part II, (5) (coordinated disclosure)";
const SBOM_CLAUSE: &str = "Regulation (EU) 2024/2847, Annex I, Part II, (1) (software bill of materials)";
const END_CLAUSE: &str = "Regulation (EU) 2024/2847, Annex II, (8)(d) (secure decommissioning)";

/// Ten years with their leap days.
const TEN_YEARS: i64 = 3653;
/// Days after which a weakness that is known and not fixed is worth a word.
const OPEN_DAYS: i64 = 90;

pub(super) fn check(subject: &mut Subject<'_>) {
    let name = subject.name().to_owned();
    period(subject, &name);
    identity(subject, &name);
    if let Some(on) = subject.ended_early() {
        subject.error(
            "cra-shortened",
            PERIOD_CLAUSE,
            format!("updates ended on {on}, inside the support period"),
            "nothing mends it but updates; a manufacturer that ceases informs the authorities first (Article 13(23))",
        );
    }
    if subject.record.contact.policy.is_none() {
        subject.error(
            "cra-disclosure-policy",
            POLICY_CLAUSE,
            "the contact names no policy on coordinated disclosure",
            format!("support contact {name} … --policy https://…"),
        );
    }
    if subject.record.aftercare.is_none() {
        subject.advice(
            "cra-decommissioning",
            END_CLAUSE,
            "the record does not say how to erase and dispose of it; the instructions must, somewhere",
            format!("support model {name} FILE, with [aftercare]"),
        );
    }
    releases(subject);
    weaknesses(subject);
}

/// At least five years for each unit placed on the market, or the expected use where that is shorter.
fn period(subject: &mut Subject<'_>, name: &str) {
    let (record, today) = (subject.record, subject.today);
    let mut short: Vec<(String, Date, Date)> = Vec::new();
    let mut now: Vec<(String, Date)> = Vec::new();
    if record.cohorts.is_empty() {
        let first = record.promises.first().map(|promise| promise.from.unwrap_or(promise.made.date()));
        let until = record.guaranteed_until();
        short.extend(first.map(|first| (String::new(), first, until)));
    }
    for cohort in &record.cohorts {
        let until = record.until(Some(&cohort.name));
        let whom = format!(" --cohort {}", cohort.name);
        // The unit sold last has the shortest period; while it is sold, that is today's.
        let last = cohort.placed_until.unwrap_or(cohort.placed_from);
        short.push((whom.clone(), last, until));
        if cohort.is_on_sale(today) && cohort.placed_until.is_none() {
            now.push((whom, until));
        }
    }
    for (whom, placed, until) in
        short.into_iter().filter(|(_, placed, until)| *until < placed.plus_months(60))
    {
        subject.error(
            PERIOD,
            PERIOD_CLAUSE,
            format!("units placed on the market on {placed} are supported until {until}: less than five years"),
            format!(
                "support extend {name}{whom} --until {}; or, where it is expected to be used for less, say so in the \
                 reason and set this aside with --allow {PERIOD}",
                placed.plus_months(60)
            ),
        );
    }
    for (whom, until) in now.into_iter().filter(|(_, until)| *until < today.plus_months(60)) {
        subject.advice(
            "cra-five-years-today",
            PERIOD_CLAUSE,
            format!("a unit sold today is supported until {until}: less than five years"),
            format!("support extend {name}{whom} --until {}, or begin a new cohort", today.plus_months(60)),
        );
    }
}

fn identity(subject: &mut Subject<'_>, name: &str) {
    let record = subject.record;
    let todo = format!("support model {name} FILE");
    match &record.maker {
        None => {
            let what = "the record does not say who the manufacturer is";
            subject.error("cra-maker", MAKER_CLAUSE, what, format!("{todo}, with [maker]"));
        }
        Some(maker) if maker.website.is_none() => {
            let what = "the record has no site of the manufacturer";
            subject.advice("cra-maker-site", MAKER_CLAUSE, what, format!("{todo}, with maker.website"));
        }
        Some(_) => {}
    }
    match &record.model {
        None => {
            let what = "the record does not say how the product is marked";
            subject.error("cra-type", TYPE_CLAUSE, what, format!("{todo}, with [model]"));
        }
        Some(model) if !model.automatic_updates && !record.is_replaced_not_updated() => {
            subject.advice(
                "cra-automatic",
                AUTOMATIC_CLAUSE,
                "updates don't install by themselves unless the owner turns that off",
                "make them automatic where applicable, and say automatic_updates = true",
            );
        }
        Some(_) => {}
    }
}

fn releases(subject: &mut Subject<'_>) {
    let record = subject.record;
    let supported = record.latest_until();
    for release in subject.releases {
        let security = !matches!(release.class, Class::Functionality);
        let least = release.created.plus_days(TEN_YEARS).date().max(supported);
        let short_lived = security && release.available_until < least;
        // What was promised later holds for it, too: the signer lets nobody delete it sooner.
        if short_lived && release.available_until < release.created.plus_days(TEN_YEARS).date() {
            subject.error(
                "cra-kept-ten-years",
                KEPT_CLAUSE,
                format!(
                    "{} is served until {}, and should be until {least}",
                    release.version, release.available_until
                ),
                "keep serving it; propose the next one without --available-until",
            );
        }
        if release.sbom.is_none() {
            subject.advice(
                "cra-sbom",
                SBOM_CLAUSE,
                format!(
                    "{} names no bill of materials; the technical documentation must have one",
                    release.version
                ),
                "release propose … --sbom FILE",
            );
        }
    }
}

fn weaknesses(subject: &mut Subject<'_>) {
    let fixed = |id: &str| subject.releases.iter().flat_map(|release| &release.fixes).any(|fix| fix.id == id);
    let mut open = Vec::new();
    for notice in &subject.record.notices {
        let NoticeKind::Vulnerability(weakness) = &notice.kind else { continue };
        let days = subject.today.days() - weakness.disclosed.days();
        if days > OPEN_DAYS && !fixed(&weakness.id) {
            open.push((weakness.id.clone(), days));
        }
    }
    for (id, days) in open {
        subject.error(
            "cra-open-weakness",
            REMEDY_CLAUSE,
            format!("{id} has been known for {days} days, and no release fixes it"),
            format!("release a fix: release propose … --class security --fix {id}:SEVERITY"),
        );
    }
}
