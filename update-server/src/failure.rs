//! The two lines that a failed command prints: what happened, and what to do about it.
//! It decides nothing; every error of this crate becomes a `Failure` at the edge, and only there.

use std::fmt;

/// A failed command: one line that says what happened, one that says what to do.
#[derive(Debug, Clone)]
pub struct Failure {
    what: String,
    hint: String,
}

impl Failure {
    /// A failure with its hint. Line breaks become spaces, so that two lines stay two.
    pub fn new(what: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { what: one_line(&what.into()), hint: one_line(&hint.into()) }
    }

    /// The failure of `error`, with its chain of sources printed once.
    pub fn of(error: &dyn std::error::Error, hint: impl Into<String>) -> Self {
        let mut what = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            let text = cause.to_string();
            if !what.contains(&text) {
                what.push_str(": ");
                what.push_str(&text);
            }
            source = cause.source();
        }
        Self::new(what, hint)
    }

    /// What happened.
    pub fn what(&self) -> &str {
        &self.what
    }

    /// What to do.
    pub fn hint(&self) -> &str {
        &self.hint
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}\nhint: {}", self.what, self.hint)
    }
}

fn one_line(text: &str) -> String {
    text.split(['\n', '\r']).map(str::trim).filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_two_lines_and_names_each_cause_once() {
        #[derive(Debug, thiserror::Error)]
        #[error("STATE/lock can't be taken")]
        struct Outer(#[source] std::io::Error);
        let failure = Failure::of(&Outer(std::io::Error::other("held\nby another")), "stop the other one");
        assert_eq!(
            failure.to_string(),
            "error: STATE/lock can't be taken: held by another\nhint: stop the other one"
        );
    }
}
