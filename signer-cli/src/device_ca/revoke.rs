//! The revocation list (CRL, RFC 5280, 5): which factory certificates and enrolment CAs count no longer. Every list holds
//! everything that was ever revoked.

use std::collections::HashSet;
use std::path::Path;

use perennial_schemas::Timestamp;
use perennial_schemas::digest::decode_hex;
use rcgen::{
    CertificateRevocationListParams, KeyIdMethod, RevocationReason, RevokedCertParams, SerialNumber,
};
use serde::{Deserialize, Serialize};

use super::ledger::{self, Revoked};
use super::profile::moment;
use super::show::read_pem;
use super::{Authority, DeviceCaError};
use crate::files;

/// Why a certificate is revoked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// Its private key is, or may be, known to somebody else.
    KeyCompromise,
    /// An enrolment CA's private key is, or may be, known to somebody else.
    CaCompromise,
    /// The device is no longer used.
    Ceased,
    /// Another certificate took its place.
    Superseded,
}

/// A list that was written.
#[derive(Debug, Clone, Copy)]
pub struct List {
    /// How many certificates are revoked by it.
    pub revoked: usize,
    /// How many of them are new on it.
    pub added: usize,
    /// When the next one is due.
    pub next: Timestamp,
}

/// Days until the next list is due.
pub const DAYS: std::ops::RangeInclusive<u16> = 1..=3650;

/// The serial numbers of the certificates in a file, each of which must be of this CA.
///
/// # Errors
/// [`DeviceCaError`]
pub fn serials_of(authority: &Authority, path: &Path) -> Result<Vec<String>, DeviceCaError> {
    let read = read_pem(path)?;
    if read.certificates.is_empty() {
        return Err(DeviceCaError::Pem { path: path.into(), why: "it holds no certificate".into() });
    }
    let ours = &authority.certificate().facts.subject;
    let foreign = (1..).zip(&read.certificates).find(|(_, certificate)| certificate.facts.issuer != *ours);
    match foreign {
        Some((number, _)) => Err(DeviceCaError::Foreign { path: path.into(), number }),
        None => Ok(read.certificates.into_iter().map(|certificate| certificate.facts.serial).collect()),
    }
}

/// Revokes these serial numbers (hexadecimal digits), and writes the list anew. Without any it renews the list.
///
/// # Errors
/// [`DeviceCaError`]; nothing was revoked then.
pub fn revoke(
    authority: &Authority,
    serials: &[String],
    reason: Reason,
    days: u16,
    out: &Path,
    now: Timestamp,
) -> Result<List, DeviceCaError> {
    if !DAYS.contains(&days) {
        return Err(DeviceCaError::Life("1 to 3650 days (of a list)"));
    }
    let _guard = files::lock_folder(authority.dir())?;
    let mut unknown: HashSet<String> = serials.iter().map(|serial| plain(serial)).collect();
    let wanted = unknown.clone();
    ledger::issued(authority.dir(), &mut |issued| {
        unknown.remove(&issued.serial);
    })?;
    if let Some(serial) = unknown.into_iter().min() {
        return Err(DeviceCaError::UnknownSerial(serial));
    }
    let (length, mut all) = ledger::revoked(authority.dir())?;
    let mut new: Vec<Revoked> = wanted
        .into_iter()
        .filter(|serial| !all.contains_key(serial))
        .map(|serial| Revoked { serial, at: now, reason })
        .collect();
    new.sort_by(|a, b| a.serial.cmp(&b.serial));
    ledger::add_revoked(authority.dir(), length, &new)?;
    all.extend(new.iter().map(|revoked| (revoked.serial.clone(), revoked.clone())));

    let next = now.plus_days(i64::from(days));
    let params = CertificateRevocationListParams {
        this_update: moment(now)?,
        next_update: moment(next)?,
        // A number that rises: seconds do.
        crl_number: SerialNumber::from_slice(&now.unix().to_be_bytes()[3..]),
        issuing_distribution_point: None,
        revoked_certs: all.values().map(entry).collect::<Result<_, _>>()?,
        key_identifier_method: KeyIdMethod::Sha256,
    };
    let pem = params.signed_by(authority.issuer())?.pem()?;
    files::write(out, pem.as_bytes())?;
    Ok(List { revoked: all.len(), added: new.len(), next })
}

fn entry(revoked: &Revoked) -> Result<RevokedCertParams, DeviceCaError> {
    let serial = decode_hex(&revoked.serial);
    let serial = serial.ok_or_else(|| DeviceCaError::UnknownSerial(revoked.serial.clone()))?;
    Ok(RevokedCertParams {
        serial_number: SerialNumber::from_slice(&serial),
        revocation_time: moment(revoked.at)?,
        reason_code: Some(match revoked.reason {
            Reason::KeyCompromise => RevocationReason::KeyCompromise,
            Reason::CaCompromise => RevocationReason::CaCompromise,
            Reason::Ceased => RevocationReason::CessationOfOperation,
            Reason::Superseded => RevocationReason::Superseded,
        }),
        invalidity_date: None,
    })
}

/// As we write it: other tools put colons between the digits, or write them large.
fn plain(serial: &str) -> String {
    serial.chars().filter(|c| *c != ':').map(|c| c.to_ascii_lowercase()).collect()
}
