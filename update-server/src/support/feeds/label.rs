//! The label for box and shelf. It carries an address, so there is none where the server doesn't know its own.

use super::super::{Listed, Rendered, View};
use perennial_label::{Label, LabelError, Size};

/// What print shops ask for.
const DOTS_PER_INCH: u16 = 300;

/// `label.svg`, `label-a7.svg`, `label-a6.svg`.
pub(crate) fn svg<const SIZE: usize>(listed: &Listed, view: &View<'_>) -> Rendered {
    let svg = |label: Label| label.svg(size::<SIZE>()).map(|svg| Rendered::new("image/svg+xml", svg));
    label(listed, view).and_then(svg).unwrap_or_else(none)
}

/// `label.png`, `label-a7.png`, `label-a6.png`.
pub(crate) fn png<const SIZE: usize>(listed: &Listed, view: &View<'_>) -> Rendered {
    let png =
        |label: Label| label.png(size::<SIZE>(), DOTS_PER_INCH).map(|png| Rendered::new("image/png", png));
    label(listed, view).and_then(png).unwrap_or_else(none)
}

fn size<const SIZE: usize>() -> Size {
    Size::ALL.get(SIZE).copied().unwrap_or_default()
}

fn label(listed: &Listed, view: &View<'_>) -> Result<Label, LabelError> {
    Label::new(&listed.record, &listed.sha256, view.now.date(), view.base)
}

fn none(error: LabelError) -> Rendered {
    let text = format!(
        "There is no label here: {error}\nWhoever runs this server sets its public address in the configuration.\n"
    );
    Rendered { status: 404, ..Rendered::new("text/plain; charset=utf-8", text) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::support::tests::{listed, view};

    #[test]
    fn a_label_in_each_size_and_none_without_an_address() {
        let (listed, view) = (listed(), view("2026-11-21"));
        assert!(svg::<0>(&listed, &view).body.starts_with(b"<svg "));
        assert!(png::<2>(&listed, &view).body.starts_with(b"\x89PNG"));
        assert_eq!(svg::<1>(&listed, &View { base: "", ..view }).status, 404);
    }
}
