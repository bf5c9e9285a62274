//! The record that would follow the published one, as a proposal.

use perennial_schemas::document::Document as _;
use perennial_schemas::signed::to_text;
use perennial_schemas::support::{Compliance, Notice, Statement, Support, VulnerabilityContact};
use perennial_schemas::{ProductName, RoleName, Sha256Digest, Timestamp};

use super::details::Details;
use super::{cohorts, gtins};
use crate::ceremony::product::known;
use crate::proposal::{Content, Kind, Proposal, ProposalBuilder, ProposalError, published_support};
use crate::repository::Repository;

/// What is published of a product's support, to be followed.
#[derive(Debug)]
pub struct Draft<'r> {
    pub(super) repository: &'r Repository,
    pub(super) role: RoleName,
    pub(super) product: ProductName,
    pub(super) before: Option<(Support, Sha256Digest)>,
    pub(super) now: Timestamp,
}

impl<'r> Draft<'r> {
    /// Reads what is published.
    ///
    /// # Errors
    /// [`ProposalError`] where there is no such product, or its record can't be read.
    pub fn new(
        repository: &'r Repository,
        product: &ProductName,
        now: Timestamp,
    ) -> Result<Self, ProposalError> {
        let role = known(repository, product)?;
        let before = published_support(repository, &role)?;
        Ok(Self { repository, role, product: product.clone(), before, now })
    }

    /// The published record, and the digest of its file.
    ///
    /// # Errors
    /// [`ProposalError`] where there is none.
    pub fn published(&self) -> Result<&(Support, Sha256Digest), ProposalError> {
        self.before.as_ref().ok_or_else(|| {
            let product = &self.product;
            ProposalError::refused(
                format!("{product} has no support record yet"),
                format!(
                    "support promise {product} --until DATE --reason TEXT --contact FILE makes the first"
                ),
            )
        })
    }

    /// The record that follows the published one: the same, but for its place in the chain.
    ///
    /// # Errors
    /// [`ProposalError`] where there is none.
    pub fn successor(&self) -> Result<Support, ProposalError> {
        let (before, digest) = self.published()?;
        Ok(before.successor(*digest, self.now))
    }

    /// Proposes another contact for security problems.
    ///
    /// # Errors
    /// [`ProposalError`]
    pub fn contact(self, contact: VulnerabilityContact) -> Result<Proposal, ProposalError> {
        let mut record = self.successor()?;
        record.contact = contact;
        let summary = format!("Change where security problems of {} are reported", self.product);
        self.propose(record, "contact", &summary)
    }

    /// Proposes other words on maker, model and aftercare.
    ///
    /// # Errors
    /// [`ProposalError`]
    pub fn details(self, details: Details) -> Result<Proposal, ProposalError> {
        let mut record = self.successor()?;
        record.maker = details.maker.or(record.maker);
        record.model = details.model.or(record.model);
        record.aftercare = details.aftercare.or(record.aftercare);
        let summary = format!("Change how {} and its maker are described", self.product);
        self.propose(record, "model", &summary)
    }

    /// Proposes new cohorts, or more units in published ones; with a promise to the new ones.
    ///
    /// # Errors
    /// [`ProposalError`]
    pub fn cohorts(
        self,
        written: Vec<perennial_schemas::support::Cohort>,
        terms: Option<&super::promise::Terms>,
    ) -> Result<Proposal, ProposalError> {
        let mut record = self.successor()?;
        let new = cohorts::merge(&mut record.cohorts, written);
        match terms {
            Some(_) if new.is_empty() => {
                let hint = "support extend --cohort makes the date of published ones later";
                return Err(ProposalError::refused(
                    "a promise was given, and the file brings no new cohort",
                    hint,
                ));
            }
            Some(terms) => {
                let terms = super::promise::Terms { cohorts: new, ..terms.clone() };
                super::promise::add(&mut record, &terms, self.now)?;
            }
            None => {
                let lacks = |name: &&_| record.promises_for(Some(name)).next().is_none();
                if let Some(name) = new.iter().find(lacks) {
                    return Err(ProposalError::refused(
                        format!("nothing is promised to the new cohort {name}"),
                        "promise a date to it in the same proposal: --until DATE --reason TEXT",
                    ));
                }
            }
        }
        super::promise::check_sales(&record)?;
        let summary = format!("Change which units of {} share a support date", self.product);
        self.propose(record, "cohort", &summary)
    }

    /// Proposes a notice to owners.
    ///
    /// # Errors
    /// [`ProposalError`]
    pub fn notice(self, notice: Notice) -> Result<Proposal, ProposalError> {
        let mut record = self.successor()?;
        super::promise::check_cohorts(&record, &notice.cohorts)?;
        record.notices.push(notice);
        let summary = format!("Tell owners of {} something", self.product);
        self.propose(record, "notice", &summary)
    }

    /// Proposes statements of compliance, beside those that are published.
    ///
    /// # Errors
    /// [`ProposalError`]
    pub fn statements(self, statements: Vec<Statement>) -> Result<Proposal, ProposalError> {
        let mut record = self.successor()?;
        let promised = |statement: &&Statement| {
            !record
                .promises
                .iter()
                .any(|promise| promise.guaranteed_until == statement.support_at_first_supply)
        };
        if let Some(odd) = statements.iter().find(promised) {
            let dates: Vec<String> =
                record.promises.iter().map(|promise| promise.guaranteed_until.to_string()).collect();
            return Err(ProposalError::refused(
                format!("a statement says {}, which was never promised", odd.support_at_first_supply),
                format!("support_at_first_supply is one of {}", dates.join(", ")),
            ));
        }
        record.compliance.get_or_insert_with(Compliance::default).statements.extend(statements);
        let summary = format!("State the compliance of {}", self.product);
        self.propose(record, "compliance", &summary)
    }

    /// Checks a record against the published one, and proposes it.
    pub(super) fn propose(
        self,
        record: Support,
        verb: &str,
        summary: &str,
    ) -> Result<Proposal, ProposalError> {
        let subject = format!("{verb}-{}", self.product);
        let mut builder = ProposalBuilder::new(self.repository, Kind::Support, &subject, summary, self.now);
        self.put(&mut builder, record)?;
        builder.write()
    }

    /// Checks a record, and puts it into a proposal in the making.
    pub(super) fn put(
        &self,
        builder: &mut ProposalBuilder<'_>,
        record: Support,
    ) -> Result<(), ProposalError> {
        let record = record.seal();
        if let Some((before, digest)) = &self.before {
            let same = before.successor(*digest, self.now).seal() == record;
            if same {
                let hint = "support show tells what is published";
                return Err(ProposalError::refused("this would change nothing", hint));
            }
            let annulments = builder.root().map(|root| root.annulments.clone()).unwrap_or_default();
            let failed = |source| ProposalError::Support { product: self.product.to_string(), source };
            record.may_follow(before, &annulments).map_err(failed)?;
            record.continues(before, digest).map_err(failed)?;
        }
        put_record(builder, &self.role, &record, self.before.as_ref().map(|(before, _)| before))
    }
}

/// Puts a whole record into a proposal in the making.
///
/// # Errors
/// [`ProposalError`] where it breaks a rule of its format, or names what belongs to another product.
pub fn put_record(
    builder: &mut ProposalBuilder<'_>,
    role: &RoleName,
    record: &Support,
    before: Option<&Support>,
) -> Result<(), ProposalError> {
    record.validate()?;
    gtins::check(builder.repository(), before, record)?;
    let text = to_text(record)?;
    builder.put_target(role, &Support::path(&record.product)?, Content::Bytes(text))
}
