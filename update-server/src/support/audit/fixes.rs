//! From a weakness becoming public to the release that fixes it: what is still open, and how long the others took.

use super::{Listed, Seen, Which};
use perennial_schemas::Date;
use perennial_schemas::support::{NoticeKind, OpenVulnerability};
use serde::Serialize;
use std::collections::BTreeMap;

/// How long fixes took. A weakness that is still open has no time yet, so it is in none of these figures.
#[derive(Debug, Serialize)]
pub(crate) struct Fixes<'a> {
    /// Weaknesses that were public before they were fixed.
    pub(crate) counted: usize,
    /// Weaknesses that became public with their fix or after it; they count no days.
    pub(crate) before_disclosure: usize,
    /// The median of days from disclosure to release, rounded up; `null` where nothing was counted.
    pub(crate) median_days: Option<i64>,
    /// The same for each product that has any: slowest first.
    pub(crate) of_products: Vec<OfProduct<'a>>,
}

#[derive(Debug, Serialize)]
pub(crate) struct OfProduct<'a> {
    #[serde(flatten)]
    pub(crate) which: Which<'a>,
    pub(crate) counted: usize,
    pub(crate) median_days: i64,
}

/// Weaknesses that the record calls known, and that no release on offer names as fixed.
pub(super) fn open(listed: &Listed) -> impl Iterator<Item = &OpenVulnerability> {
    let fixed = |id: &str| {
        let offered = listed.updates.iter().filter(|update| update.is_offered());
        offered.flat_map(|update| &update.release.fixes).any(|fix| fix.id == id)
    };
    let known = listed.record.notices.iter().filter_map(|notice| match &notice.kind {
        NoticeKind::Vulnerability(open) => Some(open),
        _ => None,
    });
    known.filter(move |open| !fixed(&open.id))
}

impl<'a> Fixes<'a> {
    pub(super) fn of(all: &[Seen<'a>]) -> Self {
        let (mut every, mut before_disclosure, mut of_products) = (Vec::new(), 0, Vec::new());
        for seen in all {
            let taken = days(seen.listed);
            before_disclosure += taken.iter().filter(|days| days.is_none()).count();
            let counted: Vec<i64> = taken.into_iter().flatten().collect();
            every.extend(&counted);
            if let Some(median_days) = median(&mut counted.clone()) {
                of_products.push(OfProduct { which: seen.which, counted: counted.len(), median_days });
            }
        }
        of_products.sort_by_key(|product| std::cmp::Reverse(product.median_days));
        Self { counted: every.len(), before_disclosure, median_days: median(&mut every), of_products }
    }
}

/// Days that each weakness was public until the first release that fixes it; `None` where it never was. A release that was
/// withdrawn has fixed nothing.
fn days(listed: &Listed) -> Vec<Option<i64>> {
    let mut first: BTreeMap<&str, (Date, Option<Date>)> = BTreeMap::new();
    for update in listed.updates.iter().filter(|update| update.is_offered()) {
        let made = update.release.created.date();
        for fix in &update.release.fixes {
            let entry = first.entry(&fix.id).or_insert((made, fix.disclosed));
            entry.0 = entry.0.min(made);
            entry.1 = [entry.1, fix.disclosed].into_iter().flatten().min();
        }
    }
    let taken = |(made, disclosed): (Date, Option<Date>)| {
        disclosed.filter(|public| *public < made).map(|public| made.days() - public.days())
    };
    first.into_values().map(taken).collect()
}

/// The middle of the values, rounded up between two.
fn median(values: &mut [i64]) -> Option<i64> {
    values.sort_unstable();
    let (below, above) = (values.get(values.len().checked_sub(1)? / 2)?, values.get(values.len() / 2)?);
    Some((below + above + 1) / 2)
}
