//! Why the device CA refused.

use std::path::PathBuf;

use perennial_schemas::fleet::NameError;
use perennial_schemas::limits::LABELS;
use perennial_schemas::{Date, Timestamp};

use super::{REQUESTS, SERIALS};
use crate::cli::Advise;
use crate::files::FileError;
use crate::keys::KeyError;

/// What could not be done, and with which file.
#[derive(Debug, thiserror::Error)]
pub enum DeviceCaError {
    /// A file could not be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// The CA's key could not be opened or made.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// There is a CA already.
    #[error("{} holds a device CA already", .0.display())]
    Exists(PathBuf),
    /// There is none.
    #[error("{} holds no device CA: {why}", dir.display())]
    NotAnAuthority {
        /// The folder.
        dir: PathBuf,
        /// What is missing or wrong.
        why: String,
    },
    /// A name that a CA can't have.
    #[error("a maker's name is 1 to 64 characters without control characters")]
    MakerName,
    /// A life of the CA or of certificates that is out of bounds.
    #[error("a certificate lives {0}")]
    Life(&'static str),
    /// Certificates that would outlive their CA.
    #[error("the certificates would be good until {until}, and the CA itself until {ca}")]
    OutlivesCa {
        /// What was asked for.
        until: Date,
        /// The CA's last day.
        ca: Date,
    },
    /// More labels than a device may have.
    #[error("more than {LABELS} labels")]
    TooManyLabels,
    /// Names that don't fit into a certificate.
    #[error(transparent)]
    Name(#[from] NameError),
    /// A file of requests without one.
    #[error("{} holds no certificate request", .0.display())]
    NoRequest(PathBuf),
    /// More requests than a file may hold.
    #[error("{} holds more than {REQUESTS} requests", .0.display())]
    TooManyRequests(PathBuf),
    /// More serial numbers than a file may hold.
    #[error("{} holds more than {SERIALS} serial numbers", .0.display())]
    TooManySerials(PathBuf),
    /// A request that can't be granted.
    #[error("{}, request {number}: {why}", path.display())]
    Request {
        /// The file.
        path: PathBuf,
        /// Which one, from 1.
        number: usize,
        /// What is wrong with it.
        why: String,
    },
    /// The same key twice in a file.
    #[error("{}: requests {first} and {second} are of the same key", path.display())]
    Twice {
        /// The file.
        path: PathBuf,
        /// The first of the two, from 1.
        first: usize,
        /// The second.
        second: usize,
    },
    /// A key that has a certificate.
    #[error("{}, request {number}: its key has had certificate {serial} since {since}", path.display())]
    Issued {
        /// The file of requests.
        path: PathBuf,
        /// Which one, from 1.
        number: usize,
        /// The serial number of the certificate.
        serial: String,
        /// When it was issued.
        since: Timestamp,
    },
    /// A key that somebody could guess.
    #[error("{}, request {number}: {how}", path.display())]
    Guessable {
        /// The file of requests.
        path: PathBuf,
        /// Which one, from 1.
        number: usize,
        /// How it can be guessed.
        how: String,
    },
    /// Not PEM, or of another kind.
    #[error("{}: {why}", path.display())]
    Pem {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// A list of what was issued or revoked that can't be read.
    #[error("{}, line {line}: {why}", path.display())]
    Ledger {
        /// The file.
        path: PathBuf,
        /// Which line, from 1.
        line: usize,
        /// What is wrong.
        why: String,
    },
    /// A serial number that this CA never gave.
    #[error("this CA has issued no certificate {0}")]
    UnknownSerial(String),
    /// A certificate that isn't this CA's.
    #[error("{}, certificate {number}: it is not one that this CA has issued", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// Which one, from 1.
        number: usize,
    },
    /// The library failed.
    #[error("can't make a certificate: {0}")]
    Failed(String),
}

impl From<rcgen::Error> for DeviceCaError {
    fn from(error: rcgen::Error) -> Self {
        Self::Failed(error.to_string())
    }
}

impl Advise for DeviceCaError {
    fn advice(&self) -> String {
        match self {
            Self::File(e) => e.advice(),
            Self::Key(e) => e.advice(),
            Self::Exists(_) => "choose another folder: a CA is never written over".into(),
            Self::NotAnAuthority { .. } => {
                "name the folder that perennial-signer device-ca init made, whole".into()
            }
            Self::MakerName => "give your company's name as people know it".into(),
            Self::Life(_) => "give another number".into(),
            Self::OutlivesCa { .. } => "give fewer years, or make a new CA".into(),
            Self::TooManyLabels => "name fewer: a label is for an early group, not for inventory".into(),
            Self::Name(_) => "see the names that perennial-signer device-ca issue --help describes".into(),
            Self::NoRequest(_) => {
                "collect what perennial-device identity request printed on each device in one file".into()
            }
            Self::TooManyRequests(_) | Self::TooManySerials(_) => "split the file".into(),
            Self::Request { .. } => {
                "nothing was issued: take that request out, or make it anew on the device".into()
            }
            Self::Twice { .. } => {
                "nothing was issued: two devices with one key are one device; make a key on each (where it was copied: move \
                 its STATE/identity away, then perennial-device identity new)"
                    .into()
            }
            Self::Issued { .. } => {
                "nothing was issued: find that certificate, or make a new key on the device (move its STATE/identity away, \
                 then perennial-device identity new); if its file was never finished, look for it with .part at its end"
                    .into()
            }
            Self::Guessable { .. } => {
                "nothing was issued: see how the factory makes keys; each device draws its own from its hardware's \
                 randomness"
                    .into()
            }
            Self::Pem { .. } => "check that it is the file that you mean".into(),
            Self::Ledger { .. } => "take the CA's folder from its backup".into(),
            Self::UnknownSerial(_) => {
                "perennial-signer device-ca show FILE prints the serial number of a certificate".into()
            }
            Self::Foreign { .. } => "revoke it with the CA that issued it".into(),
            Self::Failed(_) => "try again".into(),
        }
    }
}
