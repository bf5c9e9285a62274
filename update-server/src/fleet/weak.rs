//! Keys that somebody could guess, as far as this server knows what to try: small numbers, what a device's certificate says
//! of it, and the maker's list of serial numbers.

use super::identity::Identity;
use crate::disk;
use arc_swap::ArcSwapOption;
use perennial_guess::Guessable;
use perennial_schemas::digest::encode_hex;
use perennial_schemas::fleet::DeviceKey;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

/// Serial numbers of which no key may be made: each takes a millisecond when the list is read, and a kilobyte.
const SERIALS: usize = 100_000;

/// What depends on no device: made when the first one enrols, which takes a tenth of a second.
static NUMBERS: LazyLock<Guessable> = LazyLock::new(|| Guessable::new(Vec::new(), &mut |_| ()));

/// See the module.
#[derive(Default)]
pub(crate) struct Weak {
    /// The maker's list, where there is one.
    listed: Option<Listed>,
}

struct Listed {
    path: PathBuf,
    /// What is made from the serial numbers on the list; empty until those of the first one are tried.
    tried: Arc<ArcSwapOption<Guessable>>,
    last: Mutex<Last>,
}

/// The last look at the file.
#[derive(Default)]
struct Last {
    /// As it was when it was read.
    fingerprint: Option<[i64; 5]>,
    /// The thread that tries what was read.
    trying: Option<JoinHandle<()>>,
    /// Why it can't be used.
    trouble: Option<String>,
}

/// The list's serial numbers are still being tried.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NotYet;

impl Weak {
    /// Reads the maker's list, and begins to try its serial numbers, on a thread of its own.
    ///
    /// # Errors
    /// In words: it can't be read, holds what is no list, or the system gives no thread.
    pub(crate) fn of_list(path: &Path) -> Result<Self, String> {
        let weak = Self {
            listed: Some(Listed { path: path.into(), tried: Arc::default(), last: Mutex::default() }),
        };
        weak.reload().map(|_| weak)
    }

    /// Reads the list again if it has changed; true where it had. Until its serial numbers are tried, those before count; a
    /// list that changes meanwhile has to wait.
    ///
    /// # Errors
    /// As [`Self::of_list`]; what was read before then stays in use, and the next call tries again.
    pub(crate) fn reload(&self) -> Result<bool, String> {
        let Some(listed) = &self.listed else { return Ok(false) };
        let mut last = listed.last.lock().unwrap_or_else(PoisonError::into_inner);
        let read = listed.read_again(&mut last);
        last.trouble = read.as_ref().err().cloned();
        read
    }

    /// Why the list can't be read again, in words.
    pub(crate) fn trouble(&self) -> Option<String> {
        let last = &self.listed.as_ref()?.last;
        last.lock().unwrap_or_else(PoisonError::into_inner).trouble.clone()
    }

    /// How one of these keys of a device can be guessed, in words, and which.
    pub(crate) fn how(
        &self,
        identity: &Identity,
        keys: &[(&'static str, &DeviceKey)],
    ) -> Result<Option<(&'static str, String)>, NotYet> {
        let listed = match &self.listed {
            Some(listed) => Some(listed.tried.load_full().ok_or(NotYet)?),
            None => None,
        };
        let own = Guessable::of_serials(said_by(identity));
        let how = |key: &DeviceKey| {
            let known = NUMBERS.how(key).or_else(|| own.how(key));
            known.or_else(|| listed.as_ref().and_then(|listed| listed.how(key)))
        };
        Ok(keys.iter().find_map(|(which, key)| how(key).map(|how| (*which, how))))
    }
}

impl Listed {
    fn read_again(&self, last: &mut Last) -> Result<bool, String> {
        if last.trying.as_ref().is_some_and(|trying| !trying.is_finished()) {
            return Ok(false);
        }
        let found = disk::fingerprint(&self.path).map_err(|error| error.to_string())?;
        if last.fingerprint == Some(found) {
            return Ok(false);
        }
        let serials = serials(&self.path)?;
        let tried = Arc::clone(&self.tried);
        let thread = thread::Builder::new().name("fleet-guesses".into());
        let trying = thread.spawn(move || tried.store(Some(Arc::new(Guessable::of_serials(serials)))));
        last.trying = Some(trying.map_err(|error| error.to_string())?);
        last.fingerprint = Some(found);
        Ok(true)
    }
}

fn serials(path: &Path) -> Result<Vec<String>, String> {
    let bytes = disk::read(path, perennial_guess::length_of(SERIALS)).map_err(|error| error.to_string())?;
    let wrong = |why: String| format!("{}: {why}", path.display());
    let serials = perennial_guess::serials_in(&bytes).map_err(wrong)?;
    if serials.len() > SERIALS {
        return Err(wrong(format!("it holds more than {SERIALS} serial numbers")));
    }
    // As a full disk or a copy that broke off leaves it.
    if serials.is_empty() {
        return Err(wrong("it holds no serial number".into()));
    }
    Ok(serials)
}

/// What a careless factory has at hand when it makes a key: the names and the number in the certificate.
fn said_by(identity: &Identity) -> Vec<String> {
    let mut words = vec![identity.name.device.to_string(), encode_hex(&identity.serial)];
    if identity.serial.len() <= 16 {
        let number = identity.serial.iter().fold(0_u128, |number, byte| number << 8 | u128::from(*byte));
        words.push(number.to_string());
    }
    words
}
