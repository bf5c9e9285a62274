//! The label as SVG: outlines and modules, with a title and a description for those who hear it.

use std::fmt::Write as _;

use crate::font::Step;
use crate::layout::Layout;
use crate::qr::QUIET;
use crate::{Label, Size};

pub(crate) fn document(layout: &Layout, label: &Label, size: Size) -> String {
    let (width, height) = size.millimetres();
    let (own_width, own_height) = Size::A8.millimetres();
    let title = format!("{}: {} {}", label.name, label.heading, label.date);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}mm\" height=\"{height}mm\" \
         viewBox=\"0 0 {own_width} {own_height}\" role=\"img\" aria-labelledby=\"label-title label-description\">\
         <title id=\"label-title\">{}</title><desc id=\"label-description\">{}</desc>\
         <rect width=\"{own_width}\" height=\"{own_height}\" fill=\"#fff\"/>",
        escaped(&title),
        escaped(&label.description()),
    );
    for [x, y, width, height] in &layout.bars {
        put(
            &mut svg,
            format_args!("<rect x=\"{x:.2}\" y=\"{y:.2}\" width=\"{width:.2}\" height=\"{height:.2}\"/>"),
        );
    }
    for outline in &layout.text {
        svg.push_str("<path d=\"");
        outline.iter().for_each(|step| put_step(&mut svg, *step));
        svg.push_str("\"/>");
    }
    let (qr, x, y, side) = &layout.qr;
    let module = side / qr.span() as f32;
    put(
        &mut svg,
        format_args!(
            "<g transform=\"translate({x:.3} {y:.3}) scale({module:.5})\" shape-rendering=\"crispEdges\"><path d=\""
        ),
    );
    for (column, row, length) in qr.runs() {
        put(&mut svg, format_args!("M{} {}h{length}v1h-{length}z", column + QUIET, row + QUIET));
    }
    svg.push_str("\"/></g></svg>\n");
    svg
}

fn put_step(svg: &mut String, step: Step) {
    match step {
        Step::Move(x, y) => put(svg, format_args!("M{x:.2} {y:.2}")),
        Step::Line(x, y) => put(svg, format_args!("L{x:.2} {y:.2}")),
        Step::Quad([x1, y1], x, y) => put(svg, format_args!("Q{x1:.2} {y1:.2} {x:.2} {y:.2}")),
        Step::Curve([x1, y1], [x2, y2], x, y) => {
            put(svg, format_args!("C{x1:.2} {y1:.2} {x2:.2} {y2:.2} {x:.2} {y:.2}"));
        }
        Step::Close => svg.push('Z'),
    }
}

fn put(svg: &mut String, piece: std::fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    let _ = svg.write_fmt(piece);
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for sign in text.chars() {
        match sign {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            // XML 1.0 has no other control characters.
            sign if sign.is_control() => out.push(' '),
            sign => out.push(sign),
        }
    }
    out
}
