//! The device's side of the fleet plane: when it enrols, checks in and reports, and what it does where that fails.
//!
//! Decides whom it is to the server, and what is told next. It never holds up an update: whoever drives it does so beside
//! the updates, and its failures are noted, not returned. Nothing that a server answers here changes what is installed.
//!
//! | what happens | what follows |
//! | --- | --- |
//! | no fleet certificate, or its record is lost | enrolment with the factory certificate: a new epoch |
//! | two thirds of its life are over, or it has expired | renewal with it; where that is refused, enrolment |
//! | the server does not know the device any more | enrolment |
//! | the journal was lost, and its numbers begin again | enrolment, so that numbers of two lives never meet |
//! | no answer, or *later* | again after a pause that doubles, from a minute to six hours, part of it by chance |
//! | a report that the server can't read | the others go on without it |
//! | the owner has the device's records erased | silence, until the owner enrols it again; where no answer comes, it is asked for again, through power cuts, until one does |

mod record;
#[cfg(test)]
mod tests;
mod told;

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use alloc::{format, vec};

use perennial_schemas::fleet::{
    Acknowledged, CheckIn, CheckedIn, Enrolled, Enrolment, Erasure, QueueAnswer, Refusal, RefusalCode,
    ReportQueue,
};
use perennial_schemas::limits::{QUEUE_LENGTH, QUEUE_REPORTS};
use perennial_schemas::signed::to_text;
use perennial_schemas::{Document, Timestamp};

pub use record::{FleetRecord, Mark, Membership, Stopped};
pub use told::{Facts, FleetError, Running, Told};

use crate::port::{Call, FleetLink, Identity, PortError, Reply, Vault, Who};
use crate::report::Entry;

/// The first pause after a failure, in seconds; it doubles.
const PAUSE: i64 = 60;
/// The longest one: six hours.
const LONGEST_PAUSE: i64 = 6 * 3600;
/// A device that was revoked asks once a day whether it still is.
const REVOKED_PAUSE: i64 = 86_400;
/// The longest that a server may ask to wait, in seconds.
const RETRY_AFTER: u32 = 86_400;
/// Enrolments, renewals and new beginnings of one [`Fleet::tell`]: a refusal leads to another certificate at most twice.
const BEGINNINGS: u8 = 3;
/// A million: shares of chance.
const WHOLE: i64 = 1_000_000;

/// The device's side of the fleet plane.
pub struct Fleet<'p> {
    link: &'p mut dyn FleetLink,
    vault: &'p mut dyn Vault,
    record: FleetRecord,
}

impl<'p> Fleet<'p> {
    /// Takes the record up where it was left. One that can't be read is begun again: that costs an enrolment.
    ///
    /// # Errors
    /// [`PortError`] where it can't be looked at.
    pub fn open(link: &'p mut dyn FleetLink, vault: &'p mut dyn Vault) -> Result<Self, PortError> {
        let record = vault.load()?.and_then(|bytes| FleetRecord::decode(&bytes)).unwrap_or_default();
        Ok(Self { link, vault, record })
    }

    /// What is remembered.
    pub fn record(&self) -> &FleetRecord {
        &self.record
    }

    /// Tells what is due. `pressing`: the owner asks for it now, whatever pause is kept.
    pub fn tell(&mut self, facts: &Facts<'_>, now: Timestamp, pressing: bool) -> Told {
        let mut told = Told { acknowledged: facts.acknowledged, ..Told::default() };
        if let Some(Stopped::Erased { .. }) = self.record.stopped {
            told.trouble = pressing.then_some(FleetError::Silent);
            return told;
        }
        // A clock that was set back must not keep the device silent for years.
        let again = self.record.again.filter(|again| *again <= now.plus_seconds(REVOKED_PAUSE));
        if let (Some(again), false) = (again.filter(|again| *again > now), pressing) {
            told.next = Some(again);
            return told;
        }
        let outcome = match self.record.stopped {
            Some(_) => self.go_on_erasing(now).map(drop),
            None => self.tell_all(facts, now, pressing, &mut told),
        };
        match outcome {
            Ok(()) => (self.record.failures, self.record.again) = (0, None),
            Err(error) => self.note(error, facts.chance, now, &mut told),
        }
        self.record.trouble = told.trouble.as_ref().map(ToString::to_string).unwrap_or_default();
        if let Err(error) = self.save() {
            told.trouble.get_or_insert(error.into());
        }
        told.next = self.record.again.or(self.record.check_in_at);
        told
    }

    /// Enrols with the factory certificate, now and anew; ends the silence after an erasure.
    ///
    /// # Errors
    /// [`FleetError`].
    pub fn enrol(&mut self, now: Timestamp) -> Result<Membership, FleetError> {
        if self.vault.factory()?.is_none() {
            return Err(FleetError::NoIdentity);
        }
        // The server may begin the epoch and its answer get lost: a certificate from before would look like a copy then.
        self.record.stopped = None;
        let before = self.record.membership.take();
        self.save()?;
        if let Err(error) = self.begin(now, &mut Told::default()) {
            // Where the server said no, nothing has begun.
            if error.code().is_some() {
                self.record.membership = before;
                self.save()?;
            }
            return Err(error);
        }
        (self.record.failures, self.record.again, self.record.check_in_at) = (0, None, None);
        self.save()?;
        self.record.membership.clone().ok_or(FleetError::NotEnrolled)
    }

    /// Has everything erased that the server holds on this device, and stays silent from then on. The wish is noted durably
    /// first: where no answer comes, [`Fleet::tell`] goes on with it, until one does.
    ///
    /// # Errors
    /// [`FleetError`]; the device is silent all the same, and asks again.
    pub fn erase(&mut self, now: Timestamp) -> Result<Gone, FleetError> {
        self.was_member()?;
        if self.record.stopped.is_none() {
            self.record.stopped = Some(Stopped::Erasing { since: now });
            (self.record.failures, self.record.again) = (0, None);
            self.save()?;
        }
        self.go_on_erasing(now)
    }

    fn go_on_erasing(&mut self, now: Timestamp) -> Result<Gone, FleetError> {
        use RefusalCode as C;
        let gone = match self.ask_as_member(Call::Erase, now).and_then(|reply| read(&reply)) {
            Ok(receipt) => Gone::Now(receipt),
            // An answer that said so was lost; or somebody had it erased at the server.
            Err(error) if error.code() == Some(C::NotEnrolled) => Gone::Before,
            // No certificate of this device is good any more: with a new one, it may ask.
            Err(error)
                if matches!(error.code(), Some(C::Superseded | C::BadCertificate | C::FactoryOnly)) =>
            {
                self.begin(now, &mut Told::default())?;
                Gone::Now(read(&self.ask(Call::Erase, &[])?)?)
            }
            Err(error) => return Err(error),
        };
        let consent = self.record.consent;
        self.record = FleetRecord::default();
        (self.record.stopped, self.record.consent) = (Some(Stopped::Erased { at: now }), consent);
        self.save()?;
        self.vault.retire(None)?;
        Ok(gone)
    }

    /// Everything that the server holds on this device, as the JSON text that it sends; with its newest reports, or with
    /// those before the one of that epoch and number.
    ///
    /// # Errors
    /// [`FleetError`].
    pub fn data(&mut self, before: Option<(u32, u64)>, now: Timestamp) -> Result<Vec<u8>, FleetError> {
        let call = before.map_or(Call::Data, |(epoch, sequence)| Call::Earlier { epoch, sequence });
        let reply = self.ask_as_member(call, now)?;
        if reply.status == 200 { Ok(reply.body) } else { Err(refused(&reply)) }
    }

    /// What is not acknowledged yet, as the text that is signed where a gateway carries it; `None` where there is nothing.
    ///
    /// # Errors
    /// [`FleetError::NotEnrolled`], [`FleetError::Silent`].
    pub fn queue(&self, facts: &Facts<'_>) -> Result<Option<String>, FleetError> {
        let membership = self.member()?;
        let identity = Identity { device: membership.device.clone(), ..facts.identity.clone() };
        let queue = Queue::of(&identity, facts.history, facts.acknowledged, QUEUE_REPORTS)?;
        let written = |error| FleetError::Answer { status: 0, why: format!("{error}") };
        queue.map(|queue| String::from_utf8(queue.text).map_err(written)).transpose()
    }

    /// Takes what a gateway brought back, and says up to which report the server has all. A gateway can lose what it
    /// carries, and so it can say that it didn't: nothing else hangs on its word.
    ///
    /// # Errors
    /// [`FleetError`], also where the server refused the queue.
    pub fn answered(&mut self, facts: &Facts<'_>, answer: &QueueAnswer) -> Result<u64, FleetError> {
        let device = self.member()?.device.clone();
        match answer {
            QueueAnswer::Acknowledged { device: named, acknowledged, .. } if *named == device => {
                let mut told = Told { acknowledged: facts.acknowledged, ..Told::default() };
                self.acknowledged(facts, (*acknowledged).min(facts.last), &mut told)?;
                Ok(told.acknowledged)
            }
            QueueAnswer::Acknowledged { device: named, .. } => {
                Err(FleetError::Answer { status: 200, why: format!("it is for {named}, another device") })
            }
            QueueAnswer::Refused { error, code } => {
                let refusal = Refusal::new(*code, error.clone(), "see what the server says of this device");
                Err(FleetError::Refused { refusal, retry_after: None })
            }
        }
    }

    fn member(&self) -> Result<&Membership, FleetError> {
        match &self.record {
            FleetRecord { stopped: Some(_), .. } => Err(FleetError::Silent),
            FleetRecord { membership: Some(membership), .. } => Ok(membership),
            _ => Err(FleetError::NotEnrolled),
        }
    }

    /// That the server may still hold something on this device, also where it is to be erased.
    fn was_member(&self) -> Result<(), FleetError> {
        match &self.record {
            FleetRecord { membership: Some(_), .. } => Ok(()),
            FleetRecord { stopped: Some(_), .. } => Err(FleetError::Silent),
            _ => Err(FleetError::NotEnrolled),
        }
    }

    /// The owner consents to attributes, or doesn't any more: said with the next check-in, which is due at once.
    ///
    /// # Errors
    /// [`PortError`].
    pub fn consent(&mut self, consent: bool) -> Result<(), PortError> {
        (self.record.consent, self.record.check_in_at) = (Some(consent), None);
        self.save()
    }

    /// A question that only a member may ask: with a certificate that has expired it is renewed first.
    fn ask_as_member(&mut self, call: Call, now: Timestamp) -> Result<Reply, FleetError> {
        self.was_member()?;
        let reply = self.ask(call, &[])?;
        if reply.status == 200 || refused(&reply).code() != Some(RefusalCode::Expired) {
            return Ok(reply);
        }
        self.renew(now)?;
        self.ask(call, &[])
    }

    fn tell_all(
        &mut self,
        facts: &Facts<'_>,
        now: Timestamp,
        pressing: bool,
        told: &mut Told,
    ) -> Result<(), FleetError> {
        let mut left = BEGINNINGS;
        let mut trouble = None;
        if self.journal_was_lost(facts) {
            self.record.membership = None;
        }
        loop {
            let outcome =
                self.be_member(now, told, &mut trouble).and_then(|()| self.talk(facts, now, pressing, told));
            left -= 1;
            match outcome {
                Ok(()) => break,
                Err(error) if left == 0 => return Err(error),
                Err(error) => self.begin_again(error)?,
            }
        }
        // That a renewal failed is told although all else went well: it is tried again, in time.
        match trouble {
            Some(trouble) => Err(trouble),
            None => Ok(()),
        }
    }

    /// Where another certificate helps against this error, forgets the one that doesn't.
    fn begin_again(&mut self, error: FleetError) -> Result<(), FleetError> {
        use RefusalCode as C;
        match error.code() {
            Some(C::Expired) => match &mut self.record.membership {
                Some(membership) if membership.renew_after > Timestamp::EPOCH => {
                    membership.renew_after = Timestamp::EPOCH;
                    Ok(())
                }
                _ => Err(error),
            },
            Some(C::NotEnrolled | C::Superseded | C::BadCertificate | C::FactoryOnly)
                if self.record.membership.is_some() =>
            {
                self.record.membership = None;
                Ok(())
            }
            None if error == FleetError::JournalLost => {
                self.record.membership = None;
                Ok(())
            }
            _ => Err(error),
        }
    }

    /// Enrols or renews, where that is due. A renewal that comes to nothing is no reason to be silent.
    fn be_member(
        &mut self,
        now: Timestamp,
        told: &mut Told,
        trouble: &mut Option<FleetError>,
    ) -> Result<(), FleetError> {
        match &self.record.membership {
            None => self.begin(now, told),
            Some(membership) if membership.renew_after <= now && trouble.is_none() => match self.renew(now) {
                Ok(()) => {
                    told.renewed = true;
                    Ok(())
                }
                Err(error @ FleetError::Port(_)) => Err(error),
                Err(error) if is_of_the_certificate(&error) => Err(error),
                Err(error) => {
                    *trouble = Some(error);
                    Ok(())
                }
            },
            Some(_) => Ok(()),
        }
    }

    /// A new epoch, by the factory certificate.
    fn begin(&mut self, now: Timestamp, told: &mut Told) -> Result<(), FleetError> {
        if self.vault.factory()?.is_none() {
            return Err(FleetError::NoIdentity);
        }
        told.enrolled = Some(self.take_certificate(true, now)?);
        Ok(())
    }

    fn renew(&mut self, now: Timestamp) -> Result<(), FleetError> {
        self.take_certificate(false, now).map(drop)
    }

    /// Asks for a certificate of the next key, and takes it: certificate and ticket are saved together, then the old key
    /// goes.
    fn take_certificate(&mut self, factory: bool, now: Timestamp) -> Result<u32, FleetError> {
        let current = self.record.membership.as_ref().map(|membership| membership.key);
        let next = self.vault.next_key(current.as_ref())?;
        let body = to_text(&Enrolment::new(next.request))?;
        let reply = match (&self.record.membership, factory) {
            (Some(membership), false) => self.link.ask(Call::Enrol, membership.who(), &body)?,
            _ => self.link.ask(Call::Enrol, Who::Factory, &body)?,
        };
        let enrolled: Enrolled = match read(&reply) {
            Ok(enrolled) => enrolled,
            Err(error) => {
                // A key that the server won't have is replaced by another one.
                if matches!(error.code(), Some(RefusalCode::KeyShared | RefusalCode::KeyWeak)) {
                    self.vault.retire(current.as_ref())?;
                }
                return Err(error);
            }
        };
        self.vault.check(&enrolled.chain, &next.key)?;
        self.record.membership = Some(Membership {
            device: enrolled.device,
            key: next.key,
            chain: enrolled.chain,
            renew_after: enrolled.renew_after,
            epoch: enrolled.epoch,
            since: now,
        });
        self.record.ticket = Some(enrolled.ticket);
        if factory {
            // What was acknowledged in the epoch before is kept there; what wasn't is told in this one.
            (self.record.mark, self.record.check_in_at) = (None, None);
        }
        self.save()?;
        self.vault.retire(Some(&next.key))?;
        Ok(enrolled.epoch)
    }

    fn talk(
        &mut self,
        facts: &Facts<'_>,
        now: Timestamp,
        pressing: bool,
        told: &mut Told,
    ) -> Result<(), FleetError> {
        if let Some(running) =
            facts.running.as_ref().filter(|running| pressing || self.is_due(facts, running, now))
        {
            self.check_in(facts, running, now, told)?;
        }
        self.report(facts, told)
    }

    fn is_due(&self, facts: &Facts<'_>, running: &Running, now: Timestamp) -> bool {
        // A clock that was set back: at most the longest time that a server may ask for.
        let longest = now.plus_seconds(i64::from(*CheckedIn::NEXT.end()) * 2);
        let due = self.record.check_in_at.is_none_or(|at| at <= now || at > longest);
        due || self.record.told != told_of(facts, running)
    }

    fn check_in(
        &mut self,
        facts: &Facts<'_>,
        running: &Running,
        now: Timestamp,
        told: &mut Told,
    ) -> Result<(), FleetError> {
        let identity = facts.identity;
        let body = to_text(&CheckIn {
            format: CheckIn::FORMAT.into(),
            requires: vec![],
            at: now,
            product: identity.product.clone(),
            hardware: identity.hardware.clone(),
            channel: identity.channel.clone(),
            version: running.version.clone(),
            security_version: running.security_version,
            manifest: running.manifest,
            agent: facts.agent.into(),
            attributes: facts.attributes.clone(),
            ticket: self.record.ticket.clone(),
        })?;
        let answer: CheckedIn = read(&self.ask(Call::CheckIn, &body)?)?;
        if answer.acknowledged > facts.last {
            return Err(FleetError::JournalLost);
        }
        // From nine to eleven tenths of what was asked for, so that a fleet doesn't come together.
        let seconds = i64::from(answer.next_check_in);
        let spread = seconds / 5 * i64::from(facts.chance) / WHOLE;
        self.record.check_in_at = Some(now.plus_seconds(seconds - seconds / 10 + spread));
        self.record.checked_in = Some(now);
        self.record.ticket = Some(answer.ticket);
        self.record.told = told_of(facts, running);
        told.checked_in = true;
        self.acknowledged(facts, answer.acknowledged, told)
    }

    /// Sends what the server doesn't have yet, in order.
    fn report(&mut self, facts: &Facts<'_>, told: &mut Told) -> Result<(), FleetError> {
        let Some(membership) = &self.record.membership else { return Err(FleetError::NotEnrolled) };
        let identity = Identity { device: membership.device.clone(), ..facts.identity.clone() };
        let mut many = QUEUE_REPORTS;
        loop {
            let queue = Queue::of(&identity, facts.history, told.acknowledged, many)?;
            let Some(Queue { text, count, last }) = queue else { return Ok(()) };
            match read::<Acknowledged>(&self.ask(Call::Report, &text)?) {
                // A server that has taken none of them would be asked for ever.
                Ok(answer) if answer.acknowledged <= told.acknowledged => {
                    let why = format!("it acknowledges {} only", answer.acknowledged);
                    return Err(FleetError::Answer { status: 200, why });
                }
                Ok(answer) => {
                    told.sent += count;
                    self.acknowledged(facts, answer.acknowledged.min(last), told)?;
                }
                Err(error) if !is_of_the_text(&error) => return Err(error),
                // One of them can't be read there: each goes by itself, and that one is passed over.
                Err(_) if count > 1 => many = 1,
                Err(_) => self.acknowledged(facts, last, told)?,
            }
        }
    }

    /// Notes durably what the server has, before the journal does.
    fn acknowledged(&mut self, facts: &Facts<'_>, sequence: u64, told: &mut Told) -> Result<(), FleetError> {
        told.acknowledged = told.acknowledged.max(sequence);
        let entry = facts.history.iter().rfind(|entry| entry.sequence <= told.acknowledged);
        if let Some(entry) = entry {
            self.record.mark = Some(Mark::of(entry));
        }
        Ok(self.save()?)
    }

    /// Whether the journal lacks a report that was acknowledged, or tells another one by its number: it was lost, and has
    /// begun again.
    fn journal_was_lost(&self, facts: &Facts<'_>) -> bool {
        let Some(mark) = &self.record.mark else { return false };
        if facts.last < mark.sequence {
            return true;
        }
        let same = facts.history.iter().find(|entry| entry.sequence == mark.sequence);
        same.is_some_and(|entry| Mark::of(entry) != *mark)
    }

    fn ask(&mut self, call: Call, body: &[u8]) -> Result<Reply, FleetError> {
        let membership = self.record.membership.as_ref().ok_or(FleetError::NotEnrolled)?;
        Ok(self.link.ask(call, membership.who(), body)?)
    }

    /// Notes a failure, and until when to be silent.
    fn note(&mut self, error: FleetError, chance: u32, now: Timestamp, told: &mut Told) {
        let (code, asked) = match &error {
            FleetError::Refused { refusal, retry_after } => (Some(refusal.code), *retry_after),
            _ => (None, None),
        };
        self.record.failures = self.record.failures.saturating_add(1);
        let pause = match code {
            Some(RefusalCode::Revoked) => REVOKED_PAUSE,
            _ => LONGEST_PAUSE.min(PAUSE << u32::from(self.record.failures - 1).min(16)),
        };
        let jittered = pause / 2 + pause / 2 * i64::from(chance) / WHOLE;
        let asked = i64::from(asked.unwrap_or(0).min(RETRY_AFTER));
        self.record.again = Some(now.plus_seconds(jittered.max(asked)));
        told.trouble = Some(error);
    }

    fn save(&mut self) -> Result<(), PortError> {
        self.vault.save(&self.record.encode()?)
    }
}

/// What an erasure came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Gone {
    /// The server's receipt.
    Now(Erasure),
    /// The server knows nothing of the device: an answer to an earlier request was lost, or somebody had it erased there.
    Before,
}

/// The first reports that are not acknowledged, as a text within its limit.
struct Queue {
    text: Vec<u8>,
    count: usize,
    /// The last one's number.
    last: u64,
}

impl Queue {
    /// At most `many` of those after number `acknowledged`; `None` where there is none.
    fn of(
        identity: &Identity,
        history: &[Entry],
        acknowledged: u64,
        mut many: usize,
    ) -> Result<Option<Self>, FleetError> {
        loop {
            let pending = history.iter().filter(|entry| entry.sequence > acknowledged).take(many);
            let reports: Vec<_> = pending.map(|entry| entry.to_report(identity)).collect();
            let (Some(last), count) = (reports.last().map(|report| report.sequence), reports.len()) else {
                return Ok(None);
            };
            let text = to_text(&ReportQueue::new(identity.device.clone(), reports))?;
            // One by itself always fits: a report has its own limit.
            if text.len() as u64 <= QUEUE_LENGTH || count == 1 {
                return Ok(Some(Self { text, count, last }));
            }
            many = count / 2;
        }
    }
}

/// What a check-in says that is worth saying at once when it changes.
fn told_of(facts: &Facts<'_>, running: &Running) -> String {
    let manifest = running.manifest.map(|digest| digest.to_string()).unwrap_or_default();
    let (channel, version) = (&facts.identity.channel, &running.version);
    format!("{channel} {version} {manifest} {} {}", running.security_version, facts.attributes.len())
}

/// Whether the server refuses the certificate that was shown, whatever is asked with it.
fn is_of_the_certificate(error: &FleetError) -> bool {
    use RefusalCode as C;
    let codes = [C::NotEnrolled, C::Superseded, C::BadCertificate, C::FactoryOnly, C::Revoked, C::Expired];
    error.code().is_some_and(|code| codes.contains(&code))
}

/// Whether the server refuses what was said, and would the next time.
fn is_of_the_text(error: &FleetError) -> bool {
    use RefusalCode as C;
    matches!(error.code(), Some(C::Malformed | C::Unacceptable | C::TooLarge))
}

/// The document of a good answer.
fn read<T: Document>(reply: &Reply) -> Result<T, FleetError> {
    if reply.status != 200 {
        return Err(refused(reply));
    }
    T::parse(&reply.body).map_err(|error| FleetError::Answer { status: reply.status, why: error.to_string() })
}

/// What a bad answer says.
fn refused(reply: &Reply) -> FleetError {
    match Refusal::parse(&reply.body) {
        Ok(refusal) => FleetError::Refused { refusal, retry_after: reply.retry_after },
        Err(error) => FleetError::Answer { status: reply.status, why: error.to_string() },
    }
}
