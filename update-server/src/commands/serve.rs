//! `serve`: runs the server until it is told to stop, by a signal or from a terminal. SIGHUP looks for a renewed
//! certificate at once.

use super::{load_config, report};
use crate::config::{Log, LogFormat};
use crate::failure::Failure;
use crate::io::Io;
use crate::server::{Running, start};
use rustix::process::{Resource, getrlimit, setrlimit};
use sd_notify::NotifyState;
use serde::Serialize;
use std::io::IsTerminal;
use std::net::SocketAddr;
use std::path::PathBuf;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The configuration file
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Print the addresses as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
struct Addresses {
    plain: Vec<SocketAddr>,
    tls: Vec<SocketAddr>,
    fleet_tls: Vec<SocketAddr>,
    fleet_plain: Vec<SocketAddr>,
    admin: Option<SocketAddr>,
}

pub(crate) fn run(arguments: &Arguments, io: &mut Io<'_>) -> Result<(), Failure> {
    let config = load_config(&arguments.config)?;
    log(&config.log)?;
    let planes = 1 + usize::from(config.fleet.is_served());
    raise_descriptor_limit(config.limits.connections * planes);
    let running = start(&config, io.now.clone()).map_err(|error| Failure::of(&error, error.hint()))?;
    let addresses = Addresses {
        plain: running.plain.clone(),
        tls: running.tls.clone(),
        fleet_tls: running.fleet_tls.clone(),
        fleet_plain: running.fleet_plain.clone(),
        admin: running.admin,
    };
    report(io, arguments.json, &addresses, &words(&addresses))?;
    if let Err(reasons) = running.ready() {
        tracing::warn!(reasons, "not ready yet");
    }
    // Without systemd there is no socket to tell, which is no error.
    let _ = sd_notify::notify(&[NotifyState::Ready]);
    let result = until_told(&running);
    let _ = sd_notify::notify(&[NotifyState::Stopping]);
    tracing::info!("stopping");
    running.stop();
    result
}

/// Waits for SIGTERM or SIGINT.
fn until_told(running: &Running) -> Result<(), Failure> {
    let failed = |error: std::io::Error| Failure::of(&error, "the system lets no signals be received");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
    runtime.block_on(async {
        let mut term = signal(SignalKind::terminate()).map_err(failed)?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
        let mut hangup = signal(SignalKind::hangup()).map_err(failed)?;
        loop {
            tokio::select! {
                _ = term.recv() => return Ok(()),
                _ = interrupt.recv() => return Ok(()),
                _ = hangup.recv() => reload(running),
            }
        }
    })
}

fn reload(running: &Running) {
    if let Ok(now) = NotifyState::monotonic_usec_now() {
        let _ = sd_notify::notify(&[NotifyState::Reloading, now]);
    }
    match running.reload() {
        Ok(changed) => tracing::info!(changed, "the certificate was looked at"),
        Err(error) => {
            running.metrics().reloads_failed.inc();
            tracing::error!(%error, "the renewed certificate can't be used; the old one stays");
        }
    }
    let _ = sd_notify::notify(&[NotifyState::Ready]);
}

#[expect(
    clippy::disallowed_methods,
    reason = "the log outlives the command's Io: it goes to the process's stderr"
)]
fn log(log: &Log) -> Result<(), Failure> {
    let filter = EnvFilter::try_new(&log.level)
        .map_err(|error| Failure::new(format!("log.level: {error}"), "write a level such as \"info\""))?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false);
    // In a process that logs already (a test, the quickstart) that logger stays.
    let _ = match log.format {
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
        LogFormat::Text => builder.try_init(),
    };
    Ok(())
}

/// A connection takes a descriptor, and systems begin with 1024 of them: the limit is raised as far as it may be.
fn raise_descriptor_limit(connections: usize) {
    let wanted = connections as u64 + 512;
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current.is_some_and(|current| current < wanted) {
        limit.current = Some(limit.maximum.map_or(wanted, |maximum| maximum.min(wanted)));
        let _ = setrlimit(Resource::Nofile, limit);
    }
    if let Some(current) = getrlimit(Resource::Nofile).current.filter(|current| *current < wanted) {
        tracing::warn!(current, wanted, "few file descriptors: limits.connections can't be reached");
    }
}

fn words(addresses: &Addresses) -> String {
    let mut lines = Vec::new();
    for (what, scheme, list) in [("plain", "http", &addresses.plain), ("TLS", "https", &addresses.tls)] {
        lines.extend(list.iter().map(|address| format!("Serving over {what} at {scheme}://{address}/")));
    }
    lines.extend(addresses.fleet_tls.iter().map(|address| format!("Hearing devices at https://{address}/")));
    lines.extend(
        addresses
            .fleet_plain
            .iter()
            .map(|address| format!("Hearing devices, without TLS, at http://{address}/")),
    );
    lines.extend(addresses.admin.map(|address| format!("Admin listener at {address}")));
    lines.join("\n")
}
