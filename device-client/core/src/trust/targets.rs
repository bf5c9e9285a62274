//! The targets roles (TUF 5.6.1 to 5.6.6): the top-level one, and those that it delegates to.

use alloc::format;
use alloc::vec::Vec;

use perennial_schemas::crypto::Crypto;
use perennial_schemas::tuf::{Authority, Role, Targets, TopRole};
use perennial_schemas::{RoleName, Verified};

use super::TrustError;
use super::checks::{as_listed, current, length_of, open, signed_by, version_is, versioned};
use super::refresh::{Delegated, Refresh, Request};

const TOP: &str = "targets";

impl<C: Crypto> Refresh<'_, C> {
    /// 5.6.1 for the top-level role.
    pub(super) fn targets_request(&self) -> Result<Request, TrustError> {
        self.request_of(TOP, TOP)
    }

    /// Takes the saved top-level file if it passes every check that a fetched one has to pass.
    pub(super) fn reuse_targets(&mut self) -> bool {
        let Some(bytes) = self.state.targets.as_deref() else { return false };
        let checked = self.check_targets(TOP, bytes, &self.state.root.authority(TopRole::Targets));
        checked.map(|targets| self.set.targets = Some(targets)).is_ok()
    }

    /// Takes a fetched top-level file.
    pub(super) fn accept_targets(&mut self, bytes: Vec<u8>) -> Result<(), TrustError> {
        let targets = self.check_targets(TOP, &bytes, &self.state.root.authority(TopRole::Targets))?;
        self.set.targets = Some(targets);
        // 5.6.6 It is saved next.
        self.state.targets = Some(bytes);
        Ok(())
    }

    /// 5.6.1 for a delegated role.
    pub(super) fn delegated_request(&self, role: &RoleName) -> Result<Request, TrustError> {
        // A listed length is refused before a byte is fetched.
        self.fits_in(role, self.listed(role.as_str())?.length.unwrap_or(0))?;
        self.request_of(role.as_str(), &role.file_name())
    }

    /// Takes the saved file of a delegated role if it passes every check; a role that was verified in this refresh under
    /// the same delegation passes at once.
    pub(super) fn reuse_delegated(&mut self, role: &RoleName, parent: &RoleName) -> bool {
        if self.set.delegated.get(role).is_some_and(|known| known.by == *parent) {
            return true;
        }
        let Some(bytes) = self.state.delegated.get(role) else { return false };
        let length = bytes.len() as u64;
        let checked = self.check_delegated(role, parent, bytes);
        checked.map(|targets| self.hold(role, parent, length, targets)).is_ok()
    }

    /// Takes a fetched file of a delegated role.
    pub(super) fn accept_delegated(
        &mut self,
        role: &RoleName,
        parent: &RoleName,
        bytes: Vec<u8>,
    ) -> Result<(), TrustError> {
        let targets = self.check_delegated(role, parent, &bytes)?;
        self.hold(role, parent, bytes.len() as u64, targets);
        self.state.keep_delegated(role, bytes);
        Ok(())
    }

    fn hold(&mut self, role: &RoleName, by: &RoleName, length: u64, targets: Verified<Targets>) {
        self.set.delegated_length = self.delegated_length_with(role, length);
        self.set.delegated.insert(role.clone(), Delegated { by: by.clone(), length, targets });
    }

    /// The bytes of all delegated roles, were this one `length` bytes long.
    fn delegated_length_with(&self, role: &RoleName, length: u64) -> u64 {
        let known = self.set.delegated.get(role).map_or(0, |known| known.length);
        (self.set.delegated_length - known).saturating_add(length)
    }

    /// Not in the specification: all files together have a limit, as each has one.
    fn fits_in(&self, role: &RoleName, length: u64) -> Result<(), TrustError> {
        let limit = self.limits.delegated_length;
        if self.delegated_length_with(role, length) <= limit {
            return Ok(());
        }
        Err(TrustError::TooMuchDelegated { file: format!("{role}.json"), limit })
    }

    /// The verified file of a role; `targets` is the top-level one.
    pub(super) fn role(&self, name: &RoleName) -> Option<&Verified<Targets>> {
        match name.as_str() {
            TOP => self.set.targets.as_ref(),
            _ => self.set.delegated.get(name).map(|known| &known.targets),
        }
    }

    fn check_delegated(
        &self,
        role: &RoleName,
        parent: &RoleName,
        bytes: &[u8],
    ) -> Result<Verified<Targets>, TrustError> {
        self.fits_in(role, bytes.len() as u64)?;
        let delegations = self.role(parent).and_then(|parent| parent.delegations.as_ref());
        let authority = delegations.and_then(|delegations| delegations.authority(role));
        let why = "a role is asked for that nobody delegates to";
        self.check_targets(role.as_str(), bytes, &authority.ok_or(TrustError::OutOfOrder { why })?)
    }

    /// 5.6.2 to 5.6.5, the same for every targets role.
    fn check_targets(
        &self,
        name: &str,
        bytes: &[u8],
        authority: &Authority<'_>,
    ) -> Result<Verified<Targets>, TrustError> {
        let file = format!("{name}.json");
        let meta = self.listed(name)?;

        // 5.6.2 Mix and match: length and digests as the snapshot lists them.
        as_listed(&file, bytes, meta, self.crypto)?;

        // 5.6.3 Arbitrary software: a threshold of the keys that the root, or the delegating role, gives.
        let targets = signed_by(&file, open::<Targets>(&file, bytes)?, authority, self.crypto)?;

        // 5.6.4 Mix and match: the version that the snapshot lists. A rollback is impossible beyond that: the snapshot's
        // own versions never fall (5.5.5).
        version_is(&file, meta.version, targets.version())?;

        // 5.6.5 Freeze.
        current(&file, targets.expires(), self.now())?;
        Ok(targets)
    }

    fn request_of(&self, name: &str, file_name: &str) -> Result<Request, TrustError> {
        let meta = self.listed(name)?;
        let path = versioned(self.state.root.consistent_snapshot, meta.version, file_name);
        let max_length = length_of(&path, meta, self.limits.targets_length)?;
        Ok(Request { path, max_length })
    }
}
