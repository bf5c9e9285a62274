//! The calls into zstd's library.
#![allow(unsafe_code)]

use core::ffi::c_int;
use core::ptr::NonNull;

use zstd_sys::ZSTD_cParameter as Parameter;

use crate::Sequence;

const _: () = {
    use core::mem::{align_of, offset_of, size_of};
    type Theirs = zstd_sys::ZSTD_Sequence;
    assert!(size_of::<Sequence>() == size_of::<Theirs>() && align_of::<Sequence>() == align_of::<Theirs>());
    assert!(offset_of!(Sequence, offset) == offset_of!(Theirs, offset));
    assert!(offset_of!(Sequence, literals) == offset_of!(Theirs, litLength));
    assert!(offset_of!(Sequence, length) == offset_of!(Theirs, matchLength));
    assert!(offset_of!(Sequence, repeated) == offset_of!(Theirs, rep));
};

/// A context of the library's, with the memory that it takes.
#[derive(Debug)]
pub struct Context(NonNull<zstd_sys::ZSTD_CCtx>);

// SAFETY: the library ties a context to no thread; `Context` owns it alone, and uses it through `&mut` only.
unsafe impl Send for Context {}

impl Context {
    /// `None` where there is no memory for one.
    pub fn new() -> Option<Self> {
        // SAFETY: it takes nothing; null is told by `NonNull`.
        NonNull::new(unsafe { zstd_sys::ZSTD_createCCtx() }).map(Self)
    }

    /// Bytes that it takes.
    pub fn size(&self) -> usize {
        // SAFETY: the context is alive, and only read.
        unsafe { zstd_sys::ZSTD_sizeof_CCtx(self.0.as_ptr()) }
    }

    /// Packs `content` into `packed` as the library itself does it at this level, in one call: how many bytes it has. `None`
    /// where there is no room.
    pub fn pack(&mut self, level: u8, content: &[u8], packed: &mut [u8]) -> Option<usize> {
        // SAFETY: the context is alive, and nobody else uses it; both slices are alive and have these lengths, and `packed` is
        // written through a unique borrow.
        let written = unsafe {
            zstd_sys::ZSTD_compressCCtx(
                self.0.as_ptr(),
                packed.as_mut_ptr().cast(),
                packed.len(),
                content.as_ptr().cast(),
                content.len(),
                c_int::from(level),
            )
        };
        (is_fine(written) && written <= packed.len()).then_some(written)
    }

    /// Packs `content` into `packed` by these sequences, each block with its end, as one frame with its length and without a sum:
    /// how many bytes it has. `None` where the sequences don't add up to the content, or there is no room. Whether a match holds
    /// what stands at its offset isn't looked at: such a frame holds something else.
    pub fn pack_by(
        &mut self,
        level: u8,
        sequences: &[Sequence],
        content: &[u8],
        packed: &mut [u8],
    ) -> Option<usize> {
        // Without an end the library's answer is undefined; with validation on, every other sequence is checked.
        let ends = sequences.last().is_some_and(|last| last.length == 0 && last.offset == 0);
        let level = c_int::from(level);
        let context = self.0.as_ptr();
        // SAFETY: the context is alive, and nobody else uses it.
        let reset = unsafe {
            let all = zstd_sys::ZSTD_ResetDirective::ZSTD_reset_session_and_parameters;
            zstd_sys::ZSTD_CCtx_reset(context, all)
        };
        let explicit = 1;
        let parameters = [
            (Parameter::ZSTD_c_compressionLevel, level),
            // ZSTD_c_stableInBuffer, ZSTD_c_stableOutBuffer, ZSTD_c_blockDelimiters, ZSTD_c_validateSequences: their names are
            // macros in C. With stable buffers it takes none of its own.
            (Parameter::ZSTD_c_experimentalParam9, 1),
            (Parameter::ZSTD_c_experimentalParam10, 1),
            (Parameter::ZSTD_c_experimentalParam11, explicit),
            (Parameter::ZSTD_c_experimentalParam12, 1),
        ];
        let is_set = is_fine(reset)
            && parameters.into_iter().all(|(parameter, value)| {
                // SAFETY: the context is alive, and nobody else uses it.
                is_fine(unsafe { zstd_sys::ZSTD_CCtx_setParameter(context, parameter, value) })
            });
        if !ends || !is_set {
            return None;
        }
        // SAFETY: the three slices are alive and have these lengths; `packed` is written through a unique borrow; `Sequence` is
        // laid out as the library's, which the constant above checks; the library checks each sequence against the content
        // (ZSTD_c_validateSequences) and each write against `packed`'s length.
        let written = unsafe {
            zstd_sys::ZSTD_compressSequences(
                context,
                packed.as_mut_ptr().cast(),
                packed.len(),
                sequences.as_ptr().cast(),
                sequences.len(),
                content.as_ptr().cast(),
                content.len(),
            )
        };
        (is_fine(written) && written <= packed.len()).then_some(written)
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        // SAFETY: it was made by `ZSTD_createCCtx`, and nothing uses it any more.
        unsafe { zstd_sys::ZSTD_freeCCtx(self.0.as_ptr()) };
    }
}

fn is_fine(answer: usize) -> bool {
    // SAFETY: it looks at the number alone.
    unsafe { zstd_sys::ZSTD_isError(answer) == 0 }
}
