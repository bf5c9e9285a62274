//! A product's role and its bins, taken together: what is said of a product is said by both.

use std::collections::{BTreeMap, BTreeSet};

use perennial_schemas::tuf::{Role as _, TargetFile};
use perennial_schemas::{RoleName, Timestamp};

use crate::proposal::Standing;
use crate::repository::bins;

/// Targets by path.
pub(in crate::proposal) type Listed<'p> = BTreeMap<&'p str, &'p TargetFile>;

/// A role that the proposal changes, with its bins; or one whose bins it changes.
pub(in crate::proposal) struct Family<'p> {
    /// The product's role, or another without bins.
    pub(in crate::proposal) role: RoleName,
    /// The targets as they are published; none where the role is new.
    pub(in crate::proposal) before: Option<Listed<'p>>,
    /// The targets as they would stand.
    pub(in crate::proposal) after: Listed<'p>,
    /// When the first of its changed roles says that it was made.
    pub(super) made: Option<Timestamp>,
    /// Whether somebody else has published one of them meanwhile.
    pub(super) moved: bool,
}

impl<'p> Family<'p> {
    /// Those that a proposal changes.
    pub(in crate::proposal) fn all(standing: &Standing<'p>) -> Vec<Self> {
        let proposed = &standing.proposal.roles;
        let (roles, moved) = (standing.roles(), standing.moved());
        let names: BTreeSet<RoleName> = proposed.keys().map(bins::family).collect();
        let family = |role: RoleName| {
            let changed = proposed.iter().filter(|(name, _)| bins::family(name) == role);
            let published = standing.published().filter(|published| published.role(&role).is_some());
            Self {
                before: published.map(|published| published.targets_of(&role)),
                after: bins::targets(&role, |name| roles.get(name).copied()),
                made: changed.clone().filter_map(|(_, body)| body.unverified().common().signed_at).min(),
                moved: changed.clone().any(|(name, _)| moved.contains(&name)),
                role,
            }
        };
        names.into_iter().map(family).collect()
    }

    /// Whether a role belongs to it.
    pub(in crate::proposal) fn has(&self, role: &RoleName) -> bool {
        bins::family(role) == self.role
    }
}
