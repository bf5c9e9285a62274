//! Sizes as people read them: every tool rounds alike, so that a maker and a device tell of the same file in the same words.

use core::fmt;

/// A number of bytes, shown in powers of 1000 with one decimal place: `999 bytes`, `516.7 kB`, `4.3 GB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(
    /// Bytes.
    pub u64,
);

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [(&str, u64); 4] =
            [("kB", 1_000), ("MB", 1_000_000), ("GB", 1_000_000_000), ("TB", 1_000_000_000_000)];
        if self.0 < 1_000 {
            return write!(f, "{} bytes", self.0);
        }
        let tenths = |unit: u64| (u128::from(self.0) * 10 + u128::from(unit) / 2) / u128::from(unit);
        // What rounds up to a thousand of one unit is one of the next.
        let (name, unit) = UNITS.into_iter().find(|(_, unit)| tenths(*unit) < 10_000).unwrap_or(UNITS[3]);
        write!(f, "{}.{} {name}", tenths(unit) / 10, tenths(unit) % 10)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn sizes_are_rounded_and_never_a_thousand_of_a_unit() {
        for (bytes, text) in [
            (0, "0 bytes"),
            (999, "999 bytes"),
            (1_000, "1.0 kB"),
            (516_695, "516.7 kB"),
            (999_949, "999.9 kB"),
            (999_950, "1.0 MB"),
            (17_234_000, "17.2 MB"),
            (4_294_967_296, "4.3 GB"),
            (1 << 38, "274.9 GB"),
            (u64::MAX, "18446744.1 TB"),
        ] {
            assert_eq!(Size(bytes).to_string(), text);
        }
    }
}
