//! A switch that ends every wait of the agent at once: what a signal turns on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;

/// Turned on once, for good. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Interrupt(Arc<(AtomicBool, Notify)>);

impl Interrupt {
    /// Ends every wait, now and from now on.
    pub fn turn_on(&self) {
        self.0.0.store(true, Ordering::SeqCst);
        self.0.1.notify_waiters();
    }

    /// Whether it is on.
    pub fn is_on(&self) -> bool {
        self.0.0.load(Ordering::SeqCst)
    }

    /// Waits until it is on.
    pub async fn wait(&self) {
        // Listening before looking: a switch between the two is not missed.
        let notified = self.0.1.notified();
        if !self.is_on() {
            notified.await;
        }
    }
}
