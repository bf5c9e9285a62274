//! The search for a target (TUF 5.6.7): preorder, depth first, lazy. A role is fetched only when the search comes to it,
//! and only if the delegation covers the path: a role that expired, vanished or reaches outside its path harms nobody
//! whose targets it could not vouch for anyway.

use alloc::boxed::Box;
use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::vec::Vec;

use perennial_schemas::crypto::Crypto;
use perennial_schemas::tuf::{Hashes, Role, TargetFile, Targets, TopRole};
use perennial_schemas::{Json, RoleName, Sha256Digest, TargetPath, Timestamp};

use super::TrustError;
use super::refresh::{Job, Next, Refresh};

/// A target, and the role that vouches for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundTarget {
    /// The role.
    pub role: RoleName,
    /// The version of the role's file.
    pub role_version: u64,
    /// When the role's file was signed, if it says so.
    pub signed_at: Option<Timestamp>,
    /// When the role's file expires.
    pub expires: Timestamp,
    /// The target.
    pub path: TargetPath,
    /// Its length in bytes.
    pub length: u64,
    /// Its digests by algorithm, in hexadecimal digits; at least one.
    pub hashes: Hashes,
    /// The signers' own, opaque to TUF.
    pub custom: Option<Json>,
    /// Where it lies below the targets base: `dir/<hash>.name` in a consistent snapshot, the plain path otherwise
    /// (TUF 5.7.3). Not percent-encoded.
    pub location: String,
}

impl FoundTarget {
    /// Its SHA-256, where it has one.
    pub fn sha256(&self) -> Option<Sha256Digest> {
        self.hashes.get("sha256")?.parse().ok()
    }
}

/// A search under way.
pub(super) struct Search {
    path: TargetPath,
    digest: Sha256Digest,
    /// Roles still to visit, the next one last, each with the role that delegates to it.
    stack: Vec<(RoleName, RoleName)>,
    visited: BTreeSet<RoleName>,
    /// The role that a fetch is under way for.
    awaited: Option<(RoleName, RoleName)>,
    found: Option<FoundTarget>,
}

impl<C: Crypto> Refresh<'_, C> {
    /// Begins the search for a target; [`Refresh::next`] then says what it needs, and [`Refresh::found`] what came of it.
    ///
    /// # Errors
    /// [`TrustError::OutOfOrder`] before the refresh is done, and what is wrong with a saved role that the search needs.
    pub fn find(&mut self, path: &TargetPath) -> Result<(), TrustError> {
        let digest = self.crypto.sha256(path.as_str().as_bytes());
        let top = top_level();
        let stack = Vec::from([(top.clone(), top)]);
        let search = Search {
            path: path.clone(),
            digest,
            stack,
            visited: BTreeSet::new(),
            awaited: None,
            found: None,
        };
        self.begin(Job::Search(Box::new(search)))
    }

    /// What the last search found; nothing while it is under way, or where no role vouches for the path.
    pub fn found(&self) -> Option<&FoundTarget> {
        match &self.job {
            Job::Search(search) => search.found.as_ref(),
            _ => None,
        }
    }

    /// Goes on with the search as far as no file has to be fetched (5.6.7.1, 5.6.7.2).
    pub(super) fn continue_search(&mut self, search: &mut Search) -> Result<Next, TrustError> {
        while let Some((role, parent)) = search.stack.pop() {
            // 5.6.7.1 A role is visited once, so that a circle of delegations ends.
            if search.visited.contains(&role) {
                continue;
            }
            if search.visited.len() > self.limits.roles_visited {
                let limit = self.limits.roles_visited;
                return Err(TrustError::TooManyRoles { path: search.path.as_str().into(), limit });
            }
            if role != parent && !self.reuse_delegated(&role, &parent) {
                let request = self.delegated_request(&role)?;
                search.awaited = Some((role, parent));
                return Ok(Next::Fetch(request));
            }
            if self.visit(search, role) {
                return Ok(Next::Done);
            }
        }
        Ok(Next::Done)
    }

    /// Takes the file that the search waited for.
    pub(super) fn supply_search(&mut self, search: &mut Search, bytes: Vec<u8>) -> Result<(), TrustError> {
        let why = "no role is waited for";
        let (role, parent) = search.awaited.take().ok_or(TrustError::OutOfOrder { why })?;
        self.accept_delegated(&role, &parent, bytes)?;
        // Visited once the state is saved.
        search.stack.push((role, parent));
        Ok(())
    }

    /// Looks into a verified role; true ends the search.
    fn visit(&self, search: &mut Search, role: RoleName) -> bool {
        let Some(targets) = self.role(&role) else { return true };
        if let Some(target) = targets.targets.get(search.path.as_str()) {
            search.found = Some(self.found_in(&role, targets, &search.path, target));
            return true;
        }
        if let Some(delegations) = &targets.delegations {
            let mut children = Vec::new();
            for (child, terminating) in delegations.candidates(search.path.as_str(), &search.digest) {
                children.push((child, role.clone()));
                if terminating {
                    // 5.6.7.2.1 Nothing after a terminating delegation is looked at, here or further up.
                    search.stack.clear();
                    break;
                }
            }
            search.stack.extend(children.into_iter().rev());
        }
        search.visited.insert(role);
        false
    }

    fn found_in(
        &self,
        role: &RoleName,
        targets: &Targets,
        path: &TargetPath,
        target: &TargetFile,
    ) -> FoundTarget {
        let hash = ["sha256", "sha512"].iter().find_map(|name| target.hashes.get(*name));
        let hash = hash.or_else(|| target.hashes.values().next()).map_or("", String::as_str);
        let consistent = self.state.root.consistent_snapshot;
        FoundTarget {
            role: role.clone(),
            role_version: targets.version(),
            signed_at: targets.common().signed_at,
            expires: targets.expires(),
            path: path.clone(),
            length: target.length,
            hashes: target.hashes.clone(),
            custom: target.custom.clone(),
            location: if consistent { path.consistent(hash) } else { path.as_str().into() },
        }
    }

    /// Goes on with whatever is under way.
    pub(super) fn continue_job(&mut self) -> Result<Next, TrustError> {
        let mut job = core::mem::replace(&mut self.job, Job::None);
        let next = match &mut job {
            Job::None => Ok(Next::Done),
            Job::Search(search) => self.continue_search(search),
            Job::Walk(walk) => self.continue_walk(walk),
        };
        self.job = job;
        next
    }

    /// Hands a fetched file to whatever is under way.
    pub(super) fn accept_for_job(&mut self, bytes: Vec<u8>) -> Result<(), TrustError> {
        let mut job = core::mem::replace(&mut self.job, Job::None);
        let taken = match &mut job {
            Job::None => Err(TrustError::OutOfOrder { why: "no file is waited for" }),
            Job::Search(search) => self.supply_search(search, bytes),
            Job::Walk(walk) => self.supply_walk(walk, bytes),
        };
        self.job = job;
        taken
    }
}

/// The role at the top of every search.
pub(super) fn top_level() -> RoleName {
    TopRole::Targets.into()
}
