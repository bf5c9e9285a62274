use super::*;

/// Instructions as assemblers write them, by their lengths. The comparison with a whole disassembler over real code is
/// the signer's test `lengths_are_those_of_a_disassembler`.
#[test]
fn lengths_are_known() {
    let lengths: &[(&[u8], usize)] = &[
        (&[0xc3], 1),
        (&[0xf3, 0x0f, 0x1e, 0xfa], 4),
        (&[0xe8, 0, 0, 0, 0], 5),
        (&[0x66, 0xe8, 0, 0, 0, 0], 6),
        (&[0x0f, 0x84, 0, 0, 0, 0], 6),
        (&[0x48, 0x8d, 0x05, 0, 0, 0, 0], 7),
        (&[0x48, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0], 10),
        (&[0x66, 0xb8, 0, 0], 4),
        (&[0xc7, 0x05, 0, 0, 0, 0, 0, 0, 0, 0], 10),
        (&[0x66, 0xc7, 0x44, 0x24, 8, 0, 0], 7),
        (&[0xf6, 0xc1, 1], 3),
        (&[0xf7, 0xd9], 2),
        (&[0xf7, 0x05, 0, 0, 0, 0, 0, 0, 0, 0], 10),
        (&[0xc5, 0xf8, 0x77], 3),
        (&[0xc4, 0xe3, 0x7d, 0x39, 0xc1, 1], 6),
        (&[0x62, 0xf1, 0x7c, 0x48, 0x10, 0x05, 0, 0, 0, 0], 10),
        (&[0x0f, 0x22, 0x04], 3),
        (&[0x66, 0x0f, 0x38, 0x20, 0x04, 0x24], 6),
        (&[0xc8, 0, 0, 0], 4),
        (&[0x8f, 0x00], 2),
        (&[0xa1, 0, 0, 0, 0, 0, 0, 0, 0], 9),
    ];
    for (bytes, expected) in lengths {
        assert_eq!(length(bytes), Some(*expected), "{bytes:02x?}");
        assert_eq!(length(&bytes[..bytes.len() - 1]), None, "{bytes:02x?} cut short");
    }
    assert_eq!(length(&[0x06]), None);
    assert_eq!(length(&[0x66; 20]), None);
}

#[test]
fn an_operand_says_how_far_it_is_from_the_end() {
    // cmp dword [rip + 0x10], 5
    let instruction = decode(&[0x83, 0x3d, 0x10, 0, 0, 0, 5]).unwrap();
    assert_eq!((instruction.displacement, instruction.relative, instruction.length), (Some(2), true, 7));
    // mov rax, gs:[0x10]
    let instruction = decode(&[0x65, 0x48, 0x8b, 0x04, 0x25, 0x10, 0, 0, 0]).unwrap();
    assert_eq!((instruction.displacement, instruction.relative, instruction.own), (Some(5), false, true));
}

#[test]
fn an_instruction_cut_short_anywhere_is_none() {
    for whole in
        [&[0x0f, 0x38, 0x00, 0xc0][..], &[0x8f, 0xe8, 0x78, 0xc0, 0xc0, 0], &[0xc4, 0xe2, 0x79, 0x18, 0xc0]]
    {
        assert_eq!(length(whole), Some(whole.len()));
        for cut in 0..whole.len() {
            assert_eq!(length(&whole[..cut]), None, "{whole:x?} {cut}");
        }
    }
}
