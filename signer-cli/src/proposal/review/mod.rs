//! What a proposal would change, in plain words, made from what is to be signed and from what is published: never from
//! what the proposal says of itself.

mod item;
mod rollouts;
mod root;
mod targets;

use std::fmt;

use perennial_schemas::tuf::Role;
use perennial_schemas::{ProductName, RoleName, Signed, Timestamp};
use serde::Serialize;

pub use item::{Item, TargetState};
pub(crate) use rollouts::{check_stages, drafts};

use super::rules::Family;
use super::{Kind, ProposalError, Standing};
use crate::keys::Labels;
use crate::repository::{Expiry, bins};
use crate::terminal::quoted;

/// What a proposal would change.
#[derive(Debug, Clone, Serialize)]
pub struct Review {
    /// The proposal.
    pub id: String,
    /// What it is about, as it says itself.
    pub kind: Kind,
    /// One line, as it says itself.
    pub summary: String,
    /// When it was made.
    pub created: Timestamp,
    /// How far a rollout is, where its server's status was given.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rollout: Vec<String>,
    /// Every role that would change.
    pub changes: Vec<Change>,
}

/// A role that would change.
#[derive(Debug, Clone, Serialize)]
pub struct Change {
    /// The role.
    pub role: RoleName,
    /// The version that is published; none for a new role.
    pub from: Option<u64>,
    /// The version that is proposed; none for a snapshot that is still to be made.
    pub to: Option<u64>,
    /// When it would expire.
    pub expires: Option<Timestamp>,
    /// What would change in it.
    pub items: Vec<Item>,
}

impl Review {
    /// Looks at a proposal upon what is published.
    ///
    /// # Errors
    /// [`ProposalError`] where a file that matters can't be read.
    pub fn new(standing: &Standing<'_>, labels: &Labels, now: Timestamp) -> Result<Self, ProposalError> {
        let proposal = standing.proposal;
        let mut changes = Vec::new();
        if let Some(root) = &proposal.root {
            let before = standing.published().map(|published| published.root.value());
            let items = root::items(before, root.unverified(), labels);
            changes.push(change("root", before.map(Role::version), root, items)?);
        }
        let families = Family::all(standing);
        for (role, body) in &proposal.roles {
            let Some(family) = families.iter().find(|family| family.has(role)) else { continue };
            let before = standing.published().and_then(|published| published.role(role));
            let before = before.map(|file| file.value());
            let items = targets::items(standing, family, before, body.unverified(), labels, now)?;
            changes.push(change(role.as_str(), before.map(Role::version), body, items)?);
        }
        if proposal.about.snapshot {
            changes.push(snapshot(standing, now)?);
        }
        if let Some(body) = standing.timestamp_to_sign(now)? {
            let before = standing.published().and_then(|published| published.timestamp.as_ref());
            let mut shown = change("timestamp", before.map(|file| file.version()), body, Vec::new())?;
            shown.items.clear();
            changes.push(shown);
        }
        let about = &proposal.about;
        let (id, summary) = (proposal.id.clone(), about.summary.clone());
        Ok(Self { id, kind: about.kind, summary, created: about.created, rollout: Vec::new(), changes })
    }

    /// With how far a rollout is, by the status file that its server serves.
    ///
    /// # Errors
    /// [`ProposalError`] where it is of another release, or the plan's key hasn't signed it.
    pub fn with_status(
        self,
        standing: &Standing<'_>,
        status: &[u8],
        now: Timestamp,
    ) -> Result<Self, ProposalError> {
        Ok(Self { rollout: rollouts::status(standing, status, now)?, ..self })
    }
}

fn change<T: Role>(
    role: &str,
    from: Option<u64>,
    body: &Signed<T>,
    mut items: Vec<Item>,
) -> Result<Change, ProposalError> {
    if items.is_empty() {
        items.push(if from.is_some() { Item::SameContent } else { Item::NothingYet });
    }
    let value = body.unverified();
    Ok(Change {
        role: role_name(role)?,
        from,
        to: Some(value.version()),
        expires: Some(value.expires()),
        items,
    })
}

fn snapshot(standing: &Standing<'_>, now: Timestamp) -> Result<Change, ProposalError> {
    let published = standing.published().and_then(|published| published.snapshot.as_ref());
    let body = standing.snapshot_to_sign(now)?;
    let about = &standing.proposal.about;
    let mut items = match body {
        Some(_) => Vec::new(),
        None => vec![Item::SnapshotLater { days: about.snapshot_days }],
    };
    // Measured by our own default: whoever can write in the folder can write in its configuration, too.
    if about.timestamp_days > Expiry::default().timestamp {
        items.push(Item::TimestampLater { days: about.timestamp_days });
    }
    Ok(Change {
        role: role_name("snapshot")?,
        from: published.map(|file| file.version()),
        to: body.map(|body| body.unverified().version()),
        expires: body.map(|body| body.unverified().expires()),
        items,
    })
}

fn role_name(name: &str) -> Result<RoleName, ProposalError> {
    name.parse().map_err(|e| ProposalError::refused(format!("{e}"), "propose it again"))
}

impl fmt::Display for Review {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "Proposal {}", quoted(&self.id))?;
        writeln!(f, "  made {}: {}", self.created, quoted(&self.summary))?;
        self.rollout.iter().try_for_each(|line| writeln!(f, "  {line}"))?;
        for alike in
            self.changes.chunk_by(|one, next| one.bin_like().is_some() && one.bin_like() == next.bin_like())
        {
            match alike {
                [one] => write!(f, "\n{one}")?,
                several => bins_alike(f, several)?,
            }
        }
        Ok(())
    }
}

impl Change {
    /// What bins of one product have in common that are shown together; `None` for whatever is shown by itself.
    fn bin_like(&self) -> Option<(ProductName, bool, Option<Timestamp>)> {
        let plain =
            matches!(self.items.as_slice(), [Item::MovedHere { .. } | Item::SameContent | Item::NothingYet]);
        let product = bins::owner(&self.role).filter(|_| plain)?;
        Some((product, self.from.is_none(), self.expires))
    }
}

/// Bins of one product that change alike.
fn bins_alike(f: &mut fmt::Formatter<'_>, alike: &[Change]) -> fmt::Result {
    let Some(first) = alike.first() else { return Ok(()) };
    let new = if first.from.is_none() { "new, " } else { "" };
    let expires = first.expires.map(|expires| expires.date().to_string()).unwrap_or_default();
    writeln!(f, "\n{}: {new}expires {expires}", bins::counted(&first.role, alike.len()))?;
    let taken = alike.iter().flat_map(|change| &change.items).map(|item| match item {
        Item::MovedHere { targets } => *targets,
        _ => 0,
    });
    match (taken.sum::<usize>(), first.items.first()) {
        (0, Some(item)) => write!(f, "{item}"),
        (targets, _) => write!(f, "{}", Item::MovedHere { targets }),
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.from, self.to) {
            (None, Some(to)) => write!(f, "{}: new, version {to}", self.role)?,
            (Some(from), Some(to)) => write!(f, "{}: version {from} → {to}", self.role)?,
            (Some(from), None) => write!(f, "{}: version {from} → {}", self.role, from + 1)?,
            (None, None) => write!(f, "{}: new", self.role)?,
        }
        match self.expires {
            Some(expires) => writeln!(f, ", expires {}", expires.date())?,
            None => writeln!(f)?,
        }
        self.items.iter().try_for_each(|item| write!(f, "{item}"))
    }
}
