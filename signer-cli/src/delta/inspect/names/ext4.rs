//! Files of ext4 file systems, wherever in the image they begin.

use super::{MOST, Place};
use crate::delta::detect::ext4::systems;
use crate::delta::source::Source;

/// Those that have content, and where that stands.
pub(super) fn files(image: &dyn Source) -> Vec<Place> {
    let mut found = Vec::new();
    systems(image, &mut |system| {
        system.tree(&mut |name, pieces| {
            if found.len() < MOST && !pieces.is_empty() {
                let ranges =
                    pieces.iter().map(|piece| piece.image as u64..(piece.image + piece.length) as u64);
                found.push(Place { name, ranges: ranges.collect() });
            }
        });
    });
    found
}
