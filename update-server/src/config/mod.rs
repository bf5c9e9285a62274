//! The configuration file: what it may say, its defaults, and what can't stand together. It reads no file itself,
//! and it never lets a key that it doesn't know pass.

pub mod fleet;
mod keys;
mod spell;
mod store;
#[cfg(test)]
mod tests;
mod units;

pub use fleet::Fleet;
pub use keys::{KEYS, Key, reference};
pub use store::Store;
use units::addresses;
pub use units::{Size, Span};

use serde::Deserialize;
use std::net::SocketAddr;
use std::path::PathBuf;

/// The whole configuration; see [`KEYS`] for what each key means.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The state folder.
    pub state: PathBuf,
    /// Where the static plane listens.
    #[serde(default)]
    pub serve: Serve,
    /// Certificates.
    #[serde(default)]
    pub tls: Tls,
    /// The admin listener.
    #[serde(default)]
    pub admin: Admin,
    /// The online timestamp.
    #[serde(default)]
    pub timestamp: Timestamp,
    /// What stays on the disk.
    #[serde(default)]
    pub keep: Keep,
    /// Where the records are.
    #[serde(default)]
    pub store: Store,
    /// What caches may keep.
    #[serde(default)]
    pub cache: Cache,
    /// Limits against hostile or broken clients.
    #[serde(default)]
    pub limits: Limits,
    /// Devices with an identity.
    #[serde(default)]
    pub fleet: Fleet,
    /// Staged rollouts.
    #[serde(default)]
    pub rollout: Rollout,
    /// Logging.
    #[serde(default)]
    pub log: Log,
}

/// `[serve]`
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Serve {
    /// Plain HTTP addresses.
    #[serde(deserialize_with = "addresses")]
    pub plain: Vec<SocketAddr>,
    /// TLS addresses.
    #[serde(deserialize_with = "addresses")]
    pub tls: Vec<SocketAddr>,
    /// Serving threads, 0 for one a core.
    pub cores: usize,
    /// The address under which readers reach it.
    pub public: String,
}

/// `[tls]`
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Tls {
    /// PEM chain.
    pub certificate: Option<PathBuf>,
    /// PEM key.
    pub key: Option<PathBuf>,
    /// TLS 1.2 as well.
    pub allow_tls12: bool,
    /// Interval of looking for a renewed certificate.
    pub reload: Span,
}

/// `[admin]`
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Admin {
    /// The address as written; empty for none. [`Config::admin_address`] parses it.
    pub listen: String,
    /// Serve it over TLS.
    pub tls: bool,
    /// Requests a second of one token.
    pub rate: u32,
}

/// `[timestamp]`
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Timestamp {
    /// Lifetime of a signed timestamp.
    pub validity: Span,
    /// Age at which it is renewed.
    pub renew_after: Option<Span>,
}

/// `[keep]`
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Keep {
    /// Generations, the served one among them; 0 for all.
    pub generations: u64,
}

/// `[cache]`
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Cache {
    /// `max-age` of what changes.
    pub fresh: Span,
    /// `max-age` of a 404.
    pub missing: Span,
}

/// `[rollout]`
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rollout {
    /// Check-ins that a device may miss before it counts as silent.
    pub silence: u32,
}

/// `[limits]`
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Open connections in all.
    pub connections: usize,
    /// Open connections of one address; 0 for no limit.
    pub connections_per_address: usize,
    /// Time for a TLS handshake.
    pub handshake: Span,
    /// Time for a request's head.
    pub head: Span,
    /// Rest between requests.
    pub idle: Span,
    /// The span in which a reader must take `stall_bytes`.
    pub stall: Span,
    /// See `stall`.
    pub stall_bytes: Size,
    /// Size of a request's head.
    pub head_bytes: Size,
    /// Concurrent HTTP/2 requests of a connection.
    pub streams: u32,
    /// Size of a pushed bundle.
    pub bundle: Size,
    /// The span in which the sender of a bundle must send `upload_bytes`.
    pub upload: Span,
    /// See `upload`.
    pub upload_bytes: Size,
    /// The span in which the sender of a device's request must send `body_bytes`.
    pub body: Span,
    /// See `body`.
    pub body_bytes: Size,
    /// Time to finish at shutdown.
    pub drain: Span,
}

/// `[log]`
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// Text or JSON.
    pub format: LogFormat,
    /// Level or filter.
    pub level: String,
    /// One line a request.
    pub access: bool,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Text,
    /// For collectors.
    Json,
}

/// What is wrong with a configuration file; always the writer's fault.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// Not TOML.
    #[error("{file}, line {line}: {message}")]
    Syntax {
        /// The file.
        file: String,
        /// The line, from 1.
        line: usize,
        /// What the parser says.
        message: String,
    },
    /// A key that doesn't exist.
    #[error("{file}, line {line}: unknown key `{key}`")]
    UnknownKey {
        /// The file.
        file: String,
        /// The line, from 1.
        line: usize,
        /// The key as written.
        key: String,
        /// The known key most like it.
        nearest: Option<&'static str>,
    },
    /// A value that can't be, or values that can't stand together.
    #[error("{file}: {message}")]
    Value {
        /// The file.
        file: String,
        /// What is wrong.
        message: String,
    },
}

impl ConfigError {
    /// What to do about it, for the second line of an error.
    pub fn hint(&self) -> String {
        match self {
            Self::UnknownKey { nearest: Some(name), .. } => {
                format!("did you mean `{name}`? `perennial-server check-config --reference` prints every key")
            }
            _ => "correct the file; `perennial-server check-config --reference` prints every key with its meaning".into(),
        }
    }
}

impl Config {
    /// Reads a configuration from the text of `file` (the name is for messages only).
    ///
    /// # Errors
    /// A [`ConfigError`] that names the file, and the line where there is one.
    pub fn parse(file: &str, text: &str) -> Result<Self, ConfigError> {
        spell::check(file, text)?;
        let config: Self = toml::from_str(text).map_err(|error| ConfigError::Syntax {
            file: file.into(),
            line: spell::line_of(text, error.span()),
            message: error.message().into(),
        })?;
        config.check().map_err(|message| ConfigError::Value { file: file.into(), message })?;
        Ok(config)
    }

    /// The configuration with every default, for the state folder `state`.
    pub fn with_defaults(state: PathBuf) -> Self {
        Self {
            state,
            serve: Serve::default(),
            tls: Tls::default(),
            admin: Admin::default(),
            timestamp: Timestamp::default(),
            keep: Keep::default(),
            store: Store::default(),
            cache: Cache::default(),
            limits: Limits::default(),
            fleet: Fleet::default(),
            rollout: Rollout::default(),
            log: Log::default(),
        }
    }

    /// The admin listener's address, `None` when there is none.
    ///
    /// # Errors
    /// A sentence, when the text is no address.
    pub fn admin_address(&self) -> Result<Option<SocketAddr>, String> {
        if self.admin.listen.is_empty() {
            return Ok(None);
        }
        let parsed = self.admin.listen.parse();
        parsed.map(Some).map_err(|_| {
            format!("admin.listen: `{}` isn't an address such as 127.0.0.1:7870", self.admin.listen)
        })
    }

    /// The age at which the timestamp is renewed: half its validity unless told otherwise.
    pub fn renew_after(&self) -> std::time::Duration {
        self.timestamp.renew_after.map_or(self.timestamp.validity.0 / 2, |span| span.0)
    }

    /// How long a device may be silent before it counts as missing.
    pub fn silence(&self) -> std::time::Duration {
        self.fleet.check_in.0 * self.rollout.silence
    }

    /// What no single value can tell.
    fn check(&self) -> Result<(), String> {
        let admin = self.admin_address()?;
        if self.serve.plain.is_empty() && self.serve.tls.is_empty() {
            return Err("serve.plain and serve.tls are both empty: nothing would be served".into());
        }
        let needs_tls = !self.serve.tls.is_empty() || (self.admin.tls && admin.is_some());
        if needs_tls && (self.tls.certificate.is_none() || self.tls.key.is_none()) {
            return Err(
                "serve.tls or admin.tls is set, so tls.certificate and tls.key must name files".into()
            );
        }
        if admin.is_some_and(|address| !address.ip().is_loopback()) && !self.admin.tls {
            return Err("admin.listen is beyond loopback, where a token must not travel in the clear: set admin.tls = true".into());
        }
        if self.admin.rate == 0 {
            return Err("admin.rate is at least 1".into());
        }
        if self.renew_after() >= self.timestamp.validity.0 {
            return Err("timestamp.renew_after must be less than timestamp.validity".into());
        }
        if self.timestamp.validity.0.as_secs() < 10 {
            return Err("timestamp.validity is at least 10s".into());
        }
        if self.keep.generations == 1 {
            return Err("keep.generations is 0 (all) or at least 2: devices that are halfway through finish with the one before".into());
        }
        if !self.serve.public.is_empty() && !is_origin(&self.serve.public) {
            return Err(
                "serve.public is an address such as https://updates.maker.example, without a path".into()
            );
        }
        self.store.check()?;
        self.fleet.check(self)?;
        if !(1..=1000).contains(&self.rollout.silence) {
            return Err("rollout.silence lies between 1 and 1000".into());
        }
        self.limits.check()
    }
}

/// `https://host` or `http://host:port`, without a path but for a closing slash.
fn is_origin(text: &str) -> bool {
    let (scheme, host) = text.trim_end_matches('/').split_once("://").unwrap_or_default();
    let plain = |byte: u8| byte.is_ascii_graphic() && !b"/?#\"<>".contains(&byte);
    matches!(scheme, "https" | "http") && !host.is_empty() && host.bytes().all(plain)
}

impl Limits {
    fn check(&self) -> Result<(), String> {
        // hyper reads heads in steps of 8 KiB, and no honest head needs more than 1 MiB.
        if !(8 * 1024..=1024 * 1024).contains(&self.head_bytes.0) {
            return Err("limits.head_bytes lies between 8KiB and 1MiB".into());
        }
        if self.connections == 0 || self.streams == 0 {
            return Err("limits.connections and limits.streams are at least 1".into());
        }
        for (name, span) in [
            ("handshake", self.handshake),
            ("head", self.head),
            ("idle", self.idle),
            ("stall", self.stall),
            ("upload", self.upload),
            ("body", self.body),
        ] {
            if span.0.as_millis() < 100 {
                return Err(format!("limits.{name} is at least 100ms"));
            }
        }
        Ok(())
    }
}

impl Default for Serve {
    fn default() -> Self {
        Self {
            plain: vec![SocketAddr::from((std::net::Ipv6Addr::UNSPECIFIED, 8080))],
            tls: Vec::new(),
            cores: 0,
            public: String::new(),
        }
    }
}

impl Default for Tls {
    fn default() -> Self {
        Self { certificate: None, key: None, allow_tls12: false, reload: Span::seconds(60) }
    }
}

impl Default for Admin {
    fn default() -> Self {
        Self { listen: "127.0.0.1:7870".into(), tls: false, rate: 20 }
    }
}

impl Default for Timestamp {
    fn default() -> Self {
        Self { validity: Span::seconds(86_400), renew_after: None }
    }
}

impl Default for Keep {
    fn default() -> Self {
        Self { generations: 10 }
    }
}

impl Default for Cache {
    fn default() -> Self {
        Self { fresh: Span::seconds(60), missing: Span::seconds(30) }
    }
}

impl Default for Rollout {
    fn default() -> Self {
        Self { silence: 3 }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 16_384,
            connections_per_address: 1_024,
            handshake: Span::seconds(10),
            head: Span::seconds(10),
            idle: Span::seconds(75),
            stall: Span::seconds(30),
            stall_bytes: Size(16 << 10),
            head_bytes: Size(16 << 10),
            streams: 64,
            bundle: Size(16 << 30),
            upload: Span::seconds(60),
            upload_bytes: Size(1 << 20),
            body: Span::seconds(10),
            body_bytes: Size(8 << 10),
            drain: Span::seconds(20),
        }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self { format: LogFormat::Text, level: "info".into(), access: false }
    }
}
