//! How often somebody may ask on the admin plane: a bucket for each token, and one for everybody who has none. The
//! folder's owner, at the socket, is not counted.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use tokio::time::Instant;

/// Requests a second with a token that isn't known, or may not do what it asks, by whomever: enough for mistakes, too few for
/// guessing.
const UNKNOWN: u32 = 2;
/// A bucket holds so many seconds' worth.
const BURST: u32 = 4;
/// Names that are remembered; there are fewer tokens.
const NAMES: usize = 2_000;

/// Everybody's buckets.
#[derive(Debug)]
pub(crate) struct Rates {
    /// Requests a second of one token.
    each: u32,
    buckets: Mutex<BTreeMap<String, Bucket>>,
}

#[derive(Debug)]
struct Bucket {
    left: f64,
    since: Instant,
}

impl Rates {
    /// So many requests a second for each token.
    pub(crate) fn new(each: u32) -> Self {
        Self { each, buckets: Mutex::default() }
    }

    /// Counts a request of `actor`; where it is one too many, the seconds to wait. `None` stands for whoever has no token.
    pub(crate) fn take(&self, actor: Option<&str>, now: Instant) -> Result<(), u64> {
        let (name, rate) = match actor {
            Some("command") => return Ok(()),
            Some(actor) => (actor, f64::from(self.each)),
            None => ("", f64::from(UNKNOWN)),
        };
        let full = rate * f64::from(BURST);
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= NAMES && !buckets.contains_key(name) {
            buckets.clear();
        }
        let bucket = buckets.entry(name.into()).or_insert(Bucket { left: full, since: now });
        let earned = now.duration_since(bucket.since).as_secs_f64() * rate;
        (bucket.left, bucket.since) = ((bucket.left + earned).min(full), now);
        if bucket.left < 1.0 {
            return Err((((1.0 - bucket.left) / rate).ceil() as u64).max(1));
        }
        bucket.left -= 1.0;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn one_who_asks_too_often_waits_and_nobody_else_does() {
        let rates = Rates::new(5);
        let start = Instant::now();
        let all = |actor: Option<&str>, now| (0..100).filter(|_| rates.take(actor, now).is_ok()).count();
        let taken = [Some("token:ci"), Some("token:other"), None].map(|actor| all(actor, start));
        assert_eq!(taken, [20, 20, 8]);
        assert_eq!(rates.take(Some("token:ci"), start), Err(1));
        assert_eq!(all(Some("command"), start), 100);
        let later = start + Duration::from_secs(2);
        assert_eq!((all(Some("token:ci"), later), all(None, later)), (10, 4));
    }
}
