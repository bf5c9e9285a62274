//! How things stand on a day: what is published of each product, as everybody can compute it.

use std::fmt;

use perennial_schemas::support::{Left, Summary};
use perennial_schemas::tuf::Role as _;
use perennial_schemas::{Date, ProductName, RoleName, Timestamp};
use serde::Serialize;

use super::review::{contact, promised, stated, told};
use crate::proposal::{ProposalError, published_support};
use crate::repository::Repository;
use crate::terminal::quoted;

/// The records of some products, as they read on a day.
#[derive(Debug, Serialize)]
pub struct Shown {
    /// The day.
    pub as_of: Date,
    /// Those with a record, by name.
    pub products: Vec<Summary>,
    /// Those without one.
    pub without_record: Vec<RoleName>,
}

impl Shown {
    /// Reads the record of one product, or of all.
    ///
    /// # Errors
    /// [`ProposalError`] where there is no such product, or a record can't be read.
    pub fn read(
        repository: &Repository,
        product: Option<&ProductName>,
        now: Timestamp,
    ) -> Result<Self, ProposalError> {
        let roles: Vec<RoleName> = match product {
            Some(product) => vec![crate::ceremony::product::known(repository, product)?],
            None => products(repository)?,
        };
        let mut shown = Self { as_of: now.date(), products: Vec::new(), without_record: Vec::new() };
        for role in roles {
            match published_support(repository, &role)? {
                Some((record, digest)) => {
                    let lapsed = is_lapsed(repository, &role, now);
                    shown.products.push(Summary::of(&record, digest, now.date(), lapsed));
                }
                None => shown.without_record.push(role),
            }
        }
        Ok(shown)
    }
}

/// The products of a repository: what targets delegates.
///
/// # Errors
/// [`ProposalError`] where nothing is published.
pub fn products(repository: &Repository) -> Result<Vec<RoleName>, ProposalError> {
    let targets = repository.published()?.targets();
    let delegations = targets.and_then(|targets| targets.value().delegations.as_ref());
    let roles = delegations.into_iter().flat_map(|delegations| delegations.roles.iter().flatten());
    let product = |role: &&RoleName| role.as_str().parse::<ProductName>().is_ok();
    let published = |role: &&RoleName| repository.published.as_ref().is_some_and(|p| p.role(role).is_some());
    Ok(roles.map(|delegation| &delegation.name).filter(product).filter(published).cloned().collect())
}

/// Whether the signatures on a product's role have expired.
pub fn is_lapsed(repository: &Repository, role: &RoleName, now: Timestamp) -> bool {
    let file = repository.published.as_ref().and_then(|published| published.role(role));
    file.is_some_and(|file| file.value().expires() <= now)
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, summary) in self.products.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            product(f, summary)?;
        }
        for role in &self.without_record {
            writeln!(f, "{role}: no support record")?;
        }
        if self.products.is_empty() && self.without_record.is_empty() {
            writeln!(f, "There is no product yet.")?;
        }
        Ok(())
    }
}

fn product(f: &mut fmt::Formatter<'_>, summary: &Summary) -> fmt::Result {
    let (record, support) = (&summary.record, &summary.support);
    writeln!(f, "{}", quoted(&summary.sentence))?;
    for cohort in &support.cohorts {
        let Some(standing) = summary.cohorts.get(&cohort.name) else { continue };
        let sold = if standing.on_sale { ", on sale" } else { "" };
        let left = if standing.left == Left::between(summary.as_of, summary.as_of) {
            "over".into()
        } else {
            format!("{} left", standing.left)
        };
        let (label, until) = (quoted(&cohort.label), standing.guaranteed_until.in_words());
        writeln!(f, "  {}  until {until}, {left}{sold}  {label}", cohort.name)?;
    }
    for (index, promise) in support.promises.iter().enumerate() {
        let annulled = if support.is_annulled(index) { " ANNULLED by root." } else { "" };
        let (made, reason) = (promise.made.date(), quoted(&promise.reason));
        writeln!(f, "  promise {} of {made}: {}.{annulled} Reason: {reason}", index + 1, promised(promise))?;
    }
    for annulment in &support.annulled {
        let (at, reason) = (annulment.at.date(), quoted(&annulment.reason));
        writeln!(f, "  annulled on {at}: promise {}. Reason: {reason}", annulment.promise)?;
    }
    let notices = support.notices.iter().flat_map(told);
    let statements = support.compliance.iter().flat_map(|compliance| &compliance.statements).flat_map(stated);
    for line in notices.chain(contact(&support.contact)).chain(statements) {
        writeln!(f, "  {line}")?;
    }
    let lapsed = if record.lapsed { "; its signatures have expired" } else { "" };
    writeln!(
        f,
        "  record {} of {}, SHA-256 {}{lapsed}",
        record.sequence,
        record.updated.date(),
        record.sha256
    )
}

/// The record of one product, as it reads on a day.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub struct OneShown(pub Summary);

impl fmt::Display for OneShown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        product(f, &self.0)
    }
}
