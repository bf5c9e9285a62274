//! Answers kept ready: each is rendered when it is first asked for, and then answered like a file until what it says may
//! change. It decides until when that is; nothing is rendered before somebody asks.

use super::packed::Model;
use super::rendered::HTML;
use super::routes::{self, Query};
use super::shelf::{Kept, Key, Shelf};
use super::{Catalogue, Face, Rendered, View, words};
use crate::blobs::digest_of;
use crate::site::{Caching, Content, Entry, Kind};
use bytes::Bytes;
use hyper::header::HeaderValue;
use perennial_schemas::Timestamp;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// An answer, ready to be sent.
#[derive(Debug, Clone)]
pub(crate) struct Ready {
    pub(crate) status: u16,
    pub(crate) entry: Entry,
    pub(crate) language: Option<HeaderValue>,
    pub(crate) disposition: Option<HeaderValue>,
    pub(crate) location: Option<HeaderValue>,
}

/// The pages of a generation.
#[derive(Debug)]
pub(crate) struct Pages {
    pub(crate) catalogue: Catalogue,
    face: Face,
    caching: Caching,
    shelf: Mutex<Shelf>,
}

impl Pages {
    /// Pages of a catalogue, on a server with this face.
    pub(crate) fn new(catalogue: Catalogue, face: Face, caching: &Caching) -> Self {
        let shelf = Shelf::new(Timestamp::EPOCH..Timestamp::EPOCH);
        Self { catalogue, face, caching: caching.clone(), shelf: Mutex::new(shelf) }
    }

    /// Whether a path may be one of the pages': all others need not ask.
    pub(crate) fn concern(path: &str) -> bool {
        path == "/"
            || path.starts_with("/support")
            || path.starts_with("/01/")
            || path.starts_with("/.well-known/")
    }

    /// The answer at a path.
    pub(crate) fn find(
        &self,
        path: &str,
        query: Option<&str>,
        accept_language: Option<&str>,
        now: Timestamp,
    ) -> Option<Arc<Ready>> {
        let feed = routes::feed(path).map(|path| (path, None, None));
        let (path, query, accept_language) = feed.unwrap_or((path, query, accept_language));
        // A search is asked once.
        let keep = query.is_none_or(|query| query.len() <= 64 && !query.contains("q="));
        let named = query.and_then(|query| Query::read(Some(query)).get("lang").map(str::to_owned));
        let language = words::chosen(named.as_deref(), accept_language).code;
        let key: Key = (path.into(), query.unwrap_or_default().into(), language);
        let kept = if keep { self.shelf(now).get(&key) } else { None };
        if let Some(kept) = kept {
            return Some(kept.ready(&self.caching));
        }
        let rendered = self.catalogue.answer(path, query, accept_language, &self.view(now))?;
        let (body, is_page) = (rendered.body.clone(), rendered.language.is_some());
        let ready = Arc::new(Ready::new(path, rendered, &self.caching));
        if keep && ready.status == 200 {
            let kept = if is_page {
                Kept::page(&ready, &body, language, self.model(language, now))
            } else {
                Kept::Whole(Arc::clone(&ready))
            };
            self.shelf(now).put(key, kept);
        }
        Some(ready)
    }

    fn view(&self, now: Timestamp) -> View<'_> {
        self.catalogue.view(now, &self.face)
    }

    /// What pages in a language have in common: the page of any product shows it.
    fn model(&self, language: &'static str, now: Timestamp) -> Arc<Model> {
        let known = self.shelf(now).models.get(language).cloned();
        known.unwrap_or_else(|| {
            let any = self.catalogue.products().next();
            let path = any.map_or_else(|| "/support/".into(), |listed| super::feeds::page(listed));
            let page = self.catalogue.answer(&path, None, Some(language), &self.view(now));
            let model = Arc::new(Model::new(&page.map(|page| page.body).unwrap_or_default()));
            self.shelf(now).models.insert(language, Arc::clone(&model));
            model
        })
    }

    /// The shelf, emptied if anything on it may no longer be right.
    fn shelf(&self, now: Timestamp) -> MutexGuard<'_, Shelf> {
        let mut shelf = self.shelf.lock().unwrap_or_else(PoisonError::into_inner);
        if !shelf.right.contains(&now) {
            *shelf = Shelf::new(self.catalogue.unchanged(now));
        }
        shelf
    }
}

impl Ready {
    pub(super) fn new(path: &str, rendered: Rendered, caching: &Caching) -> Self {
        let (digest, length) = (digest_of(&rendered.body), rendered.body.len() as u64);
        let kind = if rendered.language.is_some() { Kind::Page } else { Kind::Feed };
        let mut entry = Entry::new(path, kind, Content::Memory(rendered.body), length, &digest, caching);
        entry.media = HeaderValue::from_static(rendered.content_type);
        // Names come from validated ones; whatever no header can hold is left out.
        let field = |text: String| HeaderValue::try_from(text).ok();
        Self {
            status: rendered.status,
            entry,
            language: rendered.language.map(HeaderValue::from_static),
            disposition: rendered
                .file_name
                .and_then(|name| field(format!("attachment; filename=\"{name}\""))),
            location: rendered.location.and_then(field),
        }
    }

    /// A page for people, with the entity tag that it got when it was rendered.
    pub(super) fn page(body: Bytes, etag: HeaderValue, language: &'static str, caching: &Caching) -> Self {
        let length = body.len() as u64;
        let (media, cache) = (HeaderValue::from_static(HTML), caching.fresh.clone());
        let entry = Entry { content: Content::Memory(body), length, etag, media, cache, kind: Kind::Page };
        let language = Some(HeaderValue::from_static(language));
        Self { status: 200, entry, language, disposition: None, location: None }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Listed;
    use super::super::feeds::tests::rich;
    use super::super::tests::{date, listed};
    use super::*;
    use std::time::Duration;

    const BASE: &str = "https://updates.maker.example";

    fn pages(catalogue: Catalogue) -> Pages {
        let hour = Duration::from_secs(3600);
        Pages::new(catalogue, Face { base: BASE.into(), ..Face::default() }, &Caching::new(hour, hour))
    }

    fn body(ready: &Ready) -> &[u8] {
        match &ready.entry.content {
            Content::Memory(bytes) => bytes,
            Content::Blob(_) => panic!("pages are in memory"),
        }
    }

    #[test]
    fn a_page_that_was_kept_is_the_page_that_was_rendered() {
        let (pages, now) = (pages(Catalogue::of([listed(), rich()])), date("2026-11-22").start());
        for path in
            ["/support/", "/support/audit", "/support/glow", "/support/glow/y2026", "/support/thermostat"]
        {
            for language in ["en", "de", "ar"] {
                let find = || pages.find(path, None, Some(language), now).unwrap();
                let (rendered, kept) = (find(), find());
                assert!(!Arc::ptr_eq(&rendered, &kept), "{path} in {language} isn't packed");
                assert_eq!(body(&rendered), body(&kept), "{path} in {language}");
                let fields = |ready: &Ready| {
                    [&ready.entry.etag, &ready.entry.media, &ready.entry.cache].map(Clone::clone)
                };
                assert_eq!(fields(&rendered), fields(&kept), "{path} in {language}");
                assert_eq!((rendered.status, rendered.entry.length), (kept.status, kept.entry.length));
                assert_eq!((rendered.entry.kind, &rendered.language), (kept.entry.kind, &kept.language));
                let key = (path.into(), "".into(), language);
                assert!(pages.shelf(now).get(&key).is_some(), "{path} in {language} isn't kept");
            }
        }
    }

    #[test]
    fn what_is_kept_is_right_to_the_second() {
        let noon = date("2026-11-22").start().plus_seconds(12 * 3600);
        let mut catalogue = Catalogue::of([Listed { signed_until: noon, ..listed() }, rich()]);
        catalogue.held_until = Some(noon.plus_seconds(60));
        let pages = pages(catalogue);
        let mut seen = std::collections::BTreeSet::new();
        // To midnight and past it, and then to a clock that was set back.
        for seconds in [-1, 0, 1, 2, 60, 61, 43_199, 43_200, 90_000, 0] {
            let now = noon.plus_seconds(seconds);
            for path in ["/support/thermostat", "/support/audit", "/.well-known/security.txt"] {
                let right = pages.catalogue.answer(path, None, None, &pages.view(now)).unwrap();
                for _ in 0..2 {
                    let ready = pages.find(path, None, None, now).unwrap();
                    assert_eq!(body(&ready), &right.body[..], "{path} {seconds} seconds after noon");
                }
                seen.insert(right.body);
            }
        }
        assert!(seen.len() > 5, "the pages change in that time");
    }
}
