//! The fleet's writer and the rollout engine without sockets, certificates or a clock: what simulations of whole fleets stand
//! on. Everything behind the listeners is the real thing; devices are taken at their word for who they are, so no server uses it.

use super::ballot::Ballot;
use super::engine::{Engine, Means};
use super::figures::Figures;
use super::offers::{Board, Offers};
use super::votes::MarkKey;
use crate::fleet::releases::{Releases, Shelf};
use crate::fleet::row::{Credential, Row};
use crate::fleet::{Act, Fault, Identity, Operation, Verdict, Who, Writer, WriterMeans, start_writer};
use crate::io::Hand;
use crate::keys::OnlineKey;
use crate::records::restored::Restored;
use crate::site::Caching;
use crate::store::{Batch, Space, Store, StoreError};
use perennial_schemas::fleet::{CheckIn, DeviceId, DeviceKey, Kind, Label, Name, ReportQueue, Ticket};
use perennial_schemas::report::Report;
use perennial_schemas::{HardwareName, ProductName, Sha256Digest, Timestamp};
use prometheus::Registry;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

/// Rows of made-up devices that are committed together.
const TOGETHER: usize = 5000;

/// See the module.
pub struct Drive {
    /// The engine; [`Engine::tick`] is called by whoever drives.
    pub engine: Arc<Engine>,
    /// The store behind everything.
    pub store: Arc<dyn Store>,
    clock: Hand,
    writer: Option<Writer>,
    thread: Option<JoinHandle<()>>,
    runtime: tokio::runtime::Runtime,
}

/// A made-up device.
#[derive(Debug, Clone)]
pub struct Member {
    /// Its id.
    pub device: DeviceId,
    /// Its product.
    pub product: ProductName,
    /// Its hardware revision.
    pub hardware: HardwareName,
    /// Its labels.
    pub labels: BTreeSet<Label>,
}

/// Why something didn't work.
#[derive(Debug, thiserror::Error)]
pub enum DriveError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The reports weren't written down.
    #[error("the reports weren't written down: {0}")]
    Reports(String),
    /// Threads or figures can't be made.
    #[error("it can't be set up: {0}")]
    Setup(String),
}

impl Drive {
    /// Everything over a store, with offers that are set by hand, at a time. `marks` is the key of the marks.
    ///
    /// # Errors
    /// [`DriveError::Setup`]
    pub fn new(
        store: Arc<dyn Store>,
        key: Box<dyn OnlineKey>,
        marks: &[u8; 32],
        offers: Offers,
        silence: Duration,
        at: Timestamp,
    ) -> Result<Self, DriveError> {
        let setup = |error: &dyn std::fmt::Display| DriveError::Setup(error.to_string());
        let clock = Hand::at(at);
        let ballot = Arc::new(Ballot {
            board: Arc::new(Board::of(offers)),
            own: key.keyid().clone(),
            key: MarkKey::new(marks),
            tallies: Arc::default(),
            reached: Default::default(),
        });
        let registry = Registry::new();
        let figures = crate::fleet::figures::Figures::new(&registry).map_err(|error| setup(&error))?;
        let engine = Arc::new(Engine::new(Means {
            store: Arc::clone(&store),
            key,
            ballot: Arc::clone(&ballot),
            figures: Arc::new(Figures::new(&registry).map_err(|error| setup(&error))?),
            silence,
            caching: Caching::new(Duration::ZERO, Duration::ZERO),
        }));
        let means = WriterMeans {
            store: Arc::clone(&store),
            releases: Arc::new(Shelf::of(Arc::clone(&store), Releases::default())),
            trust: None,
            ballot,
            figures: Arc::new(figures),
            now: clock.clock(),
            queue: 1 << 20,
            restored: Restored::default(),
            keep: Duration::from_secs(10 * 365 * 86_400),
        };
        Self::of(engine, means, clock)
    }

    /// An engine as it is, with a writer of its own.
    ///
    /// # Errors
    /// [`DriveError::Setup`]
    pub(crate) fn of(engine: Arc<Engine>, means: WriterMeans, clock: Hand) -> Result<Self, DriveError> {
        let setup = |error: &dyn std::fmt::Display| DriveError::Setup(error.to_string());
        let store = Arc::clone(&means.store);
        let (writer, thread) = start_writer(means).map_err(|error| setup(&error))?;
        let runtime = tokio::runtime::Builder::new_current_thread().build().map_err(|error| setup(&error))?;
        Ok(Self { engine, store, clock, writer: Some(writer), thread: Some(thread), runtime })
    }

    /// The offers from now on.
    pub fn offer(&self, offers: Offers) {
        self.engine.ballot().board.set(offers);
    }

    /// The server's clock, as it stands.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Sets the server's clock.
    pub fn set(&self, at: Timestamp) {
        self.clock.set(at);
    }

    /// Makes devices known, as if they had enrolled now.
    ///
    /// # Errors
    /// [`StoreError`]
    pub fn enrol(&self, members: &[Member]) -> Result<(), DriveError> {
        for some in members.chunks(TOGETHER) {
            let batch = some.iter().fold(Batch::new(), |batch, member| {
                let mut row = Row::new(member.product.clone(), member.hardware.clone(), false, self.now());
                row.labels = member.labels.clone();
                let not_before = Timestamp::EPOCH;
                let key = Sha256Digest([0; 32]);
                row.fleet = Some(Credential { serial: vec![1], key, not_before, not_after: far() });
                batch.put(Space::Devices, member.device.as_str(), row.encode())
            });
            self.store.commit(batch)?;
        }
        Ok(())
    }

    /// Hands queues of reports in, each as its device would; durable when this returns.
    ///
    /// # Errors
    /// [`DriveError::Reports`], also where one was refused.
    pub fn report(&self, queues: Vec<(Member, Vec<Report>)>) -> Result<(), DriveError> {
        let operations = queues.into_iter().map(|(member, reports)| Operation {
            act: Act::Reports(ReportQueue::new(member.device.clone(), reports)),
            who: Who::Device(Arc::new(identity(member))),
        });
        self.write(operations)
    }

    /// Lets devices check in, each with the ticket for its next time; durable when this returns.
    ///
    /// # Errors
    /// [`DriveError::Reports`], also where one was refused.
    pub fn check_in(&self, said: Vec<(Member, CheckIn, Ticket)>) -> Result<(), DriveError> {
        let operations = said.into_iter().map(|(member, said, ticket)| Operation {
            act: Act::CheckIn(Box::new(said), ticket),
            who: Who::Device(Arc::new(identity(member))),
        });
        self.write(operations)
    }

    fn write(&self, operations: impl Iterator<Item = Operation>) -> Result<(), DriveError> {
        let refused = |what: &dyn std::fmt::Debug| DriveError::Reports(format!("{what:?}"));
        let writer = self.writer.as_ref().ok_or_else(|| refused(&Fault::Unavailable))?;
        let mut operations = operations.peekable();
        while operations.peek().is_some() {
            let some = operations.by_ref().take(TOGETHER).collect();
            let verdicts = self.runtime.block_on(writer.write(some)).map_err(|fault| refused(&fault))?;
            if let Some(bad) = verdicts.iter().find(|verdict: &&Verdict| verdict.is_err()) {
                return Err(refused(bad));
            }
        }
        Ok(())
    }
}

impl Drop for Drive {
    fn drop(&mut self) {
        self.writer = None;
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has said so on its own.
            let _ = thread.join();
        }
    }
}

fn identity(member: Member) -> Identity {
    let Member { device, product, hardware, labels } = member;
    Identity {
        name: Name { device, product, hardware, labels, kind: Kind::Fleet },
        serial: vec![1],
        key: Sha256Digest([0; 32]),
        public: DeviceKey::Ed25519([0; 32]),
        not_before: Timestamp::EPOCH,
        not_after: far(),
        issuers: Vec::new(),
    }
}

/// Two hundred years from 1970.
fn far() -> Timestamp {
    Timestamp::EPOCH.plus_days(200 * 365)
}
