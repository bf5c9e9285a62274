//! Who is told how far the search is, and may stop it.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};

use super::MatchError;

/// Told how much is done, in parts per million of the work. The search ends soon after `told` breaks or `stop` is set;
/// a suffix array that is being sorted is finished first.
pub struct Watch<'a> {
    told: &'a mut dyn FnMut(u64) -> ControlFlow<()>,
    stop: &'a AtomicBool,
    done: u64,
}

impl<'a> Watch<'a> {
    /// A watch at the beginning.
    pub fn new(told: &'a mut dyn FnMut(u64) -> ControlFlow<()>, stop: &'a AtomicBool) -> Self {
        Self { told, stop, done: 0 }
    }

    pub(super) fn done(&self) -> u64 {
        self.done
    }

    /// So much is done.
    pub(super) fn at(&mut self, done: u64) -> Result<(), MatchError> {
        self.done = done;
        self.check()
    }

    /// Whether to go on.
    pub(super) fn check(&mut self) -> Result<(), MatchError> {
        if self.stop.load(Ordering::Relaxed) || (self.told)(self.done).is_break() {
            return Err(MatchError::Stopped);
        }
        Ok(())
    }
}
