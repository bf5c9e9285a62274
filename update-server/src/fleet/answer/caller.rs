//! Who asks: by the certificate of the connection; by what a proxy says of it (RFC 9440), from configured addresses alone,
//! with the path verified again; or, in lab mode, by nothing at all.

use super::Fleet;
use super::refused::Refused;
use crate::fleet::fold::Who;
use crate::fleet::identity::Identity;
use crate::fleet::row::Row;
use base64ct::{Base64, Encoding};
use hyper::HeaderMap;
use perennial_schemas::Timestamp;
use perennial_schemas::fleet::{DeviceId, Kind, RefusalCode};
use perennial_schemas::limits::{CERTIFICATE_LENGTH, CHAIN_CERTIFICATES};
use rustls_pki_types::CertificateDer;
use std::net::IpAddr;
use std::sync::Arc;

const CLIENT_CERT: &str = "client-cert";
const CLIENT_CERT_CHAIN: &str = "client-cert-chain";
/// Names the device in lab mode, where no body does.
const DEVICE: &str = "perennial-device";

/// The other end of a connection. Its address says whether it is a proxy, and nothing else.
#[derive(Debug, Clone)]
pub(crate) struct Peer {
    pub(crate) address: IpAddr,
    /// The chain that was shown in TLS; `None` on a plain connection.
    pub(crate) chain: Option<Vec<CertificateDer<'static>>>,
}

/// Who asks.
#[derive(Debug, Clone)]
pub(crate) enum Caller {
    /// A device with a certificate.
    Device(Arc<Identity>),
    /// Anybody, in lab mode, and whom they name in a header.
    Lab(Option<DeviceId>),
}

impl Caller {
    /// Who they are for an operation on `named`, or on themselves.
    pub(crate) fn who(&self, named: Option<&DeviceId>) -> Result<Who, Refused> {
        match (self, named) {
            (Self::Device(identity), Some(named)) if *named != identity.name.device => {
                Err(RefusalCode::OtherDevice.into())
            }
            (Self::Device(identity), _) => Ok(Who::Device(Arc::clone(identity))),
            (Self::Lab(Some(header)), Some(named)) if header != named => Err(RefusalCode::OtherDevice.into()),
            (Self::Lab(_), Some(named)) | (Self::Lab(Some(named)), None) => Ok(Who::Lab(named.clone())),
            (Self::Lab(None), None) => {
                Err(Refused::new(RefusalCode::Malformed, "no header Perennial-Device names the device"))
            }
        }
    }

    /// The device that the rate is counted for.
    pub(crate) fn device(&self) -> Option<&DeviceId> {
        match self {
            Self::Device(identity) => Some(&identity.name.device),
            Self::Lab(device) => device.as_ref(),
        }
    }
}

impl Fleet {
    /// Who asks, by connection and headers.
    pub(super) fn caller(&self, peer: &Peer, headers: &HeaderMap, now: Timestamp) -> Result<Caller, Refused> {
        let forwarded = headers.contains_key(CLIENT_CERT) || headers.contains_key(CLIENT_CERT_CHAIN);
        let proxy = peer.chain.is_none() && self.proxies.iter().any(|network| network.contains(peer.address));
        if forwarded && !proxy {
            return Err(RefusalCode::ClientCertNotAllowed.into());
        }
        let chain = match &peer.chain {
            Some(chain) => chain.clone(),
            None if forwarded => read(headers)?,
            None if self.lab => return lab(headers),
            None => return Err(RefusalCode::NoCertificate.into()),
        };
        let trust = self.trust.as_ref().ok_or(RefusalCode::NotOffered)?;
        if chain.is_empty() {
            return Err(RefusalCode::NoCertificate.into());
        }
        Ok(Caller::Device(trust.identify(&chain, now)?))
    }

    /// Whether a caller may look at, or erase, what is held on `row`; changes nothing. What restored records have forgotten
    /// opens neither before the device has told something with it.
    pub(super) fn may(&self, who: &Who, row: Option<&Row>, now: Timestamp) -> Result<(), Refused> {
        let Who::Device(identity) = who else {
            return match row {
                Some(row) if row.lab => Ok(()),
                Some(_) => Err(RefusalCode::OtherDevice.into()),
                None => Err(RefusalCode::NotEnrolled.into()),
            };
        };
        let row = row.filter(|row| !row.lab).ok_or(RefusalCode::NotEnrolled)?;
        let by_list = |serial: &[u8]| self.trust.as_ref().is_some_and(|trust| trust.is_revoked(serial));
        let factory_revoked = row.factory.as_ref().is_some_and(|factory| by_list(&factory.serial));
        match () {
            () if identity.name.kind == Kind::Factory => Err(RefusalCode::FactoryOnly.into()),
            () if row.revoked.is_some() || factory_revoked => Err(RefusalCode::Revoked.into()),
            () if !row.knows(identity) => Err(RefusalCode::Superseded.into()),
            () if identity.expired(now) => Err(super::refused::expired(identity.not_after)),
            () => Ok(()),
        }
    }
}

fn lab(headers: &HeaderMap) -> Result<Caller, Refused> {
    let Some(header) = headers.get(DEVICE) else { return Ok(Caller::Lab(None)) };
    let device = header.to_str().ok().and_then(|text| text.parse().ok());
    let odd = || Refused::new(RefusalCode::Malformed, "the header Perennial-Device holds no device id");
    device.map(|device| Caller::Lab(Some(device))).ok_or_else(odd)
}

/// The chain in `Client-Cert` and `Client-Cert-Chain` (RFC 9440 §2): byte sequences of structured fields, `:base64:`. The
/// trust anchor may be among them, and is looked over by the path building.
fn read(headers: &HeaderMap) -> Result<Vec<CertificateDer<'static>>, Refused> {
    let odd = |what: &'static str| Refused::new(RefusalCode::Malformed, what);
    let mut leaf = headers.get_all(CLIENT_CERT).iter();
    let (Some(first), None) = (leaf.next(), leaf.next()) else {
        return Err(odd("Client-Cert isn't there once"));
    };
    let mut chain =
        vec![certificate(first.as_bytes()).ok_or_else(|| odd("Client-Cert is no byte sequence"))?];
    for field in headers.get_all(CLIENT_CERT_CHAIN) {
        for member in field.as_bytes().split(|byte| *byte == b',') {
            if chain.len() == CHAIN_CERTIFICATES {
                return Err(odd("Client-Cert-Chain is longer than a device's chain is"));
            }
            let certificate = certificate(member.trim_ascii());
            chain.push(certificate.ok_or_else(|| odd("Client-Cert-Chain is no list of byte sequences"))?);
        }
    }
    Ok(chain)
}

fn certificate(field: &[u8]) -> Option<CertificateDer<'static>> {
    let text = field.trim_ascii().strip_prefix(b":")?.strip_suffix(b":")?;
    decode(std::str::from_utf8(text).ok()?)
}

/// A certificate in base64.
pub(super) fn decode(text: &str) -> Option<CertificateDer<'static>> {
    if text.len() > CERTIFICATE_LENGTH.div_ceil(3) * 4 {
        return None;
    }
    Base64::decode_vec(text).ok().map(CertificateDer::from)
}
