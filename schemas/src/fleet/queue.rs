//! One device's reports on their way to the server, and what the server has of them.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use super::Flagged;
use crate::document::{Document, FormatError, ensure, ensure_none};
use crate::ident::DeviceId;
use crate::limits::{ACKNOWLEDGED_LENGTH, QUEUE_LENGTH, QUEUE_REPORTS};
use crate::report::Report;

/// One device's reports: 1 to 128, their sequence numbers ascending. Gaps are allowed, as a device's journal is bounded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
pub struct ReportQueue {
    /// `perennial.reports/1`.
    pub format: String,
    /// Features that a reader must know.
    pub requires: Vec<String>,
    /// The device, which each report names too.
    pub device: DeviceId,
    /// The reports.
    pub reports: Vec<Report>,
}

/// What is durable. It is said after the commit, never before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
pub struct Acknowledged {
    /// `perennial.acknowledged/1`.
    pub format: String,
    /// Features that a reader must know.
    pub requires: Vec<String>,
    /// Every report that was sent up to this sequence number is durable.
    pub acknowledged: u64,
    /// Reports of this queue in which something is odd.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub flagged: Vec<Flagged>,
}

impl ReportQueue {
    /// A queue of `device`.
    pub fn new(device: DeviceId, reports: Vec<Report>) -> Self {
        Self { format: Self::FORMAT.into(), requires: Vec::new(), device, reports }
    }
}

impl Acknowledged {
    /// Everything up to `acknowledged` is durable.
    pub fn new(acknowledged: u64, flagged: Vec<Flagged>) -> Self {
        Self { format: Self::FORMAT.into(), requires: Vec::new(), acknowledged, flagged }
    }
}

impl Document for ReportQueue {
    const FORMAT: &'static str = "perennial.reports/1";
    const WHAT: &'static str = "queue of reports";
    const MAX_LENGTH: u64 = QUEUE_LENGTH;

    fn requires(&self) -> &[String] {
        &self.requires
    }

    fn validate(&self) -> Result<(), FormatError> {
        let what = Self::WHAT;
        ensure(!self.reports.is_empty(), what, || "it has no report".into())?;
        ensure(self.reports.len() <= QUEUE_REPORTS, what, || format!("more than {QUEUE_REPORTS} reports"))?;
        self.reports.iter().try_for_each(Report::validate_within)?;
        let foreign = self.reports.iter().find(|report| report.device != self.device);
        ensure_none(foreign, what, |report| {
            format!("report {} is of {:?}, another device", report.sequence, report.device)
        })?;
        let back = self.reports.windows(2).find(|pair| pair[0].sequence >= pair[1].sequence);
        ensure_none(back, what, |pair| {
            format!("report {} stands after {}", pair[1].sequence, pair[0].sequence)
        })
    }
}

impl Document for Acknowledged {
    const FORMAT: &'static str = "perennial.acknowledged/1";
    const WHAT: &'static str = "acknowledgement";
    const MAX_LENGTH: u64 = ACKNOWLEDGED_LENGTH;

    fn requires(&self) -> &[String] {
        &self.requires
    }

    fn validate(&self) -> Result<(), FormatError> {
        ensure(self.flagged.len() <= QUEUE_REPORTS, Self::WHAT, || format!("more than {QUEUE_REPORTS} flags"))
    }
}
