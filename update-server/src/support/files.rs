//! The pages and feeds of a catalogue as files, for a site export: a plain web server answers from them. In English, and
//! without what needs a server: search, other languages, lists in parts.

use super::routes;
use super::{Catalogue, Rendered, View};
use perennial_schemas::ProductName;
use perennial_schemas::support::CohortName;

/// Hands over every file with its path below the site's root, one at a time: nothing but it is held in memory.
///
/// # Errors
/// The first that `write` returns.
pub(crate) fn each<E>(
    catalogue: &Catalogue,
    view: &View<'_>,
    mut write: impl FnMut(&str, &[u8]) -> Result<(), E>,
) -> Result<(), E> {
    if catalogue.products().next().is_none() {
        return Ok(());
    }
    let mut put = |address: &str, file: &str| match routes::file(catalogue, address, view) {
        Some(Rendered { status: 200, body, .. }) => write(file.trim_start_matches('/'), &body),
        _ => Ok(()),
    };
    put("/support/", "/support/index.html")?;
    for page in ProductName::RESERVED {
        put(&format!("/support/{page}"), &format!("/support/{page}/index.html"))?;
    }
    for (feed, _) in routes::CATALOGUE {
        put(feed, feed)?;
    }
    for listed in catalogue.products() {
        let own = format!("/support/{}", listed.record.product);
        put(&own, &format!("{own}/index.html"))?;
        let cohorts = listed.record.cohorts.iter().map(|cohort| cohort.name.as_str());
        for below in CohortName::RESERVED.iter().copied().chain(cohorts) {
            put(&format!("{own}/{below}"), &format!("{own}/{below}/index.html"))?;
        }
        for (feed, _) in routes::PRODUCT {
            put(&format!("{own}/{feed}"), &format!("{own}/{feed}"))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::feeds::tests::rich;
    use super::super::tests::view;
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn every_link_of_an_exported_page_leads_to_an_exported_file() {
        let catalogue = Catalogue::of([rich()]);
        let mut files: BTreeMap<String, Vec<u8>> = BTreeMap::new();
        let kept: Result<(), ()> = each(&catalogue, &view("2027-06-15"), |path, bytes| {
            files.insert(path.into(), bytes.to_vec());
            Ok(())
        });
        assert_eq!(kept, Ok(()));
        assert!(files.contains_key("support/glow/y2026/index.html"), "{:?}", files.keys());
        for (path, bytes) in files.iter().filter(|(path, _)| path.ends_with(".html")) {
            let html = String::from_utf8(bytes.clone()).unwrap();
            assert!(
                !html.contains("?lang=") && !html.contains("<form") && !html.contains("?page="),
                "{path}"
            );
            for attribute in ["href=\"/", "src=\"/"] {
                for link in html.split(attribute).skip(1).map(|rest| rest.split('"').next().unwrap()) {
                    let page = format!("{}/index.html", link.trim_end_matches('/'));
                    assert!(files.contains_key(link) || files.contains_key(&page), "{path}: {link}");
                }
            }
        }
    }
}
