//! Why a check ended early, and its number in reports.

use alloc::string::{String, ToString};
use core::fmt;

use perennial_schemas::ProductName;
use perennial_schemas::document::FormatError;
use perennial_schemas::ident::ChannelName;
use perennial_schemas::report::FailureCode;
use perennial_schemas::support::SupportError;

use crate::decide::code_of;
use crate::port::{FetchError, PortError, Record};
use crate::support::FloorsError;
use crate::trust::{self, DriveError, TrustError};

/// Why a check ended early. Nothing was installed.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// The metadata is not to be trusted, or can't be had.
    #[error("refreshing the metadata")]
    Trust(#[from] DriveError),
    /// A target could not be fetched.
    #[error("fetching a target")]
    Fetch(#[from] FetchError),
    /// No role vouches for a target that is needed.
    #[error("no role vouches for {path}")]
    NotVouchedFor {
        /// The target.
        path: String,
    },
    /// The product is there, and its maker has published nothing on this channel.
    #[error("the maker has published no release of {product} on {channel} yet")]
    NoChannel {
        /// The product.
        product: ProductName,
        /// The channel that the device follows.
        channel: ChannelName,
    },
    /// The repository knows no such product.
    #[error("this repository has no product {product}; {others}")]
    NoProduct {
        /// The product that the device says it is.
        product: ProductName,
        /// What it has, in words.
        others: String,
    },
    /// A target has no SHA-256 digest.
    #[error("{path} is listed without a SHA-256 digest")]
    NoDigest {
        /// The target.
        path: String,
    },
    /// A target is listed as longer than its kind may be.
    #[error("{path} is longer than the limit of {limit} bytes")]
    TooLong {
        /// The target.
        path: String,
        /// The limit in bytes.
        limit: u64,
    },
    /// A target does not have the length or digest that its role gives.
    #[error("{path} does not have the length and digest that it is listed with")]
    Digest {
        /// The target.
        path: String,
    },
    /// A document can't be read.
    #[error("reading {path}")]
    Document {
        /// The target.
        path: String,
        /// Why.
        source: FormatError,
    },
    /// A record that was there once can't be read. Nothing is installed until it is recovered.
    #[error("the {record} record is lost: {detail}")]
    Lost {
        /// Which.
        record: Record,
        /// How.
        detail: String,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] PortError),
    /// The floors can't be encoded.
    #[error(transparent)]
    Floors(#[from] FloorsError),
}

/// Why a support record was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SupportRefused {
    /// It promises less than the one before ([`FailureCode::SupportShorter`]).
    #[error(transparent)]
    Worse(#[from] SupportError),
    /// It can't be read, or requires a newer reader.
    #[error(transparent)]
    Unreadable(FormatError),
    /// It is another product's.
    #[error("it is the support record of {0}")]
    OtherProduct(ProductName),
    /// The product's role no longer vouches for one, and this device has one.
    #[error("the support record is no longer published")]
    Missing,
}

impl SupportRefused {
    /// Its number in reports.
    pub fn code(&self) -> FailureCode {
        match self {
            Self::Worse(_) | Self::Missing => FailureCode::SupportShorter,
            Self::Unreadable(error) => code_of(error),
            Self::OtherProduct(_) => FailureCode::Inconsistent,
        }
    }
}

impl SessionError {
    pub(super) fn lost(record: Record, detail: &dyn fmt::Display) -> Self {
        Self::Lost { record, detail: detail.to_string() }
    }

    /// Its number in reports.
    pub fn code(&self) -> FailureCode {
        match self {
            Self::Trust(error) => drive_code(error),
            Self::Fetch(error) => error.code(),
            Self::NotVouchedFor { .. }
            | Self::NoChannel { .. }
            | Self::NoProduct { .. }
            | Self::NoDigest { .. }
            | Self::Digest { .. } => FailureCode::Inconsistent,
            Self::TooLong { .. } => FailureCode::Malformed,
            Self::Document { source, .. } => code_of(source),
            Self::Lost { .. } => FailureCode::TrustStateLost,
            Self::Store(error) => error.code,
            Self::Floors(_) => FailureCode::Storage,
        }
    }

    /// The error with the whole chain of its causes, for the machine.
    pub(crate) fn to_port_error(&self) -> PortError {
        use core::error::Error;
        let mut detail = self.to_string();
        let mut source = self.source();
        while let Some(error) = source {
            detail.push_str(": ");
            detail.push_str(&error.to_string());
            source = error.source();
        }
        PortError::new(self.code(), "checking for updates", detail)
    }
}

fn drive_code(error: &DriveError) -> FailureCode {
    match error {
        DriveError::Trust(error) => trust_code(error),
        DriveError::Fetch { source: trust::FetchError::TooLong { .. }, .. } => FailureCode::BadAnswer,
        DriveError::Fetch { source: trust::FetchError::Failed(cause), .. } => {
            cause.downcast_ref::<FetchError>().map_or(FailureCode::Unreachable, FetchError::code)
        }
        DriveError::Store(_) => FailureCode::Storage,
    }
}

/// The number in reports of metadata that is not to be trusted.
pub(crate) fn trust_code(error: &TrustError) -> FailureCode {
    match error {
        TrustError::Format { source, .. } => code_of(source),
        TrustError::Signature { .. } => FailureCode::Signature,
        TrustError::Rollback { .. } | TrustError::Unlisted { .. } => FailureCode::Rollback,
        TrustError::Expired { .. } => FailureCode::Expired,
        TrustError::Version { .. }
        | TrustError::NotListed { .. }
        | TrustError::Length { .. }
        | TrustError::Digest { .. }
        | TrustError::Missing { .. }
        | TrustError::TooManyRoles { .. }
        | TrustError::TooMuchDelegated { .. } => FailureCode::Inconsistent,
        TrustError::TooLong { .. } => FailureCode::BadAnswer,
        TrustError::OutOfOrder { .. } => FailureCode::Internal,
    }
}
