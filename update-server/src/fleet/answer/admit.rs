//! Who may send a large body, and how much of that memory there is: decided before a byte of it is read. Small bodies need
//! none of it, and are judged when they are there. Where the room is full, whoever has been slower than is fair gives way.

use super::caller::Caller;
use super::refused::Refused;
use super::{Asked, Fleet};
use hyper::body::{Body, Incoming};
use perennial_schemas::Timestamp;
use perennial_schemas::fleet::{DeviceId, RefusalCode};
use perennial_schemas::limits::BATCH_LENGTH;
use prometheus::IntGauge;
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;

/// Bodies up to this long are read at once, and parsed on the serving thread: a queue of some fifty reports.
pub(super) const SMALL: u64 = 32 << 10;
/// Bytes of them that one device may have on their way: so that one alone doesn't keep the others out.
const EACH: u64 = BATCH_LENGTH;
/// Once its grace is over, bytes of a large body that must have come by each second, where others need the room.
const FAIR: u64 = 256 << 10;

/// The room for large bodies, over all threads.
#[derive(Debug)]
pub(crate) struct Bodies {
    /// Bytes of them that are received or worked on at once. What becomes of one when it is read is some three times as large.
    room: u64,
    /// For so many milliseconds one keeps its room, however slowly it comes.
    grace: u64,
    /// How much of the room is taken, for the figures.
    gauge: IntGauge,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    all: u64,
    by: HashMap<DeviceId, u64>,
    /// By the order in which they came.
    held: BTreeMap<u64, Held>,
    next: u64,
}

/// What one body holds.
#[derive(Debug)]
struct Held {
    device: Option<DeviceId>,
    bytes: u64,
    /// Milliseconds, on the clock of whoever asked.
    began: u64,
    progress: Arc<Progress>,
}

/// How far a body has come.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// Bytes that were received; all that there can be, once it is whole.
    received: AtomicU64,
    give_way: Notify,
}

/// Room that is given back when it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    bodies: Arc<Bodies>,
    number: u64,
    progress: Arc<Progress>,
}

impl Bodies {
    pub(crate) fn new(room: u64, grace: Duration, gauge: IntGauge) -> Self {
        let grace = u64::try_from(grace.as_millis()).unwrap_or(u64::MAX);
        Self { room, grace, gauge, taken: Mutex::default() }
    }

    fn enter(self: &Arc<Self>, device: Option<&DeviceId>, bytes: u64, at: u64) -> Result<Place, Refused> {
        let room = self.room;
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let own = device.and_then(|device| taken.by.get(device)).copied().unwrap_or(0);
        if own + bytes > EACH {
            let what = format!("this device sends more than {EACH} bytes at once");
            return Err(Refused { retry_after: Some(2), ..Refused::new(RefusalCode::Rate, what) });
        }
        while taken.all + bytes > room {
            let Some(slowest) = taken.slowest(at, self.grace) else {
                let what = format!("more than {room} bytes of large bodies are on their way already");
                return Err(Refused::new(RefusalCode::Busy, what));
            };
            taken.give_back(slowest);
        }
        let (number, progress) = (taken.next, Arc::new(Progress::default()));
        taken.next += 1;
        taken.all += bytes;
        if let Some(device) = device {
            *taken.by.entry(device.clone()).or_default() += bytes;
        }
        let held = Held { device: device.cloned(), bytes, began: at, progress: Arc::clone(&progress) };
        taken.held.insert(number, held);
        self.gauge.set(taken.all as i64);
        Ok(Place { bodies: Arc::clone(self), number, progress })
    }
}

impl Taken {
    /// The body that is furthest behind what is fair, if any is.
    fn slowest(&self, at: u64, grace: u64) -> Option<u64> {
        let behind = |held: &Held| {
            let due = at.saturating_sub(held.began.saturating_add(grace)).saturating_mul(FAIR) / 1000;
            due.min(held.bytes).checked_sub(held.progress.received.load(Ordering::Relaxed) + 1)
        };
        let late = self.held.iter().filter_map(|(number, held)| Some((behind(held)?, *number)));
        late.max().map(|(_, number)| number)
    }

    /// Gives back what a body holds, if it still holds it, and has it stopped.
    fn give_back(&mut self, number: u64) {
        let Some(held) = self.held.remove(&number) else { return };
        held.progress.give_way.notify_one();
        self.all = self.all.saturating_sub(held.bytes);
        if let Some(device) = held.device
            && let Some(own) = self.by.get_mut(&device)
        {
            *own = own.saturating_sub(held.bytes);
            if *own == 0 {
                self.by.remove(&device);
            }
        }
    }
}

impl Progress {
    /// So much more has come.
    pub(super) fn came(&self, bytes: usize) {
        self.received.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}

impl Place {
    pub(super) fn progress(&self) -> &Progress {
        &self.progress
    }

    /// Receives a body while its room is its own; from then on nobody takes it.
    pub(super) async fn hold<T>(
        &self,
        receive: impl Future<Output = Result<T, Refused>>,
    ) -> Result<T, Refused> {
        let body = tokio::select! {
            biased;
            () = self.progress.give_way.notified() => {
                let what = "the body came too slowly while others waited for its room";
                return Err(Refused::new(RefusalCode::TooSlow, what));
            }
            body = receive => body?,
        };
        self.progress.received.store(u64::MAX / 2, Ordering::Relaxed);
        Ok(body)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.bodies.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.give_back(self.number);
        self.bodies.gauge.set(taken.all as i64);
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
    if large { fleet.bodies.enter(caller.device(), announced, fleet.elapsed()).map(Some) } else { Ok(None) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GRACE: u64 = 10_000;

    fn room() -> Arc<Bodies> {
        Arc::new(Bodies::new(8 * EACH, Duration::from_millis(GRACE), IntGauge::new("a", "b").unwrap()))
    }

    fn device(number: u64) -> DeviceId {
        format!("d-{number}").parse().unwrap()
    }

    fn code(refused: Result<Place, Refused>) -> RefusalCode {
        refused.unwrap_err().code()
    }

    #[test]
    fn large_bodies_have_so_much_room_together_and_each_device_a_part_of_it() {
        let bodies = room();
        let first = bodies.enter(Some(&device(0)), EACH - 1000, 0).unwrap();
        assert_eq!(code(bodies.enter(Some(&device(0)), 1001, 0)), RefusalCode::Rate);
        let small = bodies.enter(Some(&device(0)), 1000, 0).unwrap();
        let others: Vec<Place> =
            (1..8).map(|number| bodies.enter(Some(&device(number)), EACH, 0).unwrap()).collect();
        assert_eq!(code(bodies.enter(Some(&device(9)), 1, 0)), RefusalCode::Busy);
        assert_eq!(code(bodies.enter(None, 1, 0)), RefusalCode::Busy);
        drop(first);
        assert!(bodies.enter(None, EACH - 1000, 0).is_ok());
        drop((small, others));
        let taken = bodies.taken.lock().unwrap();
        assert_eq!((taken.all, taken.by.len(), taken.held.len()), (0, 0, 0));
    }

    #[test]
    fn where_the_room_is_full_slow_bodies_give_way_and_fast_and_whole_ones_never() {
        let bodies = room();
        let places: Vec<Place> =
            (0..8).map(|number| bodies.enter(Some(&device(number)), EACH, 0).unwrap()).collect();
        let at = GRACE + 4_000;
        // The first two are slow, the third is whole and is worked on, the others come as fast as is fair.
        places[0].progress().came(2_000);
        places[1].progress().came(1_000);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(places[2].hold(async { Ok(()) })).unwrap();
        places[3..].iter().for_each(|place| place.progress().came(4 * FAIR as usize));
        // Nobody gives way before its grace is over.
        assert_eq!(code(bodies.enter(Some(&device(9)), 1, GRACE)), RefusalCode::Busy);
        let ninth = bodies.enter(Some(&device(9)), EACH, at).unwrap();
        let slow = |place: &Place| {
            runtime.block_on(place.hold(async {
                tokio::task::yield_now().await;
                Ok(())
            }))
        };
        // The slowest went, once; then the other one.
        assert_eq!(slow(&places[1]).unwrap_err().code(), RefusalCode::TooSlow);
        let tenth = bodies.enter(Some(&device(1)), EACH, at).unwrap();
        assert_eq!(slow(&places[0]).unwrap_err().code(), RefusalCode::TooSlow);
        assert_eq!(code(bodies.enter(Some(&device(11)), 1, at)), RefusalCode::Busy);
        assert!(places[2..].iter().chain([&ninth, &tenth]).all(|place| slow(place).is_ok()));
        // What gave way is given back once only.
        drop(places);
        let taken = bodies.taken.lock().unwrap();
        assert_eq!((taken.all, taken.by.len(), taken.held.len()), (2 * EACH, 2, 2));
        drop(taken);
        drop((ninth, tenth));
        assert_eq!(bodies.taken.lock().unwrap().all, 0);
    }
}
