//! Where metadata and target files come from: a server, a folder, or a bundle in one file.
//!
//! It decides which of the three a text names. What any of them brings is verified by the core.

mod bundle;
mod folder;
mod http;

use std::ops::Range;
use std::path::PathBuf;

use perennial_device_core::port::{Fetch, FetchError, Sink};

pub use bundle::BundleSource;
pub use folder::FolderSource;
pub use http::HttpSource;

use crate::http::{HttpClient, NotAUrl, Url};

/// Bytes that are read from a file at once.
const PIECE: usize = 64 * 1024;

/// What `--server` names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A server's address, with `metadata/` and `targets/` below it.
    Server(Url),
    /// A folder with `metadata/` and `targets/`, or a bundle.
    Path(PathBuf),
}

impl Place {
    /// Reads `http://…`, `https://…`, or a path.
    ///
    /// # Errors
    /// [`NotAUrl`] for an address that this agent can't ask.
    pub fn parse(text: &str) -> Result<Self, NotAUrl> {
        if text.contains("://") { text.parse().map(Self::Server) } else { Ok(Self::Path(text.into())) }
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Server(url) => url.fmt(f),
            Self::Path(path) => path.display().fmt(f),
        }
    }
}

/// A source of one of the three kinds.
pub enum Source {
    /// A server.
    Http(HttpSource),
    /// A folder.
    Folder(FolderSource),
    /// A bundle.
    Bundle(BundleSource),
}

impl Source {
    /// The source at `place`. A file is read as a bundle, everything else that is no address is a folder: it may be a
    /// stick that is plugged in later.
    ///
    /// # Errors
    /// [`FetchError`] for a file that is no bundle.
    pub fn open(place: &Place, client: &HttpClient) -> Result<Self, FetchError> {
        Ok(match place {
            Place::Server(url) => Self::Http(HttpSource::below(client.clone(), url)),
            Place::Path(path) if folder::is_file(path) => Self::Bundle(BundleSource::open(path)?),
            Place::Path(path) => Self::Folder(FolderSource::new(path)),
        })
    }

    fn inner(&mut self) -> &mut dyn Fetch {
        match self {
            Self::Http(source) => source,
            Self::Folder(source) => source,
            Self::Bundle(source) => source,
        }
    }
}

impl Fetch for Source {
    fn metadata(&mut self, name: &str, max_length: u64) -> Result<Option<Vec<u8>>, FetchError> {
        self.inner().metadata(name, max_length)
    }

    fn status(&mut self, path: &str, max_length: u64) -> Result<Option<Vec<u8>>, FetchError> {
        self.inner().status(path, max_length)
    }

    fn forget(&mut self) {
        self.inner().forget();
    }

    fn target(&mut self, path: &str, max_length: u64) -> Result<Vec<u8>, FetchError> {
        self.inner().target(path, max_length)
    }

    fn target_range(&mut self, path: &str, range: Range<u64>, sink: Sink<'_>) -> Result<(), FetchError> {
        self.inner().target_range(path, range, sink)
    }
}

/// Whether `path`, as the core asks for it, stays below the folder that it is relative to.
fn stays_inside(path: &str) -> bool {
    !path.contains(['\\', '\0']) && path.split('/').all(|part| !matches!(part, "" | "." | ".."))
}
