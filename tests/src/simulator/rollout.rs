//! Rollouts of the simulated product: a plan that opens day by day, and statuses as its server, or a thief, signs them.

use perennial_schemas::release::{ROLLOUT_FEATURE, Release};
use perennial_schemas::rollout::{
    EarlyGroup, Gate, OnDeadline, Phase, Plan, RolloutState, RolloutStatus, Salt, Spread, WHOLE,
};
use perennial_schemas::signed::{Envelope, canonical_of, to_text};
use perennial_schemas::tuf::{Common, Role};
use perennial_schemas::{Sha256Digest, Timestamp};

use super::{PRODUCT, Signer, day};

/// The key that plans name.
pub const ROLLOUT_KEY: Signer = Signer(900);

/// Rolls a release out from day 2 on: evenly, all within ten days, and `beta` on day 1. A device is held for seven days at
/// most, a status is valid for a day, and whoever was held comes back at once.
pub fn staged(release: &mut Release) {
    release.requires = vec![ROLLOUT_FEATURE.into()];
    let phase = |share, days, spread| Phase { share, not_before: day(days), spread };
    release.rollout = Some(Plan {
        salt: Salt::new(vec![3; 32]).expect("a salt"),
        key: ROLLOUT_KEY.key(),
        phases: vec![phase(WHOLE, 2, Spread::Linear), phase(WHOLE, 12, Spread::AtOnce)],
        early: vec![EarlyGroup { labels: vec!["beta".parse().expect("a label")], not_before: day(1) }],
        hardware: None,
        gate: Gate {
            ceiling_ppm: 20_000,
            alpha_ppm: 50_000,
            beta_ppm: 50_000,
            least_sample: 0,
            least_soak_seconds: 0,
        },
        max_hold_seconds: 7 * 86_400,
        on_deadline: OnDeadline::Consent,
        catch_up_seconds: 0,
        status_max_age_seconds: 86_400,
    });
}

/// A status that was issued at a time and is valid for a day: open for all, running since day 2. Its number is that time.
pub fn status(manifest: Sha256Digest, issued: Timestamp) -> RolloutStatus {
    let number = u64::try_from(issued.unix()).expect("after 1970");
    RolloutStatus {
        common: Common::new(RolloutStatus::TYPE, number, issued.plus_days(1), None),
        product: PRODUCT.parse().expect("a product"),
        manifest,
        key: ROLLOUT_KEY.id(),
        issued,
        open: WHOLE,
        state: RolloutState::Running,
        stopped: vec![],
        since: day(2),
        reason: String::new(),
        stopped_reasons: Default::default(),
        audit: String::new(),
    }
}

/// A status as it is served, signed by anybody.
pub fn signed_status(status: &RolloutStatus, signer: Signer) -> Vec<u8> {
    let signatures = vec![signer.sign(&canonical_of(status).expect("a status of ours is strict JSON"))];
    to_text(&Envelope { signed: status.clone(), signatures }).expect("a status of ours is JSON")
}

/// Where the status of a release is.
pub fn path_of_status(version: &str) -> String {
    RolloutStatus::path(&PRODUCT.parse().expect("a product"), &version.parse().expect("a version"))
}
