//! The system's clock.

#![expect(clippy::disallowed_methods, reason = "this module is the clock's adapter")]

use std::time::{SystemTime, UNIX_EPOCH};

use perennial_device_core::port::Clock;
use perennial_schemas::Timestamp;

/// The system's clock, asked each time.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        // A clock before 1970 is a clock that was never set.
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp::from_unix(i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
    }
}
