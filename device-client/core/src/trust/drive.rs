//! Runs a refresh or a search against a source of files and a store, until it is done.

use alloc::boxed::Box;
use alloc::vec::Vec;

use perennial_schemas::crypto::Crypto;

use super::refresh::{Answer, Refresh, Request, Step};
use super::{TrustError, TrustState};

/// The cause that an adapter gives.
pub type Cause = Box<dyn core::error::Error + Send + Sync>;

/// Where metadata comes from: a server, a folder, a bundle.
pub trait MetadataSource {
    /// The file's content, or `None` where the source says that there is no such file. Never more than
    /// `request.max_length` bytes are read.
    ///
    /// # Errors
    /// [`FetchError`] for everything else: a failure must never look like "no newer root".
    fn fetch(&mut self, request: &Request) -> Result<Option<Vec<u8>>, FetchError>;
}

/// Where the trust state is kept.
pub trait TrustStore {
    /// Saves the state durably: when this returns, it survives a power cut, and until it does the old one stands.
    ///
    /// # Errors
    /// [`StoreError`]; the refresh then goes no further.
    fn save(&mut self, state: &TrustState) -> Result<(), StoreError>;
}

/// Why a file could not be fetched.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The source has more bytes than were asked for (endless data).
    #[error("it is longer than the limit of {limit} bytes")]
    TooLong {
        /// The limit in bytes.
        limit: u64,
    },
    /// The source can't be reached, broke off, or answered with an error.
    #[error("the source failed")]
    Failed(#[source] Cause),
}

/// Why the state could not be saved.
#[derive(Debug, thiserror::Error)]
#[error("the trust state can't be saved")]
pub struct StoreError(#[source] pub Cause);

/// Why a refresh or a search ended early.
#[derive(Debug, thiserror::Error)]
pub enum DriveError {
    /// The metadata is not to be trusted.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// A file could not be fetched.
    #[error("{file} could not be fetched")]
    Fetch {
        /// The file.
        file: alloc::string::String,
        /// Why.
        source: FetchError,
    },
    /// The state could not be saved.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Fetches, saves and supplies until the refresh, or the search begun last, is done.
///
/// # Errors
/// [`DriveError`]; what was accepted before it is saved and stays trusted.
pub fn drive<C: Crypto>(
    refresh: &mut Refresh<'_, C>,
    source: &mut dyn MetadataSource,
    store: &mut dyn TrustStore,
) -> Result<(), DriveError> {
    loop {
        let answer = match refresh.next() {
            Step::Fetch(request) => match source.fetch(&request) {
                Ok(Some(bytes)) => Answer::Bytes(bytes),
                Ok(None) => Answer::NotFound,
                Err(source) => return Err(DriveError::Fetch { file: request.path, source }),
            },
            Step::Persist => {
                store.save(refresh.state())?;
                Answer::Persisted
            }
            Step::Done => return Ok(()),
            Step::Stopped => {
                let why = "an earlier error ended this refresh";
                return Err(TrustError::OutOfOrder { why }.into());
            }
        };
        refresh.supply(answer)?;
    }
}
