//! The shape of endoflife.date's API, version 1 (`GET /products/{product}`): what inventories that know that site can
//! read without learning another format. Each cohort is one of its "releases"; a product without cohorts has one.

use super::{JSON, Listed, Rendered, View, json, last_day, page, standing};
use perennial_schemas::support::{Cohort, Status};
use perennial_schemas::{Date, Timestamp};
use serde::Serialize;

/// The version of the shape that is written here.
const SCHEMA_VERSION: &str = "1.2.0";

#[derive(Serialize)]
struct Answer<'a> {
    schema_version: &'static str,
    generated_at: Timestamp,
    last_modified: Timestamp,
    result: Product<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Product<'a> {
    name: &'a str,
    label: &'a str,
    aliases: Vec<&'a str>,
    category: &'static str,
    tags: Vec<&'a str>,
    version_command: Option<&'static str>,
    identifiers: Vec<Identifier<'a>>,
    labels: Labels,
    links: Links<'a>,
    releases: Vec<Release<'a>>,
}

#[derive(Serialize)]
struct Identifier<'a> {
    id: &'a str,
    #[serde(rename = "type")]
    scheme: &'a str,
}

#[derive(Serialize)]
struct Labels {
    eoas: Option<&'static str>,
    discontinued: &'static str,
    eol: &'static str,
    eoes: Option<&'static str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Links<'a> {
    icon: Option<&'static str>,
    html: String,
    release_policy: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Release<'a> {
    name: &'a str,
    codename: Option<&'a str>,
    label: &'a str,
    release_date: Date,
    is_lts: bool,
    lts_from: Option<Date>,
    is_eol: bool,
    eol_from: Date,
    is_discontinued: bool,
    discontinued_from: Option<Date>,
    is_maintained: bool,
    latest: Option<Version>,
    custom: Custom,
}

#[derive(Serialize)]
struct Version {
    name: String,
    date: Date,
    link: String,
}

/// What the shape has no other place for.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Custom {
    state: &'static str,
    guaranteed_until: Date,
    record_sequence: String,
    record_sha256: String,
}

/// The answer for a product.
pub(crate) fn of(listed: &Listed, view: &View<'_>) -> Rendered {
    let record = &listed.record;
    let model = record.model.as_ref();
    let identifiers = model.into_iter().flat_map(|model| &model.identifiers);
    let releases = if record.cohorts.is_empty() {
        vec![whole(listed, view)]
    } else {
        // The newest first, as that site has them.
        record.cohorts.iter().rev().map(|cohort| one(listed, view, cohort)).collect()
    };
    json(
        JSON,
        &Answer {
            schema_version: SCHEMA_VERSION,
            generated_at: view.now.date().start(),
            last_modified: record.updated(),
            result: Product {
                name: record.product.as_str(),
                label: record.display_name(),
                aliases: model.into_iter().map(|model| model.designation.as_str()).collect(),
                category: "device",
                tags: record.maker.iter().map(|maker| maker.party.name.as_str()).chain(["device"]).collect(),
                version_command: None,
                identifiers: identifiers
                    .map(|own| Identifier { id: &own.value, scheme: &own.scheme })
                    .collect(),
                labels: Labels { eoas: None, discontinued: "On sale", eol: "Security updates", eoes: None },
                links: Links {
                    icon: None,
                    html: view.address(&page(listed)),
                    release_policy: record.contact.policy.as_deref(),
                },
                releases,
            },
        },
    )
}

/// All units, where they share one date. A launch date that the record doesn't have is the day of its first promise.
fn whole<'a>(listed: &'a Listed, view: &View<'_>) -> Release<'a> {
    let record = &listed.record;
    let first = record.promises.first();
    let released = first.map_or(Date::from_days(0), |first| first.from.unwrap_or(first.made.date()));
    let label = record.display_name();
    release(listed, view, standing(listed, view, None), record.product.as_str(), label, (released, None))
}

fn one<'a>(listed: &'a Listed, view: &View<'_>, cohort: &'a Cohort) -> Release<'a> {
    let status = standing(listed, view, Some(&cohort.name));
    let sold = (cohort.placed_from, cohort.placed_until);
    release(listed, view, status, cohort.name.as_str(), &cohort.label, sold)
}

fn release<'a>(
    listed: &'a Listed,
    view: &View<'_>,
    status: Status,
    name: &'a str,
    label: &'a str,
    (release_date, discontinued_from): (Date, Option<Date>),
) -> Release<'a> {
    let (today, eol_from) = (view.now.date(), last_day(&status));
    let latest = listed.latest().map(|update| Version {
        name: update.release.version.to_string(),
        date: update.release.created.date(),
        link: view.address(&page(listed)),
    });
    Release {
        name,
        codename: None,
        label,
        release_date,
        is_lts: false,
        lts_from: None,
        is_eol: eol_from < today,
        eol_from,
        is_discontinued: discontinued_from.is_some_and(|last| last < today),
        discontinued_from,
        is_maintained: status.state.is_supported(),
        latest,
        custom: Custom {
            state: status.state.as_str(),
            guaranteed_until: status.until,
            record_sequence: listed.record.sequence.to_string(),
            record_sha256: listed.sha256.to_string(),
        },
    }
}
