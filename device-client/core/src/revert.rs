//! Going back to the release in the other slot, because the owner wants it.
//!
//! Decides whether that may be: the release was confirmed there, its maker has not withdrawn it, and it isn't below the
//! anti-rollback counter. The slot is then read back and tried like any new release.

use alloc::collections::BTreeSet;

use perennial_schemas::report::FailureCode;
use perennial_schemas::{ReleaseVersion, Sha256Digest};

use crate::journal::Journal;
use crate::machine::State;
use crate::plan::Plan;
use crate::port::Slot;

/// Why the device does not go back.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RevertError {
    /// An update is under way.
    #[error("an update is under way ({0}); it comes to its end first")]
    Busy(
        /// Its state.
        &'static str,
    ),
    /// The other slot holds nothing that was confirmed here.
    #[error("slot {0} holds no release that was installed and confirmed by this agent")]
    NothingThere(
        /// The other slot.
        Slot,
    ),
    /// Its maker has withdrawn it.
    #[error("{0} was withdrawn by its maker")]
    Withdrawn(
        /// The release.
        ReleaseVersion,
    ),
    /// It would undo a security update.
    #[error(
        "{version} has security version {security_version}, and this device has confirmed {counter} already"
    )]
    BelowCounter {
        /// The release.
        version: ReleaseVersion,
        /// Its number.
        security_version: u32,
        /// The device's counter.
        counter: u32,
    },
}

impl RevertError {
    /// Its number in reports.
    pub fn code(&self) -> FailureCode {
        match self {
            Self::Busy(_) | Self::NothingThere(_) => FailureCode::Inconsistent,
            Self::Withdrawn(_) => FailureCode::Withdrawn,
            Self::BelowCounter { .. } => FailureCode::SecurityVersion,
        }
    }
}

/// The plan for going back, for [`crate::machine::Wish::Revert`].
///
/// # Errors
/// [`RevertError`].
pub fn plan(
    journal: &Journal,
    booted: Slot,
    counter: u32,
    withdrawn: &BTreeSet<Sha256Digest>,
) -> Result<Plan, RevertError> {
    if journal.state != State::Idle {
        return Err(RevertError::Busy(journal.state.name()));
    }
    let slot = booted.other();
    let content = journal.content(slot).ok_or(RevertError::NothingThere(slot))?;
    let (version, security_version) = (content.version.clone(), content.security_version);
    let (Some(manifest), Some((length, sha256))) = (content.manifest, content.image) else {
        return Err(RevertError::NothingThere(slot));
    };
    if withdrawn.contains(&manifest) {
        return Err(RevertError::Withdrawn(version));
    }
    if security_version < counter {
        return Err(RevertError::BelowCounter { version, security_version, counter });
    }
    Ok(Plan { version, manifest, security_version, slot, length, sha256, source: None })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::Content;

    fn journal(image: bool) -> Journal {
        let mut journal = Journal::new(Slot::A, None);
        journal.b = Some(Content {
            version: "1.0.0".parse().unwrap(),
            manifest: Some(Sha256Digest([7; 32])),
            security_version: 2,
            image: image.then_some((10, Sha256Digest([8; 32]))),
        });
        journal
    }

    #[test]
    fn only_a_confirmed_release_that_is_neither_withdrawn_nor_below_the_counter_comes_back() {
        let none = BTreeSet::new();
        let back = plan(&journal(true), Slot::A, 2, &none).unwrap();
        assert_eq!((back.slot, back.source), (Slot::B, None));
        let below = plan(&journal(true), Slot::A, 3, &none).unwrap_err();
        assert_eq!(below.code(), FailureCode::SecurityVersion);
        let withdrawn = plan(&journal(true), Slot::A, 2, &[Sha256Digest([7; 32])].into()).unwrap_err();
        assert_eq!(withdrawn.code(), FailureCode::Withdrawn);
        assert_eq!(plan(&journal(true), Slot::B, 2, &none), Err(RevertError::NothingThere(Slot::A)));
        assert_eq!(plan(&journal(false), Slot::A, 2, &none), Err(RevertError::NothingThere(Slot::B)));
    }
}
