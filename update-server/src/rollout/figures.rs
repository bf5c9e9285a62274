//! The figures of rollouts for Prometheus. Their labels are names that signers have signed, and there are as many as releases
//! with a plan on offer.

use super::machine::{Counted, evidence};
use super::offers::Offers;
use super::record::{Record, State};
use super::status;
use super::superseded;
use super::view::{holds, reached};
use perennial_gate::bounds;
use perennial_schemas::rollout::WHOLE;
use perennial_schemas::{KeyId, Sha256Digest, Timestamp};
use prometheus::{GaugeVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};

/// What a rollout is called in labels.
const ROLLOUT: [&str; 2] = ["product", "version"];

/// Every change that there is, so that each is shown from the beginning.
const ACTIONS: [&str; 13] = [
    "rollout.scheduled",
    "rollout.started",
    "rollout.advanced",
    "rollout.finished",
    "rollout.halted",
    "rollout.stopped",
    "rollout.paused",
    "rollout.resumed",
    "rollout.withdrawn",
    "rollout.offered-again",
    "rollout.votes-removed",
    "rollout.clock-set-back",
    "rollout.watched-anew",
];

/// See the module.
#[derive(Debug)]
pub struct Figures {
    /// Turns of the engine that failed.
    pub failed: IntCounter,
    /// Statuses that were signed.
    pub signed: IntCounter,
    /// What can't be read.
    pub unreadable: IntGauge,
    changes: IntCounterVec,
    foreign: IntGauge,
    states: IntGaugeVec,
    open: GaugeVec,
    planned: GaugeVec,
    waiting: GaugeVec,
    devices: IntGaugeVec,
    against: GaugeVec,
    in_favour: GaugeVec,
    stopped: IntGaugeVec,
    expires: GaugeVec,
    holds: GaugeVec,
    goes_on: IntGaugeVec,
    superseded: IntGaugeVec,
}

impl Figures {
    /// A fresh set in `registry`.
    ///
    /// # Errors
    /// When two figures share a name, which a test excludes.
    pub fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let counter = |name: &str, help: &str| -> Result<IntCounter, prometheus::Error> {
            let counter = IntCounter::new(name, help)?;
            registry.register(Box::new(counter.clone()))?;
            Ok(counter)
        };
        let whole = |name: &str, help: &str, more: &[&str]| -> Result<IntGaugeVec, prometheus::Error> {
            let gauges = IntGaugeVec::new(Opts::new(name, help), &[&ROLLOUT, more].concat())?;
            registry.register(Box::new(gauges.clone()))?;
            Ok(gauges)
        };
        let parts = |name: &str, help: &str, more: &[&str]| -> Result<GaugeVec, prometheus::Error> {
            let gauges = GaugeVec::new(Opts::new(name, help), &[&ROLLOUT, more].concat())?;
            registry.register(Box::new(gauges.clone()))?;
            Ok(gauges)
        };
        let changes = IntCounterVec::new(
            Opts::new("perennial_rollout_changes_total", "Changes of rollouts since the start"),
            &["action"],
        )?;
        registry.register(Box::new(changes.clone()))?;
        ACTIONS.iter().for_each(|action| changes.with_label_values(&[action]).inc_by(0));
        let unreadable = IntGauge::new(
            "perennial_rollout_unreadable",
            "Records of rollouts, channels and manifests that can't be read: their rollouts stand still",
        )?;
        registry.register(Box::new(unreadable.clone()))?;
        let foreign = IntGauge::new(
            "perennial_rollout_foreign",
            "Releases on offer whose plan names another rollout key: this server can't open them",
        )?;
        registry.register(Box::new(foreign.clone()))?;
        Ok(Self {
            failed: counter(
                "perennial_rollout_turns_failed_total",
                "Turns of the rollout engine that failed",
            )?,
            signed: counter("perennial_rollout_statuses_signed_total", "Rollout statuses signed")?,
            unreadable,
            changes,
            foreign,
            states: whole("perennial_rollout_state", "1 for the state that a rollout is in", &["state"])?,
            open: parts(
                "perennial_rollout_open_ratio",
                "The share of the fleet that plan and gate have opened it for, until it was stopped where it is; nobody is let in while it is halted or paused",
                &[],
            )?,
            planned: parts(
                "perennial_rollout_planned_ratio",
                "The share of the fleet that the plan has opened it for by now",
                &[],
            )?,
            waiting: parts(
                "perennial_rollout_waiting_seconds",
                "For how long the next phase could have begun, and evidence has held it back",
                &[],
            )?,
            devices: whole(
                "perennial_rollout_devices",
                "Devices by their vote: started, confirmed, failed, rolled-back; and missing among those that started",
                &["hardware", "vote"],
            )?,
            against: parts(
                "perennial_rollout_against_ratio",
                "How far the evidence is on its way to a halt: 1 halts. hardware is empty for all together",
                &["hardware"],
            )?,
            in_favour: parts(
                "perennial_rollout_in_favour_ratio",
                "How far the evidence is on its way to the next phase: 1 is proof",
                &[],
            )?,
            stopped: whole(
                "perennial_rollout_stopped",
                "1 for a hardware revision that the rollout is halted for",
                &["hardware"],
            )?,
            expires: parts(
                "perennial_rollout_status_expires_seconds",
                "When the status stops counting, in seconds since 1970",
                &[],
            )?,
            goes_on: whole(
                "perennial_rollout_goes_on",
                "1 for a stopped rollout that devices go on with, or will once they have waited: its signers signed again, or planned it so",
                &[],
            )?,
            superseded: whole(
                "perennial_rollout_superseded",
                "1 for a stopped rollout in whose place each device takes a newer release: nothing has to be done about it",
                &[],
            )?,
            holds: parts(
                "perennial_rollout_hold_ends_seconds",
                "When the first devices of a stopped rollout have waited for as long as they may, in seconds since 1970",
                &[],
            )?,
        })
    }

    #[cfg(test)]
    pub(super) fn superseded(
        &self,
        product: &perennial_schemas::ProductName,
        version: &perennial_schemas::ReleaseVersion,
    ) -> i64 {
        self.superseded.with_label_values(&[product.as_str(), version.as_str()]).get()
    }

    pub(super) fn changed(&self, action: &str) {
        self.changes.with_label_values(&[action]).inc();
    }

    /// Shows how all rollouts are; what is gone is shown no more.
    pub(super) fn show(&self, seen: &[(Record, Counted)], offers: &Offers, own: &KeyId, now: Timestamp) {
        self.foreign.set(offers.offered.values().filter(|offer| offer.key != *own).count() as i64);
        self.states.reset();
        self.stopped.reset();
        self.devices.reset();
        self.holds.reset();
        self.goes_on.reset();
        self.superseded.reset();
        for gauges in
            [&self.open, &self.planned, &self.waiting, &self.against, &self.in_favour, &self.expires]
        {
            gauges.reset();
        }
        for (record, counted) in seen {
            self.show_one(record, counted, offers, now);
            let Some(offer) = offers.offered.get(&record.manifest) else { continue };
            let known = |manifest: &Sha256Digest| {
                seen.iter().map(|(record, _)| record).find(|record| record.manifest == *manifest)
            };
            let is_stopped =
                matches!(record.state, State::Halted | State::Paused) || !record.stopped.is_empty();
            let superseded = is_stopped && superseded::by(offer, offers, &known, now).is_some();
            let name = [record.product.as_str(), record.version.as_str()];
            self.superseded.with_label_values(&name).set(superseded.into());
        }
    }

    fn show_one(&self, record: &Record, counted: &Counted, offers: &Offers, now: Timestamp) {
        let Some(offer) = offers.offered.get(&record.manifest) else { return };
        let (product, version) = (record.product.as_str(), record.version.as_str());
        let name = [product, version];
        for (state, word) in State::ALL {
            self.states.with_label_values(&[product, version, word]).set((state == record.state).into());
        }
        let share = |ppm: u32| f64::from(ppm) / f64::from(WHOLE);
        let planned = offer.plan.share_at(now);
        self.open.with_label_values(&name).set(share(reached(record, offer, now)));
        self.planned.with_label_values(&name).set(share(planned));
        let next = offer.beyond(record.phase).unwrap_or(now);
        self.waiting.with_label_values(&name).set((now.unix() - next.unix()).max(0) as f64);
        for (hardware, votes) in &counted.votes {
            let told = [
                ("started", votes.started),
                ("confirmed", votes.confirmed),
                ("failed", votes.failed),
                ("rolled-back", votes.rolled_back),
                ("missing", votes.missing),
            ];
            for (vote, count) in told {
                let labels = [product, version, hardware.as_str(), vote];
                self.devices.with_label_values(&labels).set(count as i64);
            }
        }
        let bounds = bounds(&offer.plan.gate, &evidence(record, offer, counted));
        self.against.with_label_values(&[product, version, ""]).set(bounds.against / bounds.halts_at);
        for (hardware, against) in &bounds.strata {
            let ratio = against / bounds.stratum_halts_at;
            self.against.with_label_values(&[product, version, hardware.as_str()]).set(ratio);
            let stopped = record.stopped.contains_key(hardware);
            self.stopped.with_label_values(&[product, version, hardware.as_str()]).set(stopped.into());
        }
        self.in_favour.with_label_values(&name).set(bounds.in_favour / bounds.goes_on_at);
        let expires = status::expires(record).map_or(0, Timestamp::unix);
        self.expires.with_label_values(&name).set(expires as f64);
        if matches!(record.state, State::Halted | State::Paused) || !record.stopped.is_empty() {
            let holds = holds(offer, record.changed(), now);
            self.holds.with_label_values(&name).set(holds.first.unix() as f64);
            self.goes_on.with_label_values(&name).set(holds.goes_on().into());
        }
    }
}
