//! The record in the formats that other programs read: one pure function for each, of what is listed and the moment.
//! None of them decides anything: each date and state is the record's own, computed where the pages' are
//! ([`Summary`](perennial_schemas::support::Summary)), and a test reads every format back and compares them. None reads a
//! clock or a file.
//!
//! | module | writes |
//! | --- | --- |
//! | [`summary`] | our own JSON, which `perennial-device support verify` can check |
//! | [`openeox`], [`endoflife`] | what inventories of end dates read |
//! | [`calendar`], [`atom`] | what people subscribe to |
//! | [`linked`] | what search engines read inside a page (schema.org) |
//! | [`profile`] | what a network reads (RFC 8520) |
//! | [`retail`] | all products, for shops |
//! | [`contacts`] | `security.txt` (RFC 9116) |

pub(crate) mod atom;
pub(crate) mod calendar;
pub(crate) mod contacts;
pub(crate) mod endoflife;
pub(crate) mod linked;
pub(crate) mod openeox;
pub(crate) mod profile;
pub(crate) mod retail;
pub(crate) mod summary;
#[cfg(test)]
pub(crate) mod tests;

pub(crate) mod label;

use super::{Listed, Rendered, View};
use crate::blobs::digest_of;
use perennial_schemas::Date;
use perennial_schemas::support::{CohortName, State, Status};

/// Of most formats.
pub(crate) const JSON: &str = "application/json";

/// The path of a product's page.
pub(crate) fn page(listed: &Listed) -> String {
    format!("/support/{}", listed.record.product)
}

/// How things stand for the model as it is sold, or for a cohort.
fn standing(listed: &Listed, view: &View<'_>, cohort: Option<&CohortName>) -> Status {
    listed.record.status(view.now.date(), cohort, listed.lapsed(view))
}

/// The last day with updates for formats that know one date only: the promised one, or an earlier one on which the maker
/// ended them all the same. Who plans by a date must not be told of updates that don't come.
fn last_day(status: &Status) -> Date {
    match (status.state, status.ended_on) {
        (State::EndedEarly | State::Ceased, Some(on)) => on.min(status.until),
        _ => status.until,
    }
}

/// An identifier that stays the same for as long as the record goes on: made of what is never changed in it, the product
/// and its first promise. In the form of a UUID (RFC 9562, version 8).
fn uuid(listed: &Listed, what: &str) -> String {
    let record = &listed.record;
    let first = record.promises.first().map_or(String::new(), |promise| {
        format!("{}|{}|{}", promise.made, promise.guaranteed_until, promise.reason)
    });
    let digest = digest_of(format!("perennial-support-v1|{}|{first}|{what}", record.product).as_bytes());
    let hex = digest.to_string();
    format!("{}-{}-8{}-8{}-{}", &hex[..8], &hex[8..12], &hex[13..16], &hex[17..20], &hex[20..32])
}

/// A value as JSON, of that media type.
fn json(media: &'static str, value: &impl serde::Serialize) -> Rendered {
    // Serialising fails for maps with odd keys and for types that say so; no format here has either.
    Rendered::new(media, serde_json::to_vec(value).unwrap_or_default())
}

/// What isn't there, and why.
fn absent(why: &'static str) -> Rendered {
    Rendered { status: 404, ..Rendered::new("text/plain; charset=utf-8", why) }
}

/// `text` without characters that no text format of ours can hold: controls other than line ends and tabs.
fn plain(text: &str) -> String {
    let keep =
        |c: &char| matches!(c, '\n' | '\t') || !(c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}'));
    text.chars().filter(keep).collect()
}
