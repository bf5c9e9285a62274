//! What one refresh may cost. Each default is the format's own cap; a device with little memory sets lower ones.

use perennial_schemas::limits;

/// Limits of one refresh. Lengths are in bytes; a file past its role's length in `perennial_schemas::limits` is refused
/// whatever stands here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// A root file (TUF 5.3.3, W). Stops endless data.
    pub root_length: u64,
    /// A timestamp file (TUF 5.4.1, X). Stops endless data.
    pub timestamp_length: u64,
    /// A snapshot file (TUF 5.5.1, Y), whatever the timestamp says.
    pub snapshot_length: u64,
    /// A targets file, top-level or delegated (TUF 5.6.1, Z), whatever the snapshot says.
    pub targets_length: u64,
    /// Root files taken in one refresh (TUF 5.3.3, Y); the next refresh goes on from there.
    pub root_rotations: u32,
    /// Delegated roles visited in one search (TUF 5.6.7.1). Stops a delegatee from sending devices around.
    pub roles_visited: usize,
    /// Files of delegated roles taken in one refresh and its searches, together. Stops a signed delegatee from filling a
    /// device's memory.
    pub delegated_length: u64,
    /// Roles visited by a walk over everything: 24,000 products, and bins for some. A server's limit; a device never walks.
    pub roles_walked: usize,
}

impl Limits {
    /// The limits of a server or a signer, who read every role of every product.
    pub fn of_everything() -> Self {
        Self { delegated_length: limits::WALKED_LENGTH, ..Self::default() }
    }
}

/// The limits of a device, which reads the roles that vouch for its own targets.
impl Default for Limits {
    fn default() -> Self {
        Self {
            root_length: limits::ROOT_LENGTH,
            timestamp_length: limits::TIMESTAMP_LENGTH,
            snapshot_length: limits::SNAPSHOT_LENGTH,
            targets_length: limits::TARGETS_LENGTH,
            root_rotations: limits::ROOT_ROTATIONS,
            roles_visited: limits::DELEGATED_ROLES_VISITED,
            delegated_length: limits::DELEGATED_LENGTH,
            roles_walked: 65_536,
        }
    }
}
