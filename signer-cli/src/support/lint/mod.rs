//! What the rules of some countries ask of a support record, each rule with its clause and with what to do.
//!
//! It reads what is published and nothing else, so it finds what a record lacks, never whether a maker keeps what it says.
//! It is no legal advice; a rule that a maker has good reasons to set aside is named with `--allow`.

mod au;
mod eu;
mod uk;

use std::fmt;

use perennial_schemas::release::Release;
use perennial_schemas::support::{CohortName, Support};
use perennial_schemas::{Date, ProductName, RoleName, Timestamp};
use serde::Serialize;

use super::show::is_lapsed;
use crate::proposal::{ProposalError, published_support};
use crate::repository::Repository;

/// Whose rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Profile {
    /// United Kingdom: Product Security and Telecommunications Infrastructure, SI 2023/1007.
    Uk,
    /// European Union: Cyber Resilience Act, Regulation (EU) 2024/2847.
    Eu,
    /// Australia: Cyber Security (Security Standards for Smart Devices) Rules 2025.
    Au,
}

/// How much it matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The clause is not met by what is published.
    Error,
    /// It may be met elsewhere, or would be met better.
    Advice,
}

/// Something that a clause asks for, and the record lacks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The product.
    pub product: ProductName,
    /// Whose rules.
    pub profile: Profile,
    /// The rule's own name, for `--allow`.
    pub rule: &'static str,
    /// The clause.
    pub clause: &'static str,
    /// How much it matters.
    pub severity: Severity,
    /// What is missing or wrong.
    pub what: String,
    /// What to do.
    pub todo: String,
    /// Whether the maker has set it aside.
    pub allowed: bool,
}

/// What was found in some products.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The day.
    pub as_of: Date,
    /// The rules that were asked.
    pub profiles: Vec<Profile>,
    /// How many products were looked at.
    pub products: usize,
    /// What was found, product by product.
    pub findings: Vec<Finding>,
}

/// What a rule looks at.
struct Subject<'a> {
    record: &'a Support,
    releases: &'a [Release],
    today: Date,
    lapsed: bool,
    profile: Profile,
    findings: Vec<Finding>,
}

impl Report {
    /// Looks at one product, or at all; `allowed` names rules that the maker sets aside.
    ///
    /// # Errors
    /// [`ProposalError`] where there is no such product, or a file can't be read.
    pub fn new(
        repository: &Repository,
        product: Option<&ProductName>,
        profiles: &[Profile],
        allowed: &[String],
        now: Timestamp,
    ) -> Result<Self, ProposalError> {
        let roles = match product {
            Some(product) => vec![crate::ceremony::product::known(repository, product)?],
            None => super::show::products(repository)?,
        };
        let mut findings = Vec::new();
        for role in &roles {
            findings.extend(look(repository, role, profiles, now)?);
        }
        for finding in &mut findings {
            finding.allowed = allowed.iter().any(|rule| rule == finding.rule);
        }
        Ok(Self { as_of: now.date(), profiles: profiles.to_vec(), products: roles.len(), findings })
    }

    /// How many clauses are not met, and not set aside.
    pub fn errors(&self) -> usize {
        let counts = |finding: &&Finding| finding.severity == Severity::Error && !finding.allowed;
        self.findings.iter().filter(counts).count()
    }
}

fn look(
    repository: &Repository,
    role: &RoleName,
    profiles: &[Profile],
    now: Timestamp,
) -> Result<Vec<Finding>, ProposalError> {
    let Some((record, _)) = published_support(repository, role)? else {
        let Ok(product) = role.as_str().parse() else { return Ok(Vec::new()) };
        return Ok(profiles.iter().map(|profile| nothing(&product, *profile)).collect());
    };
    let releases = crate::proposal::published_releases(repository, role)?;
    let lapsed = is_lapsed(repository, role, now);
    Ok(profiles.iter().flat_map(|profile| check(&record, &releases, now.date(), lapsed, *profile)).collect())
}

/// What one profile finds in a record and the product's releases.
pub fn check(
    record: &Support,
    releases: &[Release],
    today: Date,
    lapsed: bool,
    profile: Profile,
) -> Vec<Finding> {
    let mut subject = Subject { record, releases, today, lapsed, profile, findings: Vec::new() };
    match profile {
        Profile::Uk => uk::check(&mut subject),
        Profile::Eu => eu::check(&mut subject),
        Profile::Au => au::check(&mut subject),
    }
    subject.findings
}

fn nothing(product: &ProductName, profile: Profile) -> Finding {
    let (rule, clause) = match profile {
        Profile::Uk => (uk::PERIOD, uk::PERIOD_CLAUSE),
        Profile::Eu => (eu::PERIOD, eu::PERIOD_CLAUSE),
        Profile::Au => (au::PERIOD, au::PERIOD_CLAUSE),
    };
    Finding {
        product: product.clone(),
        profile,
        rule,
        clause,
        severity: Severity::Error,
        what: "nothing is promised".into(),
        todo: format!("support promise {product} --until DATE --reason TEXT --contact FILE"),
        allowed: false,
    }
}

impl Subject<'_> {
    fn error(
        &mut self,
        rule: &'static str,
        clause: &'static str,
        what: impl Into<String>,
        todo: impl Into<String>,
    ) {
        self.add(Severity::Error, rule, clause, what.into(), todo.into());
    }

    fn advice(
        &mut self,
        rule: &'static str,
        clause: &'static str,
        what: impl Into<String>,
        todo: impl Into<String>,
    ) {
        self.add(Severity::Advice, rule, clause, what.into(), todo.into());
    }

    fn add(
        &mut self,
        severity: Severity,
        rule: &'static str,
        clause: &'static str,
        what: String,
        todo: String,
    ) {
        let (product, profile) = (self.record.product.clone(), self.profile);
        self.findings.push(Finding { product, profile, rule, clause, severity, what, todo, allowed: false });
    }

    fn name(&self) -> &str {
        self.record.product.as_str()
    }

    /// Days on which updates really ended before the date that was promised.
    fn ended_early(&self) -> Option<Date> {
        let cohorts = self.record.cohorts.iter().map(|cohort| Some(&cohort.name)).chain([None]);
        let early = |cohort: Option<&CohortName>| {
            let status = self.record.status(self.today, cohort, self.lapsed);
            status.ended_on.filter(|on| *on < status.until)
        };
        cohorts.filter_map(early).min()
    }

    /// Whether the contact is said to be understood in English, or says nothing of languages.
    fn reads_english(&self) -> bool {
        let languages = &self.record.contact.languages;
        let english = |tag: &String| tag.to_ascii_lowercase().split('-').next() == Some("en");
        languages.is_empty() || languages.iter().any(english)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for finding in &self.findings {
            let severity = match (finding.severity, finding.allowed) {
                (_, true) => "set aside",
                (Severity::Error, _) => "error",
                (Severity::Advice, _) => "advice",
            };
            writeln!(f, "{} {} {severity}: {}", finding.product, finding.profile, finding.what)?;
            writeln!(f, "  {} [{}]", finding.clause, finding.rule)?;
            writeln!(f, "  → {}", finding.todo)?;
        }
        let (errors, products) = (self.errors(), self.products);
        let profiles: Vec<String> = self.profiles.iter().map(Profile::to_string).collect();
        let many =
            |number: usize, what: &str| format!("{number} {what}{}", if number == 1 { "" } else { "s" });
        writeln!(
            f,
            "{} by the rules of {}: {}, {} in all. No legal advice.",
            many(products, "product"),
            profiles.join(", "),
            many(errors, "error"),
            many(self.findings.len(), "finding")
        )
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Profile::Uk => "UK",
            Profile::Eu => "EU",
            Profile::Au => "AU",
        })
    }
}

#[cfg(test)]
mod tests;
