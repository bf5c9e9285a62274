//! Answers that are no, in the two lines that a command would print, with a code for programs.

use crate::fleet::identity::IdentityError;
use crate::fleet::writer::Fault;
use crate::store::StoreError;
use perennial_schemas::fleet::{Refusal, RefusalCode};
use perennial_schemas::limits::LINE_LENGTH;
use perennial_schemas::{FormatError, Timestamp};

/// A refusal, and when to ask again.
#[derive(Debug)]
pub(crate) struct Refused {
    pub(crate) refusal: Refusal,
    /// Seconds.
    pub(crate) retry_after: Option<u64>,
}

impl Refused {
    pub(crate) fn new(code: RefusalCode, error: impl Into<String>) -> Self {
        let retry_after = match code {
            RefusalCode::Busy => Some(2),
            RefusalCode::Unavailable => Some(15),
            RefusalCode::StorageFull => Some(300),
            _ => None,
        };
        Self { refusal: Refusal::new(code, line(error.into()), hint(code)), retry_after }
    }

    /// A device that asks too often.
    pub(crate) fn rate(seconds: u64) -> Self {
        let refused = Self::new(RefusalCode::Rate, "this device asks too often");
        Self { retry_after: Some(seconds), ..refused }
    }

    /// A device that has handed in its day's worth.
    pub(crate) fn daily(seconds: u64) -> Self {
        let what =
            "this device has handed in as many bytes of reports as it may within a day (fleet.daily_reports)";
        Self { retry_after: Some(seconds), ..Self::new(RefusalCode::Rate, what) }
    }

    pub(crate) fn code(&self) -> RefusalCode {
        self.refusal.code
    }
}

impl From<RefusalCode> for Refused {
    fn from(code: RefusalCode) -> Self {
        Self::new(code, what(code))
    }
}

impl From<FormatError> for Refused {
    fn from(error: FormatError) -> Self {
        let code = match &error {
            FormatError::TooLong { .. } => RefusalCode::TooLarge,
            FormatError::Json(_) => RefusalCode::Malformed,
            FormatError::Shape { .. } | FormatError::Requires { .. } => RefusalCode::Unacceptable,
        };
        Self::new(code, error.to_string())
    }
}

impl From<IdentityError> for Refused {
    fn from(error: IdentityError) -> Self {
        let code = match &error {
            IdentityError::Revoked => RefusalCode::Revoked,
            IdentityError::IdNotFromKey => RefusalCode::IdNotFromKey,
            _ => RefusalCode::BadCertificate,
        };
        Self::new(code, error.to_string())
    }
}

impl From<Fault> for Refused {
    fn from(fault: Fault) -> Self {
        let code = match fault {
            Fault::Busy => RefusalCode::Busy,
            Fault::Unavailable => RefusalCode::Unavailable,
            Fault::Full => RefusalCode::StorageFull,
        };
        Self::new(code, fault.to_string())
    }
}

impl From<StoreError> for Refused {
    fn from(error: StoreError) -> Self {
        tracing::error!(%error, "the fleet's store failed");
        match error {
            StoreError::Full { .. } => Fault::Full.into(),
            StoreError::Corrupt(_) => RefusalCode::Internal.into(),
            _ => Fault::Unavailable.into(),
        }
    }
}

/// What an expired certificate's device is told.
pub(crate) fn expired(at: Timestamp) -> Refused {
    Refused::new(RefusalCode::Expired, format!("the certificate expired at {at}"))
}

/// What happened, where the code alone is known.
pub(crate) fn what(code: RefusalCode) -> &'static str {
    match code {
        RefusalCode::NotFound => "there is nothing at this address",
        RefusalCode::Method => "not with this method",
        RefusalCode::TooSlow => "the body came too slowly",
        RefusalCode::ClientCertNotAllowed => "this sender may not say which certificate somebody showed",
        RefusalCode::NoCertificate => "no certificate was shown",
        RefusalCode::FactoryOnly => "a factory certificate opens enrolment only",
        RefusalCode::Expired => "the certificate has expired",
        RefusalCode::Superseded => "this server knows another certificate as the newest of this device",
        RefusalCode::Revoked => "the device or its key is revoked",
        RefusalCode::NotEnrolled => "this server doesn't know the device",
        RefusalCode::KeyShared => "this key is known under another device, or as a factory key",
        RefusalCode::KeyWeak => "this key can be guessed",
        RefusalCode::OtherDevice => "what is said is of another device than the one that says it",
        RefusalCode::NotSigned => "the queue isn't signed by its device",
        RefusalCode::NotOffered => "this isn't offered here",
        _ => "the server can't do that",
    }
}

fn hint(code: RefusalCode) -> &'static str {
    match code {
        RefusalCode::Malformed | RefusalCode::Unacceptable => {
            "send a document as the formats describe it; is one of the two programs older than the other?"
        }
        RefusalCode::TooLarge => "send it in parts",
        RefusalCode::TooSlow => "send it again, at once",
        RefusalCode::NotFound | RefusalCode::Method => "the documentation lists what the fleet plane answers",
        RefusalCode::ClientCertNotAllowed => {
            "remove Client-Cert and Client-Cert-Chain, or name the proxy's network in fleet.proxies"
        }
        RefusalCode::NoCertificate => "connect with the device's certificate",
        RefusalCode::BadCertificate | RefusalCode::IdNotFromKey => {
            "connect with a certificate that this maker's device CA made, as it made it"
        }
        RefusalCode::FactoryOnly => "enrol first: POST /v1/enrol",
        RefusalCode::Expired => "renew it with this certificate: POST /v1/enrol",
        RefusalCode::Superseded | RefusalCode::NotEnrolled => {
            "enrol with the factory certificate: POST /v1/enrol"
        }
        RefusalCode::Revoked => "ask the maker; the device goes on updating without this plane",
        RefusalCode::KeyShared | RefusalCode::KeyWeak => {
            "make a new key on the device, from its own random numbers"
        }
        RefusalCode::OtherDevice => {
            "send each device's documents with its own certificate, or signed, in a batch"
        }
        RefusalCode::NotSigned => "sign the queue's text with the device's key, and send its chain along",
        RefusalCode::NotOffered => "ask whoever runs this server",
        RefusalCode::Rate | RefusalCode::Busy | RefusalCode::Unavailable | RefusalCode::StorageFull => {
            "keep it, and send it again after Retry-After"
        }
        RefusalCode::Internal | RefusalCode::Unknown => "look at the server's log",
    }
}

/// A line of bounded length, without control characters.
fn line(mut text: String) -> String {
    text.truncate(text.floor_char_boundary(LINE_LENGTH));
    text.replace(char::is_control, " ")
}
