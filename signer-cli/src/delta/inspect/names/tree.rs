//! Directories, from the topmost one down, to the paths of all files.
//!
//! Decides how much is told: what is damaged may contain itself, or name more than anybody has room for.

use std::collections::HashSet;
use std::ops::Range;

use super::{LONGEST_PATH, MOST, Place};

/// Bytes of all paths together: of [`MOST`] of them, each may have 256.
pub(super) const NAMES: usize = MOST * 256;

/// What an inode is.
pub(super) enum Node<F> {
    /// A file, and where its bytes stand; nowhere, if it has none or isn't read.
    File(Vec<Range<u64>>),
    /// A directory.
    Folder(F),
}

/// A file system.
pub(super) trait Tree {
    /// What is known of a directory from its inode.
    type Folder;

    /// What the inode of this number is; `None` where it is nothing that holds bytes or names.
    fn node(&mut self, number: u64) -> Option<Node<Self::Folder>>;

    /// Numbers and names in a directory: [`MOST`] of them, or fewer.
    fn entries(&mut self, folder: Self::Folder) -> Vec<(u64, Vec<u8>)>;
}

/// The files of file systems.
pub(super) struct Files {
    pub(super) found: Vec<Place>,
    /// Inodes that may still be looked at, and bytes of paths that there is room for.
    left: usize,
    room: usize,
}

impl Files {
    pub(super) fn new() -> Self {
        Self { found: Vec::new(), left: MOST, room: NAMES }
    }

    /// Those that have content, each by its first path; the inode of this number is the topmost directory.
    pub(super) fn add<T: Tree>(&mut self, tree: &mut T, root: u64) {
        let mut seen = HashSet::from([root]);
        let mut folders = Vec::new();
        if let Some(Node::Folder(folder)) = tree.node(root) {
            folders.push((folder, String::new()));
        }
        while let Some((folder, path)) = folders.pop() {
            for (number, name) in tree.entries(folder) {
                if matches!(&name[..], b"" | b"." | b"..") || !seen.insert(number) {
                    continue;
                }
                let path = format!("{path}/{}", String::from_utf8_lossy(&name));
                let is_short = path.len() <= LONGEST_PATH;
                let length = if is_short { path.len() } else { 0 };
                let (Some(left), Some(room)) = (self.left.checked_sub(1), self.room.checked_sub(length))
                else {
                    return;
                };
                (self.left, self.room) = (left, room);
                match tree.node(number).filter(|_| is_short) {
                    Some(Node::File(ranges)) if !ranges.is_empty() => {
                        self.found.push(Place { name: path, ranges });
                    }
                    Some(Node::Folder(folder)) => folders.push((folder, path)),
                    _ => {}
                }
            }
        }
    }
}
