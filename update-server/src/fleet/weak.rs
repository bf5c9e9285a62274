//! Keys that somebody could guess, as far as this server knows what to try: small numbers, what a device's certificate says
//! of it, and the maker's list of serial numbers.

use super::identity::Identity;
use perennial_guess::Guessable;
use perennial_schemas::digest::encode_hex;
use perennial_schemas::fleet::DeviceKey;
use std::io;
use std::sync::{Arc, LazyLock, OnceLock};

/// What depends on no device: made when the first one enrols, which takes a tenth of a second.
static NUMBERS: LazyLock<Guessable> = LazyLock::new(|| Guessable::new(Vec::new(), &mut |_| ()));

/// See the module.
#[derive(Default)]
pub(crate) struct Weak {
    /// What is made from the serial numbers on the list, where there is one; empty until all are tried.
    listed: Option<Arc<OnceLock<Guessable>>>,
}

/// The list's serial numbers are still being tried.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NotYet;

impl Weak {
    /// Begins to try these serial numbers, on a thread of its own.
    ///
    /// # Errors
    /// The system gives no thread.
    pub(crate) fn of_serials(serials: Vec<String>) -> io::Result<Self> {
        let listed = Arc::new(OnceLock::new());
        let into = Arc::clone(&listed);
        std::thread::Builder::new().name("fleet-guesses".into()).spawn(move || {
            let _ = into.set(Guessable::of_serials(serials));
        })?;
        Ok(Self { listed: Some(listed) })
    }

    /// How one of these keys of a device can be guessed, in words, and which.
    pub(crate) fn how(
        &self,
        identity: &Identity,
        keys: &[(&'static str, &DeviceKey)],
    ) -> Result<Option<(&'static str, String)>, NotYet> {
        let listed = match &self.listed {
            Some(listed) => Some(listed.get().ok_or(NotYet)?),
            None => None,
        };
        let own = Guessable::of_serials(said_by(identity));
        let how = |key: &DeviceKey| {
            let known = NUMBERS.how(key).or_else(|| own.how(key));
            known.or_else(|| listed.and_then(|listed| listed.how(key)))
        };
        Ok(keys.iter().find_map(|(which, key)| how(key).map(|how| (*which, how))))
    }
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
