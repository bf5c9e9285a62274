//! The figures that the server shows to prometheus. Counters are resolved once, so that counting a request is a few
//! additions; no label ever holds what a client sent.

use crate::fleet::figures::Figures;
use crate::ingest::Reason;
use crate::rollout::figures::Figures as Rollouts;
use perennial_schemas::Timestamp;
use prometheus::{
    Encoder, Gauge, GaugeVec, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec,
    Opts, Registry, TextEncoder,
};
use std::sync::Arc;

/// Why a connection was ended by this side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Closed {
    /// The TLS handshake took too long.
    Handshake,
    /// The head of a request took too long.
    Head,
    /// Nothing was asked for too long.
    Idle,
    /// The reader took too little for too long.
    Stalled,
    /// One address has too many connections.
    Address,
    /// The longest-idle connection made room for another.
    Evicted,
}

const CLOSED: [(Closed, &str); 6] = [
    (Closed::Handshake, "handshake"),
    (Closed::Head, "head"),
    (Closed::Idle, "idle"),
    (Closed::Stalled, "stalled"),
    (Closed::Address, "address"),
    (Closed::Evicted, "evicted"),
];

/// All figures.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    /// Answers by status class; index is the status divided by 100.
    answers: [IntCounter; 6],
    closed: [IntCounter; CLOSED.len()],
    /// Not-modified answers, the normal poll.
    pub not_modified: IntCounter,
    /// Bytes written to sockets, TLS included.
    pub sent: IntCounter,
    /// Bytes read from sockets, TLS included.
    pub received: IntCounter,
    /// From the end of a request's head to the last byte handed to the socket, in seconds.
    pub seconds: Histogram,
    /// Open connections.
    pub connections: IntGauge,
    /// TLS handshakes that failed.
    pub handshakes_failed: IntCounter,
    /// The generation that is served.
    pub generation: IntGauge,
    /// Days until each role's metadata expires, and `security.txt`.
    pub expiry_days: GaugeVec,
    /// Days until the TLS certificate expires.
    pub certificate_days: Gauge,
    /// Certificate reloads that failed.
    pub reloads_failed: IntCounter,
    /// Timestamps signed, and failures to.
    pub renewals: IntCounter,
    /// Failures to renew the timestamp.
    pub renewals_failed: IntCounter,
    /// Bundles taken in.
    pub ingested: IntCounter,
    /// Bundles refused, by reason.
    refused: IntCounterVec,
    last_refused: IntGaugeVec,
    /// Blobs on the disk after the last sweep, in bytes.
    pub blob_bytes: IntGauge,
    /// Free on the store's disk in bytes, and so many are kept.
    pub store_free: IntGauge,
    /// With less than that, the store takes only what stops something.
    pub store_reserve: IntGauge,
    /// Bytes of blobs that sweeps have removed.
    pub swept: IntCounter,
    /// Those of the fleet plane.
    pub fleet: Arc<Figures>,
    /// Those of rollouts.
    pub rollouts: Arc<Rollouts>,
}

impl Metrics {
    /// A fresh set.
    ///
    /// # Errors
    /// When two figures share a name, which a test excludes.
    pub fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
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
        let answers = IntCounterVec::new(
            Opts::new("perennial_answers_total", "Answers of the static plane by status class"),
            &["class"],
        )?;
        registry.register(Box::new(answers.clone()))?;
        let answers =
            ["0xx", "1xx", "2xx", "3xx", "4xx", "5xx"].map(|class| answers.with_label_values(&[class]));
        let closed = IntCounterVec::new(
            Opts::new("perennial_connections_closed_total", "Connections that the server ended, by reason"),
            &["reason"],
        )?;
        registry.register(Box::new(closed.clone()))?;
        let closed = CLOSED.map(|(_, reason)| closed.with_label_values(&[reason]));
        let seconds = Histogram::with_opts(
            HistogramOpts::new(
                "perennial_answer_seconds",
                "From the end of a request's head to the last byte handed to the socket",
            )
            .buckets(vec![0.000_1, 0.001, 0.01, 0.1, 1.0, 10.0, 100.0, 1000.0]),
        )?;
        registry.register(Box::new(seconds.clone()))?;
        let expiry_days = GaugeVec::new(
            Opts::new("perennial_expiry_days", "Days until a role's metadata expires, or security.txt"),
            &["role"],
        )?;
        registry.register(Box::new(expiry_days.clone()))?;
        let refused = IntCounterVec::new(
            Opts::new("perennial_ingest_refused_total", "Bundles refused, by reason; survives restarts"),
            &["reason"],
        )?;
        registry.register(Box::new(refused.clone()))?;
        Reason::ALL.iter().for_each(|(_, word)| refused.with_label_values(&[word]).inc_by(0));
        let last_refused = IntGaugeVec::new(
            Opts::new(
                "perennial_ingest_last_refused_seconds",
                "When a bundle was last refused for that reason, in seconds since 1970",
            ),
            &["reason"],
        )?;
        registry.register(Box::new(last_refused.clone()))?;
        let certificate_days =
            Gauge::new("perennial_certificate_expiry_days", "Days until the TLS certificate expires")?;
        registry.register(Box::new(certificate_days.clone()))?;
        Ok(Self {
            answers,
            closed,
            seconds,
            expiry_days,
            certificate_days,
            not_modified: counter("perennial_not_modified_total", "Polls answered 304")?,
            sent: counter("perennial_sent_bytes_total", "Bytes written to sockets")?,
            received: counter("perennial_received_bytes_total", "Bytes read from sockets")?,
            connections: gauge("perennial_connections", "Open connections")?,
            handshakes_failed: counter("perennial_handshakes_failed_total", "TLS handshakes that failed")?,
            generation: gauge("perennial_generation", "The generation that is served")?,
            reloads_failed: counter(
                "perennial_certificate_reloads_failed_total",
                "Certificate reloads that failed",
            )?,
            renewals: counter("perennial_timestamp_renewals_total", "Timestamps signed")?,
            renewals_failed: counter(
                "perennial_timestamp_renewals_failed_total",
                "Timestamps that couldn't be signed",
            )?,
            ingested: counter("perennial_bundles_ingested_total", "Bundles taken in")?,
            blob_bytes: gauge("perennial_blob_bytes", "Content on the disk, as of the last sweep")?,
            store_free: gauge("perennial_store_free_bytes", "Free on the store's disk")?,
            store_reserve: gauge(
                "perennial_store_reserve_bytes",
                "Kept free on the store's disk: with less, only what stops something is recorded",
            )?,
            swept: counter("perennial_swept_bytes_total", "Content that no kept generation names, removed")?,
            fleet: Arc::new(Figures::new(&registry)?),
            rollouts: Arc::new(Rollouts::new(&registry)?),
            refused,
            last_refused,
            registry,
        })
    }

    /// Counts answers of a status class (2 for 2xx).
    pub fn answered_class(&self, class: usize, count: u64) {
        if let Some(class) = self.answers.get(class) {
            class.inc_by(count);
        }
    }

    /// Counts `count` refusals of bundles, the last of them at `at`.
    pub fn refused(&self, reason: Reason, count: u64, at: Timestamp) {
        self.refused.with_label_values(&[reason.word()]).inc_by(count);
        self.last_refused.with_label_values(&[reason.word()]).set(at.unix());
    }

    /// Answers so far by the first digit of their status.
    pub fn answers(&self) -> [u64; 6] {
        std::array::from_fn(|class| self.answers[class].get())
    }

    /// Counts a connection that was ended by this side.
    pub fn closed(&self, reason: Closed) {
        if let Some(index) = CLOSED.iter().position(|(known, _)| *known == reason) {
            self.closed[index].inc();
        }
    }

    /// How many connections were ended for `reason`.
    pub fn closed_so_far(&self, reason: Closed) -> u64 {
        CLOSED.iter().position(|(known, _)| *known == reason).map_or(0, |index| self.closed[index].get())
    }

    /// All figures in prometheus' text format.
    pub fn render(&self) -> Vec<u8> {
        let mut out = Vec::new();
        // Writing into memory fails only for an empty family, of which there is none.
        let _ = TextEncoder::new().encode(&self.registry.gather(), &mut out);
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_figure_has_a_name_of_its_own_and_is_shown() {
        let metrics = Metrics::new().unwrap();
        metrics.answered_class(3, 1);
        metrics.closed(Closed::Stalled);
        let text = String::from_utf8(metrics.render()).unwrap();
        assert!(text.contains("perennial_answers_total{class=\"3xx\"} 1"), "{text}");
        assert!(text.contains("perennial_connections_closed_total{reason=\"stalled\"} 1"));
    }
}
