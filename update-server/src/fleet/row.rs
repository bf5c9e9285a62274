//! What the server knows of one device: one record, read and written whole. It holds no address, and nothing that the
//! device or its certificate didn't say.

use super::bytes::{Decoder, Encoder, Unreadable};
use super::event::flag_number;
use super::identity::Identity;
use perennial_schemas::fleet::{AttributeName, Flag, Label, Ticket};
use perennial_schemas::ident::ChannelName;
use perennial_schemas::{HardwareName, ProductName, ReleaseVersion, Sha256Digest, Timestamp};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

const VERSION: u8 = 3;
/// From which on it has clues and the life of its tickets. The one after has the life of its certificates, too.
const CLUES: u8 = 2;
/// Seconds by which the clocks of two front ends may be apart.
const APART: i64 = 60;
/// Characters of a clue.
const CLUE: usize = 240;

/// One device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Row {
    /// True for one that only lab mode knows: it has no certificate, and nothing that it says is evidence.
    pub lab: bool,
    /// The product, from its certificate.
    pub product: ProductName,
    /// The hardware revision, from its certificate.
    pub hardware: HardwareName,
    /// Early groups, from its certificate.
    pub labels: BTreeSet<Label>,
    /// How often it enrolled with its factory certificate.
    pub epoch: u32,
    /// Its factory certificate.
    pub factory: Option<Credential>,
    /// Its newest fleet certificate.
    pub fleet: Option<Credential>,
    /// The one before, until the newest is first used: the answer that carried that may have been lost.
    pub earlier: Option<Credential>,
    /// When it was first heard of.
    pub first_seen: Timestamp,
    /// When it was last heard of, to a few seconds.
    pub last_seen: Timestamp,
    /// The last check-in.
    pub check_in: Option<LastCheckIn>,
    /// The highest sequence number of a report in this epoch; 0 for none.
    pub last_sequence: u64,
    /// Reports that were taken in, in all epochs.
    pub reports: u64,
    /// Sequence numbers below the highest that never came.
    pub gaps: u64,
    /// The tickets that the device may show next, the newest first.
    #[serde(skip)]
    pub tickets: Vec<Ticket>,
    /// What was odd.
    pub flags: BTreeMap<Flag, Marked>,
    /// What speaks for a copied identity, in words, as it was seen first.
    pub clues: BTreeMap<Flag, String>,
    /// How often the server's records had been restored from an older copy when the tickets were given.
    #[serde(skip)]
    pub life: u32,
    /// The same, when the device last used a certificate itself: what these records know of those that came before is true.
    #[serde(skip)]
    pub used: u32,
    /// Set when somebody revoked it.
    pub revoked: Option<Revoked>,
}

/// A certificate, as far as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Credential {
    /// Its serial number, big-endian, without leading zeros; hexadecimal in JSON.
    #[serde(serialize_with = "hex")]
    pub serial: Vec<u8>,
    /// SHA-256 of its SubjectPublicKeyInfo.
    pub key: Sha256Digest,
    /// From when it is valid.
    pub not_before: Timestamp,
    /// Until when.
    pub not_after: Timestamp,
}

/// What a device said at its last check-in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LastCheckIn {
    /// The server's clock.
    pub received: Timestamp,
    /// The device's clock.
    pub at: Timestamp,
    /// The channel that it follows.
    pub channel: ChannelName,
    /// The release that runs.
    pub version: ReleaseVersion,
    /// Its anti-rollback counter.
    pub security_version: u32,
    /// SHA-256 of the running release's manifest.
    pub manifest: Option<Sha256Digest>,
    /// The agent.
    pub agent: String,
    /// What else the product tells, with its owner's consent.
    pub attributes: BTreeMap<AttributeName, String>,
}

/// How often something odd was seen, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Marked {
    /// The first time.
    pub first: Timestamp,
    /// The last time.
    pub last: Timestamp,
    /// How often.
    pub count: u32,
}

/// Who revoked a device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Revoked {
    /// When.
    pub at: Timestamp,
    /// Who, as the audit calls them.
    pub by: String,
    /// Why.
    pub why: String,
}

/// What a device counts as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// Enrolled, and nothing speaks against it.
    Enrolled,
    /// Enrolled, and something speaks for a copied identity: served, and no evidence.
    Quarantined,
    /// Revoked: refused.
    Revoked,
    /// Known in lab mode only.
    Lab,
}

impl Row {
    /// A device that was never heard of.
    pub(crate) fn new(product: ProductName, hardware: HardwareName, lab: bool, now: Timestamp) -> Self {
        Self {
            lab,
            product,
            hardware,
            labels: BTreeSet::new(),
            epoch: 0,
            factory: None,
            fleet: None,
            earlier: None,
            first_seen: now,
            last_seen: now,
            check_in: None,
            last_sequence: 0,
            reports: 0,
            gaps: 0,
            tickets: Vec::new(),
            flags: BTreeMap::new(),
            clues: BTreeMap::new(),
            life: 0,
            used: 0,
            revoked: None,
        }
    }

    /// A device that nothing is known of but what somebody here says of it.
    ///
    /// # Errors
    /// None: these are names.
    pub(crate) fn unheard(now: Timestamp) -> Result<Self, Unreadable> {
        let unknown = "unknown";
        let product = unknown.parse().map_err(|_| Unreadable("product"))?;
        let hardware = unknown.parse().map_err(|_| Unreadable("hardware"))?;
        Ok(Self::new(product, hardware, false, now))
    }

    /// Whether it was ever heard of, as far as is kept: else the row is a bare revocation.
    pub(crate) fn was_heard(&self) -> bool {
        self.lab || self.epoch > 0
    }

    /// What it counts as.
    pub fn standing(&self) -> Standing {
        match self {
            Self { revoked: Some(_), .. } => Standing::Revoked,
            Self { lab: true, .. } => Standing::Lab,
            _ if self.flags.keys().any(|flag| flag.is_of_a_clone()) => Standing::Quarantined,
            _ => Standing::Enrolled,
        }
    }

    /// Notes something odd.
    pub(crate) fn flag(&mut self, flag: Flag, now: Timestamp) {
        let marked = self.flags.entry(flag).or_insert(Marked { first: now, last: now, count: 0 });
        marked.last = now;
        marked.count = marked.count.saturating_add(1);
    }

    /// The same, with what it was seen by; the first time stays.
    pub(crate) fn flag_with(&mut self, flag: Flag, now: Timestamp, clue: impl FnOnce() -> String) {
        self.flag(flag, now);
        self.clue(flag, clue);
    }

    /// Notes by what something odd was seen, unless it was seen before.
    pub(crate) fn clue(&mut self, flag: Flag, clue: impl FnOnce() -> String) {
        self.clues.entry(flag).or_insert_with(|| clue().chars().take(CLUE).collect());
    }

    /// Takes off what spoke for a copied identity; which flags that were.
    pub(crate) fn lift(&mut self) -> Vec<&'static str> {
        let lifted =
            self.flags.keys().filter(|flag| flag.is_of_a_clone()).map(|flag| flag.as_str()).collect();
        self.flags.retain(|flag, _| !flag.is_of_a_clone());
        self.clues.retain(|flag, _| !flag.is_of_a_clone());
        // Which of the two has the newest ticket, nobody here knows.
        self.tickets.clear();
        lifted
    }

    /// Whether it may have told something at a time: not what is left of it, or came back, after an erasure.
    pub(crate) fn told_by(&self, at: Timestamp) -> bool {
        self.reports > 0 && self.first_seen <= at
    }

    /// Notes that it was heard of; never moves back, but from a time that is yet to come: a clock ran ahead then.
    pub(crate) fn seen(&mut self, now: Timestamp) {
        self.last_seen = self.heard_by(now).max(now);
    }

    /// When it was last heard of, as far as that can be true now. Clocks of several front ends are a little apart.
    pub(crate) fn heard_by(&self, now: Timestamp) -> Timestamp {
        if self.last_seen > now.plus_seconds(APART) { now } else { self.last_seen }
    }

    /// Whether a fleet certificate is the newest, or the one before while the newest was never used. Whoever connects with
    /// any other has a copy, or a copy was put back.
    pub(crate) fn knows(&self, identity: &Identity) -> bool {
        let mut known = [&self.fleet, &self.earlier].into_iter().flatten();
        known.any(|credential| credential.serial == identity.serial)
    }

    /// The keys by which it is known.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &Sha256Digest> {
        [&self.factory, &self.fleet, &self.earlier].into_iter().flatten().map(|credential| &credential.key)
    }

    /// The record.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Encoder::with_version(VERSION);
        out.byte(u8::from(self.lab)).text(self.product.as_str()).text(self.hardware.as_str());
        out.number(self.labels.len() as u64);
        for label in &self.labels {
            out.text(label.as_str());
        }
        out.number(self.epoch.into());
        for credential in [&self.factory, &self.fleet, &self.earlier] {
            out.option(credential.as_ref(), Credential::write);
        }
        out.signed(self.first_seen.unix()).signed(self.last_seen.unix());
        out.number(self.last_sequence).number(self.reports).number(self.gaps);
        out.number(self.tickets.len() as u64);
        for ticket in &self.tickets {
            out.text(ticket.as_str());
        }
        out.number(self.flags.len() as u64);
        for (flag, marked) in &self.flags {
            out.byte(flag_number(*flag)).signed(marked.first.unix()).signed(marked.last.unix());
            out.number(marked.count.into());
        }
        out.option(self.revoked.as_ref(), |out, revoked| {
            out.signed(revoked.at.unix()).text(&revoked.by).text(&revoked.why)
        });
        out.option(self.check_in.as_ref(), LastCheckIn::write);
        out.number(self.life.into()).number(self.clues.len() as u64);
        for (flag, clue) in &self.clues {
            out.byte(flag_number(*flag)).text(clue);
        }
        out.number(self.used.into()).finish()
    }

    /// Reads a record.
    ///
    /// # Errors
    /// [`Unreadable`], which names the part.
    pub fn decode(record: &[u8]) -> Result<Self, Unreadable> {
        let version =
            record.first().copied().filter(|version| (1..VERSION).contains(version)).unwrap_or(VERSION);
        let mut from = Decoder::of(record, version)?;
        let mut row = Self {
            lab: from.byte("marks")? != 0,
            product: from.name("product")?,
            hardware: from.name("hardware")?,
            labels: from.list("labels", |from| from.name("label"))?.into_iter().collect(),
            epoch: from.small("epoch")?,
            factory: from.option("factory certificate", Credential::read)?,
            fleet: from.option("fleet certificate", Credential::read)?,
            earlier: from.option("earlier certificate", Credential::read)?,
            first_seen: time(&mut from)?,
            last_seen: time(&mut from)?,
            last_sequence: from.number("last sequence")?,
            reports: from.number("count of reports")?,
            gaps: from.number("count of gaps")?,
            tickets: from.list("tickets", |from| from.name("ticket"))?,
            flags: from.list("flags", flag)?.into_iter().collect(),
            revoked: from.option("revocation", |from| {
                Ok(Revoked {
                    at: time(from)?,
                    by: from.text("revoker")?.into(),
                    why: from.text("reason")?.into(),
                })
            })?,
            check_in: from.option("check-in", LastCheckIn::read)?,
            life: 0,
            used: 0,
            clues: BTreeMap::new(),
        };
        if version >= CLUES {
            row.life = from.small("life")?;
            row.clues = from.list("clues", clue)?.into_iter().collect();
        }
        if version == VERSION {
            row.used = from.small("life of certificates")?;
        }
        from.end()?;
        Ok(row)
    }
}

impl Credential {
    pub(crate) fn of(identity: &Identity) -> Self {
        let Identity { key, not_before, not_after, .. } = *identity;
        Self { serial: identity.serial.clone(), key, not_before, not_after }
    }

    fn write<'e>(out: &'e mut Encoder, credential: &Self) -> &'e mut Encoder {
        out.bytes(&credential.serial).fixed(credential.key.as_bytes());
        out.signed(credential.not_before.unix()).signed(credential.not_after.unix())
    }

    fn read(from: &mut Decoder<'_>) -> Result<Self, Unreadable> {
        Ok(Self {
            serial: from.bytes("serial number")?.to_vec(),
            key: Sha256Digest(from.fixed("key")?),
            not_before: time(from)?,
            not_after: time(from)?,
        })
    }
}

impl LastCheckIn {
    fn write<'e>(out: &'e mut Encoder, last: &Self) -> &'e mut Encoder {
        out.signed(last.received.unix()).signed(last.at.unix());
        out.text(last.channel.as_str()).text(last.version.as_str()).number(last.security_version.into());
        out.option(last.manifest.as_ref(), |out, manifest| out.fixed(manifest.as_bytes()));
        out.text(&last.agent).number(last.attributes.len() as u64);
        for (name, value) in &last.attributes {
            out.text(name.as_str()).text(value);
        }
        out
    }

    fn read(from: &mut Decoder<'_>) -> Result<Self, Unreadable> {
        Ok(Self {
            received: time(from)?,
            at: time(from)?,
            channel: from.name("channel")?,
            version: from.name("release")?,
            security_version: from.small("security version")?,
            manifest: from.option("manifest", |from| from.fixed("manifest").map(Sha256Digest))?,
            agent: from.text("agent")?.into(),
            attributes: from
                .list("attributes", |from| Ok((from.name("attribute")?, from.text("attribute")?.into())))?
                .into_iter()
                .collect(),
        })
    }
}

fn time(from: &mut Decoder<'_>) -> Result<Timestamp, Unreadable> {
    from.signed("time").map(Timestamp::from_unix)
}

fn flag(from: &mut Decoder<'_>) -> Result<(Flag, Marked), Unreadable> {
    let flag = flag_of(from)?;
    Ok((flag, Marked { first: time(from)?, last: time(from)?, count: from.small("count")? }))
}

fn clue(from: &mut Decoder<'_>) -> Result<(Flag, String), Unreadable> {
    Ok((flag_of(from)?, from.text("clue")?.into()))
}

fn flag_of(from: &mut Decoder<'_>) -> Result<Flag, Unreadable> {
    let number = from.byte("flag")?;
    let flag = Flag::ALL.iter().copied().find(|flag| flag_number(*flag) == number);
    Ok(flag.unwrap_or(Flag::Unknown))
}

fn hex<S: serde::Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&perennial_schemas::digest::encode_hex(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full() -> Row {
        let now = Timestamp::from_unix(1_800_000_000);
        let mut row = Row::new("thermostat".parse().unwrap(), "revC".parse().unwrap(), false, now);
        let credential = |byte: u8| Credential {
            serial: vec![byte; 16],
            key: Sha256Digest([byte; 32]),
            not_before: now,
            not_after: now.plus_days(90),
        };
        (row.factory, row.fleet, row.earlier) =
            (Some(credential(1)), Some(credential(2)), Some(credential(3)));
        row.labels = ["staff".parse().unwrap(), "ring=canary".parse().unwrap()].into();
        (row.epoch, row.last_sequence, row.reports, row.gaps) = (2, 900, 1000, 3);
        row.tickets = vec![Ticket::of_bytes(&[7; 16]), Ticket::of_bytes(&[8; 16])];
        row.flag(Flag::Replayed, now);
        row.flag(Flag::Replayed, now.plus_seconds(5));
        row.flag_with(Flag::ClockAhead, now, || "é".repeat(CLUE + 1));
        (row.life, row.used) = (3, 4);
        row.check_in = Some(LastCheckIn {
            received: now,
            at: now.plus_seconds(-3),
            channel: "stable".parse().unwrap(),
            version: "2.1.0".parse().unwrap(),
            security_version: 4,
            manifest: Some(Sha256Digest([9; 32])),
            agent: "perennial-device 0.1.0".into(),
            attributes: [("region".parse().unwrap(), "é".to_owned())].into(),
        });
        row
    }

    #[test]
    fn a_row_is_read_as_it_was_written_and_refused_when_it_is_cut_short() {
        let mut row = full();
        assert_eq!(Row::decode(&row.encode()).as_ref(), Ok(&row));
        row.revoked = Some(Revoked { at: row.last_seen, by: "command".into(), why: "lost".into() });
        let record = row.encode();
        assert_eq!(Row::decode(&record).as_ref(), Ok(&row));
        for length in 0..record.len() {
            assert!(Row::decode(&record[..length]).is_err(), "{length}");
        }
    }

    #[test]
    fn rows_of_the_versions_before_are_read() {
        let mut row = full();
        row.used = 0;
        let mut record = row.encode();
        record.truncate(record.len() - 1);
        record[0] = CLUES;
        assert_eq!(Row::decode(&record).as_ref(), Ok(&row));
        (row.life, row.clues) = (0, BTreeMap::new());
        let mut record = row.encode();
        record.truncate(record.len() - 3);
        record[0] = 1;
        assert_eq!(Row::decode(&record), Ok(row));
        record[0] = VERSION + 1;
        assert!(Row::decode(&record).is_err());
    }

    #[test]
    fn only_a_clones_flags_quarantine_and_revoking_comes_first() {
        let (mut row, now) = (full(), Timestamp::EPOCH);
        row.flag(Flag::ClockAhead, now);
        assert_eq!(row.standing(), Standing::Enrolled);
        row.flag(Flag::TicketForked, now);
        assert_eq!(row.standing(), Standing::Quarantined);
        row.revoked = Some(Revoked { at: now, by: String::new(), why: String::new() });
        assert_eq!(row.standing(), Standing::Revoked);
    }

    #[test]
    fn what_a_clock_that_ran_ahead_noted_counts_as_now() {
        let (mut row, now) = (full(), full().last_seen);
        row.seen(now.plus_seconds(-APART));
        assert_eq!(row.last_seen, now, "it never moves back");
        row.seen(now.plus_days(200));
        assert_eq!(row.last_seen, now.plus_days(200));
        assert_eq!(row.heard_by(now), now);
        row.seen(now.plus_seconds(5));
        assert_eq!(row.last_seen, now.plus_seconds(5));
    }
}
