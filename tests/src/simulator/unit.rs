//! A whole device in memory: slots, boot loader, store, counter, and the production core that drives them. Power can be
//! cut at any operation.

use std::collections::BTreeMap;

use perennial_device_core::crypto::Ring;
use perennial_device_core::journal::Journal;
use perennial_device_core::machine::{Settings, State, Why};
use perennial_device_core::port::memory::{
    MemoryBoot, MemoryCounter, MemoryFetch, MemoryHooks, MemoryReboot, MemorySlots, MemoryStaging,
    MemoryStore, RunLength, ScriptedHealth,
};
use perennial_device_core::port::power::Power;
use perennial_device_core::port::{BootFlag, Identity, PortError, Record, RunningImage, Slot, Verdict};
use perennial_device_core::run::{Ports, RunError, Runner, Step};
use perennial_schemas::Timestamp;

use super::{PRODUCT, day};

/// How an image behaves once it is booted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Conduct {
    /// It works.
    Healthy,
    /// It boots, and its health check says no.
    Sick,
    /// It never comes up.
    Dead,
}

/// A device.
pub struct Unit {
    /// Its power supply.
    pub power: Power,
    /// Its slots; A holds the factory's image.
    pub slots: MemorySlots,
    /// Its boot loader.
    pub boot: MemoryBoot,
    /// Its durable records.
    pub store: MemoryStore,
    /// Its anti-rollback counter.
    pub counter: MemoryCounter,
    /// Its hooks.
    pub hooks: MemoryHooks,
    /// Its staging area, if it has one.
    pub staging: Option<MemoryStaging>,
    /// Where it fetches from.
    pub fetch: MemoryFetch,
    /// What its clock says.
    pub now: Timestamp,
    /// Who it is.
    pub identity: Identity,
    /// Settings of its agent.
    pub settings: Settings,
    /// Every image that it may ever run, with its name and conduct. To run anything else fails the test.
    pub images: BTreeMap<Vec<u8>, (&'static str, Conduct)>,
    /// What it ran, boot by boot.
    pub boots: Vec<&'static str>,
    /// Everything that failed, in order.
    pub failures: Vec<PortError>,
    root: Vec<u8>,
}

impl Unit {
    /// A device from the factory on day 1, which runs `image` in slot A as release 1.0.0 and was born with `root`.
    pub fn new(root: &[u8], image: &[u8]) -> Self {
        let power = Power::new();
        let mut slots = MemorySlots::new(&power, 64 * 1024);
        slots.disk[0] = image.to_vec();
        let running = RunningImage {
            version: "1.0.0".parse().expect("a version"),
            security_version: 1,
            manifest: None,
            floors: Default::default(),
        };
        let identity = Identity {
            device: "unit-1".parse().expect("a device"),
            product: PRODUCT.parse().expect("a product"),
            hardware: "revC".parse().expect("a hardware name"),
            channel: "stable".parse().expect("a channel"),
            cohort: None,
            drawn_as: "unit-1".parse().expect("a device"),
            labels: Default::default(),
            running: Some(running),
        };
        Self {
            slots,
            boot: MemoryBoot::new(&power),
            store: MemoryStore::new(&power),
            counter: MemoryCounter::new(&power),
            hooks: MemoryHooks::default(),
            staging: None,
            fetch: MemoryFetch::default(),
            now: day(1),
            identity,
            settings: Settings { checkpoint_bytes: 8192, ..Settings::default() },
            images: BTreeMap::from([(image.to_vec(), ("1.0.0", Conduct::Healthy))]),
            boots: vec![],
            failures: vec![],
            root: root.to_vec(),
            power,
        }
    }

    /// Says how an image behaves.
    pub fn knows(&mut self, image: &[u8], name: &'static str, conduct: Conduct) {
        self.images.insert(image.to_vec(), (name, conduct));
    }

    /// The name of what the booted slot holds.
    pub fn runs(&self) -> &'static str {
        self.image_in(self.slots.booted).0
    }

    /// The journal as it is saved.
    pub fn journal(&self) -> Journal {
        Journal::decode(&self.store.records[&Record::Journal]).expect("the saved journal can be read")
    }

    /// Power on: the boot loader starts a slot, and that slot must hold a whole image that was signed.
    pub fn boot(&mut self) {
        loop {
            let slot = self.boot.boot().expect("something always boots");
            self.slots.booted = slot;
            let (name, conduct) = self.image_in(slot);
            self.boots.push(name);
            if conduct != Conduct::Dead {
                return;
            }
            assert_ne!(self.boot.status.of(slot), BootFlag::Good, "a dead image was marked good");
        }
    }

    /// The power goes, with what was not yet on the disks, and comes back.
    pub fn crash(&mut self, seed: u64) {
        self.power.restore();
        self.slots.cut(seed);
        if let Some(staging) = &mut self.staging {
            staging.cut();
        }
        self.boot();
    }

    /// Runs the agent from its start until it waits, restarts the device, or the power fails.
    ///
    /// # Errors
    /// [`RunError`].
    pub fn work(&mut self) -> Result<Step, RunError> {
        let now = self.now;
        self.with_runner(|runner| runner.run(now))
    }

    /// Does something with the agent as it is after its start.
    pub fn with_runner<T>(&mut self, act: impl FnOnce(&mut Runner<'_, Ring>) -> T) -> T
    where
        T: FromOpen,
    {
        let (_, conduct) = self.image_in(self.slots.booted);
        let verdict = match conduct {
            Conduct::Healthy => Verdict::Healthy,
            _ => Verdict::Unhealthy("the pump does not turn".into()),
        };
        let (mut health, mut reboot) = (ScriptedHealth(vec![verdict]), MemoryReboot::default());
        let mut decompress = RunLength::default();
        let failures = &mut self.failures;
        let mut notice = |notice: perennial_device_core::run::Notice<'_>| {
            if let perennial_device_core::run::Notice::Failed(error) = notice {
                failures.push(error.clone());
            }
        };
        let ports = Ports {
            fetch: &mut self.fetch,
            slots: &mut self.slots,
            boot: &mut self.boot,
            store: &mut self.store,
            counter: &mut self.counter,
            health: &mut health,
            hooks: &mut self.hooks,
            reboot: &mut reboot,
            decompress: &mut decompress,
            staging: self.staging.as_mut().map(|staging| staging as _),
            notice: &mut notice,
        };
        match Runner::open(ports, self.identity.clone(), &self.root, self.settings, &Ring) {
            Ok(mut runner) => act(&mut runner),
            Err(error) => T::from_open(error),
        }
    }

    /// Works until everything for an installation has arrived, and one step further.
    ///
    /// # Errors
    /// [`RunError`].
    pub fn stage(&mut self) -> Result<Step, RunError> {
        let now = self.now;
        self.with_runner(|runner| {
            while runner.client().state() != State::Staged {
                runner.step(now)?;
            }
            runner.step(now)
        })
    }

    /// Runs the agent so many times, and boots where it asks for a restart.
    ///
    /// # Errors
    /// [`RunError`].
    pub fn works(&mut self, times: usize) -> Result<(), RunError> {
        for _ in 0..times {
            if self.work()? == Step::Restarting {
                self.boot();
            }
        }
        Ok(())
    }

    /// Lives on, through restarts and waits, until the next check is all that is left to do.
    ///
    /// # Errors
    /// [`RunError`], also where the power failed.
    pub fn live(&mut self) -> Result<(), RunError> {
        for _ in 0..64 {
            match self.work()? {
                Step::Restarting => self.boot(),
                Step::Waiting(Some((until, Why::Retry | Why::Health))) if !self.power.is_off() => {
                    self.now = until;
                }
                Step::Waiting(_) | Step::Worked => return Ok(()),
            }
        }
        panic!("the device never comes to rest: {:?}", self.failures);
    }

    fn image_in(&self, slot: Slot) -> (&'static str, Conduct) {
        let content = &self.slots.disk[slot as usize];
        let known = self.images.iter().find(|(image, _)| content.starts_with(image));
        *known.unwrap_or_else(|| panic!("slot {slot} runs something that nobody signed")).1
    }
}

/// What can say that the agent could not start.
pub trait FromOpen {
    /// The agent could not start.
    fn from_open(error: RunError) -> Self;
}

impl<T> FromOpen for Result<T, RunError> {
    fn from_open(error: RunError) -> Self {
        Err(error)
    }
}
