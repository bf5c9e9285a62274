//! The rows that a group of operations is about: each read once, and put back where it changed.

use super::ahead::Ahead;
use crate::fleet::fold::Operation;
use crate::fleet::row::Row;
use crate::store::{Batch, Space, StoreError};
use perennial_schemas::fleet::DeviceId;

/// See the module: a place for each device, in the order of their ids.
pub(super) struct Rows(Vec<Slot>);

pub(super) struct Slot {
    key: Vec<u8>,
    /// As it was read.
    before: Option<Vec<u8>>,
    pub(super) row: Option<Row>,
    /// It can't be read, and is left as it is.
    pub(super) corrupt: bool,
}

/// A group's operations by device: what is read and put in the order of the keys is near to one another in the store, and the
/// searches in it are what a group costs.
pub(super) struct ByDevice<'o> {
    operations: &'o [Operation],
    /// Places of operations; those of one device as they came.
    order: Vec<u32>,
}

impl<'o> ByDevice<'o> {
    pub(super) fn of(operations: &'o [Operation]) -> Self {
        let mut order: Vec<u32> = (0..operations.len() as u32).collect();
        order.sort_by_key(|at| operations[*at as usize].who.device());
        Self { operations, order }
    }

    /// Each device with the places of its operations.
    pub(super) fn each(&self) -> impl Iterator<Item = (&'o DeviceId, &[u32])> {
        let device = |at: &u32| self.operations[*at as usize].who.device();
        self.order
            .chunk_by(move |one, next| device(one) == device(next))
            .filter_map(move |places| Some((device(places.first()?), places)))
    }
}

impl Rows {
    /// Of devices in order, each once.
    pub(super) fn read<'d>(
        ahead: &Ahead<'_>,
        devices: impl Iterator<Item = &'d DeviceId>,
    ) -> Result<Self, StoreError> {
        let keys: Vec<Vec<u8>> = devices.map(|device| device.as_str().into()).collect();
        let records = ahead.get_many(Space::Devices, &keys)?;
        let slot = |(key, before): (Vec<u8>, Option<Vec<u8>>)| {
            let (row, corrupt) = match before.as_deref().map(Row::decode) {
                None => (None, false),
                Some(Ok(row)) => (Some(row), false),
                Some(Err(error)) => {
                    tracing::error!(%error, device = %key.escape_ascii(), "a device's row is damaged");
                    (None, true)
                }
            };
            Slot { key, before, row, corrupt }
        };
        Ok(Self(keys.into_iter().zip(records).map(slot).collect()))
    }

    /// In the order in which they were asked for.
    pub(super) fn each(&self) -> impl Iterator<Item = &Slot> {
        self.0.iter()
    }

    /// The same, to be changed.
    pub(super) fn each_mut(&mut self) -> impl Iterator<Item = &mut Slot> {
        self.0.iter_mut()
    }

    /// Puts every row that changed, on the condition that nobody else changed it.
    pub(super) fn into_batch(self, mut batch: Batch) -> Batch {
        for Slot { key, before, row, .. } in self.0 {
            let after = row.map(|row| row.encode());
            if let Some(after) = after
                && before.as_ref() != Some(&after)
            {
                batch = batch.expect(Space::Devices, key.as_slice(), before).put(Space::Devices, key, after);
            }
        }
        batch
    }
}
