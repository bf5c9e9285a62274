//! Where things stand on the smallest label, in millimetres; larger ones are the same, scaled.

use crate::font::{self, Step, Weight};
use crate::qr::Qr;
use crate::{Label, LabelError, Size};

const MARGIN: f32 = 4.0;
/// With the quiet zone. The finest code that an address of 200 characters asks for then still has 20 mm without it.
const QR_BOX: f32 = 28.5;
/// No text is smaller: 1.6 mm is a size of 4.5 points, as small as printed warnings get.
const SMALLEST: f32 = 1.6;

/// A label, laid out.
pub(crate) struct Layout {
    /// The outlines of all text.
    pub(crate) text: Vec<Vec<Step>>,
    /// Rules and the frame: x, y, width, height.
    pub(crate) bars: Vec<[f32; 4]>,
    /// The code, the corner of its box, and the box's side.
    pub(crate) qr: (Qr, f32, f32, f32),
}

pub(crate) fn lay_out(label: &Label) -> Result<Layout, LabelError> {
    let (width, height) = Size::A8.millimetres();
    let inner = width - 2.0 * MARGIN;
    let mut text = Vec::new();
    let mut line = |words: &str, weight, size: f32, room: f32, x: f32, y: f32| -> Result<(), LabelError> {
        let (words, size) = fit(words, weight, size, room)?;
        text.push(font::outline(&words, weight, size, x, y)?);
        Ok(())
    };
    line(&label.heading, Weight::Regular, 3.7, inner, MARGIN, 7.4)?;
    line(&label.date, Weight::Bold, 9.4, inner, MARGIN, 16.2)?;

    let top = 19.4;
    let (qr_x, qr_y) = (width - MARGIN - QR_BOX + 1.5, top + 0.8);
    let column = qr_x - MARGIN - 0.5;
    let mut y = top + 4.5;
    line(&label.name, Weight::Bold, 3.7, column, MARGIN, y)?;
    y += 4.0;
    for words in &label.lines {
        line(words, Weight::Regular, 2.7, column, MARGIN, y)?;
        y += 3.5;
    }
    if let Some(pledge) = label.pledge {
        let [first, second] = halves(pledge);
        line(first, Weight::Bold, 2.5, column, MARGIN, height - 9.4)?;
        line(second, Weight::Bold, 2.5, column, MARGIN, height - 6.3)?;
    }
    line(&label.address, Weight::Regular, 2.2, inner * 0.66, MARGIN, height - 2.3)?;
    let (source, size) = fit(&label.source, Weight::Regular, 1.6, inner * 0.33)?;
    let x = width - MARGIN - font::width(&source, Weight::Regular, size)?;
    text.push(font::outline(&source, Weight::Regular, size, x, height - 2.3)?);

    let frame = 0.35;
    let bars = vec![
        [0.0, 0.0, width, frame],
        [0.0, height - frame, width, frame],
        [0.0, 0.0, frame, height],
        [width - frame, 0.0, frame, height],
        [MARGIN, top, inner, 0.5],
    ];
    Ok(Layout { text, bars, qr: (Qr::new(&label.link)?, qr_x, qr_y, QR_BOX) })
}

/// A text and the size at which it fits into `room`: smaller if it must be, and cut with an ellipsis past that.
fn fit(text: &str, weight: Weight, size: f32, room: f32) -> Result<(String, f32), LabelError> {
    let wide = font::width(text, weight, size)?;
    if wide <= room {
        return Ok((text.into(), size));
    }
    let smaller = (size * room / wide).max((size * 0.6).max(SMALLEST));
    let mut words: Vec<char> = text.chars().collect();
    let mut shown = text.to_owned();
    while font::width(&shown, weight, smaller)? > room + 0.01 && words.pop().is_some() {
        shown = words.iter().collect::<String>().trim_end().to_owned() + "…";
    }
    Ok((shown, smaller))
}

/// A sentence in two lines, broken at the comma.
fn halves(sentence: &str) -> [&str; 2] {
    sentence.find(", ").map_or([sentence, ""], |comma| [&sentence[..comma + 1], &sentence[comma + 2..]])
}
