//! Work spread over threads, its results in order.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::{MatchError, Watch};

/// Does all tasks with at most `jobs` threads. The results stand in the tasks' order, so that nothing depends on the
/// number of threads. After each task of the calling thread the watch is told how many parts of `weight` are done.
pub(super) fn spread<T: Sync, R: Send>(
    tasks: &[T],
    jobs: usize,
    watch: &mut Watch<'_>,
    weight: u64,
    work: impl Fn(&T) -> R + Sync,
) -> Result<Vec<R>, MatchError> {
    let next = AtomicUsize::new(0);
    let stop = AtomicBool::new(false);
    let results = Mutex::new(Vec::with_capacity(tasks.len()));
    let one = || {
        let number = next.fetch_add(1, Ordering::Relaxed);
        let task = tasks.get(number)?;
        let result = work(task);
        if let Ok(mut results) = results.lock() {
            results.push((number, result));
        }
        Some(number)
    };
    let outcome = std::thread::scope(|scope| {
        for _ in 1..jobs.min(tasks.len()) {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    if one().is_none() {
                        break;
                    }
                }
            });
        }
        let begun = watch.done();
        while let Some(number) = one() {
            let part = (number as u64 + 1) * weight / tasks.len() as u64;
            if let Err(stopped) = watch.at(begun + part) {
                stop.store(true, Ordering::Relaxed);
                return Err(stopped);
            }
        }
        watch.at(begun + weight)
    });
    outcome?;
    let mut results = results.into_inner().unwrap_or_default();
    results.sort_unstable_by_key(|(number, _)| *number);
    Ok(results.into_iter().map(|(_, result)| result).collect())
}
