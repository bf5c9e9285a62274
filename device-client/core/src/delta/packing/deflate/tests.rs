//! What zlib 1.2.13 and GNU gzip 1.12 made of the same content.

use alloc::vec::Vec;

use super::Flavour::{Gzip, Zlib};
use super::*;
use crate::delta::packing::codec::crc32;

/// Words, bytes and runs, by a linear congruential generator.
fn content(length: usize) -> Vec<u8> {
    const WORDS: [&[u8]; 10] =
        [b"the ", b"device ", b"image ", b"of ", b"a ", b"part ", b"0x", b"\n", b"release ", b"packed "];
    let (mut state, mut content) = (1_u32, Vec::new());
    while content.len() < length {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let byte = |shift: u32| (state >> shift) as u8;
        match state >> 24 {
            r @ ..200 => content.extend_from_slice(WORDS[r as usize % 10]),
            200..240 => content.push(byte(16)),
            r @ 240..250 => content.extend((230..r).map(|_| byte(8))),
            r => {
                let back = content.len().saturating_sub((state >> 12 & 0xfff) as usize + 1);
                let end = content.len().min(back + (r as usize - 240) * 9);
                content.extend_from_within(back..end);
            }
        }
    }
    content.truncate(length);
    content
}

fn packed(deflater: &mut Deflater, parameters: &Parameters, content: &[u8], piece: usize) -> Vec<u8> {
    let mut packed = Vec::new();
    deflater.begin(parameters);
    let mut out = |bytes: &[u8]| {
        packed.extend_from_slice(bytes);
        Ok(())
    };
    for piece in content.chunks(piece) {
        deflater.push(piece, &mut out).unwrap();
    }
    deflater.finish(&mut out).unwrap();
    packed
}

#[test]
fn what_comes_out_is_what_zlib_and_gzip_write() {
    let all = content(150_000);
    assert_eq!(crc32(&all), 0xdece_ad7c);
    let table = [
        (150_000, Zlib, 1, 15, 8, 33_465, 0x9b30_cde1),
        (150_000, Zlib, 2, 15, 8, 31_413, 0x11dc_9db4),
        (150_000, Zlib, 3, 15, 8, 28_969, 0xf8e1_3cde),
        (150_000, Zlib, 4, 15, 8, 27_817, 0x25ad_c6a1),
        (150_000, Zlib, 5, 15, 8, 26_130, 0x2dc5_b610),
        (150_000, Zlib, 6, 15, 8, 24_792, 0x7b84_d228),
        (150_000, Zlib, 7, 15, 8, 24_410, 0x9b33_a85b),
        (150_000, Zlib, 8, 15, 8, 23_964, 0xaf46_0388),
        (150_000, Zlib, 9, 15, 8, 23_964, 0xaf46_0388),
        (150_000, Zlib, 9, 15, 9, 23_964, 0xaf46_0388),
        (150_000, Zlib, 6, 12, 5, 25_690, 0x7281_ddd6),
        (150_000, Zlib, 9, 9, 1, 49_930, 0xb2ae_63f8),
        (40, Zlib, 6, 15, 8, 31, 0xa6b1_8150),
        (0, Zlib, 9, 15, 8, 2, 0x6af4_413c),
        (150_000, Gzip, 1, 15, 8, 33_390, 0x6de1_b79b),
        (150_000, Gzip, 6, 15, 8, 24_792, 0x7b84_d228),
        (150_000, Gzip, 9, 15, 8, 23_964, 0xaf46_0388),
    ];
    let parameters =
        |(_, flavour, level, window_bits, memory_level, ..): &(_, _, _, _, _, usize, u32)| Parameters {
            flavour: *flavour,
            level: *level,
            window_bits: *window_bits,
            memory_level: *memory_level,
        };
    // One after the other with the same memory, as on a device.
    let mut deflater = Deflater::default();
    for row in &table {
        let parameters = parameters(row);
        for piece in [1 << 20, 4096, 331] {
            let packed = packed(&mut deflater, &parameters, &all[..row.0], piece);
            assert_eq!((packed.len(), crc32(&packed)), (row.5, row.6), "{parameters:?} in pieces of {piece}");
        }
    }
}

#[test]
fn what_can_t_be_packed_is_stored() {
    let mut state = 7_u64;
    let noise: Vec<u8> = (0..100_000)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 56) as u8
        })
        .collect();
    let parameters = Parameters { flavour: Zlib, level: 6, window_bits: 15, memory_level: 8 };
    let packed = packed(&mut Deflater::default(), &parameters, &noise, 999);
    assert!((100_001..100_100).contains(&packed.len()), "{}", packed.len());
}
