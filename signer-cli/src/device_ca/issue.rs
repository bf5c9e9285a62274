//! A batch of factory certificates: every request of a file gets one, in the same order, or none does.
//!
//! The file of certificates is written beside its place first (`.part`), then it is written down what was issued, and then
//! the file gets its name: so no certificate is anywhere that isn't written down.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use perennial_guess::Guessable;
use perennial_schemas::fleet::{DeviceId, DeviceKey, Kind, Label, Name};
use perennial_schemas::limits::LABELS;
use perennial_schemas::{Digest, HardwareName, ProductName, Sha256Digest, Timestamp};

use super::ledger::{self, Device, Issued};
use super::profile::{self, Life};
use super::request::{Subject, read_requests};
use super::{Authority, DeviceCaError};
use crate::crypto::Ring;
use crate::files::{self, FileError};

/// What the certificates of a batch are to say.
#[derive(Debug, Clone)]
pub struct Order {
    /// The product.
    pub product: ProductName,
    /// The hardware revision.
    pub hardware: HardwareName,
    /// Early groups.
    pub labels: BTreeSet<Label>,
    /// For how many years they are good: as long as a device may live.
    pub years: u8,
}

/// What is being done with how many of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Requests are read and checked.
    Read(usize),
    /// Certificates are signed.
    Signed(usize),
}

/// A batch that was issued.
#[derive(Debug, Clone)]
pub struct Batch {
    /// The certificates, in the order of the requests.
    pub issued: Vec<Issued>,
    /// The last second of each.
    pub until: Timestamp,
    /// The file of certificates.
    pub file: PathBuf,
}

/// Issues a batch for the requests in `requests`, into `out`.
///
/// # Errors
/// [`DeviceCaError`]; nothing was issued then.
pub fn issue(
    authority: &Authority,
    requests: &Path,
    order: &Order,
    guessable: &Guessable,
    out: &Path,
    now: Timestamp,
    progress: &mut dyn FnMut(Stage),
) -> Result<Batch, DeviceCaError> {
    if !(1..=40).contains(&order.years) {
        return Err(DeviceCaError::Life("1 to 40 years"));
    }
    if order.labels.len() > LABELS {
        return Err(DeviceCaError::TooManyLabels);
    }
    let life = authority.within(Life::years(now, order.years))?;
    refuse_existing(out)?;
    let _guard = files::lock_folder(authority.dir())?;
    let keys = read_requests(requests, &mut |count| progress(Stage::Read(count)))?;
    let (length, known) = ledger::by_key(authority.dir())?;
    check(&keys, requests, &known, guessable)?;

    let (text, issued) = sign(authority, &keys, order, life, progress)?;
    let part = part_of(out);
    files::write(&part, text.as_bytes())?;
    ledger::add(authority.dir(), length, &issued, Ring.sha256(text.as_bytes()))?;
    files::rename(&part, out)?;
    Ok(Batch { issued, until: life.until, file: out.into() })
}

/// Refuses keys that stand there twice, that have a certificate, or that somebody could guess.
fn check(
    keys: &[DeviceKey],
    requests: &Path,
    known: &ledger::Known,
    guessable: &Guessable,
) -> Result<(), DeviceCaError> {
    let path = || requests.to_path_buf();
    let mut seen: HashMap<Sha256Digest, usize> = HashMap::with_capacity(keys.len());
    for (number, key) in (1..).zip(keys) {
        if let Some(how) = guessable.how(key) {
            return Err(DeviceCaError::Guessable { path: path(), number, how });
        }
        let digest = key.digest(&Ring);
        if let Some((serial, since)) = known.get(&digest) {
            return Err(DeviceCaError::Issued {
                path: path(),
                number,
                serial: serial.clone(),
                since: *since,
            });
        }
        if let Some(first) = seen.insert(digest, number) {
            return Err(DeviceCaError::Twice { path: path(), first, second: number });
        }
    }
    Ok(())
}

fn sign(
    authority: &Authority,
    keys: &[DeviceKey],
    order: &Order,
    life: Life,
    progress: &mut dyn FnMut(Stage),
) -> Result<(String, Vec<Issued>), DeviceCaError> {
    let (mut text, mut issued) = (String::new(), Vec::with_capacity(keys.len()));
    for (number, key) in (1..).zip(keys) {
        let name = Name {
            device: DeviceId::of_key(&key.digest(&Ring)),
            product: order.product.clone(),
            hardware: order.hardware.clone(),
            labels: order.labels.clone(),
            kind: Kind::Factory,
        };
        let params = profile::device(&name, life)?;
        let certificate = params.signed_by(&Subject::of(key), authority.issuer())?;
        text += &certificate.pem();
        issued.push(Issued {
            serial: serial_of(&params),
            key: key.digest(&Ring),
            at: life.from,
            until: life.until,
            device: Some(Device {
                id: name.device,
                product: name.product,
                hardware: name.hardware,
                labels: name.labels.into_iter().collect(),
            }),
        });
        progress(Stage::Signed(number));
    }
    Ok((text, issued))
}

/// The serial number that a certificate is about to get, in hexadecimal digits.
pub(super) fn serial_of(params: &rcgen::CertificateParams) -> String {
    let serial = params.serial_number.as_ref().map(rcgen::SerialNumber::to_bytes);
    perennial_schemas::digest::encode_hex(&serial.unwrap_or_default())
}

/// Refuses to write over a file, or over what a cut left of one.
pub(super) fn refuse_existing(out: &Path) -> Result<(), DeviceCaError> {
    match [out.to_path_buf(), part_of(out)].into_iter().find(|path| files::exists(path)) {
        Some(path) => Err(FileError::Exists { path }.into()),
        None => Ok(()),
    }
}

/// Where certificates lie until it is written down that they were issued.
pub(super) fn part_of(out: &Path) -> PathBuf {
    let mut name = out.as_os_str().to_owned();
    name.push(".part");
    name.into()
}
