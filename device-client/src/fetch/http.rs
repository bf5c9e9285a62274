//! A server's static plane: metadata below one address, targets below another.

#![expect(clippy::disallowed_methods, reason = "this module measures how long a download takes")]

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::{Duration, Instant};

use perennial_device_core::port::{Fetch, FetchError, Sink, Stop};

use crate::error::chain;
use crate::http::{Answer, Get, HttpClient, HttpError, Span, Url, jittered};

/// Files that are kept for conditional requests: the timestamp and some statuses of 32 KiB at most.
const KEPT: usize = 8;
/// Times that a download goes on after it broke off without bringing [`LEAST_PROGRESS`].
const FRUITLESS: u32 = 3;
/// Bytes that an answer must bring to count. A server that breaks off after each byte would otherwise hold a device for
/// ever, away from its next check.
const LEAST_PROGRESS: u64 = 32 * 1024;
/// The longest time of one download, for the same reason. What is staged, or plain, goes on afterwards; only a compressed
/// payload that is streamed begins anew, so this is long.
const LONGEST: Duration = Duration::from_secs(24 * 3600);
/// Before going on.
const PAUSE: Duration = Duration::from_secs(1);

/// A server.
pub struct HttpSource {
    client: HttpClient,
    metadata: Url,
    targets: Url,
    /// What rollout statuses are below; `None`: this source has none.
    statuses: Option<Url>,
    /// `timestamp.json` and rollout statuses as they came last, with their entity tags: a poll that finds nothing new moves a
    /// hundred bytes. The core verifies the bytes again, so a 304 extends nothing.
    kept: BTreeMap<String, Kept>,
}

/// A file as it came last.
struct Kept {
    etag: String,
    bytes: Vec<u8>,
}

impl HttpSource {
    /// A server with `metadata/` and `targets/` below `base`.
    pub fn below(client: HttpClient, base: &Url) -> Self {
        let (metadata, targets) = (base.escaped("metadata"), base.escaped("targets"));
        Self { statuses: Some(base.clone()), ..Self::new(client, metadata, targets) }
    }

    /// A server with metadata and targets anywhere, and no rollout statuses.
    pub fn new(client: HttpClient, metadata: Url, targets: Url) -> Self {
        Self { client, metadata, targets, statuses: None, kept: BTreeMap::new() }
    }

    /// The newest version of a file, asked for conditionally.
    fn poll(&mut self, url: &Url, max_length: u64) -> Result<Option<Vec<u8>>, HttpError> {
        let name = url.to_string();
        let before = self.kept.remove(&name);
        let unless = before.as_ref().map(|kept| kept.etag.as_str());
        match self.client.get(Get { url, span: Span::Whole { max_length }, unless })? {
            Answer::NotFound => Ok(None),
            Answer::Unchanged => {
                let bytes = before.as_ref().map(|kept| kept.bytes.clone());
                self.kept.extend(before.map(|kept| (name, kept)));
                Ok(bytes)
            }
            Answer::Body(body) => {
                let etag = body.etag().map(str::to_owned);
                let bytes = body.collect()?;
                if self.kept.len() >= KEPT {
                    self.kept.clear();
                }
                self.kept.extend(etag.map(|etag| (name, Kept { etag, bytes: bytes.clone() })));
                Ok(Some(bytes))
            }
        }
    }
}

impl Fetch for HttpSource {
    /// `name` is escaped already, as role names are in file names.
    fn metadata(&mut self, name: &str, max_length: u64) -> Result<Option<Vec<u8>>, FetchError> {
        let url = self.metadata.escaped(name);
        let answer = if name == "timestamp.json" {
            self.poll(&url, max_length)
        } else {
            self.client.get_whole(&url, max_length)
        };
        answer.map_err(|error| refused(&error, &self.metadata))
    }

    fn status(&mut self, path: &str, max_length: u64) -> Result<Option<Vec<u8>>, FetchError> {
        let Some(base) = self.statuses.clone() else { return Ok(None) };
        self.poll(&base.file(path), max_length).map_err(|error| refused(&error, &base))
    }

    fn forget(&mut self) {
        self.kept.clear();
    }

    fn target(&mut self, path: &str, max_length: u64) -> Result<Vec<u8>, FetchError> {
        let url = self.targets.file(path);
        let answer =
            self.client.get_whole(&url, max_length).map_err(|error| refused(&error, &self.targets))?;
        answer.ok_or_else(|| FetchError::NotFound { path: path.into() })
    }

    /// Goes on where it broke off, as long as each attempt brings something.
    fn target_range(&mut self, path: &str, range: Range<u64>, sink: Sink<'_>) -> Result<(), FetchError> {
        let url = self.targets.file(path);
        let mut from = range.start;
        let mut fruitless = 0;
        let started = Instant::now();
        while from < range.end {
            let before = from;
            let span = Span::Range { from, to: range.end };
            let broken = match self.client.get(Get { url: &url, span, unless: None }) {
                Ok(Answer::Body(mut body)) => loop {
                    match body.piece() {
                        Ok(Some(_)) if started.elapsed() > LONGEST => {
                            let detail = "the download takes longer than a day".into();
                            return Err(FetchError::Unreachable { place: self.targets.origin(), detail });
                        }
                        Ok(Some(piece)) => {
                            sink(&piece).map_err(|Stop| FetchError::Stopped)?;
                            from += piece.len() as u64;
                        }
                        Ok(None) => break None,
                        Err(error) => break Some(error),
                    }
                },
                Ok(Answer::NotFound | Answer::Unchanged) => {
                    return Err(FetchError::NotFound { path: path.into() });
                }
                Err(error) => return Err(refused(&error, &self.targets)),
            };
            let Some(error) = broken else { continue };
            fruitless = if from - before >= LEAST_PROGRESS { 0 } else { fruitless + 1 };
            if fruitless >= FRUITLESS || !error.is_passing() {
                return Err(refused(&error, &self.targets));
            }
            tracing::debug!(path, from, %error, "going on after a break");
            self.client.sleep(jittered(PAUSE));
        }
        Ok(())
    }
}

fn refused(error: &HttpError, place: &Url) -> FetchError {
    match error {
        HttpError::Unreachable { .. }
        | HttpError::Tls { .. }
        | HttpError::NotTls { .. }
        | HttpError::Tunnel { .. }
        | HttpError::Roots(_)
        | HttpError::Proxy { .. }
        | HttpError::Runtime(_)
        | HttpError::Interrupted
        | HttpError::TimedOut { .. } => {
            FetchError::Unreachable { place: place.origin(), detail: chain(error) }
        }
        HttpError::TooLong { url, limit } => FetchError::TooLong { path: url.to_string(), limit: *limit },
        HttpError::Status { url, status, .. } => {
            FetchError::Answer { path: url.to_string(), detail: format!("the server answers {status}") }
        }
        other => FetchError::Answer { path: place.origin(), detail: chain(other) },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::HttpOptions;
    use std::io::{BufRead, BufReader, Write};
    use std::net::TcpListener;

    /// A server that answers each connection's first request by the next of `answers`, the last one for ever, and
    /// gives the requests' range or `If-None-Match` back.
    fn server(answers: Vec<String>) -> (HttpSource, std::sync::mpsc::Receiver<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url: Url = format!("http://{}/base", listener.local_addr().unwrap()).parse().unwrap();
        let (send, receive) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            for (i, stream) in listener.incoming().enumerate() {
                let mut stream = stream.unwrap();
                let lines = BufReader::new(stream.try_clone().unwrap()).lines().map(Result::unwrap);
                let header: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
                let condition = header.iter().find_map(|line| {
                    let line = line.to_lowercase();
                    line.strip_prefix("range: ").or(line.strip_prefix("if-none-match: ")).map(str::to_owned)
                });
                let path = header[0].split(' ').nth(1).unwrap();
                let _ = send.send(format!("{path} {}", condition.unwrap_or_default()));
                let _ = stream.write_all(answers[i.min(answers.len() - 1)].as_bytes());
            }
        });
        (HttpSource::below(HttpClient::new(HttpOptions::default()).unwrap(), &url), receive)
    }

    #[test]
    fn a_download_goes_on_where_it_broke_off() {
        let part = |from: u32, body: &str| {
            let length = 10 - from;
            format!(
                "HTTP/1.1 206 P\r\nContent-Range: bytes {from}-9/10\r\nContent-Length: {length}\r\n\r\n{body}"
            )
        };
        let (mut source, asked) = server(vec![part(0, "0123"), part(4, "45"), part(6, "6789")]);
        let mut got = Vec::new();
        source
            .target_range("p/a b", 0..10, &mut |piece| {
                got.extend_from_slice(piece);
                Ok(())
            })
            .unwrap();
        assert_eq!(got, b"0123456789");
        let asked: Vec<String> = asked.try_iter().collect();
        let path = "/base/targets/p/a%20b";
        assert_eq!(asked, [0, 4, 6].map(|from| format!("{path} bytes={from}-9")));
    }

    #[test]
    fn breaks_that_bring_nothing_end_it() {
        let nothing = "HTTP/1.1 206 P\r\nContent-Range: bytes 0-9/10\r\nContent-Length: 10\r\n\r\n";
        let (mut source, asked) = server(vec![nothing.into()]);
        let error = source.target_range("p/a", 0..10, &mut |_| Ok(())).unwrap_err();
        assert!(matches!(error, FetchError::Answer { .. }), "{error}");
        assert_eq!(asked.try_iter().count(), FRUITLESS as usize);
    }

    #[test]
    fn breaks_after_each_byte_end_it() {
        let part = |from: u32| {
            format!(
                "HTTP/1.1 206 P\r\nContent-Range: bytes {from}-9/10\r\nContent-Length: {}\r\n\r\nx",
                10 - from
            )
        };
        let (mut source, asked) = server((0..9).map(part).collect());
        assert!(source.target_range("p/a", 0..10, &mut |_| Ok(())).is_err());
        assert_eq!(asked.try_iter().count(), FRUITLESS as usize);
    }

    #[test]
    fn a_sink_that_stops_ends_it() {
        let (mut source, _) = server(vec!["HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n0123456789".into()]);
        let answer = source.target_range("p/a", 2..5, &mut |_| Err(Stop));
        assert_eq!(answer, Err(FetchError::Stopped));
    }

    #[test]
    fn an_unchanged_timestamp_comes_from_memory() {
        let first = "HTTP/1.1 200 OK\r\nETag: \"1\"\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}";
        let (mut source, asked) =
            server(vec![first.into(), "HTTP/1.1 304 N\r\nConnection: close\r\n\r\n".into()]);
        for _ in 0..3 {
            assert_eq!(source.metadata("timestamp.json", 10).unwrap().unwrap(), b"{}");
        }
        let asked: Vec<String> = asked.try_iter().collect();
        assert_eq!(asked[0], "/base/metadata/timestamp.json ");
        assert_eq!(asked[2], "/base/metadata/timestamp.json \"1\"");
    }

    #[test]
    fn what_was_refused_is_asked_for_as_if_it_had_never_come() {
        let first = "HTTP/1.1 200 OK\r\nETag: \"1\"\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}";
        let (mut source, asked) = server(vec![first.into()]);
        source.status("rollouts/p/1.json", 10).unwrap();
        source.forget();
        source.status("rollouts/p/1.json", 10).unwrap();
        source.status("rollouts/p/1.json", 10).unwrap();
        let asked: Vec<String> = asked.try_iter().collect();
        let path = "/base/rollouts/p/1.json ";
        assert_eq!(asked, [path.to_owned(), path.to_owned(), format!("{path}\"1\"")]);
    }

    #[test]
    fn errors_name_the_server() {
        let (mut source, _) = server(vec!["HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n".into()]);
        let error = source.target("p/a", 10).unwrap_err();
        assert!(error.to_string().ends_with("/base/targets/p/a: the server answers 401"), "{error}");
        let (mut source, _) = server(vec!["HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n".into()]);
        assert_eq!(source.target("p/a", 10), Err(FetchError::NotFound { path: "p/a".into() }));
        assert_eq!(source.metadata("2.root.json", 10), Ok(None));
    }
}
