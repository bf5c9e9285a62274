//! The certificate of a server's enrolment key: with it the server names devices for months, and only devices.
//!
//! Such a key is online, and so may be stolen one day. What it can't do: outlive its months, sign for another CA below
//! itself, or give a factory certificate (those come from the device CA itself, and a server looks at who signed).

use std::path::Path;

use perennial_guess::Guessable;
use perennial_schemas::digest::encode_hex;
use perennial_schemas::{Digest, Timestamp};

use super::issue::{part_of, refuse_existing, serial_of};
use super::ledger::{self, Issued};
use super::profile::{self, Life};
use super::request::{Subject, read_requests};
use super::{Authority, DeviceCaError};
use crate::crypto::Ring;
use crate::files;

/// The life of an enrolment CA, in days: up to two years and a day of February.
pub const DAYS: std::ops::RangeInclusive<u16> = 1..=731;

/// Issues the certificate for the one request in `request`, into `out`: the certificate itself, and nothing of the CA above.
///
/// # Errors
/// [`DeviceCaError`]; nothing was issued then.
pub fn issue(
    authority: &Authority,
    request: &Path,
    days: u16,
    guessable: &Guessable,
    out: &Path,
    now: Timestamp,
) -> Result<Issued, DeviceCaError> {
    if !DAYS.contains(&days) {
        return Err(DeviceCaError::Life("1 to 731 days"));
    }
    let refused = |number, why: String| DeviceCaError::Request { path: request.into(), number, why };
    let life = Life { from: now, until: now.plus_days(i64::from(days)) };
    let life = authority.within(life)?;
    refuse_existing(out)?;
    let _guard = files::lock_folder(authority.dir())?;
    let keys = read_requests(request, &mut |_| ())?;
    let [key] = keys.as_slice() else {
        return Err(refused(2, "an enrolment CA has one key, and this is a second request".into()));
    };
    if let Some(how) = guessable.how(key) {
        return Err(DeviceCaError::Guessable { path: request.into(), number: 1, how });
    }
    if key.digest(&Ring) == Ring.sha256(&authority.certificate().spki) {
        return Err(refused(1, "it is of the device CA's own key".into()));
    }
    let (length, known) = ledger::by_key(authority.dir())?;
    // The same server's key may be renewed; a device's may not become a CA.
    let mut of_a_device = None;
    ledger::issued(authority.dir(), &mut |issued| {
        if issued.key == key.digest(&Ring) && issued.device.is_some() {
            of_a_device = known.get(&issued.key).cloned();
        }
    })?;
    if let Some((serial, since)) = of_a_device {
        return Err(DeviceCaError::Issued { path: request.into(), number: 1, serial, since });
    }
    let beginning = encode_hex(&key.digest(&Ring).as_bytes()[..4]);
    let params = profile::enrolment(authority.maker(), &beginning, life)?;
    let text = params.signed_by(&Subject::of(key), authority.issuer())?.pem();
    let issued = Issued {
        serial: serial_of(&params),
        key: key.digest(&Ring),
        at: life.from,
        until: life.until,
        device: None,
    };
    let part = part_of(out);
    files::write(&part, text.as_bytes())?;
    ledger::add(authority.dir(), length, std::slice::from_ref(&issued), Ring.sha256(text.as_bytes()))?;
    files::rename(&part, out)?;
    Ok(issued)
}
