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

    // What is removed is gone, and only that.
    let gone = Batch::new().remove(Space::Audit, 256_u64.to_be_bytes()).remove(Space::Meta, *b"none");
    store.commit(gone).unwrap();
    assert_eq!(store.last(Space::Audit).unwrap().unwrap().1, b"y");
    assert_eq!(store.scan(Space::Audit, None, 10).unwrap().len(), 2);

    // What was committed is there after opening it again.
    drop(store);
    assert_eq!(open().get(Space::Meta, b"a").unwrap().as_deref(), Some(&b"1"[..]));
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
