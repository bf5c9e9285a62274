//! One request with a body, once: no redirects, no second attempt. What the server answers is given back whole, whatever
//! its status.

use std::sync::Arc;

use hyper::{StatusCode, header};

use super::body::{Body, Head};
use super::connect::Origin;
use super::error::HttpError;
use super::url::Url;
use super::{Inner, Span, request};

/// A request with a body in JSON.
#[derive(Debug, Clone, Copy)]
pub struct Exchange<'a> {
    /// `GET`, `POST`, `PUT`, `DELETE`.
    pub method: &'static str,
    /// Where to.
    pub url: &'a Url,
    /// The body; may be empty.
    pub body: &'a [u8],
    /// The most bytes that the answer may have.
    pub max_length: u64,
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// The status.
    pub status: u16,
    /// The body.
    pub body: Vec<u8>,
    /// How long the server asks to wait, in seconds.
    pub retry_after: Option<u64>,
}

/// What came back, its body not read yet.
pub(super) struct Begun {
    pub(super) status: StatusCode,
    pub(super) retry_after: Option<u64>,
    pub(super) body: Body,
}

pub(super) async fn send(inner: &Arc<Inner>, send: &Exchange<'_>) -> Result<Begun, HttpError> {
    let (response, sender) = request::exchange(inner, &request::Ask::Exchange(send)).await?;
    let url = send.url.clone();
    let status = response.status();
    let text = |name| response.headers().get(name).and_then(|value| value.to_str().ok());
    let retry_after = text(header::RETRY_AFTER).and_then(|value| value.parse().ok());
    let announced = text(header::CONTENT_LENGTH).and_then(|value| value.parse::<u64>().ok());
    if announced.is_some_and(|length| length > send.max_length) {
        return Err(HttpError::TooLong { url, limit: send.max_length });
    }
    let kept = (Origin::of(&url), sender);
    let head = Head { url, etag: None, announced, whole: true };
    let span = Span::Whole { max_length: send.max_length };
    let body = Body::new(Arc::clone(inner), response.into_body(), kept, head, span);
    Ok(Begun { status, retry_after, body })
}
