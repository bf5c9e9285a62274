//! Keys that somebody could guess: small numbers, and what is made from a serial number by padding or hashing it. A
//! factory that makes keys so has made a shared password, whatever it is called.
//!
//! Finds only what it tries. That a key is not found here says little; that one is found says all. The signer asks before it
//! issues, the server before a device enrols. No IO, no clock.
#![forbid(unsafe_code)]

use std::collections::HashMap;

use md5::Md5;
use p256::elliptic_curve::group::Group as _;
use p256::elliptic_curve::point::AffineCoordinates as _;
use p256::elliptic_curve::{BatchNormalize as _, PrimeField as _};
use p256::{AffinePoint, ProjectivePoint, Scalar};
use perennial_schemas::fleet::DeviceKey;
use ring::digest::{SHA256, digest};
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use sha1::{Digest as _, Sha1};

/// P-256 keys whose private half is one of the first numbers.
const SMALL: u32 = 65_536;
/// Points brought into their two coordinates at a time.
const BATCH: usize = 4096;
/// A serial number as it is printed on a device, in bytes.
const SERIAL_LENGTH: usize = 128;

/// Public keys whose private half can be guessed, by their first coordinate (or by themselves, for ed25519).
pub struct Guessable {
    p256: HashMap<[u8; 32], Guess>,
    ed25519: HashMap<[u8; 32], Guess>,
    serials: Vec<String>,
}

#[derive(Debug, Clone, Copy)]
enum Guess {
    /// The private key is this number.
    Small(u32),
    /// It is this byte 32 times.
    Repeated(u8),
    /// It is made from the serial number in this line, so.
    Serial(u32, &'static str),
}

/// The serial numbers in a file, one a line; empty lines are passed over.
///
/// # Errors
/// A sentence that says what is wrong with the file.
pub fn serials_in(bytes: &[u8]) -> Result<Vec<String>, String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "it is no UTF-8 text")?;
    let serials: Vec<String> =
        text.lines().map(str::trim).filter(|line| !line.is_empty()).map(Into::into).collect();
    if serials.iter().any(|serial| serial.len() > SERIAL_LENGTH) {
        return Err(format!("a serial number is longer than {SERIAL_LENGTH} bytes"));
    }
    Ok(serials)
}

/// Bytes that so many serial numbers take in a file, at most.
pub fn length_of(serials: usize) -> u64 {
    (serials * (SERIAL_LENGTH + 2)) as u64
}

impl Guessable {
    /// Everything that can be guessed, knowing these serial numbers; `progress` is told how many of them are done.
    pub fn new(serials: Vec<String>, progress: &mut dyn FnMut(usize)) -> Self {
        let mut all = Self::empty();
        all.add_small();
        all.add_serials(serials, progress);
        all
    }

    /// What is made from these serial numbers alone. Each takes about a millisecond, and a kilobyte.
    pub fn of_serials(serials: Vec<String>) -> Self {
        let mut all = Self::empty();
        all.add_serials(serials, &mut |_| ());
        all
    }

    /// How this key can be guessed, in words; `None` where we can't.
    pub fn how(&self, key: &DeviceKey) -> Option<String> {
        if key.is_of_small_order() {
            return Some("it is a point of small order, under which signatures fit that nobody made".into());
        }
        let guess = match key {
            DeviceKey::P256(x, _) => self.p256.get(x),
            DeviceKey::Ed25519(key) => self.ed25519.get(key),
        }?;
        Some(match guess {
            Guess::Small(number) => format!("its private key is the number {number}"),
            Guess::Repeated(byte) => format!("its private key is the byte {byte:#04x}, 32 times"),
            Guess::Serial(line, how) => {
                let serial = self.serials.get(*line as usize).map_or("", String::as_str);
                format!("its private key is made from the serial number {serial:?}, {how}")
            }
        })
    }

    fn empty() -> Self {
        Self { p256: HashMap::new(), ed25519: HashMap::new(), serials: Vec::new() }
    }

    fn add_serials(&mut self, serials: Vec<String>, progress: &mut dyn FnMut(usize)) {
        let mut points = Points::default();
        for (line, serial) in serials.iter().enumerate() {
            for (secret, how) in secrets_of(serial) {
                let guess = Guess::Serial(line as u32, how);
                self.add_ed25519(&secret, guess);
                points.add(&secret, guess, &mut self.p256);
            }
            progress(line + 1);
        }
        points.flush(&mut self.p256);
        self.serials = serials;
    }

    fn add_small(&mut self) {
        let mut points = Points::default();
        let mut point = ProjectivePoint::IDENTITY;
        for number in 1..=SMALL {
            point += AffinePoint::GENERATOR;
            points.push(point, Guess::Small(number), &mut self.p256);
        }
        for byte in 0..=u8::MAX {
            let secret = [byte; 32];
            points.add(&secret, Guess::Repeated(byte), &mut self.p256);
            self.add_ed25519(&secret, Guess::Repeated(byte));
        }
        points.flush(&mut self.p256);
        // Of seeds, fewer: each costs a multiplication.
        for number in 1..=1024_u32 {
            let (mut big, mut little) = ([0; 32], [0; 32]);
            big[28..].copy_from_slice(&number.to_be_bytes());
            little[..4].copy_from_slice(&number.to_le_bytes());
            self.add_ed25519(&big, Guess::Small(number));
            self.add_ed25519(&little, Guess::Small(number));
        }
    }

    fn add_ed25519(&mut self, seed: &[u8; 32], guess: Guess) {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed);
        let public = pair.ok().and_then(|pair| <[u8; 32]>::try_from(pair.public_key().as_ref()).ok());
        if let Some(public) = public {
            self.ed25519.entry(public).or_insert(guess);
        }
    }
}

/// Points that wait until there are enough of them to be normalised together.
#[derive(Default)]
struct Points(Vec<(ProjectivePoint, Guess)>);

impl Points {
    /// The point of a private key; none for what is no number of the curve.
    fn add(&mut self, secret: &[u8; 32], guess: Guess, into: &mut HashMap<[u8; 32], Guess>) {
        if let Some(scalar) = Option::<Scalar>::from(Scalar::from_repr((*secret).into())) {
            self.push(ProjectivePoint::GENERATOR * scalar, guess, into);
        }
    }

    fn push(&mut self, point: ProjectivePoint, guess: Guess, into: &mut HashMap<[u8; 32], Guess>) {
        if !bool::from(point.is_identity()) {
            self.0.push((point, guess));
        }
        if self.0.len() >= BATCH {
            self.flush(into);
        }
    }

    fn flush(&mut self, into: &mut HashMap<[u8; 32], Guess>) {
        let points: Vec<ProjectivePoint> = self.0.iter().map(|(point, _)| *point).collect();
        let affine = ProjectivePoint::batch_normalize(points.as_slice());
        for (point, (_, guess)) in affine.iter().zip(self.0.drain(..)) {
            into.entry(point.x().into()).or_insert(guess);
        }
    }
}

/// The private keys that a careless factory makes from a serial number.
fn secrets_of(serial: &str) -> Vec<([u8; 32], &'static str)> {
    let bytes = serial.as_bytes();
    let mut sha256 = [0; 32];
    sha256.copy_from_slice(digest(&SHA256, bytes).as_ref());
    let mut secrets = vec![(sha256, "hashed by SHA-256")];
    let mut padded = |bytes: &[u8], left: &'static str, right: &'static str| {
        if (1..=32).contains(&bytes.len()) {
            let (mut before, mut after) = ([0; 32], [0; 32]);
            before[32 - bytes.len()..].copy_from_slice(bytes);
            after[..bytes.len()].copy_from_slice(bytes);
            secrets.extend([(before, left), (after, right)]);
        }
    };
    padded(bytes, "with zeros before it", "with zeros after it");
    padded(
        &Sha1::digest(bytes),
        "hashed by SHA-1, with zeros before it",
        "hashed by SHA-1, with zeros after it",
    );
    padded(&Md5::digest(bytes), "hashed by MD5, with zeros before it", "hashed by MD5, with zeros after it");
    // As a number, where it is one.
    if let Ok(number) = serial.parse::<u128>() {
        padded(&number.to_be_bytes(), "as a number", "as a number, with zeros after it");
    }
    secrets
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_bytes_and_points_of_small_order_are_found_and_what_is_made_from_no_known_serial_is_not() {
        let all = Guessable::new(vec!["TH-000417".into()], &mut |_| ());
        // The base point itself (SEC 2 §2.4.2).
        let x = perennial_schemas::digest::decode_hex(
            "6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296",
        );
        let x: [u8; 32] = x.unwrap().try_into().unwrap();
        assert_eq!(all.how(&DeviceKey::P256(x, [0; 32])).unwrap(), "its private key is the number 1");
        assert!(all.how(&DeviceKey::Ed25519([0; 32])).unwrap().contains("small order"));
        let of_seed = |seed: [u8; 32]| {
            let pair = Ed25519KeyPair::from_seed_unchecked(&seed).unwrap();
            DeviceKey::Ed25519(pair.public_key().as_ref().try_into().unwrap())
        };
        assert!(all.how(&of_seed([7; 32])).unwrap().contains("the byte 0x07"));
        let hashed = |serial: &str| {
            let mut seed = [0; 32];
            seed.copy_from_slice(digest(&SHA256, serial.as_bytes()).as_ref());
            of_seed(seed)
        };
        assert!(all.how(&hashed("TH-000417")).unwrap().contains("hashed by SHA-256"));
        assert_eq!(all.how(&hashed("TH-000418")), None);
        let serials = Guessable::of_serials(vec!["TH-000418".into()]);
        assert!(serials.how(&hashed("TH-000418")).is_some() && serials.how(&of_seed([7; 32])).is_none());
    }

    #[test]
    fn a_file_of_serial_numbers_has_one_a_line() {
        assert_eq!(serials_in(b" TH-1 \r\n\nTH-2").unwrap(), ["TH-1", "TH-2"]);
        assert!(serials_in(b"\xff").unwrap_err().contains("UTF-8"));
        assert!(serials_in("9".repeat(129).as_bytes()).unwrap_err().contains("128 bytes"));
    }
}
