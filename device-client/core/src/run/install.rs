//! Carries an installation out, with what a delta needs beside its payload: the index of what runs, kept or fetched.
//!
//! Decides whose fault it is when a slot reads back otherwise than it was written, and nothing else.

use perennial_schemas::Timestamp;
use perennial_schemas::crypto::Crypto;

use super::{Ports, Runner, plan_and_source, saver};
use crate::apply::{self, Installed, Part, Tools, examine};
use crate::download::{Checkpoint, index};
use crate::machine::{Client, Event};
use crate::plan::{Plan, Source};
use crate::port::{IndexOf, PortError, Slot, Staging};
use crate::slots::{ReadBackError, WrittenSlot};

/// Whether the update under way is a delta.
pub(super) fn is_delta(client: &Client) -> bool {
    let source = client.journal().plan.as_ref().and_then(|plan| plan.source.as_ref());
    source.is_some_and(|source| source.delta().is_some())
}

impl<C: Crypto> Runner<'_, C> {
    /// Installs. What is streamed, and rolled out in stages, comes in parts, so that a halt is heard in between: `None` after each
    /// but the last.
    pub(super) fn install(&mut self, from: u64, now: Timestamp) -> Result<Option<Event>, PortError> {
        let (plan, source) = plan_and_source(&self.client)?;
        let (plan, source) = (plan.clone(), source.clone());
        let paused = self.paused.take();
        let paused =
            paused.filter(|(manifest, payload, _)| (manifest, payload) == (&plan.manifest, &source.payload));
        if from < plan.length || paused.is_some() {
            let running = source.delta().and_then(|_| self.ports.store.kept_index(plan.slot.other()));
            let Ports { fetch, staging, decompress, slots, store, notice, .. } = &mut self.ports;
            let staging = staging.as_mut().map(|staging| &mut **staging as &mut dyn Staging);
            let delta_memory = self.client.settings().delta_memory;
            let (fetch, decompress, slots) = (&mut **fetch, &mut **decompress, &mut **slots);
            let tools = Tools { fetch, staging, decompress, slots, running, delta_memory };
            let every = self.client.settings().checkpoint_bytes;
            let mut save = saver(&mut self.client, *store, *notice, plan.length, now);
            let checkpoint = Checkpoint { every, save: &mut save };
            let length = (source.rollout.is_some() && !source.staged).then_some(every);
            let part = Part { from, length, before: paused.map(|(_, _, paused)| paused) };
            let installed = apply::install(tools, &plan, &source, part, self.crypto, checkpoint)?;
            drop(save);
            match installed {
                Installed::Whole(index) => self.keep_index(plan.slot, &index.encode(self.crypto).0),
                Installed::Part(paused) => {
                    self.paused = Some((plan.manifest, source.payload, paused));
                    return Ok(None);
                }
            }
        }
        let written = self.read_back(&plan);
        self.written = Some(written.map_err(|error| self.blame(error, &plan, &source))?);
        Ok(Some(Event::Installed))
    }

    pub(super) fn read_back(&mut self, plan: &Plan) -> Result<WrittenSlot, ReadBackError> {
        WrittenSlot::read_back(self.ports.slots, plan.slot, plan.length, &plan.sha256, self.crypto)
    }

    /// Whose fault it is that the slot doesn't hold the image.
    fn blame(&mut self, error: ReadBackError, plan: &Plan, source: &Source) -> PortError {
        let Ports { fetch, staging, slots, .. } = &mut self.ports;
        let staging = staging.as_mut().filter(|_| source.staged);
        let staging = staging.map(|staging| &mut **staging as &mut dyn Staging);
        match index(*fetch, staging, IndexOf::Image, &source.image_index, plan.length, self.crypto) {
            Ok(index) => error.of_either(*slots, &index, self.crypto),
            Err(_) => error.of_the_disk(),
        }
    }

    /// Decides whether the delta may be used, and keeps the index of what runs.
    pub(super) fn examine_delta(&mut self, plan: &Plan, source: &Source) -> Result<(), PortError> {
        let base = plan.slot.other();
        let running = self.ports.store.kept_index(base);
        let delta_memory = self.client.settings().delta_memory;
        let (fetch, slots) = (&mut *self.ports.fetch, &mut *self.ports.slots);
        let decompress = &mut *self.ports.decompress;
        let tools = Tools { fetch, staging: None, decompress, slots, running, delta_memory };
        let index = examine(tools, plan, source, self.crypto)?;
        self.keep_index(base, &index);
        Ok(())
    }

    /// Keeps the index of what a slot holds. Without it the next delta costs the download of it, and no more.
    pub(super) fn keep_index(&mut self, slot: Slot, index: &[u8]) {
        if self.ports.store.kept_index(slot).is_none_or(|kept| kept != index) {
            let _ = self.ports.store.keep_index(slot, index);
        }
    }
}
