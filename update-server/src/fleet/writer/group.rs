//! Jobs that are written together: folded over what the store holds, or will hold, and committed as one batch.

use super::ahead::{Ahead, UnderWay};
use super::changes::Changes;
use super::rows::{ByDevice, Rows};
use super::{Answer, Fault, Means};
use crate::fleet::fold::{Act, Effects, Facts, Operation, Verdict, fold};
use crate::rollout::ballot;
use crate::rollout::tallies::Changed;
use crate::store::{Batch, StoreError};
use perennial_schemas::fleet::{Flag, RefusalCode};

/// How often a group is tried again because somebody else changed one of its records.
const TRIES: usize = 64;

/// See the module.
#[derive(Default)]
pub(super) struct Group {
    pub(super) operations: Vec<Operation>,
    /// How many operations each job has, and whom to answer.
    answers: Vec<(usize, Answer)>,
    pub(super) weight: usize,
}

/// What a group comes to, once it is committed.
pub(super) struct Folded {
    pub(super) batch: Batch,
    verdicts: Vec<Verdict>,
    votes: Vec<Changed>,
    flags: Vec<Flag>,
    /// Reports that are new.
    events: usize,
}

impl Group {
    pub(super) fn add(&mut self, operations: Vec<Operation>, weight: usize, answer: Answer) {
        self.answers.push((operations.len(), answer));
        if self.operations.is_empty() {
            self.operations = operations;
        } else {
            self.operations.extend(operations);
        }
        self.weight += weight;
    }

    /// Reads the rows, and folds; nothing is changed by it.
    pub(super) fn fold(&self, means: &Means, under_way: Option<&UnderWay>) -> Result<Folded, StoreError> {
        let operations = &self.operations;
        let now = (means.now)();
        let releases = means.releases.current();
        let revoked = |serial: &[u8]| means.trust.as_ref().is_some_and(|trust| trust.is_revoked(serial));
        let facts = Facts {
            now,
            releases: &releases,
            is_revoked: &revoked,
            oldest: now.plus_seconds(-(means.keep.as_secs() as i64)),
            restored: means.restored,
        };
        let ahead = Ahead::of(means.store.as_ref(), under_way);
        let moment = ahead.moment();
        let devices = ByDevice::of(operations);
        let mut rows = Rows::read(&ahead, devices.each().map(|(device, _)| device))?;
        let mut changes = Changes::new(&ahead);
        changes.prefetch(operations, &devices, &rows)?;
        let mut verdicts = vec![Err(RefusalCode::Internal); operations.len()];
        let mut effects = Effects::default();
        let mut votes = means.ballot.open(now);
        for ((device, places), slot) in devices.each().zip(rows.each_mut()).filter(|(_, slot)| !slot.corrupt)
        {
            for place in places {
                let operation = &operations[*place as usize];
                let flags = effects.flags.len();
                let verdict = match fold(&mut slot.row, operation, &facts, &mut changes, &mut effects) {
                    Ok(verdict) => verdict,
                    // One record beside a row is damaged: folding looks before it changes anything, so this operation
                    // alone is refused.
                    Err(error @ StoreError::Corrupt(_)) => {
                        tracing::error!(%error, %device, "what a device did can't be judged");
                        effects.events.clear();
                        effects.keys.clear();
                        effects.flags.truncate(flags);
                        continue;
                    }
                    Err(error) => return Err(error),
                };
                verdicts[*place as usize] = verdict;
                if let (Some(votes), Act::Reports(queue), Some(row)) = (&mut votes, &operation.act, &slot.row)
                {
                    votes.take(row, queue, &effects.events);
                }
                changes.take(&mut effects)?;
            }
        }
        let events = changes.events();
        let votes = votes.map_or_else(|| Ok(Vec::new()), |votes| votes.close(&ahead))?;
        let batch = ballot::put(rows.into_batch(changes.into_batch()), &votes).since(moment);
        Ok(Folded { batch, verdicts, votes, flags: effects.flags, events })
    }

    /// Commits what this group was folded to, and folds it again, over the store alone, as often as somebody else was faster:
    /// the verdicts, and whether it was committed as it was folded first.
    pub(super) fn write(
        &self,
        means: &Means,
        folded: Option<Result<Folded, StoreError>>,
    ) -> (Result<Vec<Verdict>, Fault>, bool) {
        let mut as_folded = folded.is_some();
        let mut next = folded;
        for _ in 0..TRIES {
            let folded = next.take().unwrap_or_else(|| self.fold(means, None));
            match folded.and_then(|folded| folded.commit(means)) {
                Ok(verdicts) => return (Ok(verdicts), as_folded),
                // Another front end, or a command, was faster with one of the rows: fold again.
                Err(StoreError::Changed(_)) => as_folded = false,
                Err(error @ StoreError::Full { .. }) => {
                    tracing::error!(%error, "reports can't be written down: the disk is full");
                    means.figures.commits_failed.inc();
                    return (Err(Fault::Full), false);
                }
                Err(error) => {
                    tracing::error!(%error, "reports can't be written down");
                    means.figures.commits_failed.inc();
                    return (Err(Fault::Unavailable), false);
                }
            }
        }
        tracing::error!("reports can't be written down: their rows change all the time");
        (Err(Fault::Unavailable), false)
    }

    /// Tells everybody.
    pub(super) fn answer(self, result: Result<Vec<Verdict>, Fault>) {
        let mut verdicts = result.map(Vec::into_iter);
        for (count, answer) in self.answers {
            // Whoever went away meanwhile asks again, and is told again.
            let _ = answer.send(match &mut verdicts {
                Ok(verdicts) => Ok(verdicts.by_ref().take(count).collect()),
                Err(fault) => Err(*fault),
            });
        }
    }
}

impl Folded {
    fn commit(self, means: &Means) -> Result<Vec<Verdict>, StoreError> {
        if !self.batch.is_empty() {
            means.ballot.tallies.commit(means.store.as_ref(), self.batch, &self.votes)?;
        }
        means.figures.committed(self.events, &self.verdicts, &self.flags);
        Ok(self.verdicts)
    }
}
