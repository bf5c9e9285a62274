//! Why metadata is not trusted: the file, and the attack or the mistake that the check stops.

use alloc::string::String;

use perennial_schemas::Timestamp;
use perennial_schemas::document::FormatError;
use perennial_schemas::signed::ThresholdError;

/// Why a refresh or a search ended. Nothing that it names has become trusted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TrustError {
    /// The file can't be read. The repository's fault, or somebody's in between.
    #[error("{file} can't be read")]
    Format {
        /// The file.
        file: String,
        /// What is wrong with it.
        source: FormatError,
    },
    /// Too few good signatures (arbitrary software attack).
    #[error("{file} is not signed as it must be")]
    Signature {
        /// The file.
        file: String,
        /// How many there are, and how many there must be.
        source: ThresholdError,
    },
    /// A file has another version than it was listed with, or than follows (mix and match, rollback).
    #[error("{file} says that it is version {found}, and must be version {expected}")]
    Version {
        /// The file.
        file: String,
        /// As listed, or the next one.
        expected: u64,
        /// As received.
        found: u64,
    },
    /// A version is lower than one seen before (rollback attack).
    #[error("{file} is version {found}, older than version {floor} that was trusted before")]
    Rollback {
        /// The file that went back.
        file: String,
        /// The version seen before.
        floor: u64,
        /// As received.
        found: u64,
    },
    /// A role that was listed before is no longer listed (rollback attack, TUF 5.5.5).
    #[error("{file} was listed in the snapshot before and is missing now")]
    Unlisted {
        /// The missing file.
        file: String,
    },
    /// A role is delegated to, or needed, and the snapshot does not list it.
    #[error("{file} is not listed in the snapshot")]
    NotListed {
        /// The file.
        file: String,
    },
    /// Another length than listed (mix and match, endless data).
    #[error("{file} is {found} bytes long, and is listed with {expected}")]
    Length {
        /// The file.
        file: String,
        /// As listed.
        expected: u64,
        /// As received.
        found: u64,
    },
    /// Longer than we ever take (endless data).
    #[error("{file} is longer than the limit of {limit} bytes")]
    TooLong {
        /// The file.
        file: String,
        /// The limit in bytes.
        limit: u64,
    },
    /// Another digest than listed, or none that we can compute (mix and match).
    #[error("{file} has not the {algorithm} digest that it is listed with")]
    Digest {
        /// The file.
        file: String,
        /// The algorithm; "known" where none of the listed ones is.
        algorithm: &'static str,
    },
    /// Past its time (freeze attack, a repository that nobody looks after, or a wrong clock here).
    #[error("{file} expired at {expires}, and it is {now} here")]
    Expired {
        /// The file.
        file: String,
        /// When it stopped being trusted.
        expires: Timestamp,
        /// The time that counted.
        now: Timestamp,
    },
    /// The repository has no such file, and must have it.
    #[error("the repository has no {file}")]
    Missing {
        /// The file.
        file: String,
    },
    /// A search visited more roles than it may (extraneous delegations).
    #[error("more than {limit} delegated roles were visited while looking for {path}")]
    TooManyRoles {
        /// The target looked for, or "everything".
        path: String,
        /// The limit.
        limit: usize,
    },
    /// Delegated roles have more bytes together than one refresh takes (a delegatee who fills the memory).
    #[error("with {file} the delegated roles are longer than their limit of {limit} bytes together")]
    TooMuchDelegated {
        /// The file that is one too many.
        file: String,
        /// The limit in bytes.
        limit: u64,
    },
    /// The answer is not one to the step that was asked for, or a search came before the refresh. The caller's fault.
    #[error("the refresh was asked out of order: {why}")]
    OutOfOrder {
        /// What was expected.
        why: &'static str,
    },
}
