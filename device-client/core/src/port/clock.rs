//! What time it is.

use perennial_schemas::Timestamp;

/// A wall clock. It may be wrong: the core takes an offline `signed_at` as its lower bound, and nothing else moves it.
pub trait Clock {
    /// The time now, in whole seconds UTC.
    fn now(&self) -> Timestamp;
}

/// A clock that a test sets.
#[cfg(any(test, feature = "testing"))]
#[derive(Debug, Clone, Copy)]
pub struct FixedClock(
    /// What it shows.
    pub Timestamp,
);

#[cfg(any(test, feature = "testing"))]
impl Clock for FixedClock {
    fn now(&self) -> Timestamp {
        self.0
    }
}
