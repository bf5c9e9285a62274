//! Comparing bytes, eight at a time.

/// The first eight bytes from `at` on as a number (first byte lowest), or none where fewer are left.
pub(super) fn word(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..)?.first_chunk::<8>().map(|eight| u64::from_le_bytes(*eight))
}

/// How many bytes at the starts of `a` and `b` are the same.
pub(in crate::delta) fn same_ahead(a: &[u8], b: &[u8]) -> usize {
    let length = a.len().min(b.len());
    let mut at = 0;
    while at + 8 <= length {
        let (Some(x), Some(y)) = (word(a, at), word(b, at)) else { break };
        if x != y {
            return at + (x ^ y).trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    while at < length && a[at] == b[at] {
        at += 1;
    }
    at
}

/// How many bytes at the ends of `a` and `b` are the same.
pub(super) fn same_behind(a: &[u8], b: &[u8]) -> usize {
    let length = a.len().min(b.len());
    let mut done = 0;
    while done + 8 <= length {
        let (Some(x), Some(y)) = (word(a, a.len() - done - 8), word(b, b.len() - done - 8)) else { break };
        if x != y {
            return done + (x ^ y).leading_zeros() as usize / 8;
        }
        done += 8;
    }
    while done < length && a[a.len() - done - 1] == b[b.len() - done - 1] {
        done += 1;
    }
    done
}

/// How many bytes at the start of `bytes` are the same as its first.
pub(super) fn run_ahead(bytes: &[u8]) -> usize {
    match bytes {
        [] => 0,
        [_, rest @ ..] => 1 + same_ahead(rest, bytes),
    }
}

/// Where byte `new` of the new image lies in the old one along `shift`, if that is inside.
pub(super) fn along(new: usize, shift: i64, old_length: usize) -> Option<usize> {
    let old = i64::try_from(new).ok()?.checked_add(shift)?;
    usize::try_from(old).ok().filter(|old| *old < old_length)
}

/// `old - new`: what a copy's bytes move by.
pub(super) fn shift(old: usize, new: usize) -> i64 {
    // Both are lengths of slices, which never pass isize::MAX.
    old.cast_signed() as i64 - new.cast_signed() as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_the_same_bytes_at_both_ends() {
        for length in 0..40 {
            let a: Vec<u8> = (0..length).collect();
            assert_eq!(same_ahead(&a, &a), a.len());
            assert_eq!(same_behind(&a, &a), a.len());
            for wrong in 0..a.len() {
                let mut b = a.clone();
                b[wrong] ^= 0x80;
                assert_eq!(same_ahead(&a, &b), wrong);
                assert_eq!(same_behind(&a, &b), a.len() - wrong - 1);
                assert_eq!(same_ahead(&a, &b[..wrong]), wrong);
                assert_eq!(same_behind(&a, &b[wrong + 1..]), a.len() - wrong - 1);
            }
        }
    }

    #[test]
    fn counts_runs() {
        assert_eq!(run_ahead(&[]), 0);
        for length in 1..40 {
            let mut bytes = vec![7; length];
            assert_eq!(run_ahead(&bytes), length);
            bytes.push(8);
            assert_eq!(run_ahead(&bytes), length);
        }
    }

    #[test]
    fn never_leaves_the_old_image() {
        assert_eq!(along(5, -5, 1), Some(0));
        assert_eq!(along(5, -6, 1), None);
        assert_eq!(along(5, -4, 1), None);
        assert_eq!(along(usize::MAX, 0, 1), None);
        assert_eq!(along(along(9, shift(3, 9), 10).unwrap(), shift(9, 3), 10), Some(9));
    }
}
