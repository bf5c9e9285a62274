//! Where metadata and target files come from: a server, a folder, a USB stick. Nothing of it is trusted.

use alloc::string::String;
use alloc::vec::Vec;
use core::ops::Range;

use perennial_schemas::report::FailureCode;

/// Takes bytes as they arrive, in order. Image bytes travel this way and in no queue.
pub type Sink<'s> = &'s mut dyn FnMut(&[u8]) -> Result<(), Stop>;

/// The taker of bytes wants no more, and keeps the reason to itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stop;

/// Fetches files. The limits are hard: a source that sends more is cut off at the limit, not after.
pub trait Fetch {
    /// The metadata file `name` relative to the metadata's base, such as `2.root.json`; `None` where there is none.
    ///
    /// # Errors
    /// [`FetchError`]; more than `max_length` bytes is [`FetchError::TooLong`]. Only a definite "no such file" is
    /// `None`: a server's failure is [`FetchError::Answer`].
    fn metadata(&mut self, name: &str, max_length: u64) -> Result<Option<Vec<u8>>, FetchError>;

    /// The rollout status at `path` relative to the static plane's base, such as `rollouts/thermostat/2.0.0.json`; `None`
    /// where there is none. The adapter percent-encodes where its transport asks for it.
    ///
    /// # Errors
    /// As [`Fetch::metadata`].
    fn status(&mut self, path: &str, max_length: u64) -> Result<Option<Vec<u8>>, FetchError>;

    /// What metadata and statuses brought was refused: whatever is kept of them, to ask for what is new only, counts no
    /// more. Else one answer that was tampered with would come again for as long as the true file stays as it is.
    fn forget(&mut self);

    /// The whole target file at `path` relative to the targets' base, in its consistent-snapshot spelling
    /// (`thermostat/<sha256>.support.json`). The adapter percent-encodes where its transport asks for it.
    ///
    /// # Errors
    /// [`FetchError`].
    fn target(&mut self, path: &str, max_length: u64) -> Result<Vec<u8>, FetchError>;

    /// The bytes `range` of a target file, handed to `sink` piece by piece.
    ///
    /// A server that answers a range with the whole file is read past the beginning, or refused; bytes are never
    /// handed over at a wrong place knowingly (the digests would find out).
    ///
    /// # Errors
    /// [`FetchError`]; fewer bytes than asked for is [`FetchError::Answer`]; [`FetchError::Stopped`] where the sink
    /// stopped.
    fn target_range(&mut self, path: &str, range: Range<u64>, sink: Sink<'_>) -> Result<(), FetchError>;
}

/// Why nothing was fetched.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    /// No connection, no answer in time, no such folder.
    #[error("can't reach {place}: {detail}")]
    Unreachable {
        /// Server or folder.
        place: String,
        /// What the system says.
        detail: String,
    },
    /// An answer that makes no sense: a status, a length, a broken connection in the middle.
    #[error("{path}: {detail}")]
    Answer {
        /// The file that was asked for.
        path: String,
        /// What was wrong.
        detail: String,
    },
    /// The target is not there.
    #[error("{path} is not there")]
    NotFound {
        /// The file that was asked for.
        path: String,
    },
    /// More bytes than allowed.
    #[error("{path} is longer than {limit} bytes")]
    TooLong {
        /// The file that was asked for.
        path: String,
        /// The limit in bytes.
        limit: u64,
    },
    /// The sink stopped.
    #[error("stopped by the taker of the bytes")]
    Stopped,
}

impl FetchError {
    /// Its number in reports.
    pub fn code(&self) -> FailureCode {
        match self {
            Self::Unreachable { .. } => FailureCode::Unreachable,
            Self::Answer { .. } | Self::NotFound { .. } | Self::TooLong { .. } => FailureCode::BadAnswer,
            Self::Stopped => FailureCode::Internal,
        }
    }
}

#[cfg(any(test, feature = "testing"))]
pub use memory::{Fault, MemoryFetch};

#[cfg(any(test, feature = "testing"))]
mod memory {
    use super::*;
    use alloc::collections::BTreeMap;

    /// What a hostile or broken server does to one file.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Fault {
        /// Sends so many bytes and breaks off.
        Truncate(u64),
        /// Turns one bit of the byte at this place.
        Flip(u64),
        /// Never stops sending.
        Endless,
        /// Is not there.
        Missing,
        /// Can't be reached.
        Unreachable,
    }

    /// A repository in memory: metadata by name, targets by path as asked for.
    #[derive(Debug, Default, Clone)]
    pub struct MemoryFetch {
        /// Metadata files.
        pub metadata: BTreeMap<String, Vec<u8>>,
        /// Target files, under the names that are asked for.
        pub targets: BTreeMap<String, Vec<u8>>,
        /// Rollout statuses, by path.
        pub statuses: BTreeMap<String, Vec<u8>>,
        /// What goes wrong, by the end of the file's name.
        pub faults: Vec<(String, Fault)>,
        /// Bytes of a piece that the sink gets; 0 means 1,000.
        pub piece: usize,
        /// Every file asked for, in order.
        pub log: Vec<String>,
        /// Every range asked for, as `begin..end`.
        pub ranges: Vec<String>,
        /// How often what came before was refused.
        pub forgotten: usize,
    }

    impl MemoryFetch {
        fn serve(&mut self, path: &str, found: Option<Vec<u8>>) -> Result<Option<Vec<u8>>, FetchError> {
            self.log.push(path.into());
            let fault = self.faults.iter().find(|(end, _)| path.ends_with(end.as_str()));
            let Some((_, fault)) = fault else { return Ok(found) };
            let Some(mut bytes) = found else { return Ok(None) };
            match *fault {
                Fault::Truncate(length) => bytes.truncate(length as usize),
                Fault::Flip(at) => {
                    if let Some(byte) = bytes.get_mut(at as usize) {
                        *byte ^= 1;
                    }
                }
                Fault::Endless => bytes.resize(bytes.len() + (16 << 20), 0),
                Fault::Missing => return Ok(None),
                Fault::Unreachable => {
                    return Err(FetchError::Unreachable { place: path.into(), detail: "test".into() });
                }
            }
            Ok(Some(bytes))
        }

        fn whole(&mut self, path: &str) -> Result<Vec<u8>, FetchError> {
            let found = self.targets.get(path).cloned();
            self.serve(path, found)?.ok_or_else(|| FetchError::NotFound { path: path.into() })
        }
    }

    fn within(path: &str, limit: u64, bytes: Option<Vec<u8>>) -> Result<Option<Vec<u8>>, FetchError> {
        match bytes {
            Some(bytes) if bytes.len() as u64 > limit => {
                Err(FetchError::TooLong { path: path.into(), limit })
            }
            bytes => Ok(bytes),
        }
    }

    impl Fetch for MemoryFetch {
        fn metadata(&mut self, name: &str, limit: u64) -> Result<Option<Vec<u8>>, FetchError> {
            let found = self.metadata.get(name).cloned();
            within(name, limit, self.serve(name, found)?)
        }

        fn status(&mut self, path: &str, limit: u64) -> Result<Option<Vec<u8>>, FetchError> {
            let found = self.statuses.get(path).cloned();
            within(path, limit, self.serve(path, found)?)
        }

        fn forget(&mut self) {
            self.forgotten += 1;
        }

        fn target(&mut self, path: &str, limit: u64) -> Result<Vec<u8>, FetchError> {
            let bytes = self.whole(path)?;
            if bytes.len() as u64 > limit {
                return Err(FetchError::TooLong { path: path.into(), limit });
            }
            Ok(bytes)
        }

        fn target_range(&mut self, path: &str, range: Range<u64>, sink: Sink<'_>) -> Result<(), FetchError> {
            self.ranges.push(alloc::format!("{}..{}", range.start, range.end));
            let bytes = self.whole(path)?;
            let piece = if self.piece == 0 { 1000 } else { self.piece };
            let end = bytes.len().min(range.end as usize);
            let start = end.min(range.start as usize);
            for part in bytes[start..end].chunks(piece) {
                sink(part).map_err(|Stop| FetchError::Stopped)?;
            }
            if (end as u64) < range.end {
                return Err(FetchError::Answer { path: path.into(), detail: "ended early".into() });
            }
            Ok(())
        }
    }
}
