//! The journal of an update in place: how far it is, in two sectors by turns.
//!
//! ```text
//! line   magic "PRNPLACE"        8 bytes
//!        sequence                u32 LE  one more than that of the line before
//!        progress                u32 LE  0 moving, 1 writing, 2 done
//!        of what                 u32 LE  moving: sectors that are still to be moved; writing: frames that are done
//!        the delta               16 bytes
//!        zero                    24 bytes
//!        CRC-32 of all before it u32 LE
//! ```
//!
//! Decides which line counts: the last one that is whole. A line that a power cut spoiled is passed over, and a sector is
//! erased only while the other one holds the line that counts.

use super::super::packing::codec::crc32;
use crate::port::{Area, Flash, JOURNAL_SECTORS, LINE, PortError};

/// How far an update in place is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// The sectors of the old image before this one are still to be moved.
    Moving(u32),
    /// So many frames are done.
    Writing(u32),
    /// The slot holds the new image.
    Done,
}

/// What the last line says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Noted {
    /// Of which delta.
    pub delta: [u8; 16],
    /// How far it is.
    pub progress: Progress,
}

/// Where the next line goes.
#[derive(Debug)]
pub struct Journal {
    sequence: u32,
    sector: u32,
    /// The line in that sector; past its end, the other sector is next.
    line: u32,
}

const MAGIC: &[u8; 8] = b"PRNPLACE";

impl Journal {
    /// Reads the journal: where it goes on, and what it says.
    ///
    /// # Errors
    /// [`PortError`]
    pub fn open(flash: &mut dyn Flash) -> Result<(Self, Option<Noted>), PortError> {
        let lines = lines(flash);
        let mut last: Option<(u32, u32, u32, Noted)> = None;
        let mut line = [0; LINE];
        for sector in 0..JOURNAL_SECTORS {
            for number in 0..lines {
                flash.read(Area::Journal, place(flash, sector, number), &mut line)?;
                if let Some((sequence, noted)) = decode(&line)
                    && last.is_none_or(|(known, ..)| sequence > known)
                {
                    last = Some((sequence, sector, number, noted));
                }
            }
        }
        let Some((sequence, sector, number, noted)) = last else {
            // As behind a full sector: the first one is erased.
            return Ok((Self { sequence: 0, sector: JOURNAL_SECTORS - 1, line: lines }, None));
        };
        let mut free = lines;
        for number in number + 1..lines {
            flash.read(Area::Journal, place(flash, sector, number), &mut line)?;
            if line.iter().all(|byte| *byte == 0xff) {
                free = number;
                break;
            }
        }
        Ok((Self { sequence, sector, line: free }, Some(noted)))
    }

    /// Writes a line; durable when it returns.
    ///
    /// # Errors
    /// [`PortError`]
    pub fn note(&mut self, flash: &mut dyn Flash, noted: &Noted) -> Result<(), PortError> {
        if self.line >= lines(flash) {
            (self.sector, self.line) = ((self.sector + 1) % JOURNAL_SECTORS, 0);
            flash.erase(Area::Journal, self.sector)?;
        }
        let sequence = self.sequence.saturating_add(1);
        let line = encode(sequence, noted);
        flash.write(Area::Journal, place(flash, self.sector, self.line), &line)?;
        (self.sequence, self.line) = (sequence, self.line + 1);
        Ok(())
    }
}

fn lines(flash: &dyn Flash) -> u32 {
    flash.sector() / LINE as u32
}

fn place(flash: &dyn Flash, sector: u32, line: u32) -> u64 {
    u64::from(sector) * u64::from(flash.sector()) + u64::from(line) * LINE as u64
}

fn encode(sequence: u32, noted: &Noted) -> [u8; LINE] {
    let (kind, of) = match noted.progress {
        Progress::Moving(sectors) => (0, sectors),
        Progress::Writing(frames) => (1, frames),
        Progress::Done => (2, 0),
    };
    let mut line = [0; LINE];
    line[..8].copy_from_slice(MAGIC);
    for (at, number) in [(8, sequence), (12, kind), (16, of)] {
        line[at..at + 4].copy_from_slice(&u32::to_le_bytes(number));
    }
    line[20..36].copy_from_slice(&noted.delta);
    let sum = crc32(&line[..60]);
    line[60..].copy_from_slice(&sum.to_le_bytes());
    line
}

fn decode(line: &[u8; LINE]) -> Option<(u32, Noted)> {
    let number = |at: usize| u32::from_le_bytes([line[at], line[at + 1], line[at + 2], line[at + 3]]);
    if &line[..8] != MAGIC || number(60) != crc32(&line[..60]) {
        return None;
    }
    let progress = match number(12) {
        0 => Progress::Moving(number(16)),
        1 => Progress::Writing(number(16)),
        2 => Progress::Done,
        _ => return None,
    };
    let mut delta = [0; 16];
    delta.copy_from_slice(&line[20..36]);
    Some((number(8), Noted { delta, progress }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::port::memory::MemoryFlash;
    use crate::port::power::Power;

    fn noted(progress: Progress) -> Noted {
        Noted { delta: [7; 16], progress }
    }

    #[test]
    fn lines_are_what_they_say() {
        for progress in [Progress::Moving(9), Progress::Writing(0), Progress::Writing(77), Progress::Done] {
            let line = encode(5, &noted(progress));
            assert_eq!(decode(&line), Some((5, noted(progress))));
            for bit in 0..LINE * 8 {
                let mut wrong = line;
                wrong[bit / 8] ^= 1 << (bit % 8);
                assert_eq!(decode(&wrong), None, "{bit}");
            }
        }
    }

    /// Sectors of four lines: each tenth note is cut, in all the ways that a cut leaves things.
    #[test]
    fn the_last_whole_line_counts_whatever_was_cut() {
        let power = Power::new();
        let mut flash = MemoryFlash::new(&power, 256, 1, &[]);
        let mut last = None;
        for round in 0..200_u32 {
            let (mut journal, found) = Journal::open(&mut flash).unwrap();
            assert_eq!(found, last, "{round}");
            let next = noted(Progress::Writing(round));
            flash.seed = u64::from(round) * 31;
            if round % 3 == 0 {
                power.cut_after(u64::from(round / 3 % 2));
            }
            let done = journal.note(&mut flash, &next);
            power.restore();
            let (_, found) = Journal::open(&mut flash).unwrap();
            assert!(found == Some(next) || done.is_err() && found == last, "{round}");
            last = found;
        }
    }
}
