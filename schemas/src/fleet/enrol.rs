//! Enrolment: a device shows its factory certificate (or a fleet certificate, expired or not) in TLS, sends a request for
//! a new key, and gets a fleet certificate.

use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use super::{line, pem};
use crate::document::{Document, FormatError, ensure};
use crate::ident::{DeviceId, Ticket};
use crate::limits::{CERTIFICATE_REQUEST_LENGTH, CHAIN_LENGTH, ENROLLED_LENGTH, ENROLMENT_LENGTH};
use crate::time::Timestamp;

/// A request for a fleet certificate. Who asks, the certificate of the connection says: product, hardware and labels are
/// copied from the factory certificate, never from here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
pub struct Enrolment {
    /// `perennial.enrolment/1`.
    pub format: String,
    /// Features that a reader must know.
    pub requires: Vec<String>,
    /// PKCS #10 in PEM, signed by the new key, which so proves that the device has it.
    pub request: String,
}

/// A fleet certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
pub struct Enrolled {
    /// `perennial.enrolled/1`.
    pub format: String,
    /// Features that a reader must know.
    pub requires: Vec<String>,
    /// Who the device is.
    pub device: DeviceId,
    /// In PEM: the device's certificate, then the enrolment CA's.
    pub chain: String,
    /// When to ask for the next one: after two thirds of its life.
    pub renew_after: Timestamp,
    /// How often this device has enrolled with its factory certificate, this time included; renewals don't count.
    pub epoch: u32,
    /// For the next check-in.
    pub ticket: Ticket,
}

impl Enrolment {
    /// A request of `request`, in PEM.
    pub fn new(request: String) -> Self {
        Self { format: Self::FORMAT.into(), requires: Vec::new(), request }
    }
}

impl Document for Enrolment {
    const FORMAT: &'static str = "perennial.enrolment/1";
    const WHAT: &'static str = "request for enrolment";
    const MAX_LENGTH: u64 = ENROLMENT_LENGTH;

    fn requires(&self) -> &[String] {
        &self.requires
    }

    fn validate(&self) -> Result<(), FormatError> {
        pem(Self::WHAT, "request", &self.request, "CERTIFICATE REQUEST", CERTIFICATE_REQUEST_LENGTH)
    }
}

impl Document for Enrolled {
    const FORMAT: &'static str = "perennial.enrolled/1";
    const WHAT: &'static str = "fleet certificate";
    const MAX_LENGTH: u64 = ENROLLED_LENGTH;

    fn requires(&self) -> &[String] {
        &self.requires
    }

    fn validate(&self) -> Result<(), FormatError> {
        line(Self::WHAT, "device", self.device.as_str(), 32)?;
        ensure(self.device.has_form_of_key(), Self::WHAT, || "its device is not named after a key".into())?;
        ensure(self.epoch >= 1, Self::WHAT, || "its epoch is 0".into())?;
        pem(Self::WHAT, "chain", &self.chain, "CERTIFICATE", CHAIN_LENGTH)
    }
}
