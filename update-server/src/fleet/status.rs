//! How the fleet plane is, in a few figures. It judges only what somebody must do.

use super::desk;
use super::row::Standing;
use crate::store::{Store, StoreError};
use perennial_schemas::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// An enrolment certificate is renewed offline, which takes some weeks to arrange.
pub(crate) const ENROLMENT_DAYS: i64 = 45;

/// What `perennial-server status` tells of it. Counts of reports, check-ins and enrolments are since the server's start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = FleetSummary)]
pub struct Summary {
    /// True while anybody may report in lab mode.
    pub lab: bool,
    /// Devices by standing: `enrolled`, `quarantined`, `revoked`, `lab`.
    pub devices: BTreeMap<String, u64>,
    /// Devices whose records can't be read.
    #[serde(default)]
    pub damaged: u64,
    /// Generations and manifests that can't be read: whether devices run releases of theirs can't be said.
    #[serde(default)]
    pub releases_unreadable: u64,
    /// When they were counted.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub counted_at: Option<Timestamp>,
    /// Reports that wait to be written down.
    pub waiting: i64,
    /// Reports that became durable.
    pub reports: u64,
    /// Check-ins that became durable.
    pub check_ins: u64,
    /// Fleet certificates that were given, renewals included.
    pub enrolments: u64,
    /// When the enrolment certificate expires.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub enrolment_expires: Option<Timestamp>,
    /// Serial numbers on the revocation lists.
    pub revocations: u64,
    /// When the first of these lists should have been renewed.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub revocations_until: Option<Timestamp>,
    /// Why what is on the disk in place of the device CA's files isn't what counts, or should not: in words.
    #[serde(default)]
    pub device_ca_trouble: Option<String>,
    /// Why the list of serial numbers that is on the disk isn't what counts: in words.
    #[serde(default)]
    pub serials_trouble: Option<String>,
}

impl Summary {
    /// While no server runs: how many devices it left; `None` where it never knew any.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn left_behind(store: &dyn Store, now: Timestamp) -> Result<Option<Self>, StoreError> {
        let counted = desk::count(store)?;
        Ok((counted != desk::Counted::default()).then(|| Self {
            lab: false,
            devices: words(&counted.by),
            damaged: counted.damaged,
            releases_unreadable: 0,
            counted_at: Some(now),
            waiting: 0,
            reports: 0,
            check_ins: 0,
            enrolments: 0,
            enrolment_expires: None,
            revocations: 0,
            revocations_until: None,
            device_ca_trouble: None,
            serials_trouble: None,
        }))
    }

    /// How many devices are of a standing.
    pub fn count(&self, standing: Standing) -> u64 {
        self.devices.get(standing.as_str()).copied().unwrap_or(0)
    }
}

impl Standing {
    /// Every one, with its word.
    pub const ALL: [(Self, &'static str); 4] = [
        (Self::Enrolled, "enrolled"),
        (Self::Quarantined, "quarantined"),
        (Self::Revoked, "revoked"),
        (Self::Lab, "lab"),
    ];

    /// As it is written in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Enrolled => "enrolled",
            Self::Quarantined => "quarantined",
            Self::Revoked => "revoked",
            Self::Lab => "lab",
        }
    }
}

pub(super) fn words(counted: &BTreeMap<Standing, u64>) -> BTreeMap<String, u64> {
    let count = |standing| counted.get(standing).copied().unwrap_or(0);
    Standing::ALL.iter().map(|(standing, word)| ((*word).to_owned(), count(standing))).collect()
}
