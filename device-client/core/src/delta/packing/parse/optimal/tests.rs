use super::*;
use crate::delta::packing::codec::crc32;
use crate::delta::packing::parse::LEAST;

/// Numbers that are the same for ever.
struct Random(u32);

impl Random {
    fn below(&mut self, most: u32) -> u32 {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (self.0 >> 8) % most
    }
}

/// Words that come again.
fn text(length: usize) -> Vec<u8> {
    let mut random = Random(1);
    let words: Vec<Vec<u8>> = (0..700)
        .map(|_| (0..2 + random.below(8)).map(|_| b'a' + random.below(20) as u8).chain([b' ']).collect())
        .collect();
    let mut text = Vec::new();
    while text.len() < length {
        let most = 1 + random.below(700);
        text.extend_from_slice(&words[random.below(most) as usize]);
    }
    text.truncate(length);
    text
}

/// Records: fields that count, repeat, or are noise; between them runs of zeros.
fn records(length: usize) -> Vec<u8> {
    let mut random = Random(2);
    let mut records = Vec::new();
    let mut number = 0_u32;
    while records.len() < length {
        number += random.below(3);
        records.extend(number.to_le_bytes());
        records.extend([0xe8, 0x48, 0x8b].iter().take(1 + random.below(3) as usize));
        records.extend((random.below(40) * 0x0101).to_le_bytes());
        let (noise, zeros) = (random.below(6), random.below(9) / 8 * random.below(600));
        records.extend((0..noise).map(|_| random.below(256) as u8));
        records.extend((0..zeros).map(|_| 0));
    }
    records.truncate(length);
    records
}

/// A sum over a parse.
fn sum(parse: &Parse) -> u32 {
    let numbers = parse.matches.iter().flat_map(|found| [found.at, found.length, found.offset]);
    crc32(&numbers.flat_map(u32::to_le_bytes).collect::<Vec<_>>())
}

fn parse(level: u8, content: &[u8]) -> Option<Parse> {
    let mut parse = Parse::with_room(content.len());
    Optimal::default().parse(level, content, &mut parse).then_some(parse)
}

/// A level, and the sum of its parse.
type Sums = &'static [(u8, u32)];

/// The sums were taken of frames that `ZSTD_compressCCtx` of zstd 1.5.4 made of these contents, by `Parse::read`; 1.5.5 made the
/// same.
#[test]
fn contents_are_parsed_as_zstd_1_5_4_does() {
    let expected: [(Vec<u8>, Sums); 4] = [
        (
            text(MOST),
            &[
                (13, 0xf1cd_321a),
                (14, 0xb70e_a0a1),
                (15, 0xb84c_b802),
                (16, 0x692d_3fdd),
                (17, 0x692d_3fdd),
                (18, 0x692d_3fdd),
                (19, 0xda7d_8512),
                (20, 0xda7d_8512),
                (22, 0xda7d_8512),
            ],
        ),
        (
            text(10_000),
            &[
                (11, 0xcb4d_2cee),
                (12, 0x6fda_6fe9),
                (13, 0x271b_79ef),
                (14, 0x271b_79ef),
                (15, 0x271b_79ef),
                (16, 0x10bc_64ea),
                (17, 0x10bc_64ea),
                (18, 0x10bc_64ea),
                (19, 0x10bc_64ea),
                (20, 0x10bc_64ea),
                (22, 0x10bc_64ea),
            ],
        ),
        (
            records(MOST),
            &[
                (13, 0xc9d0_b692),
                (14, 0x013b_e4a7),
                (15, 0x7763_1563),
                (16, 0x4fe7_04d2),
                (17, 0x3457_ac86),
                (18, 0xf4c9_1d5d),
                (19, 0x1451_907c),
                (20, 0xc6a0_03df),
                (22, 0xfa94_db77),
            ],
        ),
        (
            records(10_000),
            &[
                (11, 0x4c4f_51c0),
                (12, 0x6c91_080f),
                (13, 0x2308_0210),
                (14, 0x4f48_f751),
                (15, 0xb21b_9236),
                (16, 0x203b_0552),
                (17, 0x8a7e_263a),
                (18, 0x06b3_c412),
                (19, 0xd939_838a),
                (20, 0x3c57_2a7d),
                (22, 0x11e2_b67f),
            ],
        ),
    ];
    for (content, levels) in expected {
        for (level, expected) in levels {
            let found = sum(&parse(*level, &content).unwrap());
            assert_eq!(found, *expected, "{} bytes at level {level}: {found:#010x}", content.len());
        }
    }
}

/// Whatever the content, each match holds what stands at its offset.
#[test]
fn every_match_is_one() {
    let mut random = Random(3);
    let mut noise = |length: usize| (0..length).map(|_| random.below(256) as u8).collect::<Vec<_>>();
    let zeros = vec![0; MOST];
    let halves = [noise(MOST / 2), noise(100), text(MOST / 2 - 100)].concat();
    let twice = [noise(5_000), vec![7; 3_000]].concat().repeat(4);
    let mut optimal = Optimal::default();
    let mut room = Parse::with_room(MOST);
    for content in [text(MOST), records(MOST), noise(MOST), zeros, halves, twice] {
        for length in [0, 1, 7, 8, 9, 10, 63, 64, 65, 1000, 16_384, 16_385, content.len()] {
            let content = &content[..length];
            for level in [11, 13, 15, 18, 19, 22] {
                if !optimal.parse(level, content, &mut room) {
                    assert!(level < 13 && length > 16_384, "level {level}, {length} bytes");
                    continue;
                }
                let mut at = 0;
                for found in &room.matches {
                    let Match { at: start, length, offset } = *found;
                    assert!(start >= at && length >= LEAST && (1..=start).contains(&offset), "{found:?}");
                    at = found.end();
                    assert!((start..at).all(|at| content[at as usize] == content[(at - offset) as usize]));
                }
                assert!(room.ends == [End { matches: room.matches.len() as u32, at: length as u32 }]);
            }
        }
    }
    assert!(!optimal.parse(19, &vec![0; MOST + 1], &mut room), "longer than a block");
    assert!(!optimal.parse(10, &text(100), &mut room) && !optimal.parse(23, &text(100), &mut room));
}
