//! Where answers lie until the next reader asks. What it takes is bounded in bytes; pages for people are packed, as they are
//! nearly the same. It renders nothing, and knows for how long what lies there is right only by what it is told.

use super::packed::{Model, Packed};
use super::pages::Ready;
use crate::site::Caching;
use hyper::header::HeaderValue;
use perennial_schemas::Timestamp;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

/// Bytes that are kept in both boxes. What is asked for in turn stays as long as it fits into one of them: measured, a page of
/// a product takes 1 KB, so that the pages of all 24,000 products that a server takes fit, in a language.
const KEPT: usize = 64 << 20;

/// What an answer takes beside its text, in bytes: its key, its header fields, its places in the maps.
const FIELDS: usize = 400;

/// What was asked for: path, query, language.
pub(super) type Key = (Box<str>, Box<str>, &'static str);

/// Two boxes: what is asked for lies in the first; when that is full, it becomes the second, and what lay there goes.
#[derive(Debug)]
pub(super) struct Shelf {
    /// When all that lies here is right: from the first moment until before the second.
    pub(super) right: Range<Timestamp>,
    bytes: usize,
    recent: HashMap<Key, Kept>,
    older: HashMap<Key, Kept>,
    /// What pages in a language have in common.
    pub(super) models: HashMap<&'static str, Arc<Model>>,
}

/// An answer as it is kept.
#[derive(Debug, Clone)]
pub(super) enum Kept {
    /// A feed, a label: as it is.
    Whole(Arc<Ready>),
    /// A page for people.
    Page(Arc<Page>),
}

/// A packed page. All else that its answer has is the same for every page.
#[derive(Debug)]
pub(super) struct Page {
    etag: HeaderValue,
    language: &'static str,
    text: Packed,
    model: Arc<Model>,
}

impl Shelf {
    /// An empty one for that time.
    pub(super) fn new(right: Range<Timestamp>) -> Self {
        Self { right, bytes: 0, recent: HashMap::new(), older: HashMap::new(), models: HashMap::new() }
    }

    pub(super) fn get(&mut self, key: &Key) -> Option<Kept> {
        if let Some(kept) = self.recent.get(key) {
            return Some(kept.clone());
        }
        let (key, kept) = self.older.remove_entry(key)?;
        self.put(key, kept.clone());
        Some(kept)
    }

    pub(super) fn put(&mut self, key: Key, kept: Kept) {
        let size = kept.size() + key.0.len() + key.1.len();
        if self.bytes + size > KEPT / 2 {
            self.older = std::mem::take(&mut self.recent);
            self.bytes = 0;
        }
        self.bytes += size;
        self.recent.insert(key, kept);
    }
}

impl Kept {
    /// A page for people in that language.
    pub(super) fn page(ready: &Ready, body: &[u8], language: &'static str, model: Arc<Model>) -> Self {
        let (etag, text) = (ready.entry.etag.clone(), model.pack(body));
        Self::Page(Arc::new(Page { etag, language, text, model }))
    }

    /// The answer, ready to be sent. Unpacking takes about a microsecond: less than a copy that is kept for it and has left
    /// the processor's cache since.
    pub(super) fn ready(self, caching: &Caching) -> Arc<Ready> {
        match self {
            Self::Whole(ready) => ready,
            Self::Page(page) => {
                let body = page.model.unpack(&page.text);
                Arc::new(Ready::page(body.into(), page.etag.clone(), page.language, caching))
            }
        }
    }

    fn size(&self) -> usize {
        FIELDS
            + match self {
                Self::Whole(ready) => ready.entry.length as usize,
                Self::Page(page) => page.text.size(),
            }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Rendered;
    use super::*;

    fn key(n: usize) -> Key {
        (format!("/support/{n}").into(), "".into(), "en")
    }

    /// Answers of a MiB each, which share their bytes.
    fn shelf(answers: usize) -> Shelf {
        let hour = std::time::Duration::from_secs(3600);
        let rendered = Rendered::new("text/plain", vec![0; 1 << 20]);
        let kept = Kept::Whole(Arc::new(Ready::new("/support/x", rendered, &Caching::new(hour, hour))));
        let mut shelf = Shelf::new(Timestamp::EPOCH..Timestamp::EPOCH);
        (0..answers).for_each(|n| shelf.put(key(n), kept.clone()));
        shelf
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let shelf = shelf(1000);
        let kept = shelf.recent.values().chain(shelf.older.values());
        assert!(kept.map(Kept::size).sum::<usize>() <= KEPT);
        assert!(shelf.older.len() > 20);
    }

    #[test]
    fn what_fits_into_one_box_stays_however_often_it_is_asked_for_in_turn() {
        let mut shelf = shelf(1000);
        let few = 0..KEPT / 2 / (2 << 20);
        for n in few.clone() {
            let (key, kept) = (key(n), shelf.recent.values().next().unwrap().clone());
            shelf.put(key, kept);
        }
        for n in few.cycle().take(1000) {
            assert!(shelf.get(&key(n)).is_some(), "{n}");
        }
    }
}
