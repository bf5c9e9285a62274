//! One adaptive probability, and the logistic scale on which they are mixed.

use crate::delta::coder::Coder;

/// Probabilities of [`squash`] at every half of a natural logit from -12 to 12, of 65,536.
const SQUASHED: [u16; 49] = [
    1, 1, 1, 2, 3, 5, 8, 13, 22, 36, 60, 98, 162, 267, 439, 720, 1179, 1921, 3108, 4971, 7812, 11955, 17625,
    24743, 32768, 40793, 47911, 53581, 57724, 60565, 62428, 63615, 64357, 64816, 65097, 65269, 65374, 65438,
    65476, 65500, 65514, 65523, 65528, 65531, 65533, 65534, 65535, 65535, 65535,
];

/// The greatest logit, in 1/256: a probability of 6 in a million.
pub const LOGIT: i32 = 12 * 256 - 1;

/// 65,536 / (1 + e^(-logit/256)), from 1 to 65,535, by interpolation.
#[inline]
pub const fn squash(logit: i32) -> u32 {
    let logit = if logit > LOGIT {
        LOGIT
    } else if logit < -LOGIT {
        -LOGIT
    } else {
        logit
    };
    let at = (logit + LOGIT + 1) as u32;
    let (step, part) = ((at >> 7) as usize, at & 127);
    (SQUASHED[step] as u32 * (128 - part) + SQUASHED[step + 1] as u32 * part) >> 7
}

/// The inverse of [`squash`] for probabilities of 4,096.
static STRETCHED: [i16; 4096] = {
    let mut table = [0_i16; 4096];
    let (mut p, mut logit) = (0, -2047);
    while p < 4096 {
        while logit < 2047 && squash(logit) < (p as u32) * 16 + 8 {
            logit += 1;
        }
        table[p] = logit as i16;
        p += 1;
    }
    table
};

/// ln(p / (1 - p)) in 1/256, for `p` of 4,096; within ±2,047.
#[inline]
pub fn stretch(p: u32) -> i32 {
    i32::from(STRETCHED[(p & 4095) as usize])
}

/// 65,536 / (n + 1.5): how far the n-th decision moves a probability.
static RATES: [u16; 256] = {
    let mut rates = [0; 256];
    let mut n = 0;
    while n < 256 {
        rates[n] = (65_536 * 2 / (2 * n + 3)) as u16;
        n += 1;
    }
    rates
};

/// A probability that learns fast at first and slowly later: 22 bits of it, and 10 of how often it was asked.
#[derive(Debug, Clone, Copy)]
pub struct Cell(u32);

impl Cell {
    /// Knows nothing.
    pub const NEW: Self = Self(1 << 31);

    /// Of 65,536, from 1 to 65,535.
    #[inline]
    pub fn one(self) -> u32 {
        (self.0 >> 16).clamp(1, 65_535)
    }

    /// Learns a decision; after `limit` (at most 255) of them, older ones fade.
    #[inline]
    pub fn learn(&mut self, bit: bool, limit: u32) {
        let (p, n) = (i64::from(self.0 >> 10), self.0 & 1023);
        let goal = if bit { (1 << 22) - 1 } else { 0 };
        let rate = i64::from(RATES[n.min(255) as usize]);
        let p = p + (((goal - p) * rate) >> 16);
        self.0 = (p as u32) << 10 | (n + 1).min(limit);
    }

    /// Codes a decision by this cell alone.
    #[inline]
    pub fn code<C: Coder>(&mut self, coder: &mut C, bit: bool) -> bool {
        let bit = coder.bit(bit, self.one());
        self.learn(bit, 255);
        bit
    }
}

/// The same in two bytes, for tables: 12 bits of probability, 4 of how often.
pub mod small {
    /// Knows nothing.
    pub const NEW: u16 = 1 << 15;

    /// 65,536 / n for the counts 0 to 15.
    static RATES: [i32; 16] = [
        43_690, 26_214, 18_724, 14_563, 11_915, 10_082, 8_738, 7_710, 6_898, 6_241, 5_698, 5_242, 4_681,
        4_096, 3_640, 3_276,
    ];

    /// Of 4,096.
    #[inline]
    pub fn one(cell: u16) -> u32 {
        u32::from(cell >> 4)
    }

    /// How often it was asked, up to 15.
    #[inline]
    pub fn count(cell: u16) -> u32 {
        u32::from(cell & 15)
    }

    /// Learns a decision.
    #[inline]
    pub fn learn(cell: u16, bit: bool) -> u16 {
        let (p, n) = (i32::from(cell >> 4), cell & 15);
        let goal = if bit { 4095 } else { 0 };
        let step = (goal - p) * RATES[n as usize];
        // Rounded away from where it stands, or the last steps would never be made.
        let p = p + ((step + if bit { 0xffff } else { 0 }) >> 16);
        (p as u16) << 4 | (n + 1).min(15)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn squash_rises_and_stretch_is_its_inverse() {
        assert!((-LOGIT..LOGIT).all(|x| squash(x) <= squash(x + 1)));
        assert_eq!((squash(0), squash(-4000), squash(4000)), (32_768, 1, 65_535));
        // One step of a logit is 64 of 65,536 in the middle.
        for p in 8..4088 {
            assert!(squash(stretch(p)).abs_diff(p * 16 + 8) <= 64, "{p}");
        }
    }

    #[test]
    fn a_cell_learns_what_it_is_shown_and_never_becomes_certain() {
        let (mut cell, mut tiny) = (Cell::NEW, small::NEW);
        for _ in 0..100_000 {
            cell.learn(true, 255);
            tiny = small::learn(tiny, true);
        }
        assert!((65_500..=65_535).contains(&cell.one()), "{}", cell.one());
        assert!((4_080..=4_095).contains(&small::one(tiny)), "{}", small::one(tiny));
        for _ in 0..100_000 {
            cell.learn(false, 255);
            tiny = small::learn(tiny, false);
        }
        assert!((1..=64).contains(&cell.one()), "{}", cell.one());
        assert!((0..=15).contains(&small::one(tiny)), "{}", small::one(tiny));
    }
}
