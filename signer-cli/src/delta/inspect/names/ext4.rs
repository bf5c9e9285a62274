//! Files of ext4 file systems, wherever in the image they begin.

use super::tree::{Files, Node, Tree};
use super::{MOST, Place};
use crate::delta::detect::Piece;
use crate::delta::detect::ext4::{FOLDER, File, FileSystem, ROOT, systems};
use crate::delta::source::Source;

/// Those that have content, and where that stands.
pub(super) fn files(image: &dyn Source) -> Vec<Place> {
    let mut files = Files::new();
    systems(image, &mut |system| files.add(system, ROOT.into()));
    files.found
}

impl Tree for FileSystem<'_> {
    type Folder = Vec<Piece>;

    fn node(&mut self, number: u64) -> Option<Node<Vec<Piece>>> {
        let File { kind, pieces, .. } = self.file(u32::try_from(number).ok()?)?;
        let range = |piece: &Piece| piece.image as u64..(piece.image + piece.length) as u64;
        Some(match kind {
            FOLDER => Node::Folder(pieces),
            _ => Node::File(pieces.iter().map(range).collect()),
        })
    }

    fn entries(&mut self, folder: Vec<Piece>) -> Vec<(u64, Vec<u8>)> {
        let entries = Self::entries(self, &folder, MOST).into_iter();
        entries.map(|(number, name)| (number.into(), name)).collect()
    }
}
