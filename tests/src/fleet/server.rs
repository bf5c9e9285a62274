//! The server of a simulation: a state folder as `perennial-server init` makes it, and the server's own rehearsal over it.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use perennial_device_core::trust::{FetchError, MetadataSource, Request};
use perennial_schemas::fleet::{CheckIn, Ticket};
use perennial_schemas::key_file::KeyFile;
use perennial_schemas::report::Report;
use perennial_schemas::{Document, Timestamp};
use perennial_server::config::Config;
use perennial_server::io::{Io, Now};
use perennial_server::rehearsal::Rehearsal;
use perennial_server::rollout::desk;
use perennial_server::rollout::drive::Member;
use perennial_server::rollout::machine::Wish;
use perennial_server::rollout::record::{self, Record};
use tempfile::TempDir;

use crate::maker::PRODUCT;

/// The server.
pub struct Server {
    /// The server's own parts. Gone while it is down.
    pub rehearsal: Option<Rehearsal>,
    folder: TempDir,
    now: Timestamp,
}

impl Server {
    /// A server at its first start. `root` is told its timestamp key, and gives the first root that it shall trust.
    pub fn new(now: Timestamp, root: impl FnOnce(&KeyFile) -> Vec<u8>) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut server = Self { rehearsal: None, folder, now };
        let state = server.state();
        server.command(["init".as_ref(), "--state".as_ref(), state.as_os_str()]);
        let text = std::fs::read(state.join("keys/timestamp.pub.json")).expect("init makes it");
        let root = root(&KeyFile::parse(&text).expect("a key"));
        let path = server.folder().join("root.json");
        std::fs::write(&path, root).expect("a file");
        server.command([
            "init".as_ref(),
            "--state".as_ref(),
            state.as_os_str(),
            "--root".as_ref(),
            path.as_os_str(),
        ]);
        server.start();
        server
    }

    /// Starts it on the state that it has.
    pub fn start(&mut self) {
        self.rehearsal = None;
        let config = Config::with_defaults(self.state());
        self.rehearsal = Some(Rehearsal::open(&config, self.now).expect("a server"));
    }

    /// A folder for files of the simulation.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Its state folder.
    pub fn state(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    /// Sets its clock.
    pub fn at(&mut self, now: Timestamp) {
        self.now = now;
        self.running().drive.set(now);
    }

    /// The server's own parts.
    pub fn running(&self) -> &Rehearsal {
        self.rehearsal.as_ref().expect("the server runs")
    }

    /// Takes a bundle in.
    pub fn take_in(&self, bundle: &[u8]) {
        self.running().take_in(bundle).expect("a good bundle");
    }

    /// Enrols devices.
    pub fn enrol(&self, devices: &[Member]) {
        self.running().drive.enrol(devices).expect("new devices");
    }

    /// Takes reports.
    pub fn report(&self, queues: Vec<(Member, Vec<Report>)>) {
        self.running().drive.report(queues).expect("reports of enrolled devices");
    }

    /// Takes check-ins.
    pub fn check_in(&self, said: Vec<(Member, CheckIn, Ticket)>) {
        self.running().drive.check_in(said).expect("check-ins of enrolled devices");
    }

    /// Lets it do what is due; `listens`: also look who fell silent.
    pub fn tick(&self, listens: bool) {
        let rehearsal = self.running();
        let engine = &rehearsal.drive.engine;
        if listens || engine.must_listen() {
            engine.listen(rehearsal.drive.now(), &|| {}).expect("a store that can be read");
        }
        rehearsal.tick().expect("nobody else changes rollouts");
    }

    /// How each rollout stands, a line each.
    pub fn told(&self) -> Vec<String> {
        self.records().iter().map(tell).collect()
    }

    /// The state of a version's rollout; `unplanned` where it has none.
    pub fn state_of(&self, version: &str) -> &'static str {
        let records = self.records();
        let known = records.iter().find(|record| record.version.as_str() == version);
        known.map_or("unplanned", |record| record.state.as_str())
    }

    /// What an operator orders: how the rollout stands after it.
    ///
    /// # Errors
    /// Why it isn't done.
    pub fn order(&self, version: &str, wish: &Wish, why: &str) -> Result<String, String> {
        let (engine, named) = (&self.running().drive.engine, (PRODUCT, version));
        let done = desk::change(engine, named, wish, ("operator", why), self.now);
        done.map(|_| self.told().into_iter().find(|line| line.starts_with(version)).unwrap_or_default())
            .map_err(|error| format!("{error}: {}", error.hint()))
    }

    /// What a rollout's gate says now.
    pub fn verdicts(&self) -> Vec<String> {
        let Some(rehearsal) = &self.rehearsal else { return Vec::new() };
        let rollouts = desk::list(&rehearsal.drive.engine, self.now).expect("a store that can be read");
        let judged = rollouts.iter().filter(|rollout| !rollout.verdict.is_empty());
        judged.map(|rollout| format!("{}: {}", rollout.version, rollout.verdict)).collect()
    }

    fn records(&self) -> Vec<Record> {
        let Some(rehearsal) = &self.rehearsal else { return Vec::new() };
        let records = record::all(rehearsal.drive.store.as_ref()).expect("a store that can be read");
        let mut records: Vec<Record> = records.whole.into_values().map(|(record, _)| record).collect();
        records.sort_by(|a, b| a.version.cmp(&b.version));
        records
    }

    /// What it answers to a GET of a path, without its first slash.
    pub fn get(&self, path: &str) -> Option<Vec<u8>> {
        self.rehearsal.as_ref()?.get(&format!("/{path}"))
    }

    /// Its metadata, as a device fetches it.
    pub fn metadata(&self) -> impl MetadataSource + use<'_> {
        Metadata(self)
    }

    fn command<S: Into<OsString>>(&self, arguments: impl IntoIterator<Item = S>) {
        let (mut out, mut err, at) = (Vec::new(), Vec::new(), self.now);
        let now: Now = Arc::new(move || at);
        let mut io = Io { stdout: &mut out, stderr: &mut err, now, terminal: false };
        let arguments = arguments.into_iter().map(Into::into);
        let code =
            perennial_server::run([OsString::from("perennial-server")].into_iter().chain(arguments), &mut io);
        assert_eq!(
            format!("{code:?}"),
            format!("{:?}", ExitCode::SUCCESS),
            "{}",
            String::from_utf8_lossy(&err)
        );
    }
}

struct Metadata<'s>(&'s Server);

impl MetadataSource for Metadata<'_> {
    fn fetch(&mut self, request: &Request) -> Result<Option<Vec<u8>>, FetchError> {
        Ok(self.0.get(&format!("metadata/{}", request.path)))
    }
}

fn tell(record: &Record) -> String {
    let mut line = format!("{} {}, phase {}", record.version, record.state.as_str(), record.phase + 1);
    if !record.stopped.is_empty() {
        let stopped: Vec<String> = record
            .stopped
            .iter()
            .map(|(hardware, stopped)| format!("{hardware} ({})", stopped.reason))
            .collect();
        line += &format!(", stopped for {}", stopped.join(", "));
    }
    format!("{line}: {}", record.reason)
}
