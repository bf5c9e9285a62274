//! What the running image says of itself: a small JSON file in the image, `{"version": "1.0.0", "security_version": 1}`,
//! perhaps with the SHA-256 of its `manifest`, and with the versions of the metadata as they stood when it was made:
//! `"floors": {"root": 2, "snapshot": 40, "roles": {"targets.json": 3, "thermostat.json": 12}}`.

use std::collections::BTreeMap;
use std::path::Path;

use perennial_device_core::port::RunningImage;
use perennial_device_core::trust::Floors;
use perennial_schemas::{ReleaseVersion, Sha256Digest};
use serde::Deserialize;

use crate::files::{FileError, read_if_there};

/// Bytes of the file.
const LENGTH: u64 = 4096;

/// What the running image says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImageInfo {
    version: ReleaseVersion,
    security_version: u32,
    #[serde(default)]
    manifest: Option<Sha256Digest>,
    #[serde(default, with = "Strict")]
    floors: Floors,
}

/// [`Floors`] as an image has them. The device's own records pass over what a later version added; a file that a build
/// wrote does not: a name mistyped there would be a floor lost.
#[derive(Deserialize)]
#[serde(remote = "Floors", deny_unknown_fields)]
struct Strict {
    #[serde(default)]
    root: u64,
    #[serde(default)]
    timestamp: u64,
    #[serde(default)]
    snapshot: u64,
    #[serde(default)]
    roles: BTreeMap<String, u64>,
}

/// The file can't be used.
#[derive(Debug, thiserror::Error)]
pub enum ImageInfoError {
    /// It can't be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// It says something else.
    #[error("{path} does not say what image is running: {why}")]
    Shape {
        /// The file.
        path: String,
        /// What is wrong.
        why: String,
    },
}

impl ImageInfo {
    /// Reads the file; `None` where the image has none.
    ///
    /// # Errors
    /// [`ImageInfoError`].
    pub fn read(path: &Path) -> Result<Option<Self>, ImageInfoError> {
        let Some(text) = read_if_there(path, LENGTH)? else { return Ok(None) };
        let wrong = |error: serde_json::Error| ImageInfoError::Shape {
            path: path.display().to_string(),
            why: error.to_string(),
        };
        serde_json::from_slice(&text).map(Some).map_err(wrong)
    }

    /// As the core takes it.
    pub fn into_running(self) -> RunningImage {
        let Self { version, security_version, manifest, floors } = self;
        RunningImage { version, security_version, manifest, floors }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_read_or_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("image.json");
        assert_eq!(ImageInfo::read(&path).unwrap(), None);
        std::fs::write(&path, r#"{"version": "1.0.0", "security_version": 3}"#).unwrap();
        let running = ImageInfo::read(&path).unwrap().unwrap().into_running();
        assert_eq!((running.version.as_str(), running.security_version), ("1.0.0", 3));
        let floors =
            r#"{"version": "1", "security_version": 1, "floors": {"root": 2, "roles": {"a.json": 7}}}"#;
        std::fs::write(&path, floors).unwrap();
        let running = ImageInfo::read(&path).unwrap().unwrap().into_running();
        assert_eq!((running.floors.root, running.floors.snapshot, running.floors.roles["a.json"]), (2, 0, 7));
        for bad in [
            "",
            "{}",
            r#"{"version": "one", "security_version": 3}"#,
            r#"{"version": "1", "security": 3}"#,
            r#"{"version": "1", "security_version": 3, "floors": {"snapshots": 3}}"#,
        ] {
            std::fs::write(&path, bad).unwrap();
            assert!(ImageInfo::read(&path).is_err(), "{bad}");
        }
    }
}
