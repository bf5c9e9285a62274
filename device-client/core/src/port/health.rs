//! Whether the release that just booted works. Never a matter of the network.

use alloc::string::String;

use super::PortError;

/// What the product says of itself after a boot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It works.
    Healthy,
    /// Too early to say; asked again soon, until the trial's deadline.
    NotYet,
    /// It does not work, with a short text for people.
    Unhealthy(String),
}

/// Asks the product.
pub trait Health {
    /// The verdict now. Must come back within a bounded time.
    ///
    /// # Errors
    /// [`PortError`] where nobody could be asked; counts as [`Verdict::NotYet`].
    fn check(&mut self) -> Result<Verdict, PortError>;
}

/// Verdicts in order; the last one is repeated.
#[cfg(any(test, feature = "testing"))]
#[derive(Debug)]
pub struct ScriptedHealth(
    /// What is said, first first.
    pub alloc::vec::Vec<Verdict>,
);

#[cfg(any(test, feature = "testing"))]
impl Health for ScriptedHealth {
    fn check(&mut self) -> Result<Verdict, PortError> {
        match self.0.len() {
            0 => Ok(Verdict::Healthy),
            1 => Ok(self.0[0].clone()),
            _ => Ok(self.0.remove(0)),
        }
    }
}
