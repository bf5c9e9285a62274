//! One request: the header that is sent, the header that comes back, and the redirects between.

use std::sync::Arc;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{self, HeaderName};
use hyper::{Request, Response, StatusCode};

use super::body::{Body, Head};
use super::connect::{Origin, Sender, connect};
use super::error::HttpError;
use super::send::Exchange;
use super::url::{Scheme, Url};
use super::{Answer, Get, Inner, REDIRECTS, Span};

const AGENT: &str = concat!("perennial-device/", env!("CARGO_PKG_VERSION"));

/// What is sent.
pub(super) enum Ask<'a> {
    /// A file, or a part of it, from this address.
    Get(&'a Url, &'a Get<'a>),
    /// Something with a body.
    Exchange(&'a Exchange<'a>),
}

impl Ask<'_> {
    fn url(&self) -> &Url {
        match self {
            Ask::Get(url, _) => url,
            Ask::Exchange(send) => send.url,
        }
    }
}

/// Asks once, with redirects.
pub(super) async fn ask(inner: &Arc<Inner>, get: &Get<'_>) -> Result<Answer, HttpError> {
    let mut url = get.url.clone();
    for _ in 0..=REDIRECTS {
        let (response, sender) = exchange(inner, &Ask::Get(&url, get)).await?;
        match response.status() {
            StatusCode::OK | StatusCode::PARTIAL_CONTENT => {
                let head = head(&url, get, &response)?;
                let kept = (Origin::of(&url), sender);
                let body = Body::new(Arc::clone(inner), response.into_body(), kept, head, get.span);
                return Ok(Answer::Body(Box::new(body)));
            }
            StatusCode::NOT_FOUND | StatusCode::GONE | StatusCode::FORBIDDEN => return Ok(Answer::NotFound),
            StatusCode::NOT_MODIFIED if get.unless.is_some() => {
                inner.keep(Origin::of(&url), sender); // a 304 has no body
                return Ok(Answer::Unchanged);
            }
            status if status.is_redirection() => url = follow(&url, &response)?,
            status => {
                let retry_after = text(&response, header::RETRY_AFTER).and_then(|value| value.parse().ok());
                return Err(HttpError::Status { url, status: status.as_u16(), retry_after });
            }
        }
    }
    Err(HttpError::Redirect { url: get.url.clone(), why: format!("more than {REDIRECTS} times") })
}

/// Sends the request on a kept connection or a new one, and waits for the answer's header.
pub(super) async fn exchange(
    inner: &Inner,
    ask: &Ask<'_>,
) -> Result<(Response<Incoming>, Sender), HttpError> {
    let url = ask.url();
    if let Some(mut sender) = inner.kept(&Origin::of(url)) {
        let ready = tokio::time::timeout(std::time::Duration::from_millis(50), sender.ready()).await;
        if matches!(ready, Ok(Ok(()))) {
            match send(inner, ask, &mut sender).await {
                Ok(response) => return Ok((response, sender)),
                // The server has most likely closed it while nobody looked: ask on a new one.
                Err(HttpError::Broken { .. }) => {}
                Err(other) => return Err(other),
            }
        }
    }
    let limit = inner.limits.connect;
    let mut sender = tokio::select! {
        connected = tokio::time::timeout(limit, connect(inner, url)) => match connected {
            Ok(sender) => sender?,
            Err(_) => return Err(timed_out(url, "connection", limit)),
        },
        () = inner.interrupt.wait() => return Err(HttpError::Interrupted),
    };
    let response = send(inner, ask, &mut sender).await?;
    Ok((response, sender))
}

async fn send(inner: &Inner, ask: &Ask<'_>, sender: &mut Sender) -> Result<Response<Incoming>, HttpError> {
    let limit = inner.limits.header;
    let url = ask.url();
    let request = build(inner, ask)?;
    tokio::select! {
        answer = tokio::time::timeout(limit, sender.send_request(request)) => match answer {
            Ok(response) => response.map_err(|source| HttpError::Broken { url: url.clone(), source }),
            Err(_) => Err(timed_out(url, "answer", limit)),
        },
        () = inner.interrupt.wait() => Err(HttpError::Interrupted),
    }
}

fn build(inner: &Inner, ask: &Ask<'_>) -> Result<Request<Full<Bytes>>, HttpError> {
    let url = ask.url();
    let proxy = inner.proxies.of(url).filter(|_| url.scheme() == Scheme::Http);
    // RFC 9112 §3.2: the absolute form to a proxy, the path alone to a server.
    let target = if proxy.is_some() { url.to_string() } else { url.path().to_owned() };
    let method = match ask {
        Ask::Get(..) => "GET",
        Ask::Exchange(send) => send.method,
    };
    let mut request = Request::builder()
        .method(method)
        .uri(target)
        .header(header::HOST, url.authority())
        .header(header::USER_AGENT, AGENT)
        .header(header::ACCEPT_ENCODING, "identity");
    if let Some(authorization) = proxy.and_then(|proxy| proxy.authorization.as_ref()) {
        request = request.header(header::PROXY_AUTHORIZATION, authorization);
    }
    let mut body = Bytes::new();
    match ask {
        Ask::Get(_, get) => {
            if let Span::Range { from, to } = get.span {
                request = request.header(header::RANGE, format!("bytes={from}-{}", to.saturating_sub(1)));
            }
            if let Some(etag) = get.unless {
                request = request.header(header::IF_NONE_MATCH, etag);
            }
        }
        Ask::Exchange(send) if !send.body.is_empty() => {
            request = request.header(header::CONTENT_TYPE, "application/json");
            body = Bytes::copy_from_slice(send.body);
        }
        Ask::Exchange(_) => {}
    }
    // Every part was checked when the address was read; what remains is a bug of ours, said as a refusal.
    request.body(Full::new(body)).map_err(|error| HttpError::Redirect {
        url: url.clone(),
        why: format!("to where no request fits: {error}"),
    })
}

/// What the header of an answer with a body says, once it fits what was asked.
fn head(url: &Url, get: &Get<'_>, response: &Response<Incoming>) -> Result<Head, HttpError> {
    let url = url.clone();
    if let Some(encoding) = text(response, header::CONTENT_ENCODING)
        && !encoding.eq_ignore_ascii_case("identity")
    {
        return Err(HttpError::Encoded { url, encoding: shown(encoding) });
    }
    let announced = text(response, header::CONTENT_LENGTH).and_then(|value| value.parse::<u64>().ok());
    let whole = response.status() == StatusCode::OK;
    match get.span {
        Span::Whole { max_length } => {
            if announced.is_some_and(|length| length > max_length) {
                return Err(HttpError::TooLong { url, limit: max_length });
            }
            if !whole {
                return Err(HttpError::WrongRange {
                    url,
                    from: 0,
                    answer: "a part that nobody asked for".into(),
                });
            }
        }
        Span::Range { from, to } if whole => {
            if let Some(length) = announced.filter(|length| *length < to) {
                return Err(HttpError::Truncated {
                    url,
                    got: length.saturating_sub(from),
                    expected: to - from,
                });
            }
        }
        Span::Range { from, to } => {
            let answer = text(response, header::CONTENT_RANGE).unwrap_or("no Content-Range");
            let fits = content_range(answer).is_some_and(|(first, last)| first == from && last + 1 == to);
            if !fits || announced.is_some_and(|length| length != to - from) {
                return Err(HttpError::WrongRange { url, from, answer: shown(answer) });
            }
        }
    }
    let etag = text(response, header::ETAG).filter(|etag| etag.len() <= 256).map(str::to_owned);
    Ok(Head { url, etag, announced, whole })
}

/// `bytes 0-99/200` or `bytes 0-99/*` (RFC 9110 §14.4): the first and the last byte.
fn content_range(value: &str) -> Option<(u64, u64)> {
    let (range, total) = value.strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let (first, last) = (first.parse().ok()?, last.parse::<u64>().ok()?);
    let fits = total == "*" || total.parse::<u64>().is_ok_and(|total| last < total);
    (fits && first <= last && last < u64::MAX).then_some((first, last))
}

/// Where a redirect leads. From TLS to plain text is refused: a proxy in between could have sent it.
fn follow(url: &Url, response: &Response<Incoming>) -> Result<Url, HttpError> {
    let refuse = |why: String| HttpError::Redirect { url: url.clone(), why };
    let status = response.status().as_u16();
    if !matches!(status, 301 | 302 | 303 | 307 | 308) {
        return Err(HttpError::Status { url: url.clone(), status, retry_after: None });
    }
    let location = text(response, header::LOCATION).ok_or_else(|| refuse("without saying where".into()))?;
    let next = url.redirected(location).map_err(|error| refuse(format!("to what is no address: {error}")))?;
    if url.scheme() == Scheme::Https && next.scheme() == Scheme::Http {
        return Err(refuse(format!("from TLS to plain text, to {next}")));
    }
    Ok(next)
}

fn text(response: &Response<Incoming>, name: HeaderName) -> Option<&str> {
    response.headers().get(name)?.to_str().ok()
}

/// What a server wrote, fit for a message.
fn shown(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(80).collect()
}

fn timed_out(url: &Url, what: &'static str, limit: std::time::Duration) -> HttpError {
    HttpError::TimedOut { url: url.clone(), what, seconds: limit.as_secs() }
}

#[cfg(test)]
mod tests {
    use super::content_range;

    #[test]
    fn content_ranges() {
        assert_eq!(content_range("bytes 0-99/200"), Some((0, 99)));
        assert_eq!(content_range("bytes 5-5/*"), Some((5, 5)));
        for bad in
            ["", "bytes */200", "bytes 9-5/10", "bytes 0-10/10", "bytes 0-/10", "items 0-1/2", "bytes a-b/c"]
        {
            assert_eq!(content_range(bad), None, "{bad}");
        }
    }
}
