//! Private keys in files: PKCS#8 (RFC 5208, RFC 8410), encrypted by PBES2 (RFC 8018) with scrypt (RFC 7914) and
//! AES-256-CBC.

use std::path::Path;

use pkcs8::der::pem::LineEnding;
use pkcs8::pkcs5::pbes2::Parameters;
use pkcs8::pkcs5::scrypt::Params;
use pkcs8::{EncryptedPrivateKeyInfoRef, PrivateKeyInfoRef, SecretDocument};
use zeroize::Zeroizing;

use super::secret::random;
use super::{KeyError, Passphrase, SecretKey};
use crate::files;

/// RFC 8410's version 1 of an ed25519 key: everything before its 32 bytes.
const PREFIX: [u8; 16] =
    [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];
/// id-Ed25519 (RFC 8410).
const ED25519: &str = "1.3.101.112";
/// scrypt's cost: N = 2^17, r = 8, p = 1, 128 MiB for a good part of a second, as OWASP advises.
const LOG_N: u8 = 17;
/// A private key's file: an RSA key of 16,384 bits in PEM would be 13 KB.
const LIMIT: u64 = 32 * 1024;

/// Writes a key under a passphrase into a new file of mode 0600.
///
/// # Errors
/// [`KeyError`] where the file exists already or can't be written.
pub fn create(path: &Path, key: &SecretKey, passphrase: &Passphrase) -> Result<(), KeyError> {
    let pem = encrypt(key, passphrase)?;
    files::create_secret(path, pem.as_bytes())?;
    // A key that can't be read back is no key: better to know now.
    let again = open(path, |_| Ok(passphrase.clone()))?;
    if again.public() == key.public() { Ok(()) } else { Err(KeyError::Failed("it reads back wrong".into())) }
}

/// Reads a private key: PKCS#8 as PEM or DER, encrypted or not (openssl, ring, python-tuf and tuftool write such
/// files). `passphrase` is asked for one only where the file is encrypted.
///
/// # Errors
/// [`KeyError`]
pub fn open(
    path: &Path,
    passphrase: impl FnOnce(&Path) -> Result<Passphrase, KeyError>,
) -> Result<SecretKey, KeyError> {
    from_der(open_der(path, passphrase)?.as_bytes(), path)
}

/// As [`open`], for a key of any algorithm: the PKCS#8 structure in DER.
///
/// # Errors
/// [`KeyError`]
pub(crate) fn open_der(
    path: &Path,
    passphrase: impl FnOnce(&Path) -> Result<Passphrase, KeyError>,
) -> Result<SecretDocument, KeyError> {
    let bytes = Zeroizing::new(files::read(path, LIMIT)?);
    if bytes.trim_ascii_start().starts_with(b"{") && super::read_public(path).is_ok() {
        return Err(KeyError::PublicHalf(path.into()));
    }
    let not_a_key = |why: &str| KeyError::NotAKey { path: path.into(), why: why.into() };
    let (label, document) = match std::str::from_utf8(&bytes).ok().filter(|text| text.contains("-----BEGIN "))
    {
        Some(pem) => SecretDocument::from_pem(pem.trim_start()).map_err(|e| not_a_key(&e.to_string()))?,
        None => {
            let document = SecretDocument::try_from(bytes.as_slice());
            ("", document.map_err(|_| not_a_key("neither PEM nor DER"))?)
        }
    };
    if !matches!(label, "" | "PRIVATE KEY" | "ENCRYPTED PRIVATE KEY") {
        return Err(not_a_key(&format!("it is a {label}")));
    }
    match EncryptedPrivateKeyInfoRef::try_from(document.as_bytes()) {
        Ok(encrypted) => {
            let passphrase = passphrase(path)?;
            let opened = encrypted.decrypt(passphrase.as_bytes());
            opened.map_err(|_| KeyError::WrongPassphrase(path.into()))
        }
        Err(_) => Ok(document),
    }
}

fn encrypt(key: &SecretKey, passphrase: &Passphrase) -> Result<Zeroizing<String>, KeyError> {
    encrypt_der(&Zeroizing::new([PREFIX.as_slice(), key.seed()].concat()), passphrase)
}

/// A PKCS#8 structure of any algorithm as PEM, under a passphrase.
///
/// # Errors
/// [`KeyError::Failed`]
pub(crate) fn encrypt_der(der: &[u8], passphrase: &Passphrase) -> Result<Zeroizing<String>, KeyError> {
    let failed = |e: &dyn std::fmt::Display| KeyError::Failed(e.to_string());
    let (mut salt, mut iv) = ([0; 16], [0; 16]);
    random(&mut salt)?;
    random(&mut iv)?;
    let scrypt = Params::new(LOG_N, 8, 1).map_err(|e| failed(&e))?;
    let parameters = Parameters::generate_scrypt_aes256cbc(scrypt, &salt, iv).map_err(|e| failed(&e))?;
    let plain = PrivateKeyInfoRef::try_from(der).map_err(|e| failed(&e))?;
    let encrypted = plain.encrypt_with_params(parameters, passphrase.as_bytes()).map_err(|e| failed(&e))?;
    encrypted.to_pem("ENCRYPTED PRIVATE KEY", LineEnding::LF).map_err(|e| failed(&e))
}

/// The 32 bytes of an ed25519 key: an OCTET STRING inside PKCS#8's own.
fn from_der(der: &[u8], path: &Path) -> Result<SecretKey, KeyError> {
    let not_a_key = |why: String| KeyError::NotAKey { path: path.into(), why };
    let info = PrivateKeyInfoRef::try_from(der).map_err(|e| not_a_key(e.to_string()))?;
    if info.algorithm.oid.to_string() != ED25519 {
        return Err(not_a_key(format!("its algorithm is {}", info.algorithm.oid)));
    }
    let inner = info.private_key.as_bytes();
    let seed: Option<&[u8; 32]> = inner.strip_prefix(&[0x04, 0x20]).and_then(|seed| seed.try_into().ok());
    let seed = seed.ok_or_else(|| not_a_key("it has another length than 32 bytes".into()))?;
    SecretKey::from_seed(Zeroizing::new(*seed))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Passphrase {
        Passphrase::new(text.to_owned())
    }

    #[test]
    fn a_key_is_read_back_with_its_passphrase_only_and_never_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("me.key");
        let key = SecretKey::generate().unwrap();
        create(&path, &key, &words("correct horse")).unwrap();
        assert_eq!(files::kind_and_mode(&path).unwrap(), (true, 0o600));
        let error = open(&path, |_| Ok(words("incorrect horse"))).unwrap_err();
        assert!(matches!(error, KeyError::WrongPassphrase(_)), "{error}");
        let error = create(&path, &key, &words("correct horse")).unwrap_err();
        assert!(matches!(error, KeyError::File(files::FileError::Exists { .. })), "{error}");
    }

    /// RFC 8410, 10.3, without and with its public key.
    #[test]
    fn plain_keys_of_both_versions_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("plain.pem");
        let v1 = "-----BEGIN PRIVATE KEY-----\n\
                  MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n\
                  -----END PRIVATE KEY-----\n";
        files::write(&path, v1.as_bytes()).unwrap();
        let key = open(&path, |_| Err(KeyError::Failed("asked".into()))).unwrap();
        assert_eq!(key.public().public(), "19bf44096984cdfe8541bac167dc3b96c85086aa30b6b6cb0c5c38ad703166e1");
        let v2 = ring::signature::Ed25519KeyPair::generate_pkcs8(&ring::rand::SystemRandom::new()).unwrap();
        files::write(&path, v2.as_ref()).unwrap();
        assert!(open(&path, |_| Err(KeyError::Failed("asked".into()))).is_ok());
    }

    #[test]
    fn other_files_are_no_keys() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("other");
        for text in ["", "hello", "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n"] {
            files::write(&path, text.as_bytes()).unwrap();
            let error = open(&path, |_| Ok(words("x"))).unwrap_err();
            assert!(matches!(error, KeyError::NotAKey { .. }), "{text}: {error}");
        }
    }
}
