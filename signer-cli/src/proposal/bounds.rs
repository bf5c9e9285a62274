//! Which snapshot or timestamp that lies in a proposal a further key may sign as it lies there, and that nothing is signed
//! which says it was made later than now.
//!
//! Both are made by the first of their keys, after everybody else's review. Anybody who can write in the folder could
//! lay one there, so only what a key of the role has signed already counts, and only if it says what this machine would
//! say itself. Anything else is made anew.

use perennial_schemas::limits::SIGNED_AHEAD_SECONDS;
use perennial_schemas::tuf::{Common, Extra, Hashes, MetaFile, Role, Snapshot, TimestampRole};
use perennial_schemas::{RoleName, Signed, Timestamp};

use super::standing::top_names;
use super::{Kind, ProposalError, Standing};
use crate::crypto::Ring;
use crate::repository::RoleFile;

impl<'p> Standing<'p> {
    /// The snapshot of the proposal, where it may be signed as it lies there.
    ///
    /// # Errors
    /// [`ProposalError`]
    pub fn snapshot_to_sign(&self, now: Timestamp) -> Result<Option<&'p Signed<Snapshot>>, ProposalError> {
        let Some(body) = &self.proposal.snapshot else { return Ok(None) };
        if !self.has_a_signature(&top_names().snapshot)? || !self.snapshot_fits()? {
            return Ok(None);
        }
        let value = body.unverified();
        let plain =
            value.common == plain_common(Snapshot::TYPE, &value.common) && value.extra == Extra::new();
        let lasts = lasts(&value.common, self.proposal.about.snapshot_days, now);
        Ok((plain && lasts).then_some(body))
    }

    /// The timestamp of the proposal, where it may be signed as it lies there.
    ///
    /// # Errors
    /// [`ProposalError`]
    pub fn timestamp_to_sign(
        &self,
        now: Timestamp,
    ) -> Result<Option<&'p Signed<TimestampRole>>, ProposalError> {
        let Some(body) = &self.proposal.timestamp else { return Ok(None) };
        if !self.has_a_signature(&top_names().timestamp)? || !self.timestamp_fits()? {
            return Ok(None);
        }
        let value = body.unverified();
        let plain = value.common == plain_common(TimestampRole::TYPE, &value.common)
            && value.extra == Extra::new()
            && value.meta.len() == 1
            && value.snapshot().is_some_and(|meta| self.describes_the_snapshot(meta));
        let last = self.last_timestamp();
        let highest = (last + 1).max(now.plus_seconds(SIGNED_AHEAD_SECONDS).unix().unsigned_abs());
        let counted = (last + 1..=highest).contains(&value.common.version);
        let lasts = lasts(&value.common, self.proposal.about.timestamp_days, now);
        Ok((plain && counted && lasts).then_some(body))
    }

    /// The version of the published timestamp; 0 where there is none that a device would take.
    pub(super) fn last_timestamp(&self) -> u64 {
        let Some(published) = self.published() else { return 0 };
        let authority = published.root.value().authority(perennial_schemas::tuf::TopRole::Timestamp);
        let good = published.timestamp.as_ref().filter(|file| file.signed.check(&authority, &Ring).is_ok());
        good.map_or(0, RoleFile::version)
    }

    /// Refuses a snapshot or an offline timestamp that would last longer than is configured, but for an archive, whose
    /// review says how long.
    pub(super) fn check_days(&self) -> Result<(), ProposalError> {
        let (about, configured) = (&self.proposal.about, &self.repository.config.expiry_days);
        for (role, days, most) in [
            ("snapshot", about.snapshot_days, configured.snapshot),
            ("timestamp", about.timestamp_days, configured.timestamp),
        ] {
            if days > most && about.kind != Kind::Archive {
                return Err(ProposalError::refused(
                    format!("the {role} would last {days} days, where repository.toml says {most}"),
                    "take a copy of the proposal that you trust, or propose it again",
                ));
            }
        }
        Ok(())
    }

    /// Refuses a role that says it was made later than now: by that day files are let go, and what comes after it compared.
    ///
    /// # Errors
    /// [`ProposalError::Refused`] with the role and the day.
    pub(super) fn check_made(&self, now: Timestamp) -> Result<(), ProposalError> {
        let root = self.proposal.root.iter().map(|body| (&top_names().root, body.unverified().common()));
        let roles = self.proposal.roles.iter().map(|(name, body)| (name, body.unverified().common()));
        root.chain(roles).try_for_each(|(role, common)| not_ahead(role, common, now))
    }

    /// The same of its snapshot, which is made by the first who signs it: devices take its date for the time at least.
    ///
    /// # Errors
    /// [`ProposalError::Refused`] with the day.
    pub(super) fn check_snapshot_made(&self, now: Timestamp) -> Result<(), ProposalError> {
        let snapshot = self.proposal.snapshot.iter().map(|body| body.unverified().common());
        snapshot.into_iter().try_for_each(|common| not_ahead(&top_names().snapshot, common, now))
    }

    fn has_a_signature(&self, role: &'p RoleName) -> Result<bool, ProposalError> {
        let authorities = self.authorities_of(role)?;
        let mut keys = authorities.iter().flat_map(|authority| authority.keys());
        Ok(keys.any(|(id, key)| self.good_signature(role, id, key).is_some()))
    }

    /// `timestamp_fits` has compared the digest; nothing else may be said of the snapshot but its version and length.
    fn describes_the_snapshot(&self, meta: &MetaFile) -> bool {
        let proposed = self.proposal.snapshot.as_ref().map(|body| body.unverified().version());
        let published = || Some(self.published()?.snapshot.as_ref()?.version());
        let one_digest = |hashes: &Hashes| hashes.len() == 1;
        Some(meta.version) == proposed.or_else(published)
            && meta.hashes.as_ref().is_some_and(one_digest)
            && meta.extra == Extra::new()
    }
}

fn not_ahead(role: &RoleName, common: &Common, now: Timestamp) -> Result<(), ProposalError> {
    let latest = now.plus_seconds(SIGNED_AHEAD_SECONDS);
    let Some(at) = common.signed_at.filter(|at| *at > latest) else { return Ok(()) };
    Err(ProposalError::refused(
        format!("{role} says that it was made {at}, and the clock here says {now}"),
        "set the clock right; or take a copy of the proposal that you trust, or propose it again",
    ))
}

fn plain_common(kind: &str, common: &Common) -> Common {
    Common::new(kind, common.version, common.expires, common.signed_at)
}

/// Whether it was signed by now, and lasts no longer than one made now.
fn lasts(common: &Common, days: u16, now: Timestamp) -> bool {
    let latest = now.plus_seconds(SIGNED_AHEAD_SECONDS);
    common.signed_at.is_some_and(|at| at <= latest) && common.expires <= latest.plus_days(days.into())
}
