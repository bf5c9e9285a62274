//! A desk: a folder of one's own, keys, a clock that tests set, and the signer's command run in-process.

use std::cell::Cell;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use perennial_schemas::Timestamp;
use perennial_signer::Io;

/// 2026-11-21T09:00:00Z
const NOW: i64 = 1_795_251_600;
pub(crate) const DAY: i64 = 86_400;

/// RFC 8410's version 1 of an ed25519 key: everything before its 32 bytes. Plain keys, since what a passphrase costs is
/// paid once, in `transcripts`.
const PREFIX: [u8; 16] =
    [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];

/// Somebody's place of work.
pub(crate) struct Desk {
    folder: tempfile::TempDir,
    now: Cell<i64>,
}

/// What a command did.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) ok: bool,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Desk {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), now: Cell::new(NOW) }
    }

    /// A desk with the private and public halves of these people's keys, each made of its name: the same every time.
    pub(crate) fn with_keys(people: &[&str]) -> Self {
        let desk = Self::new();
        people.iter().for_each(|person| desk.add_key(person));
        desk
    }

    pub(crate) fn add_key(&self, person: &str) {
        let mut seed = [0; 32];
        seed[..person.len()].copy_from_slice(person.as_bytes());
        let path = self.path(&format!("{person}.key"));
        fs::write(&path, [PREFIX.as_slice(), &seed].concat()).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        let pair = ring::signature::Ed25519KeyPair::from_seed_unchecked(&seed).unwrap();
        let public = ring::signature::KeyPair::public_key(&pair).as_ref().try_into().unwrap();
        let key = perennial_schemas::tuf::Key::ed25519(&public);
        perennial_signer::keys::write_public(&self.path(&format!("{person}.pub.json")), person, key).unwrap();
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::create_dir_all(self.path(name).parent().unwrap()).unwrap();
        fs::write(self.path(name), text).unwrap();
    }

    /// What its clock says, in Unix seconds.
    pub(crate) fn now(&self) -> i64 {
        self.now.get()
    }

    /// Lets nobody but its owner read a file.
    pub(crate) fn protect(&self, name: &str) {
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(0o600)).unwrap();
    }

    pub(crate) fn wait_days(&self, days: i64) {
        self.wait(days * DAY);
    }

    pub(crate) fn wait(&self, seconds: i64) {
        self.now.set(self.now.get() + seconds);
    }

    /// Runs `perennial-signer --repo <desk>/repo …`; an argument that names a file of the desk stands for its path.
    pub(crate) fn run(&self, line: &str) -> Ran {
        let words = split(line);
        let place = |name: &str| -> String {
            let path = self.path(name);
            let file = !name.starts_with('-') && name.contains('.') && path.exists();
            if file { path.display().to_string() } else { name.to_owned() }
        };
        let word =
            |word: String| -> OsString { word.split(',').map(place).collect::<Vec<_>>().join(",").into() };
        let repo = ["perennial-signer".into(), "--repo".into(), self.path("repo").into_os_string()];
        let nobody = |_: &str| Err(io::Error::other("there is no terminal"));
        self.call(repo.into_iter().chain(words.into_iter().map(word)), Box::new(nobody))
    }

    /// What a command says that must fail where a person types these passphrases.
    pub(crate) fn refused_typing(&self, line: &str, typed: &[&str]) -> String {
        let mut typed = typed.iter();
        let ask = move |_: &str| {
            typed.next().map(|text| (*text).to_owned().into()).ok_or_else(|| io::Error::other("that was all"))
        };
        let args = ["perennial-signer".into()].into_iter().chain(split(line).into_iter().map(OsString::from));
        let ran = self.call(args, Box::new(ask));
        assert!(!ran.ok, "{line}\n{}", ran.stdout);
        ran.stderr
    }

    fn call(&self, args: impl IntoIterator<Item = OsString>, ask: perennial_signer::cli::Ask<'_>) -> Ran {
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        let status = perennial_signer::run(
            args,
            &mut Io {
                stdin: &mut io::empty(),
                stdout: &mut stdout,
                stderr: &mut stderr,
                now: Box::new(|| Timestamp::from_unix(self.now.get())),
                terminal: false,
                ask,
            },
        );
        let text =
            |bytes| String::from_utf8(bytes).unwrap().replace(self.folder.path().to_str().unwrap(), "DESK");
        // An ExitCode can't be compared; its text can.
        let ok = format!("{status:?}") == format!("{:?}", std::process::ExitCode::SUCCESS);
        Ran { ok, stdout: text(stdout), stderr: text(stderr) }
    }

    /// Runs a command that must succeed; its report.
    pub(crate) fn ok(&self, line: &str) -> String {
        let ran = self.run(line);
        assert!(ran.ok, "{line}\n{}{}", ran.stdout, ran.stderr);
        ran.stdout
    }

    /// Runs a command that must fail with two lines, and change nothing; what they say.
    pub(crate) fn refused(&self, line: &str) -> String {
        let before = self.repository();
        let ran = self.run(line);
        assert!(!ran.ok, "{line}\n{}", ran.stdout);
        let lines: Vec<&str> = ran.stderr.lines().collect();
        assert_eq!(lines.len(), 2, "{}", ran.stderr);
        assert!(lines[0].starts_with("error: ") && lines[1].starts_with("hint: "), "{}", ran.stderr);
        assert_eq!(before, self.repository(), "{line}: nothing may change on disk");
        ran.stderr
    }

    /// Every file of the repository, with its bytes.
    pub(crate) fn repository(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let mut files = Vec::new();
        collect(&self.path("repo"), &mut files);
        files.sort();
        files
    }

    /// Carries the whole repository to another desk, as a USB stick would: files that are there stay or are replaced,
    /// none is removed.
    pub(crate) fn carry_to(&self, other: &Desk) {
        copy(&self.path("repo"), &other.path("repo"));
    }

    /// As [`Desk::carry_to`], where the repository here is all that counts.
    pub(crate) fn mirror_to(&self, other: &Desk) {
        let _ = fs::remove_dir_all(other.path("repo"));
        self.carry_to(other);
    }

    /// The folder of the proposal whose name has this in it.
    pub(crate) fn proposal_named(&self, part: &str) -> PathBuf {
        let mut all = fs::read_dir(self.path("repo/proposals")).unwrap().map(|e| e.unwrap().path());
        all.find(|path| path.to_str().unwrap().contains(part)).unwrap()
    }

    /// The folder of the only open proposal.
    pub(crate) fn proposal(&self) -> PathBuf {
        let mut all: Vec<_> =
            fs::read_dir(self.path("repo/proposals")).unwrap().map(|e| e.unwrap().path()).collect();
        assert_eq!(all.len(), 1, "{all:?}");
        all.remove(0)
    }
}

fn split(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    for (i, part) in line.split('"').enumerate() {
        if i % 2 == 1 {
            words.push(part.to_owned());
        } else {
            words.extend(part.split_whitespace().map(str::to_owned));
        }
    }
    words
}

fn collect(folder: &Path, files: &mut Vec<(PathBuf, Vec<u8>)>) {
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else {
            files.push((path.clone(), fs::read(&path).unwrap()));
        }
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let place = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &place);
        } else {
            fs::copy(&path, &place).unwrap();
        }
    }
}

pub(crate) const CONTACT: &str = "contacts = [\"mailto:security@example.com\"]\n\
                           acknowledgement_days = 3\n\
                           status_update_days = 14\n";

/// A repository with a root of 2 of 3 (alice, bob, carol), a snapshot key (dora) and a timestamp key (tess), made with
/// everybody at one desk, and the product thermostat of the team erin, frank (2 of 2).
pub(crate) fn established() -> Desk {
    static MADE: std::sync::OnceLock<Vec<(PathBuf, Vec<u8>)>> = std::sync::OnceLock::new();
    let desk = Desk::with_keys(&["alice", "bob", "carol", "dora", "tess", "erin", "frank"]);
    desk.write("contact.toml", CONTACT);
    let files = MADE.get_or_init(|| {
        establish(&desk);
        let inside = |(path, bytes): (PathBuf, Vec<u8>)| {
            (path.strip_prefix(desk.path("repo")).unwrap().to_owned(), bytes)
        };
        desk.repository().into_iter().map(inside).collect()
    });
    for (path, bytes) in files {
        let path = desk.path("repo").join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    desk
}

fn establish(desk: &Desk) {
    desk.ok("repository init --root-key alice.pub.json --root-key bob.pub.json --root-key carol.pub.json \
         --root-threshold 2 --snapshot-key dora.pub.json --timestamp-key tess.pub.json");
    publish(desk, &["alice", "bob", "dora", "tess"]);
    desk.ok("product add thermostat --support-until 2031-12 --reason \"As printed on the box.\" \
         --contact contact.toml --key erin.pub.json --key frank.pub.json --threshold 2");
    publish(desk, &["alice", "carol", "erin", "frank", "dora", "tess"]);
}

/// Has these people sign the only open proposal, in this order, and publishes it.
pub(crate) fn publish(desk: &Desk, people: &[&str]) {
    for person in people {
        desk.ok(&format!("sign --key {person}.key"));
    }
    desk.ok("publish");
}
