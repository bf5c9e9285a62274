//! Who a device is, as its certificate says it: URIs in the subject alternative name, each in its place.
//!
//! This is the only place that knows them. One name has one spelling: unknown URIs, doubles, missing ones and another order
//! are refused, so that no two readers understand a certificate differently.
//!
//! | URI | how many |
//! | --- | --- |
//! | `perennial:device/ID` | one: the id of the factory key, [`DeviceId::of_key`] |
//! | `perennial:product/P` | one |
//! | `perennial:hardware/H` | one |
//! | `perennial:label/L` | 0 to 16, sorted |
//! | `perennial:kind/factory` or `perennial:kind/fleet` | one |

use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;
use core::str::FromStr;

use crate::document::abridged;
use crate::ident::{DeviceId, HardwareName, Label, NotAName, ProductName};
use crate::limits::LABELS;

/// Who a device is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name {
    /// Of the form of [`DeviceId::of_key`].
    pub device: DeviceId,
    /// The product.
    pub product: ProductName,
    /// The hardware revision.
    pub hardware: HardwareName,
    /// Early groups, at most 16.
    pub labels: BTreeSet<Label>,
    /// What the certificate is for.
    pub kind: Kind,
}

/// What a device's certificate is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Given at the factory, for as long as the device may live: opens enrolment, and nothing else.
    Factory,
    /// Given at enrolment, for months: opens everything.
    Fleet,
}

/// Why the names of a certificate are none of ours.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Not one of the five.
    #[error("{0:?} is no name of a device")]
    Unknown(String),
    /// Stands there a second time.
    #[error("perennial:{0} stands there twice")]
    Twice(&'static str),
    /// Isn't there.
    #[error("perennial:{0} is missing")]
    Missing(&'static str),
    /// In another order than the one spelling.
    #[error("its names are not in their order, or its labels are not sorted")]
    Order,
    /// More labels than a device may have.
    #[error("more than {LABELS} labels")]
    TooManyLabels,
    /// The device is not named after a key.
    #[error("the device is named {0:?}, which is not 32 hexadecimal digits from its key")]
    Device(String),
    /// A value that is no name of its kind.
    #[error(transparent)]
    Value(#[from] NotAName),
}

/// A word longer than every name with its prefix is none: nothing longer is copied.
const URI_LENGTH: usize = 256;

impl Kind {
    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Factory => "factory",
            Kind::Fleet => "fleet",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Name {
    /// The URIs, in their order.
    pub fn to_uris(&self) -> Vec<String> {
        let mut uris = alloc::vec![
            format!("perennial:device/{}", self.device),
            format!("perennial:product/{}", self.product),
            format!("perennial:hardware/{}", self.hardware),
        ];
        uris.extend(self.labels.iter().map(|label| format!("perennial:label/{label}")));
        uris.push(format!("perennial:kind/{}", self.kind));
        uris
    }

    /// Reads every URI of a certificate's subject alternative name, in the order in which they stand. Names of other types
    /// (DNS, addresses, e-mail, directory names) have no place in a device's certificate: refuse it where there are any.
    ///
    /// # Errors
    /// [`NameError`].
    pub fn from_uris<'u>(uris: impl IntoIterator<Item = &'u str>) -> Result<Self, NameError> {
        let mut read = Read::default();
        let mut places = Vec::new();
        for uri in uris {
            places.push(read.take(uri)?);
        }
        let sorted = places.is_sorted() && read.labels.is_sorted();
        let labels: BTreeSet<Label> = read.labels.iter().cloned().collect();
        if labels.len() != read.labels.len() {
            return Err(NameError::Twice("label"));
        }
        let name = Self {
            device: read.device.ok_or(NameError::Missing("device"))?,
            product: read.product.ok_or(NameError::Missing("product"))?,
            hardware: read.hardware.ok_or(NameError::Missing("hardware"))?,
            labels,
            kind: read.kind.ok_or(NameError::Missing("kind"))?,
        };
        if !name.device.has_form_of_key() {
            return Err(NameError::Device(name.device.to_string()));
        }
        if sorted { Ok(name) } else { Err(NameError::Order) }
    }
}

#[derive(Default)]
struct Read {
    device: Option<DeviceId>,
    product: Option<ProductName>,
    hardware: Option<HardwareName>,
    labels: Vec<Label>,
    kind: Option<Kind>,
}

impl Read {
    /// Takes one URI in, and says which place it has among the others.
    fn take(&mut self, uri: &str) -> Result<u8, NameError> {
        let unknown = || NameError::Unknown(abridged(uri.chars().take(URI_LENGTH).collect()));
        let rest = uri.strip_prefix("perennial:").filter(|_| uri.len() <= URI_LENGTH).ok_or_else(unknown)?;
        let (what, value) = rest.split_once('/').ok_or_else(unknown)?;
        match what {
            "device" => once(&mut self.device, "device", value).map(|()| 0),
            "product" => once(&mut self.product, "product", value).map(|()| 1),
            "hardware" => once(&mut self.hardware, "hardware", value).map(|()| 2),
            "label" if self.labels.len() == LABELS => Err(NameError::TooManyLabels),
            "label" => {
                self.labels.push(value.parse()?);
                Ok(3)
            }
            "kind" => {
                let kind = match value {
                    "factory" => Kind::Factory,
                    "fleet" => Kind::Fleet,
                    _ => return Err(unknown()),
                };
                if self.kind.replace(kind).is_some() { Err(NameError::Twice("kind")) } else { Ok(4) }
            }
            _ => Err(unknown()),
        }
    }
}

fn once<T: FromStr<Err = NotAName>>(
    slot: &mut Option<T>,
    what: &'static str,
    value: &str,
) -> Result<(), NameError> {
    if slot.replace(value.parse()?).is_some() { Err(NameError::Twice(what)) } else { Ok(()) }
}
