//! The product's own programs: before and after an installation, the health check, the restart.
//!
//! Each runs without a shell, in a process group of its own, with nothing on its standard input, for a limited time,
//! and with `PATH` and these variables alone:
//!
//! | variable | holds |
//! | --- | --- |
//! | `PERENNIAL_HOOK` | `pre-install`, `post-install`, `health` or `reboot` |
//! | `PERENNIAL_PRODUCT`, `PERENNIAL_HARDWARE` | what the device is |
//! | `PERENNIAL_SLOT`, `PERENNIAL_SLOT_PATH` | `A` or `B`, and its file: the slot that is written, or for `health` the one that was booted |
//! | `PERENNIAL_VERSION`, `PERENNIAL_MANIFEST` | the release that is installed and its manifest's SHA-256 (installation hooks) |
//!
//! An exit status of 0 is a yes; for `health` 75 is "not yet" (`EX_TEMPFAIL`); everything else, and running out of
//! time, is a no. The last line of its output goes into the error.

#![expect(
    clippy::disallowed_methods,
    reason = "this module is the adapter that runs programs, and waits for them"
)]

use std::io::{self, Read};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use perennial_device_core::port::{Health, HookEvent, Hooks, PortError, Reboot, Slot, Verdict};
use perennial_schemas::report::FailureCode;

use crate::boot::Booted;

/// Bytes of a program's output of which the last line is told.
const OUTPUT: u64 = 64 * 1024;
/// Between two looks at a program that runs.
const LOOK: Duration = Duration::from_millis(20);
/// After a program's end, for what it said.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// `EX_TEMPFAIL` of sysexits.h: not yet.
const NOT_YET: i32 = 75;

/// A program with its arguments, and how long it may take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    /// The program, then its arguments.
    pub command: Vec<String>,
    /// How long it may take.
    pub limit: Duration,
}

/// The product's programs; one that isn't there says yes.
#[derive(Debug, Clone)]
pub struct ExecHooks {
    /// Before anything is written.
    pub pre_install: Option<Program>,
    /// After the slot was written and read back.
    pub post_install: Option<Program>,
    /// Whether the release that was booted works.
    pub health: Option<Program>,
    /// Restarts the device.
    pub reboot: Option<Program>,
    /// Variables that every program gets.
    pub environment: Vec<(String, String)>,
    /// Where the slots are.
    pub slots: [PathBuf; 2],
    /// Which slot was booted.
    pub booted: Booted,
}

impl ExecHooks {
    fn run(
        &self,
        name: &str,
        program: &Program,
        more: &[(&str, String)],
    ) -> Result<(ExitStatus, String), PortError> {
        let failed = |detail: String| {
            let shown = program.command.join(" ");
            PortError::new(FailureCode::Hook, format!("the {name} hook ({shown})"), detail)
        };
        let mut words = program.command.iter();
        let first = words.next().ok_or_else(|| failed("it names no program".into()))?;
        let mut command = Command::new(first);
        command.args(words).env_clear().env("PERENNIAL_HOOK", name);
        command
            .env("PATH", std::env::var_os("PATH").unwrap_or_else(|| "/usr/sbin:/usr/bin:/sbin:/bin".into()));
        command.envs(self.environment.iter().map(|(key, value)| (key, value)));
        command.envs(more.iter().map(|(key, value)| (key, value)));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        let child = command.spawn().map_err(|error| failed(error.to_string()))?;
        wait(child, program.limit).map_err(|error| failed(error.to_string()))
    }

    fn slot(&self, slot: Slot) -> [(&'static str, String); 2] {
        let path = match slot {
            Slot::A => &self.slots[0],
            Slot::B => &self.slots[1],
        };
        [("PERENNIAL_SLOT", slot.to_string()), ("PERENNIAL_SLOT_PATH", path.display().to_string())]
    }

    fn install(&self, name: &str, program: Option<&Program>, event: &HookEvent<'_>) -> Result<(), PortError> {
        let Some(program) = program else { return Ok(()) };
        let mut more = self.slot(event.slot).to_vec();
        more.push(("PERENNIAL_VERSION", event.version.to_string()));
        more.push(("PERENNIAL_MANIFEST", event.manifest.to_string()));
        let (status, last) = self.run(name, program, &more)?;
        if status.success() {
            return Ok(());
        }
        Err(PortError::new(FailureCode::Hook, format!("the {name} hook"), said(status, &last)))
    }
}

impl Hooks for ExecHooks {
    fn before_install(&mut self, event: &HookEvent<'_>) -> Result<(), PortError> {
        self.install("pre-install", self.pre_install.as_ref(), event)
    }

    fn after_install(&mut self, event: &HookEvent<'_>) -> Result<(), PortError> {
        self.install("post-install", self.post_install.as_ref(), event)
    }
}

impl Health for ExecHooks {
    fn check(&mut self) -> Result<Verdict, PortError> {
        let Some(program) = &self.health else { return Ok(Verdict::Healthy) };
        let slot = self.slot(self.booted.slot()?);
        Ok(match self.run("health", program, &slot) {
            Ok((status, _)) if status.success() => Verdict::Healthy,
            Ok((status, _)) if status.code() == Some(NOT_YET) => Verdict::NotYet,
            Ok((status, last)) => Verdict::Unhealthy(said(status, &last)),
            // A check that isn't there or never ends is a release that doesn't work.
            Err(error) => Verdict::Unhealthy(error.detail),
        })
    }
}

impl Reboot for ExecHooks {
    fn reboot(&mut self) -> Result<(), PortError> {
        let Some(program) = &self.reboot else {
            return Err(PortError::new(FailureCode::Hook, "restarting", "no reboot command is configured"));
        };
        let (status, last) = self.run("reboot", program, &[])?;
        if status.success() {
            return Ok(());
        }
        Err(PortError::new(FailureCode::Hook, "restarting", said(status, &last)))
    }
}

/// Waits for the end of a program, and ends it with everything that it started when its time is up.
fn wait(mut child: Child, limit: Duration) -> io::Result<(ExitStatus, String)> {
    let (send, lines) = mpsc::channel();
    read(child.stdout.take(), send.clone(), 0);
    read(child.stderr.take(), send, 1);
    let group = rustix::process::Pid::from_child(&child);
    let started = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break Some(status);
        }
        if started.elapsed() >= limit {
            break None;
        }
        std::thread::sleep(LOOK);
    };
    // What it left running in its group would hold the pipes open, and has outlived its purpose. Where nothing is
    // left, nothing is killed.
    let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
    let Some(status) = status else {
        child.wait()?;
        return Err(io::Error::new(
            io::ErrorKind::TimedOut,
            format!("it did not end within {} s", limit.as_secs()),
        ));
    };
    // A program that left its group keeps the pipes open as long as it likes: it is not waited for.
    let mut told = [String::new(), String::new()];
    while let Ok((pipe, line)) = lines.recv_timeout(LAST_WORDS) {
        told[pipe] = line;
    }
    let [out, err] = told;
    Ok((status, if err.is_empty() { out } else { err }))
}

/// Reads a pipe in a thread of its own, which ends with the pipe.
fn read(pipe: Option<impl Read + Send + 'static>, send: mpsc::Sender<(usize, String)>, number: usize) {
    let Some(pipe) = pipe else { return };
    // Whoever has stopped listening needs no answer.
    std::thread::spawn(move || drop(send.send((number, tail(pipe)))));
}

/// The last line, at most 200 characters of it, without control characters.
fn tail(mut pipe: impl Read) -> String {
    let mut text = Vec::new();
    // What can't be read is not told; the exit status counts. What is too much is read and dropped.
    let _ = pipe.by_ref().take(OUTPUT).read_to_end(&mut text);
    let _ = io::copy(&mut pipe, &mut io::sink());
    let text = String::from_utf8_lossy(&text);
    let line = text.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or("");
    line.chars().filter(|c| !c.is_control()).take(200).collect()
}

fn said(status: ExitStatus, last: &str) -> String {
    let how = match status.code() {
        Some(code) => format!("it ended with status {code}"),
        None => "it was killed".into(),
    };
    if last.is_empty() { how } else { format!("{how}: {last}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use perennial_schemas::Sha256Digest;

    fn shell(script: &str) -> Option<Program> {
        let command = ["/bin/sh", "-c", script].map(str::to_owned).to_vec();
        Some(Program { command, limit: Duration::from_secs(20) })
    }

    fn hooks(folder: &tempfile::TempDir) -> ExecHooks {
        let booted = Booted::File(folder.path().join("booted"));
        booted.note(Slot::A).unwrap();
        ExecHooks {
            pre_install: None,
            post_install: None,
            health: None,
            reboot: None,
            environment: vec![("PERENNIAL_PRODUCT".into(), "thermostat".into())],
            slots: [folder.path().join("a"), folder.path().join("b")],
            booted,
        }
    }

    fn event_of<T>(run: impl FnOnce(&HookEvent<'_>) -> T) -> T {
        let (version, manifest) = ("2.0.0".parse().unwrap(), Sha256Digest([1; 32]));
        run(&HookEvent { version: &version, manifest: &manifest, slot: Slot::B })
    }

    #[test]
    fn hooks_are_told_what_happens() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("out");
        let script = format!("env | grep ^PERENNIAL_ | sort > {}", out.display());
        let mut hooks = ExecHooks { pre_install: shell(&script), ..hooks(&folder) };
        event_of(|event| hooks.before_install(event)).unwrap();
        let told = std::fs::read_to_string(out).unwrap();
        let lines: Vec<&str> = told.lines().collect();
        let path = format!("PERENNIAL_SLOT_PATH={}", folder.path().join("b").display());
        let manifest = format!("PERENNIAL_MANIFEST={}", "01".repeat(32));
        assert_eq!(
            lines,
            [
                "PERENNIAL_HOOK=pre-install",
                &manifest,
                "PERENNIAL_PRODUCT=thermostat",
                "PERENNIAL_SLOT=B",
                &path,
                "PERENNIAL_VERSION=2.0.0"
            ]
        );
        event_of(|event| hooks.after_install(event)).unwrap();
    }

    #[test]
    fn a_no_comes_with_the_last_line() {
        let folder = tempfile::tempdir().unwrap();
        let mut hooks = ExecHooks {
            post_install: shell("echo first; echo the battery is low >&2; exit 3"),
            ..hooks(&folder)
        };
        let error = event_of(|event| hooks.after_install(event)).unwrap_err();
        assert_eq!(
            (error.code, error.detail.as_str()),
            (FailureCode::Hook, "it ended with status 3: the battery is low")
        );
        hooks.pre_install = Some(Program { command: vec!["/nowhere/at/all".into()], limit: LOOK });
        assert_eq!(event_of(|event| hooks.before_install(event)).unwrap_err().code, FailureCode::Hook);
    }

    #[test]
    fn health_has_three_answers() {
        let folder = tempfile::tempdir().unwrap();
        let mut hooks = hooks(&folder);
        assert_eq!(hooks.check(), Ok(Verdict::Healthy));
        hooks.health = shell("test $PERENNIAL_SLOT = A && exit 75");
        assert_eq!(hooks.check(), Ok(Verdict::NotYet));
        hooks.health = shell("exit 1");
        assert_eq!(hooks.check(), Ok(Verdict::Unhealthy("it ended with status 1".into())));
        hooks.health = shell("kill -9 $$");
        assert_eq!(hooks.check(), Ok(Verdict::Unhealthy("it was killed".into())));
    }

    #[test]
    fn a_program_without_end_is_ended_with_its_children() {
        let folder = tempfile::tempdir().unwrap();
        let mut hooks = hooks(&folder);
        let limit = Duration::from_millis(100);
        hooks.health = shell("sleep 3600 & sleep 3600").map(|program| Program { limit, ..program });
        let Ok(Verdict::Unhealthy(why)) = hooks.check() else { panic!() };
        assert_eq!(why, "it did not end within 0 s");
    }

    #[test]
    fn a_program_that_leaves_its_group_is_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let mut hooks = hooks(&folder);
        let ended = folder.path().join("ended");
        // Far longer than any wait for it; the file says that it came to its own end.
        let script = format!("setsid sh -c 'sleep 20; touch {}' & echo fine; exit 0", ended.display());
        hooks.health = shell(&script);
        assert_eq!(hooks.check(), Ok(Verdict::Healthy));
        assert!(!ended.exists());
    }

    #[test]
    fn output_without_end_does_not_fill_memory_or_hang() {
        let folder = tempfile::tempdir().unwrap();
        let mut hooks = hooks(&folder);
        hooks.health = shell("head -c 10000000 /dev/zero; exit 1");
        assert!(matches!(hooks.check(), Ok(Verdict::Unhealthy(_))));
    }
}
