//! The mapped blobs of one core: the recently used ones stay mapped, at most [`KEPT`] of them, so that a repository of
//! any size takes a bounded number of mappings. It never caches content: that is the page cache's task.

use crate::blobs::{Blobs, Digest};
use crate::disk::DiskError;
use crate::mapped::Mapped;
use std::cell::RefCell;
use std::collections::HashMap;

/// 512 mappings a core: the system allows a process 65,530 of them by default.
const KEPT: usize = 512;

/// See the module.
#[derive(Debug)]
pub(crate) struct Maps {
    blobs: Blobs,
    kept: RefCell<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    uses: u64,
    maps: HashMap<Digest, (u64, Mapped)>,
}

impl Maps {
    pub(crate) fn new(blobs: Blobs) -> Self {
        Self { blobs, kept: RefCell::default() }
    }

    /// The mapped blob, `None` when it is empty.
    pub(crate) fn open(&self, digest: &Digest, length: u64) -> Result<Option<Mapped>, DiskError> {
        let mut kept = self.kept.borrow_mut();
        kept.uses += 1;
        let uses = kept.uses;
        if let Some((last, map)) = kept.maps.get_mut(digest) {
            *last = uses;
            return Ok(Some(map.clone()));
        }
        let Some(map) = self.blobs.map(digest, length)? else { return Ok(None) };
        if kept.maps.len() >= KEPT {
            let oldest = kept.maps.iter().min_by_key(|(_, (last, _))| *last).map(|(digest, _)| *digest);
            oldest.and_then(|digest| kept.maps.remove(&digest));
        }
        kept.maps.insert(*digest, (uses, map.clone()));
        Ok(Some(map))
    }

    /// Unmaps everything but what streams under way use, so that removed blobs give their room back.
    pub(crate) fn forget(&self) {
        self.kept.borrow_mut().maps.clear();
    }
}
