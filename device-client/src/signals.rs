//! Signals: SIGTERM and SIGINT end the agent in good order, and a file that grows past its limit is an error and no end.

use std::io;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};

use crate::http::Interrupt;

/// How long what goes on may take to come to its end. Whatever is cut off then is as safe as after a power cut.
const GRACE: Duration = Duration::from_secs(10);

/// Turns `interrupt` on at the first SIGTERM or SIGINT; ends the process at the second, or after ten seconds. Where the
/// system doesn't let it listen, a signal ends the process at once.
pub fn listen(interrupt: Interrupt) {
    if let Err(error) = try_to_listen(interrupt) {
        tracing::warn!(%error, "signals end this agent at once");
    }
}

fn try_to_listen(interrupt: Interrupt) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (mut terminate, mut stop) = {
        let _inside = runtime.enter();
        // By default it ends the process; with a handler the write fails with an error instead.
        let _ = signal(SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw()))?;
        (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?)
    };
    std::thread::Builder::new().name("signals".into()).stack_size(128 * 1024).spawn(move || {
        runtime.block_on(async {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = stop.recv() => {}
            }
            tracing::info!("ending: what goes on comes to its end first");
            interrupt.turn_on();
            tokio::select! {
                _ = terminate.recv() => {}
                _ = stop.recv() => {}
                () = tokio::time::sleep(GRACE) => {}
            }
        });
        std::process::exit(143)
    })?;
    Ok(())
}
