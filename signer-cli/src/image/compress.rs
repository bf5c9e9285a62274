//! The payload is compressed on a thread of its own, in step with the pass that reads the image.

use std::io::{self, Write};
use std::num::NonZero;
use std::ops::RangeInclusive;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;

use perennial_schemas::crypto::Digest;
use zstd::stream::raw::CParameter;

use super::{ImageError, Indexer, Measured};

/// The levels of zstd that a release may be compressed with.
pub const LEVELS: RangeInclusive<i32> = 1..=22;

/// log2 of the window in bytes: 8 MiB, the most that a device sets aside for it.
const WINDOW_BITS: u32 = 23;

/// Blocks of 1 MiB between the reading and the compressing thread, so that neither waits for the other's hiccups.
const BLOCKS_AHEAD: usize = 4;

/// How a payload is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Compression {
    /// zstd's level, 1 to 22. A payload is compressed once and downloaded by every device.
    pub level: i32,
    /// Compressing threads; 0 for as many as there are cores, at most 16. The result doesn't depend on it.
    pub threads: u32,
}

/// Hands a block on to the compressor.
pub(super) type Feed<'f> = dyn FnMut(Vec<u8>) -> Result<(), ImageError> + 'f;

/// Runs `read` on this thread, compresses what it feeds on another, and gives both results. `length` is that of all
/// blocks together, in bytes; the payload is indexed in chunks of 2^`chunk_bits` bytes.
pub(super) fn in_step<C: Digest + Sync, R>(
    payload: &mut (dyn Write + Send),
    length: u64,
    compression: Compression,
    chunk_bits: u8,
    crypto: &C,
    read: impl FnOnce(&mut Feed<'_>) -> Result<R, ImageError>,
) -> Result<(R, Measured), ImageError> {
    let (sender, blocks) = sync_channel::<Vec<u8>>(BLOCKS_AHEAD);
    thread::scope(|scope| {
        let compressor = scope.spawn(|| {
            let out = Tee { indexer: Indexer::new(crypto, chunk_bits), out: payload };
            compress(blocks, out, length, compression)
        });
        let mut gone = false;
        let result = read(&mut |block| {
            gone = sender.send(block).is_err();
            // The receiver is dropped early only where the compressor failed; its own error is told below.
            if gone { Err(ImageError::Write(io::ErrorKind::BrokenPipe.into())) } else { Ok(()) }
        });
        drop(sender);
        let compressed = match compressor.join() {
            Ok(compressed) => compressed,
            Err(panic) => std::panic::resume_unwind(panic),
        };
        match result {
            Err(error) if !gone => Err(error),
            Err(error) => Err(compressed.err().unwrap_or(error)),
            Ok(result) => Ok((result, compressed?)),
        }
    })
}

fn compress<C: Digest>(
    blocks: Receiver<Vec<u8>>,
    out: Tee<'_, '_, C>,
    length: u64,
    compression: Compression,
) -> Result<Measured, ImageError> {
    let mut encoder = encoder(out, length, compression).map_err(ImageError::Write)?;
    for block in blocks {
        encoder.write_all(&block).map_err(ImageError::Write)?;
    }
    let out = encoder.finish().map_err(ImageError::Write)?;
    out.out.flush().map_err(ImageError::Write)?;
    out.indexer.finish("payload")
}

/// One frame with the content's length in it, no checksum (every chunk has a digest), and a window of at most 8 MiB: zstd
/// takes a smaller one where the content is shorter.
fn encoder<W: Write>(
    out: W,
    length: u64,
    compression: Compression,
) -> io::Result<zstd::stream::Encoder<'static, W>> {
    let mut encoder = zstd::stream::Encoder::new(out, compression.level)?;
    encoder.set_parameter(CParameter::WindowLog(WINDOW_BITS))?;
    encoder.include_checksum(false)?;
    encoder.set_pledged_src_size(Some(length))?;
    encoder.multithread(threads(compression.threads))?;
    Ok(encoder)
}

/// Always at least one worker: with none zstd takes another path, whose result differs.
fn threads(asked: u32) -> u32 {
    let cores = || thread::available_parallelism().map_or(1, NonZero::get);
    if asked == 0 { u32::try_from(cores()).unwrap_or(16).min(16) } else { asked }
}

/// Indexes what it writes.
struct Tee<'c, 'o, C: Digest> {
    indexer: Indexer<'c, C>,
    out: &'o mut (dyn Write + Send),
}

impl<C: Digest> Write for Tee<'_, '_, C> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = self.out.write(bytes)?;
        self.indexer.update(&bytes[..n]);
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
