//! The conformance suite: what every back end must pass.
use super::*;

fn conforms(open: impl Fn() -> Box<dyn Store>) {
    let store = open();
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
    assert!(matches!(refused, Err(StoreError::Changed(_))));
    assert_eq!(store.get(Space::Meta, b"b").unwrap(), None);

    // Order is the order of the keys.
    let all = store.scan(Space::Audit, None, 10).unwrap();
    assert_eq!(all.iter().map(|(_, value)| value[0]).collect::<Vec<_>>(), b"xyz");
    let later = store.scan(Space::Audit, Some(&1_u64.to_be_bytes()), 1).unwrap();
    assert_eq!(later[0].1, b"y");
    assert_eq!(store.last(Space::Audit).unwrap().unwrap().1, b"z");

    // Many at once come in the order asked for.
    let keys = [2_u64, 7, 1].map(|number| number.to_be_bytes().to_vec());
    let many = store.get_many(Space::Audit, &keys).unwrap();
    assert_eq!(many, [Some(b"y".to_vec()), None, Some(b"x".to_vec())]);
    prefixes(&*store);

    // What is removed is gone, and only that.
    let gone = Batch::new().remove(Space::Audit, 256_u64.to_be_bytes()).remove(Space::Meta, *b"none");
    store.commit(gone).unwrap();
    assert_eq!(store.last(Space::Audit).unwrap().unwrap().1, b"y");
    assert_eq!(store.scan(Space::Audit, None, 10).unwrap().len(), 2);

    // What was committed is there after opening it again.
    drop(store);
    assert_eq!(open().get(Space::Meta, b"a").unwrap().as_deref(), Some(&b"1"[..]));
}

fn prefixes(store: &dyn Store) {
    let keys: [&[u8]; 7] = [b"a", b"ab", b"ab\0", b"ab\xff", b"ac", b"\xff", b"\xff\xff\x01"];
    let batch = keys.iter().fold(Batch::new(), |batch, key| batch.put(Space::Reports, *key, *key));
    store.commit(batch).unwrap();
    let scan = |prefix: &[u8], after: Option<&[u8]>, limit| {
        let found = store.scan_prefix(Space::Reports, prefix, after, limit).unwrap();
        found.into_iter().map(|(key, _)| key).collect::<Vec<_>>()
    };
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
}

#[test]
fn fjall_conforms() {
    let folder = tempfile::tempdir().unwrap();
    conforms(|| Box::new(FjallStore::open(folder.path()).unwrap()));
}

#[test]
fn a_store_has_one_holder() {
    let folder = tempfile::tempdir().unwrap();
    let _held = FjallStore::open(folder.path()).unwrap();
    assert!(matches!(FjallStore::open(folder.path()), Err(StoreError::Held)));
}
