//! zstd: one frame, a window of at most 8 MiB, output in small pieces, so that a bomb is stopped while it unfolds.

use perennial_device_core::port::{Decompress, DecompressError, Sink, WINDOW_LENGTH};
use perennial_device_core::vouch::Vouched;
use zstd::stream::raw::{Decoder, Operation};
use zstd::zstd_safe::DParameter;

/// Bytes of output that are handed over at once.
const PIECE: usize = 128 * 1024;

/// A zstd decompressor. It holds its window, at most 8 MiB, and one piece.
pub struct Zstd {
    decoder: Option<Decoder<'static>>,
    piece: Vec<u8>,
    ended: bool,
}

impl Default for Zstd {
    fn default() -> Self {
        Self { decoder: None, piece: vec![0; PIECE], ended: false }
    }
}

impl Zstd {
    fn bytes(&mut self, input: &[u8], output: Sink<'_>) -> Result<(), DecompressError> {
        let decoder = self.decoder.as_mut().ok_or_else(|| failed("no frame was begun"))?;
        let mut rest = input;
        loop {
            if self.ended {
                return if rest.is_empty() { Ok(()) } else { Err(failed("bytes after the frame's end")) };
            }
            let status = decoder.run_on_buffers(rest, &mut self.piece).map_err(failed)?;
            rest = &rest[status.bytes_read..];
            self.ended = status.remaining == 0;
            if status.bytes_written > 0 {
                output(&self.piece[..status.bytes_written])?;
            }
            // A piece that isn't full means that nothing more comes of these bytes.
            if rest.is_empty() && status.bytes_written < self.piece.len() {
                return Ok(());
            }
        }
    }
}

impl Decompress for Zstd {
    fn start(&mut self) -> Result<(), DecompressError> {
        let mut decoder = Decoder::new().map_err(failed)?;
        decoder.set_parameter(DParameter::WindowLogMax(WINDOW_LENGTH.ilog2())).map_err(failed)?;
        self.decoder = Some(decoder);
        self.ended = false;
        Ok(())
    }

    fn push(&mut self, input: &Vouched<'_>, output: Sink<'_>) -> Result<(), DecompressError> {
        self.bytes(input.bytes(), output)
    }

    fn finish(&mut self) -> Result<(), DecompressError> {
        // The window's memory is given back.
        self.decoder = None;
        if self.ended { Ok(()) } else { Err(failed("the frame is truncated")) }
    }
}

fn failed(why: impl ToString) -> DecompressError {
    DecompressError::Failed(why.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use perennial_device_core::port::Stop;

    fn frame(bytes: &[u8], window_log: u32) -> Vec<u8> {
        use std::io::Write;
        let mut encoder = zstd::Encoder::new(Vec::new(), 3).unwrap();
        encoder.window_log(window_log).unwrap();
        // Long enough that the frame really asks for the window, and not known beforehand.
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn unpack(frame: &[u8], step: usize) -> Result<Vec<u8>, DecompressError> {
        let mut out = Vec::new();
        let mut zstd = Zstd::default();
        zstd.start()?;
        for part in frame.chunks(step) {
            zstd.bytes(part, &mut |piece| {
                assert!(piece.len() <= PIECE);
                out.extend_from_slice(piece);
                Ok(())
            })?;
        }
        zstd.finish()?;
        Ok(out)
    }

    #[test]
    fn frames_come_out_however_they_are_cut() {
        let plain: Vec<u8> = (0..600_000_u32).flat_map(|n| (n / 7).to_le_bytes()).collect();
        let frame = frame(&plain, 20);
        for step in [1000, 4096, frame.len()] {
            assert_eq!(unpack(&frame, step).unwrap(), plain);
        }
        assert_eq!(unpack(&self::frame(b"", 20), 1).unwrap(), b"");
    }

    #[test]
    fn a_window_of_8_mib_is_taken_and_a_larger_one_is_not() {
        let plain = vec![7; 20 << 20];
        assert_eq!(unpack(&frame(&plain, 23), 4096).unwrap().len(), plain.len());
        assert!(matches!(unpack(&frame(&plain, 24), 4096), Err(DecompressError::Failed(_))));
    }

    #[test]
    fn truncated_longer_and_corrupted_frames_are_refused() {
        let whole = frame(&[7; 5000], 20);
        let longer = [whole.as_slice(), b"x"].concat();
        let two = [whole.as_slice(), &whole].concat();
        for bad in [&whole[..whole.len() - 1], &longer, &two, b"not zstd at all", b""] {
            assert!(unpack(bad, 7).is_err());
        }
    }

    #[test]
    fn a_bomb_is_stopped_by_whoever_counts() {
        let bomb = frame(&vec![0; 64 << 20], 20);
        let mut zstd = Zstd::default();
        zstd.start().unwrap();
        let mut left = 1_usize << 20;
        let answer = zstd.bytes(&bomb, &mut |piece| {
            left = left.checked_sub(piece.len()).ok_or(Stop)?;
            Ok(())
        });
        assert_eq!(answer, Err(DecompressError::Stopped));
    }
}
