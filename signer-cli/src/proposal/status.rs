//! How things stand: what is published and when it expires, who has signed which proposal, and who is asked next.

use std::fmt;

use perennial_schemas::limits::TARGETS_IN_A_ROLE;
use perennial_schemas::tuf::{Common, Role as _, TopRole};
use perennial_schemas::{Date, ProductName, ReleaseVersion, RoleName, Timestamp};
use serde::Serialize;

use super::standing::top_names;
use super::{Found, Need, Proposal, ProposalError, Standing, published_support};
use crate::cli::CliError;
use crate::keys::Labels;
use crate::repository::{Published, Repository, authority_of, bins, top};
use crate::rollout::tell;
use crate::terminal::quoted;

/// How a repository stands.
#[derive(Debug, Serialize)]
pub struct Status {
    /// Published roles; none before the first root.
    pub roles: Vec<RoleStatus>,
    /// Products with their promised dates.
    pub products: Vec<ProductStatus>,
    /// Open proposals.
    pub proposals: Vec<ProposalStatus>,
    /// What somebody should see to.
    pub warnings: Vec<String>,
}

/// A published role.
#[derive(Debug, Serialize)]
pub struct RoleStatus {
    /// Its name; of the bins of a product, the first to expire.
    pub role: RoleName,
    /// How many bins it stands for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bins: Option<usize>,
    /// Its version.
    pub version: u64,
    /// When it expires.
    pub expires: Timestamp,
    /// Days until then; negative where it is past.
    pub days_left: i64,
    /// How many keys must sign it, and how many there are.
    pub threshold: Option<(u32, usize)>,
}

/// A product.
#[derive(Debug, Serialize)]
pub struct ProductStatus {
    /// Its name.
    pub product: RoleName,
    /// The last day of promised support; none without a record.
    pub supported_until: Option<Date>,
}

/// An open proposal.
#[derive(Debug, Serialize)]
pub struct ProposalStatus {
    /// Its id.
    pub id: String,
    /// One line, as it says itself.
    pub summary: String,
    /// Why it can't go on, if it can't.
    pub stopped: Option<String>,
    /// Whether it can be published.
    pub ready: bool,
    /// Whose signatures it has and needs.
    pub needs: Vec<NeedStatus>,
    /// Rollouts that it would begin: drafts, until it is published.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rollouts: Vec<DraftRollout>,
    /// What comes next, in words.
    pub next: String,
}

/// A rollout that no server knows of yet.
#[derive(Debug, Serialize)]
pub struct DraftRollout {
    /// Of which product.
    pub product: ProductName,
    /// Of which release.
    pub version: ReleaseVersion,
    /// "draft".
    pub state: &'static str,
    /// When its plan opens for the first devices.
    pub begins: Option<Timestamp>,
}

/// What one body needs.
#[derive(Debug, Serialize)]
pub struct NeedStatus {
    /// The role, and whose keys if that isn't plain.
    pub role: String,
    /// How many must sign.
    pub threshold: u32,
    /// Who has signed, for people.
    pub signed: Vec<String>,
    /// Who could sign still, for people.
    pub open: Vec<String>,
}

impl Status {
    /// Looks at a repository and at some of its proposals.
    ///
    /// # Errors
    /// [`ProposalError`] where a file that matters can't be read. A proposal that can't be read is a warning.
    pub fn new(
        repository: &Repository,
        proposals: &[Found],
        labels: &Labels,
        now: Timestamp,
        invocation: &str,
    ) -> Result<Self, ProposalError> {
        let mut status = Self { roles: vec![], products: vec![], proposals: vec![], warnings: vec![] };
        if let Some(published) = &repository.published {
            status.published(published, now);
            for product in published.products() {
                let record = published_support(repository, product)?;
                let supported_until = record.map(|(record, _)| record.guaranteed_until());
                status.products.push(ProductStatus { product: product.clone(), supported_until });
            }
        }
        for (id, proposal) in proposals {
            let read = proposal.as_ref().map_err(CliError::of);
            let told = read.and_then(|proposal| {
                ProposalStatus::new(proposal, repository, labels, invocation).map_err(|e| CliError::of(&e))
            });
            match told {
                Ok(proposal) => status.proposals.push(proposal),
                Err(e) => {
                    status.warnings.push(format!("the proposal {} can't be read: {}", quoted(id), e.what()))
                }
            }
        }
        Ok(status)
    }

    fn published(&mut self, published: &Published, now: Timestamp) {
        let root = published.root.value();
        let of_root = |role: TopRole| {
            let authority = root.authority(role);
            Some((authority.threshold(), authority.keys().count()))
        };
        self.role(&top(TopRole::Root), &root.common, of_root(TopRole::Root), now);
        for (name, file) in &published.roles {
            if bins::owner(name).is_some() {
                self.bins(published, name, now);
                continue;
            }
            self.role(name, file.value().common(), threshold(published, name), now);
            let count = file.value().targets.len();
            if 4 * count > 3 * TARGETS_IN_A_ROLE {
                self.warnings.push(format!(
                    "{name} lists {count} targets, of at most {TARGETS_IN_A_ROLE}: have the list split, by \
                     perennial-signer product bins {name}"
                ));
            }
        }
        if let Some(snapshot) = &published.snapshot {
            self.role(&top(TopRole::Snapshot), snapshot.value().common(), of_root(TopRole::Snapshot), now);
        }
        let Some(timestamp) = &published.timestamp else { return };
        self.role(&top(TopRole::Timestamp), timestamp.value().common(), of_root(TopRole::Timestamp), now);
        let upon = timestamp.value().snapshot().map(|meta| meta.version);
        let current = published.snapshot.as_ref().map(|file| file.version());
        if upon != current {
            self.warnings.push(
                "timestamp.json names an older snapshot: devices that update from this folder don't see the newest \
                 state until an offline timestamp key signs (snapshot, then sign)"
                    .into(),
            );
        }
    }

    fn role(&mut self, role: &RoleName, common: &Common, threshold: Option<(u32, usize)>, now: Timestamp) {
        let left = common.expires.unix() - now.unix();
        let days_left = left.div_euclid(86_400);
        let what = match role.as_str() {
            "timestamp" => "sign a new one: snapshot, then sign with an offline timestamp key",
            "snapshot" => "sign a new one: snapshot",
            _ if bins::owner(role).is_some() => {
                "any change to its product signs it anew, and so does archive"
            }
            _ => "sign it anew with any change to it, or with archive",
        };
        if left <= 0 {
            self.warnings.push(format!("{role} has expired: {what}"));
        } else if past_half(common, now) {
            self.warnings.push(format!("{role} is past half of its time, {days_left} days are left: {what}"));
        }
        let (version, expires) = (common.version, common.expires);
        self.roles.push(RoleStatus {
            role: role.clone(),
            bins: None,
            version,
            expires,
            days_left,
            threshold,
        });
    }

    /// Of a product's bins the first to expire speaks for all.
    fn bins(&mut self, published: &Published, name: &RoleName, now: Timestamp) {
        let Some(product) = bins::owner(name).filter(|product| bins::bin(product, 0) == *name) else {
            return;
        };
        let all = bins::all(&product).filter_map(|bin| Some((published.role(&bin)?, bin)));
        let all: Vec<_> = all.collect();
        let Some((file, first)) = all.iter().min_by_key(|(file, _)| file.value().expires()) else { return };
        let threshold = threshold(published, first);
        self.role(first, file.value().common(), threshold, now);
        if let Some(role) = self.roles.last_mut() {
            role.bins = Some(all.len());
        }
    }
}

/// How many keys must sign a role, and how many there are.
fn threshold(published: &Published, role: &RoleName) -> Option<(u32, usize)> {
    let root = published.root.value();
    let authority = authority_of(role, root, |name| Some(published.role(name)?.value()))?;
    Some((authority.threshold(), authority.keys().count()))
}

/// Whether more than half of the time between signing and expiry is over; a file that does not say when it was signed
/// counts as late in its last 30 days.
pub(super) fn past_half(common: &Common, now: Timestamp) -> bool {
    let expires = common.expires.unix();
    match common.signed_at {
        Some(signed) => 2 * (now.unix() - signed.unix()) > expires - signed.unix(),
        None => expires - now.unix() < 30 * 86_400,
    }
}

impl ProposalStatus {
    fn new(
        proposal: &Proposal,
        repository: &Repository,
        labels: &Labels,
        invocation: &str,
    ) -> Result<Self, ProposalError> {
        let standing = Standing::new(proposal, repository);
        let stopped = standing.check_needed().and_then(|()| standing.check_base());
        let stopped = stopped.and_then(|()| standing.check_unchanged());
        let stopped = stopped.and_then(|()| super::rules::check(proposal, repository, None));
        let needs = standing.needs()?;
        let ready = stopped.is_ok() && standing.is_ready()?;
        let rollouts = super::drafts(&standing)?.into_iter().map(|(release, plan)| DraftRollout {
            product: release.product,
            version: release.version,
            state: "draft",
            begins: tell::begins(&plan),
        });
        let rollouts = rollouts.collect();
        let next = match &stopped {
            Err(e) => CliError::of(e).naming(invocation).hint().into(),
            Ok(()) if ready => format!("{invocation} publish {}", proposal.id),
            Ok(()) => next(&standing, &needs, labels, invocation)?,
        };
        Ok(Self {
            id: proposal.id.clone(),
            summary: proposal.about.summary.clone(),
            stopped: stopped.err().map(|e| CliError::of(&e).what().to_owned()),
            ready,
            needs: Need::together(&needs).map(|(name, need)| NeedStatus::new(name, need, labels)).collect(),
            rollouts,
            next,
        })
    }
}

/// Who is asked next: role signers first, then one who makes the snapshot.
fn next(
    standing: &Standing<'_>,
    needs: &[Need],
    labels: &Labels,
    invocation: &str,
) -> Result<String, ProposalError> {
    let roles_first = !standing.roles_are_signed()?;
    let stage = |need: &&Need| {
        (need.role == top_names().snapshot || need.role == top_names().timestamp) != roles_first
    };
    let stale = standing.proposal.snapshot.is_some() && !standing.snapshot_fits()?;
    let mut who: Vec<String> = Vec::new();
    for need in needs.iter().filter(stage).filter(|need| !need.is_met() || stale) {
        let keys = if need.is_met() { &need.signed } else { &need.open };
        who.extend(keys.iter().map(|id| labels.name(id)));
    }
    who.sort();
    who.dedup();
    let verb = format!("{invocation} sign {} --key FILE", standing.proposal.id);
    Ok(format!("{} signs: {verb}", who.join(" or ")))
}

impl NeedStatus {
    fn new(name: String, need: &Need, labels: &Labels) -> Self {
        let names = |ids: &[perennial_schemas::KeyId]| ids.iter().map(|id| labels.name(id)).collect();
        let role = need.by.map_or(name.clone(), |by| format!("{name} (by the keys of {by})"));
        Self { role, threshold: need.threshold, signed: names(&need.signed), open: names(&need.open) }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.roles.is_empty() {
            writeln!(f, "Nothing is published yet.")?;
        } else {
            writeln!(f, "Published")?;
        }
        let width = self.roles.iter().map(|role| role.role.as_str().len()).max().unwrap_or(0);
        for role in &self.roles {
            let name = role.role.as_str();
            let keys = role
                .threshold
                .map(|(k, n)| format!("{k} of {n} keys"))
                .unwrap_or("no longer delegated".into());
            let keys = role.bins.map_or(keys.clone(), |bins| format!("first of {bins} bins, {keys}"));
            writeln!(
                f,
                "  {name:width$}  {keys}, version {}, expires {} ({} days)",
                role.version,
                role.expires.date(),
                role.days_left
            )?;
        }
        if !self.products.is_empty() {
            writeln!(f, "\nProducts")?;
        }
        for product in &self.products {
            match product.supported_until {
                Some(until) => writeln!(f, "  {}: security updates until {until}", product.product)?,
                None => writeln!(f, "  {}: no support record", product.product)?,
            }
        }
        for warning in &self.warnings {
            writeln!(f, "\n! {warning}")?;
        }
        if self.proposals.is_empty() {
            return writeln!(f, "\nNo open proposal.");
        }
        self.proposals.iter().try_for_each(|proposal| write!(f, "\n{proposal}"))
    }
}

impl fmt::Display for ProposalStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "Proposal {}\n  {}", quoted(&self.id), quoted(&self.summary))?;
        let width = self.needs.iter().map(|need| need.role.chars().count()).max().unwrap_or(0);
        for need in &self.needs {
            let signed =
                if need.signed.is_empty() { String::new() } else { format!(": {}", need.signed.join(", ")) };
            let count = need.signed.len();
            write!(f, "  {:width$}  {count} of {}{signed}", need.role, need.threshold)?;
            let missing = (need.threshold as usize).saturating_sub(count);
            match missing {
                0 => writeln!(f, "  ✓")?,
                _ => writeln!(f, "; {missing} more of {}", need.open.join(", "))?,
            }
        }
        for DraftRollout { product, version, state, begins } in &self.rollouts {
            let begins = begins.map_or_else(String::new, |begins| format!(", to begin at {begins}"));
            writeln!(f, "  Rollout of {product} {version}: {state}{begins}")?;
        }
        if let Some(stopped) = &self.stopped {
            writeln!(f, "  ! {stopped}")?;
        }
        writeln!(f, "  Next: {}", self.next)
    }
}
