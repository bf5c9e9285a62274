//! Text as outlines of one embedded font, so that a label needs no font where it is printed.

use ttf_parser::{Face, GlyphId, OutlineBuilder};

use crate::LabelError;

const REGULAR: &[u8] = include_bytes!("../font/Inter-Regular.subset.otf");
const BOLD: &[u8] = include_bytes!("../font/Inter-Bold.subset.otf");

/// How heavy a text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Weight {
    Regular,
    Bold,
}

/// One step of an outline, in millimetres from the label's upper left corner.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Step {
    Move(f32, f32),
    Line(f32, f32),
    Quad([f32; 2], f32, f32),
    Curve([f32; 2], [f32; 2], f32, f32),
    Close,
}

/// Whether the font has every sign of `text`.
pub(crate) fn can_write(text: &str) -> bool {
    face(Weight::Regular).is_ok_and(|face| text.chars().all(|sign| face.glyph_index(sign).is_some()))
}

/// How wide a text is at a size of `size` millimetres.
pub(crate) fn width(text: &str, weight: Weight, size: f32) -> Result<f32, LabelError> {
    let face = face(weight)?;
    let units: f32 = glyphs(&face, text).map(|glyph| advance(&face, glyph)).sum();
    Ok(units * size / f32::from(face.units_per_em()))
}

/// The outline of a text whose base line begins at `x`, `y`.
pub(crate) fn outline(
    text: &str,
    weight: Weight,
    size: f32,
    x: f32,
    y: f32,
) -> Result<Vec<Step>, LabelError> {
    let face = face(weight)?;
    let mut pen = Pen { x, y, scale: size / f32::from(face.units_per_em()), steps: Vec::new() };
    for glyph in glyphs(&face, text) {
        // A space has no outline.
        let _ = face.outline_glyph(glyph, &mut pen);
        pen.x += advance(&face, glyph) * pen.scale;
    }
    Ok(pen.steps)
}

fn face(weight: Weight) -> Result<Face<'static>, LabelError> {
    let bytes = match weight {
        Weight::Regular => REGULAR,
        Weight::Bold => BOLD,
    };
    Face::parse(bytes, 0).map_err(|error| LabelError::Drawing(error.to_string()))
}

fn glyphs(face: &Face<'_>, text: &str) -> impl Iterator<Item = GlyphId> {
    text.chars().map(|sign| face.glyph_index(sign).unwrap_or(GlyphId(0)))
}

fn advance(face: &Face<'_>, glyph: GlyphId) -> f32 {
    face.glyph_hor_advance(glyph).map_or(0.0, f32::from)
}

struct Pen {
    x: f32,
    y: f32,
    scale: f32,
    steps: Vec<Step>,
}

impl Pen {
    fn at(&self, x: f32, y: f32) -> [f32; 2] {
        // A font's y axis points up, a page's down.
        [self.x + x * self.scale, self.y - y * self.scale]
    }
}

impl OutlineBuilder for Pen {
    fn move_to(&mut self, x: f32, y: f32) {
        let [x, y] = self.at(x, y);
        self.steps.push(Step::Move(x, y));
    }

    fn line_to(&mut self, x: f32, y: f32) {
        let [x, y] = self.at(x, y);
        self.steps.push(Step::Line(x, y));
    }

    fn quad_to(&mut self, x1: f32, y1: f32, x: f32, y: f32) {
        let (first, [x, y]) = (self.at(x1, y1), self.at(x, y));
        self.steps.push(Step::Quad(first, x, y));
    }

    fn curve_to(&mut self, x1: f32, y1: f32, x2: f32, y2: f32, x: f32, y: f32) {
        let (first, second, [x, y]) = (self.at(x1, y1), self.at(x2, y2), self.at(x, y));
        self.steps.push(Step::Curve(first, second, x, y));
    }

    fn close(&mut self) {
        self.steps.push(Step::Close);
    }
}
