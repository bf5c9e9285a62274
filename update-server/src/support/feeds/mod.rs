//! The record for machines. Each feed is a pure function of a product, or of the catalogue, and the view; the table of
//! addresses is in [`super::routes`].

use super::{Listed, Rendered, View};

/// `summary.json`: the record as it reads today, in our own schema.
pub(crate) fn summary(listed: &Listed, view: &View<'_>) -> Rendered {
    // What a summary consists of can be written down; an empty answer would be seen at once.
    let text = serde_json::to_vec_pretty(&listed.summary(view)).unwrap_or_default();
    Rendered::new("application/json", text)
}
