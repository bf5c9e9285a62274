//! TOML files that a maker writes: read whole, with the line and the nearest right key of a mistake.

use std::path::{Path, PathBuf};

use perennial_schemas::limits::SUPPORT_LENGTH;
use serde::de::DeserializeOwned;

use crate::cli::Advise;
use crate::files::{self, FileError};

/// What is wrong with such a file.
#[derive(Debug, thiserror::Error)]
pub enum InputError {
    /// It can't be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// A mistake in it.
    #[error("{}{}: {why}", path.display(), line.map(|line| format!(", line {line}")).unwrap_or_default())]
    Wrong {
        /// The file.
        path: PathBuf,
        /// The line, from 1, where it is known.
        line: Option<usize>,
        /// What is wrong.
        why: String,
        /// What to do.
        hint: String,
    },
}

impl InputError {
    /// What is wrong with a file as a whole.
    pub fn new(path: &Path, why: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Wrong { path: path.into(), line: None, why: why.into(), hint: hint.into() }
    }
}

impl Advise for InputError {
    fn advice(&self) -> String {
        match self {
            Self::File(e) => e.advice(),
            Self::Wrong { hint, .. } => hint.clone(),
        }
    }
}

/// Reads a file of at most 512 KiB. Its types refuse keys that they don't know.
///
/// # Errors
/// [`InputError`]
pub fn read<T: DeserializeOwned>(path: &Path) -> Result<T, InputError> {
    let bytes = files::read(path, SUPPORT_LENGTH)?;
    let wrong = |line, why: String, hint: String| InputError::Wrong { path: path.into(), line, why, hint };
    let text = String::from_utf8(bytes)
        .map_err(|_| wrong(None, "it is not UTF-8".into(), "save it as plain text in UTF-8".into()))?;
    if text.trim_start().starts_with('{') {
        return serde_json::from_str(&text)
            .map_err(|e| wrong(Some(e.line()), e.to_string(), hint(&e.to_string())));
    }
    toml::from_str(&text).map_err(|e| {
        let line = e.span().map(|span| text.get(..span.start).unwrap_or(&text).matches('\n').count() + 1);
        wrong(line, first_line(e.message()), hint(e.message()))
    })
}

fn first_line(message: &str) -> String {
    message.lines().next().unwrap_or_default().to_owned()
}

/// What to do about a message of serde: where a key is unknown, the nearest that is known.
fn hint(message: &str) -> String {
    let mut names = message.split('`').skip(1).step_by(2);
    if message.starts_with("missing field") {
        let name = names.next().unwrap_or_default();
        return format!("add {name} = …; the book lists what the file holds");
    }
    if !message.starts_with("unknown field") && !message.starts_with("unknown variant") {
        return "mend that line; the book shows a whole file".into();
    }
    let Some(typed) = names.next() else { return "the book lists every key of the file".into() };
    let known: Vec<&str> = names.collect();
    match known.iter().min_by_key(|name| distance(typed, name)) {
        Some(near) if distance(typed, near) <= near.len().max(4) / 2 => format!("did you mean {near}?"),
        _ => format!("it may hold: {}", known.join(", ")),
    }
}

/// Levenshtein's distance, in characters.
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (i, a) in one.chars().enumerate() {
        let mut corner = i;
        row[0] = i + 1;
        for (j, b) in other.iter().enumerate() {
            let replaced = corner + usize::from(a != *b);
            corner = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(corner + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "read by serde alone")]
    struct Sample {
        name: String,
        #[serde(default)]
        placed_until: Option<super::super::Day>,
    }

    fn refused(text: &str) -> String {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.toml");
        files::write(&path, text.as_bytes()).unwrap();
        let error = read::<Sample>(&path).unwrap_err();
        let shown = error.to_string();
        format!("{} / {}", shown.split_once("x.toml").unwrap().1, error.advice())
    }

    #[test]
    fn a_mistake_is_told_with_its_line_and_the_nearest_key() {
        assert_eq!(
            refused("name = \"x\"\nplaced_untill = \"2031-06\"\n").split(", expected").next().unwrap(),
            ", line 2: unknown field `placed_untill`"
        );
        assert!(refused("name = \"x\"\nplaced_untill = 1\n").ends_with("/ did you mean placed_until?"));
        assert!(refused("name = \"x\"\nprice = 1\n").ends_with("/ it may hold: name, placed_until"));
        assert!(refused("\n\n\nname = 3\n").starts_with(", line 4: invalid type"));
        assert!(refused("placed_until = 2031-06-01\n").contains("missing field `name` / add name = …"));
        assert!(
            refused("name = \"x\"\nplaced_until = \"2031-06-31\"\n")
                .contains("line 2: \"2031-06-31\" is no date")
        );
        assert!(refused("{\"name\": \"x\",\n \"nam\": 1}").starts_with(", line 2: unknown field"));
        assert!(refused("name = ").starts_with(", line 1"));
    }
}
