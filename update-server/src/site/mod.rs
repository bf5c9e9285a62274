//! What the static plane can answer, as one immutable value: every name with its bytes or its blob, and the header
//! fields that go with it, made once. A change makes a new site, so that readers see the old or the new, never a
//! mixture. It opens nothing and decides nothing about who may read: everything here is public.

pub(crate) mod build;
#[cfg(test)]
mod tests;

use crate::blobs::Digest;
use crate::support::{Catalogue, Face, Pages};
use bytes::Bytes;
use hyper::header::HeaderValue;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// Where an entry's bytes are.
#[derive(Debug, Clone)]
pub enum Content {
    /// In memory: metadata and pages.
    Memory(Bytes),
    /// In the blobs folder: target files.
    Blob(Digest),
}

/// What kind of thing an entry is; decides type and caching.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// TUF metadata whose name holds its version: never changes.
    Versioned,
    /// `timestamp.json`: changes.
    Fresh,
    /// A target file, named by its digest: never changes.
    Target,
    /// A page for people: changes.
    Page,
    /// The same for machines: changes.
    Feed,
}

/// One name's answer.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The bytes.
    pub content: Content,
    /// Their number.
    pub length: u64,
    /// A strong entity tag, made of the content's digest, quoted.
    pub etag: HeaderValue,
    /// The media type.
    pub media: HeaderValue,
    /// `Cache-Control`.
    pub cache: HeaderValue,
    /// The kind.
    pub kind: Kind,
}

/// Everything that one generation answers.
pub type Entries = HashMap<Box<str>, Entry>;

/// What is served now.
#[derive(Debug, Clone)]
pub struct Site {
    /// The number of the generation; 0 before the first.
    pub generation: u64,
    /// Files of the generation, shared between sites that differ in their timestamp only.
    pub files: Arc<Entries>,
    /// What changes without a new generation: the timestamp.
    pub fresh: Entries,
    /// `Cache-Control` of a 404.
    pub missing: HeaderValue,
    /// Pages and feeds, which are made when they are asked for.
    pub(crate) pages: Arc<Pages>,
}

/// How long caches may keep what changes.
#[derive(Debug, Clone)]
pub struct Caching {
    pub(crate) fresh: HeaderValue,
    pub(crate) missing: HeaderValue,
}

impl Caching {
    /// From the two ages of the configuration.
    pub fn new(fresh: Duration, missing: Duration) -> Self {
        let public = |age: Duration| {
            let text = format!("public, max-age={}", age.as_secs());
            HeaderValue::from_maybe_shared(Bytes::from(text)).unwrap_or(HeaderValue::from_static("no-cache"))
        };
        Self { fresh: public(fresh), missing: public(missing) }
    }
}

impl Entry {
    /// An entry for content with that digest.
    pub fn new(
        name: &str,
        kind: Kind,
        content: Content,
        length: u64,
        digest: &Digest,
        caching: &Caching,
    ) -> Self {
        // Half of the digest: 128 bits tell any two versions apart, and a poll carries it both ways.
        let etag = format!("\"{}\"", &digest.to_string()[..32]);
        let etag =
            HeaderValue::from_maybe_shared(Bytes::from(etag)).unwrap_or(HeaderValue::from_static("\"\""));
        let cache = match kind {
            Kind::Versioned | Kind::Target => HeaderValue::from_static("public, max-age=31536000, immutable"),
            Kind::Fresh | Kind::Page | Kind::Feed => caching.fresh.clone(),
        };
        let media = match kind {
            Kind::Page => "text/html; charset=utf-8",
            _ if name.ends_with(".json") => "application/json",
            _ => "application/octet-stream",
        };
        Self { content, length, etag, media: HeaderValue::from_static(media), cache, kind }
    }
}

impl Site {
    /// A site that answers nothing yet.
    pub fn empty(caching: &Caching) -> Self {
        Self {
            generation: 0,
            files: Arc::default(),
            fresh: Entries::new(),
            missing: caching.missing.clone(),
            pages: Arc::new(Pages::new(Catalogue::default(), Face::default(), caching)),
        }
    }

    /// The entry of a request's path, as it stands in the request line.
    pub fn find(&self, path: &str) -> Option<&Entry> {
        if let Some(entry) = self.exact(path) {
            return Some(entry);
        }
        if path.contains('%') {
            let decoded = percent_encoding::percent_decode_str(path).decode_utf8().ok()?;
            return self.exact(&decoded).or_else(|| self.exact(&plain_spelling(&decoded)?));
        }
        self.exact(&plain_spelling(path)?)
    }

    fn exact(&self, path: &str) -> Option<&Entry> {
        self.fresh.get(path).or_else(|| self.files.get(path))
    }
}

/// tough writes the digest of a consistent name before the folder, `<hash>.dir/name`; the specification's and our
/// spelling is `dir/<hash>.name`. The second for the first, if it is one.
fn plain_spelling(path: &str) -> Option<String> {
    let rest = path.strip_prefix("/targets/")?;
    let (hash, rest) = rest.split_once('.')?;
    let (folder, name) = rest.rsplit_once('/')?;
    let is_hash = hash.len() == 64 && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_hash.then(|| format!("/targets/{folder}/{hash}.{name}"))
}
