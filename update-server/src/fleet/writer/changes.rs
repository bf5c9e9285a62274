//! What a group of operations changes beside the rows, over what the store holds.

use super::ahead::Ahead;
use super::rows::{ByDevice, Rows};
use crate::fleet::event::Event;
use crate::fleet::fold::{Act, Beside, Effects, Operation, Owner};
use crate::store::{Batch, Space, StoreError};
use perennial_schemas::Sha256Digest;
use std::collections::{BTreeMap, HashMap, btree_map};

/// See the module.
pub(super) struct Changes<'s> {
    ahead: &'s Ahead<'s>,
    /// What was read in one go, as folding will most likely look at it.
    known: HashMap<Vec<u8>, Option<Vec<u8>>>,
    /// In the order of the keys, as is all that is put.
    events: BTreeMap<Vec<u8>, Vec<u8>>,
    keys: BTreeMap<Sha256Digest, Held>,
}

/// Whose a key is.
struct Held {
    /// As the store holds it.
    before: Option<Vec<u8>>,
    /// As it is to be; not where `before` is damaged.
    after: Option<Owner>,
    /// `before` can't be read, and nobody wrote over it yet.
    damaged: bool,
}

impl<'s> Changes<'s> {
    pub(super) fn new(ahead: &'s Ahead<'s>) -> Self {
        Self { ahead, known: HashMap::new(), events: BTreeMap::new(), keys: BTreeMap::new() }
    }

    /// Reads at once the events that were sent before, as far as the rows tell. The rows are those of the devices.
    pub(super) fn prefetch(
        &mut self,
        operations: &[Operation],
        devices: &ByDevice<'_>,
        rows: &Rows,
    ) -> Result<(), StoreError> {
        let mut keys = Vec::new();
        for ((_, places), slot) in devices.each().zip(rows.each()) {
            let Some(row) = &slot.row else { continue };
            for place in places {
                if let Act::Reports(queue) = &operations[*place as usize].act {
                    let before = queue.reports.iter().filter(|report| report.sequence <= row.last_sequence);
                    keys.extend(before.map(|report| Event::key(&queue.device, row.epoch, report.sequence)));
                }
            }
        }
        keys.sort_unstable();
        keys.dedup();
        if !keys.is_empty() {
            let events = self.ahead.get_many(Space::Reports, &keys)?;
            self.known = keys.into_iter().zip(events).collect();
        }
        Ok(())
    }

    /// Reports that are new so far.
    pub(super) fn events(&self) -> usize {
        self.events.len()
    }

    /// Takes what an operation changes; leaves its flags.
    pub(super) fn take(&mut self, effects: &mut Effects) -> Result<(), StoreError> {
        self.events.extend(effects.events.drain(..));
        for (key, owner) in effects.keys.drain(..) {
            let held = self.look(&key)?;
            (held.after, held.damaged) = (owner, false);
        }
        Ok(())
    }

    fn look(&mut self, key: &Sha256Digest) -> Result<&mut Held, StoreError> {
        Ok(match self.keys.entry(*key) {
            btree_map::Entry::Occupied(known) => known.into_mut(),
            btree_map::Entry::Vacant(new) => {
                let before = self.ahead.get(Space::Keys, key.as_bytes())?;
                let (after, damaged) = match before.as_deref().map(Owner::decode) {
                    None => (None, false),
                    Some(Ok(owner)) => (Some(owner), false),
                    Some(Err(_)) => (None, true),
                };
                new.insert(Held { before, after, damaged })
            }
        })
    }

    pub(super) fn into_batch(self) -> Batch {
        let mut batch = Batch::new();
        for (key, record) in self.events {
            batch = batch.put(Space::Reports, key, record);
        }
        for (key, Held { before, after, damaged }) in self.keys {
            let after = after.map(|owner| owner.encode());
            if damaged || before == after {
                continue;
            }
            batch = batch.expect(Space::Keys, *key.as_bytes(), before);
            batch = match after {
                Some(after) => batch.put(Space::Keys, *key.as_bytes(), after),
                None => batch.remove(Space::Keys, *key.as_bytes()),
            };
        }
        batch
    }
}

impl Beside for Changes<'_> {
    fn event(&mut self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        if let Some(event) = self.events.get(key) {
            return Ok(Some(event.clone()));
        }
        match self.known.get(key) {
            Some(known) => Ok(known.clone()),
            None => self.ahead.get(Space::Reports, key),
        }
    }

    fn owner(&mut self, key: &Sha256Digest) -> Result<Option<Owner>, StoreError> {
        match self.look(key)? {
            Held { damaged: true, .. } => Err(StoreError::Corrupt(format!("keys/{key}"))),
            held => Ok(held.after.clone()),
        }
    }
}
