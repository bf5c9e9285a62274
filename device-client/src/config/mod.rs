//! The device's configuration, `device.toml`: what is asked, where things are kept, which programs run.
//!
//! It decides what a configuration may say: unknown keys are refused, so that a misspelt one is noticed on the bench and
//! not in the field. It never looks at what the paths name.

mod quiet;
mod template;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use perennial_device_core::quiet::{NotQuiet, QuietHours};
use perennial_schemas::fleet::AttributeName;
use perennial_schemas::ident::{ChannelName, CohortName, DeviceId, Label};
use perennial_schemas::limits::{ATTRIBUTE_LENGTH, ATTRIBUTES, LABELS};
use perennial_schemas::{HardwareName, ProductName};
use serde::Deserialize;

use crate::boot::Booted;
use crate::fetch::Place;
use crate::hooks::Program;
use crate::http::{Roots, Scheme, Url};
pub use quiet::QuietWindow;
pub use template::template;

/// Bytes of a configuration.
pub const CONFIG_LENGTH: u64 = 64 * 1024;

/// The most memory that a delta may be given, in MiB: none that the signer makes asks for a tenth of it.
pub const DELTA_MEMORY_MIB: u16 = 1024;

/// A device's configuration. Every key is explained in the file that `init` writes.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The device's own name.
    pub id: DeviceId,
    /// What it is.
    pub product: ProductName,
    /// Its hardware revision.
    pub hardware: HardwareName,
    /// The channel that it follows.
    #[serde(default = "stable")]
    pub channel: ChannelName,
    /// The cohort that it was sold in, as the maker's support record names it; the earliest support date counts without
    /// it.
    #[serde(default)]
    pub cohort: Option<CohortName>,
    /// What marks it for early groups of rollouts, where it has no factory certificate that says so.
    #[serde(default)]
    pub labels: BTreeSet<Label>,
    /// Where updates come from: an address, a folder or a file.
    pub server: String,
    /// A PEM file with the certificates that TLS believes; the system's without it.
    #[serde(default)]
    pub ca: Option<PathBuf>,
    /// The root that the device was born with.
    pub root: PathBuf,
    /// Everything that changes.
    pub state: PathBuf,
    /// What tells a lost state from a new device; outside of `state`.
    pub marker: PathBuf,
    /// What the running image says of itself; a JSON file, perhaps not there.
    #[serde(default)]
    pub image_info: Option<PathBuf>,
    /// A file that always says how the support stands, for the product's own screen.
    #[serde(default)]
    pub support_file: Option<PathBuf>,
    /// How often `run` looks for updates, in seconds.
    #[serde(default = "four_hours")]
    pub check_seconds: u32,
    /// When updates leave this device alone, by local time.
    #[serde(default)]
    pub quiet_hours: Vec<QuietWindow>,
    /// Minutes that local time is ahead of UTC.
    #[serde(default)]
    pub utc_offset_minutes: i16,
    /// Whether payloads are kept on disk while they arrive.
    #[serde(default = "yes")]
    pub staging: bool,
    /// MiB of memory that applying a delta may take; 0: full payloads alone are taken.
    #[serde(default = "sixteen")]
    pub delta_memory_mib: u16,
    /// Where the slots are.
    pub slots: SlotPaths,
    /// The boot loader.
    pub boot: Boot,
    /// The product's programs.
    #[serde(default)]
    pub hooks: HookPrograms,
    /// Where this device reports to, if it does.
    #[serde(default)]
    pub fleet: Option<FleetConfig>,
}

/// The fleet plane.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FleetConfig {
    /// Its address.
    pub server: String,
    /// A PEM file with the certificates that TLS believes there; those of `ca` without it.
    #[serde(default)]
    pub ca: Option<PathBuf>,
    /// The folder of the factory's key and certificate; `STATE/identity` without it.
    #[serde(default)]
    pub factory: Option<PathBuf>,
    /// Whether the owner consents to attributes, as long as the owner hasn't said.
    #[serde(default)]
    pub optional: bool,
    /// What else is told of this device, with consent.
    #[serde(default)]
    pub attributes: BTreeMap<AttributeName, String>,
    /// A JSON file with more of them, which the product writes.
    #[serde(default)]
    pub attributes_file: Option<PathBuf>,
}

/// Where the slots are: regular files or block devices.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SlotPaths {
    /// Slot A.
    pub a: PathBuf,
    /// Slot B.
    pub b: PathBuf,
}

/// The boot loader and its files.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Boot {
    /// The boot control file.
    pub control: PathBuf,
    /// `cmdline`, or a file that holds `A` or `B`.
    pub booted: PathBuf,
    /// The anti-rollback counter's file.
    pub counter: PathBuf,
    /// Boots that a new release gets.
    #[serde(default = "three")]
    pub tries: u8,
    /// The agent plays the boot loader: for trials on a desk.
    #[serde(default)]
    pub simulate: bool,
}

/// The product's programs, each with its arguments.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HookPrograms {
    /// Before anything is written.
    pub pre_install: Vec<String>,
    /// After the slot was written and read back.
    pub post_install: Vec<String>,
    /// Whether the release that was booted works.
    pub health: Vec<String>,
    /// Restarts the device.
    pub reboot: Vec<String>,
    /// How long each may take, in seconds.
    pub limit_seconds: u32,
}

/// Why a text is no configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// It is no TOML, or has a key that is unknown, missing or of another kind.
    #[error("{0}")]
    Toml(String),
    /// No quiet hours.
    #[error("`quiet_hours`: {0}")]
    Quiet(NotQuiet),
    /// A value is out of bounds.
    #[error("`{key}` {rule}")]
    Value {
        /// The key.
        key: &'static str,
        /// What it must be.
        rule: &'static str,
    },
}

impl Default for HookPrograms {
    fn default() -> Self {
        let none = Vec::new;
        let (pre_install, post_install, health, reboot) = (none(), none(), none(), none());
        Self { pre_install, post_install, health, reboot, limit_seconds: 300 }
    }
}

impl Config {
    /// Reads a configuration.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        let config: Self = toml::from_str(text).map_err(|error| ConfigError::Toml(told(text, &error)))?;
        let value =
            |holds: bool, key, rule| if holds { Ok(()) } else { Err(ConfigError::Value { key, rule }) };
        value(
            (60..=30 * 86_400).contains(&config.check_seconds),
            "check_seconds",
            "must be 60 to 2,592,000",
        )?;
        value(config.delta_memory_mib <= DELTA_MEMORY_MIB, "delta_memory_mib", "must be 0 to 1,024")?;
        value((1..=15).contains(&config.boot.tries), "boot.tries", "must be 1 to 15")?;
        let limit = config.hooks.limit_seconds;
        value((1..=86_400).contains(&limit), "hooks.limit_seconds", "must be 1 to 86,400")?;
        value(config.labels.len() <= LABELS, "labels", "must be at most 16")?;
        let windows: Vec<_> = config.quiet_hours.iter().map(|window| window.0).collect();
        if let Err(error) = QuietHours::new(&windows, config.utc_offset_minutes) {
            return Err(ConfigError::Quiet(error));
        }
        value(Place::parse(&config.server).is_ok(), "server", "must be http://…, https://… or a path")?;
        value(!config.marker.starts_with(&config.state), "marker", "must be outside of `state`")?;
        value(config.slots.a != config.slots.b, "slots.b", "must be another one than `slots.a`")?;
        let simulated = !config.boot.simulate || config.boot.booted != Path::new("cmdline");
        value(simulated, "boot.booted", "must be a file where the boot loader is simulated")?;
        if let Some(fleet) = &config.fleet {
            let https = fleet.server.parse::<Url>().is_ok_and(|url| url.scheme() == Scheme::Https);
            value(https, "fleet.server", "must be https://…")?;
            value(fleet.attributes.len() <= ATTRIBUTES, "fleet.attributes", "must be at most 32")?;
            let odd = |text: &String| text.len() > ATTRIBUTE_LENGTH || text.chars().any(char::is_control);
            let good = !fleet.attributes.values().any(odd);
            value(good, "fleet.attributes", "must be of at most 256 bytes each, without control characters")?;
        }
        Ok(config)
    }

    /// The same with another state folder; paths inside the old one move along.
    #[must_use]
    pub fn with_state(mut self, state: &Path) -> Self {
        let old = std::mem::replace(&mut self.state, state.to_owned());
        let Boot { control, booted, counter, .. } = &mut self.boot;
        for path in [&mut self.slots.a, &mut self.slots.b, control, booted, counter] {
            if let Ok(inside) = path.strip_prefix(&old) {
                *path = state.join(inside);
            }
        }
        self
    }

    /// When updates leave this device alone.
    pub fn quiet(&self) -> QuietHours {
        let windows: Vec<_> = self.quiet_hours.iter().map(|window| window.0).collect();
        // Checked when it was read.
        QuietHours::new(&windows, self.utc_offset_minutes).unwrap_or_default()
    }

    /// How the agent learns which slot was booted.
    pub fn booted(&self) -> Booted {
        if self.boot.booted == Path::new("cmdline") {
            Booted::CommandLine("/proc/cmdline".into())
        } else {
            Booted::File(self.boot.booted.clone())
        }
    }

    /// Whom TLS believes.
    pub fn roots(&self) -> Roots {
        self.ca.clone().map_or(Roots::System, Roots::File)
    }
}

impl HookPrograms {
    /// A program, unless it is empty.
    pub fn program(&self, command: &[String]) -> Option<Program> {
        let limit = Duration::from_secs(self.limit_seconds.into());
        (!command.is_empty()).then(|| Program { command: command.to_vec(), limit })
    }
}

/// What toml says, in one line, with the line's number.
fn told(text: &str, error: &toml::de::Error) -> String {
    let line = error.span().map(|span| text[..span.start.min(text.len())].matches('\n').count() + 1);
    match line {
        Some(line) => format!("line {line}: {}", error.message()),
        None => error.message().to_owned(),
    }
}

fn stable() -> ChannelName {
    // The name is valid: a test parses it through the default.
    #[expect(clippy::expect_used, reason = "a constant that a test covers")]
    "stable".parse().expect("a channel name")
}

fn four_hours() -> u32 {
    4 * 3600
}

fn three() -> u8 {
    3
}

fn sixteen() -> u16 {
    16
}

fn yes() -> bool {
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEAST: &str = r#"
id = "d1"
product = "thermostat"
hardware = "revC"
server = "https://updates.example"
root = "/etc/perennial/root.json"
state = "/var/lib/perennial"
marker = "/etc/perennial/device.marker"
slots = { a = "/dev/a", b = "/var/lib/perennial/b" }
boot = { control = "/boot/control", booted = "cmdline", counter = "/var/lib/perennial/counter" }
"#;

    #[test]
    fn the_least_is_enough() {
        let config = Config::parse(LEAST).unwrap();
        assert_eq!(config.channel.as_str(), "stable");
        assert_eq!((config.check_seconds, config.boot.tries, config.staging), (14_400, 3, true));
        assert_eq!(config.delta_memory_mib, 16);
        assert!(matches!(config.booted(), Booted::CommandLine(_)));
    }

    #[test]
    fn misspelt_keys_are_named_with_their_line() {
        let error = Config::parse(&format!("{LEAST}chanel = \"beta\"\n")).unwrap_err().to_string();
        assert!(error.starts_with("line 11: unknown field `chanel`, expected one of"), "{error}");
    }

    #[test]
    fn values_have_bounds() {
        for (from, to) in [
            ("https://updates.example", "ftp://updates.example"),
            ("/etc/perennial/device.marker", "/var/lib/perennial/marker"),
            ("/var/lib/perennial/b\"", "/dev/a\""),
            ("product = \"thermostat\"", "product = \"Thermostat\""),
            ("id = \"d1\"", "id = \"d1\"\ncheck_seconds = 5"),
            ("id = \"d1\"", "id = \"d1\"\nquiet_hours = [\"22-6\"]"),
            ("id = \"d1\"", "id = \"d1\"\nquiet_hours = [\"00:00-12:00\", \"12:00-23:30\"]"),
            ("id = \"d1\"", "id = \"d1\"\nutc_offset_minutes = 841"),
            ("id = \"d1\"", "id = \"d1\"\ndelta_memory_mib = 1025"),
            ("booted = \"cmdline\"", "simulate = true, booted = \"cmdline\""),
            ("booted = \"cmdline\"", "tries = 0, booted = \"cmdline\""),
            ("slots =", "fleet = { server = \"http://fleet.example\" }\nslots ="),
            (
                "slots =",
                "fleet = { server = \"https://fleet.example\", attributes = { A = \"x\" } }\nslots =",
            ),
            (
                "slots =",
                "fleet = { server = \"https://fleet.example\", attributes = { a = \"\\n\" } }\nslots =",
            ),
        ] {
            let text = LEAST.replace(from, to);
            assert_ne!(text, LEAST);
            assert!(Config::parse(&text).is_err(), "{to}");
        }
    }

    #[test]
    fn a_state_that_moves_takes_its_files_along() {
        let config = Config::parse(LEAST).unwrap().with_state(Path::new("/data"));
        assert_eq!(config.slots.b, Path::new("/data/b"));
        assert_eq!(config.slots.a, Path::new("/dev/a"));
        assert_eq!(config.boot.counter, Path::new("/data/counter"));
    }
}
