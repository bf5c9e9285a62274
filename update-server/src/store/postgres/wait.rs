//! Waits for a future on the thread that calls, whichever it is. Tokio's own `block_on` panics on a thread that drives a
//! runtime, and the server's own loops (what looks after the fleet plane, what steers rollouts) are such threads.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use tokio::runtime::Handle;
use tokio::task::unconstrained;

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// What comes of it, with the timers and connections of the runtime behind `handle`, which another thread drives.
pub(super) fn wait<F: Future>(handle: &Handle, future: F) -> F::Output {
    let _context = handle.enter();
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut context = Context::from_waker(&waker);
    // A task of the caller's runtime has a budget, which isn't renewed before it yields; here it never does.
    let mut future = pin!(unconstrained(future));
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
        std::thread::park();
    }
}
