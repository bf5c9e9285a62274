//! The bundle: one file that carries a signed generation to a server.
//!
//! ```text
//! magic "perennial-bundle/1\n"          19 bytes
//! length of the header                  u32 LE, at most 16 MiB
//! header                                JSON: {"format":"perennial.bundle/1","requires":[],"created":…,"files":[…]}
//! the files' contents                   in the order of the header, nothing between, nothing after
//! ```
//! A bundle is not signed: everything in it is, and a server verifies all of it. A site export in this form may hold the
//! statuses of rollouts too, under `rollouts/`; a server that takes it in passes them over, since it signs its own.

use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::digest::Sha256Digest;
use crate::document::{Document, FormatError, ensure};
use crate::ident::TargetPath;
use crate::limits::{BUNDLE_FILES, BUNDLE_HEADER_LENGTH};
use crate::time::Timestamp;

/// What a bundle begins with.
pub const MAGIC: &[u8; 19] = b"perennial-bundle/1\n";
/// Magic and header length.
pub const PREFIX_LENGTH: usize = MAGIC.len() + 4;

/// The header of a bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
pub struct BundleHeader {
    /// `perennial.bundle/1`.
    pub format: String,
    /// Features that a reader must know.
    pub requires: Vec<String>,
    /// When it was made.
    pub created: Timestamp,
    /// Its files, in the order of their contents.
    pub files: Vec<BundleFile>,
}

/// One file of a bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
pub struct BundleFile {
    /// `metadata/…` or `targets/…`, as in the repository's folder, or `rollouts/…`, as a server serves it.
    pub path: TargetPath,
    /// Its length in bytes.
    pub length: u64,
    /// Its digest.
    pub sha256: Sha256Digest,
}

impl BundleHeader {
    /// A header for `files`.
    pub fn new(created: Timestamp, files: Vec<BundleFile>) -> Self {
        Self { format: Self::FORMAT.into(), requires: Vec::new(), created, files }
    }

    /// Magic, length and header: everything before the contents.
    ///
    /// # Errors
    /// [`FormatError`] where a rule of the format or its limit of 16 MiB is broken.
    pub fn encode(&self) -> Result<Vec<u8>, FormatError> {
        self.validate()?;
        let json = serde_json::to_vec(self).map_err(|e| FormatError::shape(Self::WHAT, format!("{e}")))?;
        let too_long = FormatError::TooLong { what: Self::WHAT, limit: BUNDLE_HEADER_LENGTH };
        let length =
            u32::try_from(json.len()).ok().filter(|length| u64::from(*length) <= BUNDLE_HEADER_LENGTH);
        let length = length.ok_or(too_long)?;
        Ok([MAGIC.as_slice(), &length.to_le_bytes(), &json].concat())
    }

    /// The length in bytes of the header that follows these first bytes of a file.
    ///
    /// # Errors
    /// [`FormatError::Shape`] where it is no bundle, [`FormatError::TooLong`] past 16 MiB.
    pub fn length(prefix: &[u8; PREFIX_LENGTH]) -> Result<usize, FormatError> {
        let (magic, length) = prefix.split_at(MAGIC.len());
        ensure(magic == MAGIC, Self::WHAT, || "it does not begin with \"perennial-bundle/1\"".into())?;
        let length = u32::from_le_bytes(core::array::from_fn(|i| length[i]));
        if u64::from(length) > BUNDLE_HEADER_LENGTH {
            return Err(FormatError::TooLong { what: Self::WHAT, limit: BUNDLE_HEADER_LENGTH });
        }
        Ok(length as usize)
    }

    /// The length of all contents together, in bytes.
    pub fn contents_length(&self) -> u64 {
        self.files.iter().fold(0, |sum, file| sum.saturating_add(file.length))
    }
}

impl Document for BundleHeader {
    const FORMAT: &'static str = "perennial.bundle/1";
    const WHAT: &'static str = "bundle";
    const MAX_LENGTH: u64 = BUNDLE_HEADER_LENGTH;

    fn requires(&self) -> &[String] {
        &self.requires
    }

    fn validate(&self) -> Result<(), FormatError> {
        let what = Self::WHAT;
        ensure(self.files.len() <= BUNDLE_FILES, what, || format!("more than {BUNDLE_FILES} files"))?;
        let mut paths = BTreeSet::new();
        for file in &self.files {
            let path = file.path.as_str();
            let place = ["metadata/", "rollouts/", "targets/"].iter().any(|place| path.starts_with(place));
            ensure(place, what, || format!("{path} is under none of metadata/, rollouts/ and targets/"))?;
            ensure(paths.insert(path), what, || format!("{path} stands twice"))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    fn file(path: &str) -> BundleFile {
        BundleFile { path: path.parse().unwrap(), length: 3, sha256: Sha256Digest([1; 32]) }
    }

    #[test]
    fn a_header_is_read_back() {
        let header =
            BundleHeader::new(Timestamp::EPOCH, vec![file("metadata/1.root.json"), file("targets/a/b")]);
        let bytes = header.encode().unwrap();
        let length = BundleHeader::length(bytes.first_chunk().unwrap()).unwrap();
        assert_eq!(PREFIX_LENGTH + length, bytes.len());
        assert_eq!(BundleHeader::parse(&bytes[PREFIX_LENGTH..]).unwrap(), header);
        assert_eq!(header.contents_length(), 6);
    }

    #[test]
    fn other_files_huge_headers_and_odd_paths_are_refused() {
        let mut prefix = [0; PREFIX_LENGTH];
        assert!(matches!(BundleHeader::length(&prefix), Err(FormatError::Shape { .. })));
        prefix[..MAGIC.len()].copy_from_slice(MAGIC);
        prefix[MAGIC.len()..].copy_from_slice(&u32::MAX.to_le_bytes());
        assert!(matches!(BundleHeader::length(&prefix), Err(FormatError::TooLong { .. })));
        for files in [vec![file("etc/passwd")], vec![file("targets/a"), file("targets/a")]] {
            assert!(BundleHeader::new(Timestamp::EPOCH, files).encode().is_err());
        }
        assert!("metadata/../etc".parse::<TargetPath>().is_err());
    }
}
