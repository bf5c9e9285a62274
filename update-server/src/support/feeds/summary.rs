//! The summary: our own JSON, the record as it reads today with the whole record in it, so that anybody can compute it
//! again. The updates stand beside it; a reader of the summary alone passes them over.

use super::{JSON, Listed, Rendered, View, json};
use perennial_schemas::support::update::UPDATES;
use perennial_schemas::support::{Summary, Update};
use serde::Serialize;

#[derive(Serialize)]
struct WithUpdates {
    #[serde(flatten)]
    summary: Summary,
    /// The newest releases.
    updates: Vec<Update>,
}

/// The summary of a product.
pub(crate) fn of(listed: &Listed, view: &View<'_>) -> Rendered {
    // They are listed newest first.
    let newest = listed.updates.iter().take(UPDATES);
    let updates = newest.map(|update| Update::new(&update.release, update.withdrawn.as_ref()));
    json(JSON, &WithUpdates { summary: listed.summary(view), updates: updates.collect() })
}
