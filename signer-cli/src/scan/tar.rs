//! The files of a tar, as they pass by (POSIX ustar, with the long names of pax and GNU).

use std::collections::VecDeque;

const BLOCK: usize = 512;
/// The longest name that is kept, in bytes.
const NAME: usize = 4096;

/// Which file of a tar lies where; nothing for what is no tar.
#[derive(Debug, Default)]
pub(super) struct TarMap {
    /// How many bytes have passed.
    passed: u64,
    /// Where the next header begins; `None` once something else stood there.
    header_at: Option<Next>,
    /// A header, or the content of a long name, that has not passed whole.
    partial: Vec<u8>,
    /// How many bytes of `partial` make it whole.
    wanted: usize,
    /// A name that belongs to the next header.
    long_name: Option<String>,
    /// Files whose content may still be asked for: begin, end, name.
    files: VecDeque<(u64, u64, String)>,
    broken: bool,
}

#[derive(Debug, Clone, Copy)]
struct Next {
    at: u64,
    /// Whether it is the content of a long name, and of which kind.
    content: Option<u8>,
}

impl TarMap {
    pub(super) fn update(&mut self, bytes: &[u8]) {
        let mut at = 0;
        while at < bytes.len() && !self.broken {
            let next = *self.header_at.get_or_insert(Next { at: 0, content: None });
            if self.wanted == 0 {
                self.wanted = BLOCK;
            }
            if self.passed < next.at {
                let skip = (next.at - self.passed).min((bytes.len() - at) as u64);
                (self.passed, at) = (self.passed + skip, at + skip as usize);
                continue;
            }
            let take = (self.wanted - self.partial.len()).min(bytes.len() - at);
            self.partial.extend_from_slice(&bytes[at..at + take]);
            (self.passed, at) = (self.passed + take as u64, at + take);
            if self.partial.len() == self.wanted {
                let whole = std::mem::take(&mut self.partial);
                self.wanted = 0;
                self.take(&whole, next);
            }
        }
        self.passed += (bytes.len() - at) as u64;
    }

    /// The file that a byte of the image belongs to.
    pub(super) fn file_at(&self, offset: u64) -> Option<String> {
        let file = self.files.iter().find(|(begin, end, _)| (*begin..*end).contains(&offset))?;
        Some(format!("in the file {:?}", file.2))
    }

    pub(super) fn forget_before(&mut self, offset: u64) {
        while self.files.front().is_some_and(|(_, end, _)| *end <= offset) {
            self.files.pop_front();
        }
    }

    fn take(&mut self, whole: &[u8], next: Next) {
        if let Some(kind) = next.content {
            self.long_name = match kind {
                b'L' => Some(text(whole)),
                _ => pax_path(whole),
            };
            self.header_at = Some(Next { at: self.passed.next_multiple_of(BLOCK as u64), content: None });
            return;
        }
        if whole.iter().all(|byte| *byte == 0) {
            self.header_at = Some(Next { at: self.passed, content: None });
            return;
        }
        let Some((name, size, kind)) = header(whole) else {
            self.broken = true;
            return;
        };
        let end = self.passed.saturating_add(size);
        let after = end.checked_next_multiple_of(BLOCK as u64).unwrap_or(u64::MAX);
        if matches!(kind, b'L' | b'x') && (1..=NAME as u64).contains(&size) {
            self.wanted = size as usize;
            self.header_at = Some(Next { at: self.passed, content: Some(kind) });
            return;
        }
        let name = self.long_name.take().unwrap_or(name);
        if size > 0 && matches!(kind, 0 | b'0' | b'7') {
            self.files.push_back((self.passed, end, name));
        }
        self.header_at = Some(Next { at: after, content: None });
    }
}

/// Name, size and kind; nothing where it is no header.
fn header(block: &[u8]) -> Option<(String, u64, u8)> {
    if !block[257..].starts_with(b"ustar") {
        return None;
    }
    let said = octal(&block[148..156])?;
    let sum = |(at, byte): (usize, &u8)| if (148..156).contains(&at) { 32 } else { u64::from(*byte) };
    if block.iter().enumerate().map(sum).sum::<u64>() != said {
        return None;
    }
    let size = &block[124..136];
    let size = if size[0] & 0x80 != 0 {
        size[4..].iter().fold(0, |size: u64, byte| (size << 8) | u64::from(*byte))
    } else {
        octal(size)?
    };
    let (name, prefix) = (text(&block[..100]), text(&block[345..500]));
    // GNU's own form has times where POSIX has a prefix.
    let posix = block[263..265] == *b"00";
    let name = if posix && !prefix.is_empty() { format!("{prefix}/{name}") } else { name };
    Some((name, size, block[156]))
}

fn octal(bytes: &[u8]) -> Option<u64> {
    let text = text(bytes);
    let text = text.trim();
    if text.is_empty() { Some(0) } else { u64::from_str_radix(text, 8).ok() }
}

fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}

/// `30 path=a/long/name\n` among others.
fn pax_path(bytes: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(bytes);
    let line = text.lines().find_map(|line| line.split_once(' ')?.1.strip_prefix("path="));
    line.map(str::to_owned)
}
