//! The address as a QR code (ISO/IEC 18004).

use qrcode::{Color, EcLevel, QrCode, Version};

use crate::LabelError;

/// Modules of quiet zone on each side, which the standard asks for.
pub(crate) const QUIET: usize = 4;
/// The largest code that error correction Q may ask for: 41 modules, half a millimetre each on the smallest label.
const LARGEST_WITH_Q: i16 = 6;

/// A QR code: its dark modules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Qr {
    /// Modules in a row, without the quiet zone.
    pub(crate) modules: usize,
    dark: Vec<bool>,
}

impl Qr {
    /// The code of `text`: a quarter of it may be unreadable (level Q), or 15 % (level M) where it would get too fine.
    pub(crate) fn new(text: &str) -> Result<Self, LabelError> {
        let failed = |error: qrcode::types::QrError| LabelError::Drawing(error.to_string());
        let code = QrCode::with_error_correction_level(text, EcLevel::Q).map_err(failed)?;
        let code = match code.version() {
            Version::Normal(version) if version <= LARGEST_WITH_Q => code,
            _ => QrCode::with_error_correction_level(text, EcLevel::M).map_err(failed)?,
        };
        let dark = code.to_colors().into_iter().map(|color| color == Color::Dark).collect();
        Ok(Self { modules: code.width(), dark })
    }

    /// Dark modules that lie side by side: column and row of the first, and how many.
    pub(crate) fn runs(&self) -> impl Iterator<Item = (usize, usize, usize)> {
        self.dark.chunks(self.modules).enumerate().flat_map(|(row, modules)| {
            let mut column = 0;
            modules.chunk_by(|a, b| a == b).filter_map(move |run| {
                let start = column;
                column += run.len();
                run[0].then_some((start, row, run.len()))
            })
        })
    }

    /// Modules in a row with the quiet zone.
    pub(crate) fn span(&self) -> usize {
        self.modules + 2 * QUIET
    }
}
