//! A device that trusts: its state, its store, and a refresh from a simulated repository.

use perennial_device_core::crypto::Ring;
use perennial_device_core::trust::{
    DriveError, FoundTarget, Limits, MetadataSource, Refresh, StoreError, TrustState, TrustStore, Validity,
    drive,
};
use perennial_schemas::{TargetPath, Timestamp};

use super::day;

/// How a refresh or a search ended.
pub type Verdict<T> = Result<T, DriveError>;

/// A device. What it has saved is what it trusts: the state is read back from the saved bytes before each refresh.
#[derive(Clone)]
pub struct Device {
    /// What its clock says.
    pub clock: Timestamp,
    /// Its limits.
    pub limits: Limits,
    /// Its store.
    pub store: MemoryStore,
}

/// A trust store in memory that keeps bytes, as a disk does.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MemoryStore {
    /// The saved state.
    pub bytes: Vec<u8>,
    /// How often something was saved.
    pub saves: usize,
    /// How many more saves work; then the disk is full.
    pub room: Option<usize>,
}

impl TrustStore for MemoryStore {
    fn save(&mut self, state: &TrustState) -> Result<(), StoreError> {
        match &mut self.room {
            Some(0) => return Err(StoreError("no space left".into())),
            Some(room) => *room -= 1,
            None => {}
        }
        self.bytes = state.encode();
        self.saves += 1;
        Ok(())
    }
}

impl Device {
    /// A device that was born with `root`, on day 1.
    pub fn born_with(root: &[u8]) -> Self {
        let state = TrustState::new(root, &Ring).expect("the factory root is good");
        let store = MemoryStore { bytes: state.encode(), ..MemoryStore::default() };
        Self { clock: day(1), limits: Limits::default(), store }
    }

    /// What it trusts, as saved.
    pub fn state(&self) -> TrustState {
        TrustState::decode(&self.store.bytes).expect("the saved state can be read")
    }

    /// Refreshes.
    ///
    /// # Errors
    /// The verdict.
    pub fn refresh(&mut self, source: &mut dyn MetadataSource) -> Verdict<()> {
        let mut refresh = Refresh::new(self.state(), &Ring, self.clock, self.limits.clone());
        drive(&mut refresh, source, &mut self.store)
    }

    /// Refreshes and looks for a target.
    ///
    /// # Errors
    /// The verdict.
    pub fn find(&mut self, source: &mut dyn MetadataSource, path: &str) -> Verdict<Option<FoundTarget>> {
        self.find_valid(source, path).map(|(found, _)| found)
    }

    /// Refreshes and looks for a target, and says until when the answer holds.
    ///
    /// # Errors
    /// The verdict.
    pub fn find_valid(
        &mut self,
        source: &mut dyn MetadataSource,
        path: &str,
    ) -> Verdict<(Option<FoundTarget>, Validity)> {
        let path: TargetPath = path.parse().expect("a target path");
        let mut refresh = Refresh::new(self.state(), &Ring, self.clock, self.limits.clone());
        drive(&mut refresh, source, &mut self.store)?;
        refresh.find(&path)?;
        drive(&mut refresh, source, &mut self.store)?;
        Ok((refresh.found().cloned(), refresh.validity()))
    }

    /// The version of a trusted file, such as `snapshot.json`; 0 where there is none.
    pub fn version(&self, file: &str) -> u64 {
        let state = self.state();
        let bytes = state.files().find(|(name, _)| name == file).map(|(_, bytes)| bytes.to_vec());
        let json: Option<serde_json::Value> =
            bytes.map(|bytes| serde_json::from_slice(&bytes).expect("JSON"));
        json.and_then(|json| json["signed"]["version"].as_u64()).unwrap_or(0)
    }
}
