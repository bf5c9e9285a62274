//! A running server: the state held, the static plane answering, the admin plane open, the timestamp looked after. It
//! starts whole or not at all, and stops when told.

use crate::admin::{self, Access, Desk, Doors, Rates, Upload, Visit, bind_socket};
use crate::config::Config;
use crate::disk::DiskError;
use crate::fleet;
use crate::fleet::authority::AuthorityError;
use crate::fleet::trust::TrustError;
use crate::ingest::accept::CoreJudge;
use crate::io::Now;
use crate::keeper::{Keeper, KeeperError, Rules};
use crate::keys::{FileKey, KeyError};
use crate::metrics::Metrics;
use crate::plane::{self, Count, End, Shared, open_listeners};
use crate::readiness::{Part, Readiness};
use crate::rollout;
use crate::state::{State, StateError};
use crate::tls::{Certificates, TlsError};
use crate::tokens::{Book, TokensError};
use rustls::ServerConfig;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::watch;

/// Why a server can't start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The state can't be used.
    #[error(transparent)]
    State(#[from] StateError),
    /// A file operation failed.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The timestamp key can't be used.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The rollouts can't be steered with these keys.
    #[error(transparent)]
    Rollouts(#[from] rollout::setup::SetupError),
    /// The tokens can't be read.
    #[error(transparent)]
    Tokens(#[from] TokensError),
    /// TLS can't be served.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The device CA's files can't be used.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// Fleet certificates can't be signed.
    #[error(transparent)]
    Enrolment(#[from] AuthorityError),
    /// What is to be served can't be read.
    #[error(transparent)]
    Keeper(#[from] KeeperError),
    /// An address can't be listened on.
    #[error("can't listen on {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// Threads or figures can't be made.
    #[error("the server can't start: {0}")]
    Setup(String),
}

impl StartError {
    /// What to do about it.
    pub fn hint(&self) -> String {
        match self {
            Self::State(StateError::Held(_)) => {
                "stop the server that uses it; one state folder serves one process".into()
            }
            Self::State(error) => error.hint(),
            Self::Key(KeyError::Exposed { path, .. }) => {
                format!("make it its owner's alone: chmod 600 {}", path.display())
            }
            Self::Rollouts(error) => error.hint(),
            Self::Trust(_) => {
                "fleet.ca and fleet.revocations must name what perennial-signer device-ca wrote".into()
            }
            Self::Enrolment(AuthorityError::Exposed { path, .. }) => {
                format!("make it its owner's alone: chmod 600 {}", path.display())
            }
            Self::Enrolment(_) => {
                "fleet.enrolment_certificate must name what perennial-signer device-ca enrolment made of STATE/keys/enrolment.csr.pem; perennial-server init makes that".into()
            }
            Self::Tls(_) => "tls.certificate and tls.key must name PEM files that fit together".into(),
            Self::Listen { source, .. } if source.kind() == std::io::ErrorKind::AddrInUse => {
                "another program listens there: stop it, or configure another port".into()
            }
            Self::Listen { source, .. } if source.kind() == std::io::ErrorKind::PermissionDenied => {
                "ports below 1024 need a privilege: use the systemd unit, or a port above".into()
            }
            Self::Listen { .. } => "check the addresses under [serve], [fleet] and [admin]".into(),
            _ => "mend what the system says, then start again".into(),
        }
    }
}

/// A server that runs. Dropped, it stops.
#[derive(Debug)]
pub struct Running {
    /// Where plain HTTP is answered.
    pub plain: Vec<SocketAddr>,
    /// Where TLS is answered.
    pub tls: Vec<SocketAddr>,
    /// Where devices with a certificate are heard.
    pub fleet_tls: Vec<SocketAddr>,
    /// Where proxies, or a laboratory, hand devices' requests on.
    pub fleet_plain: Vec<SocketAddr>,
    /// Where the admin listener is.
    pub admin: Option<SocketAddr>,
    ready: Arc<Readiness>,
    metrics: Arc<Metrics>,
    certificates: Option<Arc<Certificates>>,
    /// Has the device CA's files looked at.
    reload: Option<Arc<AtomicBool>>,
    stop: watch::Sender<bool>,
    threads: Vec<JoinHandle<()>>,
    socket: PathBuf,
}

/// Starts a server.
///
/// # Errors
/// A [`StartError`]; nothing runs then.
pub fn start(config: &Config, now: Now) -> Result<Running, StartError> {
    let state = State::of(config);
    let held = state.hold()?;
    let key = FileKey::load(&state.keys().join("timestamp.key"))?;
    let book = Arc::new(Book::load(&state.tokens_file())?);
    let metrics = Arc::new(Metrics::new().map_err(|error| StartError::Setup(error.to_string()))?);
    let certificates = match (&config.tls.certificate, &config.tls.key) {
        (Some(certificate), Some(key)) => Some(Certificates::load(certificate, key)?),
        _ => None,
    };
    let cores = match config.serve.cores {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        cores => cores,
    };
    let listeners = Listeners::open(config, certificates.as_ref(), cores)?;
    let doors = fleet::Doors::open(config, certificates.as_ref(), cores, &now)?;
    let store = Arc::clone(&held.store);
    let admin = open_admin(config, certificates.as_ref(), &book, &now)?;
    let socket = bind_socket(&state.socket())?;

    let keeper = Keeper::new(
        held,
        Box::new(key),
        Box::new(CoreJudge),
        Rules::of(config),
        now.clone(),
        Arc::clone(&metrics),
    )?;
    keeper.tend();
    let keeper = Arc::new(keeper);
    let engine =
        rollout::setup::engine(config, &state, &store, &metrics.rollouts, rollout::setup::Purpose::Serve)?;
    if let Err(error) = engine.tick(now()) {
        tracing::error!(%error, "rollouts stay as they are");
    }
    let shared = Arc::new(Shared {
        site: Arc::clone(&keeper.site),
        rollouts: engine.shown(),
        blobs: state.blobs(),
        limits: config.limits.clone(),
        metrics: Arc::clone(&metrics),
        ready: Arc::clone(&keeper.ready),
        now: now.clone(),
        access: config.log.access,
        open: Arc::new(Count::default()),
    });
    let setup = |error: std::io::Error| StartError::Setup(error.to_string());
    let (stop, stopped) = watch::channel(false);
    let address = admin.as_ref().map(|(listener, ..)| listener.local_addr()).transpose().map_err(setup)?;
    let mut threads = plane::start(&shared, listeners.cores, &stopped).map_err(setup)?;
    let (fleet_tls, fleet_plain) =
        doors.as_ref().map_or((Vec::new(), Vec::new()), |doors| (doors.tls.clone(), doors.plain.clone()));
    let fleet = match doors {
        Some(doors) => {
            let parts = fleet::Parts {
                config,
                state: &state,
                store,
                site: Arc::clone(&keeper.site),
                ballot: Arc::clone(engine.ballot()),
                metrics: &metrics,
                now: now.clone(),
            };
            let (plane, started) = fleet::start(doors, parts, &stopped)?;
            threads.extend(started);
            Some(plane)
        }
        None => None,
    };
    threads.extend(rollout::run::start(&engine, &now, &stopped).map_err(setup)?);
    // The plane itself would keep its writer from ending.
    let reload = fleet.as_ref().map(|plane| plane.reload());
    let ready = Arc::clone(&keeper.ready);
    let control = Control {
        desk: Desk {
            ready: Arc::clone(&ready),
            keeper,
            access: Access::Owner,
            visit: Visit::default(),
            book,
            rates: Arc::new(Rates::new(config.admin.rate)),
            now: now.clone(),
            upload: Upload::new(&config.limits),
            started: now(),
            certificates: certificates.clone(),
            fleet,
            engine,
        },
        doors: Doors { address: admin, socket },
        certificates: certificates.clone(),
        reload: config.tls.reload.0,
        tend: (config.timestamp.validity.0 / 50).clamp(Duration::from_millis(200), Duration::from_secs(60)),
        now,
    };
    let thread = std::thread::Builder::new().name("control".into()).spawn(move || control.run(stopped));
    threads.push(thread.map_err(setup)?);
    Ok(Running {
        plain: listeners.plain,
        tls: listeners.tls,
        fleet_tls,
        fleet_plain,
        admin: address,
        ready,
        metrics,
        certificates,
        reload,
        stop,
        threads,
        socket: state.socket(),
    })
}

impl Running {
    /// The figures.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Ready, or why not.
    ///
    /// # Errors
    /// The reasons.
    pub fn ready(&self) -> Result<(), String> {
        self.ready.check()
    }

    /// Looks for a renewed certificate now; true when there is one. The device CA's files and the enrolment certificate are read
    /// again within a second, and the log says how that went.
    ///
    /// # Errors
    /// When the new files can't be used; the old certificate stays in use.
    pub fn reload(&self) -> Result<bool, TlsError> {
        self.reload.iter().for_each(|reload| reload.store(true, Ordering::Relaxed));
        self.certificates.as_ref().map_or(Ok(false), |certificates| certificates.reload(true))
    }

    /// Stops accepting, lets open answers finish within `limits.drain`, and returns when all threads have ended.
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        self.ready.fails(Part::Running, "the server is shutting down");
        self.stop.send_replace(true);
        for thread in self.threads.drain(..) {
            // A thread that panicked has said so on its own.
            let _ = thread.join();
        }
        let _ = crate::disk::remove(&self.socket);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.threads.is_empty() {
            self.end();
        }
    }
}

struct Listeners {
    cores: Vec<Vec<End>>,
    plain: Vec<SocketAddr>,
    tls: Vec<SocketAddr>,
}

impl Listeners {
    fn open(
        config: &Config,
        certificates: Option<&Arc<Certificates>>,
        count: usize,
    ) -> Result<Self, StartError> {
        let mut opened =
            Self { cores: (0..count).map(|_| Vec::new()).collect(), plain: Vec::new(), tls: Vec::new() };
        for address in &config.serve.plain {
            let bound = listen_on(&mut opened.cores, *address, None)?;
            opened.plain.push(bound);
        }
        if !config.serve.tls.is_empty() {
            let certificates =
                certificates.ok_or_else(|| StartError::Setup("there is no certificate".into()))?;
            let tls = certificates.config(config.tls.allow_tls12, &[b"h2", b"http/1.1"])?;
            for address in &config.serve.tls {
                let bound = listen_on(&mut opened.cores, *address, Some(&tls))?;
                opened.tls.push(bound);
            }
        }
        Ok(opened)
    }
}

/// Opens an address on every core, and gives the one that it got: of port 0, the same on all of them.
pub(crate) fn listen_on(
    cores: &mut [Vec<End>],
    address: SocketAddr,
    tls: Option<&Arc<ServerConfig>>,
) -> Result<SocketAddr, StartError> {
    let failed = |source| StartError::Listen { address, source };
    let mut bound = address;
    let listeners = open_listeners(address, cores.len()).map_err(failed)?;
    for (core, listener) in cores.iter_mut().zip(listeners) {
        bound = listener.local_addr().map_err(failed)?;
        core.push((listener, tls.cloned()));
    }
    Ok(bound)
}

type AdminDoor = (std::net::TcpListener, Option<Arc<ServerConfig>>, Access);

fn open_admin(
    config: &Config,
    certificates: Option<&Arc<Certificates>>,
    book: &Arc<Book>,
    now: &Now,
) -> Result<Option<AdminDoor>, StartError> {
    let Some(address) = config.admin_address().map_err(StartError::Setup)? else { return Ok(None) };
    let failed = |source| StartError::Listen { address, source };
    let listener = open_listeners(address, 1).map_err(failed)?.pop();
    let listener = listener.ok_or_else(|| StartError::Setup("no admin listener".into()))?;
    let tls = match (config.admin.tls, certificates) {
        (true, Some(certificates)) => Some(certificates.config(config.tls.allow_tls12, &[b"http/1.1"])?),
        _ => None,
    };
    Ok(Some((
        listener,
        tls,
        Access::Tokens { book: Arc::clone(book), now: now.clone(), loopback: address.ip().is_loopback() },
    )))
}

/// The thread that looks after everything but answering devices.
struct Control {
    desk: Desk,
    doors: Doors,
    certificates: Option<Arc<Certificates>>,
    reload: Duration,
    tend: Duration,
    now: Now,
}

impl Control {
    fn run(self, stopped: watch::Receiver<bool>) {
        let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => {
                tracing::error!(%error, "the control thread can't start");
                return self.desk.ready.fails(Part::Running, "the control thread can't start");
            }
        };
        let keeper = Arc::clone(&self.desk.keeper);
        let metrics = Arc::clone(&keeper.metrics);
        runtime.block_on(async {
            let tend = async {
                loop {
                    let keeper = Arc::clone(&keeper);
                    let _ = tokio::task::spawn_blocking(move || {
                        keeper.tend();
                        keeper.tidy();
                    })
                    .await;
                    tokio::time::sleep(self.tend).await;
                }
            };
            let certificates = async {
                loop {
                    if let Some(certificates) = &self.certificates {
                        look_after(certificates, &metrics, &self.now);
                    }
                    tokio::time::sleep(self.reload).await;
                }
            };
            tokio::select! {
                result = admin::run(self.desk, self.doors, stopped) => {
                    if let Err(error) = result {
                        tracing::error!(%error, "the admin plane ended");
                    }
                }
                () = tend => {}
                () = certificates => {}
            }
        });
        // A bundle that is being taken in is finished first: its thread ends by itself.
    }
}

fn look_after(certificates: &Certificates, metrics: &Metrics, now: &Now) {
    match certificates.reload(false) {
        Ok(true) => tracing::info!("a renewed certificate is in use"),
        Ok(false) => {}
        Err(error) => {
            metrics.reloads_failed.inc();
            tracing::error!(%error, "the renewed certificate can't be used; the old one stays");
        }
    }
    if let Some(expires) = certificates.expires() {
        metrics.certificate_days.set((expires - now().unix()) as f64 / 86_400.0);
    }
}
