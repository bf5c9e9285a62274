//! The admin plane: on its own listener (loopback by default) for holders of a token, and on a socket in the state
//! folder for commands of the folder's owner. It takes bundles in and shows what is served; it is never reachable
//! through the static plane.

pub(crate) mod client;
pub(crate) mod devices;
mod listen;
mod rate;
mod records;
pub(crate) mod rollouts;
mod routes;
mod tokens;
mod upload;
mod visit;

pub(crate) use listen::{Doors, bind_socket, run, socket_fits};
pub(crate) use rate::Rates;
pub(crate) use records::ENTRIES;
pub(crate) use routes::Whole;
pub(crate) use visit::Visit;

use crate::config::Limits;
use crate::fleet::Plane;
use crate::fleet::lists::ByMaker;
use crate::fleet::status::Summary;
use crate::io::Now;
use crate::keeper::Keeper;
use crate::readiness::Readiness;
use crate::rollout::engine::Engine;
use crate::tls::Certificates;
use crate::tokens::{Book, Over, Right};
use perennial_schemas::Timestamp;
use std::sync::Arc;
use std::time::Duration;

/// Who comes through a door.
#[derive(Clone)]
pub(crate) enum Access {
    /// The state folder's owner: only they can open the socket.
    Owner,
    /// Holders of a token.
    Tokens {
        /// The accepted ones.
        book: Arc<Book>,
        /// They may have an end.
        now: Now,
        /// True where only this machine reaches the door: figures and probes then need no token.
        loopback: bool,
    },
}

/// What requests work with.
#[derive(Clone)]
pub(crate) struct Desk {
    pub(crate) keeper: Arc<Keeper>,
    pub(crate) ready: Arc<Readiness>,
    pub(crate) access: Access,
    /// The connection that a request comes by.
    pub(crate) visit: Visit,
    pub(crate) book: Arc<Book>,
    pub(crate) rates: Arc<Rates>,
    pub(crate) upload: Upload,
    pub(crate) now: Now,
    /// When the server was started.
    pub(crate) started: Timestamp,
    pub(crate) certificates: Option<Arc<Certificates>>,
    /// The fleet plane, where it is served.
    pub(crate) fleet: Option<Arc<Plane>>,
    /// What steers rollouts.
    pub(crate) engine: Arc<Engine>,
}

impl Desk {
    /// When the certificate in use expires.
    fn fleet(&self) -> Option<Summary> {
        self.fleet.as_ref().map(|plane| plane.summary())
    }

    /// Whom the maker's lists revoke.
    fn by_maker(&self) -> ByMaker {
        self.fleet.as_ref().map(|plane| plane.by_maker()).unwrap_or_default()
    }

    fn certificate(&self) -> Option<Timestamp> {
        self.certificates.as_ref()?.expires().map(Timestamp::from_unix)
    }
}

/// What a pushed bundle may have and take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Upload {
    /// Bytes in all.
    pub(crate) most: u64,
    /// The span in which `least` bytes must arrive.
    pub(crate) span: Duration,
    /// See `span`.
    pub(crate) least: u64,
}

impl Upload {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self { most: limits.bundle.0, span: limits.upload.0, least: limits.upload_bytes.0 }
    }
}

/// Why a request isn't let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Barred {
    /// There is no token, or one that isn't accepted.
    Token(Over),
    /// The token's role doesn't allow it.
    Role,
}

impl Access {
    /// The name for the audit of who asks with this `Authorization` field, if they have that right.
    pub(crate) fn actor(&self, authorization: Option<&str>, right: Right) -> Result<String, Barred> {
        match self {
            Self::Owner => Ok("command".into()),
            Self::Tokens { book, now, .. } => {
                let text = authorization.and_then(|field| field.split_once(' '));
                let text =
                    text.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer")).map(|(_, text)| text);
                let tokens = book.tokens();
                let token = text.map_or(Err(Over::Unknown), |text| tokens.holder(text, now()));
                let token = token.map_err(Barred::Token)?;
                if token.role >= right { Ok(format!("token:{}", token.name)) } else { Err(Barred::Role) }
            }
        }
    }

    /// Whether figures and probes are open to anybody who reaches the door.
    pub(crate) fn probes_are_open(&self) -> bool {
        matches!(self, Self::Owner | Self::Tokens { loopback: true, .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::blobs::digest_of;
    use crate::tokens::{Revoked, Token, Tokens};

    #[test]
    fn a_token_opens_what_its_role_allows_until_its_end_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokens.json");
        let token = |name: &str, role, expires: Option<i64>| {
            let expires = expires.map(Timestamp::from_unix);
            Token { name: name.into(), role, sha256: digest_of(name.as_bytes()), created: None, expires }
        };
        let tokens = vec![token("secret", Right::Operator, None), token("over", Right::Publisher, Some(100))];
        let gone = Revoked { sha256: digest_of(b"gone"), at: Timestamp::from_unix(7) };
        Tokens { tokens, revoked: vec![gone] }.save(&path).unwrap();
        let book = Arc::new(Book::load(&path).unwrap());
        let door = |now| Access::Tokens {
            book: Arc::clone(&book),
            now: Arc::new(move || Timestamp::from_unix(now)),
            loopback: true,
        };
        let (door, before) = (door(100), door(99));
        assert_eq!(door.actor(Some("Bearer secret"), Right::Viewer), Ok("token:secret".into()));
        assert_eq!(door.actor(Some("bearer secret"), Right::Operator), Ok("token:secret".into()));
        assert_eq!(door.actor(Some("Bearer secret"), Right::Publisher), Err(Barred::Role));
        for field in [None, Some("Bearer wrong"), Some("Basic secret"), Some("secret"), Some("Bearer ")] {
            assert_eq!(door.actor(field, Right::Viewer), Err(Barred::Token(Over::Unknown)), "{field:?}");
        }
        assert_eq!(before.actor(Some("Bearer over"), Right::Publisher), Ok("token:over".into()));
        let over = |field| door.actor(Some(field), Right::Viewer).unwrap_err();
        assert_eq!(over("Bearer over"), Barred::Token(Over::Expired(Timestamp::from_unix(100))));
        assert_eq!(over("Bearer gone"), Barred::Token(Over::Revoked(Timestamp::from_unix(7))));
        assert_eq!(Access::Owner.actor(None, Right::Publisher), Ok("command".into()));
    }
}
