//! The way to the fleet plane: one request, one answer. Nothing that a device installs hangs on it.

use alloc::borrow::Cow;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use perennial_schemas::Sha256Digest;
use perennial_schemas::limits::{
    ACKNOWLEDGED_LENGTH, DEVICE_DATA_LENGTH, ENROLLED_LENGTH, FLEET_ANSWER_LENGTH,
};

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    /// A fleet certificate: `POST /v1/enrol`.
    Enrol,
    /// To note what runs here: `PUT /v1/devices/self`.
    CheckIn,
    /// To keep reports: `POST /v1/reports`.
    Report,
    /// To forget this device: `DELETE /v1/devices/self`.
    Erase,
    /// What is held on this device, with its newest reports: `GET /v1/devices/self`.
    Data,
    /// The same with the reports before that one: `GET /v1/devices/self?before=EPOCH.SEQUENCE`.
    Earlier {
        /// In which of its enrolments.
        epoch: u32,
        /// The report's number.
        sequence: u64,
    },
}

impl Call {
    /// Method and path.
    pub fn route(self) -> (&'static str, Cow<'static, str>) {
        let own = "/v1/devices/self";
        let (method, path) = match self {
            Call::Enrol => ("POST", "/v1/enrol"),
            Call::CheckIn => ("PUT", own),
            Call::Report => ("POST", "/v1/reports"),
            Call::Erase => ("DELETE", own),
            Call::Data => ("GET", own),
            Call::Earlier { epoch, sequence } => {
                return ("GET", format!("{own}?before={epoch}.{sequence}").into());
            }
        };
        (method, path.into())
    }

    /// The most bytes that its answer may have. A refusal is shorter than each of them.
    pub fn max_answer(self) -> u64 {
        match self {
            Call::Enrol => ENROLLED_LENGTH,
            Call::CheckIn | Call::Erase => FLEET_ANSWER_LENGTH,
            Call::Report => ACKNOWLEDGED_LENGTH,
            Call::Data | Call::Earlier { .. } => DEVICE_DATA_LENGTH,
        }
    }
}

/// As whom it is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who<'w> {
    /// By the factory certificate.
    Factory,
    /// By a fleet certificate.
    Fleet {
        /// SHA-256 over the SubjectPublicKeyInfo of its key, by which the [`super::Vault`] finds it.
        key: &'w Sha256Digest,
        /// Its chain in PEM.
        chain: &'w str,
    },
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// Its body, within [`Call::max_answer`].
    pub body: Vec<u8>,
    /// How long the server asks to wait, in seconds.
    pub retry_after: Option<u32>,
}

/// There is no answer. Whether the server got the request, nobody knows: each call may be repeated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkError(
    /// Why, in words.
    pub String,
);

impl fmt::Display for LinkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl core::error::Error for LinkError {}

/// Asks the fleet plane. For an adapter: one attempt, over TLS 1.3, with the certificate that is named; the server's
/// certificate is verified, and redirects are not followed. Whether to try again is the core's to say.
pub trait FleetLink {
    /// Asks once.
    ///
    /// # Errors
    /// [`LinkError`].
    fn ask(&mut self, call: Call, who: Who<'_>, body: &[u8]) -> Result<Reply, LinkError>;
}

#[cfg(any(test, feature = "testing"))]
pub(super) use memory::device;
#[cfg(any(test, feature = "testing"))]
pub use memory::{LinkFault, MemoryLink};

#[cfg(any(test, feature = "testing"))]
mod memory {
    use super::*;
    use alloc::collections::{BTreeMap, VecDeque};
    use alloc::string::ToString;
    use alloc::vec;
    use perennial_schemas::fleet::{
        Acknowledged, AuditMark, CheckIn, CheckedIn, DeviceId, Enrolled, Enrolment, Erased, Erasure, Refusal,
        RefusalCode, ReportQueue, Ticket,
    };
    use perennial_schemas::report::Report;
    use perennial_schemas::{Document, Timestamp};

    /// What goes wrong with one request.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum LinkFault {
        /// It never arrives.
        Unreachable,
        /// It is carried out, and its answer is lost.
        AnswerLost,
        /// It is refused.
        Refuse(RefusalCode),
    }

    /// A fleet plane in memory, for one device: it keeps what it acknowledges, and notes what is odd.
    #[derive(Debug, Default)]
    pub struct MemoryLink {
        /// What goes wrong next, request by request.
        pub faults: VecDeque<LinkFault>,
        /// Requests that came so far.
        pub calls: Vec<Call>,
        /// Enrolments with the factory certificate.
        pub epoch: u32,
        /// Certificates that were given, by their chain.
        pub chains: Vec<String>,
        /// The certificate before the newest is good until the newest was used.
        pub newest_used: bool,
        /// The last two tickets, the newest first.
        pub tickets: Vec<Ticket>,
        /// Reports by epoch and sequence number.
        pub reports: BTreeMap<(u32, u64), Report>,
        /// The last check-in.
        pub check_in: Option<CheckIn>,
        /// What was odd.
        pub odd: Vec<String>,
        /// The server's clock, which expiry goes by.
        pub now: Option<Timestamp>,
        given: u8,
    }

    /// Who all of them are.
    pub(crate) fn device() -> DeviceId {
        DeviceId::of_key(&Sha256Digest([7; 32]))
    }

    impl FleetLink for MemoryLink {
        fn ask(&mut self, call: Call, who: Who<'_>, body: &[u8]) -> Result<Reply, LinkError> {
            self.calls.push(call);
            let fault = self.faults.pop_front();
            match fault {
                Some(LinkFault::Unreachable) => return Err(LinkError("nobody answers".into())),
                Some(LinkFault::Refuse(code)) => return Ok(refused(code)),
                _ => {}
            }
            let reply = self.answer(call, who, body).unwrap_or_else(refused);
            match fault {
                Some(LinkFault::AnswerLost) => Err(LinkError("the exchange broke off".into())),
                _ => Ok(reply),
            }
        }
    }

    impl MemoryLink {
        fn answer(&mut self, call: Call, who: Who<'_>, body: &[u8]) -> Result<Reply, RefusalCode> {
            let chain = match who {
                Who::Factory if call == Call::Enrol => None,
                Who::Factory => return Err(RefusalCode::FactoryOnly),
                Who::Fleet { chain, .. } => Some(chain.to_string()),
            };
            if let Some(chain) = &chain {
                self.admit(chain)?;
            }
            match call {
                Call::Enrol => Ok(self.enrol(chain.is_none(), body)),
                Call::CheckIn => Ok(self.take_check_in(body)),
                Call::Report => Ok(self.take_reports(body)),
                Call::Erase => Ok(self.erase()),
                Call::Data | Call::Earlier { .. } => Ok(ok(&self.check_in)),
            }
        }

        fn admit(&mut self, chain: &str) -> Result<(), RefusalCode> {
            match self.chains.iter().rev().position(|given| given == chain) {
                Some(0) => {
                    self.newest_used = true;
                    Ok(())
                }
                Some(1) if !self.newest_used => Ok(()),
                Some(_) => {
                    self.odd.push("a superseded certificate".into());
                    Err(RefusalCode::Superseded)
                }
                None => Err(RefusalCode::NotEnrolled),
            }
        }

        fn enrol(&mut self, factory: bool, body: &[u8]) -> Reply {
            let request = Enrolment::parse(body).map_or_else(|error| error.to_string(), |read| read.request);
            if factory {
                self.epoch += 1;
                (self.newest_used, self.tickets) = (true, vec![]);
            } else {
                self.newest_used = false;
            }
            let key = request.lines().nth(1).unwrap_or_default();
            let number = self.chains.len();
            let begin = "-----BEGIN CERTIFICATE-----";
            let chain = format!("{begin}\n{key}\n{number}\n-----END CERTIFICATE-----\n");
            self.chains.push(chain.clone());
            let ticket = self.next_ticket();
            ok(&Enrolled {
                format: Enrolled::FORMAT.into(),
                requires: vec![],
                device: device(),
                chain,
                renew_after: self.now.unwrap_or(Timestamp::EPOCH).plus_days(60),
                epoch: self.epoch,
                ticket,
            })
        }

        fn next_ticket(&mut self) -> Ticket {
            self.given += 1;
            let ticket = Ticket::of_bytes(&[self.given; 16]);
            self.tickets.insert(0, ticket.clone());
            self.tickets.truncate(2);
            ticket
        }

        fn take_check_in(&mut self, body: &[u8]) -> Reply {
            let Ok(check_in) = CheckIn::parse(body) else { return refused(RefusalCode::Malformed) };
            if !check_in.ticket.as_ref().is_some_and(|ticket| self.tickets.contains(ticket)) {
                self.odd.push("a forked ticket".into());
            }
            // The one that was shown stays good until the next is shown.
            self.tickets.retain(|ticket| Some(ticket) == check_in.ticket.as_ref());
            self.check_in = Some(check_in);
            let ticket = self.next_ticket();
            let kept = self.reports.range((self.epoch, 0)..=(self.epoch, u64::MAX)).next_back();
            ok(&CheckedIn::new(ticket, kept.map_or(0, |((_, sequence), _)| *sequence), 86_400))
        }

        fn take_reports(&mut self, body: &[u8]) -> Reply {
            let Ok(queue) = ReportQueue::parse(body) else { return refused(RefusalCode::Malformed) };
            if queue.device != device() {
                return refused(RefusalCode::OtherDevice);
            }
            let mut last = 0;
            for report in queue.reports {
                last = report.sequence;
                let kept = self.reports.entry((self.epoch, last)).or_insert_with(|| report.clone());
                if *kept != report {
                    self.odd.push(format!("a forked sequence: {last}"));
                }
            }
            ok(&Acknowledged::new(last, vec![]))
        }

        fn erase(&mut self) -> Reply {
            let erased = Erased { reports: self.reports.len() as u64, check_ins: 1, attributes: 0, keys: 1 };
            (self.chains, self.tickets, self.check_in) = (vec![], vec![], None);
            self.reports.clear();
            ok(&Erasure {
                format: Erasure::FORMAT.into(),
                requires: vec![],
                device: device(),
                at: Timestamp::EPOCH,
                erased,
                kept: vec!["that a device was erased".into()],
                audit: AuditMark { sequence: 1, digest: Sha256Digest([9; 32]) },
            })
        }
    }

    fn ok(value: &impl serde::Serialize) -> Reply {
        Reply { status: 200, body: serde_json::to_vec(value).unwrap_or_default(), retry_after: None }
    }

    fn refused(code: RefusalCode) -> Reply {
        let refusal = Refusal::new(code, code.to_string(), "wait");
        let retry_after = matches!(code, RefusalCode::Rate | RefusalCode::Busy).then_some(1000);
        Reply { status: code.status(), body: serde_json::to_vec(&refusal).unwrap_or_default(), retry_after }
    }
}
