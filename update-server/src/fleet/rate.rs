//! How often one device may ask: a bucket of `burst` requests that fills at `rate` a second, and another one for queues of it
//! that a gateway brings, so that no gateway uses up what the device has. Kept in memory only, and only for devices whose
//! bucket isn't full. The same is kept of the bytes of reports that it may hand in within a day, so that none of them takes the
//! room of all.

use perennial_schemas::fleet::DeviceId;
use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::{Mutex, PoisonError};

/// Buckets are spread, so that serving threads seldom wait for each other.
const SHARDS: usize = 16;
/// Buckets of one shard before the full ones are thrown away: 16 shards of 24 bytes each are 25 MiB at most, as long as no
/// more than a million devices ask at the same time.
const PER_SHARD: usize = 65_536;

/// See the module.
pub(crate) struct Rates {
    rate: u64,
    burst: u64,
    hasher: RandomState,
    shards: [Mutex<HashMap<u64, Bucket>>; SHARDS],
}

/// Which of a device's buckets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Way {
    /// It asks itself.
    Itself,
    /// A gateway brings a queue of it.
    Carried,
}

/// Thousandths of requests that are left, as of a millisecond.
#[derive(Clone, Copy)]
struct Bucket {
    left: u64,
    at: u64,
}

impl Rates {
    pub(crate) fn new(rate: u32, burst: u32) -> Self {
        let shards = std::array::from_fn(|_| Mutex::default());
        Self { rate: rate.into(), burst: u64::from(burst) * 1000, hasher: RandomState::new(), shards }
    }

    /// Takes one request out of a bucket of a device at `now`, in milliseconds of any clock that doesn't go back.
    ///
    /// # Errors
    /// In how many seconds there will be one.
    pub(crate) fn take(&self, device: &DeviceId, way: Way, now: u64) -> Result<(), u64> {
        self.draw(device, way, now, 1, 1)
    }

    /// Whether a bucket of a device holds so much, or all that it can hold: what is drawn later may be told before.
    ///
    /// # Errors
    /// In how many seconds it will.
    pub(crate) fn holds(&self, device: &DeviceId, way: Way, now: u64, much: u64) -> Result<(), u64> {
        self.draw(device, way, now, much, 0)
    }

    /// Draws so much, or what is left.
    pub(crate) fn spend(&self, device: &DeviceId, way: Way, now: u64, much: u64) {
        let _ = self.draw(device, way, now, 0, much);
    }

    fn draw(&self, device: &DeviceId, way: Way, now: u64, needed: u64, much: u64) -> Result<(), u64> {
        let needed = needed.saturating_mul(1000).min(self.burst);
        let hash = self.hasher.hash_one((way, device));
        let shard = &self.shards[hash as usize % SHARDS];
        let mut buckets = shard.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= PER_SHARD {
            buckets.retain(|_, bucket| self.filled(*bucket, now) < self.burst);
            // More devices than that at once: they begin anew.
            if buckets.len() >= PER_SHARD {
                buckets.clear();
            }
        }
        let bucket = buckets.entry(hash).or_insert(Bucket { left: self.burst, at: now });
        let left = self.filled(*bucket, now);
        if left < needed {
            *bucket = Bucket { left, at: now };
            return Err((needed - left).div_ceil(self.rate * 1000).max(1));
        }
        *bucket = Bucket { left: left.saturating_sub(much.saturating_mul(1000)), at: now };
        Ok(())
    }

    fn filled(&self, bucket: Bucket, now: u64) -> u64 {
        // A thousandth of a request for each millisecond and request per second.
        let more = now.saturating_sub(bucket.at).saturating_mul(self.rate);
        bucket.left.saturating_add(more).min(self.burst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_has_its_burst_and_then_its_rate_and_nobody_elses() {
        let rates = Rates::new(2, 3);
        let (one, two): (DeviceId, DeviceId) = ("one".parse().unwrap(), "two".parse().unwrap());
        let taken =
            |device, now| (0..10).take_while(|_| rates.take(device, Way::Itself, now).is_ok()).count();
        assert_eq!(taken(&one, 0), 3);
        assert_eq!(rates.take(&one, Way::Itself, 0), Err(1));
        assert_eq!(rates.take(&one, Way::Carried, 0), Ok(()));
        assert_eq!(taken(&two, 0), 3);
        assert_eq!(taken(&one, 499), 0);
        assert_eq!(taken(&one, 1000), 2);
        assert_eq!(taken(&one, 1_000_000), 3);
    }

    #[test]
    fn what_is_spent_comes_back_within_its_day_and_is_nobody_elses() {
        // So many bytes a second, and what that is in a day.
        let daily = Rates::new(24, 24 * 86_400);
        let (one, two): (DeviceId, DeviceId) = ("one".parse().unwrap(), "two".parse().unwrap());
        let holds = |device, now, much| daily.holds(device, Way::Itself, now, much);
        assert_eq!(holds(&one, 0, 500_000), Ok(()));
        assert_eq!(holds(&one, 0, 500_000), Ok(()), "asking takes nothing");
        for _ in 0..4 {
            daily.spend(&one, Way::Itself, 0, 500_000);
        }
        assert_eq!(holds(&one, 0, 24 * 86_400 - 2_000_000), Ok(()));
        assert_eq!(holds(&one, 0, 500_000), Err((500_000 - (24 * 86_400 - 2_000_000_u64)).div_ceil(24)));
        daily.spend(&one, Way::Itself, 0, 500_000);
        assert_eq!(holds(&one, 0, 24), Err(1));
        assert_eq!((holds(&two, 0, 500_000), daily.holds(&one, Way::Carried, 0, 500_000)), (Ok(()), Ok(())));
        assert_eq!(
            holds(&one, 86_400_000, u64::MAX),
            Ok(()),
            "a queue that is longer than a day's is taken once"
        );
    }
}
