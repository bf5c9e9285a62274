//! What every certificate of ours looks like (RFC 5280). What a server checks stands in the same words in its own code.
//!
//! | certificate | subject | usage | basic constraints |
//! | --- | --- | --- | --- |
//! | device CA | the maker's name | keyCertSign, cRLSign | CA, at most one below |
//! | enrolment CA | the maker's name and the key's beginning | keyCertSign; clientAuth | CA, none below |
//! | factory | the device's id | digitalSignature; clientAuth | no CA |

use perennial_schemas::Timestamp;
use perennial_schemas::fleet::Name;
use rcgen::string::Ia5String;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyUsagePurpose, SanType, SerialNumber,
};
use time::OffsetDateTime;

use super::DeviceCaError;
use crate::keys::random;

/// From when until when a certificate is good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Life {
    /// The first second.
    pub from: Timestamp,
    /// The last second.
    pub until: Timestamp,
}

impl Life {
    /// From `now` to the same day `years` later.
    pub fn years(now: Timestamp, years: u8) -> Self {
        let day = now.date().plus_months(i32::from(years) * 12);
        Self { from: now, until: day.end() }
    }
}

/// The device CA.
pub(super) fn authority(maker: &str, life: Life) -> Result<CertificateParams, DeviceCaError> {
    let mut params = common(&format!("{maker} device CA"), life)?;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(1));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.use_authority_key_identifier_extension = false;
    Ok(params)
}

/// The CA of a server's enrolment key.
pub(super) fn enrolment(maker: &str, key: &str, life: Life) -> Result<CertificateParams, DeviceCaError> {
    let mut params = common(&format!("{maker} enrolment CA {key}"), life)?;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    Ok(params)
}

/// A device.
pub(super) fn device(name: &Name, life: Life) -> Result<CertificateParams, DeviceCaError> {
    let mut params = common(name.device.as_str(), life)?;
    let uri = |uri: String| Ia5String::try_from(uri).map(SanType::URI);
    params.subject_alt_names = name.to_uris().into_iter().map(uri).collect::<Result<_, _>>()?;
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    Ok(params)
}

fn common(subject: &str, life: Life) -> Result<CertificateParams, DeviceCaError> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, subject);
    params.serial_number = Some(serial()?);
    params.not_before = moment(life.from)?;
    params.not_after = moment(life.until)?;
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}

/// 16 random bytes, positive and without a leading zero, so that every tool writes them alike.
fn serial() -> Result<SerialNumber, DeviceCaError> {
    let mut bytes = [0; 16];
    random(&mut bytes)?;
    bytes[0] = bytes[0] & 0x7f | 0x40;
    Ok(SerialNumber::from_slice(&bytes))
}

/// The same moment as the certificate library writes it.
pub(super) fn moment(at: Timestamp) -> Result<OffsetDateTime, DeviceCaError> {
    OffsetDateTime::from_unix_timestamp(at.unix()).map_err(|error| DeviceCaError::Failed(error.to_string()))
}
