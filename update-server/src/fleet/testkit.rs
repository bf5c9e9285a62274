//! A maker for unit tests: a device CA, factory certificates, an enrolment CA, and what goes wrong with them.

use super::authority::{self, Authority};
use super::identity::{Identity, digest_of};
use super::row::Credential;
use super::trust::{Files, Trust};
use crate::disk;
use perennial_schemas::Timestamp;
use perennial_schemas::fleet::{DeviceId, Kind, Name};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType, ExtendedKeyUsagePurpose,
    IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, PublicKeyData, RevokedCertParams, SanType,
    SerialNumber,
};
use rustls_pki_types::CertificateDer;
use std::path::PathBuf;
use std::sync::Arc;

pub(crate) fn now() -> Timestamp {
    Timestamp::from_unix(1_800_000_000)
}

pub(crate) fn date(at: Timestamp) -> time::OffsetDateTime {
    time::OffsetDateTime::from_unix_timestamp(at.unix()).unwrap()
}

pub(crate) struct Maker {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) issuer: Issuer<'static, KeyPair>,
    pub(crate) enrolment: CertificateDer<'static>,
    pub(crate) trust: Arc<Trust>,
    pub(crate) authority: Authority,
}

/// A key with a certificate.
pub(crate) struct Device {
    pub(crate) key: KeyPair,
    pub(crate) chain: Vec<CertificateDer<'static>>,
}

pub(crate) fn ca_params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.not_before = date(now().plus_days(-1000));
    params.not_after = date(now().plus_days(10_000));
    params
}

/// A factory certificate's parameters, to be bent.
pub(crate) fn leaf_params(name: &Name, serial: u8) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name.device.as_str());
    params.subject_alt_names =
        name.to_uris().iter().map(|uri| SanType::URI(uri.as_str().try_into().unwrap())).collect();
    params.serial_number = Some(SerialNumber::from_slice(&[serial; 16]));
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    params.not_before = date(now().plus_days(-100));
    params.not_after = date(now().plus_days(3650));
    params
}

pub(crate) fn name_of(key: &KeyPair, kind: Kind) -> Name {
    Name {
        device: DeviceId::of_key(&digest_of(&key.subject_public_key_info())),
        product: "thermostat".parse().unwrap(),
        hardware: "revC".parse().unwrap(),
        labels: ["ring=canary".parse().unwrap()].into(),
        kind,
    }
}

impl Maker {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let ca_key = KeyPair::generate().unwrap();
        let params = ca_params("Example device CA");
        let ca = params.self_signed(&ca_key).unwrap();
        let issuer = Issuer::new(params, ca_key);
        disk::replace(&folder.path().join("ca.pem"), ca.pem().as_bytes(), 0o644).unwrap();
        authority::create(folder.path()).unwrap();
        let request = disk::read(&folder.path().join("enrolment.csr.pem"), 4096).unwrap();
        let (spki, _) = authority::requested_key(std::str::from_utf8(&request).unwrap()).unwrap();
        let mut params = ca_params("Example enrolment CA");
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.serial_number = Some(SerialNumber::from_slice(&[200; 16]));
        params.not_after = date(now().plus_days(400));
        let public = rcgen::SubjectPublicKeyInfo::from_der(&spki).unwrap();
        let enrolment = params.signed_by(&public, &issuer).unwrap();
        disk::replace(&folder.path().join("enrolment.pem"), enrolment.pem().as_bytes(), 0o644).unwrap();
        let files = Files { ca: folder.path().join("ca.pem"), revocations: None };
        let trust = Arc::new(Trust::load(files).unwrap());
        let authority = Authority::load(
            &folder.path().join("enrolment.key"),
            &folder.path().join("enrolment.pem"),
            &trust,
        )
        .unwrap();
        Self { enrolment: enrolment.der().clone(), folder, issuer, trust, authority }
    }

    /// A factory certificate, bent by `change`.
    pub(crate) fn factory(&self, serial: u8, change: impl FnOnce(&mut CertificateParams)) -> Device {
        let key = KeyPair::generate().unwrap();
        let mut params = leaf_params(&name_of(&key, Kind::Factory), serial);
        change(&mut params);
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Device { key, chain: vec![certificate.der().clone()] }
    }

    /// A fleet certificate for a device with that factory certificate.
    pub(crate) fn fleet(&self, factory: &Identity, at: Timestamp) -> (Device, Credential) {
        let key = KeyPair::generate().unwrap();
        let issued = self.authority.issue(&factory.name, &key.subject_public_key_info(), 90, at).unwrap();
        let chain = rustls_pki_types::pem::PemObject::pem_slice_iter(issued.chain.as_bytes());
        (Device { key, chain: chain.collect::<Result<_, _>>().unwrap() }, issued.credential)
    }

    pub(crate) fn identify(&self, device: &Device) -> Arc<Identity> {
        self.trust.identify(&device.chain, now()).unwrap()
    }

    /// Writes a revocation list with these serial numbers, by the CA or by a stranger.
    pub(crate) fn revoke(&self, serials: &[u8], by: &Issuer<'static, KeyPair>) -> PathBuf {
        self.revoke_in(1, serials, by)
    }

    /// The same as the list of that number.
    pub(crate) fn revoke_in(&self, number: u64, serials: &[u8], by: &Issuer<'static, KeyPair>) -> PathBuf {
        let revoked = |serial: &u8| RevokedCertParams {
            serial_number: SerialNumber::from_slice(&[*serial; 16]),
            revocation_time: date(now()),
            reason_code: None,
            invalidity_date: None,
        };
        let list = CertificateRevocationListParams {
            this_update: date(now()),
            next_update: date(now().plus_days(30)),
            crl_number: SerialNumber::from(number),
            issuing_distribution_point: None,
            revoked_certs: serials.iter().map(revoked).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let path = self.folder.path().join("crl.pem");
        disk::replace(&path, list.signed_by(by).unwrap().pem().unwrap().as_bytes(), 0o644).unwrap();
        path
    }
}
