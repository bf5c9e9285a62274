//! Which address is answered by what: one table for products, one for the whole catalogue.

use super::catalogue::Catalogue;
use super::page::{self, Reader};
use super::words::{Words, english};
use super::{Listed, Rendered, View, audit, feeds};
use perennial_schemas::ProductName;
use perennial_schemas::support::{CohortName, Gtin};

type OfProduct = fn(&Listed, &View<'_>) -> Rendered;
type Page = fn(&Reader<'_>) -> Rendered;
type ProductPage = fn(&Listed, &Reader<'_>) -> Rendered;
type OfCatalogue = fn(&Catalogue, &View<'_>, &Query) -> Rendered;

/// Under `/support/{product}/`. Every name has a dot, which no cohort's name has.
pub(super) const PRODUCT: &[(&str, OfProduct)] = &[
    ("summary.json", feeds::summary::of),
    ("openeox.json", feeds::openeox::of),
    ("endoflife.json", feeds::endoflife::of),
    ("calendar.ics", feeds::calendar::of),
    ("feed.atom", feeds::atom::of),
    ("mud.json", feeds::profile::of),
    ("label.svg", feeds::label::svg::<0>),
    ("label-a7.svg", feeds::label::svg::<1>),
    ("label-a6.svg", feeds::label::svg::<2>),
    ("label.png", feeds::label::png::<0>),
    ("label-a7.png", feeds::label::png::<1>),
    ("label-a6.png", feeds::label::png::<2>),
];

/// Pages under `/support/{product}/`, by the names that no new cohort may have ([`CohortName::RESERVED`]).
const PRODUCT_PAGES: &[(&str, ProductPage)] = &[
    ("cohorts", page::cohorts),
    ("isolate", page::care),
    ("notices", page::notices),
    ("promises", page::promises),
    ("statement", page::statement),
    ("updates", page::updates),
];

/// Pages under `/support/`, by the names that no new product may have ([`ProductName::RESERVED`]).
const PAGES: &[(&str, Page)] = &[("audit", page::audit), ("device-data", page::device_data)];

/// Whole paths. A product of the same name comes first: its address is permanent.
pub(super) const CATALOGUE: &[(&str, OfCatalogue)] = &[
    ("/support/products.csv", feeds::retail::csv),
    ("/support/products.json", feeds::retail::all),
    ("/support/feed.atom", feeds::atom::of_all),
    ("/support/audit.json", audit::json),
    ("/.well-known/security.txt", feeds::contacts::security_txt),
];

/// The parameters of an address, decoded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Query(Vec<(String, String)>);

/// Bytes of a query that are looked at: a search of any reasonable length.
const QUERY_LENGTH: usize = 2048;

impl Query {
    /// Reads `a=1&b=2` as forms send it (WHATWG URL, application/x-www-form-urlencoded). What can't be read is left out.
    pub(crate) fn read(text: Option<&str>) -> Self {
        let text = text.filter(|text| text.len() <= QUERY_LENGTH).unwrap_or_default();
        let decode = |part: &str| {
            let part = part.replace('+', " ");
            percent_encoding::percent_decode_str(&part).decode_utf8_lossy().into_owned()
        };
        let pairs = text.split('&').filter_map(|pair| pair.split_once('='));
        Self(pairs.map(|(name, value)| (decode(name), decode(value))).collect())
    }

    /// The first value of that name.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// The answer at a path, if the path is one of the pages' at all.
pub(super) fn answer(
    catalogue: &Catalogue,
    path: &str,
    query: &Query,
    words: &'static Words,
    view: &View<'_>,
) -> Option<Rendered> {
    at(&Reader::new(catalogue, view, query, path, words))
}

/// The path of a product's feed or label, without closing slashes. It is answered by path and day alone: what else a reader
/// says must not make it be drawn anew.
pub(super) fn feed(path: &str) -> Option<&str> {
    let path = path.trim_end_matches('/');
    let (_, below) = path.strip_prefix("/support/")?.split_once('/')?;
    PRODUCT.iter().any(|(name, _)| *name == below).then_some(path)
}

/// The file that an export has at a path.
pub(super) fn file(catalogue: &Catalogue, path: &str, view: &View<'_>) -> Option<Rendered> {
    let query = Query::default();
    at(&Reader { files: true, ..Reader::new(catalogue, view, &query, path, english()) })
}

fn at(reader: &Reader<'_>) -> Option<Rendered> {
    let (catalogue, view, query, path) = (reader.catalogue, reader.view, reader.query, reader.path);
    if matches!(path, "/" | "/support") {
        return Some(Rendered::redirect(reader.link("/support/")));
    }
    if let Some(number) = path.strip_prefix("/01/") {
        return Some(digital_link(number, reader));
    }
    let feed = CATALOGUE.iter().find(|(address, _)| *address == path).map(|(_, feed)| feed);
    let Some(rest) = path.strip_prefix("/support/") else {
        return feed.map(|feed| feed(catalogue, view, query));
    };
    let (product, below) = rest.split_once('/').unwrap_or((rest, ""));
    if let Some(listed) = product.parse::<ProductName>().ok().and_then(|name| catalogue.get(&name)) {
        return Some(of_product(listed, below, reader));
    }
    if let Some(feed) = feed {
        return Some(feed(catalogue, view, query));
    }
    let page = PAGES.iter().find(|(name, _)| *name == rest).map(|(_, page)| *page);
    Some(match (rest, page) {
        (_, Some(page)) => page(reader),
        ("", None) => page::search(reader),
        _ => page::missing(reader),
    })
}

/// What is below a product. A cohort comes before a page of the same name: its address is permanent.
fn of_product(listed: &Listed, below: &str, reader: &Reader<'_>) -> Rendered {
    let below = below.trim_end_matches('/');
    if let Some((_, feed)) = PRODUCT.iter().find(|(name, _)| *name == below) {
        return feed(listed, reader.view);
    }
    let cohort = below.parse().ok().and_then(|name: CohortName| listed.record.cohort(&name));
    let page = PRODUCT_PAGES.iter().find(|(name, _)| *name == below).map(|(_, page)| *page);
    match (cohort, page) {
        (Some(cohort), _) => page::cohort(listed, cohort, reader),
        (None, Some(page)) => page(listed, reader),
        (None, None) if below.is_empty() => page::product(listed, reader),
        (None, None) => page::nothing_below(listed, reader),
    }
}

/// The address in a label's QR code (GS1 Digital Link: `/01/{gtin}`, perhaps `/10/{batch}`), which leads to the product,
/// or to the units of that batch.
fn digital_link(rest: &str, reader: &Reader<'_>) -> Rendered {
    let (number, qualifiers) = rest.split_once('/').unwrap_or((rest, ""));
    let listed = number.parse::<Gtin>().ok();
    let Some(listed) = listed.and_then(|gtin| reader.catalogue.index.by_gtin(&gtin)) else {
        return page::missing(reader);
    };
    let batch = qualifiers.strip_prefix("10/").map(|rest| rest.split('/').next().unwrap_or_default());
    let batch = batch.map(|batch| percent_encoding::percent_decode_str(batch).decode_utf8_lossy());
    let of_batch =
        |batch| listed.record.cohorts.iter().find(|cohort| cohort.batches.iter().any(|b| *b == batch));
    let path = match batch.and_then(of_batch) {
        Some(cohort) => format!("/support/{}/{}", listed.record.product, cohort.name),
        None => format!("/support/{}", listed.record.product),
    };
    Rendered::redirect(reader.link(&path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_page_beside_cohorts_and_products_has_a_name_that_schemas_reserves() {
        let below: Vec<&str> = PRODUCT_PAGES.iter().map(|(name, _)| *name).collect();
        assert_eq!(below, CohortName::RESERVED);
        let beside: Vec<&str> = PAGES.iter().map(|(name, _)| *name).collect();
        assert_eq!(beside, ProductName::RESERVED);
        // What has another form can't be a name at all.
        let parses = |name: &str| name.parse::<CohortName>().is_ok() || name.parse::<ProductName>().is_ok();
        let of_catalogue = CATALOGUE.iter().filter_map(|(path, _)| path.strip_prefix("/support/"));
        let of_product = PRODUCT.iter().map(|(name, _)| *name).chain(["record.json"]);
        let odd: Vec<&str> = of_catalogue.chain(of_product).filter(|name| parses(name)).collect();
        assert_eq!(odd, [""; 0]);
    }
}
