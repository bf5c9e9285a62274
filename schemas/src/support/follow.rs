//! What may follow what: the rule that signer, server and device apply before a record counts.

use alloc::format;
use alloc::string::String;

use super::{Annulment, Cohort, CohortName, Statement, Support};
use crate::digest::Sha256Digest;
use crate::time::Date;

/// Why one record can't follow another.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SupportError {
    /// The date would become earlier.
    #[error(
        "security updates were promised until {promised}{}; this record says {offered}. A promised date can get later, \
         never earlier",
        for_cohort(.cohort)
    )]
    Shorter {
        /// The date promised so far.
        promised: Date,
        /// The date that the new record gives.
        offered: Date,
        /// Whose date; none for all units.
        cohort: Option<CohortName>,
    },
    /// A published promise is missing or was changed.
    #[error("promise {0} of the published record is missing or was changed; promises are only ever added")]
    Rewritten(usize),
    /// A published notice is missing or was changed.
    #[error("notice {0} of the published record is missing or was changed; notices are only ever added")]
    NoticeRewritten(usize),
    /// A published statement of compliance is missing or was changed.
    #[error(
        "statement {0} of the published record is missing or was changed; statements are only ever added"
    )]
    StatementRewritten(usize),
    /// A published cohort would lose units, which would then fall under another date.
    #[error("cohort {cohort} would lose units: {why}")]
    CohortNarrowed {
        /// Which.
        cohort: CohortName,
        /// How.
        why: &'static str,
    },
    /// The record takes a promise back that root never annulled, or forgets that it did.
    #[error(
        "promise {0} is taken back by the record alone; only an annulment in the root file takes one back"
    )]
    NotAnnulled(u32),
    /// The record's number is not the next, or it does not name the record before it.
    #[error("record {offered} can't follow record {published}: {why}")]
    Chain {
        /// The number of the published record.
        published: u64,
        /// The number of the new one.
        offered: u64,
        /// What is wrong.
        why: &'static str,
    },
    /// Another product's record.
    #[error("the record is for another product")]
    OtherProduct,
}

fn for_cohort(cohort: &Option<CohortName>) -> String {
    cohort.as_ref().map(|name| format!(" to cohort {name}")).unwrap_or_default()
}

impl Support {
    /// Whether this record may be published after `previous`. `annulments` are those of the trusted root file.
    ///
    /// # Errors
    /// [`SupportError`]: a date that would become earlier for any cohort, a promise, notice or statement changed or left
    /// out, a cohort that would lose units, a promise taken back without root, a number that is no higher, another product.
    pub fn may_follow(&self, previous: &Support, annulments: &[Annulment]) -> Result<(), SupportError> {
        if self.product != previous.product {
            return Err(SupportError::OtherProduct);
        }
        if self == previous {
            return Ok(());
        }
        self.is_backed_by(annulments)?;
        self.is_no_shorter_than(previous)?;
        self.keeps_history_of(previous)?;
        let (published, offered) = (previous.sequence, self.sequence);
        if offered <= published {
            return Err(SupportError::Chain { published, offered, why: "its number must be higher" });
        }
        Ok(())
    }

    /// Whether it is the very next record after `previous`, whose file has the digest `digest`, or that record itself.
    /// A signer demands this; a server or device that missed records in between can't.
    ///
    /// # Errors
    /// [`SupportError::Chain`]
    pub fn continues(&self, previous: &Support, digest: &Sha256Digest) -> Result<(), SupportError> {
        let failed =
            |why| Err(SupportError::Chain { published: previous.sequence, offered: self.sequence, why });
        if self == previous {
            Ok(())
        } else if self.sequence != previous.sequence.saturating_add(1) {
            failed("its number must be the next")
        } else if self.previous != Some(*digest) {
            failed("it names another record as the one before it")
        } else {
            Ok(())
        }
    }

    /// Whether each promise that the record takes back was annulled by root.
    ///
    /// # Errors
    /// [`SupportError::NotAnnulled`] with the promise's number.
    pub fn is_backed_by(&self, annulments: &[Annulment]) -> Result<(), SupportError> {
        match self.annulled.iter().find(|annulment| !annulments.contains(annulment)) {
            Some(alone) => Err(SupportError::NotAnnulled(alone.promise)),
            None => Ok(()),
        }
    }

    fn keeps_history_of(&self, previous: &Support) -> Result<(), SupportError> {
        if let Some(number) = first_change(&previous.promises, &self.promises) {
            return Err(SupportError::Rewritten(number));
        }
        if let Some(number) = first_change(&previous.notices, &self.notices) {
            return Err(SupportError::NoticeRewritten(number));
        }
        if let Some(number) = first_change(statements(previous), statements(self)) {
            return Err(SupportError::StatementRewritten(number));
        }
        let forgotten = previous.annulled.iter().find(|annulment| !self.annulled.contains(annulment));
        if let Some(annulment) = forgotten {
            return Err(SupportError::NotAnnulled(annulment.promise));
        }
        previous.cohorts.iter().try_for_each(|before| self.keeps_units_of(before, previous))
    }

    fn keeps_units_of(&self, before: &Cohort, previous: &Support) -> Result<(), SupportError> {
        let narrowed = |why| Err(SupportError::CohortNarrowed { cohort: before.name.clone(), why });
        let Some(now) = self.cohort(&before.name) else {
            return narrowed("it is missing");
        };
        if now.placed_from > before.placed_from {
            return narrowed("it begins later than before");
        }
        // Until the published record was drafted, every unit sold counted to a cohort on sale.
        let at_least = before.placed_until.unwrap_or(previous.updated().date());
        if now.placed_until.is_some_and(|last| last < at_least) {
            return narrowed("it ends earlier than before");
        }
        if !holds_all(&now.batches, &before.batches) {
            return narrowed("batches are missing");
        }
        if !holds_all(&now.markets, &before.markets) {
            return narrowed("markets are missing");
        }
        if !holds_all(&now.hardware, &before.hardware) {
            return narrowed("hardware revisions are missing");
        }
        Ok(())
    }

    /// Each cohort's date, the earliest of all, and that of each promise that was added.
    fn is_no_shorter_than(&self, previous: &Support) -> Result<(), SupportError> {
        // What root has annulled since no longer counts on either side.
        let previous = Support { annulled: self.annulled.clone(), ..previous.clone() };
        let shorter = |promised, offered, cohort| Err(SupportError::Shorter { promised, offered, cohort });
        for cohort in &previous.cohorts {
            let (promised, offered) = (previous.until(Some(&cohort.name)), self.until(Some(&cohort.name)));
            if offered < promised {
                return shorter(promised, offered, Some(cohort.name.clone()));
            }
        }
        let (promised, offered) = (previous.guaranteed_until(), self.guaranteed_until());
        if offered < promised {
            return shorter(promised, offered, None);
        }
        // An earlier promise would count for nobody, and yet be read by somebody.
        for added in self.promises.iter().skip(previous.promises.len()) {
            let offered = added.guaranteed_until;
            let whom = added.cohorts.iter().filter(|name| previous.cohort(name).is_some());
            let dates = whom.map(|name| (previous.until(Some(name)), Some(name.clone())));
            let everybody = added.cohorts.is_empty().then(|| (previous.guaranteed_until(), None));
            for (promised, cohort) in dates.chain(everybody) {
                if offered < promised {
                    return shorter(promised, offered, cohort);
                }
            }
        }
        Ok(())
    }
}

fn statements(record: &Support) -> &[Statement] {
    record.compliance.as_ref().map_or(&[], |compliance| &compliance.statements)
}

/// The number, from 1, of the first of `old` that `new` lacks or has otherwise.
fn first_change<T: PartialEq>(old: &[T], new: &[T]) -> Option<usize> {
    let kept = new.iter().zip(old).take_while(|(new, old)| new == old).count();
    (kept < old.len()).then_some(kept + 1)
}

/// Whether a list where empty means all still holds all that it held.
fn holds_all<T: PartialEq>(now: &[T], before: &[T]) -> bool {
    now.is_empty() || (!before.is_empty() && before.iter().all(|held| now.contains(held)))
}
