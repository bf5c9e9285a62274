//! Where a delta's bytes went, as a picture: SVG that stands alone, for a browser, a page or a report.
//!
//! Decides how a breakdown looks, never what it says. Light and dark after the reader's setting; no script, nothing from
//! elsewhere. What others wrote (names of files and sections) is escaped.

use std::fmt::{self, Write as _};

use crate::plain::grouped;

/// What is drawn, from top to bottom.
#[derive(Debug, Clone)]
pub struct Picture {
    /// In large letters.
    pub title: String,
    /// Under it, a line for each.
    pub lines: Vec<String>,
    /// What shares are of, in bytes.
    pub whole: u64,
    /// Bars, group by group.
    pub groups: Vec<Group>,
    /// The delta's cost along the new image.
    pub along: Option<Along>,
}

/// Bars under one heading, which share a scale.
#[derive(Debug, Clone)]
pub struct Group {
    /// What the bars tell apart.
    pub heading: String,
    /// From top to bottom.
    pub bars: Vec<Bar>,
}

/// One bar.
#[derive(Debug, Clone)]
pub struct Bar {
    /// Before it.
    pub name: String,
    /// Its length, in bytes of the delta.
    pub bytes: u64,
    /// Behind it, after the bytes and their share.
    pub note: String,
}

/// Bytes of the delta for each of equally long slices of the new image.
#[derive(Debug, Clone)]
pub struct Along {
    /// The new image's length in bytes.
    pub length: u64,
    /// One number a slice.
    pub slices: Vec<u64>,
}

const WIDTH: u32 = 960;
const MARGIN: u32 = 32;
/// Where bars begin, and how long the longest is.
const BARS_AT: u32 = 300;
const LONGEST: u32 = 360;
/// Where the bytes of a bar end, their share, and where its note begins.
const COLUMNS: [u32; 3] = [752, 816, 830];
const ROW: u32 = 24;
/// Characters of a name that fit before a bar.
const FITS: usize = 38;
const STRIP: u32 = 120;

/// The colours have a contrast of 4.5 at least to what they stand on.
const STYLE: &str = "text{font:14px system-ui,sans-serif;fill:#1c2530}.t{font-size:22px;font-weight:600}.h{font-weight:600}\
.n{fill:#4a5868;font-variant-numeric:tabular-nums}.p{fill:#fbfcfd}.b{fill:#2d6cdf}.g{fill:#dfe5ec}\
@media(prefers-color-scheme:dark){text{fill:#e8edf3}.n{fill:#a9b6c5}.p{fill:#12181f}.b{fill:#6fa0ff}.g{fill:#2a3440}}";

/// The picture as one SVG document.
pub fn svg(picture: &Picture) -> String {
    let mut canvas = Canvas { body: String::new(), y: MARGIN };
    canvas.heading("t", 26, &picture.title);
    for line in &picture.lines {
        canvas.heading("n", 20, line);
    }
    for group in &picture.groups {
        canvas.group(group, picture.whole);
    }
    if let Some(along) = &picture.along {
        canvas.along(along);
    }
    let height = canvas.y + MARGIN / 2;
    let title = Escaped(&picture.title);
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" viewBox=\"0 0 {WIDTH} {height}\" \
         role=\"img\" aria-label=\"{title}\">\n<title>{title}</title>\n<style>{STYLE}</style>\n\
         <rect class=\"p\" width=\"{WIDTH}\" height=\"{height}\"/>\n{}</svg>\n",
        canvas.body
    )
}

/// What is drawn so far, and how far down it reaches.
struct Canvas {
    body: String,
    y: u32,
}

impl Canvas {
    fn put(&mut self, line: fmt::Arguments<'_>) {
        // Writing into a string can't fail.
        let _ = self.body.write_fmt(line);
        self.body.push('\n');
    }

    fn text(&mut self, x: u32, class: &str, anchor: &str, text: &str) {
        let y = self.y;
        self.put(format_args!(
            "<text x=\"{x}\" y=\"{y}\" class=\"{class}\" text-anchor=\"{anchor}\">{}</text>",
            Escaped(text)
        ));
    }

    fn heading(&mut self, class: &str, height: u32, text: &str) {
        self.y += height - 8;
        self.text(MARGIN, class, "start", text);
        self.y += 8;
    }

    fn group(&mut self, group: &Group, whole: u64) {
        self.y += 18;
        self.heading("h", ROW, &group.heading);
        let most = group.bars.iter().map(|bar| bar.bytes).max().unwrap_or(0).max(1);
        for bar in &group.bars {
            self.y += ROW - 7;
            self.text(BARS_AT - 12, "", "end", &shortened(&bar.name, FITS));
            let (top, length) = (self.y - 13, scaled(bar.bytes, most, LONGEST));
            self.put(format_args!(
                "<rect class=\"g\" x=\"{BARS_AT}\" y=\"{top}\" width=\"{LONGEST}\" height=\"17\" rx=\"2\"/>\
                 <rect class=\"b\" x=\"{BARS_AT}\" y=\"{top}\" width=\"{length}\" height=\"17\" rx=\"2\"/>"
            ));
            let [bytes, share, note] = COLUMNS;
            self.text(bytes, "n", "end", &grouped(bar.bytes));
            self.text(share, "n", "end", &percent(bar.bytes, whole));
            self.text(note, "n", "start", &bar.note);
            self.y += 7;
        }
    }

    fn along(&mut self, along: &Along) {
        self.y += 18;
        self.heading("h", ROW, "Along the new image");
        self.y += 6;
        let (top, wide) = (self.y, WIDTH - 2 * MARGIN);
        self.put(format_args!(
            "<rect class=\"g\" x=\"{MARGIN}\" y=\"{top}\" width=\"{wide}\" height=\"{STRIP}\" rx=\"2\"/>"
        ));
        let most = along.slices.iter().copied().max().unwrap_or(0).max(1);
        let count = along.slices.len().max(1) as u64;
        let mut path = String::new();
        for (slice, bytes) in (0u64..).zip(&along.slices) {
            let high = scaled(*bytes, most, STRIP);
            // Under 2^20 slices and a width under 2^10: no product overflows.
            let edge = |slice: u64| u64::from(MARGIN) + slice * u64::from(wide) / count;
            let (left, right) = (edge(slice), edge(slice + 1));
            if high > 0 {
                let _ = write!(path, "M{left} {}v-{high}h{}v{high}z", top + STRIP, (right - left).max(1));
            }
        }
        self.put(format_args!("<path class=\"b\" d=\"{path}\"/>"));
        self.y += STRIP + 18;
        self.text(MARGIN, "n", "start", "0");
        self.text(WIDTH - MARGIN, "n", "end", &format!("{} bytes", grouped(along.length)));
        let each = along.length / count;
        let highest =
            format!("highest: {} bytes of the delta for {} of the image", grouped(most), grouped(each));
        self.text(WIDTH / 2, "n", "middle", &highest);
        self.y += 10;
    }
}

/// A part of `of` as a length of at most `full`; something that is there is never invisible.
fn scaled(part: u64, of: u64, full: u32) -> u32 {
    let length = u128::from(part) * u128::from(full) / u128::from(of.max(1));
    u32::try_from(length).unwrap_or(full).clamp(u32::from(part > 0), full)
}

/// `12.3 %`
pub fn percent(part: u64, of: u64) -> String {
    let tenths = (u128::from(part) * 2000 / u128::from(of.max(1))).div_ceil(2);
    format!("{}.{} %", tenths / 10, tenths % 10)
}

/// A name of at most so many characters.
pub(super) fn shortened(name: &str, most: usize) -> String {
    match name.char_indices().nth(most) {
        Some(_) => name.chars().take(most - 1).chain(['…']).collect(),
        None => name.to_owned(),
    }
}

/// A text inside SVG; what may not stand in XML 1.0 is left out.
struct Escaped<'t>(&'t str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for char in self.0.chars() {
            match char {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                _ if crate::terminal::acts(char) || ('\u{fffe}'..='\u{ffff}').contains(&char) => {}
                _ => f.write_char(char)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture() -> Picture {
        let bar = |name: &str, bytes| Bar { name: name.into(), bytes, note: String::new() };
        Picture {
            title: "a <b> & \u{1b}c".into(),
            lines: vec!["one".into()],
            whole: 1000,
            groups: vec![Group {
                heading: "By kind".into(),
                bars: vec![bar("inserted", 900), bar("flags", 100)],
            }],
            along: Some(Along { length: 4096, slices: vec![0, 10, 1, 0] }),
        }
    }

    #[test]
    fn names_are_escaped_and_control_characters_left_out() {
        let drawn = svg(&picture());
        assert!(drawn.contains("a &lt;b&gt; &amp; c"), "{drawn}");
        assert!(!drawn.contains('\u{1b}'));
    }

    #[test]
    fn bars_share_a_scale_and_something_small_is_seen() {
        let drawn = svg(&picture());
        assert!(
            drawn.contains("class=\"b\" x=\"300\" y=") && drawn.contains(&format!("width=\"{LONGEST}\""))
        );
        assert!(drawn.contains(&format!("width=\"{}\"", LONGEST / 9)), "{drawn}");
        assert!(drawn.contains("90.0 %") && drawn.contains("10.0 %"));
        assert_eq!(scaled(1, u64::MAX, 400), 1);
        assert_eq!(scaled(0, u64::MAX, 400), 0);
        assert_eq!(scaled(u64::MAX, u64::MAX, 400), 400);
    }

    #[test]
    fn shares_in_percent() {
        for (part, of, text) in [(0, 0, "0.0 %"), (1, 3, "33.3 %"), (2, 3, "66.7 %"), (1, 1, "100.0 %")] {
            assert_eq!(percent(part, of), text);
        }
    }

    #[test]
    fn a_long_name_is_cut() {
        assert_eq!(shortened("short", FITS), "short");
        assert_eq!(shortened(&"ä".repeat(38), FITS).chars().count(), 38);
        let name = shortened(&"ä".repeat(39), FITS);
        assert!(name.ends_with("ä…") && name.chars().count() == 38, "{name}");
    }
}
