//! Whether it is this device's turn in a release's rollout, or whether that can't be told without the server's status.

use perennial_schemas::Timestamp;
use perennial_schemas::channel::Offered;
use perennial_schemas::crypto::Digest;
use perennial_schemas::release::Release;
use perennial_schemas::rollout::{self, Admission, Excluded, Place, RolloutStatus, admit};

use super::{Documents, Facts, HoldReason, Reason, Refusal, wants_at_once};
use crate::report::{DETAIL_LENGTH, plain};
use crate::rollout::Admitted;

/// Whose turn it is.
pub(super) enum Turn {
    /// The planned time has come, and the status isn't known yet.
    Asks,
    /// Not this device's.
    Waits(Reason),
    /// This device's; with what lets it come, where the release is rolled out in stages.
    Comes(Option<Admitted>),
}

/// Whether it is this device's turn. A release without a plan is for everybody; one that its owner wants at once needs none.
pub(super) fn turn(
    facts: &Facts<'_>,
    offered: &Offered,
    release: &Release,
    documents: &Documents,
    digest: &impl Digest,
) -> Turn {
    let Some(plan) = &release.rollout else { return Turn::Comes(None) };
    if !plan.takes(facts.hardware) {
        return Turn::Waits(left_out(facts));
    }
    if wants_at_once(facts, &offered.manifest) {
        return Turn::Comes(None);
    }
    let here = facts.standing;
    let place = Place {
        bucket: rollout::bucket(&plan.salt, here.drawn_as, digest),
        catch_up_part: rollout::catch_up_part(&plan.salt, here.drawn_as, digest),
        hardware: facts.hardware,
        labels: here.labels,
    };
    let memory = here.remembered.memory(&offered.manifest);
    let standing = rollout::Standing { signed_at: here.signed_at };
    let by = |status: Option<&RolloutStatus>| admit(plan, status, &place, &memory, standing, here.now);
    let planned = plan
        .early_from(here.labels)
        .map_or(plan.opens_for(place.bucket), |early| early.min(plan.opens_for(place.bucket)));
    let status = match documents.statuses.get(&offered.manifest) {
        None if planned <= here.now => return Turn::Asks,
        None => None,
        Some(status) => status.as_ref(),
    };
    match by(status) {
        // What would come without a word of the server hangs on none.
        Admission::Now => Turn::Comes(Some(Admitted {
            until: if by(None) == Admission::Now {
                None
            } else {
                status.map(|status| here.remembered.ends(plan, status, here.now))
            },
        })),
        Admission::Excluded(Excluded::Hardware) => Turn::Waits(left_out(facts)),
        admission => {
            let until = until(&admission);
            let stopped = status.map_or("", |status| status.stopped_by(facts.hardware));
            let words = plain(stopped, DETAIL_LENGTH);
            Turn::Waits(Reason::Held { until, why: HoldReason::Rollout { admission, words } })
        }
    }
}

/// Until when a hold lasts at most; `None` where it takes the signers.
fn until(admission: &Admission) -> Option<Timestamp> {
    match admission {
        Admission::NotBefore { at, .. } => Some(*at),
        Admission::Held { hold: rollout::Hold::NoConsent, .. } => None,
        Admission::Held { until, .. } => Some(*until),
        Admission::Now | Admission::Excluded(_) => None,
    }
}

fn left_out(facts: &Facts<'_>) -> Reason {
    Reason::no(Refusal::NotRolledOut { hardware: facts.hardware.clone() })
}
