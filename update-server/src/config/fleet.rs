//! `[fleet]`: where devices with an identity are heard, whose certificates count, and how long what they tell is kept.

use super::{Config, Size, Span, units::addresses};
use crate::fleet::Rates;
use perennial_schemas::limits::{BATCH_LENGTH, QUEUE_LENGTH};
use serde::{Deserialize, Deserializer};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

/// See [`super::KEYS`] for what each key means.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Fleet {
    /// Addresses with mutual TLS.
    #[serde(deserialize_with = "addresses")]
    pub tls: Vec<SocketAddr>,
    /// Addresses without TLS, behind a proxy or in a laboratory.
    #[serde(deserialize_with = "addresses")]
    pub without_tls: Vec<SocketAddr>,
    /// Who may say by a header which certificate a device showed.
    pub proxies: Vec<Network>,
    /// Take reports of whoever says to be a device.
    pub lab: bool,
    /// The device CA, in PEM.
    pub ca: Option<PathBuf>,
    /// The enrolment key's certificate, in PEM.
    pub enrolment_certificate: Option<PathBuf>,
    /// The device CA's revocation list, in PEM.
    pub revocations: Option<PathBuf>,
    /// Serial numbers of which no device's key may be made, one a line.
    pub serials: Option<PathBuf>,
    /// Life of a fleet certificate.
    pub certificate_days: u32,
    /// When devices are asked to check in again.
    pub check_in: Span,
    /// Requests of one device per second, on average.
    pub rate: u32,
    /// Requests of one device at once.
    pub burst: u32,
    /// Bytes of reports that one device may hand in within a day.
    pub daily_reports: Size,
    /// Reports that may wait to be written.
    pub queue: usize,
    /// Bytes of large bodies that may be on their way at once.
    pub large_bodies: Size,
    /// For so long a large body keeps its room, however slowly it comes.
    pub slow_after: Span,
    /// How long things are kept.
    pub keep: Keep,
    /// What the page on what devices tell says for the maker.
    pub page: Page,
}

/// `[fleet.keep]`
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Keep {
    /// Reports.
    pub reports: Span,
    /// Devices that nothing is heard of.
    pub devices: Span,
}

/// `[fleet.page]`
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Page {
    /// Whom the maker hands what devices tell on to, and what for, in the maker's words.
    pub third_parties: Vec<String>,
    /// How an owner withdraws consent on the product, in the maker's words; empty: by the agent's command.
    pub withdraw: String,
}

/// What the page shows of the maker's words: lines, and bytes in each.
const PAGE_LINES: usize = 32;
const PAGE_LINE: usize = 500;

impl Default for Fleet {
    fn default() -> Self {
        Self {
            tls: Vec::new(),
            without_tls: Vec::new(),
            proxies: Vec::new(),
            lab: false,
            ca: None,
            enrolment_certificate: None,
            revocations: None,
            serials: None,
            certificate_days: 90,
            check_in: Span::seconds(86_400),
            rate: 1,
            burst: 30,
            daily_reports: Size(4 * QUEUE_LENGTH),
            queue: 20_000,
            large_bodies: Size(8 * BATCH_LENGTH),
            slow_after: Span::seconds(10),
            keep: Keep::default(),
            page: Page::default(),
        }
    }
}

impl Default for Keep {
    fn default() -> Self {
        Self { reports: Span::seconds(365 * 86_400), devices: Span::seconds(3 * 365 * 86_400) }
    }
}

impl Fleet {
    /// Whether the plane is served at all.
    pub fn is_served(&self) -> bool {
        !self.tls.is_empty() || !self.without_tls.is_empty()
    }

    /// What is counted of the bytes of reports, by device.
    pub(crate) fn daily(&self) -> Rates {
        let day = self.daily_reports.0 as u32;
        Rates::new(day.div_ceil(86_400), day)
    }

    /// What no single value can tell.
    pub(super) fn check(&self, config: &Config) -> Result<(), String> {
        if !self.tls.is_empty() && (config.tls.certificate.is_none() || config.tls.key.is_none()) {
            return Err("fleet.tls is set, so tls.certificate and tls.key must name files".into());
        }
        if !self.without_tls.is_empty() && !self.lab && self.proxies.is_empty() {
            return Err(
                "fleet.without_tls is set, so fleet.proxies must name the proxies that may say who a device is"
                    .into(),
            );
        }
        let certified = !self.tls.is_empty() || !self.proxies.is_empty();
        if certified && self.is_served() && self.ca.is_none() {
            return Err(
                "fleet.tls or fleet.proxies is set, so fleet.ca must name the device CA's certificate".into(),
            );
        }
        if self.lab && self.without_tls.is_empty() {
            return Err(
                "fleet.lab is set, so fleet.without_tls must name an address: lab mode knows no certificates"
                    .into(),
            );
        }
        if !(1..=825).contains(&self.certificate_days) {
            return Err("fleet.certificate_days lies between 1 and 825".into());
        }
        if !(60..=30 * 86_400).contains(&self.check_in.0.as_secs()) {
            return Err("fleet.check_in lies between 1m and 30d".into());
        }
        if self.rate == 0 || self.burst == 0 || self.queue == 0 {
            return Err("fleet.rate, fleet.burst and fleet.queue are at least 1".into());
        }
        if !(QUEUE_LENGTH..=1 << 30).contains(&self.daily_reports.0) {
            return Err(format!(
                "fleet.daily_reports lies between {}KiB, the longest queue, and 1GiB",
                QUEUE_LENGTH >> 10
            ));
        }
        if self.large_bodies.0 < BATCH_LENGTH {
            return Err(format!(
                "fleet.large_bodies is at least {}MiB, the longest body",
                BATCH_LENGTH >> 20
            ));
        }
        if self.keep.reports.0.as_secs() < 86_400 || self.keep.devices.0 < self.keep.reports.0 {
            return Err("fleet.keep.reports is at least 1d, and fleet.keep.devices no less than it".into());
        }
        let is_line = |line: &String| line.len() <= PAGE_LINE && !line.contains(char::is_control);
        let parties = &self.page.third_parties;
        let whole = parties.iter().all(|line| is_line(line) && !line.trim().is_empty());
        if parties.len() > PAGE_LINES || !whole || !is_line(&self.page.withdraw) {
            return Err(format!(
                "fleet.page.third_parties has up to {PAGE_LINES} lines, each and fleet.page.withdraw of up to {PAGE_LINE} bytes"
            ));
        }
        Ok(())
    }

    /// What can be served, and should be known: what is the matter, and what to do.
    pub fn doubts(&self) -> Vec<[String; 2]> {
        let mut doubts = Vec::new();
        let mut doubt = |what: &str, hint: &str| doubts.push([what.to_owned(), hint.to_owned()]);
        if self.lab {
            doubt(
                "fleet.lab is on: whoever reaches fleet.without_tls can report as any device without an identity",
                "never leave it on where devices of customers report; nothing told this way is evidence",
            );
            if self.without_tls.iter().any(|address| !address.ip().is_loopback()) {
                doubt(
                    "fleet.lab listens beyond loopback",
                    "keep it in a network that only the laboratory reaches",
                );
            }
        }
        let certified = !self.tls.is_empty() || !self.proxies.is_empty();
        if certified && self.enrolment_certificate.is_none() {
            doubt(
                "fleet.enrolment_certificate names no file, so no device can enrol here",
                "have STATE/keys/enrolment.csr.pem signed: perennial-signer device-ca enrolment",
            );
        }
        if certified && self.revocations.is_none() {
            doubt(
                "fleet.revocations names no file: certificates that the maker revokes go on being accepted",
                "name the list that perennial-signer device-ca revoke writes, even while it is empty",
            );
        }
        doubts
    }
}

/// A network of addresses, written as `10.0.0.0/8`, or one address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    bits: u8,
}

impl Network {
    fn parse(text: &str) -> Option<Self> {
        let (address, bits) = text.split_once('/').map_or((text, None), |(text, bits)| (text, Some(bits)));
        let address: IpAddr = address.parse().ok()?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.map_or(Some(most), |bits| bits.parse().ok())?;
        let network = Self { address, bits };
        // `10.1.0.0/8` may be meant as either: it is refused.
        (bits <= most && network.masked(address) == network.bits_of(address)).then_some(network)
    }

    /// Whether an address is in it.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        address.is_ipv4() == self.address.is_ipv4() && self.masked(address) == self.bits_of(self.address)
    }

    /// Left-aligned in 128 bits.
    fn bits_of(&self, address: IpAddr) -> u128 {
        match address {
            IpAddr::V4(four) => u128::from(four.to_bits()) << 96,
            IpAddr::V6(six) => six.to_bits(),
        }
    }

    fn masked(&self, address: IpAddr) -> u128 {
        let mask = if self.bits == 0 { 0 } else { u128::MAX << (128 - u32::from(self.bits)) };
        self.bits_of(address) & mask
    }
}

impl<'de> Deserialize<'de> for Network {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| {
            serde::de::Error::custom(format!("`{text}` isn't a network such as 10.0.0.0/8, or one address"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_hold_their_addresses_and_no_others() {
        let network = |text| Network::parse(text).unwrap();
        let holds = |text, address: &str| network(text).contains(address.parse().unwrap());
        assert!(holds("10.0.0.0/8", "10.255.0.1") && !holds("10.0.0.0/8", "11.0.0.0"));
        assert!(holds("10.0.0.0/8", "::ffff:10.1.2.3"), "an IPv4 address that came over IPv6");
        assert!(holds("192.0.2.7", "192.0.2.7") && !holds("192.0.2.7", "192.0.2.6"));
        assert!(holds("2001:db8::/32", "2001:db8:ffff::1") && !holds("2001:db8::/32", "2001:db9::1"));
        assert!(holds("0.0.0.0/0", "8.8.8.8") && !holds("0.0.0.0/0", "::1"));
        for wrong in ["10.1.0.0/8", "10.0.0.0/33", "10.0.0.0/", "a", "", "10.0.0.0/-1"] {
            assert_eq!(Network::parse(wrong), None, "{wrong}");
        }
    }

    fn parse(text: &str) -> Result<Config, String> {
        let text = format!("state = \"s\"\n{text}");
        Config::parse("server.toml", &text).map_err(|error| error.to_string())
    }

    #[test]
    fn what_cannot_stand_together_is_refused() {
        let refused = |text: &str| parse(text).unwrap_err();
        assert!(parse("[fleet]\n").is_ok());
        assert!(refused("[fleet]\ntls = [\"127.0.0.1:0\"]").contains("tls.certificate"));
        assert!(refused("[fleet]\nwithout_tls = [\"127.0.0.1:0\"]").contains("fleet.proxies must name"));
        assert!(
            refused("[fleet]\nwithout_tls = [\"127.0.0.1:0\"]\nproxies = []")
                .contains("fleet.proxies must name")
        );
        let proxied = "[fleet]\nwithout_tls = [\"127.0.0.1:0\"]\nproxies = [\"127.0.0.1\"]";
        assert!(refused(proxied).contains("fleet.ca"));
        assert!(parse(&format!("{proxied}\nca = \"ca.pem\"")).is_ok());
        assert!(refused("[fleet]\nlab = true").contains("fleet.without_tls"));
        assert!(parse("[fleet]\nlab = true\nwithout_tls = [\"127.0.0.1:0\"]").is_ok());
        assert!(refused("[fleet]\ncheck_in = \"1s\"").contains("between 1m and 30d"));
        assert!(refused("[fleet]\nlarge_bodies = \"1MiB\"").contains("at least 8MiB"));
        for odd in [
            "third_parties = [\" \"]",
            "withdraw = \"a\\nb\"",
            &format!("third_parties = {:?}", vec!["a"; 33]),
        ] {
            assert!(
                refused(&format!("[fleet.page]\n{odd}")).contains("fleet.page.third_parties has up to 32")
            );
        }
        assert!(refused("[fleet]\ndaily_reports = \"511KiB\"").contains("between 512KiB"));
        assert!(refused("[fleet.keep]\nreports = \"1h\"").contains("at least 1d"));
        assert!(refused("[fleet.keep]\nreport = \"1d\"").contains("unknown key `fleet.keep.report`"));
        assert!(refused("[fleet]\nproxies = [\"10.1.0.0/8\"]").contains("isn't a network"));
    }

    #[test]
    fn a_laboratory_and_what_is_missing_are_told() {
        let doubts = |text: &str| parse(text).unwrap().fleet.doubts().len();
        assert_eq!(doubts(""), 0);
        assert_eq!(doubts("[fleet]\nlab = true\nwithout_tls = [\"127.0.0.1:0\"]"), 1);
        assert_eq!(doubts("[fleet]\nlab = true\nwithout_tls = [\"0.0.0.0:0\"]"), 2);
        assert_eq!(
            doubts("[fleet]\nwithout_tls = [\"127.0.0.1:0\"]\nproxies = [\"127.0.0.1\"]\nca = \"a\""),
            2
        );
    }
}
