//! Where to report a security problem, and what the reporter may expect (PSTI Schedule 1, 2).

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use super::{Support, web_address};
use crate::document::{Document as _, FormatError, ensure, ensure_none};

/// How to report a security problem, and what the reporter may expect (PSTI Schedule 1, 2).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
pub struct VulnerabilityContact {
    /// `mailto:` or `https://` addresses, at least one.
    pub contacts: Vec<String>,
    /// Days until a report is acknowledged.
    pub acknowledgement_days: u16,
    /// Days between status updates until it is resolved.
    pub status_update_days: u16,
    /// The disclosure policy's address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
    /// Where to find a key to encrypt a report with (RFC 9116 2.5.4).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encryption: Option<String>,
    /// Languages in which reports are understood, as RFC 5646 tags (RFC 9116 2.5.8).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub languages: Vec<String>,
}

impl VulnerabilityContact {
    /// A contact with one address.
    pub fn new(address: impl Into<String>, acknowledgement_days: u16, status_update_days: u16) -> Self {
        Self {
            contacts: alloc::vec![address.into()],
            acknowledgement_days,
            status_update_days,
            policy: None,
            encryption: None,
            languages: Vec::new(),
        }
    }

    /// Checks the contact alone, as a maker writes it into a file.
    ///
    /// # Errors
    /// [`FormatError::Shape`] with the rule.
    pub fn validate(&self) -> Result<(), FormatError> {
        let what = Support::WHAT;
        ensure((1..=16).contains(&self.contacts.len()), what, || "it needs 1 to 16 contacts".into())?;
        for address in self.contacts.iter().chain(&self.policy) {
            let known = address.starts_with("https://") || address.starts_with("mailto:");
            let plain = address.len() <= 500 && !address.chars().any(|c| c.is_control() || c.is_whitespace());
            ensure(known && plain, what, || {
                format!("{address:?} is neither an https:// nor a mailto: address of at most 500 characters")
            })?;
        }
        self.encryption.as_deref().map_or(Ok(()), |address| web_address("encryption", address))?;
        let tag = |tag: &String| {
            (2..=35).contains(&tag.len())
                && tag.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        };
        let odd = self.languages.iter().find(|language| !tag(language));
        ensure_none(odd, what, |odd| format!("a language is a tag such as en or pt-BR, not {odd:?}"))?;
        ensure(self.languages.len() <= 32, what, || "more than 32 languages".into())?;
        let days = 1..=366;
        let both = days.contains(&self.acknowledgement_days) && days.contains(&self.status_update_days);
        ensure(both, what, || "acknowledgement_days and status_update_days are 1 to 366".into())
    }
}
