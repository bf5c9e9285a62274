//! `/.well-known/security.txt` (RFC 9116): where to report a weakness in any product here, from the contacts of their
//! records. It expires when the first of those records has to be signed again, so that a file that nobody renews is
//! never believed for longer than the records in it.

use super::{Listed, Rendered, View, absent, plain};
use crate::generation::Generation;
use crate::support::catalogue::{Catalogue, signed_until};
use crate::support::routes::Query;
use perennial_schemas::Timestamp;
use std::collections::BTreeMap;

const MEDIA: &str = "text/plain; charset=utf-8";

/// Contacts in the file, those of the most products first. RFC 9116 (5.4) suggests that readers take 32 KB: 32 addresses of
/// at most 500 bytes, and as many policies and keys at a third of that, fit. The page of each product has its own.
const ADDRESSES: usize = 24;

/// The file; 404 where there is nothing to report about.
pub(crate) fn security_txt(catalogue: &Catalogue, view: &View<'_>, _: &Query) -> Rendered {
    let ends = catalogue.products().map(|listed| listed.signed_until);
    let Some(expires) = expires(ends, view.now) else {
        return absent("no product is listed here yet\n");
    };
    let mut lines = vec![
        "# Each product's own page under /support/ says what a reporter may expect, and when.".to_owned(),
    ];
    let mut add = |name: &str, values: Vec<&str>| {
        lines.extend(values.into_iter().map(|value| format!("{name}: {}", plain(value).replace('\n', " "))));
    };
    add(
        "Contact",
        common(catalogue, |listed| listed.record.contact.contacts.iter().map(String::as_str).collect()),
    );
    let expires = expires.to_string();
    add("Expires", vec![&expires]);
    add(
        "Encryption",
        common(catalogue, |listed| listed.record.contact.encryption.as_deref().into_iter().collect()),
    );
    add("Policy", common(catalogue, |listed| listed.record.contact.policy.as_deref().into_iter().collect()));
    let languages =
        common(catalogue, |listed| listed.record.contact.languages.iter().map(String::as_str).collect())
            .join(", ");
    if !languages.is_empty() {
        // At most one line of it (2.5.8).
        add("Preferred-Languages", vec![&languages]);
    }
    let own = view.address("/.well-known/security.txt");
    if own.starts_with("https://") {
        add("Canonical", vec![&own]);
    }
    Rendered::new(MEDIA, lines.join("\n") + "\n")
}

/// As expiries name the file; no role is called so, as a dot is in no product's name.
pub(crate) const SECURITY_TXT: &str = "security.txt";

/// When each thing in a generation expires that somebody must renew: its roles, and this file with the first of them.
pub(crate) fn ends(generation: &Generation, now: Timestamp) -> BTreeMap<String, Timestamp> {
    let records = generation.support.keys().map(|product| signed_until(generation, product));
    let own = expires(records, now).map(|end| (SECURITY_TXT.to_owned(), end));
    generation.expiries.clone().into_iter().chain(own).collect()
}

/// Days before the file expires on which somebody should have seen to it.
pub(crate) const NOTICE_DAYS: i64 = 14;

/// What keeps the file from being of use to a reader, and what to do about it. `generation` is what is served, where
/// anything is; `base` is the server's public address, or empty.
pub(crate) fn doubts(generation: Option<&Generation>, base: &str, now: Timestamp) -> Vec<[String; 2]> {
    let mut doubts = Vec::new();
    let mut doubt = |what: String, hint: &str| doubts.push([what, hint.to_owned()]);
    let address = "set serve.public to the address under which the world reaches this server: https://updates.maker.example";
    if base.is_empty() {
        let what =
            "security.txt can't say which address it belongs to (RFC 9116, 2.5.2), as serve.public isn't set";
        doubt(what.into(), address);
    } else if !base.starts_with("https://") {
        doubt(
            format!("security.txt counts over https only (RFC 9116, 3), and serve.public is {base}"),
            address,
        );
    }
    let own = generation.and_then(|generation| ends(generation, now).remove(SECURITY_TXT));
    let renew = "the signers of the product whose record runs out first must sign again; perennial-server status names it";
    match own {
        None => doubt(
            "there is no security.txt: no product with a support record is served, so nobody is named as a contact"
                .into(),
            "ingest a bundle with one: perennial-signer product add makes a record with its contact",
        ),
        Some(end) if end < now => {
            doubt(format!("security.txt expired at {end}, and nobody may rely on it (RFC 9116, 2.5.5)"), renew)
        }
        Some(end) if end < now.plus_days(NOTICE_DAYS) => doubt(format!("security.txt expires at {end}"), renew),
        Some(_) => {}
    }
    doubts
}

/// When the file of these products expires, by when the signatures on their records do: with the first that its maker
/// still renews, or else with the last. `None` without products.
fn expires(ends: impl Iterator<Item = Timestamp> + Clone, now: Timestamp) -> Option<Timestamp> {
    ends.clone().filter(|end| now <= *end).min().or_else(|| ends.max())
}

/// What products have in common, what most have first, without repetitions.
fn common<'a>(catalogue: &'a Catalogue, of: impl Fn(&'a Listed) -> Vec<&'a str>) -> Vec<&'a str> {
    let mut counted: BTreeMap<&str, usize> = BTreeMap::new();
    for value in catalogue.products().flat_map(|listed| of(listed)) {
        *counted.entry(value).or_default() += 1;
    }
    let mut values: Vec<(&str, usize)> = counted.into_iter().collect();
    values.sort_by_key(|(value, count)| (std::cmp::Reverse(*count), *value));
    values.truncate(ADDRESSES);
    values.into_iter().map(|(value, _)| value).collect()
}
