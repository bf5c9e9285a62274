//! `repository.toml`: how long signatures last, how payloads are compressed.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::RepositoryError;
use crate::files;
use crate::image::LEVELS;

/// A configuration of at most 64 KiB.
const LIMIT: u64 = 64 * 1024;

/// The configuration of a repository. Every key has a default; unknown keys are refused.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// How long the signatures of each role last.
    pub expiry_days: Expiry,
    /// How payloads are compressed.
    pub payload: Payload,
}

/// How payloads are compressed, unless a command says otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Payload {
    /// zstd's level, 1 to 22: default 12. On 50 MB of programs and two cores, level 9 gave 17.2 MB in 1 s, 12 16.9 MB in
    /// 2 s, 15 16.8 MB in 7 s, 19 15.4 MB in 23 s.
    pub level: i32,
}

impl Default for Payload {
    fn default() -> Self {
        Self { level: 12 }
    }
}

/// Days from signing to expiry, by role, 1 to 3,660 each.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Expiry {
    /// The root: default 365. Devices that come home after years walk past expired roots.
    pub root: u16,
    /// Who is responsible for which product: default 365.
    pub targets: u16,
    /// Each product's role: default 365. What bounds a freeze is the snapshot.
    pub product: u16,
    /// The snapshot: default 30. A server stolen with its key can hold devices back that long.
    pub snapshot: u16,
    /// A timestamp signed offline, for USB sticks and site exports: default 7. The server signs its own.
    pub timestamp: u16,
}

impl Default for Expiry {
    fn default() -> Self {
        Self { root: 365, targets: 365, product: 365, snapshot: 30, timestamp: 7 }
    }
}

impl Expiry {
    /// Days for a role; any role that isn't a top-level one is a product's.
    pub fn of(&self, role: &str) -> i64 {
        i64::from(match role {
            "root" => self.root,
            "targets" => self.targets,
            "snapshot" => self.snapshot,
            "timestamp" => self.timestamp,
            _ => self.product,
        })
    }
}

impl Config {
    /// Reads the file; `None` where there is none.
    ///
    /// # Errors
    /// [`RepositoryError::Config`] for unknown keys and values out of range.
    pub fn read(path: &Path) -> Result<Option<Self>, RepositoryError> {
        let Some(bytes) = files::read_if_there(path, LIMIT)? else { return Ok(None) };
        let fail = |why: String| RepositoryError::Config { path: path.into(), why };
        let text = String::from_utf8(bytes).map_err(|e| fail(e.to_string()))?;
        let config: Self = toml::from_str(&text).map_err(|e| fail(e.message().into()))?;
        let Expiry { root, targets, product, snapshot, timestamp } = config.expiry_days;
        for (name, days) in [
            ("root", root),
            ("targets", targets),
            ("product", product),
            ("snapshot", snapshot),
            ("timestamp", timestamp),
        ] {
            if !(1..=3660).contains(&days) {
                return Err(fail(format!("expiry_days.{name} is {days}; it is 1 to 3660")));
            }
        }
        if !LEVELS.contains(&config.payload.level) {
            let (least, most) = (LEVELS.start(), LEVELS.end());
            return Err(fail(format!("payload.level is {}; it is {least} to {most}", config.payload.level)));
        }
        Ok(Some(config))
    }

    /// The file's text, with what each key means.
    pub fn to_text(&self) -> String {
        let Expiry { root, targets, product, snapshot, timestamp } = self.expiry_days;
        let level = self.payload.level;
        format!(
            "# Days from signing to expiry, by role.\n\
             [expiry_days]\n\
             root = {root}\n\
             targets = {targets}      # who is responsible for which product\n\
             product = {product}      # releases, channels and support promises of one product\n\
             snapshot = {snapshot}      # how long a stolen server could hold devices back\n\
             timestamp = {timestamp}      # signed offline, for USB sticks; the server signs its own\n\
             \n\
             # How payloads are compressed: zstd's level, 1 to 22. 19 is a tenth smaller than 12, and takes ten times as long.\n\
             [payload]\n\
             level = {level}\n"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Option<Config>, RepositoryError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("repository.toml");
        files::write(&path, text.as_bytes()).unwrap();
        Config::read(&path)
    }

    #[test]
    fn the_written_text_is_read_back() {
        assert_eq!(read(&Config::default().to_text()).unwrap(), Some(Config::default()));
    }

    #[test]
    fn unknown_keys_and_absurd_periods_are_refused() {
        assert!(read("[expiry_days]\nroots = 3").is_err());
        let error = read("[expiry_days]\nsnapshot = 0").unwrap_err();
        assert!(error.to_string().ends_with("expiry_days.snapshot is 0; it is 1 to 3660"), "{error}");
        let error = read("[payload]\nlevel = 23").unwrap_err();
        assert!(error.to_string().ends_with("payload.level is 23; it is 1 to 22"), "{error}");
    }
}
