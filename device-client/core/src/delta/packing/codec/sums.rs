//! The sums that stand behind deflate streams.

/// RFC 1952.
#[derive(Debug, Clone, Copy)]
pub(super) struct Crc32(u32);

impl Default for Crc32 {
    fn default() -> Self {
        Self(u32::MAX)
    }
}

static TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut at = 0;
    while at < 256 {
        let mut value = at as u32;
        let mut bit = 0;
        while bit < 8 {
            value = if value & 1 == 1 { value >> 1 ^ 0xedb8_8320 } else { value >> 1 };
            bit += 1;
        }
        table[at] = value;
        at += 1;
    }
    table
};

impl Crc32 {
    pub(super) fn add(&mut self, bytes: &[u8]) {
        self.0 = bytes.iter().fold(self.0, |sum, byte| TABLE[(sum as u8 ^ byte) as usize] ^ sum >> 8);
    }

    pub(super) fn value(self) -> u32 {
        !self.0
    }
}

/// RFC 1950.
#[derive(Debug, Clone, Copy)]
pub(super) struct Adler32 {
    one: u32,
    two: u32,
}

impl Default for Adler32 {
    fn default() -> Self {
        Self { one: 1, two: 0 }
    }
}

impl Adler32 {
    pub(super) fn add(&mut self, bytes: &[u8]) {
        // So many bytes keep both sums below 2^32.
        for bytes in bytes.chunks(5552) {
            for byte in bytes {
                self.one += u32::from(*byte);
                self.two += self.one;
            }
            self.one %= 65_521;
            self.two %= 65_521;
        }
    }

    pub(super) fn value(self) -> u32 {
        self.two << 16 | self.one
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_of_known_texts() {
        let (mut crc, mut adler) = (Crc32::default(), Adler32::default());
        crc.add(b"1234");
        crc.add(b"56789");
        adler.add(b"Wiki");
        adler.add(b"pedia");
        assert_eq!((crc.value(), adler.value()), (0xcbf4_3926, 0x11e6_0398));
    }
}
