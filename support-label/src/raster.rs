//! The label as pixels.

use png::{BitDepth, ColorType, Compression, Encoder, PixelDimensions, Unit};
use tiny_skia::{Color, FillRule, Paint, Path, PathBuilder, Pixmap, Rect, Transform};

use crate::font::Step;
use crate::layout::Layout;
use crate::qr::QUIET;
use crate::{LabelError, Size};

const MILLIMETRES_PER_INCH: f32 = 25.4;

pub(crate) fn png(layout: &Layout, size: Size, dots_per_inch: u16) -> Result<Vec<u8>, LabelError> {
    let dots = f32::from(dots_per_inch) / MILLIMETRES_PER_INCH;
    let (width, height) = size.millimetres();
    let scale = dots * width / Size::A8.millimetres().0;
    let mut pixels = Pixmap::new((width * dots).round() as u32, (height * dots).round() as u32)
        .ok_or_else(|| LabelError::Drawing("there is no room for its pixels".into()))?;
    pixels.fill(Color::WHITE);
    let ink = ink();
    for [x, y, width, height] in &layout.bars {
        // A rule never gets thinner than a pixel.
        let (width, height) = ((width * scale).max(1.0), (height * scale).max(1.0));
        if let Some(bar) = Rect::from_xywh(x * scale, y * scale, width, height) {
            pixels.fill_rect(bar, &ink, Transform::identity(), None);
        }
    }
    for path in layout.text.iter().filter_map(|steps| path(steps)) {
        pixels.fill_path(&path, &ink, FillRule::Winding, Transform::from_scale(scale, scale), None);
    }
    draw_code(&mut pixels, layout, scale);
    encode(&pixels, dots_per_inch)
}

/// Modules of whole pixels: a reader measures edges.
fn draw_code(pixels: &mut Pixmap, layout: &Layout, scale: f32) {
    let (qr, x, y, side) = &layout.qr;
    let module = (side * scale / qr.span() as f32).floor().max(1.0);
    let spare = side * scale - module * qr.span() as f32;
    let (left, top) = ((x * scale + spare / 2.0).round(), (y * scale + spare / 2.0).round());
    let mut ink = ink();
    ink.anti_alias = false;
    for (column, row, length) in qr.runs() {
        let at = |start: f32, place: usize| start + module * (place + QUIET) as f32;
        if let Some(run) = Rect::from_xywh(at(left, column), at(top, row), module * length as f32, module) {
            pixels.fill_rect(run, &ink, Transform::identity(), None);
        }
    }
}

fn ink() -> Paint<'static> {
    let mut ink = Paint { anti_alias: true, ..Paint::default() };
    ink.set_color(Color::BLACK);
    ink
}

fn path(steps: &[Step]) -> Option<Path> {
    let mut path = PathBuilder::new();
    for step in steps {
        match *step {
            Step::Move(x, y) => path.move_to(x, y),
            Step::Line(x, y) => path.line_to(x, y),
            Step::Quad([x1, y1], x, y) => path.quad_to(x1, y1, x, y),
            Step::Curve([x1, y1], [x2, y2], x, y) => path.cubic_to(x1, y1, x2, y2, x, y),
            Step::Close => path.close(),
        }
    }
    path.finish()
}

fn encode(pixels: &Pixmap, dots_per_inch: u16) -> Result<Vec<u8>, LabelError> {
    // Black on white: any of the colours is the grey.
    let grey: Vec<u8> = pixels.pixels().iter().map(|pixel| pixel.red()).collect();
    let mut bytes = Vec::new();
    let mut encoder = Encoder::new(&mut bytes, pixels.width(), pixels.height());
    encoder.set_color(ColorType::Grayscale);
    encoder.set_depth(BitDepth::Eight);
    encoder.set_compression(Compression::Balanced);
    let per_metre = (f32::from(dots_per_inch) * 1000.0 / MILLIMETRES_PER_INCH).round() as u32;
    encoder.set_pixel_dims(Some(PixelDimensions { xppu: per_metre, yppu: per_metre, unit: Unit::Meter }));
    let failed = |error: png::EncodingError| LabelError::Drawing(error.to_string());
    let mut writer = encoder.write_header().map_err(failed)?;
    writer.write_image_data(&grey).map_err(failed)?;
    writer.finish().map_err(failed)?;
    Ok(bytes)
}
