//! Every statement that is sent to the database, and nothing else. They run on PostgreSQL, and are held to what
//! CockroachDB, YugabyteDB, Citus and Aurora run as well: a test over their text forbids the rest.
//!
//! There is a table for each space, with the record's key as its primary key: it is the shard key, and a scan of one space
//! never meets the rows of another.

use crate::store::Space;

/// What makes the tables, in order; never changed once released, only added to. One definition each.
pub(super) const MIGRATIONS: [&str; 9] = [
    "CREATE TABLE IF NOT EXISTS perennial_commits (id bytea PRIMARY KEY)",
    "CREATE TABLE IF NOT EXISTS perennial_meta (key bytea PRIMARY KEY, value bytea NOT NULL)",
    "CREATE TABLE IF NOT EXISTS perennial_generations (key bytea PRIMARY KEY, value bytea NOT NULL)",
    "CREATE TABLE IF NOT EXISTS perennial_audit (key bytea PRIMARY KEY, value bytea NOT NULL)",
    "CREATE TABLE IF NOT EXISTS perennial_devices (key bytea PRIMARY KEY, value bytea NOT NULL)",
    "CREATE TABLE IF NOT EXISTS perennial_reports (key bytea PRIMARY KEY, value bytea NOT NULL)",
    "CREATE TABLE IF NOT EXISTS perennial_keys (key bytea PRIMARY KEY, value bytea NOT NULL)",
    "CREATE TABLE IF NOT EXISTS perennial_rollouts (key bytea PRIMARY KEY, value bytea NOT NULL)",
    "CREATE TABLE IF NOT EXISTS perennial_marks (key bytea PRIMARY KEY, value bytea NOT NULL)",
];

/// The table of the migrations themselves.
pub(super) const MIGRATED: &str =
    "CREATE TABLE IF NOT EXISTS perennial_migrations (number integer PRIMARY KEY)";
/// Which ones were applied.
pub(super) const APPLIED: &str = "SELECT number FROM perennial_migrations ORDER BY number";
/// One was applied.
pub(super) const APPLY: &str =
    "INSERT INTO perennial_migrations (number) VALUES ($1) ON CONFLICT (number) DO NOTHING";

/// Marks a commit by a number that its client drew; a second one of the same number is the same commit.
pub(super) const BEGIN: &str = "INSERT INTO perennial_commits (id) VALUES ($1)";
/// Forgets the mark of the commit before, whose outcome is known.
pub(super) const FORGET: &str = "DELETE FROM perennial_commits WHERE id = $1";

pub(super) fn get(space: Space) -> String {
    format!("SELECT value FROM perennial_{} WHERE key = $1", space.name())
}

pub(super) fn get_many(space: Space) -> String {
    format!("SELECT key, value FROM perennial_{} WHERE key = ANY($1)", space.name())
}

pub(super) fn last(space: Space) -> String {
    format!("SELECT key, value FROM perennial_{} ORDER BY key DESC LIMIT 1", space.name())
}

/// Keys from `$1` on (without it, where `past`), before `$3` where there is an end, `$2` of them.
pub(super) fn scan(space: Space, past: bool, ends: bool) -> String {
    let (from, end) = (if past { ">" } else { ">=" }, if ends { " AND key < $3" } else { "" });
    format!(
        "SELECT key, value FROM perennial_{} WHERE key {from} $1{end} ORDER BY key LIMIT $2",
        space.name()
    )
}

/// Keys from `$1` on, before `$3` where there is an end, the last `$2` of them, backwards.
pub(super) fn scan_back(space: Space, ends: bool) -> String {
    let end = if ends { " AND key < $3" } else { "" };
    format!(
        "SELECT key, value FROM perennial_{} WHERE key >= $1{end} ORDER BY key DESC LIMIT $2",
        space.name()
    )
}

pub(super) fn put(space: Space) -> String {
    format!(
        "INSERT INTO perennial_{} (key, value) SELECT * FROM unnest($1::bytea[], $2::bytea[]) \
         ON CONFLICT (key) DO UPDATE SET value = excluded.value",
        space.name()
    )
}

pub(super) fn remove(space: Space) -> String {
    format!("DELETE FROM perennial_{} WHERE key = ANY($1)", space.name())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn statements() -> Vec<String> {
        let mut all: Vec<String> = MIGRATIONS.iter().map(|text| (*text).to_owned()).collect();
        all.extend([MIGRATED, APPLIED, APPLY, BEGIN, FORGET].map(str::to_owned));
        for space in Space::ALL {
            all.extend([get(space), get_many(space), last(space), put(space), remove(space)]);
            all.extend([scan_back(space, false), scan_back(space, true)]);
            all.extend(
                [(false, false), (false, true), (true, false), (true, true)].map(|(p, e)| scan(space, p, e)),
            );
        }
        all
    }

    /// The house rules for SQL that runs on PostgreSQL's relatives too.
    #[test]
    fn statements_stay_within_what_the_relatives_of_postgresql_run() {
        let words = |text: &str| -> Vec<String> {
            let split = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
            split.filter(|word| !word.is_empty()).map(str::to_uppercase).collect()
        };
        let banned = [
            "LISTEN",
            "NOTIFY",
            "TRIGGER",
            "LOCK",
            "TEMP",
            "TEMPORARY",
            "UNLOGGED",
            "SERIAL",
            "BIGSERIAL",
            "SEQUENCE",
            "IDENTITY",
            "REFERENCES",
            "COUNT",
            "OFFSET",
            "FUNCTION",
            "DO$$",
            "CURSOR",
            "TABLESPACE",
            "INHERITS",
            "EXCLUDE",
            "XID",
            "CTID",
        ];
        for text in statements() {
            let words = words(&text);
            for word in banned {
                assert!(!words.iter().any(|found| found == word), "{word} in: {text}");
            }
            assert!(!words.iter().any(|word| word.starts_with("PG_")), "a function of the server: {text}");
            assert!(!text.contains(';'), "one statement each: {text}");
            // Several rows are read in the order of their key, and from a key on.
            if words.contains(&"LIMIT".into()) {
                assert!(text.contains("ORDER BY key"), "{text}");
            }
        }
        for text in MIGRATIONS {
            assert!(text.starts_with("CREATE TABLE IF NOT EXISTS perennial_"), "{text}");
            assert_eq!(text.matches("CREATE").count() + text.matches("ALTER").count(), 1, "{text}");
            assert!(
                text.contains("(key bytea PRIMARY KEY") || text.contains("(id bytea PRIMARY KEY"),
                "{text}"
            );
        }
        for space in Space::ALL {
            let table = format!("perennial_{} ", space.name());
            assert!(MIGRATIONS.iter().any(|text| text.contains(&table)), "{space:?} has no table");
        }
    }
}
