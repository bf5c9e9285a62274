//! The file for the product's own screen: until when this device gets security updates, as JSON, replaced whole.
//!
//! It decides when the file is written: where its words have changed, which they do each day.

use std::path::Path;

use perennial_device_core::port::{Loaded, Record, Store};
use perennial_device_core::support::Floors;
use perennial_device_core::trust::TrustState;
use perennial_schemas::limits::DEVICE_SUPPORT_LENGTH;
use perennial_schemas::support::OnDevice;
use perennial_schemas::{Timestamp, signed};

use crate::config::Config;
use crate::files::{create_folder, read_if_there, write_durably};
use crate::store::FileStore;

/// The file, and what stands in it.
pub struct Screen<'c> {
    config: &'c Config,
    shown: Option<Vec<u8>>,
}

impl<'c> Screen<'c> {
    /// The file that the configuration names, if it names one.
    pub fn new(config: &'c Config) -> Self {
        Self { config, shown: None }
    }

    /// Writes the file where it says something else now. A file that can't be written stops no update.
    pub fn refresh(&mut self, now: Timestamp) {
        let Some(path) = &self.config.support_file else { return };
        let Some(text) = said(self.config, now).and_then(|said| signed::to_text(&said).ok()) else { return };
        if self.shown.is_none() {
            self.shown = read_if_there(path, DEVICE_SUPPORT_LENGTH).ok().flatten();
        }
        if self.shown.as_ref() == Some(&text) {
            return;
        }
        let folder = path.parent().unwrap_or(Path::new("/"));
        match create_folder(folder).and_then(|()| write_durably(path, &text)) {
            Ok(()) => self.shown = Some(text),
            Err(error) => tracing::warn!(%error, "the file for the product's screen can't be written"),
        }
    }
}

/// What the stored records say; nothing where they say nothing or can't be read.
fn said(config: &Config, now: Timestamp) -> Option<OnDevice> {
    let mut store = FileStore::read_only(&config.state, &config.marker);
    let mut found = |record| match store.load(record) {
        Ok(Loaded::Found(bytes)) => Some(bytes),
        _ => None,
    };
    let floors = Floors::decode(&found(Record::Floors)?).ok()?;
    let trust = found(Record::Trust).and_then(|bytes| TrustState::decode(&bytes).ok());
    let annulments = trust.map(|trust| trust.root().annulments.clone()).unwrap_or_default();
    floors.on_device(&annulments, config.cohort.as_ref(), now)
}
