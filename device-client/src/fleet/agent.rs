//! The fleet plane of one device, assembled: what its configuration says, its files, its link, and the lock that keeps the
//! agent and the owner's commands from talking at once.

use std::collections::BTreeMap;
use std::path::PathBuf;

use perennial_device_core::crypto::Ring;
use perennial_device_core::fleet::{Facts, Fleet, FleetError, Running, Told};
use perennial_device_core::port::{Identity, PortError};
use perennial_device_core::report::Entry;
use perennial_device_core::run::Runner;
use perennial_schemas::Timestamp;
use perennial_schemas::fleet::{AttributeName, QueueAnswer, SignedQueue, signed_bytes};
use perennial_schemas::limits::{ATTRIBUTE_LENGTH, ATTRIBUTES, CHECK_IN_LENGTH};
use perennial_schemas::report::FailureCode;

use super::certificate::read_chain;
use super::{FileVault, HttpLink};
use crate::config::{Config, FleetConfig};
use crate::files::{FileError, create_folder, read_if_there};
use crate::http::{HttpLimits, HttpOptions, Interrupt, NotAUrl, Proxies, Roots, base64, chance};
use crate::store::{Lock, LockError};

/// As devices call themselves.
pub const AGENT: &str = concat!("perennial-device ", env!("CARGO_PKG_VERSION"));

/// What there is to tell of the updates, copied out of the journal.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// The release that runs, where it is known.
    pub running: Option<Running>,
    /// The journal's reports.
    pub history: Vec<Entry>,
    /// The sequence number of the last one.
    pub last: u64,
    /// Everything up to this number is acknowledged.
    pub acknowledged: u64,
}

/// Why the fleet plane can't be spoken to from here.
#[derive(Debug, thiserror::Error)]
pub enum FleetProblem {
    /// The configuration names no fleet server.
    #[error("the configuration has no [fleet] server")]
    NotConfigured,
    /// The server's address is none.
    #[error(transparent)]
    Server(#[from] NotAUrl),
    /// Somebody else talks to it just now.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// Files of the identity.
    #[error(transparent)]
    File(#[from] FileError),
    /// The record.
    #[error(transparent)]
    Port(#[from] PortError),
}

/// The fleet plane of one device.
pub struct FleetAgent {
    config: FleetConfig,
    folder: PathBuf,
    vault: FileVault,
    link: HttpLink,
    identity: Identity,
}

impl Snapshot {
    /// Of a device at work.
    pub fn of(runner: &Runner<'_, Ring>) -> Self {
        let journal = runner.client().journal();
        let running = runner.client().booted().and_then(|slot| journal.content(slot));
        Self {
            running: running.map(Into::into),
            history: journal.reports.history().to_vec(),
            last: journal.reports.last(),
            acknowledged: journal.reports.acknowledged(),
        }
    }
}

/// The vault that the configuration names, whether or not it names a fleet server.
pub fn vault(config: &Config) -> FileVault {
    let folder = config.state.join("identity");
    let factory = config.fleet.as_ref().and_then(|fleet| fleet.factory.clone());
    FileVault::new(&folder, &factory.unwrap_or_else(|| folder.clone()))
}

impl FleetAgent {
    /// As the configuration says. Nothing is read or asked yet.
    ///
    /// # Errors
    /// [`FleetProblem::NotConfigured`], [`FleetProblem::Server`].
    pub fn new(
        config: &Config,
        identity: Identity,
        proxies: Proxies,
        interrupt: Interrupt,
    ) -> Result<Self, FleetProblem> {
        let fleet = config.fleet.clone().ok_or(FleetProblem::NotConfigured)?;
        let vault = vault(config);
        let roots = fleet.ca.clone().map_or_else(|| config.roots(), Roots::File);
        let limits = HttpLimits { attempts: 1, ..HttpLimits::default() };
        let options = HttpOptions { roots, proxies, limits, interrupt, identity: None };
        let link = HttpLink::new(fleet.server.parse()?, options, vault.clone());
        Ok(Self { config: fleet, folder: vault.folder().into(), vault, link, identity })
    }

    /// Tells what is due.
    ///
    /// # Errors
    /// [`FleetProblem`] where nothing could be tried at all.
    pub fn tell(
        &mut self,
        snapshot: &Snapshot,
        now: Timestamp,
        pressing: bool,
    ) -> Result<Told, FleetProblem> {
        let config = self.config.clone();
        let identity = self.identity.clone();
        self.with(|fleet| {
            let consent = fleet.record().consent.unwrap_or(config.optional);
            let attributes = if consent { attributes(&config) } else { BTreeMap::new() };
            fleet.tell(&facts(&identity, snapshot, &attributes), now, pressing)
        })
    }

    /// What is not acknowledged yet, signed for a gateway to carry; `None` where there is nothing.
    ///
    /// # Errors
    /// [`FleetProblem`], and [`FleetError`] where this device can't sign.
    pub fn sign(
        &mut self,
        snapshot: &Snapshot,
    ) -> Result<Result<Option<SignedQueue>, FleetError>, FleetProblem> {
        let (identity, vault) = (self.identity.clone(), self.vault.clone());
        self.with(|fleet| {
            let Some(reports) = fleet.queue(&facts(&identity, snapshot, &BTreeMap::new()))? else {
                return Ok(None);
            };
            let Some(member) = &fleet.record().membership else { return Err(FleetError::NotEnrolled) };
            let failed = |why: String| PortError::new(FailureCode::Internal, "signing the reports", why);
            let chain = read_chain(member.chain.as_bytes()).map_err(|error| failed(error.to_string()))?;
            let signature = vault.fleet_key_of(&member.key)?.sign(&signed_bytes(&reports));
            let signature = signature.map_err(|error| failed(error.to_string()))?;
            let chain = chain.iter().map(|certificate| base64(certificate)).collect();
            Ok(Some(SignedQueue { chain, reports, signature: Some(base64(&signature)) }))
        })
    }

    /// Takes what a gateway brought back: up to which report the server has all.
    ///
    /// # Errors
    /// [`FleetProblem`], and [`FleetError`] where the server refused the queue.
    pub fn answered(
        &mut self,
        snapshot: &Snapshot,
        answer: &QueueAnswer,
    ) -> Result<Result<u64, FleetError>, FleetProblem> {
        let identity = self.identity.clone();
        self.with(|fleet| fleet.answered(&facts(&identity, snapshot, &BTreeMap::new()), answer))
    }

    /// Does something while nobody else talks to the fleet plane.
    ///
    /// # Errors
    /// [`FleetProblem`].
    pub fn with<T>(&mut self, act: impl FnOnce(&mut Fleet<'_>) -> T) -> Result<T, FleetProblem> {
        create_folder(&self.folder)?;
        let _lock = Lock::take(&self.folder)?;
        let mut fleet = Fleet::open(&mut self.link, &mut self.vault)?;
        Ok(act(&mut fleet))
    }
}

fn facts<'f>(
    identity: &'f Identity,
    snapshot: &'f Snapshot,
    attributes: &'f BTreeMap<AttributeName, String>,
) -> Facts<'f> {
    Facts {
        identity,
        running: snapshot.running.clone().or_else(|| from_the_factory(identity)),
        agent: AGENT,
        attributes,
        history: &snapshot.history,
        last: snapshot.last,
        acknowledged: snapshot.acknowledged,
        chance: chance(),
    }
}

/// What an image that nobody installed says of itself.
fn from_the_factory(identity: &Identity) -> Option<Running> {
    identity.running.as_ref().map(|running| Running {
        version: running.version.clone(),
        security_version: running.security_version,
        manifest: running.manifest,
    })
}

/// The configured attributes, and those that the product wrote last. What breaks a limit is left out: telling it would
/// fail as a whole.
fn attributes(config: &FleetConfig) -> BTreeMap<AttributeName, String> {
    let mut all = config.attributes.clone();
    if let Some(path) = &config.attributes_file {
        let read = read_if_there(path, CHECK_IN_LENGTH).ok().flatten();
        let written =
            read.and_then(|text| serde_json::from_slice::<BTreeMap<AttributeName, String>>(&text).ok());
        match written {
            Some(written) => all.extend(written),
            None => {
                tracing::warn!(path = %path.display(), "the attributes' file can't be read: expected names and texts")
            }
        }
    }
    let fits = |value: &String| value.len() <= ATTRIBUTE_LENGTH && !value.chars().any(char::is_control);
    all.into_iter().filter(|(_, value)| fits(value)).take(ATTRIBUTES).collect()
}
