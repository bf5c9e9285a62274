//! The summary: our own JSON, the record as it reads today with the whole record in it, so that anybody can compute it
//! again. The updates stand beside it; a reader of the summary alone passes them over.

use super::{JSON, Listed, Rendered, View, json};
use perennial_schemas::release::Release;
use perennial_schemas::support::Summary;
use perennial_schemas::{Date, Timestamp};
use serde::Serialize;

/// Updates in one summary, the newest. A release has notes of up to 16 KiB; most have some hundred bytes.
const UPDATES: usize = 20;

#[derive(Serialize)]
struct WithUpdates<'a> {
    #[serde(flatten)]
    summary: Summary,
    /// The newest releases.
    updates: Vec<Shown<'a>>,
}

#[derive(Serialize)]
struct Shown<'a> {
    version: String,
    published: Timestamp,
    class: &'a perennial_schemas::release::Class,
    what: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    why: &'a str,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    fixes: &'a [perennial_schemas::release::FixedVulnerability],
    available_until: Date,
    #[serde(skip_serializing_if = "Option::is_none")]
    withdrawn: Option<&'a str>,
}

/// The summary of a product.
pub(crate) fn of(listed: &Listed, view: &View<'_>) -> Rendered {
    let updates = listed.updates.iter().take(UPDATES).map(|update| {
        let Release { notes, class, fixes, .. } = &update.release;
        Shown {
            version: update.release.version.to_string(),
            published: update.release.created,
            class,
            what: &notes.what,
            why: &notes.why,
            fixes,
            available_until: update.release.available_until,
            withdrawn: update.withdrawn.as_ref().map(|withdrawn| withdrawn.reason.as_str()),
        }
    });
    json(JSON, &WithUpdates { summary: listed.summary(view), updates: updates.collect() })
}
