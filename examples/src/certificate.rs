//! A certificate for `localhost` by an authority of the story's own. A product's server has one from a public
//! authority, or from its maker's.

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, SanType};

/// Where the three files are.
#[derive(Debug)]
pub struct Certificates {
    /// What devices trust.
    pub authority: PathBuf,
    /// The server's certificate.
    pub certificate: PathBuf,
    /// The server's private key, 0600.
    pub key: PathBuf,
}

/// Makes them in `folder`.
///
/// # Errors
/// Any error of making or writing them.
pub fn make(folder: &Path) -> io::Result<Certificates> {
    let mut authority = CertificateParams::default();
    authority.distinguished_name.push(DnType::CommonName, "Perennial quickstart");
    authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    let authority_key = KeyPair::generate().map_err(io::Error::other)?;
    let authority_pem = authority.self_signed(&authority_key).map_err(io::Error::other)?.pem();
    let issuer = Issuer::new(authority, authority_key);

    let mut server = CertificateParams::new(vec!["localhost".into()]).map_err(io::Error::other)?;
    server.subject_alt_names.push(SanType::IpAddress(IpAddr::V4(Ipv4Addr::LOCALHOST)));
    let key = KeyPair::generate().map_err(io::Error::other)?;
    let certificate = server.signed_by(&key, &issuer).map_err(io::Error::other)?.pem();

    let made = Certificates {
        authority: folder.join("authority.pem"),
        certificate: folder.join("server.pem"),
        key: folder.join("server.key"),
    };
    fs::write(&made.authority, authority_pem)?;
    fs::write(&made.certificate, certificate)?;
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&made.key)?;
    io::Write::write_all(&mut file, key.serialize_pem().as_bytes())?;
    Ok(made)
}
