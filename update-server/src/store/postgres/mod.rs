//! The store on PostgreSQL, which several front ends may share. Conditions hold because they are read and acted upon in one
//! serialisable transaction; a commit whose answer got lost is found again by a number that it carries. It holds no lock
//! that would have to be given back.
//!
//! Calls block; a thread of its own drives the connections.

mod fault;
mod sql;
#[cfg(test)]
pub(super) mod tests;
mod tls;
mod wait;

use self::fault::Fault;
use self::tls::Rustls;
use self::wait::wait;
use super::{
    Batch, Pair, Settings, Space, Store, StoreError, Visit, bounds, bounds_back, changed, fits, is_empty,
};
use crate::disk;
use deadpool_postgres::{Manager, ManagerConfig, Object, Pool, RecyclingMethod, Runtime, Transaction};
use ring::rand::{SecureRandom, SystemRandom};
use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep};
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres::types::ToSql;
use tokio_postgres::{Config, IsolationLevel, Row};

/// A connection URL.
const URL_LIMIT: u64 = 4 << 10;
/// Connections: one commits, the others read.
const CONNECTIONS: usize = 8;
/// How long a database that went away is waited for before the caller is told.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(5);
/// Rows read at once by a walk.
const PAGE: i64 = 1_000;
/// A front end that vanished in the middle of a transaction stops nobody else for longer.
const OPTIONS: &str = "-c statement_timeout=30s -c idle_in_transaction_session_timeout=30s";

/// A store in a database.
pub struct PostgresStore {
    pool: Pool,
    handle: Handle,
    /// One committer at a time; the number of its last commit, whose mark isn't needed any more.
    committing: Mutex<Option<[u8; 16]>>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl std::fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PostgresStore")
    }
}

impl Drop for PostgresStore {
    fn drop(&mut self) {
        self.pool.close();
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Whether a database is on this machine: a socket, or a loopback address.
fn is_here(host: &Host) -> bool {
    match host {
        Host::Unix(_) => true,
        Host::Tcp(name) => {
            name == "localhost" || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
        }
    }
}

impl PostgresStore {
    /// Opens the database that `settings.url_file` names, and makes the tables that it lacks.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when the database can't be reached, else [`StoreError::Engine`].
    pub fn open(settings: &Settings) -> Result<Self, StoreError> {
        let failed = |reason: String| StoreError::Engine { operation: "open", reason };
        let file = settings.url_file.as_ref();
        let file =
            file.ok_or_else(|| failed("store.url_file names no file with the database's URL".into()))?;
        let url = disk::read(file, URL_LIMIT).map_err(|error| failed(error.to_string()))?;
        let url = String::from_utf8(url).map_err(|_| failed(format!("{} is not text", file.display())))?;
        // The text holds a password, and what a parser says of a mistake may repeat it: neither is told.
        let wrong = |what: &str| failed(format!("{} holds no PostgreSQL URL: {what}", file.display()));
        let url = url.trim();
        if !["postgresql://", "postgres://"].iter().any(|scheme| url.starts_with(scheme)) {
            return Err(wrong("it begins with postgresql://"));
        }
        let mut config: Config = url
            .parse()
            .map_err(|_| wrong("write postgresql://USER:PASSWORD@HOST:PORT/DATABASE?sslmode=require"))?;
        if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
            return Err(wrong("it names no host"));
        }
        // Whoever stands between could take the default, `prefer`, down to a password in the clear.
        if config.get_ssl_mode() == SslMode::Prefer && !config.get_hosts().iter().all(is_here) {
            config.ssl_mode(SslMode::Require);
        }
        let options = config.get_options().map_or(String::new(), |options| format!("{options} "));
        config.options(format!("{options}{OPTIONS}")).application_name("perennial-server");
        config.connect_timeout(CONNECT).tcp_user_timeout(PATIENCE).keepalives_idle(PATIENCE);
        let tls = Rustls::new(settings.ca.as_deref()).map_err(failed)?;
        let manager =
            Manager::from_config(config, tls, ManagerConfig { recycling_method: RecyclingMethod::Fast });
        let pool = Pool::builder(manager).max_size(CONNECTIONS).runtime(Runtime::Tokio1);
        let pool = pool.wait_timeout(Some(PATIENCE)).create_timeout(Some(CONNECT));
        let pool = pool.build().map_err(|error| failed(error.to_string()))?;
        let (handle, stop, thread) = drive().map_err(|error| failed(error.to_string()))?;
        let committing = Mutex::new(None);
        let store = Self { pool, handle, committing, stop: Some(stop), thread: Some(thread) };
        store.migrate()?;
        Ok(store)
    }

    fn migrate(&self) -> Result<(), StoreError> {
        self.attempt("open", async |mut client: Object| {
            let of = |error: tokio_postgres::Error| match Fault::of("open", &error) {
                // Two front ends that make the same table at once: one of them is told of a conflict with the other.
                Fault::Final(StoreError::Engine { reason, .. })
                    if error.code() == Some(&tokio_postgres::error::SqlState::UNIQUE_VIOLATION) =>
                {
                    Fault::Conflict(reason)
                }
                other => other,
            };
            client.batch_execute(sql::MIGRATED).await.map_err(of)?;
            let applied: Vec<i32> =
                client.query(sql::APPLIED, &[]).await.map_err(of)?.iter().map(|row| row.get(0)).collect();
            if applied.iter().any(|number| *number > sql::MIGRATIONS.len() as i32) {
                let reason = "the database was made by a later version of this program".into();
                return Err(Fault::Final(StoreError::Engine { operation: "open", reason }));
            }
            for (number, text) in (1_i32..).zip(sql::MIGRATIONS) {
                if !applied.contains(&number) {
                    let change = client.transaction().await.map_err(of)?;
                    change.batch_execute(text).await.map_err(of)?;
                    change.execute(sql::APPLY, &[&number]).await.map_err(of)?;
                    change.commit().await.map_err(of)?;
                }
            }
            Ok(())
        })
    }

    /// Tries until it works, the fault is final, or the database has been away for too long.
    fn attempt<T>(
        &self,
        operation: &'static str,
        mut work: impl AsyncFnMut(Object) -> Result<T, Fault>,
    ) -> Result<T, StoreError> {
        wait(&self.handle, async {
            let (began, mut pause) = (Instant::now(), Duration::from_millis(1));
            loop {
                let result = match self.pool.get().await {
                    Ok(client) => work(client).await,
                    Err(error) => Err(Fault::of_pool(operation, error)),
                };
                let (reason, longest) = match result {
                    Ok(value) => return Ok(value),
                    Err(Fault::Final(error)) => return Err(error),
                    Err(Fault::Conflict(reason)) => (reason, Duration::from_millis(50)),
                    Err(Fault::Gone(reason)) => (reason, Duration::from_millis(500)),
                    Err(Fault::Done) => ("a commit was found that nobody made".into(), Duration::ZERO),
                };
                if began.elapsed() >= PATIENCE {
                    return Err(StoreError::Unavailable(reason));
                }
                sleep(pause).await;
                pause = (pause * 2).min(longest);
            }
        })
    }

    fn read(&self, text: &str, parameters: &[&(dyn ToSql + Sync)]) -> Result<Vec<Row>, StoreError> {
        let of = |error: tokio_postgres::Error| Fault::of("read", &error);
        self.attempt("read", async |client: Object| {
            let statement = client.prepare_cached(text).await.map_err(of)?;
            client.query(&statement, parameters).await.map_err(of)
        })
    }

    /// Everything, as of the moment at which `moment` began.
    async fn show(moment: &Transaction<'_>, visit: &mut Visit<'_>) -> Result<(), tokio_postgres::Error> {
        for space in Space::ALL {
            let first = moment.prepare_cached(&sql::scan(space, false, false)).await?;
            let next = moment.prepare_cached(&sql::scan(space, true, false)).await?;
            let mut rows = moment.query(&first, &[&b"".as_slice(), &PAGE]).await?;
            while let Some(last) = rows.last().map(|row| row.get::<_, Vec<u8>>(0)) {
                for row in &rows {
                    if !visit(space, row.get(0), row.get(1)) {
                        return Ok(());
                    }
                }
                rows = moment.query(&next, &[&last, &PAGE]).await?;
            }
        }
        Ok(())
    }
}

impl Store for PostgresStore {
    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.read(&sql::get(space), &[&key])?.first().map(|row| row.get(0)))
    }

    fn get_many(&self, space: Space, keys: &[Vec<u8>]) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let rows = self.read(&sql::get_many(space), &[&keys])?;
        let found: HashMap<Vec<u8>, Vec<u8>> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
        Ok(keys.iter().map(|key| found.get(key).cloned()).collect())
    }

    fn scan_prefix(
        &self,
        space: Space,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<Pair>, StoreError> {
        let bounds = bounds(prefix, after);
        if is_empty(&bounds) || limit == 0 {
            return Ok(Vec::new());
        }
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let (past, from) = match bounds.0 {
            Bound::Excluded(key) => (true, key),
            Bound::Included(key) => (false, key),
            Bound::Unbounded => (false, Vec::new()),
        };
        let rows = match bounds.1 {
            Bound::Excluded(end) | Bound::Included(end) => {
                self.read(&sql::scan(space, past, true), &[&from, &limit, &end])?
            }
            Bound::Unbounded => self.read(&sql::scan(space, past, false), &[&from, &limit])?,
        };
        Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
    }

    fn scan_back(
        &self,
        space: Space,
        prefix: &[u8],
        before: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<Pair>, StoreError> {
        let bounds = bounds_back(prefix, before);
        if is_empty(&bounds) || limit == 0 {
            return Ok(Vec::new());
        }
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let rows = match bounds.1 {
            Bound::Excluded(end) | Bound::Included(end) => {
                self.read(&sql::scan_back(space, true), &[&prefix, &limit, &end])?
            }
            Bound::Unbounded => self.read(&sql::scan_back(space, false), &[&prefix, &limit])?,
        };
        Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
    }

    fn last(&self, space: Space) -> Result<Option<Pair>, StoreError> {
        Ok(self.read(&sql::last(space), &[])?.first().map(|row| (row.get(0), row.get(1))))
    }

    fn walk(&self, visit: &mut Visit<'_>) -> Result<(), StoreError> {
        let failed = |fault: Fault| match fault {
            Fault::Final(error) => error,
            Fault::Gone(reason) | Fault::Conflict(reason) => StoreError::Unavailable(reason),
            Fault::Done => StoreError::Corrupt("a commit in a walk".into()),
        };
        wait(&self.handle, async {
            // Not tried again: what was shown can't be taken back.
            let of = |error: tokio_postgres::Error| failed(Fault::of("read", &error));
            let mut client = self.pool.get().await.map_err(|error| failed(Fault::of_pool("read", error)))?;
            let moment = client.build_transaction().isolation_level(IsolationLevel::RepeatableRead);
            let moment = moment.read_only(true).start().await.map_err(of)?;
            Self::show(&moment, visit).await.map_err(of)
        })
    }

    fn commit(&self, batch: Batch) -> Result<(), StoreError> {
        fits(&batch)?;
        let changes = Changes::of(batch);
        let mut number = [0; 16];
        let random =
            |_| StoreError::Engine { operation: "commit", reason: "the system has no randomness".into() };
        SystemRandom::new().fill(&mut number).map_err(random)?;
        let mut last = self.committing.lock().unwrap_or_else(PoisonError::into_inner);
        let before = *last;
        self.attempt("commit", async |mut client: Object| {
            match changes.commit(&mut client, &number, before.as_ref()).await {
                Err(Fault::Done) => Ok(()),
                result => result,
            }
        })?;
        *last = Some(number);
        Ok(())
    }
}

/// What keys are expected to hold, each as often as it was said.
type Expected = BTreeMap<Vec<u8>, Vec<Option<Vec<u8>>>>;

/// A batch by spaces, sorted: two front ends that change the same rows meet them in the same order.
struct Changes {
    expected: BTreeMap<Space, Expected>,
    puts: BTreeMap<Space, BTreeMap<Vec<u8>, Vec<u8>>>,
    removes: BTreeMap<Space, Vec<Vec<u8>>>,
}

impl Changes {
    fn of(batch: Batch) -> Self {
        let mut changes = Self { expected: BTreeMap::new(), puts: BTreeMap::new(), removes: BTreeMap::new() };
        for (space, key, value) in Arc::unwrap_or_clone(batch.expected) {
            changes.expected.entry(space).or_default().entry(key).or_default().push(value);
        }
        for (space, key, value) in Arc::unwrap_or_clone(batch.puts) {
            changes.puts.entry(space).or_default().insert(key, value);
        }
        for (space, key) in Arc::unwrap_or_clone(batch.removes) {
            changes.removes.entry(space).or_default().push(key);
        }
        changes.removes.values_mut().for_each(|keys| keys.sort());
        changes
    }

    async fn commit(
        &self,
        client: &mut Object,
        number: &[u8; 16],
        before: Option<&[u8; 16]>,
    ) -> Result<(), Fault> {
        let of = |error: tokio_postgres::Error| Fault::of("commit", &error);
        // Without conditions nothing is read, and the order of two such batches is that of their rows.
        let level = if self.expected.is_empty() {
            IsolationLevel::ReadCommitted
        } else {
            IsolationLevel::Serializable
        };
        let change = client.build_transaction().isolation_level(level).start().await.map_err(of)?;
        let begin = change.prepare_cached(sql::BEGIN).await.map_err(of)?;
        if let Err(error) = change.execute(&begin, &[&number.as_slice()]).await {
            let again = error.code() == Some(&tokio_postgres::error::SqlState::UNIQUE_VIOLATION);
            return Err(if again { Fault::Done } else { of(error) });
        }
        if let Some(before) = before {
            let forget = change.prepare_cached(sql::FORGET).await.map_err(of)?;
            change.execute(&forget, &[&before.as_slice()]).await.map_err(of)?;
        }
        for (space, expected) in &self.expected {
            let keys: Vec<&[u8]> = expected.keys().map(Vec::as_slice).collect();
            let select = change.prepare_cached(&sql::get_many(*space)).await.map_err(of)?;
            let rows = change.query(&select, &[&keys]).await.map_err(of)?;
            let found: HashMap<&[u8], &[u8]> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
            for (key, values) in expected {
                if values.iter().any(|value| value.as_deref() != found.get(key.as_slice()).copied()) {
                    return Err(Fault::Final(changed(*space, key)));
                }
            }
        }
        for (space, keys) in &self.removes {
            let remove = change.prepare_cached(&sql::remove(*space)).await.map_err(of)?;
            change.execute(&remove, &[keys]).await.map_err(of)?;
        }
        for (space, puts) in &self.puts {
            let (keys, values): (Vec<&[u8]>, Vec<&[u8]>) =
                puts.iter().map(|(key, value)| (key.as_slice(), value.as_slice())).unzip();
            let put = change.prepare_cached(&sql::put(*space)).await.map_err(of)?;
            change.execute(&put, &[&keys, &values]).await.map_err(of)?;
        }
        change.commit().await.map_err(of)
    }
}

/// A thread that drives the connections until it is told to stop.
fn drive() -> std::io::Result<(Handle, oneshot::Sender<()>, JoinHandle<()>)> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (stop, stopped) = oneshot::channel();
    let handle = runtime.handle().clone();
    let thread = std::thread::Builder::new().name("postgres".into()).spawn(move || {
        let _ = runtime.block_on(stopped);
    })?;
    Ok((handle, stop, thread))
}
