//! How the device restarts: by a program, by somebody else, or in the simulator.

use perennial_device_core::port::{PortError, Reboot};
use perennial_schemas::report::FailureCode;

use crate::boot::{Booted, FileBoot};
use crate::config::Config;
use crate::hooks::ExecHooks;

/// How the device restarts.
pub enum Restart {
    /// A program restarts it.
    Program(Box<ExecHooks>),
    /// Nobody here can: whoever reads the agent's words does.
    Manual,
    /// The agent plays the boot loader, and goes on as if the device had started.
    Simulated(FileBoot, Booted),
}

impl Restart {
    pub(super) fn new(config: &Config, boot: &FileBoot, hooks: &ExecHooks) -> Self {
        if config.boot.simulate {
            Self::Simulated(boot.clone(), config.booted())
        } else if hooks.reboot.is_some() {
            Self::Program(Box::new(hooks.clone()))
        } else {
            Self::Manual
        }
    }
}

impl Reboot for Restart {
    fn reboot(&mut self) -> Result<(), PortError> {
        match self {
            Self::Program(hooks) => hooks.reboot(),
            Self::Manual => Ok(()),
            Self::Simulated(boot, booted) => match boot.simulate()? {
                Some(slot) => booted.note(slot),
                None => {
                    let detail = "no slot is good any more";
                    Err(PortError::new(FailureCode::BootControl, "simulating the boot loader", detail))
                }
            },
        }
    }
}
