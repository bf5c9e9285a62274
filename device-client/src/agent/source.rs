//! The configured source, opened when it is first asked: a stick may be plugged in later, a bundle may be replaced.

use std::ops::Range;

use perennial_device_core::port::{Fetch, FetchError, Sink};

use crate::fetch::{Place, Source};
use crate::http::HttpClient;

/// A source that is opened when it is asked.
pub struct LazySource {
    place: Place,
    client: HttpClient,
    open: Option<Source>,
}

impl LazySource {
    /// The source at `place`.
    pub fn new(place: Place, client: HttpClient) -> Self {
        Self { place, client, open: None }
    }

    fn source(&mut self) -> Result<&mut Source, FetchError> {
        let source = match self.open.take() {
            Some(source) => source,
            None => Source::open(&self.place, &self.client)?,
        };
        Ok(self.open.insert(source))
    }
}

impl Fetch for LazySource {
    /// A bundle or folder is looked for anew each time, as each check begins with metadata.
    fn metadata(&mut self, name: &str, max_length: u64) -> Result<Option<Vec<u8>>, FetchError> {
        if matches!(self.place, Place::Path(_)) {
            self.open = None;
        }
        self.source()?.metadata(name, max_length)
    }

    fn status(&mut self, path: &str, max_length: u64) -> Result<Option<Vec<u8>>, FetchError> {
        self.source()?.status(path, max_length)
    }

    fn forget(&mut self) {
        if let Some(source) = &mut self.open {
            source.forget();
        }
    }

    fn target(&mut self, path: &str, max_length: u64) -> Result<Vec<u8>, FetchError> {
        self.source()?.target(path, max_length)
    }

    fn target_range(&mut self, path: &str, range: Range<u64>, sink: Sink<'_>) -> Result<(), FetchError> {
        self.source()?.target_range(path, range, sink)
    }
}
