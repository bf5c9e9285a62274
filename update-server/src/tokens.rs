//! Who may use the admin listener: bearer tokens, of which the server keeps digests only. It knows roles, not people. Each
//! change is recorded in the audit before it is made.

use crate::audit::{self, Event};
use crate::blobs::{Digest, digest_of};
use crate::disk::{self, DiskError};
use crate::keys::{KeyError, random_token};
use crate::store::{Batch, Store, StoreError};
use arc_swap::ArcSwap;
use perennial_schemas::Timestamp;
use serde::{Deserialize, Deserializer, Serialize};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use utoipa::ToSchema;

/// A thousand tokens fit, and as many that were taken back.
const LIMIT: u64 = 512 << 10;
/// Tokens in all.
const TOKENS: usize = 1_000;
/// Days of a token that has an end: ten years.
pub(crate) const DAYS: u32 = 3_650;
/// Bytes of a name.
const NAME: usize = 64;

/// What a token's holder may do; each role may do what those before it may.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, clap::ValueEnum, ToSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Right {
    /// Look.
    Viewer,
    /// Steer rollouts and devices.
    Operator,
    /// Publish bundles, and make tokens.
    Publisher,
}

impl Right {
    /// As it is written.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Publisher => "publisher",
        }
    }
}

/// One accepted token.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Token {
    /// What the audit calls its holder.
    pub name: String,
    /// What it allows.
    pub role: Right,
    /// SHA-256 of the token's text.
    pub sha256: Digest,
    /// When it was made; `None` for the one that `init` made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<Timestamp>,
    /// When it stops being accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Timestamp>,
}

/// One that was taken back: kept so that its holder can be told.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Revoked {
    /// SHA-256 of the token's text.
    pub sha256: Digest,
    /// When.
    pub at: Timestamp,
}

/// All tokens.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tokens {
    /// Those that are accepted.
    pub tokens: Vec<Token>,
    /// The last that were taken back, the newest last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub revoked: Vec<Revoked>,
}

/// Why a token isn't accepted. Only who has its text is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Over {
    /// Nobody knows it.
    Unknown,
    /// Taken back, at that time.
    Revoked(Timestamp),
    /// At its end, which was then.
    Expired(Timestamp),
}

/// A token that is wanted.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// What the audit is to call its holder: 1 to 64 letters, digits, dots, hyphens and underscores.
    #[schema(min_length = 1, max_length = 64, pattern = "^[A-Za-z0-9._-]+$")]
    pub name: String,
    /// What it is to allow.
    pub role: Right,
    /// For how many days, 1 to 3650; without end where there is none.
    #[schema(minimum = 1, maximum = 3650)]
    #[serde(default, deserialize_with = "whole")]
    pub days: Option<u32>,
}

/// A whole number, also where it is written as 90.0: JSON Schema calls that an integer.
fn whole<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u32>, D::Error> {
    let Some(number) = Option::<serde_json::Number>::deserialize(deserializer)? else { return Ok(None) };
    let float =
        number.as_f64().filter(|float| float.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(float));
    let whole =
        number.as_u64().or(float.map(|float| float as u64)).and_then(|whole| u32::try_from(whole).ok());
    whole.map(Some).ok_or_else(|| serde::de::Error::custom("days: a whole number is expected"))
}

/// A token as it may be shown.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Listed {
    /// See [`Token::name`].
    pub name: String,
    /// See [`Token::role`].
    pub role: Right,
    /// See [`Token::created`].
    #[schema(value_type = Option<String>, format = DateTime)]
    pub created: Option<Timestamp>,
    /// See [`Token::expires`].
    #[schema(value_type = Option<String>, format = DateTime)]
    pub expires: Option<Timestamp>,
    /// True when it isn't accepted any more.
    pub expired: bool,
}

/// A token that was made.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Created {
    /// The token.
    #[serde(flatten)]
    pub token: Listed,
    /// Its text, this once.
    #[serde(rename = "token", skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

/// Why the tokens can't be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum TokensError {
    /// A file operation failed.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The change can't be recorded.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// There is no randomness.
    #[error(transparent)]
    Random(#[from] KeyError),
    /// The file isn't what it should be.
    #[error("{path} can't be understood: {reason}", path = .path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A name that isn't one.
    #[error("`{0}` can't be a token's name")]
    Name(String),
    /// An end that is none.
    #[error("a token is accepted for 1 to {DAYS} days, or without end")]
    Days,
    /// The name is in use.
    #[error("there is a token {0} already")]
    Taken(String),
    /// No such token.
    #[error("there is no token {0}")]
    Unknown(String),
    /// Too many.
    #[error("there are {TOKENS} tokens, which is the limit")]
    TooMany,
}

impl TokensError {
    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Name(_) => "write 1 to 64 letters, digits, dots, hyphens and underscores",
            Self::Days => "say how many days, or leave them out",
            Self::Taken(_) => "choose another name, or revoke that token first",
            Self::Unknown(_) => "`perennial-server token list` shows them",
            Self::TooMany => "revoke those that nobody uses",
            _ => "mend what the system says, then try again",
        }
    }
}

impl Tokens {
    /// Reads the accepted tokens.
    ///
    /// # Errors
    /// When the file can't be read or understood.
    pub fn load(path: &Path) -> Result<Self, TokensError> {
        let text = disk::read(path, LIMIT)?;
        serde_json::from_slice(&text)
            .map_err(|error| TokensError::Malformed { path: path.into(), reason: error.to_string() })
    }

    /// Writes them.
    ///
    /// # Errors
    /// When the file can't be written.
    pub fn save(&self, path: &Path) -> Result<(), DiskError> {
        let mut text = serde_json::to_vec_pretty(self).unwrap_or_default();
        text.push(b'\n');
        disk::replace(path, &text, 0o600)
    }

    /// The holder of a token, by its text, if it is accepted at `now`. Digests are compared, so the time that it takes
    /// tells nothing of the token.
    ///
    /// # Errors
    /// [`Over`]: of a token that there was, whoever has its text is told why it isn't accepted.
    pub fn holder(&self, text: &str, now: Timestamp) -> Result<&Token, Over> {
        let digest = digest_of(text.trim().as_bytes());
        match self.tokens.iter().find(|token| token.sha256 == digest) {
            Some(token) if token.is_over(now) => Err(token.expires.map_or(Over::Unknown, Over::Expired)),
            Some(token) => Ok(token),
            None => {
                let revoked = self.revoked.iter().find(|revoked| revoked.sha256 == digest);
                Err(revoked.map_or(Over::Unknown, |revoked| Over::Revoked(revoked.at)))
            }
        }
    }
}

impl Token {
    fn is_over(&self, now: Timestamp) -> bool {
        self.expires.is_some_and(|expires| expires <= now)
    }

    fn listed(&self, now: Timestamp) -> Listed {
        let Self { name, role, created, expires, .. } = self.clone();
        Listed { name, role, created, expires, expired: self.is_over(now) }
    }
}

/// The tokens of a state folder, which may change while a server runs.
#[derive(Debug)]
pub struct Book {
    path: PathBuf,
    tokens: ArcSwap<Tokens>,
    /// One change at a time.
    changing: Mutex<()>,
}

impl Book {
    /// Reads them.
    ///
    /// # Errors
    /// As with [`Tokens::load`].
    pub fn load(path: &Path) -> Result<Self, TokensError> {
        let tokens = ArcSwap::from_pointee(Tokens::load(path)?);
        Ok(Self { path: path.into(), tokens, changing: Mutex::new(()) })
    }

    /// Those that are accepted.
    pub fn tokens(&self) -> Arc<Tokens> {
        self.tokens.load_full()
    }

    /// All of them, without their digests.
    pub fn list(&self, now: Timestamp) -> Vec<Listed> {
        self.tokens().tokens.iter().map(|token| token.listed(now)).collect()
    }

    /// Makes a token; it is accepted when this returns.
    ///
    /// # Errors
    /// A [`TokensError`]; no token was made then.
    pub fn create(
        &self,
        store: &dyn Store,
        request: &Request,
        actor: &str,
        now: Timestamp,
    ) -> Result<Created, TokensError> {
        let Request { name, role, days } = request.clone();
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
        if !(1..=NAME).contains(&name.len()) || !name.bytes().all(plain) {
            return Err(TokensError::Name(
                name.chars().take(NAME).filter(|char| !char.is_control()).collect(),
            ));
        }
        if days.is_some_and(|days| !(1..=DAYS).contains(&days)) {
            return Err(TokensError::Days);
        }
        let _one = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut tokens = (*self.tokens()).clone();
        if tokens.tokens.iter().any(|token| token.name == name) {
            return Err(TokensError::Taken(name));
        }
        if tokens.tokens.len() >= TOKENS {
            return Err(TokensError::TooMany);
        }
        let text = random_token()?;
        let expires = days.map(|days| now.plus_seconds(i64::from(days) * 86_400));
        let sha256 = digest_of(text.as_bytes());
        let token = Token { name: name.clone(), role, sha256, created: Some(now), expires };
        let listed = token.listed(now);
        tokens.tokens.push(token);
        let until = expires.map_or_else(|| "without end".into(), |expires| expires.to_string());
        let detail = [("name", name), ("role", role.word().into()), ("until", until)];
        self.change(store, tokens, &Event::new(now, actor, "token.created", &detail))?;
        Ok(Created { token: listed, text: Some(text) })
    }

    /// Takes a token back; it isn't accepted any more when this returns.
    ///
    /// # Errors
    /// A [`TokensError`]; it is still accepted then.
    pub fn revoke(
        &self,
        store: &dyn Store,
        name: &str,
        actor: &str,
        now: Timestamp,
    ) -> Result<Listed, TokensError> {
        let _one = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut tokens = (*self.tokens()).clone();
        let at = tokens.tokens.iter().position(|token| token.name == name);
        let unknown =
            || TokensError::Unknown(name.chars().take(NAME).filter(|char| !char.is_control()).collect());
        let token = tokens.tokens.remove(at.ok_or_else(unknown)?);
        tokens.revoked.push(Revoked { sha256: token.sha256, at: now });
        let past = tokens.revoked.len().saturating_sub(TOKENS);
        tokens.revoked.drain(..past);
        let detail = [("name", token.name.clone()), ("role", token.role.word().into())];
        self.change(store, tokens, &Event::new(now, actor, "token.revoked", &detail))?;
        Ok(token.listed(now))
    }

    fn change(&self, store: &dyn Store, tokens: Tokens, event: &Event) -> Result<(), TokensError> {
        audit::commit(store, &Batch::new(), event)?;
        tokens.save(&self.path)?;
        self.tokens.store(Arc::new(tokens));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_whole_and_within_their_limit() {
        let read = |days: &str| {
            let text = format!(r#"{{"name":"a","role":"viewer","days":{days}}}"#);
            serde_json::from_str::<Request>(&text).map(|request| request.days).map_err(|_| ())
        };
        assert_eq!((read("90"), read("90.0"), read("null")), (Ok(Some(90)), Ok(Some(90)), Ok(None)));
        for wrong in ["90.5", "-1", "4294967296", "1e300", "\"90\""] {
            assert_eq!(read(wrong), Err(()), "{wrong}");
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokens.json");
        Tokens::default().save(&path).unwrap();
        let book = Book::load(&path).unwrap();
        let settings = crate::store::Settings::default();
        let store = crate::store::FjallStore::open(&folder.path().join("store"), settings).unwrap();
        let now = Timestamp::from_unix(1_800_000_000);
        let make = |name: &str, days| {
            let request = Request { name: name.into(), role: Right::Viewer, days };
            book.create(&store, &request, "command", now)
        };
        for wrong in [0, 3_651, u32::MAX] {
            assert!(matches!(make("a", Some(wrong)), Err(TokensError::Days)), "{wrong}");
        }
        let made = make("a", Some(3_650)).unwrap();
        assert_eq!(made.token.expires, Some(now.plus_days(3_650)));
        assert_eq!(make("b", None).unwrap().token.expires, None);
    }
}
