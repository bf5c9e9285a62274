//! Small text files that a shell script can read and check: lines of a key and a value, then the SHA-256 of all of
//! them. `head -n -1 FILE | sha256sum` gives what the last line says.

use std::path::Path;

use crate::files::{FileError, read_limited, write_durably};

/// Bytes of such a file.
const LENGTH: u64 = 4096;

/// A file that can't be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CheckedError {
    /// It can't be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// Its text is not what was written.
    #[error("{path} is damaged: {why}")]
    Damaged {
        /// The file.
        path: String,
        /// What is wrong with it.
        why: &'static str,
    },
}

/// The values under `keys`, in their order.
///
/// # Errors
/// [`CheckedError`], also for other keys, more or fewer.
pub(crate) fn read(path: &Path, title: &str, keys: &[&str]) -> Result<Vec<String>, CheckedError> {
    let damaged = |why| CheckedError::Damaged { path: path.display().to_string(), why };
    let text = read_limited(path, LENGTH)?;
    let text = String::from_utf8(text).map_err(|_| damaged("it is no text"))?;
    let body = text.trim_end_matches('\n').rfind('\n').map_or("", |end| &text[..=end]);
    if text[body.len()..] != checksum(body) {
        return Err(damaged("its last line is not the SHA-256 of the others"));
    }
    let mut lines = body.lines();
    if lines.next() != Some(title) {
        return Err(damaged("it has another title"));
    }
    let values: Option<Vec<String>> = keys
        .iter()
        .map(|key| lines.next()?.strip_prefix(key)?.strip_prefix(' ').map(str::to_owned))
        .collect();
    match values {
        Some(values) if lines.next().is_none() => Ok(values),
        _ => Err(damaged("it has other lines")),
    }
}

/// Writes the file durably.
///
/// # Errors
/// [`CheckedError::File`]; the old file is whole then.
pub(crate) fn write(path: &Path, title: &str, entries: &[(&str, String)]) -> Result<(), CheckedError> {
    let lines: String = entries.iter().map(|(key, value)| format!("{key} {value}\n")).collect();
    let body = format!("{title}\n{lines}");
    Ok(write_durably(path, format!("{body}{}", checksum(&body)).as_bytes())?)
}

fn checksum(body: &str) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, body.as_bytes());
    let hex: String = digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256 {hex}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        write(&path, "title 1", &[("one", "x y".into()), ("two", "2".into())]).unwrap();
        assert_eq!(read(&path, "title 1", &["one", "two"]).unwrap(), ["x y", "2"]);
        assert!(read(&path, "title 2", &["one", "two"]).is_err());
        assert!(read(&path, "title 1", &["one"]).is_err());
        assert!(read(&path, "title 1", &["one", "two", "three"]).is_err());
        let whole = std::fs::read(&path).unwrap();
        for end in 0..whole.len() {
            std::fs::write(&path, &whole[..end]).unwrap();
            assert!(matches!(read(&path, "title 1", &["one", "two"]), Err(CheckedError::Damaged { .. })));
        }
        for bit in 0..whole.len() * 8 {
            let mut torn = whole.clone();
            torn[bit / 8] ^= 1 << (bit % 8);
            std::fs::write(&path, torn).unwrap();
            assert!(read(&path, "title 1", &["one", "two"]).is_err());
        }
    }
}
