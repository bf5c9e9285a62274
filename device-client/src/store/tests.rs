use super::*;

struct Disk(tempfile::TempDir);

impl Disk {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn store(&self) -> FileStore {
        FileStore::open(&self.0.path().join("state"), &self.0.path().join("marker")).unwrap()
    }

    fn load(&self, record: Record) -> Loaded {
        self.store().load(record).unwrap()
    }

    fn copy(&self, name: &str) -> PathBuf {
        self.0.path().join("state").join(name)
    }
}

fn found(text: &str) -> Loaded {
    Loaded::Found(text.into())
}

#[test]
fn the_newest_save_counts() {
    let disk = Disk::new();
    assert_eq!(disk.load(Record::Trust), Loaded::New);
    let mut store = disk.store();
    for text in ["one", "two", "three"] {
        store.save(Record::Trust, text.as_bytes()).unwrap();
        assert_eq!(disk.load(Record::Trust), found(text));
    }
    disk.store().save(Record::Trust, b"four").unwrap();
    assert_eq!(disk.load(Record::Trust), found("four"));
    assert_eq!(disk.load(Record::Journal), Loaded::New);
}

#[test]
fn one_torn_copy_is_no_error_and_is_replaced_first() {
    for cut in [0, 1, 20, 40, 60] {
        let disk = Disk::new();
        disk.store().save(Record::Journal, b"one").unwrap();
        disk.store().save(Record::Journal, b"two").unwrap();
        let whole = std::fs::read(disk.copy("journal.2")).unwrap();
        std::fs::write(disk.copy("journal.2"), &whole[..cut]).unwrap();
        assert_eq!(disk.load(Record::Journal), found("one"));
        disk.store().save(Record::Journal, b"three").unwrap();
        assert_eq!(disk.load(Record::Journal), found("three"));
        let mended = std::fs::read(disk.copy("journal.2")).unwrap();
        assert!(frame::decode(Record::Journal, &mended).is_some());
    }
}

#[test]
fn any_flipped_bit_is_found() {
    let copy = frame::encode(Record::Floors, 7, b"bytes");
    assert_eq!(frame::decode(Record::Floors, &copy), Some((7, b"bytes".as_slice())));
    for bit in 0..copy.len() * 8 {
        let mut torn = copy.clone();
        torn[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(frame::decode(Record::Floors, &torn), None);
    }
    assert_eq!(frame::decode(Record::Trust, &copy), None);
}

#[test]
fn both_copies_torn_or_gone_are_lost_and_not_new() {
    let disk = Disk::new();
    disk.store().save(Record::Trust, b"one").unwrap();
    disk.store().save(Record::Trust, b"two").unwrap();
    for name in ["trust.1", "trust.2"] {
        std::fs::write(disk.copy(name), b"torn").unwrap();
    }
    assert_eq!(disk.load(Record::Trust), Loaded::Lost);
    std::fs::remove_dir_all(disk.0.path().join("state")).unwrap();
    assert_eq!(disk.load(Record::Trust), Loaded::Lost);
    assert_eq!(disk.load(Record::Journal), Loaded::New);
    std::fs::write(disk.0.path().join("marker"), b"nonsense").unwrap();
    assert_eq!(disk.load(Record::Journal), Loaded::Lost);
}

#[test]
fn a_marker_that_a_power_cut_prevented_is_written_later() {
    let disk = Disk::new();
    disk.store().save(Record::Trust, b"one").unwrap();
    std::fs::remove_file(disk.0.path().join("marker")).unwrap();
    assert_eq!(disk.load(Record::Trust), found("one"));
    assert!(disk.0.path().join("marker").exists());
}

#[test]
fn a_save_that_fails_leaves_the_old_record() {
    let disk = Disk::new();
    let mut store = disk.store();
    store.save(Record::Floors, b"one").unwrap();
    std::fs::create_dir(disk.copy(".floors.2.tmp")).unwrap();
    assert!(store.save(Record::Floors, b"two").is_err());
    assert_eq!(disk.load(Record::Floors), found("one"));
    let long = vec![0; Record::Floors.max_length() as usize + 1];
    assert_eq!(store.save(Record::Floors, &long).unwrap_err().code, FailureCode::Storage);
}

#[test]
fn two_agents_at_once_are_refused() {
    let disk = Disk::new();
    let first = Lock::take(disk.0.path()).unwrap();
    let error = Lock::take(disk.0.path()).unwrap_err();
    assert!(error.to_string().contains(&format!("(process {})", std::process::id())), "{error}");
    drop(first);
    Lock::take(disk.0.path()).unwrap();
}
