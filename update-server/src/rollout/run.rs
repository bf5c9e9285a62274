//! The engine's threads in a running server: one takes turns, twice a second; one counts anew, listens for who fell silent, and
//! removes what is kept no longer. They only say what time it is; what is done, the engine knows.

use super::engine::Engine;
use crate::io::Now;
use crate::steady::Steady;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

/// Between two turns: a change takes one of them, so it is served within a second.
const TURN: Duration = Duration::from_millis(500);
/// Between two looks at what the slow thread has to do.
const LOOK: Duration = Duration::from_secs(1);
/// Between two counts, and two passes over all devices: so long at least, and twenty times as long as the last one took.
const REST: Duration = Duration::from_secs(180);
const REST_FACTOR: u32 = 20;
/// The same between two counts where several front ends share a store: what is told to the others, each counts only then.
const SHARED_REST: Duration = Duration::from_secs(10);
const SHARED_REST_FACTOR: u32 = 4;
/// Every so many counts, those of finished rollouts are counted anew too.
const FINISHED: u32 = 20;
/// Between two pages of either.
const BREATH: Duration = Duration::from_millis(5);
/// How often the same failure is logged, in turns: once a minute.
const LOGGED: u32 = 120;

/// Starts both.
///
/// # Errors
/// When the system gives no thread.
pub(crate) fn start(
    engine: &Arc<Engine>,
    now: &Now,
    stop: &watch::Receiver<bool>,
) -> std::io::Result<Vec<JoinHandle<()>>> {
    let (fast, slow) = (Arc::clone(engine), Arc::clone(engine));
    let (fast_now, slow_now) = (Arc::clone(now), Arc::clone(now));
    let (fast_stop, slow_stop) = (stop.clone(), stop.clone());
    let named = |name: &str| std::thread::Builder::new().name(name.into());
    Ok(vec![
        named("rollouts").spawn(move || every(TURN, fast_stop, &mut turns(&fast, &fast_now)))?,
        named("rollout-counts").spawn(move || {
            let stopped = slow_stop.clone();
            every(LOOK, slow_stop, &mut counts(&slow, &slow_now, &stopped));
        })?,
    ])
}

fn turns<'e>(engine: &'e Engine, now: &'e Now) -> impl FnMut() + 'e {
    let mut failures = 0_u32;
    move || match engine.tick(now()) {
        Ok(_) => failures = 0,
        Err(error) => {
            if failures.is_multiple_of(LOGGED) {
                tracing::error!(%error, "rollouts stay as they are");
            }
            failures = failures.wrapping_add(1);
        }
    }
}

fn counts<'e>(engine: &'e Engine, now: &'e Now, stop: &'e watch::Receiver<bool>) -> impl FnMut() + 'e {
    // At shutdown there is no reason to breathe.
    let pause = || {
        if !*stop.borrow() {
            std::thread::sleep(BREATH);
        }
    };
    let (least, factor) =
        if engine.is_shared() { (SHARED_REST, SHARED_REST_FACTOR) } else { (REST, REST_FACTOR) };
    let after = |least: Duration, factor: u32| {
        move |began: Instant| Instant::now() + least.max(began.elapsed() * factor)
    };
    let (rest, count_rest) = (after(REST, REST_FACTOR), after(least, factor));
    let (mut count, mut listen, mut rounds) = (Instant::now() + least, Instant::now(), 0_u32);
    let (mut find, mut steady) = (Instant::now(), Steady::new(Arc::clone(now)));
    move || {
        if let Err(error) = engine.count_new(&pause) {
            tracing::warn!(%error, "votes can't be counted");
        }
        let began = Instant::now();
        if began >= listen || engine.must_listen() {
            if let Err(error) = engine.listen(now(), &pause) {
                tracing::warn!(%error, "nobody knows which devices fell silent");
            }
            listen = rest(began);
        }
        let began = Instant::now();
        if began >= find {
            if let Err(error) = engine.find_failing(&pause) {
                tracing::warn!(%error, "nobody knows on which devices releases fail");
            }
            find = Instant::now() + began.elapsed() * REST_FACTOR;
        }
        let began = Instant::now();
        if began >= count {
            rounds = rounds.wrapping_add(1);
            if let Err(error) = engine.ballot().board.again() {
                tracing::warn!(%error, "what is offered can't be read");
            }
            if let Err(error) = engine.recount(rounds.is_multiple_of(FINISHED), &pause) {
                tracing::warn!(%error, "votes can't be counted anew; the counts as they were kept up stay");
            }
            match steady.now(engine.store()).and_then(|now| engine.sweep(now)) {
                Ok(true) => count = count_rest(began),
                // There is more: the next page at the next look.
                Ok(false) => {}
                Err(error) => {
                    tracing::warn!(%error, "votes on what is offered no more can't be removed");
                    count = count_rest(began);
                }
            }
        }
    }
}

/// Does something again and again until told to stop.
fn every(span: Duration, mut stop: watch::Receiver<bool>, work: &mut dyn FnMut()) {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_time().build() {
        Ok(runtime) => runtime,
        Err(error) => return tracing::error!(%error, "nobody looks after rollouts"),
    };
    runtime.block_on(async {
        loop {
            work();
            tokio::select! {
                () = sleep(span) => {}
                _ = stop.wait_for(|stop| *stop) => return,
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::super::desk;
    use super::super::engine_tests::half_open;
    use super::super::machine::Wish;
    use super::super::testkit::day;
    use super::TURN;
    use perennial_schemas::rollout::RolloutState;
    use std::time::Duration;

    /// What devices told and what a person said a moment ago are served after one turn, and two fit into a second.
    #[test]
    fn a_change_takes_one_turn_and_two_fit_into_a_second() {
        let (mut bench, members) = half_open(day(0));
        bench.report(&members[..20], "rolled-back");
        assert_eq!(bench.status().state, RolloutState::Running);
        assert_eq!(bench.tick(day(0).plus_seconds(1)), ["rollout.halted"]);
        assert_eq!(bench.status().state, RolloutState::Halted);
        let resume = Wish::Resume { hardware: None, set_aside: true };
        for (second, wish, then) in
            [(2, resume, RolloutState::Running), (3, Wish::Halt(None), RolloutState::Halted)]
        {
            let name = ("thermostat", bench.offer.version.as_str());
            let now = day(0).plus_seconds(second);
            desk::change(&bench.drive().engine, name, &wish, ("command", "worn cards"), now).unwrap();
            bench.tick(now);
            assert_eq!(bench.status().state, then);
        }
        assert!(2 * TURN <= Duration::from_secs(1));
    }
}
