//! The rollout status of a release: fetched, verified, its number kept before it is used; and what a decision leaves to be
//! remembered of rollouts.
//!
//! A status that can't be had, or doesn't count, is none: the release is then held, as its plan says.

use alloc::string::{String, ToString};

use perennial_schemas::crypto::Crypto;
use perennial_schemas::release::Release;
use perennial_schemas::rollout::{Plan, RolloutState, RolloutStatus, StatusRefused};
use perennial_schemas::signed::Signed;
use perennial_schemas::tuf::Role;
use perennial_schemas::{Sha256Digest, Timestamp};

use super::{Check, SessionError};
use crate::decide::{Decision, HoldReason, Reason, Standing};
use crate::report::{DETAIL_LENGTH, plain};

impl<C: Crypto> Check<'_, '_, C> {
    /// Where this device stands in rollouts.
    pub(super) fn standing(&self) -> Standing<'_> {
        let now = self.refresh.validity().now(self.now);
        Standing {
            drawn_as: &self.device.identity.drawn_as,
            labels: &self.device.identity.labels,
            // A signature of the future was made by a clock that ran ahead: it consents to nothing.
            signed_at: self.offered_at.filter(|signed| *signed <= now),
            remembered: self.floors.rollouts(),
            now,
        }
    }

    /// The status of a release's rollout that counts now, if there is one.
    ///
    /// # Errors
    /// [`SessionError::Store`] where its number can't be kept: it isn't used then.
    pub(super) fn status(
        &mut self,
        release: &Release,
        manifest: &Sha256Digest,
    ) -> Result<Option<RolloutStatus>, SessionError> {
        let Some(plan) = &release.rollout else { return Ok(None) };
        match self.heard(release, plan, manifest) {
            Ok(Some(status)) => {
                let mut floors = self.floors.clone();
                floors.rollouts.saw(&status, self.refresh.validity().now(self.now));
                self.keep(floors)?;
                Ok(Some(status))
            }
            Ok(None) => Ok(None),
            Err(why) => {
                self.fetch.forget();
                self.status_refused = Some((release.version.clone(), why));
                Ok(None)
            }
        }
    }

    /// What its server says against a release that the owner takes at once: they are told, and take it all the same.
    pub(super) fn stopped(
        &mut self,
        release: &Release,
        manifest: &Sha256Digest,
    ) -> Result<Option<String>, SessionError> {
        if release.rollout.is_none() || self.device.journal.at_once.is_none() {
            return Ok(None);
        }
        let Some(status) = self.status(release, manifest)? else { return Ok(None) };
        let how = match status.state {
            RolloutState::Halted => "its rollout is halted",
            RolloutState::Paused => "its rollout is paused",
            _ if status.stopped.contains(&self.device.identity.hardware) => {
                "its rollout is halted for this hardware"
            }
            RolloutState::Running | RolloutState::Unknown => return Ok(None),
        };
        let words = plain(status.stopped_by(&self.device.identity.hardware), DETAIL_LENGTH);
        let why = if words.is_empty() { "" } else { ": " };
        Ok(Some(alloc::format!("{how}{why}{words}")))
    }

    fn heard(
        &mut self,
        release: &Release,
        plan: &Plan,
        manifest: &Sha256Digest,
    ) -> Result<Option<RolloutStatus>, String> {
        let path = RolloutStatus::path(&release.product, &release.version);
        let bytes = self.fetch.status(&path, RolloutStatus::MAX_LENGTH).map_err(|error| error.to_string())?;
        let Some(bytes) = bytes else { return Ok(None) };
        let signed = Signed::parse(&bytes).map_err(|error| error.to_string())?;
        let status = RolloutStatus::verify(signed, plan, &release.product, manifest, self.crypto)
            .map_err(|error| error.to_string())?;
        let (seen, now) = (self.floors.rollouts().seen(manifest), self.refresh.validity().now(self.now));
        status.check_current(plan, seen, now).map_err(|error| error.to_string())?;
        let ends = self.floors.rollouts().ends(plan, &status, now);
        if ends <= now {
            return Err(StatusRefused::Expired(ends).to_string());
        }
        Ok(Some(status.into_inner()))
    }

    /// Whether a release is under way that was admitted, and that still counts.
    fn is_admitted(&self, manifest: &Sha256Digest, now: Timestamp) -> bool {
        let plan = self.device.journal.plan.as_ref().filter(|plan| plan.manifest == *manifest);
        let admitted = plan.and_then(|plan| plan.source.as_ref()).and_then(|source| source.rollout);
        admitted.is_some_and(|admitted| admitted.is_current(now))
    }

    /// Keeps since when releases are held, or open again. What the plan alone holds back needs no memory.
    pub(super) fn remember(&mut self, decision: &Decision) -> Result<(), SessionError> {
        let (Decision::Update { passed_over, .. } | Decision::Held { passed_over, .. }) = decision else {
            return Ok(());
        };
        let now = self.refresh.validity().now(self.now);
        let mut floors = self.floors.clone();
        for passed in passed_over {
            if let (Some(manifest), Reason::Held { why: HoldReason::Rollout { admission, .. }, .. }) =
                (&passed.manifest, &passed.reason)
            {
                // Its server's last word still counts: one answer that is lost puts off nothing that is under way.
                if admission.is_silence() && self.is_admitted(manifest, now) {
                    continue;
                }
                floors.rollouts.admitted(manifest, admission, now);
            }
        }
        self.keep(floors)
    }
}
