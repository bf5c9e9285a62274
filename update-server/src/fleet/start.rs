//! Starts the fleet plane: files read, writer running, threads answering; whole or not at all.

use super::answer::{Bodies, Fleet, Pace};
use super::authority::{Authority, AuthorityError};
use super::count::Counted;
use super::handshake::Verifier;
use super::lists::ByMaker;
use super::rate::Rates;
use super::releases::Shelf;
use super::row::Standing;
use super::status::Summary;
use super::tender::Duties;
use super::trust::{Files, Trust};
use super::weak::Weak;
use super::writer::{self, Means};
use super::{listen, tender};
use crate::config::Config;
use crate::io::Now;
use crate::metrics::Metrics;
use crate::plane::End;
use crate::records::restored;
use crate::rollout::ballot::Ballot;
use crate::server::{StartError, listen_on};
use crate::site::Site;
use crate::state::State;
use crate::store::Store;
use crate::tls::Certificates;
use arc_swap::ArcSwap;
use perennial_schemas::Timestamp;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use tokio::sync::watch;
use tokio::time::Instant;

/// What it is made of.
pub(crate) struct Parts<'a> {
    pub(crate) config: &'a Config,
    pub(crate) state: &'a State,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) site: Arc<ArcSwap<Site>>,
    pub(crate) ballot: Arc<Ballot>,
    pub(crate) metrics: &'a Arc<Metrics>,
    pub(crate) now: Now,
}

/// Where it listens, opened before anything runs.
pub(crate) struct Doors {
    cores: Vec<Vec<End>>,
    trust: Option<Arc<Trust>>,
    pub(crate) plain: Vec<SocketAddr>,
    pub(crate) tls: Vec<SocketAddr>,
}

/// The running plane, for whoever asks how it is.
pub(crate) struct Plane {
    pub(super) fleet: Arc<Fleet>,
    counted: Mutex<Option<(Timestamp, Counted)>>,
    reload: Arc<AtomicBool>,
}

impl Doors {
    /// Opens the listeners, for so many threads; `None` where the plane isn't served.
    pub(crate) fn open(
        whole: &Config,
        certificates: Option<&Arc<Certificates>>,
        cores: usize,
        now: &Now,
    ) -> Result<Option<Self>, StartError> {
        let config = &whole.fleet;
        if !config.is_served() {
            return Ok(None);
        }
        let trust = match &config.ca {
            Some(ca) => {
                let files = Files { ca: ca.clone(), revocations: config.revocations.clone() };
                Some(Arc::new(Trust::load(files)?))
            }
            None => None,
        };
        let cores = (0..cores).map(|_| Vec::new()).collect();
        let mut doors = Self { cores, trust: trust.clone(), plain: Vec::new(), tls: Vec::new() };
        for address in &config.without_tls {
            let bound = listen_on(&mut doors.cores, *address, None)?;
            doors.plain.push(bound);
        }
        if !config.tls.is_empty() {
            let (Some(trust), Some(certificates)) = (trust, certificates) else {
                return Err(StartError::Setup(
                    "fleet.tls needs fleet.ca, tls.certificate and tls.key".into(),
                ));
            };
            let verifier = Arc::new(Verifier::new(trust, Arc::clone(now)));
            let tls =
                certificates.config_with_clients(whole.tls.allow_tls12, &[b"h2", b"http/1.1"], verifier)?;
            for address in &config.tls {
                let bound = listen_on(&mut doors.cores, *address, Some(&tls))?;
                doors.tls.push(bound);
            }
        }
        Ok(Some(doors))
    }
}

/// Starts the threads behind the doors.
pub(crate) fn start(
    doors: Doors,
    parts: Parts<'_>,
    stop: &watch::Receiver<bool>,
) -> Result<(Arc<Plane>, Vec<JoinHandle<()>>), StartError> {
    let config = &parts.config.fleet;
    let key = parts.state.keys().join("enrolment.key");
    let enrolment = config.enrolment_certificate.clone().map(|certificate| (key, certificate));
    let authority = match (&enrolment, &doors.trust) {
        (Some((key, certificate)), Some(trust)) => match Authority::load(key, certificate, trust) {
            // Updates go on, and devices that have a certificate of another CA report.
            Err(error @ AuthorityError::Revoked(_)) => {
                tracing::error!(%error, "no device can enrol until there is another enrolment certificate");
                None
            }
            loaded => Some(loaded?),
        },
        _ => None,
    };
    if let Some(trust) = &doors.trust {
        parts.metrics.fleet.revocations.set(trust.revocations().0 as i64);
        tender::remember(trust, &parts.store);
        if let Some(trouble) = trust.trouble() {
            tracing::error!(trouble, "put the newest revocation list in place");
        }
    }
    if config.lab {
        tracing::warn!(
            "lab mode is on: whoever reaches fleet.without_tls reports as any device without an identity"
        );
    }
    let setup = |error: std::io::Error| StartError::Setup(error.to_string());
    let weak = match &config.serials {
        Some(path) => {
            Weak::of_list(path).map_err(|error| StartError::Setup(format!("fleet.serials: {error}")))?
        }
        None => Weak::default(),
    };
    let shelf = Arc::new(Shelf::new(Arc::clone(&parts.store), parts.state.blobs(), parts.site));
    parts.metrics.fleet.releases_unreadable.set(shelf.current().unreadable() as i64);
    let restored =
        restored::read(&parts.store).map_err(|error| StartError::State(error.into()))?.by((parts.now)());
    let (writer, thread) = writer::start(Means {
        store: Arc::clone(&parts.store),
        releases: Arc::clone(&shelf),
        trust: doors.trust.clone(),
        ballot: parts.ballot,
        figures: Arc::clone(&parts.metrics.fleet),
        now: Arc::clone(&parts.now),
        queue: config.queue,
        restored,
        keep: config.keep.reports.0,
    })
    .map_err(setup)?;
    let fleet = Arc::new(Fleet {
        store: parts.store,
        writer,
        trust: doors.trust,
        authority: ArcSwap::from_pointee(authority),
        weak,
        rates: Rates::new(config.rate, config.burst),
        daily: config.daily(),
        proxies: config.proxies.clone(),
        lab: config.lab,
        certificate_days: config.certificate_days,
        check_in: u32::try_from(config.check_in.0.as_secs()).unwrap_or(u32::MAX),
        pace: Pace::of(&parts.config.limits),
        bodies: Arc::new(Bodies::new(
            config.large_bodies.0,
            config.slow_after.0,
            parts.metrics.fleet.large_bodies.clone(),
        )),
        figures: Arc::clone(&parts.metrics.fleet),
        now: parts.now,
        began: Instant::now(),
    });
    let mut threads = vec![thread];
    let limits = &parts.config.limits;
    threads.extend(listen::start(&fleet, limits, parts.metrics, doors.cores, stop).map_err(setup)?);
    let plane = Arc::new(Plane { fleet, counted: Mutex::default(), reload: Arc::default() });
    let duties = Duties {
        plane: Arc::clone(&plane),
        enrolment,
        reload: parts.config.tls.reload.0,
        keep: config.keep.clone(),
        releases: shelf,
    };
    let stop = stop.clone();
    let tending =
        std::thread::Builder::new().name("fleet-tender".into()).spawn(move || tender::run(&duties, stop));
    threads.push(tending.map_err(setup)?);
    Ok((plane, threads))
}

impl Plane {
    /// Notes how many devices there are.
    pub(super) fn counted(&self, counted: Counted) {
        self.fleet.figures.devices_damaged.set(counted.damaged as i64);
        for (standing, word) in Standing::ALL {
            let count = counted.by.get(&standing).copied().unwrap_or(0);
            self.fleet.figures.devices.with_label_values(&[word]).set(count as i64);
        }
        *self.counted.lock().unwrap_or_else(PoisonError::into_inner) = Some(((self.fleet.now)(), counted));
    }

    /// Set, it has the device CA's files looked at now, and not only when their time comes.
    pub(crate) fn reload(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.reload)
    }

    /// Whether somebody wants that, once.
    pub(super) fn is_to_reload(&self) -> bool {
        self.reload.swap(false, Ordering::Relaxed)
    }

    /// Whom the maker's lists revoke.
    pub(crate) fn by_maker(&self) -> ByMaker {
        ByMaker(self.fleet.trust.clone())
    }

    /// How it is.
    pub(crate) fn summary(&self) -> Summary {
        let counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let (counted_at, devices) = counted.map_or((None, None), |(at, counted)| (Some(at), Some(counted)));
        let figures = &self.fleet.figures;
        let revocations = self.fleet.trust.as_ref().map(|trust| trust.revocations());
        Summary {
            lab: self.fleet.lab,
            damaged: devices.as_ref().map_or(0, |counted| counted.damaged),
            devices: super::status::words(&devices.unwrap_or_default().by),
            counted_at,
            releases_unreadable: figures.releases_unreadable.get().unsigned_abs(),
            waiting: figures.waiting.get(),
            reports: figures.reports.get(),
            check_ins: figures.check_ins.get(),
            enrolments: figures.enrolments.get(),
            enrolment_expires: self.fleet.authority.load().as_ref().as_ref().map(Authority::expires),
            revocations: revocations.map_or(0, |(count, _)| count as u64),
            revocations_until: revocations.and_then(|(_, until)| until),
            device_ca_trouble: self.fleet.trust.as_ref().and_then(|trust| trust.trouble()),
            serials_trouble: self.fleet.weak.trouble(),
        }
    }
}
