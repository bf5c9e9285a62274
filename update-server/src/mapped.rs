//! Files mapped into memory, so that a payload goes from the page cache to the socket without being read into a buffer
//! first. The only module of the crate with unsafe code; it never writes through a mapping.
#![allow(unsafe_code)]
#![expect(clippy::disallowed_methods, reason = "an adapter for files, beside disk.rs")]

use bytes::Bytes;
use memmap2::{Advice, Mmap};
use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;

/// A read-only mapping of a whole blob.
#[derive(Debug, Clone)]
pub(crate) struct Mapped {
    map: Arc<Mmap>,
    bytes: Bytes,
}

struct Shared(Arc<Mmap>);

impl AsRef<[u8]> for Shared {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Mapped {
    /// Maps a blob, which must not be empty (an empty mapping is refused by the system).
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        // SAFETY: a mapping is sound as long as nobody truncates or rewrites the file under it. Blobs are written
        // under another name, renamed once they are whole, and then neither written nor truncated by anybody: their
        // folder belongs to the server alone (0700). Removing one leaves the mapping whole. A disk that can't give
        // a page back ends the process (SIGBUS), which never serves wrong bytes.
        let map = Arc::new(unsafe { Mmap::map(&file)? });
        let _ = map.advise(Advice::Sequential);
        Ok(Self { bytes: Bytes::from_owner(Shared(Arc::clone(&map))), map })
    }

    /// The content; slices share the mapping.
    pub(crate) fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Asks the kernel to read a part ahead, so that the serving thread rarely waits for the disk.
    pub(crate) fn will_need(&self, offset: usize, length: usize) {
        let length = length.min(self.map.len().saturating_sub(offset));
        if length > 0 {
            let _ = self.map.advise_range(Advice::WillNeed, offset, length);
        }
    }
}
