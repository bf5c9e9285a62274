use alloc::vec;
use alloc::vec::Vec;

use super::{Context, Sequence};

fn unpacked(frame: &[u8]) -> Vec<u8> {
    let mut content = vec![0; 1 << 16];
    let length = zstd_safe::decompress(&mut content[..], frame).unwrap();
    content.truncate(length);
    content
}

#[test]
fn sequences_become_a_frame_that_holds_the_content() {
    let content = b"how much wood would a woodchuck chuck if a woodchuck could chuck wood".repeat(9);
    let mut context = Context::new().unwrap();
    let mut packed = vec![0; 4096];
    let all = content.len() as u32;
    let whole = [Sequence::new(69, all - 69, 69), Sequence::end(0)];
    let blocks = [
        Sequence::new(69, 69, 69),
        Sequence::end(10),
        Sequence::new(0, 50, 69),
        Sequence::new(3, all - 69 - 69 - 10 - 50 - 3 - 7, 138),
        Sequence::end(7),
    ];
    for (level, sequences) in [(19, &whole[..]), (3, &whole), (19, &blocks), (1, &[Sequence::end(all)])] {
        let length = context.pack_by(level, sequences, &content, &mut packed).unwrap();
        assert_eq!(unpacked(&packed[..length]), content);
    }
    assert!(context.size() > 1000);
}

/// Whoever makes a delta may say anything.
#[test]
fn sequences_that_do_not_add_up_are_refused() {
    let content = b"how much wood would a woodchuck chuck if a woodchuck could chuck wood".repeat(9);
    let all = content.len() as u32;
    let mut context = Context::new().unwrap();
    let mut packed = vec![0; 4096];
    let end = Sequence::end(0);
    for sequences in [
        &[][..],
        &[Sequence::new(69, all - 69, 69)],
        &[Sequence::new(69, all - 69, 0), end],
        &[Sequence::new(69, all, 69), end],
        &[Sequence::new(69, 10, 69), end],
        &[Sequence::new(69, 2, 69), Sequence::end(all - 71)],
        &[Sequence::new(u32::MAX, u32::MAX, 69), end],
        &[Sequence::new(u32::MAX, 0, 0), end],
        &[end],
    ] {
        assert_eq!(context.pack_by(19, sequences, &content, &mut packed), None, "{sequences:?}");
    }
    let whole = [Sequence::new(69, all - 69, 69), end];
    assert_eq!(context.pack_by(19, &whole, &content, &mut packed[..20]), None, "no room");
    assert!(context.pack_by(19, &whole, &content, &mut packed).is_some(), "and it works on");
}

#[test]
fn a_context_packs_as_the_library_does_whatever_it_did_before() {
    let content = b"how much wood would a woodchuck chuck if a woodchuck could chuck wood".repeat(9);
    let mut context = Context::new().unwrap();
    let (mut packed, mut theirs) = (vec![0; 4096], vec![0; 4096]);
    for level in [1, 19, 3] {
        let own = context.pack(level, &content, &mut packed).unwrap();
        let length = zstd_safe::compress(&mut theirs[..], &content, i32::from(level)).unwrap();
        assert_eq!(packed[..own], theirs[..length]);
        context.pack_by(22, &[Sequence::end(content.len() as u32)], &content, &mut packed).unwrap();
    }
    assert_eq!(context.pack(3, &content, &mut packed[..9]), None);
}
