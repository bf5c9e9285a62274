//! The saved state: torn, damaged, lost, recovered; and what a full disk does to a refresh.

use perennial_device::core::port::{Record, Store};
use perennial_device::store::FileStore;
use perennial_device_core::crypto::Ring;
use perennial_device_core::trust::{
    DriveError, Floors, StateError, StoreError, TrustError, TrustState, TrustStore,
};
use perennial_tests::simulator::{Device, MemoryStore, day};
use proptest::prelude::*;

use super::{settled, stopped};

/// The agent's store, as a trust store.
struct Disk(FileStore);

impl TrustStore for Disk {
    fn save(&mut self, state: &TrustState) -> Result<(), StoreError> {
        self.0.save(Record::Trust, &state.encode()).map_err(|error| StoreError(Box::new(error)))
    }
}

/// A folder with the agent's store, in which a settled device's state was saved twice: once before the last refresh.
fn on_disk() -> (tempfile::TempDir, TrustState, TrustState) {
    let (mut repository, mut device) = settled();
    let folder = tempfile::tempdir().unwrap();
    let older = device.state();
    let mut disk = Disk(open(&folder));
    disk.save(&older).unwrap();
    repository.publish();
    device.refresh(&mut repository).unwrap();
    let newer = device.state();
    disk.save(&newer).unwrap();
    (folder, older, newer)
}

fn open(folder: &tempfile::TempDir) -> FileStore {
    FileStore::open(&folder.path().join("state"), &folder.path().join("marker")).unwrap()
}

fn copies(folder: &tempfile::TempDir) -> Vec<std::path::PathBuf> {
    let mut files: Vec<_> =
        std::fs::read_dir(folder.path().join("state")).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.file_name().unwrap().to_string_lossy().starts_with("trust"));
    assert_eq!(files.len(), 2);
    files
}

fn tear(file: &std::path::Path) {
    let bytes = std::fs::read(file).unwrap();
    std::fs::write(file, &bytes[..bytes.len() / 2]).unwrap();
}

#[test]
fn torn_trust_state_one_copy() {
    for torn in 0..2 {
        let (folder, older, newer) = on_disk();
        tear(&copies(&folder)[torn]);
        let perennial_device::core::port::Loaded::Found(bytes) = open(&folder).load(Record::Trust).unwrap()
        else {
            panic!("one whole copy is left");
        };
        let state = TrustState::decode(&bytes).unwrap();
        assert!(state == older || state == newer);
    }
}

#[test]
fn torn_trust_state_both_copies_fails_closed() {
    let (folder, _, _) = on_disk();
    copies(&folder).iter().for_each(|file| tear(file));
    assert_eq!(open(&folder).load(Record::Trust).unwrap(), perennial_device::core::port::Loaded::Lost);
    // Nor does it help to delete them: the marker remembers.
    copies(&folder).iter().for_each(|file| std::fs::remove_file(file).unwrap());
    assert_eq!(open(&folder).load(Record::Trust).unwrap(), perennial_device::core::port::Loaded::Lost);
}

#[test]
fn a_state_cut_anywhere_is_an_error() {
    let (_, device) = settled();
    let bytes = device.store.bytes;
    for length in 0..bytes.len() {
        let error = TrustState::decode(&bytes[..length]).unwrap_err();
        assert!(
            matches!(error, StateError::Magic | StateError::Checksum | StateError::Layout(_)),
            "{length}: {error}"
        );
    }
}

#[test]
fn a_state_of_a_newer_version_is_an_error() {
    let (_, device) = settled();
    let mut bytes = device.store.bytes;
    bytes[9] = 2;
    assert_eq!(TrustState::decode(&bytes), Err(StateError::Layout(2)));
}

#[test]
fn recovery_refuses_what_is_lower_than_anything_else_remembers() {
    let (mut repository, device) = settled();
    let old = repository.record();
    repository.publish_root();
    repository.publish();
    let floors = Floors { root: 2, timestamp: 3, snapshot: 3, roles: [("targets.json".into(), 3)].into() };
    let recover = || {
        let state = TrustState::recover(device.state().root_bytes(), &Ring, floors.clone()).unwrap();
        assert!(!state.is_complete());
        let store = MemoryStore { bytes: state.encode(), ..MemoryStore::default() };
        Device { clock: day(1), limits: Default::default(), store }
    };
    // The repository of before, replayed: the root is the first thing that is too old.
    let new = std::mem::replace(&mut repository.files, old.clone());
    let error = stopped(&mut recover(), &mut repository);
    assert_eq!(error, TrustError::Rollback { file: "1.root.json".into(), floor: 2, found: 1 });
    // With the new root, the timestamp.
    repository.files.insert("2.root.json".into(), new["2.root.json"].clone());
    let error = stopped(&mut recover(), &mut repository);
    assert_eq!(error, TrustError::Rollback { file: "timestamp.json".into(), floor: 3, found: 2 });
    // The present one is taken, and counts from now on.
    repository.files = new;
    let mut recovered = recover();
    recovered.refresh(&mut repository).unwrap();
    assert!(recovered.state().is_complete());
}

#[test]
fn a_walk_that_stops_at_its_limit_below_the_floor_trusts_nothing_yet() {
    let (mut repository, device) = settled();
    for _ in 0..4 {
        repository.publish_root();
    }
    repository.publish();
    let floors = Floors { root: 5, ..Floors::default() };
    let state = TrustState::recover(device.state().root_bytes(), &Ring, floors).unwrap();
    let store = MemoryStore { bytes: state.encode(), ..MemoryStore::default() };
    let limits = perennial_device_core::trust::Limits { root_rotations: 2, ..Default::default() };
    let mut recovered = Device { clock: day(1), limits, store };
    let error = stopped(&mut recovered, &mut repository);
    assert_eq!(error, TrustError::Rollback { file: "3.root.json".into(), floor: 5, found: 3 });
    // The next refreshes go on from there.
    recovered.refresh(&mut repository).unwrap();
    assert_eq!(recovered.version("root.json"), 5);
}

#[test]
fn recovery_keeps_its_floors_while_it_walks_through_old_rotations() {
    use perennial_schemas::tuf::TopRole;
    let (mut repository, device) = settled();
    repository.rotate(TopRole::Snapshot);
    repository.rotate(TopRole::Timestamp);
    repository.publish_root();
    repository.publish();
    // The floors were seen under root 2: its rotation is history, and clears nothing.
    let floors = Floors { root: 2, timestamp: 9, ..Floors::default() };
    let state = TrustState::recover(device.state().root_bytes(), &Ring, floors).unwrap();
    let store = MemoryStore { bytes: state.encode(), ..MemoryStore::default() };
    let mut recovered = Device { clock: day(1), limits: Default::default(), store };
    let error = stopped(&mut recovered, &mut repository);
    assert_eq!(error, TrustError::Rollback { file: "timestamp.json".into(), floor: 9, found: 3 });
}

#[test]
fn a_full_disk_stops_the_refresh_before_anything_is_acted_upon() {
    for room in 0..4 {
        let (mut repository, mut device) = settled();
        repository.publish_root();
        repository.publish();
        device.store.room = Some(room);
        let error = device.refresh(&mut repository).unwrap_err();
        assert!(matches!(error, DriveError::Store(_)));
        // One file was accepted with each save; the one that could not be saved is asked for again.
        let done =
            ["root.json", "timestamp.json", "snapshot.json", "targets.json"].map(|file| device.version(file));
        let expected: [u64; 4] = std::array::from_fn(|i| {
            let old = [1, 2, 2, 2][i];
            if i < room { old + 1 } else { old }
        });
        assert_eq!(done, expected);
        device.store.room = None;
        device.refresh(&mut repository).unwrap();
        assert_eq!(device.version("targets.json"), 3);
    }
}

#[test]
fn a_power_cut_after_any_save_is_survived() {
    let (mut repository, device) = settled();
    repository.rotate(perennial_schemas::tuf::TopRole::Snapshot);
    repository.publish_root();
    repository.publish();
    for saves in 0..=4 {
        let mut cut = Device { clock: day(1), limits: Default::default(), store: device.store.clone() };
        cut.store.room = Some(saves);
        let _ = cut.refresh(&mut repository);
        // Power returns: the state is read back from the bytes that were saved.
        cut.store.room = None;
        cut.refresh(&mut repository).unwrap();
        assert_eq!(super::versions(&cut), [2, 3, 3, 3], "{saves}");
    }
}

fn encoded() -> Vec<u8> {
    settled().1.store.bytes
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn any_bytes_are_an_error_or_a_state_that_encodes_to_them(bytes in prop::collection::vec(any::<u8>(), 0..512)) {
        if let Ok(state) = TrustState::decode(&bytes) {
            prop_assert_eq!(state.encode(), bytes);
        }
    }

    #[test]
    fn a_state_with_changed_bytes_is_an_error(
        changes in prop::collection::vec((any::<prop::sample::Index>(), 1..=255u8), 1..8),
        resealed in any::<bool>(),
    ) {
        let good = encoded();
        let mut bytes = good.clone();
        for (place, change) in changes {
            let place = place.index(bytes.len() - 8);
            bytes[place] ^= change;
        }
        if resealed {
            // Somebody who knows the checksum still can't make two readings of one record.
            let end = bytes.len() - 8;
            let sum = crc64(&bytes[..end]);
            bytes[end..].copy_from_slice(&sum.to_be_bytes());
            if let Ok(state) = TrustState::decode(&bytes) {
                prop_assert_eq!(state.encode(), bytes);
            }
        } else if bytes != good {
            prop_assert!(TrustState::decode(&bytes).is_err());
        }
    }
}

/// CRC-64/XZ bit by bit: the other implementation.
fn crc64(bytes: &[u8]) -> u64 {
    let mut crc = !0u64;
    for byte in bytes {
        crc ^= u64::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0xC96C_5795_D787_0F42 } else { crc >> 1 };
        }
    }
    !crc
}

#[test]
fn the_checksum_is_crc_64_xz() {
    // The check value of the catalogue of parametrised CRC algorithms.
    assert_eq!(crc64(b"123456789"), 0x995D_C9BB_DF19_39FA);
    let bytes = encoded();
    let (covered, sum) = bytes.split_at(bytes.len() - 8);
    assert_eq!(crc64(covered).to_be_bytes(), sum);
}
