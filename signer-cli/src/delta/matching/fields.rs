//! Which bytes of an image belong to references: one bit for each.

/// The bytes of an image that are predicted by what they refer to, whatever they were.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fields {
    bits: Vec<u64>,
}

impl Fields {
    /// None of an image of `length` bytes.
    pub fn none_of(length: usize) -> Self {
        Self { bits: vec![0; length.div_ceil(64)] }
    }

    /// Adds `width` bytes from `at` on, as far as the image reaches.
    pub fn add(&mut self, at: usize, width: usize) {
        for byte in at..at + width {
            if let Some(word) = self.bits.get_mut(byte / 64) {
                *word |= 1 << (byte % 64);
            }
        }
    }

    /// Whether a byte is one of a reference.
    pub(super) fn has(&self, at: usize) -> bool {
        self.bits.get(at / 64).is_some_and(|word| word >> (at % 64) & 1 == 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holds_what_was_added_and_nothing_else() {
        let mut fields = Fields::none_of(130);
        fields.add(62, 4);
        fields.add(190, 8);
        let held: Vec<usize> = (0..300).filter(|at| fields.has(*at)).collect();
        assert_eq!(held, [62, 63, 64, 65, 190, 191]);
        assert!(!Fields::default().has(0));
    }
}
