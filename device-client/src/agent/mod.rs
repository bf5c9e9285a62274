//! The agent: the core's ports filled with this machine's adapters, as the configuration says.
//!
//! It decides nothing about releases: that is the core's. It assembles, drives ([`work`]) and tells ([`tell`]).

mod advice;
mod image_info;
mod restart;
pub mod screen;
mod source;
pub mod tell;
pub mod work;

use std::collections::BTreeSet;

use perennial_device_core::crypto::Ring;
use perennial_device_core::machine::Settings;
use perennial_device_core::port::{FetchError, Identity, PortError, Record, Staging};
use perennial_device_core::recover::{RecoverError, Remains, recover};
use perennial_device_core::run::{Notice, Ports, RunError, Runner};
use perennial_schemas::Timestamp;
use perennial_schemas::ident::{DeviceId, Label};
use perennial_schemas::limits::ROOT_LENGTH;

pub use advice::{advice, is_refusal};
pub use image_info::{ImageInfo, ImageInfoError};
pub use restart::Restart;
pub use source::LazySource;

use crate::boot::FileBoot;
use crate::config::Config;
use crate::counter::FileCounter;
use crate::decompress::Zstd;
use crate::fetch::Place;
use crate::files::{FileError, read_limited};
use crate::fleet::agent::vault;
use crate::fleet::{FleetAgent, FleetProblem};
use crate::hooks::ExecHooks;
use crate::http::{HttpClient, HttpError, HttpOptions, Interrupt, NotAUrl, Proxies};
use crate::slots::FileSlots;
use crate::staging::FileStaging;
use crate::store::{FileStore, Lock, LockError};
use crate::wishes::Inbox;

/// This machine's adapters.
pub struct Adapters {
    source: LazySource,
    slots: FileSlots,
    boot: FileBoot,
    /// Durable records.
    pub store: FileStore,
    counter: FileCounter,
    health: ExecHooks,
    hooks: ExecHooks,
    restart: Restart,
    zstd: Zstd,
    staging: Option<FileStaging>,
    /// Who this device is.
    pub identity: Identity,
    /// The root that it was born with.
    pub root: Vec<u8>,
    client: HttpClient,
    /// The fleet plane, where one is configured and can be spoken to: no update hangs on it.
    fleet: Option<FleetAgent>,
    lock: Lock,
}

/// Why the adapters can't be had.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another agent is at work.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The HTTP client can't be made.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// The server's address is none.
    #[error(transparent)]
    Server(#[from] NotAUrl),
    /// The factory root can't be read.
    #[error("the factory root can't be read")]
    Root(#[source] FileError),
    /// What the running image says of itself can't be read.
    #[error(transparent)]
    Image(#[from] ImageInfoError),
    /// The store can't be opened.
    #[error(transparent)]
    Store(#[from] PortError),
    /// The source can't be opened.
    #[error(transparent)]
    Source(#[from] FetchError),
}

impl Adapters {
    /// Takes the lock and assembles everything.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(config: &Config, proxies: Proxies, interrupt: Interrupt) -> Result<Self, OpenError> {
        let lock = Lock::take(&config.state)?;
        let who = identity(config)?;
        let fleet = fleet(config, &who, &proxies, &interrupt);
        let client = HttpClient::new(HttpOptions {
            roots: config.roots(),
            proxies,
            interrupt,
            ..HttpOptions::default()
        })?;
        let hooks = hooks(config);
        let boot = FileBoot::new(&config.boot.control);
        Ok(Self {
            source: LazySource::new(Place::parse(&config.server)?, client.clone()),
            slots: FileSlots::new(&config.slots.a, &config.slots.b, config.booted()),
            store: FileStore::open(&config.state, &config.marker)?,
            counter: FileCounter::new(&config.boot.counter),
            restart: Restart::new(config, &boot, &hooks),
            boot,
            health: hooks.clone(),
            hooks,
            zstd: Zstd::default(),
            staging: config.staging.then(|| FileStaging::new(&config.state.join("staging"))),
            identity: who,
            root: factory_root(config)?,
            client,
            fleet,
            lock,
        })
    }

    /// The core at work on these adapters. `notice` is told of everything worth telling.
    ///
    /// # Errors
    /// [`RunError`].
    pub fn runner<'r>(
        &'r mut self,
        settings: Settings,
        notice: &'r mut dyn FnMut(Notice<'_>),
    ) -> Result<Runner<'r, Ring>, RunError> {
        let ports = Ports {
            fetch: &mut self.source,
            slots: &mut self.slots,
            boot: &mut self.boot,
            store: &mut self.store,
            counter: &mut self.counter,
            health: &mut self.health,
            hooks: &mut self.hooks,
            reboot: &mut self.restart,
            decompress: &mut self.zstd,
            staging: self.staging.as_mut().map(|staging| staging as &mut dyn Staging),
            notice,
        };
        Runner::open(ports, self.identity.clone(), &self.root, settings, &Ring)
    }

    /// Begins again what was lost of the state, and says what that was.
    ///
    /// # Errors
    /// [`RecoverError`].
    pub fn recover(&mut self, take_any_release: bool, now: Timestamp) -> Result<Vec<Record>, RecoverError> {
        let remains = Remains { identity: &self.identity, root: &self.root, take_any_release };
        recover(&mut self.store, &mut self.slots, remains, now, &Ring)
    }

    /// The fleet plane, for whoever tells it; once.
    pub fn take_fleet(&mut self) -> Option<FleetAgent> {
        self.fleet.take()
    }

    /// Begins to take up the owner's wishes, which come while this agent holds the lock.
    pub fn listen(&self, config: &Config) -> Option<Inbox> {
        match Inbox::open(&config.state) {
            Ok(inbox) => {
                self.lock.say_that_it_listens();
                Some(inbox)
            }
            Err(error) => {
                tracing::warn!(%error, "the owner's wishes are not taken up while this agent runs");
                None
            }
        }
    }

    /// Who waits, and is woken by the interrupt.
    pub fn client(&self) -> HttpClient {
        self.client.clone()
    }
}

fn fleet(
    config: &Config,
    identity: &Identity,
    proxies: &Proxies,
    interrupt: &Interrupt,
) -> Option<FleetAgent> {
    match FleetAgent::new(config, identity.clone(), proxies.clone(), interrupt.clone()) {
        Ok(fleet) => Some(fleet),
        Err(FleetProblem::NotConfigured) => None,
        Err(problem) => {
            tracing::warn!(%problem, "the fleet plane can't be spoken to");
            None
        }
    }
}

/// Who this device is.
///
/// # Errors
/// [`ImageInfoError`] where the running image's own words can't be read.
pub fn identity(config: &Config) -> Result<Identity, ImageInfoError> {
    let running = config.image_info.as_deref().map(ImageInfo::read).transpose()?.flatten();
    let (drawn_as, labels) = provisioned(config);
    Ok(Identity {
        drawn_as,
        labels,
        device: config.id.clone(),
        product: config.product.clone(),
        hardware: config.hardware.clone(),
        channel: config.channel.clone(),
        cohort: config.cohort.clone(),
        running: running.map(ImageInfo::into_running),
    })
}

/// As whom this device takes part in rollouts: as its factory certificate names it, where it has one, so that its server
/// comes to the same answer; else as its configuration says.
fn provisioned(config: &Config) -> (DeviceId, BTreeSet<Label>) {
    let own = || (config.id.clone(), config.labels.clone());
    match vault(config).factory_name() {
        Ok(Some(name)) => (name.device, name.labels),
        Ok(None) => own(),
        Err(problem) => {
            tracing::warn!(%problem, "the factory certificate can't be read: rollouts take the configured name");
            own()
        }
    }
}

/// The root that this device was born with.
///
/// # Errors
/// [`OpenError::Root`].
pub fn factory_root(config: &Config) -> Result<Vec<u8>, OpenError> {
    read_limited(&config.root, ROOT_LENGTH).map_err(OpenError::Root)
}

fn hooks(config: &Config) -> ExecHooks {
    let programs = &config.hooks;
    ExecHooks {
        pre_install: programs.program(&programs.pre_install),
        post_install: programs.program(&programs.post_install),
        health: programs.program(&programs.health),
        reboot: programs.program(&programs.reboot),
        environment: vec![
            ("PERENNIAL_PRODUCT".into(), config.product.to_string()),
            ("PERENNIAL_HARDWARE".into(), config.hardware.to_string()),
        ],
        slots: [config.slots.a.clone(), config.slots.b.clone()],
        booted: config.booted(),
    }
}
