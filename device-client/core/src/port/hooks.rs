//! The product's own scripts around an installation.

use perennial_schemas::{ReleaseVersion, Sha256Digest};

use super::{PortError, Slot};

/// What a hook is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HookEvent<'e> {
    /// The release.
    pub version: &'e ReleaseVersion,
    /// SHA-256 of its manifest.
    pub manifest: &'e Sha256Digest,
    /// The slot that it goes into, or is in.
    pub slot: Slot,
}

/// Runs the product's hooks. After a power cut a hook may be run again for the same release.
pub trait Hooks {
    /// Before anything is written.
    ///
    /// # Errors
    /// [`PortError`] with [`perennial_schemas::report::FailureCode::Hook`]: the release is not installed now.
    fn before_install(&mut self, event: &HookEvent<'_>) -> Result<(), PortError>;

    /// After the slot was written and read back, before it is activated.
    ///
    /// # Errors
    /// [`PortError`]: the release is not activated.
    fn after_install(&mut self, event: &HookEvent<'_>) -> Result<(), PortError>;
}

#[cfg(any(test, feature = "testing"))]
pub use memory::MemoryHooks;

#[cfg(any(test, feature = "testing"))]
mod memory {
    use super::*;
    use alloc::string::String;
    use alloc::vec::Vec;
    use perennial_schemas::report::FailureCode;

    /// Hooks that note that they ran, and refuse where a test says so.
    #[derive(Debug, Default)]
    pub struct MemoryHooks {
        /// `before 2.0.0`, `after 2.0.0`, …
        pub ran: Vec<String>,
        /// The entries that refuse.
        pub refuse: Vec<String>,
    }

    impl MemoryHooks {
        fn run(&mut self, what: &str, event: &HookEvent<'_>) -> Result<(), PortError> {
            let entry = alloc::format!("{what} {}", event.version);
            self.ran.push(entry.clone());
            if self.refuse.contains(&entry) {
                return Err(PortError::new(FailureCode::Hook, entry, "refused by the test"));
            }
            Ok(())
        }
    }

    impl Hooks for MemoryHooks {
        fn before_install(&mut self, event: &HookEvent<'_>) -> Result<(), PortError> {
            self.run("before", event)
        }
        fn after_install(&mut self, event: &HookEvent<'_>) -> Result<(), PortError> {
            self.run("after", event)
        }
    }
}
