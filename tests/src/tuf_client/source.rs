//! Metadata over HTTP.

use perennial_device::http::{HttpClient, HttpError, Url};
use perennial_device_core::trust::{FetchError, MetadataSource, Request};

/// A repository's metadata at an address.
pub(super) struct HttpSource {
    client: HttpClient,
    base: Url,
}

impl HttpSource {
    pub(super) fn new(client: HttpClient, base: Url) -> Self {
        Self { client, base }
    }

    pub(super) fn client(&self) -> &HttpClient {
        &self.client
    }
}

impl MetadataSource for HttpSource {
    fn fetch(&mut self, request: &Request) -> Result<Option<Vec<u8>>, FetchError> {
        // The core's names are escaped already.
        let url = self.base.escaped(&request.path);
        self.client.get_whole(&url, request.max_length).map_err(|error| match error {
            HttpError::TooLong { limit, .. } => FetchError::TooLong { limit },
            error => FetchError::Failed(Box::new(error)),
        })
    }
}
