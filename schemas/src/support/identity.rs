//! The maker and the product, as they stand on the box.

use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use super::{Gtin, Support, optional_text, text, web_address};
use crate::document::{Document as _, FormatError, ensure, ensure_none};
use crate::ident::HardwareName;
use crate::limits::{IDENTIFIERS, IMAGES};

/// A name and a postal address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
pub struct Party {
    /// The legal name.
    pub name: String,
    /// The postal address, in lines.
    pub address: String,
}

/// Who makes the product.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
pub struct Maker {
    /// Name and address.
    #[serde(flatten)]
    pub party: Party,
    /// Its site, `https://…`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub website: Option<String>,
    /// Its authorised representatives.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub representatives: Vec<Party>,
}

/// The product, as an owner or a shop knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
pub struct Model {
    /// What it is sold as: `Glow thermostat`.
    pub name: String,
    /// The model designation as it is marked on the device (EN 303 645 5.3-16).
    pub designation: String,
    /// What kind of product it is, in a few words: `Room thermostat`.
    pub kind: String,
    /// Numbers by which shops and registries know it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub identifiers: Vec<Identifier>,
    /// Hardware revisions and how they are marked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hardware: Vec<HardwareRevision>,
    /// Whether updates install by themselves unless the owner turns that off.
    #[serde(default)]
    pub automatic_updates: bool,
    /// Hosts that the product talks to, for its network profile (RFC 8520).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub connects_to: Vec<String>,
}

/// A number in some scheme.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
pub struct Identifier {
    /// `gtin14`, `gmn`, `mpn`, `sku`, `eprel` or another, in lower case.
    pub scheme: String,
    /// The number as that scheme writes it; a `gtin14` with all its digits.
    pub value: String,
}

/// A hardware revision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
pub struct HardwareRevision {
    /// As releases and devices name it.
    pub name: HardwareName,
    /// How an owner sees it.
    pub marking: String,
}

impl Party {
    pub(super) fn validate(&self) -> Result<(), FormatError> {
        text("a maker's or representative's name", &self.name)?;
        text(&format!("the address of {}", self.name), &self.address)
    }
}

impl Maker {
    pub(super) fn validate(&self) -> Result<(), FormatError> {
        self.party.validate()?;
        self.website.as_deref().map_or(Ok(()), |address| web_address("website", address))?;
        ensure(self.representatives.len() <= 32, Support::WHAT, || "more than 32 representatives".into())?;
        self.representatives.iter().try_for_each(Party::validate)
    }
}

impl Model {
    /// Its GTINs.
    pub fn gtins(&self) -> impl Iterator<Item = Gtin> {
        let gtins = self.identifiers.iter().filter(|identifier| identifier.scheme == "gtin14");
        gtins.filter_map(|identifier| identifier.value.parse().ok())
    }

    pub(super) fn validate(&self) -> Result<(), FormatError> {
        let what = Support::WHAT;
        text("model.name", &self.name)?;
        text("model.designation", &self.designation)?;
        text("model.kind", &self.kind)?;
        let short = [&self.name, &self.designation, &self.kind].iter().all(|text| text.len() <= 200);
        ensure(short, what, || "a model's name, designation or kind is longer than 200 bytes".into())?;
        ensure(self.identifiers.len() <= IDENTIFIERS, what, || {
            format!("more than {IDENTIFIERS} identifiers")
        })?;
        let mut seen = BTreeSet::new();
        for identifier in &self.identifiers {
            identifier.validate()?;
            ensure(seen.insert(identifier), what, || {
                format!("the {} {} stands there twice", identifier.scheme, identifier.value)
            })?;
        }
        ensure(self.hardware.len() <= IMAGES, what, || format!("more than {IMAGES} hardware revisions"))?;
        self.hardware.iter().try_for_each(|revision| optional_text("a marking", &revision.marking))?;
        ensure(self.connects_to.len() <= 64, what, || "more than 64 hosts".into())?;
        let odd = self.connects_to.iter().find(|host| !is_host(host));
        ensure_none(odd, what, |odd| format!("connects_to lists host names, and {odd:?} is none"))
    }
}

impl Identifier {
    fn validate(&self) -> Result<(), FormatError> {
        let what = Support::WHAT;
        let lower = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let named = (1..=32).contains(&self.scheme.len()) && self.scheme.bytes().all(lower);
        ensure(named, what, || {
            format!("{:?} is no scheme of identifiers, such as gtin14 or mpn", self.scheme)
        })?;
        let printable = (1..=128).contains(&self.value.len()) && !self.value.chars().any(char::is_control);
        ensure(printable, what, || format!("the {} is not 1 to 128 bytes of plain text", self.scheme))?;
        if self.scheme != "gtin14" {
            return Ok(());
        }
        let gtin: Gtin = self.value.parse().map_err(|error| FormatError::shape(what, format!("{error}")))?;
        ensure(gtin.to_string() == self.value, what, || format!("write gtin14 {} as {gtin}", self.value))
    }
}

fn is_host(host: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    (1..=253).contains(&host.len()) && host.split('.').all(label)
}
