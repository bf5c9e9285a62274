//! A request's answer: from the site, as it is at this moment. GET and HEAD only, no request bodies; everything else
//! is refused in a few words. It opens blobs and reads nothing else.

use super::body::{AnswerBody, Payload};
use super::conditional::{Part, part};
use super::guard::Watch;
use super::maps::Maps;
use crate::site::{Content, Entries, Entry, Kind, Site};
use crate::support::Pages;
use crate::support::page::policy;
use crate::support::pages::Ready;
use arc_swap::ArcSwap;
use bytes::Bytes;
use hyper::header::{
    ACCEPT_LANGUAGE, ACCEPT_RANGES, ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_DISPOSITION, CONTENT_LANGUAGE,
    CONTENT_LENGTH, CONTENT_RANGE, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, HeaderValue, LOCATION,
    REFERRER_POLICY, TRANSFER_ENCODING, VARY, X_CONTENT_TYPE_OPTIONS,
};
use hyper::{HeaderMap, Method, Request, Response, StatusCode, Version};
use perennial_schemas::Timestamp;
use std::rc::Rc;
use std::sync::Arc;
use tokio::time::Instant;

/// What an answer is made of, apart from the request.
pub(crate) struct Source<'a> {
    /// What is served.
    pub(crate) site: &'a Site,
    /// The statuses of rollouts.
    pub(crate) rollouts: &'a ArcSwap<Entries>,
    /// Opens blobs.
    pub(crate) maps: &'a Maps,
    /// Whether the server is ready, and why not.
    pub(crate) ready: &'a dyn Fn() -> Result<(), String>,
    /// The time: pages are made for a day.
    pub(crate) now: &'a dyn Fn() -> Timestamp,
}

/// Answers a request. Its header map is used again for the answer, so that a poll needs no other.
pub(crate) fn answer<B>(
    request: &mut Request<B>,
    source: &Source<'_>,
    watch: Rc<Watch>,
    began: Instant,
) -> Response<AnswerBody> {
    let (status, headers, payload) = decide(request, source);
    let mut response = Response::new(AnswerBody::new(payload, watch, began));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

type Decided = (StatusCode, HeaderMap, Payload);

fn decide<B>(request: &mut Request<B>, source: &Source<'_>) -> Decided {
    let head = request.method() == Method::HEAD;
    if request.method() != Method::GET && !head {
        let mut refused = text(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD are answered here\n", head);
        refused.1.insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return closing(refused, request.version());
    }
    if has_body(request.headers()) {
        let refused =
            text(StatusCode::PAYLOAD_TOO_LARGE, "requests have no body here (limit: 0 bytes)\n", head);
        return closing(refused, request.version());
    }
    let path = request.uri().path();
    if path.starts_with("/rollouts/") {
        return match source.rollouts.load().get(path) {
            Some(entry) => found(entry, std::mem::take(request.headers_mut()), head, source.maps),
            // Not kept: it is there a moment after its release, and whoever missed it would wait.
            None => {
                let mut missing = missing(source.site, head);
                missing.1.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
                missing
            }
        };
    }
    match source.site.find(path) {
        Some(entry) => found(entry, std::mem::take(request.headers_mut()), head, source.maps),
        None => match path {
            "/healthz" => probe(StatusCode::OK, "ok\n", head),
            "/readyz" => match (source.ready)() {
                Ok(()) => probe(StatusCode::OK, "ready\n", head),
                // The reason is for the operator's log and admin listener, not for the world.
                Err(_) => probe(StatusCode::SERVICE_UNAVAILABLE, "not ready\n", head),
            },
            _ => match page(request, source) {
                Some(ready) => made(&ready, std::mem::take(request.headers_mut()), head, source.maps),
                None => missing(source.site, head),
            },
        },
    }
}

fn missing(site: &Site, head: bool) -> Decided {
    let mut missing = text(StatusCode::NOT_FOUND, "not found\n", head);
    missing.1.insert(CACHE_CONTROL, site.missing.clone());
    missing
}

/// The page or feed at the request's address, if there is one.
fn page<B>(request: &Request<B>, source: &Source<'_>) -> Option<Arc<Ready>> {
    let uri = request.uri();
    if !Pages::concern(uri.path()) {
        return None;
    }
    let languages = request.headers().get(ACCEPT_LANGUAGE).and_then(|field| field.to_str().ok());
    source.site.pages.find(uri.path(), uri.query(), languages, (source.now)())
}

/// The answer with a page or feed.
fn made(ready: &Ready, headers: HeaderMap, head: bool, maps: &Maps) -> Decided {
    let mut answer = if ready.status == 200 {
        found(&ready.entry, headers, head, maps)
    } else {
        // What isn't there has no other version to compare with.
        found(&ready.entry, HeaderMap::new(), head, maps)
    };
    if answer.0 == StatusCode::OK {
        answer.0 = StatusCode::from_u16(ready.status).unwrap_or(StatusCode::OK);
    }
    for (name, value) in [
        (CONTENT_LANGUAGE, &ready.language),
        (CONTENT_DISPOSITION, &ready.disposition),
        (LOCATION, &ready.location),
    ] {
        if let Some(value) = value {
            answer.1.insert(name, value.clone());
        }
    }
    if ready.language.is_some() {
        answer.1.insert(VARY, HeaderValue::from_static("accept-language"));
    }
    answer
}

fn found(entry: &Entry, mut headers: HeaderMap, head: bool, maps: &Maps) -> Decided {
    // A HEAD shows what a GET without a range would send.
    let wanted = part(&headers, entry.etag.as_bytes(), entry.length, !head);
    headers.clear();
    if entry.kind == Kind::Page {
        // A request has fewer fields: the map would grow twice.
        headers.reserve(12);
    }
    headers.insert(ETAG, entry.etag.clone());
    headers.insert(CACHE_CONTROL, entry.cache.clone());
    if wanted == Part::NotModified {
        return (StatusCode::NOT_MODIFIED, headers, Payload::Empty);
    }
    headers.insert(CONTENT_TYPE, entry.media.clone());
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    if entry.kind == Kind::Page {
        headers.insert(CONTENT_SECURITY_POLICY, policy());
        headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    }
    let (status, from, to) = match wanted {
        Part::Range(from, to) => {
            headers.insert(CONTENT_RANGE, field(format!("bytes {from}-{}/{}", to - 1, entry.length)));
            (StatusCode::PARTIAL_CONTENT, from, to)
        }
        Part::Unsatisfiable => {
            let mut refused =
                text(StatusCode::RANGE_NOT_SATISFIABLE, "the range begins behind the end\n", head);
            refused.1.insert(CONTENT_RANGE, field(format!("bytes */{}", entry.length)));
            return refused;
        }
        Part::Failed => return text(StatusCode::PRECONDITION_FAILED, "another version is served\n", head),
        Part::Whole | Part::NotModified => (StatusCode::OK, 0, entry.length),
    };
    if head {
        headers.insert(CONTENT_LENGTH, HeaderValue::from(entry.length));
        return (status, headers, Payload::Empty);
    }
    match payload(entry, from, to, maps) {
        Ok(payload) => (status, headers, payload),
        Err(error) => {
            tracing::error!(%error, "a blob can't be opened");
            text(StatusCode::INTERNAL_SERVER_ERROR, "this file can't be read now\n", head)
        }
    }
}

fn payload(entry: &Entry, from: u64, to: u64, maps: &Maps) -> Result<Payload, crate::disk::DiskError> {
    // A 64-bit length fits: the content is in memory or mapped into it.
    let (from, to) = (from as usize, to as usize);
    Ok(match &entry.content {
        Content::Memory(bytes) => Payload::Memory(bytes.slice(from..to)),
        Content::Blob(digest) => match maps.open(digest, entry.length)? {
            None => Payload::Empty,
            Some(file) => {
                file.will_need(from, (to - from).min(1 << 20));
                Payload::Mapped { file, from, to }
            }
        },
    })
}

fn has_body(headers: &HeaderMap) -> bool {
    headers.contains_key(TRANSFER_ENCODING) || headers.get(CONTENT_LENGTH).is_some_and(|length| length != "0")
}

fn probe(status: StatusCode, words: &str, head: bool) -> Decided {
    let mut answer = text(status, words, head);
    answer.1.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

fn text(status: StatusCode, words: &str, head: bool) -> Decided {
    let mut headers = HeaderMap::with_capacity(4);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if head {
        headers.insert(CONTENT_LENGTH, HeaderValue::from(words.len()));
        return (status, headers, Payload::Empty);
    }
    (status, headers, Payload::Memory(Bytes::copy_from_slice(words.as_bytes())))
}

/// Ends the connection after the answer: whatever body follows isn't read. HTTP/2 knows no such field.
fn closing(mut refused: Decided, version: Version) -> Decided {
    if version < Version::HTTP_2 {
        refused.1.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    refused
}

fn field(text: String) -> HeaderValue {
    HeaderValue::from_maybe_shared(Bytes::from(text)).unwrap_or(HeaderValue::from_static(""))
}
