//! The fleet plane's figures for prometheus. No label ever holds what a client sent.

use super::fold::{Done, Verdict};
use super::row::Standing;
use perennial_schemas::fleet::{Flag, RefusalCode};
use prometheus::{
    Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
};

/// See the module.
#[derive(Debug)]
pub struct Figures {
    /// Answers by status class; index is the status divided by 100.
    answers: [IntCounter; 6],
    /// From the end of a request's head to the last byte handed to the socket, in seconds.
    pub seconds: Histogram,
    /// Reports that are durable.
    pub reports: IntCounter,
    /// Check-ins that are durable.
    pub check_ins: IntCounter,
    /// Certificates that were given, renewals included.
    pub enrolments: IntCounter,
    /// Devices that were erased.
    pub erased: IntCounter,
    /// Reports that wait to be written.
    pub waiting: IntGauge,
    /// Bytes of large bodies that are on their way or worked on.
    pub large_bodies: IntGauge,
    /// How long a group commit takes.
    pub commit_seconds: Histogram,
    /// Group commits that failed.
    pub commits_failed: IntCounter,
    /// Revocation lists, device CAs or lists of serial numbers that couldn't be read again.
    pub reloads_failed: IntCounter,
    /// Serial numbers on the revocation lists.
    pub revocations: IntGauge,
    /// Devices by standing, as of the last count.
    pub devices: IntGaugeVec,
    /// Devices whose rows can't be read, as of the last count.
    pub devices_damaged: IntGauge,
    /// Generations and manifests that can't be read: of the releases in them, nothing can be said.
    pub releases_unreadable: IntGauge,
    flags: IntCounterVec,
    refused: IntCounterVec,
}

impl Figures {
    /// A fresh set in `registry`.
    ///
    /// # Errors
    /// When two figures share a name, which a test excludes.
    pub(crate) fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let counter = |name: &str, help: &str| -> Result<IntCounter, prometheus::Error> {
            let counter = IntCounter::new(name, help)?;
            registry.register(Box::new(counter.clone()))?;
            Ok(counter)
        };
        let gauge = |name: &str, help: &str| -> Result<IntGauge, prometheus::Error> {
            let gauge = IntGauge::new(name, help)?;
            registry.register(Box::new(gauge.clone()))?;
            Ok(gauge)
        };
        let by = |name: &str, help: &str, label: &str| -> Result<IntCounterVec, prometheus::Error> {
            let counters = IntCounterVec::new(Opts::new(name, help), &[label])?;
            registry.register(Box::new(counters.clone()))?;
            Ok(counters)
        };
        let flags =
            by("perennial_fleet_flags_total", "What was odd about devices and their reports", "flag")?;
        Flag::ALL.iter().for_each(|flag| flags.with_label_values(&[flag.as_str()]).inc_by(0));
        let commit_seconds = Histogram::with_opts(
            HistogramOpts::new(
                "perennial_fleet_commit_seconds",
                "From the first fold of a group to its durable commit",
            )
            .buckets(vec![0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 10.0]),
        )?;
        registry.register(Box::new(commit_seconds.clone()))?;
        let devices = IntGaugeVec::new(
            Opts::new("perennial_fleet_devices", "Devices by standing, as of the last count"),
            &["standing"],
        )?;
        registry.register(Box::new(devices.clone()))?;
        Standing::ALL.iter().for_each(|(_, word)| devices.with_label_values(&[word]).set(0));
        let refused =
            by("perennial_fleet_refused_total", "Requests and queues that were refused, by reason", "code")?;
        RefusalCode::ALL.iter().for_each(|code| refused.with_label_values(&[code.as_str()]).inc_by(0));
        let answers =
            by("perennial_fleet_answers_total", "Answers of the fleet plane by status class", "class")?;
        let answers =
            ["0xx", "1xx", "2xx", "3xx", "4xx", "5xx"].map(|class| answers.with_label_values(&[class]));
        let seconds = Histogram::with_opts(
            HistogramOpts::new(
                "perennial_fleet_answer_seconds",
                "From the end of a request's head to the last byte handed to the socket",
            )
            .buckets(vec![0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 10.0, 100.0]),
        )?;
        registry.register(Box::new(seconds.clone()))?;
        Ok(Self {
            answers,
            seconds,
            reports: counter("perennial_fleet_reports_total", "Reports that are durable")?,
            check_ins: counter("perennial_fleet_check_ins_total", "Check-ins that are durable")?,
            enrolments: counter(
                "perennial_fleet_enrolments_total",
                "Fleet certificates given, renewals included",
            )?,
            erased: counter("perennial_fleet_erased_total", "Devices that were erased")?,
            waiting: gauge("perennial_fleet_waiting", "Reports that wait to be written")?,
            large_bodies: gauge(
                "perennial_fleet_large_bodies_bytes",
                "Bytes of large bodies on their way, of the room that fleet.large_bodies gives",
            )?,
            commits_failed: counter("perennial_fleet_commits_failed_total", "Group commits that failed")?,
            reloads_failed: counter(
                "perennial_fleet_reloads_failed_total",
                "Times that the device CA, its revocation list or the serial numbers couldn't be read again",
            )?,
            devices_damaged: gauge(
                "perennial_fleet_devices_damaged",
                "Devices whose records can't be read, as of the last count",
            )?,
            releases_unreadable: gauge(
                "perennial_fleet_releases_unreadable",
                "Generations and manifests that can't be read",
            )?,
            revocations: gauge("perennial_fleet_revocations", "Serial numbers on the revocation lists")?,
            refused,
            commit_seconds,
            devices,
            flags,
        })
    }

    /// Counts answers of a status class (2 for 2xx).
    pub(crate) fn answered_class(&self, class: usize, count: u64) {
        if let Some(class) = self.answers.get(class) {
            class.inc_by(count);
        }
    }

    /// Counts a refusal.
    pub(crate) fn refused(&self, code: RefusalCode) {
        self.refused.with_label_values(&[code.as_str()]).inc();
    }

    /// Counts what a group commit made durable: `events` are new reports.
    pub(crate) fn committed(&self, events: usize, verdicts: &[Verdict], flags: &[Flag]) {
        self.reports.inc_by(events as u64);
        for verdict in verdicts.iter().flatten() {
            match verdict {
                Done::CheckedIn { .. } => self.check_ins.inc(),
                Done::Enrolled { .. } => self.enrolments.inc(),
                Done::Acknowledged { .. } => {}
            }
        }
        for flag in flags {
            self.flags.with_label_values(&[flag.as_str()]).inc();
        }
    }
}
