//! What a maker tells owners after a promise: a weakness, an honest mistake, the end.

use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use super::{CohortName, Support, optional_text, text};
use crate::document::{Document as _, FormatError, ensure};
use crate::limits::COHORTS;
use crate::release::Severity;
use crate::time::{Date, Timestamp};

/// A notice. Never changed once published.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
pub struct Notice {
    /// When it was made.
    pub made: Timestamp,
    /// What it is about.
    #[serde(flatten)]
    pub kind: NoticeKind,
    /// What happened, in plain words.
    pub text: String,
    /// What an owner should do.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub advice: String,
    /// The cohorts that it is about; empty for every unit.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cohorts: Vec<CohortName>,
}

/// What a notice is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum NoticeKind {
    /// Anything that an owner should know.
    Information,
    /// A weakness that is known, and not fixed by a release that names it.
    Vulnerability(OpenVulnerability),
    /// Updates ended on this day, before the date that was promised. The promise stays visible beside it.
    EndedEarly {
        /// The last day on which there were updates.
        on: Date,
    },
    /// The maker has stopped to exist, or to make updates at all.
    Ceased {
        /// Since this day.
        on: Date,
    },
}

/// A weakness that is publicly known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
pub struct OpenVulnerability {
    /// Such as `CVE-2026-12345`.
    pub id: String,
    /// How bad it is.
    pub severity: Severity,
    /// The day on which it became publicly known.
    pub disclosed: Date,
}

impl Notice {
    /// Whether it is about units of `cohort`; without one, whether it is about any unit.
    pub fn concerns(&self, cohort: Option<&CohortName>) -> bool {
        self.cohorts.is_empty() || cohort.is_none_or(|name| self.cohorts.contains(name))
    }

    pub(super) fn validate(&self) -> Result<(), FormatError> {
        text("the text of a notice", &self.text)?;
        optional_text("the advice of a notice", &self.advice)?;
        ensure(self.cohorts.len() <= COHORTS, Support::WHAT, || "a notice names too many cohorts".into())?;
        match &self.kind {
            NoticeKind::Vulnerability(open) => {
                let id =
                    (1..=64).contains(&open.id.len()) && open.id.bytes().all(|byte| byte.is_ascii_graphic());
                ensure(id, Support::WHAT, || "a weakness's id is 1 to 64 printable characters".into())
            }
            _ => Ok(()),
        }
    }
}
