//! OASIS OpenEoX, Core only: its Shell has no schema that can be followed yet. A date is always given for security
//! support, never `tba`. The format has no room for the record's number and digest, nor for a record that has lapsed.

use super::{JSON, Listed, Rendered, View, json, last_day, standing};
use perennial_schemas::{Date, Timestamp};
use serde::Serialize;

/// The schema that the document names, and must.
const SCHEMA: &str = "https://docs.oasis-open.org/openeox/v1.0/schema/core.json";

#[derive(Serialize)]
struct Core {
    #[serde(rename = "$schema")]
    schema: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    general_availability: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    end_of_sales: Option<Timestamp>,
    end_of_security_support: Timestamp,
    end_of_life: Timestamp,
    last_updated: Timestamp,
}

/// The document of a product: for security support the date of the model as it is sold, for the end of life the date of
/// the last unit that gets anything.
pub(crate) fn of(listed: &Listed, view: &View<'_>) -> Rendered {
    let cohorts = &listed.record.cohorts;
    let security = last_day(&standing(listed, view, None));
    let ends = cohorts.iter().map(|cohort| last_day(&standing(listed, view, Some(&cohort.name))));
    let sold_out: Option<Vec<Date>> = cohorts.iter().map(|cohort| cohort.placed_until).collect();
    let end_of_sales = sold_out.and_then(|days| days.into_iter().max());
    let available = cohorts.iter().map(|cohort| cohort.placed_from).min();
    let end_of_life = ends.chain(end_of_sales).chain(available).chain([security]).max().unwrap_or(security);
    let earliest = end_of_sales.map_or(security, |sales| sales.min(security));
    json(
        JSON,
        &Core {
            schema: SCHEMA,
            general_availability: available.map(|day| day.min(earliest).start()),
            end_of_sales: end_of_sales.map(Date::end),
            end_of_security_support: security.end(),
            end_of_life: end_of_life.end(),
            last_updated: listed.record.updated(),
        },
    )
}
