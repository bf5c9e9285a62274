//! All products for shops, in CSV (RFC 4180) and JSON: what the law asks a trader to pass on, and which products lack it.
//! A shop joins by GTIN, so a CSV row is one number on one box; a product without a number has one row as well.

use super::{JSON, Listed, Rendered, View, json, last_day, page, plain, standing};
use crate::support::catalogue::Catalogue;
use crate::support::routes::Query;
use perennial_schemas::support::{Gtin, Identifier, Model};
use perennial_schemas::{Date, Timestamp};
use serde::Serialize;
use std::collections::BTreeMap;

/// The media type of the table (RFC 4180, section 3).
const CSV: &str = "text/csv; charset=utf-8; header=present";

/// The columns, in order. New ones are only ever added at the end.
pub(crate) const COLUMNS: [&str; 23] = [
    "gtin14",
    "product",
    "name",
    "model",
    "kind",
    "maker",
    "state",
    "guaranteed_until",
    "last_day",
    "on_sale",
    "automatic_updates",
    "replaced_not_updated",
    "contact",
    "acknowledgement_days",
    "status_update_days",
    "policy",
    "statements",
    "latest_version",
    "latest_date",
    "lacks",
    "updated",
    "record",
    "page",
];

#[derive(Serialize)]
struct Products<'a> {
    format: &'static str,
    as_of: Date,
    changed_since: Option<Date>,
    products: Vec<Product<'a>>,
}

#[derive(Serialize)]
struct Product<'a> {
    product: &'a str,
    name: &'a str,
    model: Option<&'a str>,
    kind: Option<&'a str>,
    maker: Option<&'a str>,
    gtins: Vec<String>,
    identifiers: &'a [Identifier],
    state: Option<&'static str>,
    guaranteed_until: Option<Date>,
    /// The last day with updates: earlier than promised where the maker ended them.
    last_day: Option<Date>,
    on_sale: bool,
    cohorts: BTreeMap<&'a str, Cohort<'a>>,
    automatic_updates: Option<bool>,
    replaced_not_updated: bool,
    contacts: &'a [String],
    acknowledgement_days: Option<u16>,
    status_update_days: Option<u16>,
    policy: Option<&'a str>,
    statements: usize,
    latest: Option<Latest>,
    lacks: Vec<&'static str>,
    updated: Option<Timestamp>,
    sequence: Option<u64>,
    sha256: Option<String>,
    page: Option<String>,
}

#[derive(Serialize)]
struct Cohort<'a> {
    label: &'a str,
    state: &'static str,
    guaranteed_until: Date,
    last_day: Date,
    on_sale: bool,
}

#[derive(Serialize)]
struct Latest {
    version: String,
    date: Date,
}

/// `products.csv`.
pub(crate) fn csv(catalogue: &Catalogue, view: &View<'_>, query: &Query) -> Rendered {
    let since = match since(query) {
        Ok(since) => since,
        Err(refused) => return refused,
    };
    let mut out = COLUMNS.join(",") + "\r\n";
    for product in products(catalogue, view, since) {
        let numbers = if product.gtins.is_empty() { vec![String::new()] } else { product.gtins.clone() };
        for gtin in numbers {
            let cells = row(&product, gtin);
            out.push_str(&cells.map(|cell| field(&cell)).join(","));
            out.push_str("\r\n");
        }
    }
    Rendered::new(CSV, out).kept_as("products.csv")
}

/// `products.json`.
pub(crate) fn all(catalogue: &Catalogue, view: &View<'_>, query: &Query) -> Rendered {
    let since = match since(query) {
        Ok(since) => since,
        Err(refused) => return refused,
    };
    let (as_of, products) = (view.now.date(), products(catalogue, view, since));
    let all = Products { format: "perennial.products/1", as_of, changed_since: since, products };
    json(JSON, &all)
}

/// The parameter `changed-since`; a shop that mistypes it must not take a whole list for the changes, nor none.
fn since(query: &Query) -> Result<Option<Date>, Rendered> {
    let Some(text) = query.get("changed-since") else { return Ok(None) };
    text.parse().map(Some).map_err(|_| Rendered {
        status: 400,
        ..Rendered::new("text/plain; charset=utf-8", "changed-since is a day, such as 2026-11-22\n")
    })
}

fn products<'a>(catalogue: &'a Catalogue, view: &View<'_>, since: Option<Date>) -> Vec<Product<'a>> {
    let changed = |listed: &&Listed| since.is_none_or(|day| changed_since(listed, view, day));
    let listed = catalogue.products().map(AsRef::as_ref).filter(changed);
    let listed = listed.map(|listed| product(listed, view));
    // What has no record has no date either, so it is told of whatever the day.
    listed.chain(catalogue.unpromised.iter().map(|name| without_record(name.as_str()))).collect()
}

/// Whether a shop that looked on `day` has to look again: the record changed since, or the calendar changed what it means.
fn changed_since(listed: &Listed, view: &View<'_>, day: Date) -> bool {
    let then = View { now: day.end(), ..*view };
    let says = |view: &View<'_>| {
        let status = standing(listed, view, None);
        (status.state, status.until, status.ended_on)
    };
    listed.record.updated().date() >= day || says(&then) != says(view)
}

/// What a trader should ask the maker for.
pub(crate) fn lacks(listed: &Listed) -> Vec<&'static str> {
    let record = &listed.record;
    let statements = record.compliance.as_ref().map_or(0, |compliance| compliance.statements.len());
    let lacks = [
        // A record has both, or it is refused; the rule stands here for readers of the list.
        ("promise", record.promises.is_empty()),
        ("contact", record.contact.contacts.is_empty()),
        ("statement", statements == 0),
        ("maker", record.maker.is_none()),
        ("model", record.model.is_none()),
        ("gtin", record.model.as_ref().is_none_or(|model| model.gtins().next().is_none())),
    ];
    lacks.into_iter().filter(|(_, lacking)| *lacking).map(|(what, _)| what).collect()
}

fn product<'a>(listed: &'a Listed, view: &View<'_>) -> Product<'a> {
    let (record, today) = (&listed.record, view.now.date());
    let (status, model) = (standing(listed, view, None), record.model.as_ref());
    let cohorts = record.cohorts.iter().map(|cohort| {
        let status = standing(listed, view, Some(&cohort.name));
        let (state, guaranteed_until, last_day) = (status.state.as_str(), status.until, last_day(&status));
        let on_sale = cohort.is_on_sale(today);
        (cohort.name.as_str(), Cohort { label: &cohort.label, state, guaranteed_until, last_day, on_sale })
    });
    Product {
        product: record.product.as_str(),
        name: record.display_name(),
        model: model.map(|model| model.designation.as_str()),
        kind: model.map(|model| model.kind.as_str()),
        maker: record.maker.as_ref().map(|maker| maker.party.name.as_str()),
        gtins: model.into_iter().flat_map(Model::gtins).map(|gtin: Gtin| gtin.to_string()).collect(),
        identifiers: model.map_or(&[], |model| &model.identifiers),
        state: Some(status.state.as_str()),
        guaranteed_until: Some(status.until),
        last_day: Some(last_day(&status)),
        on_sale: is_on_sale(listed, today),
        cohorts: cohorts.collect(),
        automatic_updates: model.map(|model| model.automatic_updates),
        replaced_not_updated: record.is_replaced_not_updated(),
        contacts: &record.contact.contacts,
        acknowledgement_days: Some(record.contact.acknowledgement_days),
        status_update_days: Some(record.contact.status_update_days),
        policy: record.contact.policy.as_deref(),
        statements: record.compliance.as_ref().map_or(0, |compliance| compliance.statements.len()),
        latest: listed.latest().map(|update| Latest {
            version: update.release.version.to_string(),
            date: update.release.created.date(),
        }),
        lacks: lacks(listed),
        updated: Some(record.updated()),
        sequence: Some(record.sequence),
        sha256: Some(listed.sha256.to_string()),
        page: Some(view.address(&page(listed))),
    }
}

/// Whether any unit is being placed on the market; a record without cohorts doesn't say that it is not.
pub(crate) fn is_on_sale(listed: &Listed, today: Date) -> bool {
    let cohorts = &listed.record.cohorts;
    cohorts.is_empty() || cohorts.iter().any(|cohort| cohort.is_on_sale(today))
}

/// A product that has releases, and no record of what was promised.
fn without_record(name: &str) -> Product<'_> {
    Product {
        product: name,
        name,
        model: None,
        kind: None,
        maker: None,
        gtins: Vec::new(),
        identifiers: &[],
        state: None,
        guaranteed_until: None,
        last_day: None,
        on_sale: true,
        cohorts: BTreeMap::new(),
        automatic_updates: None,
        replaced_not_updated: false,
        contacts: &[],
        acknowledgement_days: None,
        status_update_days: None,
        policy: None,
        statements: 0,
        latest: None,
        lacks: vec!["promise", "contact", "statement", "maker", "model", "gtin"],
        updated: None,
        sequence: None,
        sha256: None,
        page: None,
    }
}

fn row(product: &Product<'_>, gtin: String) -> [String; COLUMNS.len()] {
    let text = |value: Option<&str>| value.unwrap_or_default().to_owned();
    let day = |value: Option<Date>| value.map_or(String::new(), |day| day.to_string());
    let number = |value: Option<u16>| value.map_or(String::new(), |number| number.to_string());
    let yes = |value: bool| if value { "yes".to_owned() } else { "no".to_owned() };
    let record = product.sequence.zip(product.sha256.as_ref());
    [
        gtin,
        product.product.into(),
        product.name.into(),
        text(product.model),
        text(product.kind),
        text(product.maker),
        text(product.state),
        day(product.guaranteed_until),
        day(product.last_day),
        yes(product.on_sale),
        product.automatic_updates.map_or(String::new(), yes),
        yes(product.replaced_not_updated),
        product.contacts.first().cloned().unwrap_or_default(),
        number(product.acknowledgement_days),
        number(product.status_update_days),
        text(product.policy),
        product.statements.to_string(),
        product.latest.as_ref().map_or(String::new(), |latest| latest.version.clone()),
        day(product.latest.as_ref().map(|latest| latest.date)),
        product.lacks.join(" "),
        product.updated.map_or(String::new(), |at| at.to_string()),
        record.map_or(String::new(), |(sequence, sha256)| format!("{sequence}:{sha256}")),
        product.page.clone().unwrap_or_default(),
    ]
}

/// A cell. Spreadsheets calculate what begins with one of these signs, whatever the quotes: an apostrophe in front makes
/// it the text that it is (OWASP, CSV injection).
fn field(text: &str) -> String {
    const FORMULA: [char; 10] = ['=', '+', '-', '@', '\t', '\r', '＝', '＋', '－', '＠'];
    let text = plain(text);
    let guard = if text.starts_with(FORMULA) { "'" } else { "" };
    let quoted = text.contains([',', '"', '\n', '\r', '\t']) || text.starts_with(' ') || text.ends_with(' ');
    if quoted { format!("\"{guard}{}\"", text.replace('"', "\"\"")) } else { format!("{guard}{text}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_cell_is_a_formula_and_every_cell_can_be_read_back() {
        for (text, cell) in [
            ("plain", "plain"),
            ("=HYPERLINK(\"http://x\")", "\"'=HYPERLINK(\"\"http://x\"\")\""),
            ("+1", "'+1"),
            ("-1", "'-1"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("\t=1", "\"'\t=1\""),
            ("＝1", "'＝1"),
            ("a, b", "\"a, b\""),
            ("two\nlines", "\"two\nlines\""),
            ("a \"b\"\u{7}", "\"a \"\"b\"\"\""),
            ("", ""),
        ] {
            assert_eq!(field(text), cell);
        }
    }
}
