//! A device in a folder, run in this process: what the agent's tests stand on.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use perennial_device::Io;
use perennial_device::core::port::{Loaded, Record, Store};
use perennial_device::core::support::Floors;
use perennial_device::store::FileStore;
use perennial_schemas::Timestamp;
use perennial_tests::maker::Maker;
use perennial_tests::simulator::day;
use tempfile::TempDir;

/// A device with the simulated boot loader. Its health script says no to images that begin with `BAD`.
pub(crate) struct Device {
    folder: TempDir,
    pub(crate) clock: Timestamp,
}

/// What a command printed and how it ended.
pub(crate) struct Ran {
    pub(crate) code: u8,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Device {
    /// A device that was born with the maker's first root and updates from `server`. It is day 1.
    pub(crate) fn new(maker: &Maker, server: &str) -> Self {
        Self::born_with(maker.repository.first_root(), server)
    }

    /// The same with any root.
    pub(crate) fn born_with(root: &[u8], server: &str) -> Self {
        let device = Self { folder: tempfile::tempdir().unwrap(), clock: day(1) };
        let text = root;
        let root = device.path("factory-root.json");
        std::fs::write(&root, text).unwrap();
        let health = device.path("health");
        std::fs::write(
            &health,
            "#!/bin/sh\ncase $(head -c 3 $PERENNIAL_SLOT_PATH) in BAD) echo it hurts; exit 1;; esac\n",
        )
        .unwrap();
        std::process::Command::new("chmod").arg("+x").arg(&health).status().unwrap();
        let [root, health] = [root, health].map(|path| path.to_str().unwrap().to_owned());
        #[rustfmt::skip]
        device.run(&[
            "init", "--root", &root, "--server", server, "--product", "thermostat", "--hardware", "revC",
            "--id", "d1", "--health", &health, "--simulate-boot",
        ]).ok();
        device
    }

    /// A device that updates from a folder that the maker has written, which is given back.
    pub(crate) fn with_folder(maker: &Maker) -> (Self, PathBuf) {
        let device = Self::new(maker, "/");
        let folder = device.path("repository");
        maker.write(&folder);
        device.serve_from(folder.to_str().unwrap());
        (device, folder)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.path("device.toml")
    }

    /// Changes the place that updates come from.
    pub(crate) fn serve_from(&self, server: &str) {
        self.configure(|text| {
            let lines = text.lines().map(|line| {
                if line.starts_with("server = ") { format!("server = {server:?}") } else { line.into() }
            });
            lines.collect::<Vec<String>>().join("\n")
        });
    }

    pub(crate) fn configure(&self, change: impl FnOnce(String) -> String) {
        let text = std::fs::read_to_string(self.config()).unwrap();
        std::fs::write(self.config(), change(text)).unwrap();
    }

    /// The arguments of a command on this device.
    pub(crate) fn arguments(&self, args: &[&str]) -> Vec<OsString> {
        let (config, state) = (self.config(), self.path("state"));
        let mut all: Vec<OsString> = vec!["--config".into(), config.into(), "--state".into(), state.into()];
        all.extend(args.iter().map(OsString::from));
        all
    }

    /// Runs a command in this process.
    pub(crate) fn run(&self, args: &[&str]) -> Ran {
        run(std::iter::once("perennial-device".into()).chain(self.arguments(args)), self.clock)
    }

    /// The slot's file.
    pub(crate) fn slot(&self, slot: &str) -> Vec<u8> {
        std::fs::read(self.path(&format!("state/slots/{slot}.img"))).unwrap_or_default()
    }

    /// What `status --json` says.
    pub(crate) fn status(&self) -> serde_json::Value {
        serde_json::from_str(&self.run(&["status", "--json"]).ok()).unwrap()
    }

    /// The version that runs; empty while nothing is known.
    pub(crate) fn running(&self) -> String {
        self.status()["running"]["version"].as_str().unwrap_or_default().to_owned()
    }

    /// Every file that counts, to compare before and after: what an attack must not change.
    pub(crate) fn durable(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let mut files = Vec::new();
        for name in ["a.img", "b.img"] {
            let path = self.path("state/slots").join(name);
            files.push((path.clone(), std::fs::read(&path).unwrap_or_default()));
        }
        for name in ["boot", "booted", "counter"] {
            let path = self.path("state").join(name);
            files.push((path.clone(), std::fs::read(&path).unwrap_or_default()));
        }
        // What the owner was told beside the floors may change: a reminder, an alarm.
        let mut store = FileStore::read_only(&self.path("state"), &self.path("device.marker"));
        if let Loaded::Found(bytes) = store.load(Record::Floors).unwrap() {
            let floors = Floors::decode(&bytes).unwrap();
            files.push(("floors".into(), format!("{:?}{:?}", floors.withdrawn(), floors.support()).into()));
        }
        files
    }
}

/// Runs a command of the agent in this process.
pub(crate) fn run(args: impl IntoIterator<Item = OsString>, clock: Timestamp) -> Ran {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let code = perennial_device::run(args, &mut Io::new(&mut out, &mut err, move || clock));
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ran { code: number(code), out: text(out), err: text(err) }
}

/// An exit status as a number, which [`ExitCode`] shows in its debugging form alone.
fn number(code: ExitCode) -> u8 {
    let shown = format!("{code:?}");
    shown.chars().filter(char::is_ascii_digit).collect::<String>().parse().unwrap()
}

impl Ran {
    pub(crate) fn ok(self) -> String {
        self.ends(0)
    }

    pub(crate) fn ends(self, code: u8) -> String {
        assert_eq!(self.code, code, "{}{}", self.out, self.err);
        self.out
    }

    /// The two lines of an error with this exit status: what happened, what to do.
    pub(crate) fn refused(self, code: u8) -> (String, String) {
        assert_eq!(self.code, code, "{}{}", self.out, self.err);
        let lines: Vec<&str> = self.err.lines().collect();
        let [what, hint] = lines[..] else { panic!("an error has two lines: {:?}", self.err) };
        let what = what.strip_prefix("error: ").expect(what);
        (what.into(), hint.strip_prefix("hint: ").expect(hint).into())
    }
}
