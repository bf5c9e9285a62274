//! All products seen by whoever watches makers: which support ends soon although they are sold, which promises were not
//! kept, how long fixes take, what records lack. A pure function of the catalogue and the day; it blames nobody for what
//! the record doesn't say, and counts nothing in a maker's favour that isn't signed.

mod fixes;
#[cfg(test)]
mod tests;
mod words;

pub(crate) use words::words;

use super::feeds::retail::{is_on_sale, lacks};
use super::routes::Query;
use super::{Catalogue, Listed, Rendered, View};
use fixes::{Fixes, open};
use perennial_schemas::release::Severity;
use perennial_schemas::support::{Annulment, Left, State, Status};
use perennial_schemas::{Date, Timestamp};
use serde::Serialize;

/// From when on a product is listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct Rules {
    /// A product on sale is listed when it has less than so many months left.
    pub(crate) months_left: u16,
    /// A promise counts as not kept when a weakness was public for so many months and no update came.
    pub(crate) silent_months: u16,
}

impl Default for Rules {
    fn default() -> Self {
        Self { months_left: 24, silent_months: 6 }
    }
}

/// What was found.
#[derive(Debug, Serialize)]
pub(crate) struct Audit<'a> {
    format: &'static str,
    pub(crate) as_of: Date,
    pub(crate) generation: u64,
    pub(crate) rules: Rules,
    /// Products with a record.
    pub(crate) products: usize,
    /// Of which so many are on sale.
    pub(crate) on_sale: usize,
    /// On sale, and less than `rules.months_left` months left: soonest first.
    pub(crate) ending: Vec<Ending<'a>>,
    /// Promises that were not kept.
    pub(crate) broken: Vec<Broken<'a>>,
    /// Weaknesses that are public and not fixed, in products whose promise still runs: longest first.
    pub(crate) open: Vec<Open<'a>>,
    /// Promises that root took back.
    pub(crate) annulled: Vec<Annulled<'a>>,
    /// Records whose signatures have run out before the promise did.
    pub(crate) lapsed: Vec<Lapsed<'a>>,
    /// Products with something missing.
    pub(crate) lacking: Vec<Lacking<'a>>,
    /// How long fixes took.
    pub(crate) fixes: Fixes<'a>,
}

/// Which product.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Which<'a> {
    pub(crate) product: &'a str,
    pub(crate) name: &'a str,
}

#[derive(Debug, Serialize)]
pub(crate) struct Ending<'a> {
    #[serde(flatten)]
    pub(crate) which: Which<'a>,
    pub(crate) guaranteed_until: Date,
    pub(crate) left: Left,
    /// Something may be on sale although it gets no updates any more.
    pub(crate) state: State,
}

#[derive(Debug, Serialize)]
pub(crate) struct Broken<'a> {
    #[serde(flatten)]
    pub(crate) which: Which<'a>,
    pub(crate) promised_until: Date,
    #[serde(flatten)]
    pub(crate) how: How,
}

/// In what way a promise was not kept.
#[derive(Debug, Serialize)]
#[serde(tag = "how", rename_all = "kebab-case")]
pub(crate) enum How {
    /// The maker said that updates ended.
    EndedEarly { on: Date },
    /// The maker ceased.
    Ceased { on: Date },
    /// A weakness was public, and no update came.
    Silent { since: Date, last_update: Option<Date> },
}

#[derive(Debug, Serialize)]
pub(crate) struct Open<'a> {
    #[serde(flatten)]
    pub(crate) which: Which<'a>,
    pub(crate) id: &'a str,
    pub(crate) severity: Severity,
    pub(crate) disclosed: Date,
    /// Days since then.
    pub(crate) days: i64,
}

#[derive(Debug, Serialize)]
pub(crate) struct Annulled<'a> {
    #[serde(flatten)]
    pub(crate) which: Which<'a>,
    #[serde(flatten)]
    pub(crate) annulment: &'a Annulment,
}

#[derive(Debug, Serialize)]
pub(crate) struct Lapsed<'a> {
    #[serde(flatten)]
    pub(crate) which: Which<'a>,
    pub(crate) promised_until: Date,
    pub(crate) signed_until: Timestamp,
}

#[derive(Debug, Serialize)]
pub(crate) struct Lacking<'a> {
    #[serde(flatten)]
    pub(crate) which: Which<'a>,
    pub(crate) lacks: Vec<&'static str>,
}

/// `/support/audit.json`.
pub(crate) fn json(catalogue: &Catalogue, view: &View<'_>, _: &Query) -> Rendered {
    let audit = Audit::of(catalogue, view, Rules::default());
    // What an audit consists of can be written down; an empty answer would be seen at once.
    Rendered::new("application/json", serde_json::to_vec(&audit).unwrap_or_default())
}

impl<'a> Audit<'a> {
    /// Looks at every product.
    pub(crate) fn of(catalogue: &'a Catalogue, view: &View<'_>, rules: Rules) -> Self {
        let today = view.now.date();
        let all: Vec<Seen<'a>> = catalogue.products().map(|listed| Seen::new(listed, view)).collect();
        let mut ending: Vec<_> = all.iter().filter_map(|seen| seen.ending(today, rules)).collect();
        ending.sort_by_key(|ending| ending.guaranteed_until);
        let mut open: Vec<_> = all.iter().flat_map(|seen| seen.open(today)).collect();
        open.sort_by_key(|open| std::cmp::Reverse(open.days));
        let nothing = catalogue.unpromised.iter().map(|name| Lacking {
            which: Which { product: name.as_str(), name: name.as_str() },
            lacks: vec!["promise", "contact"],
        });
        Self {
            format: "perennial.support-audit/1",
            as_of: today,
            generation: catalogue.generation,
            rules,
            products: all.len(),
            on_sale: all.iter().filter(|seen| is_on_sale(seen.listed, today)).count(),
            ending,
            broken: all.iter().filter_map(|seen| seen.broken(today, rules)).collect(),
            open,
            annulled: all.iter().flat_map(Seen::annulled).collect(),
            lapsed: all.iter().filter_map(Seen::lapsed).collect(),
            lacking: nothing.chain(all.iter().filter_map(Seen::lacking)).collect(),
            fixes: Fixes::of(&all),
        }
    }
}

/// A product with its standing.
struct Seen<'a> {
    listed: &'a Listed,
    which: Which<'a>,
    status: Status,
    /// That of each cohort, and of the model.
    all: Vec<Status>,
    /// Until when a reader can verify the record.
    signed_until: Timestamp,
}

impl<'a> Seen<'a> {
    fn new(listed: &'a Listed, view: &View<'_>) -> Self {
        let (record, today, lapsed) = (&listed.record, view.now.date(), listed.lapsed(view));
        let status = record.status(today, None, lapsed);
        let cohorts = record.cohorts.iter().map(|cohort| record.status(today, Some(&cohort.name), lapsed));
        let which = Which { product: record.product.as_str(), name: record.display_name() };
        let signed_until = listed.verifies_until(view);
        Self { listed, which, all: cohorts.chain([status.clone()]).collect(), status, signed_until }
    }

    /// Whether some unit still has a promise that its maker hasn't given up.
    fn is_promised(&self) -> bool {
        let running = |status: &Status| status.state.is_supported() || status.state == State::Lapsed;
        self.all.iter().any(running)
    }

    fn ending(&self, today: Date, rules: Rules) -> Option<Ending<'a>> {
        let until = self.status.until;
        let soon = until < today.plus_months(rules.months_left.into());
        let listed = soon && is_on_sale(self.listed, today);
        listed.then_some(Ending {
            which: self.which,
            guaranteed_until: until,
            left: self.status.left,
            state: self.status.state,
        })
    }

    fn broken(&self, today: Date, rules: Rules) -> Option<Broken<'a>> {
        let given_up = |status: &&Status| status.ended_on.is_some_and(|on| on < status.until);
        if let Some(status) = self.all.iter().filter(given_up).max_by_key(|status| status.until) {
            let on = status.ended_on?;
            let ceased = status.state == State::Ceased;
            let how = if ceased { How::Ceased { on } } else { How::EndedEarly { on } };
            return Some(Broken { which: self.which, promised_until: status.until, how });
        }
        let oldest = self.open(today).iter().map(|open| open.disclosed).min()?;
        let offered = self.listed.updates.iter().filter(|update| update.is_offered());
        let last_update = offered.map(|update| update.release.created.date()).max();
        let since = last_update.map_or(oldest, |last| last.max(oldest));
        let silent = since.plus_months(rules.silent_months.into()) <= today;
        let how = How::Silent { since, last_update };
        silent.then_some(Broken { which: self.which, promised_until: self.status.until, how })
    }

    fn open(&self, today: Date) -> Vec<Open<'a>> {
        if !self.is_promised() {
            return Vec::new();
        }
        let which = self.which;
        let days = |disclosed: Date| (today.days() - disclosed.days()).max(0);
        open(self.listed)
            .map(|open| Open {
                which,
                id: &open.id,
                severity: open.severity,
                disclosed: open.disclosed,
                days: days(open.disclosed),
            })
            .collect()
    }

    fn annulled(&self) -> impl Iterator<Item = Annulled<'a>> {
        let which = self.which;
        self.listed.record.annulled.iter().map(move |annulment| Annulled { which, annulment })
    }

    fn lapsed(&self) -> Option<Lapsed<'a>> {
        let lapsed = self.all.iter().filter(|status| status.state == State::Lapsed);
        let promised_until = lapsed.map(|status| status.until).max()?;
        Some(Lapsed { which: self.which, promised_until, signed_until: self.signed_until })
    }

    fn lacking(&self) -> Option<Lacking<'a>> {
        let lacks = lacks(self.listed);
        (!lacks.is_empty()).then_some(Lacking { which: self.which, lacks })
    }
}
