//! Work spread over threads, its results in order.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::MatchError;
use crate::delta::progress::Progress;

/// Does all tasks with at most `jobs` threads. The results stand in the tasks' order, so that nothing depends on the
/// number of threads. After each task it may end.
pub(super) fn spread<T: Sync, R: Send>(
    tasks: &[T],
    jobs: usize,
    progress: &Progress<'_>,
    work: impl Fn(&T) -> R + Sync,
) -> Result<Vec<R>, MatchError> {
    let next = AtomicUsize::new(0);
    let results = Mutex::new(Vec::with_capacity(tasks.len()));
    let some = || {
        while progress.go_on().is_ok() {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let Some(task) = tasks.get(number) else { break };
            let result = work(task);
            if let Ok(mut results) = results.lock() {
                results.push((number, result));
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..jobs.min(tasks.len()) {
            scope.spawn(some);
        }
        some();
    });
    progress.go_on()?;
    let mut results = results.into_inner().unwrap_or_default();
    results.sort_unstable_by_key(|(number, _)| *number);
    Ok(results.into_iter().map(|(_, result)| result).collect())
}
