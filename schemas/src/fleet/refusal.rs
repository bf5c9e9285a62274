//! Every answer of the fleet plane that is no: what happened and what to do for people, and a code for programs.

use alloc::string::{String, ToString};
use core::fmt;

use serde::{Deserialize, Serialize};

use super::line;
use crate::document::FormatError;
use crate::json::Json;
use crate::limits::{FLEET_ANSWER_LENGTH, LINE_LENGTH};

/// An answer that is no. It has no format of its own: whoever gets it has seen the HTTP status.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
pub struct Refusal {
    /// What happened.
    pub error: String,
    /// What to do.
    pub hint: String,
    /// Why, for programs.
    pub code: RefusalCode,
}

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $text:literal, $status:literal;)*) => {
        /// Why the fleet plane refused. Codes are only ever added.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
        pub enum RefusalCode {
            $($(#[$doc])* #[serde(rename = $text)] $name,)*
            /// One that this version does not know.
            #[serde(rename = "unknown", other)]
            Unknown,
        }

        impl RefusalCode {
            /// Every one that this version knows.
            pub const ALL: &[RefusalCode] = &[$(RefusalCode::$name,)*];

            /// As it is written in JSON.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(RefusalCode::$name => $text,)*
                    RefusalCode::Unknown => "unknown",
                }
            }

            /// The HTTP status that it comes with.
            pub fn status(self) -> u16 {
                match self {
                    $(RefusalCode::$name => $status,)*
                    RefusalCode::Unknown => 500,
                }
            }
        }
    };
}

codes! {
    /// The body can't be read.
    Malformed = "malformed", 400;
    /// The body can be read, and breaks a rule.
    Unacceptable = "unacceptable", 422;
    /// The body is longer than its limit.
    TooLarge = "too-large", 413;
    /// The body came too slowly.
    TooSlow = "too-slow", 408;
    /// There is nothing at this address.
    NotFound = "not-found", 404;
    /// Not with this method.
    Method = "method-not-allowed", 405;
    /// A header that says who somebody is, from somebody who may not say it.
    ClientCertNotAllowed = "client-cert-not-allowed", 400;
    /// No certificate was shown.
    NoCertificate = "no-certificate", 401;
    /// The certificate is none of this maker's, or not made as a device's is.
    BadCertificate = "bad-certificate", 403;
    /// A factory certificate opens enrolment only.
    FactoryOnly = "factory-certificate", 403;
    /// An expired fleet certificate opens its renewal only.
    Expired = "certificate-expired", 403;
    /// A fleet certificate of before the last enrolment, or one that is not the newest.
    Superseded = "certificate-superseded", 403;
    /// The device, its key or its CA is revoked.
    Revoked = "revoked", 403;
    /// This server does not know the device: it never enrolled, or was erased.
    NotEnrolled = "not-enrolled", 403;
    /// The device's id is not made from its factory key.
    IdNotFromKey = "id-not-from-key", 403;
    /// The key is known under another device, or as a factory key.
    KeyShared = "key-shared", 403;
    /// The key can be guessed.
    KeyWeak = "key-weak", 403;
    /// What is said is of another device than the one that says it.
    OtherDevice = "other-device", 403;
    /// A queue without its device's signature, or with a wrong one.
    NotSigned = "not-signed", 403;
    /// This is not offered here.
    NotOffered = "not-offered", 403;
    /// Too often: after `Retry-After`.
    Rate = "rate", 429;
    /// More than is being written down: after `Retry-After`.
    Busy = "busy", 503;
    /// The store can't be reached: after `Retry-After`.
    Unavailable = "unavailable", 503;
    /// The server's disk is full. Nothing that was acknowledged is lost.
    StorageFull = "storage-full", 507;
    /// A defect of the server.
    Internal = "internal", 500;
}

impl fmt::Display for RefusalCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Refusal {
    /// What people call it.
    pub const WHAT: &'static str = "refusal of the fleet plane";

    /// A refusal.
    pub fn new(code: RefusalCode, error: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { error: error.into(), hint: hint.into(), code }
    }

    /// Reads and checks one.
    ///
    /// # Errors
    /// [`FormatError`]: too long, not strict JSON, another shape, or texts that are no lines.
    pub fn parse(text: &[u8]) -> Result<Self, FormatError> {
        if text.len() as u64 > FLEET_ANSWER_LENGTH {
            return Err(FormatError::TooLong { what: Self::WHAT, limit: FLEET_ANSWER_LENGTH });
        }
        Json::parse(text)?;
        let read: Self = serde_json::from_slice(text)
            .map_err(|error| FormatError::shape(Self::WHAT, error.to_string()))?;
        line(Self::WHAT, "error", &read.error, LINE_LENGTH)?;
        line(Self::WHAT, "hint", &read.hint, LINE_LENGTH)?;
        Ok(read)
    }
}
