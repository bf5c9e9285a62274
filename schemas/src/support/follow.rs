//! What may follow what: the rule that signer, server and device apply before a record counts.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::{Annulment, Cohort, CohortName, Promise, Statement, Support};
use crate::digest::Sha256Digest;
use crate::limits::{SUPPORT_DAYS_AHEAD, SUPPORT_STEP};
use crate::signed::to_text;
use crate::time::{Date, Timestamp};

/// How much higher than the published one a record's number may be: a device that was off for ten years missed fewer.
const LEAP: u64 = 4096;
/// Promises that one record adds, and notices or statements.
const PROMISES_AT_ONCE: usize = 4;
const NOTICES_AT_ONCE: usize = 8;
/// Bytes that a record may have without its annulments: the rest is root's.
const ROOM: usize = 384 * 1024;

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
    /// A date that its maker could not yet know, by the clock of whoever signs or takes it in.
    #[error(
        "{what} of {stated} lies in the future, or its date more than 25 years ahead, by the clock here ({clock})"
    )]
    AheadOfTime {
        /// What is dated so.
        what: &'static str,
        /// How it is dated.
        stated: Timestamp,
        /// The clock.
        clock: Timestamp,
    },
    /// A promise that leaves days or parts without support which the one before it covers.
    #[error("promise {number} can't extend the one before it: {why}")]
    Gap {
        /// Which promise, counted from 1.
        number: usize,
        /// What is missing.
        why: &'static str,
    },
    /// More at once, or in all, than leaves room for those who come after.
    #[error("the record would grow by more than one step may: at most {0}")]
    TooMuch(&'static str),
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
        self.leaves_room_after(previous)?;
        self.counts_on_from(previous)
    }

    /// As [`Support::may_follow`], for a device: it may have been shown a branch that a stolen key made, and root has annulled
    /// since. What root annulled there need not stand in the record that goes on from the other branch. A record that says
    /// itself what root annulled is on the true branch, and what follows it keeps every rule.
    ///
    /// # Errors
    /// [`SupportError`], as there.
    pub fn may_follow_branch(
        &self,
        previous: &Support,
        annulments: &[Annulment],
    ) -> Result<(), SupportError> {
        let followed = self.may_follow(previous, annulments);
        let forged = |annulment: &Annulment| {
            let named = |promise| annulment.names(&previous.product, promise);
            !previous.annulled.contains(annulment) && previous.promises.iter().any(named)
        };
        if followed.is_ok() || !annulments.iter().any(forged) {
            return followed;
        }
        self.is_backed_by(annulments)?;
        let (previous, own) = (previous.without(annulments), self.without(annulments));
        own.is_no_shorter_than(&previous)?;
        match first_change(&previous.promises, &own.promises) {
            Some(_) => followed,
            None => Ok(()),
        }
    }

    /// Whether what this record adds to `previous` is dated by `clock`: made by then, and no date more than 25 years from it. For
    /// whoever has a clock to trust, and a day of grace: signers, and the server.
    ///
    /// # Errors
    /// [`SupportError::AheadOfTime`]
    pub fn dated_by(&self, previous: Option<&Support>, clock: Timestamp) -> Result<(), SupportError> {
        let latest = clock.plus_days(1);
        let ahead = |what, stated| Err(SupportError::AheadOfTime { what, stated, clock });
        if let Some(stated) = self.updated.filter(|updated| *updated > latest) {
            return ahead("a record", stated);
        }
        for added in self.promises.iter().skip(previous.map_or(0, |previous| previous.promises.len())) {
            let days = added.guaranteed_until.days() - latest.date().days();
            if added.made > latest || days > SUPPORT_DAYS_AHEAD {
                return ahead("a promise", added.made);
            }
        }
        let notices = self.notices.iter().skip(previous.map_or(0, |previous| previous.notices.len()));
        match notices.map(|notice| notice.made).find(|made| *made > latest) {
            Some(stated) => ahead("a notice", stated),
            None => Ok(()),
        }
    }

    /// A number that is higher, and not so much that none is left. A record that takes back what root annulled may have any:
    /// it must get through whatever a thief counted up to.
    fn counts_on_from(&self, previous: &Support) -> Result<(), SupportError> {
        let (published, offered) = (previous.sequence, self.sequence);
        let failed = |why| Err(SupportError::Chain { published, offered, why });
        if self.annuls_more_than(previous) {
            return Ok(());
        }
        match offered.checked_sub(published) {
            None | Some(0) => failed("its number must be higher"),
            Some(1..=LEAP) => Ok(()),
            Some(_) => failed("its number is more than 4,096 higher"),
        }
    }

    /// Whether it carries an answer of root's that `previous` lacks.
    fn annuls_more_than(&self, previous: &Support) -> bool {
        self.annulled.iter().any(|annulment| !previous.annulled.contains(annulment))
    }

    /// History is only ever added to, so a team that was taken over must not be able to use all of its room at once, or ever
    /// the part in which root answers.
    fn leaves_room_after(&self, previous: &Support) -> Result<(), SupportError> {
        let added = |now: usize, before: usize| now.saturating_sub(before);
        if added(self.promises.len(), previous.promises.len()) > PROMISES_AT_ONCE {
            return Err(SupportError::TooMuch("4 promises"));
        }
        if added(self.notices.len(), previous.notices.len()) > NOTICES_AT_ONCE {
            return Err(SupportError::TooMuch("8 notices"));
        }
        if added(statements(self).len(), statements(previous).len()) > NOTICES_AT_ONCE {
            return Err(SupportError::TooMuch("8 statements"));
        }
        let length = |record: &Support| {
            let own = Support { annulled: Vec::new(), ..record.clone() };
            to_text(&own).map_or(usize::MAX, |text| text.len())
        };
        let (before, now) = (length(previous), length(self));
        if now.saturating_sub(before) > SUPPORT_STEP {
            return Err(SupportError::TooMuch("48 KiB of text"));
        }
        if now > before && now > ROOM {
            return Err(SupportError::TooMuch("384 KiB of text in all"));
        }
        Ok(())
    }

    /// The record as if what root annulled had never stood in it.
    fn without(&self, annulments: &[Annulment]) -> Support {
        let named =
            |promise: &Promise| annulments.iter().any(|annulment| annulment.names(&self.product, promise));
        let promises = self.promises.iter().filter(|promise| !named(promise)).cloned().collect();
        Support { promises, annulled: Vec::new(), ..self.clone() }
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

    /// Whether it may be the first that somebody sees of a product: a new device, or a server that takes a product over.
    ///
    /// # Errors
    /// [`SupportError`]: a promise taken back without root, a number that leaves none above it.
    pub fn may_begin(&self, annulments: &[Annulment]) -> Result<(), SupportError> {
        self.is_backed_by(annulments)?;
        if self.sequence > u64::from(u32::MAX) {
            let (published, offered) = (0, self.sequence);
            return Err(SupportError::Chain { published, offered, why: "no product has that many records" });
        }
        Ok(())
    }

    fn keeps_history_of(&self, previous: &Support) -> Result<(), SupportError> {
        if self.updated() < previous.updated() {
            let (published, offered) = (previous.sequence, self.sequence);
            return Err(SupportError::Chain { published, offered, why: "it says that it is older" });
        }
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
        // Until the published record was drafted, every unit sold counted to a cohort on sale. One that was closed stays so:
        // opened and closed again it could end anywhere.
        let (at_least, closed) =
            (before.placed_until.unwrap_or(previous.updated().date()), before.placed_until.is_some());
        // A last day of sale that a thief made up goes with the promise that it needed.
        let ends_earlier = now.placed_until.map_or(closed, |last| last < at_least);
        if ends_earlier && !self.annuls_more_than(previous) {
            return narrowed("it ends earlier than before");
        }
        if !now.label.starts_with(&before.label) || !now.find.starts_with(&before.find) {
            return narrowed("owners were told otherwise how to find it; words can only be added");
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
        // A cohort with an earlier date must not reach for its units.
        let reaches = |other: &&Cohort| {
            other.name != before.name
                && self.until(Some(&other.name)) < self.until(Some(&before.name))
                && other.overlaps(before)
                && !previous.cohort(&other.name).is_some_and(|other| other.overlaps(before))
        };
        match self.cohorts.iter().find(reaches) {
            Some(_) => narrowed("another cohort with an earlier date would hold them, too"),
            None => Ok(()),
        }
    }

    /// Each cohort's date, the earliest of all, and that of each promise that was added.
    fn is_no_shorter_than(&self, previous: &Support) -> Result<(), SupportError> {
        // What root has annulled since no longer counts on either side.
        let previous = Support { annulled: self.annulled.clone(), ..previous.clone() };
        let shorter = |promised, offered, cohort| Err(SupportError::Shorter { promised, offered, cohort });
        let promised =
            |name: &CohortName| previous.promises_for(Some(name)).map(|p| p.guaranteed_until).max();
        for cohort in &previous.cohorts {
            let (promised, offered) = (promised(&cohort.name), self.until(Some(&cohort.name)));
            if let Some(promised) = promised.filter(|promised| offered < *promised) {
                return shorter(promised, offered, Some(cohort.name.clone()));
            }
        }
        // Cohorts to which root left nothing have no part in it.
        let earliest = if previous.cohorts.is_empty() {
            previous.promises_for(None).map(|promise| promise.guaranteed_until).max()
        } else {
            previous.cohorts.iter().filter_map(|cohort| promised(&cohort.name)).min()
        };
        let Some(earliest) = earliest else { return Ok(()) };
        if self.guaranteed_until() < earliest {
            return shorter(earliest, self.guaranteed_until(), None);
        }
        // An earlier promise would count for nobody, and yet be read by somebody.
        for (index, added) in self.promises.iter().enumerate().skip(previous.promises.len()) {
            let offered = added.guaranteed_until;
            let whom = added.cohorts.iter().filter_map(|name| Some((promised(name)?, Some(name.clone()))));
            let everybody = added.cohorts.is_empty().then_some((earliest, None));
            for (promised, cohort) in whom.chain(everybody) {
                if offered < promised {
                    return shorter(promised, offered, cohort);
                }
            }
            added.extends(&previous, index + 1)?;
        }
        Ok(())
    }
}

impl Promise {
    /// Whether it leaves neither days nor parts out that the promises before it cover.
    fn extends(&self, previous: &Support, number: usize) -> Result<(), SupportError> {
        let gap = |why| Err(SupportError::Gap { number, why });
        let whom: Vec<Option<&CohortName>> =
            if self.cohorts.is_empty() { alloc::vec![None] } else { self.cohorts.iter().map(Some).collect() };
        for cohort in whom {
            let before = || previous.promises_for(cohort);
            let Some(until) = before().map(|promise| promise.guaranteed_until).max() else { continue };
            if self.from.is_some_and(|from| from.days() > until.days() + 1) {
                return gap("it begins after that one has ended");
            }
            let all = before().any(|promise| promise.components.is_empty());
            let mut covered = before().flat_map(|promise| &promise.components);
            let fewer =
                !self.components.is_empty() && (all || covered.any(|part| !self.components.contains(part)));
            if fewer {
                return gap("it covers fewer components");
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
