//! By which time things may be removed: the wall clock's, once it has been steady. A clock that leaps, for two seconds or for good,
//! removes nothing: what was deleted by a wrong time doesn't come back when the clock does. It decides nothing else by it.
//!
//! The time that held is noted in the store. After a start it is believed again where it is no more than a few days later than
//! that: a server may have been off over a weekend. Any other time, and any after a leap, has to hold for a day of running first.

use crate::io::Now;
use crate::store::{Batch, Space, Store, StoreError};
use perennial_schemas::Timestamp;
use std::time::Duration;
use tokio::time::Instant;

/// In `meta`: the last time that held, in seconds since 1970, 8 bytes, big-endian.
const KEY: &[u8] = b"clock";
/// A server that was off for no longer goes on at once.
const AWAY_DAYS: i64 = 3;
/// For so long another time has to hold.
const HELD: Duration = Duration::from_secs(86_400);
/// Between two notes.
const NOTED: i64 = 3600;
/// A clock that is set right by no more than this hasn't leapt, nor one that is wrong by a hundredth.
const SLACK: i64 = 60;

/// See the module.
pub(crate) struct Steady {
    now: Now,
    /// When the clock said what, and since then it has gone on as it should.
    since: Option<(Timestamp, Instant)>,
    leapt: bool,
    /// It was said in the log.
    said: bool,
}

impl Steady {
    /// Of a clock that nobody has looked at yet.
    pub(crate) fn new(now: Now) -> Self {
        Self { now, since: None, leapt: false, said: false }
    }

    /// The time by which things may be removed now. It is asked anew before each page: a clock leaps at any moment.
    ///
    /// # Errors
    /// [`StoreError`] when the store can't be read.
    pub(crate) fn now(&mut self, store: &dyn Store) -> Result<Timestamp, StoreError> {
        self.at((self.now)(), Instant::now(), store)
    }

    fn at(&mut self, now: Timestamp, running: Instant, store: &dyn Store) -> Result<Timestamp, StoreError> {
        let held = self.held(now, running);
        let noted = noted(store)?;
        if held < HELD && (self.leapt || is_doubtful(noted, now)) {
            let until = noted.unwrap_or(Timestamp::EPOCH).min(now);
            if !self.said {
                self.said = true;
                tracing::warn!(%now, %until, "the clock has to hold for a day first: until then no more is removed than was past its time by then");
            }
            return Ok(until);
        }
        if self.said {
            self.said = false;
            tracing::info!(%now, "the clock has held: what is past its time is removed again");
        }
        let is_later = noted.is_none_or(|noted| noted.plus_seconds(NOTED) <= now);
        // A note of a clock that ran ahead goes back only with one that has held.
        if is_later || held >= HELD && noted.is_some_and(|noted| now.plus_seconds(NOTED) <= noted) {
            // Sweeping makes room where the disk is full, so it goes on without.
            if let Err(error) = store.commit(Batch::new().put(Space::Meta, KEY, now.unix().to_be_bytes())) {
                tracing::debug!(%error, "the time can't be noted");
            }
        }
        Ok(now)
    }

    /// For how long the clock has gone on as it should.
    fn held(&mut self, now: Timestamp, running: Instant) -> Duration {
        if let Some((at, began)) = self.since {
            let held = running.saturating_duration_since(began);
            let seconds = held.as_secs() as i64;
            let wrong = now.unix().saturating_sub(at.unix()).saturating_sub(seconds);
            if wrong.saturating_abs() <= SLACK + seconds / 100 {
                return held;
            }
            (self.leapt, self.said) = (true, false);
        }
        self.since = Some((now, running));
        Duration::ZERO
    }
}

/// Whether a time is one that nothing is removed by before it has held, and the last one that did; for an alarm.
///
/// # Errors
/// [`StoreError`] when the store can't be read.
pub(crate) fn doubt(store: &dyn Store, now: Timestamp) -> Result<Option<Timestamp>, StoreError> {
    let noted = noted(store)?;
    Ok(noted.filter(|_| is_doubtful(noted, now)))
}

/// The first time of all is believed: else a server that is started anew each day never removed anything.
fn is_doubtful(noted: Option<Timestamp>, now: Timestamp) -> bool {
    noted.is_some_and(|noted| noted.plus_days(AWAY_DAYS) < now)
}

/// One that can't be read is one of long ago.
fn noted(store: &dyn Store) -> Result<Option<Timestamp>, StoreError> {
    let value = store.get(Space::Meta, KEY)?;
    let at = |value: Vec<u8>| {
        value.try_into().map_or(Timestamp::EPOCH, |at| Timestamp::from_unix(i64::from_be_bytes(at)))
    };
    Ok(value.map(at))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::Hand;
    use crate::store::{FjallStore, Settings};

    /// A clock, a store, and how long all of it runs.
    struct Bench {
        _folder: tempfile::TempDir,
        store: FjallStore,
        hand: Hand,
        began: Instant,
        steady: Steady,
    }

    const START: Timestamp = Timestamp::EPOCH;
    const HOUR: i64 = 3600;
    const DAY: i64 = 86_400;

    impl Bench {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let store = FjallStore::open(folder.path(), Settings::default()).unwrap();
            let hand = Hand::at(START.plus_days(20_000));
            let steady = Steady::new(hand.clock());
            Self { _folder: folder, store, hand, began: Instant::now(), steady }
        }

        /// The server runs on for so long, while its clock goes on and leaps: the time to remove by, before the clock's.
        fn on(&mut self, seconds: i64, leap: i64) -> i64 {
            self.began += Duration::from_secs(seconds as u64);
            self.hand.set(self.hand.now().plus_seconds(seconds + leap));
            let by = self.steady.at(self.hand.now(), self.began, &self.store).unwrap();
            self.hand.now().unix() - by.unix()
        }

        fn restart(&mut self, seconds: i64) -> i64 {
            self.hand.set(self.hand.now().plus_seconds(seconds));
            self.steady = Steady::new(self.hand.clock());
            self.on(0, 0)
        }

        fn settled() -> Self {
            let mut bench = Self::new();
            assert_eq!((bench.on(0, 0), bench.on(DAY, 0)), (0, 0));
            bench
        }
    }

    #[test]
    fn a_clock_that_leaps_and_comes_back_removes_nothing_and_one_that_holds_for_a_day_does() {
        let mut bench = Bench::settled();
        assert_eq!(bench.on(2, 1200 * DAY), 1200 * DAY + 2, "by the last time that held");
        assert_eq!(bench.on(2, -1200 * DAY), 4, "nobody knows which of them was right");
        for _ in 0..24 {
            assert!(bench.on(HOUR - 1, 0) > 0);
        }
        assert_eq!(bench.on(24, 0), 0);
        assert_eq!(bench.on(DAY, 0), 0, "and on");
        assert_eq!(bench.on(100 * DAY, 20 * HOUR), 0, "it may be set right by a little");
        assert!(bench.on(2, 1200 * DAY) > 0);
        assert!(doubt(&bench.store, bench.hand.now()).unwrap().is_some());
        assert_eq!(bench.on(DAY, 0), 0, "it was the right time");
        assert_eq!(doubt(&bench.store, bench.hand.now()).unwrap(), None);
    }

    #[test]
    fn after_a_start_the_time_is_believed_that_is_near_the_last_one() {
        let mut bench = Bench::settled();
        assert_eq!(bench.restart(3 * DAY), 0, "off over a weekend");
        assert_eq!(bench.restart(4 * DAY), 4 * DAY, "or a clock that is wrong");
        assert_eq!(bench.on(DAY - 1, 0), 5 * DAY - 1);
        assert_eq!(bench.restart(1), 5 * DAY, "a day of running at one go");
        assert_eq!(bench.on(DAY, 0), 0);
        assert_eq!(bench.restart(-10 * DAY), 0, "by an earlier time less is removed");
        assert_eq!(bench.on(2, 10 * DAY), 2, "which was wrong");
        bench.store.commit(Batch::new().put(Space::Meta, KEY, *b"what")).unwrap();
        assert!(bench.restart(0) > 10_000 * DAY, "damaged");
        assert_eq!(bench.on(DAY, 0), 0);
    }
}
