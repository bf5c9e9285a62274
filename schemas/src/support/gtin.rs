//! The number under the bar code (GS1 General Specifications, 3.3 and 7.9).

use alloc::format;
use alloc::string::String;
use core::fmt;
use core::str::FromStr;

/// A Global Trade Item Number in its 14-digit form, with a right check digit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Gtin([u8; 14]);

/// The text is no GTIN.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotAGtin {
    /// Other characters, or another number of digits.
    #[error(
        "a GTIN has 8, 12, 13 or 14 digits, as printed under the bar code; spaces and hyphens don't count"
    )]
    Shape,
    /// A digit was mistyped, or two were swapped.
    #[error("the last digit of {printed} should be {expected}: look at the bar code again")]
    CheckDigit {
        /// The number as it was given, without spaces and hyphens.
        printed: String,
        /// What the other digits ask for.
        expected: char,
    },
}

impl FromStr for Gtin {
    type Err = NotAGtin;

    /// Reads a number as it is printed: with spaces or hyphens, in 8, 12, 13 or 14 digits.
    fn from_str(text: &str) -> Result<Self, NotAGtin> {
        // Nobody prints a space after each digit; what is longer is no GTIN, however it is spaced.
        if text.len() > 64 {
            return Err(NotAGtin::Shape);
        }
        let printed: String =
            text.chars().filter(|c| !c.is_whitespace() && *c != '-' && *c != '\u{2010}').collect();
        if !matches!(printed.len(), 8 | 12 | 13 | 14) || !printed.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(NotAGtin::Shape);
        }
        let mut digits = [b'0'; 14];
        digits[14 - printed.len()..].copy_from_slice(printed.as_bytes());
        let expected = check_digit(&digits);
        if digits[13] == expected {
            Ok(Self(digits))
        } else {
            Err(NotAGtin::CheckDigit { printed, expected: expected.into() })
        }
    }
}

impl fmt::Display for Gtin {
    /// All 14 digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|digit| write!(f, "{}", char::from(*digit)))
    }
}

impl Gtin {
    /// As it is printed under the bar code: 13 digits, or 8 or 14 where the leading ones say so.
    pub fn printed(&self) -> String {
        let text = format!("{self}");
        let skip = match text.bytes().take_while(|byte| *byte == b'0').count() {
            6.. => 6,
            1.. => 1,
            0 => 0,
        };
        text[skip..].into()
    }
}

/// Weights 3 and 1 in turn from the left (GS1 General Specifications 7.9.1).
fn check_digit(digits: &[u8; 14]) -> u8 {
    let sum: u32 = digits[..13]
        .iter()
        .enumerate()
        .map(|(place, digit)| u32::from(digit - b'0') * if place % 2 == 0 { 3 } else { 1 })
        .sum();
    b'0' + ((10 - sum % 10) % 10) as u8
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn numbers_as_they_are_printed() {
        for (printed, full) in [
            ("4006381333931", "04006381333931"),
            ("4 006381 333931", "04006381333931"),
            ("4-006381-333931", "04006381333931"),
            ("96385074", "00000096385074"),
            ("036000291452", "00036000291452"),
            ("10614141000415", "10614141000415"),
        ] {
            assert_eq!(printed.parse::<Gtin>().unwrap().to_string(), full);
        }
        assert_eq!("4006381333931".parse::<Gtin>().unwrap().printed(), "4006381333931");
        assert_eq!("96385074".parse::<Gtin>().unwrap().printed(), "96385074");
    }

    #[test]
    fn a_mistyped_digit_is_named() {
        let error = "4006381333932".parse::<Gtin>().unwrap_err();
        assert_eq!(
            error.to_string(),
            "the last digit of 4006381333932 should be 1: look at the bar code again"
        );
    }

    #[test]
    fn other_texts_are_none() {
        for text in ["", "1234567", "40063813339311234", "40063813339a1", &" ".repeat(100)] {
            assert_eq!(text.parse::<Gtin>(), Err(NotAGtin::Shape), "{text}");
        }
    }
}
