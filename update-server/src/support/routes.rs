//! Which address is answered by what: one table for products, one for the whole catalogue.

use super::catalogue::Catalogue;
use super::page;
use super::{Listed, Rendered, View, audit, feeds};
use perennial_schemas::ProductName;

type OfProduct = fn(&Listed, &View<'_>) -> Rendered;
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
    _language: &'static str,
    view: &View<'_>,
) -> Option<Rendered> {
    let rest = path.strip_prefix("/support/");
    if let Some((product, below)) = rest.map(|rest| rest.split_once('/').unwrap_or((rest, "")))
        && let Some(listed) = product.parse::<ProductName>().ok().and_then(|name| catalogue.get(&name))
    {
        return of_product(listed, below, view);
    }
    let (_, feed) = CATALOGUE.iter().find(|(address, _)| *address == path)?;
    Some(feed(catalogue, view, query))
}

fn of_product(listed: &Listed, below: &str, view: &View<'_>) -> Option<Rendered> {
    if below.is_empty() {
        return Some(Rendered::page(200, "en", page::page(listed, view)));
    }
    let (_, feed) = PRODUCT.iter().find(|(name, _)| *name == below)?;
    Some(feed(listed, view))
}
