//! An inspection in words, and as a picture.

use std::fmt;

use super::picture::{Along, Bar, Group, Picture, percent, shortened};
use super::{Image, Inspection, PartsRow, PlaceShare, Share, SlotRow};
use crate::plain::grouped;
use crate::terminal::one_line;

/// Rows of frames, kinds or sections that people are shown; JSON has all.
const ROWS: usize = 16;
/// Characters of a name that people are shown: a path may have thousands.
const NAME: usize = 160;

impl fmt::Display for Inspection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = |kind| grouped(self.frames.iter().filter(|frame| frame.kind == kind).count() as u64);
        writeln!(
            f,
            "Delta for {}: {} bytes, {} of the new image.",
            self.profile,
            grouped(self.length),
            self.share()
        )?;
        writeln!(f, "  from    {}", self.old)?;
        writeln!(f, "  to      {}", self.new)?;
        writeln!(f, "  memory  {} bytes to apply it", grouped(self.memory))?;
        if let Some(place) = &self.in_place {
            writeln!(f, "  slot    {place}")?;
        }
        writeln!(f, "  frames  {} of maps, {} of data", count("map"), count("data"))?;
        for row in &self.packings {
            writeln!(f, "  {row}")?;
        }
        let step = if self.made_of.steps == 1 { "step" } else { "steps" };
        writeln!(f, "The new image in {} {step}:", grouped(self.made_of.steps))?;
        for (name, bytes) in self.made() {
            writeln!(f, "  {:>13}  {:>7}  {name}", grouped(bytes), percent(bytes, self.unpacked))?;
        }
        writeln!(f, "The delta's bytes by what they tell:")?;
        for Share { name, bytes, count } in self.kinds.iter().take(ROWS) {
            let times = count.map(|count| format!(" ({})", times(count))).unwrap_or_default();
            writeln!(f, "  {:>13}  {:>7}  {name}{times}", grouped(*bytes), percent(*bytes, self.length))?;
        }
        more(f, self.kinds.len())?;
        if self.along.is_empty() {
            writeln!(
                f,
                "With --old FILE, the file that it was made from, the data frames are looked into as well."
            )?;
        }
        if let Some((what, shares)) = self.places() {
            writeln!(f, "The delta's bytes by {what} of the new image, maps and header aside:")?;
            for PlaceShare { name, length, bytes, .. } in shares.iter().take(ROWS) {
                let of = percent(*bytes, self.length);
                let name = one_line(&shortened(name, NAME));
                writeln!(f, "  {:>13}  {of:>7}  {name} ({} bytes)", grouped(*bytes), grouped(*length))?;
            }
            more(f, shares.len())?;
        }
        Ok(())
    }
}

impl fmt::Display for Image {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes, SHA-256 {}…", grouped(self.length), self.sha256_begins)
    }
}

impl fmt::Display for SlotRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { sector, sectors, moved } = *self;
        let (sector, sectors, moved) = (grouped(sector), grouped(sectors.into()), grouped(moved));
        write!(
            f,
            "rewritten in place: {sectors} sectors of {sector} bytes, the old image moved up by {moved}"
        )
    }
}

impl fmt::Display for PartsRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { old_parts, new_parts, zstd_level, zstd_version } = *self;
        let [old, new] = [old_parts, new_parts].map(|parts| grouped(u64::from(parts)));
        write!(f, "unpacks {old} parts of the old image, packs {new} of the new one")?;
        if zstd_level > 0 {
            let [major, minor, patch] = [zstd_version / 10_000, zstd_version / 100 % 100, zstd_version % 100];
            write!(f, ", with zstd {major}.{minor}.{patch}")?;
        }
        Ok(())
    }
}

impl Inspection {
    /// As a picture; `name` is what the delta is called.
    pub fn picture(&self, name: &str) -> Picture {
        let by_kind = self.kinds.iter().take(ROWS).map(|share| Bar {
            name: share.name.clone(),
            bytes: share.bytes,
            note: share.count.map(times).unwrap_or_default(),
        });
        let made = self.made();
        let made = made.map(|(name, bytes)| format!("{name} {}", percent(bytes, self.unpacked)));
        let mut groups = vec![Group { heading: "By what the bytes tell".into(), bars: by_kind.collect() }];
        if let Some((what, shares)) = self.places() {
            let bars = shares.iter().take(ROWS).map(|share| Bar {
                name: share.name.clone(),
                bytes: share.bytes,
                note: format!("of {}", grouped(share.length)),
            });
            let heading = format!("By {what} of the new image, maps and header aside");
            groups.push(Group { heading, bars: bars.collect() });
        }
        Picture {
            title: format!("{name}: {} bytes", grouped(self.length)),
            lines: vec![
                format!(
                    "Profile {}, {} of the new image's {} bytes; {} bytes of memory to apply",
                    self.profile,
                    self.share(),
                    grouped(self.new.length),
                    grouped(self.memory)
                ),
                format!("The new image: {}", made.join(", ")),
            ],
            whole: self.length,
            groups,
            along: (!self.along.is_empty())
                .then(|| Along { length: self.unpacked, slices: self.along.clone() }),
        }
    }

    /// Files or sections, if the new image has some that are known.
    fn places(&self) -> Option<(&'static str, &[PlaceShare])> {
        let both = [("file", &self.files[..]), ("section", &self.sections[..])];
        both.into_iter().find(|(_, shares)| !shares.is_empty())
    }

    fn share(&self) -> String {
        percent(self.length, self.new.length)
    }

    fn made(&self) -> [(&'static str, u64); 4] {
        let made = &self.made_of;
        [
            ("copied", made.copied),
            ("copied and corrected", made.patched),
            ("inserted", made.inserted),
            ("filled", made.filled),
        ]
    }
}

fn times(count: u64) -> String {
    if count == 1 { "once".into() } else { format!("{} times", grouped(count)) }
}

fn more(f: &mut fmt::Formatter<'_>, rows: usize) -> fmt::Result {
    match rows.checked_sub(ROWS) {
        Some(rows @ 1..) => writeln!(f, "  … and {} more, with --json", grouped(rows as u64)),
        _ => Ok(()),
    }
}
