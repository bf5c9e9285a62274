//! Unknown keys are refused, with the nearest right name: a misspelt limit must never be a limit that isn't there.

use super::ConfigError;
use super::keys::KEYS;
use toml::de::{DeTable, DeValue};

/// Checks every key of `text` against the table of keys.
///
/// # Errors
/// [`ConfigError::Syntax`] for what isn't TOML; [`ConfigError::UnknownKey`] for the first unknown key.
pub(super) fn check(file: &str, text: &str) -> Result<(), ConfigError> {
    let table = DeTable::parse(text).map_err(|error| ConfigError::Syntax {
        file: file.into(),
        line: line_of(text, error.span()),
        message: error.message().into(),
    })?;
    walk(file, text, "", table.get_ref())
}

fn walk(file: &str, text: &str, prefix: &str, table: &DeTable<'_>) -> Result<(), ConfigError> {
    for (name, value) in table {
        let path = if prefix.is_empty() {
            name.get_ref().to_string()
        } else {
            format!("{prefix}.{}", name.get_ref())
        };
        let is_table =
            KEYS.iter().any(|key| key.path.strip_prefix(&path).is_some_and(|rest| rest.starts_with('.')));
        match value.get_ref() {
            DeValue::Table(inner) if is_table => walk(file, text, &path, inner)?,
            _ if KEYS.iter().any(|key| key.path == path) => {}
            _ => {
                return Err(ConfigError::UnknownKey {
                    file: file.into(),
                    line: line_of(text, Some(name.span())),
                    nearest: nearest(&path),
                    key: path,
                });
            }
        }
    }
    Ok(())
}

/// The known key or table that is most like `path`, if any is like it at all.
fn nearest(path: &str) -> Option<&'static str> {
    let leaf = |path: &str| path.rsplit('.').next().unwrap_or_default().to_owned();
    let keys = KEYS.iter().map(|key| key.path);
    let tables = keys.clone().filter_map(|key| Some(key.rsplit_once('.')?.0));
    keys.chain(tables)
        .map(|key| {
            // A right name in the wrong table is a likelier mistake than another name in the right one.
            let score = strsim::jaro_winkler(path, key).max(strsim::jaro_winkler(&leaf(path), &leaf(key)));
            (score, key)
        })
        .filter(|(score, _)| *score > 0.75)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, path)| path)
}

/// The line (from 1) on which a span begins.
pub(super) fn line_of(text: &str, span: Option<std::ops::Range<usize>>) -> usize {
    let start = span.map_or(0, |span| span.start).min(text.len());
    text.as_bytes()[..start].iter().filter(|byte| **byte == b'\n').count() + 1
}
