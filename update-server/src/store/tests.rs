//! The conformance suite: what every back end must pass, and how the embedded ones fail.
use super::*;
use std::path::{Path, PathBuf};

type Opened = Result<Arc<dyn Store>, StoreError>;

/// Everything that a back end must do, over a store that is empty at first; `open` opens it again.
pub(super) fn conforms(open: &dyn Fn() -> Opened) {
    let store = open().unwrap();
    basics(&*store);
    prefixes(&*store);
    conditions_count_among_writers(&*store);
    moments_hide_no_change(&*store);
    big_batches(&*store);
    every_space_is_apart(&*store);
    let before = everything(&*store);
    the_walk_is_in_order(&*store, &before);
    drop(store);
    // What was committed is there after opening it again, byte for byte, and nothing else.
    let store = open().unwrap();
    assert!(everything(&*store) == before);
    store.commit(Batch::new().put(Space::Meta, *b"after", *b"1")).unwrap();
    assert_eq!(store.get(Space::Meta, b"after").unwrap().as_deref(), Some(&b"1"[..]));
}

/// One key in each space, in one batch: each has its own value, order and end.
fn every_space_is_apart(store: &dyn Store) {
    let keys: Vec<Vec<u8>> = (0..3_u8).map(|last| [[255; 47].as_slice(), &[last]].concat()).collect();
    let value = |space: Space, key: &[u8]| [space.name().as_bytes(), key].concat();
    let all = || Space::ALL.into_iter().flat_map(|space| keys.iter().map(move |key| (space, key)));
    let first = all().fold(Batch::new(), |batch, (space, key)| batch.expect(space, key.clone(), None));
    store
        .commit(all().fold(first, |batch, (space, key)| batch.put(space, key.clone(), value(space, key))))
        .unwrap();
    for space in Space::ALL {
        let pairs: Vec<Pair> = keys.iter().map(|key| (key.clone(), value(space, key))).collect();
        let values = pairs.iter().map(|(_, value)| Some(value.clone())).collect::<Vec<_>>();
        assert_eq!(store.get_many(space, &keys).unwrap(), values, "{}", space.name());
        assert_eq!(store.scan_prefix(space, &keys[0][..32], None, 10).unwrap(), pairs, "{}", space.name());
        assert_eq!(store.scan_prefix(space, &keys[0][..32], Some(&keys[1]), 10).unwrap(), pairs[2..]);
        // A condition upon one space says nothing of another.
        let stale = Batch::new().expect(space, keys[0].clone(), None).remove(space, keys[0].clone());
        assert!(matches!(store.commit(stale), Err(StoreError::Changed(_))), "{}", space.name());
        let gone = keys.iter().fold(Batch::new(), |batch, key| batch.remove(space, key.clone()));
        store.commit(gone.expect(space, keys[0].clone(), Some(value(space, &keys[0])))).unwrap();
        assert!(store.scan_prefix(space, &keys[0][..32], None, 10).unwrap().is_empty(), "{}", space.name());
    }
}

fn basics(store: &dyn Store) {
    assert_eq!(store.get(Space::Meta, b"a").unwrap(), None);
    assert!(store.last(Space::Audit).unwrap().is_none());
    store
        .commit(
            Batch::new()
                .expect(Space::Meta, *b"a", None)
                .put(Space::Meta, *b"a", *b"1")
                .put(Space::Audit, 1_u64.to_be_bytes(), *b"x")
                .put(Space::Audit, 2_u64.to_be_bytes(), *b"y")
                .put(Space::Audit, 256_u64.to_be_bytes(), *b"z"),
        )
        .unwrap();
    assert_eq!(store.get(Space::Meta, b"a").unwrap().as_deref(), Some(&b"1"[..]));
    assert_eq!(store.get(Space::Audit, b"a").unwrap(), None);

    // A batch whose condition fails changes nothing at all.
    let refused = store.commit(
        Batch::new().put(Space::Meta, *b"b", *b"2").expect(Space::Meta, *b"a", Some(b"0".to_vec())).put(
            Space::Audit,
            3_u64.to_be_bytes(),
            *b"w",
        ),
    );
    assert!(matches!(refused, Err(StoreError::Changed(key)) if key == "meta/a"));
    assert_eq!(store.get(Space::Meta, b"b").unwrap(), None);
    let there = Batch::new().expect(Space::Meta, *b"a", None).remove(Space::Meta, *b"a");
    assert!(matches!(store.commit(there), Err(StoreError::Changed(_))));

    // Order is the order of the keys.
    let all = store.scan(Space::Audit, None, 10).unwrap();
    assert_eq!(all.iter().map(|(_, value)| value[0]).collect::<Vec<_>>(), b"xyz");
    let later = store.scan(Space::Audit, Some(&1_u64.to_be_bytes()), 1).unwrap();
    assert_eq!(later[0].1, b"y");
    assert_eq!(store.last(Space::Audit).unwrap().unwrap().1, b"z");

    // Many at once come in the order asked for, and as often.
    let keys = [2_u64, 7, 1, 2].map(|number| number.to_be_bytes().to_vec());
    let many = store.get_many(Space::Audit, &keys).unwrap();
    assert_eq!(many, [Some(b"y".to_vec()), None, Some(b"x".to_vec()), Some(b"y".to_vec())]);
    assert!(store.get_many(Space::Audit, &[]).unwrap().is_empty());

    // What is removed is gone, and only that; what stood there before is replaced; nothing is no change.
    let gone = Batch::new().remove(Space::Audit, 256_u64.to_be_bytes()).remove(Space::Meta, *b"none");
    store.commit(gone).unwrap();
    store.commit(Batch::new().put(Space::Meta, *b"a", *b"2").put(Space::Meta, *b"a", *b"3")).unwrap();
    store.commit(Batch::new()).unwrap();
    assert_eq!(store.last(Space::Audit).unwrap().unwrap().1, b"y");
    assert_eq!(store.scan(Space::Audit, None, 10).unwrap().len(), 2);
    assert_eq!(store.get(Space::Meta, b"a").unwrap().as_deref(), Some(&b"3"[..]));

    // Keys and values are any bytes, and a value may be none; what is too long is refused.
    store
        .commit(Batch::new().put(Space::Keys, vec![0, 255, 0], vec![]).put(
            Space::Keys,
            vec![0; 1024],
            vec![0],
        ))
        .unwrap();
    assert_eq!(store.get(Space::Keys, &[0, 255, 0]).unwrap(), Some(vec![]));
    assert_eq!(store.get(Space::Keys, &[0; 1024]).unwrap(), Some(vec![0]));
    store
        .commit(Batch::new().remove(Space::Keys, vec![0, 255, 0]).remove(Space::Keys, vec![0; 1024]))
        .unwrap();
    for batch in [
        Batch::new().put(Space::Keys, vec![], *b"a"),
        Batch::new().put(Space::Keys, vec![0; 1025], *b"a"),
        Batch::new().put(Space::Keys, *b"a", vec![0; VALUE_LENGTH + 1]),
    ] {
        assert!(matches!(store.commit(batch), Err(StoreError::TooLong { .. })));
    }
    assert_eq!(store.get(Space::Keys, b"a").unwrap(), None);
}

fn prefixes(store: &dyn Store) {
    let keys: [&[u8]; 7] = [b"a", b"ab", b"ab\0", b"ab\xff", b"ac", b"\xff", b"\xff\xff\x01"];
    let batch = keys.iter().fold(Batch::new(), |batch, key| batch.put(Space::Reports, *key, *key));
    store.commit(batch).unwrap();
    let scan = |prefix: &[u8], after: Option<&[u8]>, limit| {
        let found = store.scan_prefix(Space::Reports, prefix, after, limit).unwrap();
        found.into_iter().map(|(key, _)| key).collect::<Vec<_>>()
    };
    let back = |prefix: &[u8], before: Option<&[u8]>, limit| {
        let found = store.scan_back(Space::Reports, prefix, before, limit).unwrap();
        found.into_iter().map(|(key, _)| key).collect::<Vec<_>>()
    };
    let reversed = |range: std::ops::Range<usize>| keys[range].iter().rev().cloned().collect::<Vec<_>>();
    assert_eq!(back(b"", None, 10), reversed(0..keys.len()));
    assert_eq!(back(b"ab", None, 10), reversed(1..4));
    assert_eq!(back(b"ab", Some(keys[3]), 1), reversed(2..3));
    assert_eq!(back(b"ab", Some(keys[1]), 10), reversed(0..0));
    assert_eq!(back(b"ab", Some(b"b"), 2), reversed(2..4));
    assert_eq!(back(b"\xff", None, 10), reversed(5..keys.len()));
    assert_eq!(back(b"ab", None, 0), reversed(0..0));
    assert_eq!(scan(b"", None, 10), keys);
    assert_eq!(scan(b"ab", None, 10), keys[1..4]);
    assert_eq!(scan(b"ab", Some(b"ab"), 1), keys[2..3]);
    assert_eq!(scan(b"ab", Some(b"a"), 10), keys[1..4]);
    assert_eq!(scan(b"\xff", None, 10), keys[5..]);
    assert_eq!(scan(b"\xff\xff", Some(b"\xff"), 10), keys[6..]);
    assert!(scan(b"ab", Some(b"b"), 10).is_empty());
    assert!(scan(b"ab", Some(b"ac"), 10).is_empty());
    assert!(scan(b"zz", None, 10).is_empty());
    assert!(scan(b"", None, 0).is_empty());
    // Spaces don't meet.
    assert!(store.scan(Space::Keys, None, 10).unwrap().is_empty());
    assert!(store.last(Space::Devices).unwrap().is_none());
}

/// Four writers raise one number under the condition that nobody else did: none of their steps gets lost.
fn conditions_count_among_writers(store: &dyn Store) {
    let read = || store.get(Space::Meta, b"n").unwrap();
    let number = |value: &Option<Vec<u8>>| {
        value.as_ref().map_or(0, |value| u64::from_be_bytes(value.as_slice().try_into().unwrap()))
    };
    std::thread::scope(|scope| {
        for writer in 0..4_u8 {
            scope.spawn(move || {
                let mut steps = 0_u8;
                while steps < 25 {
                    // Some say when they read.
                    let moment = store.moment().filter(|_| writer % 2 == 0);
                    let seen = read();
                    let next = (number(&seen) + 1).to_be_bytes();
                    let batch = Batch::new().expect(Space::Meta, *b"n", seen).put(Space::Meta, *b"n", next);
                    let batch = batch.since(moment);
                    match store.commit(batch.put(Space::Devices, vec![b'w', writer, steps], next)) {
                        Ok(()) => steps += 1,
                        Err(StoreError::Changed(key)) => assert_eq!(key, "meta/n"),
                        Err(error) => panic!("{error}"),
                    }
                }
            });
        }
    });
    assert_eq!(number(&read()), 100);
    let mut seen: Vec<_> = store.scan_prefix(Space::Devices, b"w", None, 200).unwrap();
    seen.sort_by(|a, b| a.1.cmp(&b.1));
    let numbers: Vec<u64> = seen.into_iter().map(|(_, value)| number(&Some(value))).collect();
    assert_eq!(numbers, (1..=100).collect::<Vec<_>>());
}

/// What was read since a moment is checked where anybody wrote it after that, and a value that is merely claimed is refused
/// wherever the store has no moments.
fn moments_hide_no_change(store: &dyn Store) {
    let key = b"moment";
    let change = |moment: Option<u64>, before: Option<u8>, after: u8| {
        let batch = Batch::new().expect(Space::Devices, *key, before.map(|value| vec![value]));
        store.commit(batch.since(moment).put(Space::Devices, *key, [after]))
    };
    let held = || store.get(Space::Devices, key).unwrap();
    let refused = |result| matches!(result, Err(StoreError::Changed(key)) if key == "devices/moment");
    let first = store.moment();
    change(first, None, 1).unwrap();
    // As of the first moment nothing was there; and what is put by a batch since then may be expected.
    assert!(refused(change(first, None, 2)));
    change(first, Some(1), 2).unwrap();
    // Others are written meanwhile, this one isn't.
    let moment = store.moment();
    for number in 0..2_000_u32 {
        let other = Batch::new().put(Space::Devices, number.to_be_bytes(), *b"x");
        if number % 500 == 0 {
            store.commit(other.remove(Space::Reports, *key)).unwrap();
        }
    }
    change(moment, Some(2), 3).unwrap();
    // Written, and removed, by somebody else.
    let moment = store.moment();
    store.commit(Batch::new().put(Space::Devices, *key, [4])).unwrap();
    assert!(refused(change(moment, Some(3), 9)));
    assert_eq!(held(), Some(vec![4]));
    let moment = store.moment();
    store.commit(Batch::new().remove(Space::Devices, *key)).unwrap();
    assert!(refused(change(moment, Some(4), 9)));
    assert_eq!(held(), None);
    // Refused batches leave no trace.
    let moment = store.moment();
    assert!(refused(change(None, Some(4), 9)));
    change(moment, None, 5).unwrap();
    store.commit(Batch::new().remove(Space::Devices, *key)).unwrap();
}

/// 5,000 records and one of 3 MiB at once; again with other values and every other one removed.
fn big_batches(store: &dyn Store) {
    let key = |number: u32| [b"big".as_slice(), &number.to_be_bytes()].concat();
    let value = |number: u32, round: u8| vec![number as u8 ^ round; 100 + (number % 200) as usize];
    for round in 0..2 {
        let large = vec![7 + round; 3 << 20];
        let mut batch = Batch::new().put(Space::Generations, 9_u64.to_be_bytes(), large.clone());
        for number in 0..5_000 {
            batch = if round == 1 && number % 2 == 1 {
                batch.remove(Space::Reports, key(number))
            } else {
                batch.put(Space::Reports, key(number), value(number, round))
            };
        }
        store.commit(batch).unwrap();
        assert!(store.get(Space::Generations, &9_u64.to_be_bytes()).unwrap() == Some(large));
        let found = store.scan_prefix(Space::Reports, b"big", None, 6_000).unwrap();
        let step = 1 + usize::from(round);
        assert_eq!(found.len(), 5_000 / step);
        for (number, (found, content)) in (0..5_000).step_by(step).zip(&found) {
            assert!(*found == key(number) && *content == value(number, round), "{number} in round {round}");
        }
    }
}

fn the_walk_is_in_order(store: &dyn Store, records: &[(Space, Pair)]) {
    for space in Space::ALL {
        let scanned = store.scan(space, None, usize::MAX >> 1).unwrap();
        let walked = records.iter().filter(|(of, _)| *of == space).map(|(_, pair)| pair);
        assert!(walked.eq(scanned.iter()), "{space:?}");
    }
    assert!(records.is_sorted_by_key(|(space, (key, _))| (space.code(), key.clone())));
    let mut left = 10;
    let mut visit = |_: Space, _: &[u8], _: &[u8]| {
        left -= 1;
        left > 0
    };
    store.walk(&mut visit).unwrap();
    assert_eq!(left, 0);
}

fn everything(store: &dyn Store) -> Vec<(Space, Pair)> {
    read(store).unwrap()
}

fn read(store: &dyn Store) -> Result<Vec<(Space, Pair)>, StoreError> {
    let mut records = Vec::new();
    let mut visit = |space: Space, key: &[u8], value: &[u8]| {
        records.push((space, (key.to_vec(), value.to_vec())));
        true
    };
    store.walk(&mut visit)?;
    Ok(records)
}

fn embedded() -> impl Iterator<Item = Engine> {
    Engine::EMBEDDED.into_iter()
}

/// A database of its own, empty, whose URL stands in the file that the environment names.
#[cfg(feature = "postgres")]
fn database() -> Settings {
    let file = std::env::var_os("PERENNIAL_POSTGRES_URL_FILE").expect("tests/run postgres sets it");
    let ca = std::env::var_os("PERENNIAL_POSTGRES_CA").map(PathBuf::from);
    Settings { url_file: Some(file.into()), ca, ..Settings::default() }
}

#[test]
#[ignore = "needs a database with TLS: tests/run postgres starts one"]
#[cfg(feature = "postgres")]
fn a_database_is_believed_by_its_certificate_alone() {
    let known = database();
    let open = |settings: Settings| Engine::Postgres.open(Path::new(""), settings).map(drop);
    open(known.clone()).unwrap();
    let unknown = open(Settings { ca: None, ..known.clone() }).unwrap_err();
    // The right certificate under another name.
    let folder = tempfile::tempdir().unwrap();
    let url = std::fs::read_to_string(known.url_file.as_ref().unwrap()).unwrap();
    let other = folder.path().join("url");
    std::fs::write(&other, url.replace("@localhost:", "@127.0.0.1:")).unwrap();
    let misnamed = open(Settings { url_file: Some(other), ..known }).unwrap_err();
    for refused in [unknown, misnamed] {
        assert!(refused.to_string().contains("certificate"), "{refused}");
    }
}

#[test]
#[ignore = "needs a database: tests/run postgres starts one"]
#[cfg(feature = "postgres")]
fn postgres_conforms() {
    let open = || Engine::Postgres.open(Path::new(""), database());
    // Nothing is left of an earlier run.
    crate::records::copy::clear(&open().unwrap()).unwrap();
    conforms(&open);
    // Two front ends: each has its own connections, and none of their steps gets lost.
    let stores = [open().unwrap(), open().unwrap()];
    stores[0].commit(Batch::new().remove(Space::Meta, *b"n")).unwrap();
    std::thread::scope(|scope| {
        for store in &stores {
            scope.spawn(move || {
                let mut steps = 0;
                while steps < 50 {
                    let seen = store.get(Space::Meta, b"n").unwrap();
                    let next = seen.as_ref().map_or(1, |value| value[0] + 1);
                    let batch = Batch::new().expect(Space::Meta, *b"n", seen).put(Space::Meta, *b"n", [next]);
                    match store.commit(batch) {
                        Ok(()) => steps += 1,
                        Err(StoreError::Changed(key)) => assert_eq!(key, "meta/n"),
                        Err(error) => panic!("{error}"),
                    }
                }
            });
        }
    });
    assert_eq!(stores[1].get(Space::Meta, b"n").unwrap(), Some(vec![100]));
    super::postgres::tests::answers_a_thread_with_a_runtime(&stores[0]);
    super::postgres::tests::migrates_forward_only(&database());
    // What was copied half is cleared away, and nothing is left of it.
    crate::records::copy::clear(&stores[0]).unwrap();
    assert!(crate::records::copy::is_empty(&stores[1]).unwrap());
}

#[test]
#[cfg(feature = "postgres")]
fn a_database_that_is_not_there_is_said_so_without_its_password() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("url");
    let open = |url: &str| {
        std::fs::write(&file, url).unwrap();
        let settings = Settings { url_file: Some(file.clone()), ..Settings::default() };
        Engine::Postgres.open(Path::new(""), settings).map(drop).unwrap_err().to_string()
    };
    for url in [
        "postgresql://me:secret@127.0.0.1:1/db?sslmode=nonsense",
        "mysql://me:secret@h/db?sslmode=require",
        "",
    ] {
        let said = open(url);
        assert!(said.contains("holds no PostgreSQL URL") && !said.contains("secret"), "{said}");
    }
}

#[test]
fn embedded_engines_conform() {
    for engine in embedded() {
        let folder = tempfile::tempdir().unwrap();
        conforms(&|| engine.open(folder.path(), Settings::default()));
    }
}

#[test]
fn a_store_has_one_holder() {
    for engine in embedded() {
        let folder = tempfile::tempdir().unwrap();
        let held = engine.open(folder.path(), Settings::default()).unwrap();
        let second = engine.open(folder.path(), Settings::default()).map(drop);
        assert!(matches!(second, Err(StoreError::Held)), "{engine}: {second:?}");
        drop(held);
        assert!(engine.open(folder.path(), Settings::default()).is_ok(), "{engine}");
    }
}

/// The log of a sled store that was just let go stays locked until a thread of its pool has gone on: whoever has the store's
/// own lock waits for that, and says to nobody that somebody else is there.
#[test]
fn what_sleds_threads_hold_on_to_for_a_moment_is_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let open = || SledStore::open(folder.path(), Settings::default());
    open().unwrap().commit(Batch::new().put(Space::Meta, *b"a", *b"1")).unwrap();
    let late = std::fs::File::open(folder.path().join("db")).unwrap();
    while late.try_lock().is_err() {
        std::thread::yield_now();
    }
    let begins = std::sync::Barrier::new(2);
    std::thread::scope(|scope| {
        let opening = scope.spawn(|| {
            begins.wait();
            open()
        });
        begins.wait();
        // Long enough to find it taken; nobody looks whether it was, as looking at our own lock takes it for a moment.
        std::thread::sleep(std::time::Duration::from_millis(200));
        late.unlock().unwrap();
        let opened = opening.join().unwrap();
        assert_eq!(opened.unwrap().get(Space::Meta, b"a").unwrap().as_deref(), Some(&b"1"[..]));
    });
}

#[test]
fn a_full_disk_refuses_what_is_put_and_loses_nothing() {
    for engine in embedded() {
        let folder = tempfile::tempdir().unwrap();
        let open = |reserve| engine.open(folder.path(), Settings { reserve, ..Settings::default() }).unwrap();
        open(0).commit(Batch::new().put(Space::Meta, *b"a", *b"1").put(Space::Meta, *b"b", *b"1")).unwrap();
        let full = open(u64::MAX);
        let refused = full.commit(Batch::new().put(Space::Meta, *b"a", *b"2"));
        assert!(matches!(refused, Err(StoreError::Full { .. })), "{engine}");
        assert_eq!(full.get(Space::Meta, b"a").unwrap().as_deref(), Some(&b"1"[..]));
        // Room can be made.
        full.commit(Batch::new().remove(Space::Meta, *b"b")).unwrap();
        drop(full);
        open(0).commit(Batch::new().put(Space::Meta, *b"a", *b"2")).unwrap();
    }
}

/// One snapshot of sled that a kill left half-written would make every later open fail.
#[test]
fn a_half_written_snapshot_is_removed() {
    let folder = tempfile::tempdir().unwrap();
    let open = || SledStore::open(folder.path(), Settings::default()).unwrap();
    open().commit(Batch::new().put(Space::Meta, *b"a", *b"1")).unwrap();
    let snapshot = folder.path().join("snap.00000000000000FF.generating");
    std::fs::write(&snapshot, b"half").unwrap();
    assert!(::sled::open(folder.path()).is_err(), "the reason for the rule is gone");
    std::fs::write(&snapshot, b"half").unwrap();
    assert_eq!(open().get(Space::Meta, b"a").unwrap().as_deref(), Some(&b"1"[..]));
    assert!(!snapshot.exists());
}

/// Whatever file is damaged: an error, or every record as it was.
#[test]
fn damaged_files_are_errors_and_nothing_is_forgotten_in_silence() {
    for engine in embedded() {
        let folder = tempfile::tempdir().unwrap();
        let store = engine.open(folder.path(), Settings::default()).unwrap();
        for round in 0..30_u8 {
            let batch = (0..200_u16).fold(Batch::new(), |batch, number| {
                let key = [&number.to_be_bytes()[..], &[round]].concat();
                batch.put(Space::Reports, key, vec![round ^ number as u8; 1_000])
            });
            store.commit(batch).unwrap();
        }
        let before = everything(&*store);
        drop(store);
        let mut files = files(folder.path());
        files.sort_by_key(|file| {
            std::cmp::Reverse(std::fs::metadata(folder.path().join(file)).unwrap().len())
        });
        let mut refused = 0;
        for file in files.iter().take(5) {
            for damage in [noise, truncation] {
                let copy = tempfile::tempdir().unwrap();
                copy_folder(folder.path(), copy.path());
                damage(&copy.path().join(file));
                let found = engine.open(copy.path(), Settings::default()).and_then(|store| read(&*store));
                match found {
                    Err(_) => refused += 1,
                    Ok(found) => assert!(found == before, "{engine}, {}", file.display()),
                }
            }
        }
        assert!(refused >= 2, "{engine}: {refused} of the damages were seen");
    }
}

/// Overwrites the middle third of what a file holds.
fn noise(path: &Path) {
    let mut bytes = std::fs::read(path).unwrap();
    // Logs are longer than what stands in them.
    let used = bytes.iter().rposition(|byte| *byte != 0).unwrap_or(0);
    bytes[used / 3..=used * 2 / 3].fill(0xa5);
    std::fs::write(path, bytes).unwrap();
}

fn truncation(path: &Path) {
    let mut bytes = std::fs::read(path).unwrap();
    bytes.truncate(bytes.iter().rposition(|byte| *byte != 0).unwrap_or(0) / 2);
    std::fs::write(path, bytes).unwrap();
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = PathBuf::from(path.file_name().unwrap());
        if path.is_dir() {
            found.extend(files(&path).into_iter().map(|inner| name.join(inner)));
        } else if std::fs::metadata(&path).unwrap().len() > 0 {
            found.push(name);
        }
    }
    found
}

fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy_folder(&path, &target)
        } else {
            assert!(std::fs::copy(&path, &target).is_ok())
        }
    }
}
