//! What the commands of the device CA report.

use std::fmt;
use std::path::{Path, PathBuf};

use perennial_schemas::fleet::{DeviceId, DeviceKey, Label};
use perennial_schemas::{HardwareName, ProductName, Sha256Digest, Timestamp};
use serde::Serialize;

use crate::crypto::Ring;
use crate::device_ca::authority::{certificate_path, key_path};
use crate::device_ca::issue::{Batch, Order};
use crate::device_ca::ledger::Issued;
use crate::device_ca::revoke::List;
use crate::device_ca::show::{Certificate, Contents, RevocationList};
use crate::terminal::shell_word;

/// Entries of a file that are shown to people; JSON has them all.
const SHOWN: usize = 20;

#[derive(Serialize)]
pub(super) struct InitReport {
    folder: PathBuf,
    key: PathBuf,
    certificate: PathBuf,
    subject: String,
    until: Timestamp,
    sha256: Sha256Digest,
}

impl InitReport {
    pub(super) fn new(dir: &Path, certificate: &Certificate) -> Self {
        Self {
            folder: dir.into(),
            key: key_path(dir),
            certificate: certificate_path(dir),
            subject: certificate.facts.subject.clone(),
            until: certificate.facts.until,
            sha256: certificate.facts.key,
        }
    }
}

impl fmt::Display for InitReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "Made {}, good until {}", self.subject, self.until.date().in_words())?;
        writeln!(f, "  private      {}  (offline, with its passphrase apart)", self.key.display())?;
        writeln!(f, "  certificate  {}  (for servers: [fleet] ca)", self.certificate.display())?;
        writeln!(f, "  key          {}", self.sha256)?;
        writeln!(f, "Back the whole folder up after each batch: it lists what was issued.")?;
        let folder = shell_word(&self.folder.display().to_string());
        writeln!(f, "Next: perennial-signer device-ca issue --ca {folder} --requests FILE --product P …")
    }
}

#[derive(Serialize)]
pub(super) struct IssueReport {
    certificates: PathBuf,
    count: usize,
    product: ProductName,
    hardware: HardwareName,
    labels: Vec<Label>,
    until: Timestamp,
    issued: Vec<IssuedEntry>,
}

#[derive(Serialize)]
struct IssuedEntry {
    serial: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    device: Option<DeviceId>,
}

impl IssueReport {
    pub(super) fn new(order: &Order, batch: &Batch) -> Self {
        let entry = |issued: &Issued| IssuedEntry {
            serial: issued.serial.clone(),
            device: issued.device.as_ref().map(|device| device.id.clone()),
        };
        Self {
            certificates: batch.file.clone(),
            count: batch.issued.len(),
            product: order.product.clone(),
            hardware: order.hardware.clone(),
            labels: order.labels.iter().cloned().collect(),
            until: batch.until,
            issued: batch.issued.iter().map(entry).collect(),
        }
    }
}

impl fmt::Display for IssueReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let certificates = if self.count == 1 { "certificate" } else { "certificates" };
        writeln!(f, "Issued {} factory {certificates}: {}", self.count, self.certificates.display())?;
        write!(f, "  product   {}, {}", self.product, self.hardware)?;
        for (n, label) in self.labels.iter().enumerate() {
            write!(f, "{}{label}", if n == 0 { ", labels " } else { ", " })?;
        }
        writeln!(f, "\n  good until {}", self.until.date().in_words())?;
        for entry in self.issued.iter().take(SHOWN) {
            let device = entry.device.as_ref().map_or("", DeviceId::as_str);
            writeln!(f, "  device    {device}  (serial {})", entry.serial)?;
        }
        more(f, self.issued.len())?;
        writeln!(f, "They stand in the order of the requests. Install each on its device:")?;
        writeln!(f, "  perennial-device identity install FILE")
    }
}

#[derive(Serialize)]
pub(super) struct EnrolmentReport {
    certificate: PathBuf,
    serial: String,
    key: Sha256Digest,
    until: Timestamp,
}

impl EnrolmentReport {
    pub(super) fn new(out: &Path, issued: &Issued) -> Self {
        Self { certificate: out.into(), serial: issued.serial.clone(), key: issued.key, until: issued.until }
    }
}

impl fmt::Display for EnrolmentReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "Issued an enrolment CA: {}", self.certificate.display())?;
        writeln!(f, "  serial     {}", self.serial)?;
        writeln!(f, "  key        {}", self.key)?;
        writeln!(f, "  good until {}  (renew it a month before)", self.until.date().in_words())?;
        writeln!(f, "Give it to the server: [fleet] enrolment_certificate")
    }
}

#[derive(Serialize)]
pub(super) struct RevokeReport {
    list: PathBuf,
    revoked: usize,
    added: usize,
    next: Timestamp,
}

impl RevokeReport {
    pub(super) fn new(out: &Path, list: &List) -> Self {
        Self { list: out.into(), revoked: list.revoked, added: list.added, next: list.next }
    }
}

impl fmt::Display for RevokeReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "Wrote the revocation list: {}", self.list.display())?;
        writeln!(f, "  revoked  {}, of which {} are new", self.revoked, self.added)?;
        writeln!(f, "  the next is due on {}", self.next.date().in_words())?;
        writeln!(f, "Give it to every server: [fleet] revocations")
    }
}

#[derive(Serialize)]
pub(super) struct ShowReport {
    certificates: Vec<ShownCertificate>,
    requests: Vec<ShownRequest>,
    lists: Vec<ShownList>,
}

#[derive(Serialize)]
struct ShownCertificate {
    subject: String,
    issuer: String,
    serial: String,
    from: Timestamp,
    until: Timestamp,
    ca: bool,
    key: Sha256Digest,
    names: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    odd: Option<String>,
}

#[derive(Serialize)]
struct ShownRequest {
    #[serde(skip_serializing_if = "Option::is_none")]
    device: Option<DeviceId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    odd: Option<String>,
}

#[derive(Serialize)]
struct ShownList {
    issuer: String,
    at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<Timestamp>,
    serials: Vec<String>,
}

impl ShowReport {
    pub(super) fn new(contents: &Contents) -> Self {
        Self {
            certificates: contents.certificates.iter().map(shown).collect(),
            requests: contents.requests.iter().map(shown_request).collect(),
            lists: contents.lists.iter().map(shown_list).collect(),
        }
    }
}

fn shown(certificate: &Certificate) -> ShownCertificate {
    let facts = &certificate.facts;
    let (names, odd) = match &facts.name {
        None => (Vec::new(), None),
        Some(Ok(name)) => (name.to_uris(), None),
        Some(Err(odd)) => (Vec::new(), Some(odd.clone())),
    };
    ShownCertificate {
        subject: facts.subject.clone(),
        issuer: facts.issuer.clone(),
        serial: facts.serial.clone(),
        from: facts.from,
        until: facts.until,
        ca: facts.ca,
        key: facts.key,
        names,
        odd,
    }
}

fn shown_request(request: &Result<DeviceKey, String>) -> ShownRequest {
    match request {
        Ok(key) => ShownRequest {
            device: Some(DeviceId::of_key(&key.digest(&Ring))),
            kind: Some(key.kind()),
            odd: None,
        },
        Err(odd) => ShownRequest { device: None, kind: None, odd: Some(odd.clone()) },
    }
}

fn shown_list(list: &RevocationList) -> ShownList {
    ShownList { issuer: list.issuer.clone(), at: list.at, next: list.next, serials: list.serials.clone() }
}

impl fmt::Display for ShowReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for certificate in self.certificates.iter().take(SHOWN) {
            certificate.fmt(f)?;
        }
        more(f, self.certificates.len())?;
        for request in self.requests.iter().take(SHOWN) {
            match (&request.device, &request.odd) {
                (Some(device), _) => {
                    writeln!(f, "Request of a {} key: device {device}", request.kind.unwrap_or_default())?;
                }
                (None, odd) => {
                    writeln!(f, "Request that can't be granted: {}", odd.as_deref().unwrap_or_default())?;
                }
            }
        }
        more(f, self.requests.len())?;
        for list in &self.lists {
            writeln!(f, "Revocation list of {}, of {}", list.issuer, list.at)?;
            if let Some(next) = list.next {
                writeln!(f, "  the next is due on {}", next.date().in_words())?;
            }
            for serial in list.serials.iter().take(SHOWN) {
                writeln!(f, "  revoked  {serial}")?;
            }
            more(f, list.serials.len())?;
        }
        if self.certificates.is_empty() && self.requests.is_empty() && self.lists.is_empty() {
            writeln!(f, "It holds no certificate, no request and no revocation list.")?;
        }
        Ok(())
    }
}

impl fmt::Display for ShownCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} {}", if self.ca { "CA" } else { "Certificate" }, self.subject)?;
        writeln!(f, "  issuer   {}", self.issuer)?;
        writeln!(f, "  serial   {}", self.serial)?;
        writeln!(f, "  good     from {} until {}", self.from, self.until)?;
        for name in &self.names {
            writeln!(f, "  name     {name}")?;
        }
        if let Some(odd) = &self.odd {
            writeln!(f, "  ODD      {odd}")?;
        }
        writeln!(f, "  key      {}", self.key)
    }
}

fn more(f: &mut fmt::Formatter<'_>, count: usize) -> fmt::Result {
    match count.checked_sub(SHOWN) {
        Some(rest) if rest > 0 => writeln!(f, "  and {rest} more (--json shows all)"),
        _ => Ok(()),
    }
}
