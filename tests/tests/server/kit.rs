//! A state folder, a maker whose bundles it takes, and a raw HTTP client: what the server's tests stand on.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use perennial_device_core::crypto::Ring;
use perennial_device_core::trust::{FetchError, MetadataSource, Request};
use perennial_schemas::bundle::{BundleFile, BundleHeader};
use perennial_schemas::crypto::Digest;
use perennial_schemas::key_file::KeyFile;
use perennial_schemas::tuf::TopRole;
use perennial_schemas::{Document, TargetPath, Timestamp};
use perennial_server::config::Config;
use perennial_server::io::{Io, Now, system_clock};
use perennial_server::server::{Running, start};
use perennial_tests::simulator::{Repository, day};
use tempfile::TempDir;

/// A clock that a test moves.
#[derive(Clone)]
pub(super) struct Clock(Arc<AtomicI64>);

impl Clock {
    pub(super) fn at(time: Timestamp) -> Self {
        Self(Arc::new(AtomicI64::new(time.unix())))
    }

    pub(super) fn set(&self, time: Timestamp) {
        self.0.store(time.unix(), Ordering::SeqCst);
    }

    pub(super) fn now(&self) -> Now {
        let seconds = Arc::clone(&self.0);
        Arc::new(move || Timestamp::from_unix(seconds.load(Ordering::SeqCst)))
    }
}

/// What a command printed and how it ended.
pub(super) struct Ran {
    pub(super) code: ExitCode,
    pub(super) out: String,
    pub(super) err: String,
}

impl Ran {
    pub(super) fn ok(self) -> String {
        assert_eq!(
            format!("{:?}", self.code),
            format!("{:?}", ExitCode::SUCCESS),
            "{}{}",
            self.out,
            self.err
        );
        self.out
    }

    /// The two lines of an error: what happened, what to do.
    pub(super) fn refused(self) -> (String, String) {
        assert_ne!(format!("{:?}", self.code), format!("{:?}", ExitCode::SUCCESS), "{}", self.out);
        let lines: Vec<&str> = self.err.lines().collect();
        let [what, hint] = lines[..] else { panic!("an error has two lines: {:?}", self.err) };
        let what = what.strip_prefix("error: ").expect(what);
        (what.into(), hint.strip_prefix("hint: ").expect(hint).into())
    }
}

/// Runs a command of the server in this process.
pub(super) fn command<S: Into<OsString>>(clock: &Clock, args: impl IntoIterator<Item = S>) -> Ran {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let mut io = Io { stdout: &mut out, stderr: &mut err, now: clock.now(), terminal: false };
    let args = std::iter::once("perennial-server".into()).chain(args.into_iter().map(Into::into));
    let code = perennial_server::run(args, &mut io);
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ran { code, out: text(out), err: text(err) }
}

/// A folder with a server's state in it, and the maker who publishes there.
pub(super) struct Kit {
    pub(super) folder: TempDir,
    pub(super) clock: Clock,
    pub(super) repository: Repository,
    /// Content of the targets that the maker has published, by path.
    pub(super) contents: BTreeMap<String, Vec<u8>>,
}

impl Kit {
    /// A server that trusts the maker's first root; nothing is published yet. It is day 1.
    pub(super) fn new() -> Self {
        let (folder, clock) = (tempfile::tempdir().unwrap(), Clock::at(day(1)));
        let mut kit = Self { folder, clock, repository: Repository::new(), contents: BTreeMap::new() };
        kit.command(["init", "--state", kit.state().to_str().unwrap()]).ok();
        let text = std::fs::read(kit.state().join("keys/timestamp.pub.json")).unwrap();
        let key = KeyFile::parse(&text).unwrap();
        kit.repository.root.keys.insert(key.keyid.clone(), key.key);
        kit.repository.top(TopRole::Timestamp).keyids.push(key.keyid);
        kit.repository.publish_root();
        kit.repository.delegate("targets", "cam", &["cam/*"], true);
        let root = kit.path("1.root.json");
        std::fs::write(&root, kit.repository.first_root()).unwrap();
        kit.command(["init", "--state", kit.state().to_str().unwrap(), "--root", root.to_str().unwrap()])
            .ok();
        kit
    }

    /// The same at the time that it is now: for tests that run processes, which ask the system for the time.
    pub(super) fn live() -> Self {
        let now = (system_clock())();
        let mut kit = Self::new();
        kit.clock.set(now);
        kit.repository.root.common.expires = now.plus_days(365);
        kit.repository.publish_root();
        for role in kit.repository.roles.values_mut() {
            (role.common.expires, role.common.signed_at) = (now.plus_days(30), Some(now));
        }
        kit.repository.snapshot.common.expires = now.plus_days(30);
        kit
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(super) fn state(&self) -> PathBuf {
        self.path("state")
    }

    pub(super) fn command<S: Into<OsString>>(&self, args: impl IntoIterator<Item = S>) -> Ran {
        command(&self.clock, args)
    }

    /// Makes the product's role vouch for `content` at `path`, from the next publication on.
    pub(super) fn target(&mut self, path: &str, content: impl AsRef<[u8]>) {
        self.repository.add_target("cam", path, content.as_ref());
        self.contents.insert(path.into(), content.as_ref().to_vec());
    }

    /// The product's role vouches for `path` no longer.
    pub(super) fn remove(&mut self, path: &str) {
        self.repository.role("cam").targets.remove(path);
        self.contents.remove(path);
    }

    /// The files of a bundle with everything published.
    pub(super) fn files(&self) -> Vec<(String, Vec<u8>)> {
        let metadata = self.repository.files.iter().filter(|(name, _)| *name != "timestamp.json");
        let metadata = metadata.map(|(name, bytes)| (format!("metadata/{name}"), bytes.clone()));
        let targets = self.contents.iter().map(|(path, bytes)| {
            let path: TargetPath = path.parse().unwrap();
            (format!("targets/{}", path.consistent(&Ring.sha256(bytes).to_string())), bytes.clone())
        });
        metadata.chain(targets).collect()
    }

    /// Publishes the next version, and writes it as a bundle.
    pub(super) fn publish(&mut self, name: &str) -> PathBuf {
        self.repository.publish();
        self.write(name, &self.files())
    }

    /// Writes a bundle of these files.
    pub(super) fn write(&self, name: &str, files: &[(String, Vec<u8>)]) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, bundle(files)).unwrap();
        path
    }

    /// Takes a bundle in, by command.
    pub(super) fn ingest(&self, bundle: &Path) -> Ran {
        self.command(["ingest", bundle.to_str().unwrap(), "--state", self.state().to_str().unwrap()])
    }

    /// The admin token that `init` made.
    pub(super) fn token(&self) -> String {
        std::fs::read_to_string(self.state().join("admin.token")).unwrap().trim().to_owned()
    }

    /// Sends a bundle to the running server with that token.
    pub(super) fn push(&self, server: &Running, bundle: &Path) -> Ran {
        self.push_with(server, bundle, &self.state().join("admin.token"))
    }

    /// The same with the token in another file.
    pub(super) fn push_with(&self, server: &Running, bundle: &Path, token: &Path) -> Ran {
        let url = format!("http://{}", server.admin.unwrap());
        let [bundle, token] = [bundle, token].map(|path| path.to_str().unwrap());
        self.command(["push", bundle, "--to", &url, "--token-file", token])
    }

    /// Everything in the state folder that a refused command must not change: names and content.
    pub(super) fn everything(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut found = BTreeMap::new();
        for folder in ["blobs", "keys", "."] {
            for entry in std::fs::read_dir(self.state().join(folder)).unwrap() {
                let path = entry.unwrap().path();
                if path.is_file() {
                    found.insert(path.clone(), std::fs::read(&path).unwrap());
                } else if !path.ends_with("store") {
                    found.insert(path, Vec::new());
                }
            }
        }
        found
    }

    /// A configuration on free ports of loopback, with `more` TOML.
    pub(super) fn config(&self, more: &str) -> Config {
        let state = self.state();
        let text = format!("state = {:?}\n{more}", state.to_str().unwrap());
        let mut config = Config::parse("test.toml", &text).unwrap();
        if config.serve.plain == Config::with_defaults(state).serve.plain {
            config.serve.plain = vec!["127.0.0.1:0".parse().unwrap()];
        }
        if config.admin.listen == "127.0.0.1:7870" {
            config.admin.listen = "127.0.0.1:0".into();
        }
        config.serve.cores = 1;
        config
    }

    pub(super) fn serve(&self, more: &str) -> Running {
        start(&self.config(more), self.clock.now()).unwrap()
    }
}

/// A device's view of an exported folder.
pub(super) struct Folder(pub(super) PathBuf);

impl MetadataSource for Folder {
    fn fetch(&mut self, request: &Request) -> Result<Option<Vec<u8>>, FetchError> {
        Ok(std::fs::read(self.0.join("metadata").join(&request.path)).ok())
    }
}

/// The bytes of a bundle.
pub(super) fn bundle(files: &[(String, Vec<u8>)]) -> Vec<u8> {
    let listed = files.iter().map(|(path, bytes)| BundleFile {
        path: path.parse().unwrap(),
        length: bytes.len() as u64,
        sha256: Ring.sha256(bytes),
    });
    let mut out = BundleHeader::new(day(1), listed.collect()).encode().unwrap();
    files.iter().for_each(|(_, bytes)| out.extend_from_slice(bytes));
    out
}

/// An answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: BTreeMap<String, String>,
    pub(super) body: Vec<u8>,
}

impl Answer {
    pub(super) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }
}

/// A connection that speaks HTTP/1.1 by hand.
pub(super) struct Wire<S = TcpStream>(pub(super) S);

impl Wire {
    pub(super) fn to(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        Self(stream)
    }
}

impl<S: Read + Write> Wire<S> {
    pub(super) fn send(&mut self, text: &str) {
        self.0.write_all(text.as_bytes()).unwrap();
    }

    /// Sends a request without a body and reads the answer.
    pub(super) fn ask(&mut self, method: &str, path: &str, fields: &[(&str, &str)]) -> Answer {
        let fields: String = fields.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        self.send(&format!("{method} {path} HTTP/1.1\r\nHost: test\r\n{fields}\r\n"));
        self.read(method == "HEAD")
    }

    /// Reads one answer.
    pub(super) fn read(&mut self, head: bool) -> Answer {
        let mut text = Vec::new();
        while !text.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            assert_eq!(
                self.0.read(&mut byte).unwrap(),
                1,
                "the connection ended: {:?}",
                text.escape_ascii().to_string()
            );
            text.push(byte[0]);
        }
        let text = String::from_utf8(text).unwrap();
        let mut lines = text.trim_end().split("\r\n");
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let field =
            |line: &str| line.split_once(": ").map(|(name, value)| (name.to_lowercase(), value.to_owned()));
        let headers: BTreeMap<_, _> = lines.filter_map(field).collect();
        let length = headers.get("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
        let mut body = vec![0; if head || status == 304 { 0 } else { length }];
        self.0.read_exact(&mut body).unwrap();
        Answer { status, headers, body }
    }

    /// Whether the other side has ended the connection, once it has had the time to.
    pub(super) fn is_over(&mut self) -> bool {
        let mut rest = Vec::new();
        match self.0.read_to_end(&mut rest) {
            Ok(_) => true,
            Err(error) => error.kind() == std::io::ErrorKind::ConnectionReset,
        }
    }
}

/// One request on a connection of its own.
pub(super) fn get(address: SocketAddr, path: &str) -> Answer {
    Wire::to(address).ask("GET", path, &[])
}

/// One request to the admin listener, with a token or without.
pub(super) fn ask_admin(server: &Running, method: &str, path: &str, token: Option<&str>) -> Answer {
    let field = token.map(|token| format!("Bearer {token}"));
    let fields: Vec<(&str, &str)> = field.iter().map(|field| ("Authorization", field.as_str())).collect();
    Wire::to(server.admin.unwrap()).ask(method, path, &fields)
}

/// Waits until something holds, for as long as a busy machine may take.
pub(super) fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..1000 {
        if holds() {
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!("never: {what}");
}
