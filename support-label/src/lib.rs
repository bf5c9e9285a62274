//! The label for box, shelf and product page: until when a product gets security updates.
//!
//! It decides what stands on the label and where, from the signed record and a day, and draws the same thing as SVG and as
//! PNG. The signer makes it offline, the server shows it. It never reads a file or a clock, and makes no promise of its
//! own: no grade, no padlock, no word of security beyond the date.
//!
//! | module | holds |
//! | --- | --- |
//! | [`content`] | what stands on it |
//! | `layout` | where, in millimetres |
//! | `font` | text as outlines, so that it looks the same everywhere |
//! | `qr` | the address as a QR code |
//! | `svg`, `raster` | the two pictures |
#![forbid(unsafe_code)]

pub mod content;
mod font;
mod layout;
mod qr;
mod raster;
mod svg;

pub use content::Label;

/// Print sizes: landscape sheets of ISO 216. The QR code is at least 20 mm wide on each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Size {
    /// 74 mm by 52 mm.
    #[default]
    A8,
    /// 105 mm by 74 mm.
    A7,
    /// 148 mm by 105 mm.
    A6,
}

/// Why a label can't be made.
#[derive(Debug, thiserror::Error)]
pub enum LabelError {
    /// The address is no web address, or longer than a small QR code holds.
    #[error("{address:?} can't stand on a label: it must be an https:// address of at most 200 characters")]
    Address {
        /// The address.
        address: String,
    },
    /// More pixels than a printer asks for.
    #[error("{0} dots per inch can't be drawn: choose 72 to 1200")]
    Resolution(u16),
    /// A library refused what this crate made.
    #[error("the label can't be drawn: {0}")]
    Drawing(String),
}

impl Size {
    /// Every size.
    pub const ALL: [Size; 3] = [Size::A8, Size::A7, Size::A6];

    /// Width and height in millimetres.
    pub fn millimetres(self) -> (f32, f32) {
        match self {
            Size::A8 => (74.0, 52.0),
            Size::A7 => (105.0, 74.0),
            Size::A6 => (148.0, 105.0),
        }
    }

    /// As it is written in addresses and options.
    pub fn as_str(self) -> &'static str {
        match self {
            Size::A8 => "a8",
            Size::A7 => "a7",
            Size::A6 => "a6",
        }
    }
}

impl std::str::FromStr for Size {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let size = Size::ALL.into_iter().find(|size| size.as_str() == text);
        size.ok_or("a label's size is a8 (74 x 52 mm), a7 (105 x 74 mm) or a6 (148 x 105 mm)")
    }
}

impl Label {
    /// The label as an SVG document with an accessible title and description.
    ///
    /// # Errors
    /// [`LabelError::Drawing`]
    pub fn svg(&self, size: Size) -> Result<String, LabelError> {
        Ok(svg::document(&layout::lay_out(self)?, self, size))
    }

    /// The label as a PNG of 8-bit grey, with its size in print.
    ///
    /// # Errors
    /// [`LabelError`] where the resolution is not 72 to 1,200 dots per inch, or drawing fails.
    pub fn png(&self, size: Size, dots_per_inch: u16) -> Result<Vec<u8>, LabelError> {
        if !(72..=1200).contains(&dots_per_inch) {
            return Err(LabelError::Resolution(dots_per_inch));
        }
        raster::png(&layout::lay_out(self)?, size, dots_per_inch)
    }
}

#[cfg(test)]
mod tests;
