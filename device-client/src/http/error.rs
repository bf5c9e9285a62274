//! What can go wrong between this agent and a server, and whose fault it is.

use std::io;

use super::url::{NotAUrl, Url};

/// A request that brought nothing usable.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// The text is no address.
    #[error(transparent)]
    Url(#[from] NotAUrl),
    /// The certificates to trust can't be read or used.
    #[error("the certificates to trust can't be used: {0}")]
    Roots(String),
    /// The device's own certificate can't be used.
    #[error("the device's certificate can't be used: {0}")]
    Identity(String),
    /// The proxy that the environment names can't be used.
    #[error("the proxy in {variable} can't be used: {why}")]
    Proxy {
        /// The variable.
        variable: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// The machine lacks what a connection needs.
    #[error("no network runtime")]
    Runtime(#[source] io::Error),
    /// Nobody answers there.
    #[error("{server} can't be reached")]
    Unreachable {
        /// Host and port.
        server: String,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// Who answers there is not who we ask for.
    #[error("{server} can't prove who it is")]
    Tls {
        /// Host and port.
        server: String,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// Somebody answers there, and not in TLS.
    #[error("no TLS is spoken at {server}: is that the right port?")]
    NotTls {
        /// Host and port.
        server: String,
    },
    /// The proxy refuses the tunnel.
    #[error("the proxy {proxy} refuses a tunnel to {server}: {answer}")]
    Tunnel {
        /// The proxy's host and port.
        proxy: String,
        /// The server's host and port.
        server: String,
        /// The first line of its answer.
        answer: String,
    },
    /// The exchange broke off or was no HTTP.
    #[error("the exchange with {url} broke off")]
    Broken {
        /// What was asked for.
        url: Url,
        /// The cause.
        #[source]
        source: hyper::Error,
    },
    /// A step took too long.
    #[error("{url}: no {what} within {seconds} s")]
    TimedOut {
        /// What was asked for.
        url: Url,
        /// What was waited for.
        what: &'static str,
        /// The limit.
        seconds: u64,
    },
    /// The body trickles (TUF's slow retrieval attack).
    #[error("{url} sends too slowly: {got} bytes in {seconds} s, the least is {least}")]
    TooSlow {
        /// What was asked for.
        url: Url,
        /// Bytes that came within the interval.
        got: u64,
        /// Bytes that should have come.
        least: u64,
        /// The interval.
        seconds: u64,
    },
    /// The body is longer than it may be (TUF's endless data attack).
    #[error("{url} is longer than the {limit} bytes that it may have")]
    TooLong {
        /// What was asked for.
        url: Url,
        /// The limit in bytes.
        limit: u64,
    },
    /// The body ended early.
    #[error("{url} ended after {got} of {expected} bytes")]
    Truncated {
        /// What was asked for.
        url: Url,
        /// Bytes that came.
        got: u64,
        /// Bytes that were due.
        expected: u64,
    },
    /// Another answer than the ones that this agent can use.
    #[error("{url} answers {status}")]
    Status {
        /// What was asked for.
        url: Url,
        /// The status code.
        status: u16,
        /// How long the server asks to wait, in seconds.
        retry_after: Option<u64>,
    },
    /// The answer to a range is another range, or is none that can be told.
    #[error("{url} answers bytes {from} and on with {answer}")]
    WrongRange {
        /// What was asked for.
        url: Url,
        /// The first byte that was asked for.
        from: u64,
        /// What came.
        answer: String,
    },
    /// The body is encoded though nobody asked for that.
    #[error("{url} is encoded as {encoding}, though it was asked for as it is")]
    Encoded {
        /// What was asked for.
        url: Url,
        /// The encoding.
        encoding: String,
    },
    /// The agent is asked to end.
    #[error("interrupted")]
    Interrupted,
    /// A redirect that is not followed.
    #[error("{url} redirects {why}")]
    Redirect {
        /// What was asked for.
        url: Url,
        /// Why it is not followed.
        why: String,
    },
}

impl HttpError {
    /// Whether asking again later may help.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Unreachable { .. }
            | Self::Broken { .. }
            | Self::TimedOut { .. }
            | Self::TooSlow { .. }
            | Self::Truncated { .. } => true,
            Self::Status { status, .. } => matches!(status, 408 | 425 | 429 | 500..),
            _ => false,
        }
    }

    /// How long the server asks to wait, in seconds.
    pub fn retry_after(&self) -> Option<u64> {
        match self {
            Self::Status { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}
