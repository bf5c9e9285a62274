//! How a server is, for whoever is woken by it: what is served and until when, what was refused, and what must be done.
//! It gathers and judges; it changes nothing.

use crate::audit;
use crate::fleet::status::{ENROLMENT_DAYS, Summary};
use crate::freshness;
use crate::generation::Served;
use crate::ingest::Reason;
use crate::refusals::{Last, Refused, Tally};
use crate::rollout::view::Rollout;
use crate::steady;
use crate::store::{LEAST, Room, Store, StoreError};
use crate::support::feeds::contacts::{NOTICE_DAYS, SECURITY_TXT, ends};
use perennial_schemas::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// A refusal that nobody has to act upon any more: 30 days.
const REFUSALS_DAYS: i64 = 30;
/// A certificate is renewed some weeks before its end.
const CERTIFICATE_DAYS: i64 = 14;

/// Everything that `perennial-server status` tells; `GET /api/v1/status` answers the same.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Status {
    /// Of the program that answers.
    pub version: String,
    /// When this was asked.
    #[schema(value_type = String, format = DateTime)]
    pub now: Timestamp,
    /// What must be done, the most urgent first.
    pub alarms: Vec<Alarm>,
    /// What only a running server knows; `None` while none runs.
    pub running: Option<Running>,
    /// Whether it should get traffic.
    pub ready: bool,
    /// Why not.
    pub reasons: Option<String>,
    /// The number of the generation that is served.
    pub generation: Option<u64>,
    /// When it was taken in.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub taken_in: Option<Timestamp>,
    /// From whom, as the audit calls them.
    pub taken_from: Option<String>,
    /// Version of its snapshot.
    pub snapshot: Option<u64>,
    /// Files, metadata included.
    pub files: usize,
    /// When the timestamp stops being trusted.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub timestamp_expires: Option<Timestamp>,
    /// True when an offline key signed the timestamp, and this server can't renew it.
    pub timestamp_offline: bool,
    /// When each role's metadata stops being trusted, and `security.txt`.
    #[schema(value_type = BTreeMap<String, String>)]
    pub expires: BTreeMap<String, Timestamp>,
    /// Bundles that were refused, by reason.
    pub refused: BTreeMap<String, Tally>,
    /// The last refusal.
    pub last_refused: Option<Last>,
    /// The end of the audit's chain.
    pub audit: Option<audit::Head>,
    /// The fleet plane; `None` where it isn't served and never was.
    #[serde(default)]
    pub fleet: Option<Summary>,
    /// Rollouts of releases on offer.
    #[serde(default)]
    pub rollouts: Vec<Rollout>,
}

/// What only a running server knows. Counts are since its start.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Running {
    /// When it was started.
    #[schema(value_type = String, format = DateTime)]
    pub started: Timestamp,
    /// Polls that were answered "nothing new".
    pub not_modified: u64,
    /// Answers by the class of their status, `2xx` to `5xx`.
    pub answers: BTreeMap<String, u64>,
    /// Open connections.
    pub connections: i64,
    /// Bytes written to sockets.
    pub sent_bytes: u64,
    /// Content on the disk in bytes, as of the last sweep.
    pub blob_bytes: i64,
    /// When the TLS certificate expires.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub certificate_expires: Option<Timestamp>,
    /// Who is sending a bundle, and since when.
    pub ingesting: Option<Ingesting>,
}

/// A bundle under way.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Ingesting {
    /// As the audit calls them.
    pub actor: String,
    /// Since when.
    #[schema(value_type = String, format = DateTime)]
    pub since: Timestamp,
}

/// Something that somebody must look at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Alarm {
    /// In one word, for programs: `not_running`, `not_ready`, `expired`, `expires_soon`, `refused`, `audit`, `lab`, `device_ca`, `serials`, `revocations`,
    /// `rollout_halted`, `rollout_goes_on`, `rollout_paused`, `rollout_key`, `rollout_damaged`, `disk_full`, `other_marks`, `clock`.
    pub code: String,
    /// What is the matter.
    pub what: String,
    /// What to do.
    pub hint: String,
}

impl Alarm {
    pub(crate) fn new(code: &str, what: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { code: code.into(), what: what.into(), hint: hint.into() }
    }
}

/// What a status is made of.
pub(crate) struct Facts<'a> {
    pub(crate) store: &'a dyn Store,
    pub(crate) served: Option<&'a Served>,
    pub(crate) refused: Refused,
    /// A broken audit chain, in words.
    pub(crate) audit: Option<String>,
    /// `None` while no server runs; else what it knows, and whether it is ready.
    pub(crate) running: Option<(Running, Result<(), String>)>,
    /// The fleet plane.
    pub(crate) fleet: Option<Summary>,
    /// Rollouts.
    pub(crate) rollouts: Vec<Rollout>,
    pub(crate) now: Timestamp,
}

impl Facts<'_> {
    /// The status.
    pub(crate) fn status(self) -> Result<Status, StoreError> {
        let generation = self.served.map(|served| &served.generation);
        let fresh = self.served.and_then(|served| freshness::read(&served.timestamp).ok());
        let (running, reasons) = match self.running {
            None => (None, Some("the server isn't running".to_owned())),
            Some((running, ready)) => (Some(running), ready.err()),
        };
        let mut status = Status {
            version: env!("CARGO_PKG_VERSION").into(),
            now: self.now,
            alarms: Vec::new(),
            running,
            ready: reasons.is_none(),
            reasons,
            generation: generation.map(|generation| generation.number),
            taken_in: generation.map(|generation| generation.created),
            taken_from: generation.map(|generation| generation.by.clone()).filter(|by| !by.is_empty()),
            snapshot: generation.map(|generation| generation.snapshot.version),
            files: generation.map_or(0, |generation| generation.files.len()),
            timestamp_expires: fresh.map(|(fresh, _)| fresh.expires),
            timestamp_offline: generation.is_some_and(|generation| generation.offline_timestamp),
            expires: generation.map(|generation| ends(generation, self.now)).unwrap_or_default(),
            refused: self.refused.reasons,
            last_refused: self.refused.last,
            audit: Some(audit::head(self.store)?),
            fleet: self.fleet,
            rollouts: self.rollouts.into_iter().filter(|rollout| rollout.state != "withdrawn").collect(),
        };
        status.alarms = alarms(&status, &self.refused.lasts, self.audit, self.store.room().and_then(full));
        if status.running.is_some() {
            status.alarms.extend(steady::doubt(self.store, self.now)?.map(|held| leapt(self.now, held)));
        }
        Ok(status)
    }
}

fn alarms(
    status: &Status,
    lasts: &BTreeMap<String, Last>,
    audit: Option<String>,
    full: Option<Alarm>,
) -> Vec<Alarm> {
    let mut alarms = Vec::new();
    if status.running.is_none() {
        let hint = "start it: systemctl start perennial-server, or perennial-server serve --config FILE";
        alarms.push(Alarm::new("not_running", "the server isn't running", hint));
    } else if let Some(reasons) = &status.reasons {
        alarms.push(Alarm::new(
            "not_ready",
            reasons,
            "devices get nothing new until that is mended; see the log",
        ));
    }
    if let Some(broken) = audit {
        let hint = "somebody changed the store by hand, or the disk failed: compare with your backups";
        alarms.push(Alarm::new("audit", broken, hint));
    }
    alarms.extend(full);
    refusals(status, lasts, &mut alarms);
    expiries(status, &mut alarms);
    for (code, what, hint) in status.rollouts.iter().flat_map(Rollout::alarms) {
        alarms.push(Alarm::new(code, what, hint));
    }
    if let Some(fleet) = &status.fleet {
        fleet_alarms(fleet, status.now, &mut alarms);
    }
    alarms
}

/// The clock says another time than the one that held last, and nothing is removed by it yet.
fn leapt(now: Timestamp, held: Timestamp) -> Alarm {
    let what = format!(
        "the clock says {now}, and the last time that held was {held}: reports, devices and votes that are past their time by the new one stay until it has held for a day"
    );
    let hint = "where the clock is wrong, set it right; where this server was off for so long, all is well";
    Alarm::new("clock", what, hint)
}

/// The store takes only what stops something.
fn full(Room { free, reserve, spare }: Room) -> Option<Alarm> {
    let brake = "rollout pause, rollout halt, device revoke and halts by evidence";
    let brake = if free.saturating_add(spare) >= LEAST {
        format!("Reports, bundles and whatever else is recorded are refused; {brake} still work")
    } else {
        format!("Nothing is recorded any more, and {brake} don't work either")
    };
    let what = format!(
        "the store's disk is full: {} MB are free, and {} MB are kept (store.reserve). {brake}",
        free / 1_000_000,
        reserve.div_ceil(1_000_000)
    );
    let hint = "make room on that disk, or move the state to a larger one; devices keep their reports and send them again";
    (free < reserve).then(|| Alarm::new("disk_full", what, hint))
}

fn fleet_alarms(fleet: &Summary, now: Timestamp, alarms: &mut Vec<Alarm>) {
    if fleet.lab {
        let what = "LAB MODE: whoever reaches fleet.without_tls reports as any device without an identity";
        alarms.push(Alarm::new("lab", what, "set fleet.lab = false wherever devices of customers report"));
    }
    if fleet.damaged > 0 {
        let what = format!("the records of {} devices can't be read", fleet.damaged);
        let hint =
            "`device list` names them; bring an export back, or erase them one by one: they enrol anew";
        alarms.push(Alarm::new("damaged", what, hint));
    }
    if fleet.releases_unreadable > 0 {
        let what = format!(
            "{} generations or manifests can't be read: what devices say of releases in them isn't compared",
            fleet.releases_unreadable
        );
        alarms.push(Alarm::new("damaged", what, "`store check` says which; ingest their bundle again"));
    }
    if let Some(trouble) = &fleet.device_ca_trouble {
        let hint = "put the newest revocation list (fleet.revocations) and the device CA's certificate in place; perennial-signer device-ca revoke writes a new list";
        alarms.push(Alarm::new("device_ca", trouble, hint));
    }
    if let Some(trouble) = &fleet.serials_trouble {
        let hint = "put a list in place that can be used (fleet.serials); until then the one before counts";
        alarms.push(Alarm::new("serials", trouble, hint));
    }
    if let Some(until) = fleet.revocations_until.filter(|until| *until < now) {
        let what = format!("the device CA's revocation list should have been renewed at {until}");
        let hint = "perennial-signer device-ca revoke writes a new one; what it holds goes on counting";
        alarms.push(Alarm::new("revocations", what, hint));
    }
    if let Some(expires) = fleet.enrolment_expires {
        let left = expires.unix() - now.unix();
        let hint = "have STATE/keys/enrolment.csr.pem signed again: perennial-signer device-ca enrolment";
        if left <= 0 {
            let what =
                format!("the enrolment certificate expired at {expires}: no device can enrol or renew");
            alarms.push(Alarm::new("expired", what, hint));
        } else if left < ENROLMENT_DAYS * 86_400 {
            alarms.push(Alarm::new(
                "expires_soon",
                format!("the enrolment certificate expires at {expires}"),
                hint,
            ));
        }
    }
}

/// Attempts at what must never be published, for as long as somebody may not have seen them.
fn refusals(status: &Status, lasts: &BTreeMap<String, Last>, alarms: &mut Vec<Alarm>) {
    for (reason, word) in Reason::ALL.iter().filter(|(reason, _)| reason.alarms()) {
        let Some(tally) = status.refused.get(*word) else { continue };
        if status.now.unix() - tally.at.unix() > REFUSALS_DAYS * 86_400 {
            continue;
        }
        let what = match lasts.get(*word) {
            Some(last) => {
                format!("a bundle from {} was refused at {} ({word}): {}", last.actor, last.at, last.error)
            }
            None => format!("a bundle was refused at {} ({word})", tally.at),
        };
        let hint = match reason {
            Reason::Signature => "ask whoever sent it: a key below the threshold, or a stranger's, was tried",
            _ => {
                "ask whoever sent it: signers tried to publish what breaks a promise; the audit has every attempt"
            }
        };
        alarms.push(Alarm::new("refused", what, hint));
    }
}

fn expiries(status: &Status, alarms: &mut Vec<Alarm>) {
    let mut ends: Vec<(&str, Timestamp)> =
        status.expires.iter().map(|(role, expires)| (role.as_str(), *expires)).collect();
    ends.extend(status.timestamp_expires.map(|expires| ("timestamp", expires)));
    let certificate = status.running.as_ref().and_then(|running| running.certificate_expires);
    ends.extend(certificate.map(|expires| ("the TLS certificate", expires)));
    ends.sort_by_key(|(_, expires)| *expires);
    for (name, expires) in ends {
        let left = expires.unix() - status.now.unix();
        let (days, hint) = match name {
            "timestamp" if status.timestamp_offline => {
                (3, "sign a later one offline, bundle it, and ingest the bundle")
            }
            // Renewed twice in its lifetime: what goes wrong with that makes the server unready.
            "timestamp" => (0, "look at the server's log: it couldn't be renewed"),
            "the TLS certificate" => {
                (CERTIFICATE_DAYS, "renew it; the server takes the new files up by itself")
            }
            SECURITY_TXT => (
                NOTICE_DAYS,
                "it lasts as long as the first record in it: that product's signers must sign again",
            ),
            "root" => (30, "its signers must sign the next one: perennial-signer root rotate, or archive"),
            "snapshot" => {
                (10, "somebody with a snapshot key: perennial-signer snapshot, bundle; then ingest")
            }
            _ => (10, "its signers must sign it again: perennial-signer archive, or the next release"),
        };
        if left <= 0 {
            alarms.push(Alarm::new("expired", format!("{name} expired at {expires}"), hint));
        } else if left < days * 86_400 {
            alarms.push(Alarm::new("expires_soon", format!("{name} expires at {expires}"), hint));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{FjallStore, Settings};

    fn status(change: impl FnOnce(&mut Status)) -> Vec<String> {
        let folder = tempfile::tempdir().unwrap();
        let store = FjallStore::open(folder.path(), Settings::default()).unwrap();
        let now = Timestamp::from_unix(1_800_000_000);
        let running = Running {
            started: now,
            not_modified: 0,
            answers: BTreeMap::new(),
            connections: 0,
            sent_bytes: 0,
            blob_bytes: 0,
            certificate_expires: None,
            ingesting: None,
        };
        let facts = Facts {
            store: &store,
            served: None,
            refused: Refused::default(),
            audit: None,
            running: Some((running, Ok(()))),
            fleet: None,
            rollouts: Vec::new(),
            now,
        };
        let mut status = facts.status().unwrap();
        change(&mut status);
        alarms(&status, &BTreeMap::new(), None, None)
            .into_iter()
            .map(|alarm| format!("{}: {}", alarm.code, alarm.what))
            .collect()
    }

    #[test]
    fn what_runs_out_is_told_in_time_and_the_first_end_first() {
        assert_eq!(status(|_| {}), Vec::<String>::new());
        let told = status(|status| {
            let in_days = |days| status.now.plus_days(days);
            status.timestamp_expires = Some(in_days(1));
            status.expires = BTreeMap::from([
                ("root".into(), in_days(29)),
                ("targets".into(), in_days(11)),
                ("snapshot".into(), in_days(9)),
                ("cam".into(), in_days(-1)),
            ]);
        });
        let codes: Vec<_> = told.iter().map(|alarm| alarm.split(" expire").next().unwrap()).collect();
        assert_eq!(codes, ["expired: cam", "expires_soon: snapshot", "expires_soon: root"]);
        let offline = status(|status| {
            (status.timestamp_offline, status.timestamp_expires) = (true, Some(status.now.plus_days(2)));
        });
        assert!(offline[0].starts_with("expires_soon: timestamp"), "{offline:?}");
    }

    #[test]
    fn attempts_to_break_a_promise_are_told_for_a_month_and_mishaps_are_not() {
        let refused = |word: &str, days: i64| {
            status(|status| {
                let tally = Tally { count: 1, at: status.now.plus_days(-days) };
                status.refused = BTreeMap::from([(word.into(), tally)]);
            })
        };
        assert!(refused("support_shorter", 29)[0].starts_with("refused: a bundle was refused at"));
        assert!(refused("support_shorter", 31).is_empty());
        assert!(refused("damaged", 0).is_empty());
    }

    #[test]
    fn what_a_full_disk_still_takes_is_told_truly() {
        let told = |free, spare| full(Room { free, reserve: 64 << 20, spare }).map(|alarm| alarm.what);
        assert_eq!(told(64 << 20, 0), None);
        for (free, spare) in [(5 << 20, 0), (0, 4 << 20)] {
            assert!(told(free, spare).unwrap().contains("halts by evidence still work"));
        }
        assert!(told(LEAST - 1, 0).unwrap().contains("don't work either"));
    }
}
