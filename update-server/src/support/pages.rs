//! Pages kept ready: each is rendered once a day, and then answered like a file. What is kept is bounded; nothing is
//! rendered before somebody asks.

use super::routes::{self, Query};
use super::{Catalogue, Rendered, words};
use crate::blobs::digest_of;
use crate::site::{Caching, Content, Entry, Kind};
use hyper::header::HeaderValue;
use perennial_schemas::{Date, Timestamp};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Bytes of pages that are kept: some 1,500 pages of 20 KB, or one in thirteen of 20,000 products.
const KEPT: usize = 32 << 20;

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
    base: Box<str>,
    caching: Caching,
    kept: Mutex<Shelf>,
}

/// What was asked for: path, query, language.
type Key = (Box<str>, Box<str>, &'static str);

/// Two boxes: what is asked for lies in the first; when that is full, it becomes the second, and what lay there goes.
#[derive(Debug, Default)]
struct Shelf {
    day: Option<Date>,
    /// Whether anything with signatures had lapsed changes by the second, so answers are kept within an hour only.
    hour: i64,
    bytes: usize,
    recent: HashMap<Key, Arc<Ready>>,
    older: HashMap<Key, Arc<Ready>>,
}

impl Pages {
    /// Pages of a catalogue, on a server with the public address `base`.
    pub(crate) fn new(catalogue: Catalogue, base: &str, caching: &Caching) -> Self {
        Self { catalogue, base: base.into(), caching: caching.clone(), kept: Mutex::default() }
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
        if keep && let Some(ready) = self.shelf(now).get(&key) {
            return Some(ready);
        }
        let view = self.catalogue.view(now, &self.base);
        let rendered = self.catalogue.answer(path, query, accept_language, &view)?;
        let ready = Arc::new(Ready::new(path, rendered, &self.caching));
        if keep && ready.status == 200 {
            self.shelf(now).put(key, Arc::clone(&ready));
        }
        Some(ready)
    }

    fn shelf(&self, now: Timestamp) -> std::sync::MutexGuard<'_, Shelf> {
        let mut shelf = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let (day, hour) = (Some(now.date()), now.unix() / 3600);
        if (shelf.day, shelf.hour) != (day, hour) {
            *shelf = Shelf { day, hour, ..Shelf::default() };
        }
        shelf
    }
}

impl Shelf {
    fn get(&mut self, key: &Key) -> Option<Arc<Ready>> {
        if let Some(ready) = self.recent.get(key) {
            return Some(Arc::clone(ready));
        }
        let ready = self.older.remove(key)?;
        self.put(key.clone(), Arc::clone(&ready));
        Some(ready)
    }

    fn put(&mut self, key: Key, ready: Arc<Ready>) {
        let size = ready.entry.length as usize;
        if self.bytes + size > KEPT / 2 {
            self.older = std::mem::take(&mut self.recent);
            self.bytes = 0;
        }
        self.bytes += size;
        self.recent.insert(key, ready);
    }
}

impl Ready {
    fn new(path: &str, rendered: Rendered, caching: &Caching) -> Self {
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
}
