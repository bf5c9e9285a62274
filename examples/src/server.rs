//! The story's server: a process of its own, on loopback, that stops with the story.

use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, TcpListener};
use std::process::{Child, Stdio};

use crate::certificate::Certificates;
use crate::stage::{Result, Stage, StoryError};

/// A server that runs.
#[derive(Debug)]
pub struct Server {
    child: Child,
}

/// The ports of the story's server.
#[derive(Debug, Clone, Copy)]
pub struct Ports {
    /// For devices and readers, over TLS.
    pub tls: u16,
    /// For those who publish.
    pub admin: u16,
}

impl Ports {
    /// Two ports that are free now.
    ///
    /// # Errors
    /// [`StoryError`] where the system has none.
    pub fn free() -> Result<Self> {
        let one = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let two = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        Ok(Self { tls: one.local_addr()?.port(), admin: two.local_addr()?.port() })
    }
}

/// The server's configuration.
pub fn configuration(ports: Ports, certificates: &Certificates) -> String {
    let Ports { tls, admin } = ports;
    let (certificate, key) = (certificates.certificate.display(), certificates.key.display());
    format!(
        "# `perennial-server check-config --reference` prints every key with its meaning.\n\
         state = \"server\"\n\n\
         [serve]\nplain = []\ntls = [\"127.0.0.1:{tls}\"]\ncores = 1\n\n\
         [tls]\ncertificate = \"{certificate}\"\nkey = \"{key}\"\n\n\
         [admin]\nlisten = \"127.0.0.1:{admin}\"\n\n\
         [log]\nlevel = \"warn\"\n"
    )
}

impl Server {
    /// Starts it, and waits until it says where it listens.
    ///
    /// # Errors
    /// [`StoryError`] where it ends at once, as with a port that is taken.
    pub fn start(stage: &Stage, command: &str) -> Result<Self> {
        stage.say(&format!("$ {command} &"));
        let mut child = stage.tool(command)?.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
        let mut line = String::new();
        if let Some(stdout) = child.stdout.as_mut() {
            BufReader::new(stdout).read_line(&mut line)?;
        }
        if line.is_empty() {
            let status = child.wait()?;
            return Err(StoryError::new(
                format!("the server ended at once ({status})"),
                "its two lines above say why; run the quickstart again in another folder with --dir",
            ));
        }
        stage.say(&format!("  {}", line.trim_end()));
        Ok(Self { child })
    }

    /// Waits until somebody stops it with Ctrl-C.
    ///
    /// # Errors
    /// Any error of waiting.
    pub fn wait(mut self) -> Result {
        self.child.wait()?;
        Ok(())
    }

    /// Asks it to end, and waits.
    fn stop(&mut self) {
        if let Ok(pid) = i32::try_from(self.child.id()) {
            let _ = rustix::process::Pid::from_raw(pid)
                .map(|pid| rustix::process::kill_process(pid, rustix::process::Signal::TERM));
        }
        let _ = self.child.wait();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if !matches!(self.child.try_wait(), Ok(Some(_))) {
            self.stop();
        }
    }
}
