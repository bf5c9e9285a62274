//! How errors are told: once, with all their causes, at the edge.

use std::error::Error;

/// An error and its causes in one line; a cause that its error has already told is left out.
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        let told = next.to_string();
        if !text.contains(&told) {
            text = format!("{text}: {told}");
        }
        cause = next.source();
    }
    text
}
