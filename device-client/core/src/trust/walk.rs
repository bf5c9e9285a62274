//! A walk over every role and every target: what a server checks before it publishes, and a signer before it signs. A
//! device never walks.

use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use perennial_schemas::crypto::Crypto;
use perennial_schemas::tuf::{Delegation, Delegations, Role, SuccinctRoles, TargetFile};
use perennial_schemas::{RoleName, Sha256Digest, TargetPath, Timestamp};

use super::drive::{DriveError, MetadataSource, TrustStore, drive};
use super::refresh::{Job, Next, Refresh};
use super::search::top_level;
use super::{Limits, TrustError, TrustState};

/// A role, and every target that it vouches for and may.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleTargets {
    /// The role.
    pub role: RoleName,
    /// The version of its file.
    pub version: u64,
    /// When it was signed, if it says so.
    pub signed_at: Option<Timestamp>,
    /// When it expires.
    pub expires: Timestamp,
    /// Targets that every delegation on the way here covers.
    pub targets: BTreeMap<TargetPath, WalkedTarget>,
    /// Paths that it lists and may not vouch for, or that no device could ask for: ignored, and worth a word to its team.
    pub ignored: Vec<String>,
}

/// A target as a walk lists it: 1.8 million of them may come together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WalkedTarget {
    /// Its length in bytes.
    pub length: u64,
    /// Its digest, where it has this one.
    pub sha256: Option<Sha256Digest>,
}

impl From<&TargetFile> for WalkedTarget {
    fn from(target: &TargetFile) -> Self {
        Self { length: target.length, sha256: target.sha256() }
    }
}

/// A walk under way.
pub(super) struct Walk {
    stack: Vec<Visit>,
    awaited: Option<Visit>,
    visits: usize,
    roles: Vec<RoleTargets>,
    /// Where each role stands in `roles`.
    places: BTreeMap<RoleName, usize>,
}

/// A role to visit: the last of `trail`, reached along the roles before it.
struct Visit {
    trail: Vec<RoleName>,
}

/// What one delegation covers.
enum Cover<'a> {
    Role(&'a Delegation),
    Bin(&'a SuccinctRoles, &'a RoleName),
    Nothing,
}

impl Visit {
    /// Whether the last role was passed before on this way: whatever is below it was reached there already.
    fn is_circle(&self) -> bool {
        self.trail.split_last().is_some_and(|(role, before)| before.contains(role))
    }

    fn ends(&self) -> (RoleName, RoleName) {
        let role = self.trail.last().cloned().unwrap_or_else(top_level);
        let parent = self.trail.iter().rev().nth(1).cloned().unwrap_or_else(top_level);
        (role, parent)
    }
}

/// Refreshes, then reads every role that can be reached, in the order of a search, along every way that leads to it. Of succinct bins those that the
/// snapshot lists. A role that is missing, expired or badly signed is an error: whoever walks is about to publish.
///
/// # Errors
/// [`DriveError`] from any step.
pub fn walk_all<C: Crypto>(
    state: TrustState,
    crypto: &C,
    clock: Timestamp,
    limits: Limits,
    source: &mut dyn MetadataSource,
    store: &mut dyn TrustStore,
) -> Result<Walked, DriveError> {
    let mut refresh = Refresh::new(state, crypto, clock, limits);
    drive(&mut refresh, source, store)?;
    refresh.begin_walk()?;
    drive(&mut refresh, source, store)?;
    let roles = match core::mem::replace(&mut refresh.job, Job::None) {
        Job::Walk(walk) => walk.roles,
        _ => Vec::new(),
    };
    let validity = refresh.validity();
    Ok(Walked { roles, validity, state: refresh.into_state() })
}

/// What a walk brings back.
#[derive(Debug, Clone)]
pub struct Walked {
    /// Every role in preorder, the top-level one first.
    pub roles: Vec<RoleTargets>,
    /// Until when the whole set holds.
    pub validity: super::Validity,
    /// The trust state after it.
    pub state: TrustState,
}

impl<C: Crypto> Refresh<'_, C> {
    fn begin_walk(&mut self) -> Result<(), TrustError> {
        let stack = Vec::from([Visit { trail: Vec::from([top_level()]) }]);
        let (roles, places) = (Vec::new(), BTreeMap::new());
        self.begin(Job::Walk(Walk { stack, awaited: None, visits: 0, roles, places }))
    }

    pub(super) fn continue_walk(&mut self, walk: &mut Walk) -> Result<Next, TrustError> {
        while let Some(visit) = walk.stack.pop() {
            let (role, parent) = visit.ends();
            // Each way to a role is gone: another delegation may cover what the first one doesn't.
            if visit.is_circle() {
                continue;
            }
            let limit = self.limits.roles_walked;
            if walk.visits >= limit {
                return Err(TrustError::TooManyRoles { path: "everything".into(), limit });
            }
            if role != parent && !self.reuse_delegated(&role, &parent) {
                let request = self.delegated_request(&role)?;
                walk.awaited = Some(visit);
                return Ok(Next::Fetch(request));
            }
            self.visit_all(walk, visit);
        }
        Ok(Next::Done)
    }

    pub(super) fn supply_walk(&mut self, walk: &mut Walk, bytes: Vec<u8>) -> Result<(), TrustError> {
        let why = "no role is waited for";
        let visit = walk.awaited.take().ok_or(TrustError::OutOfOrder { why })?;
        let (role, parent) = visit.ends();
        self.accept_delegated(&role, &parent, bytes)?;
        walk.stack.push(visit);
        Ok(())
    }

    fn visit_all(&mut self, walk: &mut Walk, visit: Visit) {
        let (role, _) = visit.ends();
        let Some(targets) = self.role(&role) else { return };
        let mut read = RoleTargets {
            role: role.clone(),
            version: targets.version(),
            signed_at: targets.common.signed_at,
            expires: targets.expires(),
            targets: BTreeMap::new(),
            ignored: Vec::new(),
        };
        let covers = self.covers(&visit.trail);
        for (path, target) in &targets.targets {
            match path.parse::<TargetPath>() {
                Ok(valid) if self.all_cover(&covers, path) => {
                    read.targets.insert(valid, target.into());
                }
                _ => read.ignored.push(path.to_string()),
            }
        }
        let children = targets.delegations.iter().flat_map(|delegations| self.children(delegations));
        let visits = children.map(|child| {
            let mut trail = visit.trail.clone();
            trail.push(child);
            Visit { trail }
        });
        let mut visits: Vec<Visit> = visits.collect();
        if visits.is_empty() {
            self.let_go(&role);
        }
        visits.reverse();
        walk.stack.extend(visits);
        walk.visits += 1;
        match walk.places.get(&role).and_then(|at| walk.roles.get_mut(*at)) {
            Some(known) => {
                known.targets.append(&mut read.targets);
                known.ignored.retain(|path| read.ignored.contains(path));
            }
            None => {
                walk.places.insert(role, walk.roles.len());
                walk.roles.push(read);
            }
        }
    }

    /// What each delegation along the trail covers, looked up once for all targets of the role at its end.
    fn covers<'a>(&'a self, trail: &'a [RoleName]) -> Vec<Cover<'a>> {
        let cover = |pair: &'a [RoleName]| {
            let delegations = self.role(&pair[0])?.delegations.as_ref()?;
            if let Some(bins) = &delegations.succinct_roles {
                return Some(Cover::Bin(bins, &pair[1]));
            }
            delegations.roles.iter().flatten().find(|role| role.name == pair[1]).map(Cover::Role)
        };
        trail.windows(2).map(|pair| cover(pair).unwrap_or(Cover::Nothing)).collect()
    }

    fn all_cover(&self, covers: &[Cover<'_>], path: &str) -> bool {
        let digest: Sha256Digest = self.crypto.sha256(path.as_bytes());
        covers.iter().all(|cover| match cover {
            Cover::Role(delegation) => delegation.covers(path, &digest),
            Cover::Bin(bins, role) => bins.bin_for(&digest).is_ok_and(|bin| bin == **role),
            Cover::Nothing => false,
        })
    }

    fn children(&self, delegations: &Delegations) -> Vec<RoleName> {
        if delegations.succinct_roles.is_none() {
            return delegations.roles.iter().flatten().map(|role| role.name.clone()).collect();
        }
        let listed = self.set.snapshot.iter().flat_map(|snapshot| snapshot.meta.keys());
        let names = listed.filter_map(|file| file.strip_suffix(".json")?.parse::<RoleName>().ok());
        names.filter(|name| delegations.authority(name).is_some()).collect()
    }
}
