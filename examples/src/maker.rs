//! The maker of `examples/support/`: its story is played month by month with the real signer and the clock of each day,
//! then taken in by a real server. Every state of support comes out of it, whenever it is built.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use perennial_schemas::{Date, Timestamp};

use crate::stage::{Result, StoryError, split};

/// The maker's files, as they lie in the source tree.
const SOURCES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/support");

/// Roles that last: the story is older than a year. `@PRODUCT@` is what differs for one whose signatures run out.
const REPOSITORY: &str =
    "[expiry_days]\nroot = 3650\ntargets = 3650\nproduct = @PRODUCT@\nsnapshot = 3650\ntimestamp = 7\n";

/// Plays the story in `folder`, which must be empty or absent.
#[derive(Debug)]
pub struct Maker {
    folder: PathBuf,
    today: Timestamp,
}

impl Maker {
    /// Makes keys, repository and everything that the story tells, and takes it into a server's state.
    ///
    /// # Errors
    /// [`StoryError`] at the first command that fails.
    pub fn build(folder: &Path, today: Timestamp) -> Result<Self> {
        fs::create_dir_all(folder)?;
        if fs::read_dir(folder)?.next().is_some() {
            let what = format!("{} holds something already", folder.display());
            return Err(StoryError::new(what, "give another folder with --dir, or remove this one"));
        }
        let maker = Self { folder: fs::canonicalize(folder)?, today };
        maker.lay_out()?;
        maker.begin()?;
        let story = maker.filled("story.txt")?;
        let mut now = today;
        for line in story.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
            match line.strip_prefix("@ ") {
                Some(day) => now = maker.turn_to(day)?,
                None => maker.publish(line, now)?,
            }
        }
        let bundle = maker.path("maker.bundle");
        maker.signer(&format!("bundle {bundle}"), now)?;
        maker.server(&format!("ingest {bundle} --state {}", maker.path("server")), now)?;
        Ok(maker)
    }

    /// Runs a command of `perennial-server` as of today: `serve`, `export-site`, `support audit`.
    ///
    /// # Errors
    /// [`StoryError`] where it fails.
    pub fn run(&self, command: &str) -> Result {
        self.server(command, self.today)
    }

    /// A path in the story's folder.
    pub fn path(&self, name: &str) -> String {
        self.folder.join(name).display().to_string()
    }

    /// The maker's files with their dates filled in, and an image that stands for every product's.
    fn lay_out(&self) -> Result {
        for entry in fs::read_dir(SOURCES)? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            if name.ends_with(".toml") {
                fs::write(self.path(&name), self.filled(&name)?)?;
            }
        }
        fs::write(self.path("image"), "stands for the software of every product\n".repeat(100))?;
        fs::write(self.path("passphrase"), "an example, and nothing else\n")?;
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(self.path("passphrase"), fs::Permissions::from_mode(0o600))?;
        Ok(())
    }

    fn begin(&self) -> Result {
        let began = self.day("-34m")?.start();
        self.server(&format!("init --state {}", self.path("server")), began)?;
        fs::create_dir(self.path("maker"))?;
        self.expire("3650")?;
        let key = self.path("ruth.key");
        self.signer(
            &format!("key new {key} --label Ruth --passphrase-file {}", self.path("passphrase")),
            began,
        )?;
        let (public, theirs) = (self.path("ruth.pub.json"), self.path("server/keys/timestamp.pub.json"));
        self.publish(&format!("repository init --root-key {public} --timestamp-key {theirs}"), began)?;
        let root = self.path("maker/metadata/1.root.json");
        self.server(&format!("init --state {} --root {root}", self.path("server")), began)
    }

    /// `-12m`, or `-2d short` from when on a product's signatures last for a day.
    fn turn_to(&self, day: &str) -> Result<Timestamp> {
        let (day, short) = day.split_once(' ').map_or((day, false), |(day, how)| (day, how == "short"));
        self.expire(if short { "1" } else { "3650" })?;
        Ok(self.day(day)?.start())
    }

    fn expire(&self, product: &str) -> Result {
        Ok(fs::write(self.path("maker/repository.toml"), REPOSITORY.replace("@PRODUCT@", product))?)
    }

    /// Proposes, signs and publishes.
    fn publish(&self, command: &str, now: Timestamp) -> Result {
        self.signer(command, now)?;
        let (key, passphrase) = (self.path("ruth.key"), self.path("passphrase"));
        self.signer(&format!("sign --key {key} --passphrase-file {passphrase}"), now)?;
        self.signer("publish", now)
    }

    fn signer(&self, command: &str, now: Timestamp) -> Result {
        let repository = self.path("maker");
        let mut words = vec!["perennial-signer".to_owned(), "--repo".into(), repository];
        // The story names files as they lie beside it.
        let own = |word: String| match word.strip_prefix("revA=") {
            Some(file) => format!("revA={}", self.path(file)),
            None if word.ends_with(".toml") && !word.contains('/') => self.path(&word),
            None => word,
        };
        words.extend(split(command).into_iter().map(own));
        let (mut stdin, mut stdout, mut stderr) = (io::empty(), Vec::new(), Vec::new());
        let mut io = perennial_signer::Io {
            terminal: false,
            stdin: &mut stdin,
            stdout: &mut stdout,
            stderr: &mut stderr,
            now: Box::new(move || now),
            ask: Box::new(|_| Err(io::Error::other("nobody is there to ask"))),
        };
        let status = perennial_signer::run(words.iter().map(OsString::from), &mut io);
        drop(io);
        succeeded(command, status, &stderr)
    }

    fn server(&self, command: &str, now: Timestamp) -> Result {
        let words = std::iter::once("perennial-server".to_owned()).chain(split(command));
        // What prepares the stage is not part of the play.
        let (mut silence, mut stdout, mut stderr) = (io::sink(), io::stdout(), Vec::new());
        let quiet = command.starts_with("init") || command.starts_with("ingest");
        let stdout: &mut dyn io::Write = if quiet { &mut silence } else { &mut stdout };
        let clock = perennial_server::io::system_clock();
        // A server that serves lives on; every other command is of its day.
        let now: perennial_server::io::Now =
            if command.starts_with("serve") { clock } else { std::sync::Arc::new(move || now) };
        let mut io = perennial_server::io::Io { stdout, stderr: &mut stderr, now, terminal: false };
        let status = perennial_server::run(words.map(OsString::from), &mut io);
        succeeded(command, status, &stderr)
    }

    /// A file with `{-30m}`, `{+7m}` and `{-2d}` as dates.
    fn filled(&self, name: &str) -> Result<String> {
        let text = fs::read_to_string(Path::new(SOURCES).join(name))?;
        let mut filled = String::new();
        let mut rest = text.as_str();
        while let Some(at) = rest.find(['{', '}']) {
            let (before, after) = rest.split_at(at);
            filled.push_str(before);
            match after[1..].split_once('}').filter(|(token, _)| token.starts_with(['+', '-'])) {
                Some((token, behind)) if after.starts_with('{') && token.len() <= 5 => {
                    filled.push_str(&self.day(token)?.to_string());
                    rest = behind;
                }
                _ => {
                    filled.push_str(&after[..1]);
                    rest = &after[1..];
                }
            }
        }
        filled.push_str(rest);
        Ok(filled)
    }

    /// `-30m` is the day 30 months before today, `-2d` two days before.
    fn day(&self, token: &str) -> Result<Date> {
        let odd = || StoryError::new(format!("{token:?} is no day of the story"), "write -30m, +7m or -2d");
        let (count, unit) = token.split_at(token.len().saturating_sub(1));
        let count: i32 = count.parse().map_err(|_| odd())?;
        match unit {
            "m" => Ok(self.today.date().plus_months(count)),
            "d" => Ok(self.today.plus_days(count.into()).date()),
            _ => Err(odd()),
        }
    }
}

fn succeeded(command: &str, status: ExitCode, stderr: &[u8]) -> Result {
    if status == ExitCode::SUCCESS {
        return Ok(());
    }
    let said = String::from_utf8_lossy(stderr);
    Err(StoryError::new(
        format!("`{command}`: {}", said.trim()),
        "the story stands in examples/support/story.txt",
    ))
}
