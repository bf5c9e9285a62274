//! Images with zstd frames as another version packs them.

use perennial_device_core::delta::packing::parse::Parse;
use perennial_device_core::delta::packing::parse::optimal::Optimal;
use perennial_zstd_sequences::{Context, Sequence};

use super::Random;

/// A frame as a packer with another search makes it: without some matches, with others cut short, and in two blocks.
///
/// # Panics
/// Where zstd's library can't pack it.
#[expect(clippy::expect_used, reason = "a test's tool: a panic ends it and says why")]
pub fn otherwise(content: &[u8]) -> Vec<u8> {
    let mut frame = vec![0; 2 * content.len() + 100];
    let own = Context::new().and_then(|mut context| context.pack(19, content, &mut frame));
    let mut parse = Parse::with_room(content.len());
    parse.read(&frame[..own.expect("there is room")], content.len() as u32).expect("it is a frame");
    let mut found = 0;
    parse.matches.retain_mut(|likely| {
        found += 1;
        likely.length -= u32::from(found % 7 == 0 && likely.length > 3);
        found % 9 != 0
    });
    written(&parse, content)
}

/// A frame with the parse of earlier versions, in two blocks.
///
/// # Panics
/// Where zstd's library can't pack it.
#[expect(clippy::expect_used, reason = "a test's tool: a panic ends it and says why")]
pub fn earlier(content: &[u8]) -> Vec<u8> {
    let mut parse = Parse::with_room(content.len());
    Optimal::default().parse(19, content, &mut parse).then_some(()).expect("it is a block at most");
    written(&parse, content)
}

#[expect(clippy::expect_used, reason = "a test's tool: a panic ends it and says why")]
fn written(parse: &Parse, content: &[u8]) -> Vec<u8> {
    let half = parse.matches.len() / 2;
    let mut sequences = Vec::new();
    let mut at = 0;
    for (number, found) in parse.matches.iter().enumerate() {
        // Two literals behind the first block, where there are so many.
        if number == half && found.at >= at + 2 {
            sequences.push(Sequence::end(2));
            at += 2;
        }
        sequences.push(Sequence::new(found.at - at, found.length, found.offset));
        at = found.end();
    }
    sequences.push(Sequence::end(content.len() as u32 - at));
    let mut frame = vec![0; 2 * content.len() + 100];
    let mut context = Context::new().expect("there is memory");
    let packed = context.pack_by(19, &sequences, content, &mut frame).expect("the sequences add up");
    frame.truncate(packed);
    frame
}

/// An old image of so many blocks that are packed like that, and the new one, in which some say something else.
pub fn images(blocks: u32, packed: fn(&[u8]) -> Vec<u8>, random: &mut Random) -> (Vec<u8>, Vec<u8>) {
    let (mut old, mut new) = (random.bytes(90), Vec::new());
    new.extend_from_slice(&old);
    for number in 0..blocks {
        let length = 1_500 + random.below(2_000);
        let mut content = text(random, length);
        old.extend(packed(&content));
        if number % 3 != 2 {
            let at = random.below(content.len() - 20);
            content.splice(at..at + 9, *b"is mended");
        }
        new.extend(packed(&content));
        // Some stand back to back: one that didn't change beside one that did stays as it is.
        let length = if number % 2 == 0 { 0 } else { random.below(60) };
        let between = random.bytes(length);
        old.extend_from_slice(&between);
        new.extend(between);
    }
    (old, new)
}

/// Words that come again.
pub(super) fn text(random: &mut Random, length: usize) -> Vec<u8> {
    let words: Vec<String> = (0..60).map(|_| format!("{:x} ", random.below(1 << 20))).collect();
    let mut text = Vec::new();
    while text.len() < length {
        text.extend_from_slice(words[random.below(words.len())].as_bytes());
    }
    text
}
