//! The maker's device CA: who a device is, said offline, for as long as the device may live.
//!
//! Decides which keys get a certificate, and what stands in it. It never makes a device's key (devices do), never copies a
//! name out of a request, and never issues half a batch.
//!
//! A folder holds it: `ca.key` (P-256, under a passphrase), `ca.pem`, `issued.jsonl` and `revoked.jsonl`, which are only
//! ever added to. The folder's copies are of use only whole: without the list of what was issued, nobody sees doubles.
//!
//! | module | holds |
//! | --- | --- |
//! | [`authority`] | the CA itself: made, opened |
//! | [`request`] | certificate requests, read one by one out of a file of many |
//! | [`ledger`] | what was issued |
//! | [`issue`] | a batch of factory certificates, whole or not at all |
//! | [`enrolment`] | the certificate of a server's enrolment key |
//! | [`revoke`] | the revocation list |
//! | [`show`] | what stands in certificates, requests and lists |
//! | [`profile`] | what every certificate of ours looks like |

pub mod authority;
pub mod enrolment;
mod error;
pub mod issue;
pub mod ledger;
pub mod profile;
pub mod request;
pub mod revoke;
pub mod show;
#[cfg(test)]
mod tests;

pub use authority::Authority;
pub use error::DeviceCaError;

use crate::files;
use std::path::Path;

/// Requests in one file. At 500 bytes of PEM they are 50 MB, and take half a minute to sign.
pub const REQUESTS: usize = 100_000;
/// Serial numbers in one file of those that no key may be made from.
pub const SERIALS: usize = 1_000_000;
/// A file of certificates or requests: [`REQUESTS`] at 4 KiB.
pub const PEM_LENGTH: u64 = 400 * 1024 * 1024;

/// Serial numbers of devices, one a line, of which no key may be made.
///
/// # Errors
/// [`DeviceCaError`]
pub fn read_serials(path: &Path) -> Result<Vec<String>, DeviceCaError> {
    let bytes = files::read(path, perennial_guess::length_of(SERIALS))?;
    let serials =
        perennial_guess::serials_in(&bytes).map_err(|why| DeviceCaError::Pem { path: path.into(), why })?;
    if serials.len() > SERIALS {
        return Err(DeviceCaError::TooManySerials(path.into()));
    }
    Ok(serials)
}
