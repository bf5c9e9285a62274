//! That the release which runs was withdrawn, and what its owner may do: told by whatever says what runs.

use std::fmt;

use perennial_device_core::port::Counter;
use perennial_device_core::revert;
use perennial_schemas::ReleaseVersion;
use serde::Serialize;

use super::status;
use crate::config::Config;
use crate::counter::FileCounter;
use crate::store::FileStore;

/// A release that runs, and was withdrawn since.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Withdrawn {
    version: ReleaseVersion,
    #[serde(skip_serializing_if = "String::is_empty")]
    reason: String,
    /// The release in the other slot, where the owner may go back to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    revert_to: Option<ReleaseVersion>,
}

impl Withdrawn {
    /// As the records say; nothing where they can't be read, which `status` tells.
    pub(super) fn look(config: &Config) -> Option<Self> {
        let (mut store, mut problems) = (FileStore::read_only(&config.state, &config.marker), Vec::new());
        let journal = status::journal(&mut store, &mut problems)?;
        let booted = config.booted().slot().ok()?;
        let running = journal.content(booted)?;
        let recalled = journal.recalled.as_ref().filter(|recalled| recalled.version == running.version)?;
        let floors = status::floors(&mut store, &mut problems).unwrap_or_default();
        let counter = FileCounter::new(&config.boot.counter).read().ok()?.max(running.security_version);
        let back = revert::plan(&journal, booted, counter, floors.withdrawn());
        Some(Self {
            version: recalled.version.clone(),
            reason: recalled.reason.chars().filter(|c| !c.is_control()).collect(),
            revert_to: back.ok().map(|plan| plan.version),
        })
    }
}

impl fmt::Display for Withdrawn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "what runs, {}, was withdrawn by its maker", self.version)?;
        if !self.reason.is_empty() {
            write!(f, " ({})", self.reason.trim_end_matches('.'))?;
        }
        f.write_str("; it stays until a newer release comes")?;
        match &self.revert_to {
            Some(version) => write!(f, ", or perennial-device revert goes back to {version}"),
            None => Ok(()),
        }
    }
}
