//! Migrations, on a database that the environment names.

use super::PostgresStore;
use super::fault::Fault;
use super::sql::MIGRATIONS;
use crate::store::{Batch, Settings, Space, Store};
use deadpool_postgres::Object;

impl PostgresStore {
    fn execute(&self, text: &str) {
        let of = |error: tokio_postgres::Error| Fault::of("execute", &error);
        let done =
            self.attempt("execute", async |client: Object| client.batch_execute(text).await.map_err(of));
        done.unwrap();
    }
}

/// A thread that drives a runtime may ask as any other, as often as it likes: more often than a task's budget is long.
pub(crate) fn answers_a_thread_with_a_runtime(store: &dyn Store) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async {
        for number in 0..200_u8 {
            store.commit(Batch::new().put(Space::Meta, *b"within", [number])).unwrap();
            assert_eq!(store.get(Space::Meta, b"within").unwrap(), Some(vec![number]));
        }
        let mut walked = 0;
        store
            .walk(&mut |_, _, _| {
                walked += 1;
                true
            })
            .unwrap();
        assert!(walked > 0);
        store.commit(Batch::new().remove(Space::Meta, *b"within")).unwrap();
    });
}

/// A database of a later version is refused, and one of an earlier version brought forward; nothing goes back.
pub(crate) fn migrates_forward_only(settings: &Settings) {
    let open = || PostgresStore::open(settings);
    let store = open().unwrap();
    store.commit(Batch::new().put(Space::Meta, *b"before", *b"1")).unwrap();
    let later = MIGRATIONS.len() + 1;
    store.execute(&format!("INSERT INTO perennial_migrations (number) VALUES ({later})"));
    let refused = open().map(drop).unwrap_err().to_string();
    assert!(refused.contains("made by a later version of this program"), "{refused}");
    store.execute(&format!("DELETE FROM perennial_migrations WHERE number = {later}"));
    // As the version before the last one left it.
    let last = MIGRATIONS.len();
    assert!(
        MIGRATIONS[last - 1].contains("perennial_marks"),
        "the table that is dropped here is the last one made"
    );
    store.execute(&format!(
        "DROP TABLE perennial_marks; DELETE FROM perennial_migrations WHERE number = {last}"
    ));
    assert!(store.get(Space::Marks, b"a").is_err());
    let store = open().unwrap();
    store.commit(Batch::new().put(Space::Marks, *b"a", *b"1")).unwrap();
    assert_eq!(store.get(Space::Marks, b"a").unwrap().as_deref(), Some(&b"1"[..]));
    assert_eq!(store.get(Space::Meta, b"before").unwrap().as_deref(), Some(&b"1"[..]));
    store.commit(Batch::new().remove(Space::Marks, *b"a").remove(Space::Meta, *b"before")).unwrap();
}
