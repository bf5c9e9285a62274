//! Who may send a large body, and how much of that memory there is: decided before a byte of it is read. Small bodies need
//! none of it, and are judged when they are there.

use super::caller::Caller;
use super::refused::Refused;
use super::{Asked, Fleet};
use hyper::body::{Body, Incoming};
use perennial_schemas::Timestamp;
use perennial_schemas::fleet::{DeviceId, RefusalCode};
use perennial_schemas::limits::BATCH_LENGTH;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Bodies up to this long are read at once, and parsed on the serving thread: a queue of some fifty reports.
pub(super) const SMALL: u64 = 32 << 10;
/// Bytes of larger bodies that are received or worked on at once: eight batches of the largest kind. What becomes of one when
/// it is read is some three times as large.
const ROOM: u64 = 8 * BATCH_LENGTH;
/// Bytes of them that one device may have on their way: so that one alone doesn't keep the others out.
const EACH: u64 = BATCH_LENGTH;

/// The room for large bodies, over all threads.
#[derive(Debug, Default)]
pub(crate) struct Bodies(Mutex<Taken>);

#[derive(Debug, Default)]
struct Taken {
    all: u64,
    by: HashMap<DeviceId, u64>,
}

/// Room that is given back when it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    bodies: Arc<Bodies>,
    device: Option<DeviceId>,
    bytes: u64,
}

impl Bodies {
    fn enter(self: &Arc<Self>, device: Option<&DeviceId>, bytes: u64) -> Result<Place, Refused> {
        let mut taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let own = device.and_then(|device| taken.by.get(device)).copied().unwrap_or(0);
        if own + bytes > EACH {
            let what = format!("this device sends more than {EACH} bytes at once");
            return Err(Refused { retry_after: Some(2), ..Refused::new(RefusalCode::Rate, what) });
        }
        if taken.all + bytes > ROOM {
            let what = format!("more than {ROOM} bytes of large bodies are on their way already");
            return Err(Refused::new(RefusalCode::Busy, what));
        }
        taken.all += bytes;
        if let Some(device) = device {
            taken.by.insert(device.clone(), own + bytes);
        }
        Ok(Place { bodies: Arc::clone(self), device: device.cloned(), bytes })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.bodies.0.lock().unwrap_or_else(PoisonError::into_inner);
        taken.all = taken.all.saturating_sub(self.bytes);
        if let Some(device) = &self.device
            && let Some(own) = taken.by.get_mut(device)
        {
            *own = own.saturating_sub(self.bytes);
            if *own == 0 {
                taken.by.remove(device);
            }
        }
    }
}

/// Lets a body in, or refuses it unread. The room that it takes is held until the answer is there.
pub(super) async fn admit(
    fleet: &Arc<Fleet>,
    caller: &Caller,
    asked: Asked,
    body: &Incoming,
    now: Timestamp,
) -> Result<Option<Place>, Refused> {
    let limit = asked.limit();
    let announced = body.size_hint().upper().unwrap_or(limit);
    if announced > limit {
        return Err(super::body::too_large(limit));
    }
    let large = announced > SMALL;
    if !large && asked != Asked::Batch {
        return Ok(None);
    }
    if let Caller::Device(_) = caller {
        let (fleet, who) = (Arc::clone(fleet), caller.who(None)?);
        super::blocking(move || {
            let row = crate::fleet::desk::row(fleet.store.as_ref(), who.device())?;
            match fleet.may(&who, row.as_ref(), now) {
                // A queue is received all the same: its use of an old certificate is noted with it.
                Err(refused) if refused.code() == RefusalCode::Superseded && asked == Asked::Reports => {
                    Ok(())
                }
                Ok(()) if asked == Asked::Batch => {
                    fleet.writer.seen(who.device());
                    Ok(())
                }
                judged => judged,
            }
        })
        .await??;
    }
    if large { fleet.bodies.enter(caller.device(), announced).map(Some) } else { Ok(None) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_bodies_have_so_much_room_together_and_each_device_a_part_of_it() {
        let bodies = Arc::new(Bodies::default());
        let device = |number: u64| -> DeviceId { format!("d-{number}").parse().unwrap() };
        let code = |refused: Result<Place, Refused>| refused.unwrap_err().code();
        let first = bodies.enter(Some(&device(0)), EACH - 1000).unwrap();
        assert_eq!(code(bodies.enter(Some(&device(0)), 1001)), RefusalCode::Rate);
        let small = bodies.enter(Some(&device(0)), 1000).unwrap();
        let others: Vec<Place> =
            (1..8).map(|number| bodies.enter(Some(&device(number)), EACH).unwrap()).collect();
        assert_eq!(code(bodies.enter(Some(&device(9)), 1)), RefusalCode::Busy);
        assert_eq!(code(bodies.enter(None, 1)), RefusalCode::Busy);
        drop(first);
        assert!(bodies.enter(None, EACH - 1000).is_ok());
        drop((small, others));
        let taken = bodies.0.lock().unwrap();
        assert_eq!((taken.all, taken.by.len()), (0, 0));
    }
}
