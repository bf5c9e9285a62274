//! The static plane: a runtime and a set of listeners for each core, all answering from one shared, immutable site.
//! It reads and decides nothing about devices, and it never writes.

mod answer;
pub(crate) mod body;
mod conditional;
mod connection;
mod core;
pub(crate) mod drive;
pub(crate) mod gate;
pub(crate) mod guard;
mod listener;
mod maps;
mod poll;
mod rewind;
pub(crate) mod tally;

pub(crate) use listener::open as open_listeners;

use crate::blobs::Blobs;
use crate::config::Limits;
use crate::io::Now;
use crate::metrics::Metrics;
use crate::readiness::Readiness;
use crate::site::{Entries, Site};
use arc_swap::ArcSwap;
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv6Addr, TcpListener};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use tokio::sync::watch;

/// What all cores share.
pub(crate) struct Shared {
    /// What is served now.
    pub(crate) site: Arc<ArcSwap<Site>>,
    /// The statuses of rollouts, which change on their own.
    pub(crate) rollouts: Arc<ArcSwap<Entries>>,
    /// Where blobs lie.
    pub(crate) blobs: Blobs,
    /// The limits.
    pub(crate) limits: Limits,
    /// The figures.
    pub(crate) metrics: Arc<Metrics>,
    /// Whether the server is ready.
    pub(crate) ready: Arc<Readiness>,
    /// The time, for the `Date` of answers.
    pub(crate) now: Now,
    /// Log each request.
    pub(crate) access: bool,
    /// Open connections in all.
    pub(crate) open: Arc<Count>,
}

/// A listener, and its TLS if it has one.
pub(crate) type End = (TcpListener, Option<Arc<rustls::ServerConfig>>);

/// Starts one thread for each element of `cores`.
pub(crate) fn start(
    shared: &Arc<Shared>,
    cores: Vec<Vec<End>>,
    stop: &watch::Receiver<bool>,
) -> io::Result<Vec<JoinHandle<()>>> {
    cores
        .into_iter()
        .enumerate()
        .map(|(number, ends)| {
            let (shared, stop) = (Arc::clone(shared), stop.clone());
            std::thread::Builder::new().name(format!("plane-{number}")).spawn(move || {
                if let Err(error) = core::run(&shared, ends, stop) {
                    tracing::error!(%error, core = number, "a serving thread ended");
                }
            })
        })
        .collect()
}

/// Open connections, in all and by address.
#[derive(Debug, Default)]
pub(crate) struct Count {
    total: AtomicUsize,
    addresses: Mutex<HashMap<IpAddr, usize>>,
}

/// A counted connection; uncounted when dropped.
#[derive(Debug)]
pub(crate) struct Counted {
    count: Arc<Count>,
    address: IpAddr,
}

impl Count {
    pub(crate) fn total(&self) -> usize {
        self.total.load(Ordering::Relaxed)
    }

    /// Counts a connection, unless its address has `limit` of them already (0: no limit).
    pub(crate) fn enter(self: &Arc<Self>, address: IpAddr, limit: usize) -> Option<Counted> {
        let address = network(address);
        let mut addresses = self.addresses.lock().unwrap_or_else(PoisonError::into_inner);
        let open = addresses.entry(address).or_default();
        if limit > 0 && *open >= limit {
            return None;
        }
        *open += 1;
        self.total.fetch_add(1, Ordering::Relaxed);
        Some(Counted { count: Arc::clone(self), address })
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let mut addresses = self.count.addresses.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(open) = addresses.get_mut(&self.address) {
            *open -= 1;
            if *open == 0 {
                addresses.remove(&self.address);
            }
        }
        self.count.total.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What counts as one address: an IPv4 address, or the /64 that one IPv6 subscriber has.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(six) => Ipv6Addr::from_bits(six.to_bits() >> 64 << 64).into(),
        four => four,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_its_limit_and_a_subscriber_is_one_address() {
        let count = Arc::new(Count::default());
        let first = count.enter("2001:db8::1".parse().unwrap(), 2).unwrap();
        let _second = count.enter("2001:db8::2".parse().unwrap(), 2).unwrap();
        assert!(count.enter("2001:db8::3".parse().unwrap(), 2).is_none());
        assert!(count.enter("2001:db8:0:1::3".parse().unwrap(), 2).is_some());
        assert!(count.enter("::ffff:192.0.2.1".parse().unwrap(), 1).is_some());
        drop(first);
        assert!(count.enter("2001:db8::3".parse().unwrap(), 2).is_some());
        assert_eq!(count.total(), 1);
    }
}
