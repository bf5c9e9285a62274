//! Whether this server should get traffic, and the reason when it shouldn't. It decides nothing: the parts that can
//! fail report here.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// The parts that must work for the server to be ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// A generation is served.
    Generation,
    /// The timestamp is valid and can be renewed.
    Timestamp,
    /// The server isn't shutting down.
    Running,
}

/// The open reasons against being ready.
#[derive(Debug)]
pub struct Readiness(Mutex<BTreeMap<Part, String>>);

impl Default for Readiness {
    fn default() -> Self {
        Self(Mutex::new(BTreeMap::from([(Part::Generation, "no bundle has been ingested yet".to_owned())])))
    }
}

impl Readiness {
    /// The part works.
    pub fn works(&self, part: Part) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&part);
    }

    /// The part doesn't work, for that reason.
    pub fn fails(&self, part: Part, reason: impl Into<String>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(part, reason.into());
    }

    /// Ready, or every reason why not.
    ///
    /// # Errors
    /// The reasons, separated by semicolons.
    pub fn check(&self) -> Result<(), String> {
        let open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if open.is_empty() { Ok(()) } else { Err(open.values().cloned().collect::<Vec<_>>().join("; ")) }
    }
}
