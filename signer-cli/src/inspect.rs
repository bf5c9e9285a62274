//! Any file of ours in plain words: metadata, documents, indexes, bundles, deltas, keys. Decides nothing and verifies only what
//! the file can vouch for itself; never shows a private key.

mod document;
mod metadata;
mod target;

use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};

use perennial_schemas::bundle::{BundleHeader, MAGIC, PREFIX_LENGTH};
use perennial_schemas::document::Document;
use perennial_schemas::index::{HEADER_LENGTH, IndexError, IndexRoot, Shape};
use perennial_schemas::limits::{IMAGE_LENGTH, TARGETS_LENGTH};
use perennial_schemas::{Digest, FormatError, Json};
use serde::Serialize;

pub use target::of_target;

use crate::cli::Advise;
use crate::crypto::Ring;
use crate::delta::apply::ApplyError;
use crate::delta::progress::Progress;
use crate::files::{self, FileError};
use crate::plain::grouped;
use crate::repository::RepositoryError;

/// What a file is and says.
#[derive(Debug, Clone, Serialize)]
pub struct Inspected {
    /// The file.
    pub file: PathBuf,
    /// What kind of file it is, for people.
    pub kind: String,
    /// What it says, a line for each thing.
    pub says: Vec<String>,
    /// The file itself, where it is JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content: Option<Json>,
}

/// Why a file can't be inspected.
#[derive(Debug, thiserror::Error)]
pub enum InspectError {
    /// It could not be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// What is published can't be worked with.
    #[error(transparent)]
    Repository(#[from] RepositoryError),
    /// It is of a known kind, and malformed.
    #[error("{}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: FormatError,
    },
    /// It is an index, and malformed.
    #[error("{}", path.display())]
    Index {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: IndexError,
    },
    /// It is a delta, and malformed.
    #[error("{}", path.display())]
    Delta {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: ApplyError,
    },
    /// It is none of ours.
    #[error("{} is no file of ours", .0.display())]
    Unknown(PathBuf),
    /// Neither a file nor a target.
    #[error("there is neither a file nor a published target {0}")]
    NotFound(String),
}

impl Advise for InspectError {
    fn advice(&self) -> String {
        match self {
            Self::File(e) => e.advice(),
            Self::Repository(e) => e.advice(),
            Self::Delta { source, .. } => source.advice(),
            Self::Malformed { .. } | Self::Index { .. } => "it was damaged or edited: take another copy".into(),
            Self::Unknown(_) => {
                "metadata, manifests, channels, support records, indexes, bundles, deltas and public keys can be shown".into()
            }
            Self::NotFound(_) => "name a file, or a target such as thermostat/2.1.0.release.json".into(),
        }
    }
}

/// Looks at a file.
///
/// # Errors
/// [`InspectError`]
pub fn of_file(path: &Path) -> Result<Inspected, InspectError> {
    let mut beginning = Vec::new();
    let file = files::open_plain(path)?;
    let read = file.take(HEADER_LENGTH as u64).read_to_end(&mut beginning);
    read.map_err(|source| FileError::Io { operation: "read", path: path.into(), source })?;
    if beginning.starts_with(MAGIC) {
        return bundle(path);
    }
    if let Some(header) = beginning.first_chunk().filter(|header| header.starts_with(b"PRNINDEX")) {
        return index(path, header);
    }
    if beginning.starts_with(perennial_schemas::delta::MAGIC) {
        return delta(path);
    }
    if beginning.starts_with(b"-----BEGIN ") {
        return Ok(pem(path, &beginning));
    }
    if beginning.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'{') {
        return json(path);
    }
    Err(InspectError::Unknown(path.into()))
}

fn json(path: &Path) -> Result<Inspected, InspectError> {
    let bytes = files::read(path, TARGETS_LENGTH)?;
    let malformed = |source| InspectError::Malformed { path: path.into(), source };
    let content = Json::parse(&bytes).map_err(|e| malformed(e.into()))?;
    let kind = content.get("signed").and_then(|signed| signed.get("_type")).and_then(Json::as_str);
    let found = match (kind, content.get("format").and_then(Json::as_str)) {
        (Some(kind), _) => metadata::says(kind, &bytes).map_err(malformed)?,
        (None, Some(format)) => document::says(format, &bytes).map_err(malformed)?,
        (None, None) => None,
    };
    let (kind, says) = found.ok_or_else(|| InspectError::Unknown(path.into()))?;
    Ok(Inspected { file: path.into(), kind, says, content: Some(content) })
}

/// What stands in it by itself; `delta inspect` looks further.
fn delta(path: &Path) -> Result<Inspected, InspectError> {
    let fail = |source| InspectError::Delta { path: path.into(), source };
    let delta = files::read(path, IMAGE_LENGTH)?;
    let seen = crate::delta::inspect::inspect(&delta, None, &Progress::default()).map_err(fail)?;
    let says = vec![
        format!("from an image of {}", seen.old),
        format!("to one of {}", seen.new),
        format!("for {}: {} bytes of memory to apply it", seen.profile, grouped(seen.memory)),
        "delta inspect tells where its bytes went".into(),
    ];
    Ok(Inspected { file: path.into(), kind: "delta".into(), says, content: None })
}

fn index(path: &Path, header: &[u8; HEADER_LENGTH]) -> Result<Inspected, InspectError> {
    let fail = |source| InspectError::Index { path: path.into(), source };
    let shape = Shape::decode(header).map_err(fail)?;
    let bytes = files::read(path, shape.index_length())?;
    let (got, expected) = (bytes.len() as u64, shape.index_length());
    if got != expected {
        return Err(fail(IndexError::Length { got, expected }));
    }
    // Fits: the length was compared above.
    let (root, pages) = bytes.split_at(shape.root_length() as usize);
    let digest = Ring.sha256(root);
    let read = IndexRoot::verify(root, &digest, &Ring).map_err(fail)?;
    for (number, page) in pages.chunks(32 * perennial_schemas::index::PAGE_CHUNKS as usize).enumerate() {
        read.verify_page(number as u64, page, &Ring).map_err(fail)?;
    }
    let says = vec![
        format!("Describes {} bytes.", grouped(shape.length())),
        format!(
            "{} chunks of {} bytes, in {} pages.",
            grouped(shape.chunks()),
            grouped(shape.chunk_size()),
            shape.pages()
        ),
        format!("Root digest {digest}; every page is what it says."),
    ];
    Ok(Inspected { file: path.into(), kind: "index of an image or payload".into(), says, content: None })
}

fn bundle(path: &Path) -> Result<Inspected, InspectError> {
    let malformed = |source| InspectError::Malformed { path: path.into(), source };
    let failed = |source| FileError::Io { operation: "read", path: path.into(), source };
    let mut file = files::open(path)?;
    let mut prefix = [0; PREFIX_LENGTH];
    file.read_exact(&mut prefix).map_err(failed)?;
    let length = BundleHeader::length(&prefix).map_err(malformed)?;
    let mut text = Vec::new();
    file.take(length as u64).read_to_end(&mut text).map_err(failed)?;
    let header = BundleHeader::parse(&text).map_err(malformed)?;
    let whole = PREFIX_LENGTH as u64 + length as u64 + header.contents_length();
    let there = files::length(path)?.unwrap_or(0);
    let mut says = vec![
        format!("State of {}; {} files, {} bytes.", header.created, header.files.len(), grouped(whole)),
        match there == whole {
            true => "As long as its header says; the contents were not read.".into(),
            false => format!("DAMAGED: it is {} bytes long.", grouped(there)),
        },
    ];
    says.extend(header.files.iter().map(|file| format!("{:>15}  {}", grouped(file.length), file.path)));
    let content = Json::parse(&text).map_err(|e| malformed(e.into()))?;
    Ok(Inspected { file: path.into(), kind: "bundle".into(), says, content: Some(content) })
}

/// Only what kind it is: nothing of a private key is ever shown.
fn pem(path: &Path, beginning: &[u8]) -> Inspected {
    let private = beginning.windows(7).any(|window| window == b"PRIVATE")
        || beginning.windows(9).any(|w| w == b"ENCRYPTED");
    let (kind, says) = if private {
        ("private key", "Keep it where only its holder reaches it; key show prints the public half.")
    } else {
        ("PEM file", "Not one of ours.")
    };
    Inspected { file: path.into(), kind: kind.into(), says: vec![says.into()], content: None }
}

impl fmt::Display for Inspected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: {}", self.file.display(), self.kind)?;
        self.says.iter().try_for_each(|line| writeln!(f, "  {line}"))
    }
}
