//! The configuration that `init` writes: every key, with what it means.

use std::path::{Path, PathBuf};

use super::{Config, FleetConfig};

/// The text of `device.toml` for these values, with an explanation of every key.
pub fn template(config: &Config) -> String {
    let Config { id, product, hardware, channel, check_seconds, staging, delta_memory_mib, .. } = config;
    let path = |path: &Path| quoted(&path.display().to_string());
    let optional = |key: &str, value: Option<&Path>, example: &str| match value {
        Some(value) => format!("{key} = {}", path(value)),
        None => format!("#{key} = \"{example}\""),
    };
    let (server, root, state, marker) =
        (quoted(&config.server), path(&config.root), path(&config.state), path(&config.marker));
    let ca = optional("ca", config.ca.as_deref(), "/etc/perennial/ca.pem");
    let image_info = optional("image_info", config.image_info.as_deref(), "/usr/lib/perennial/image.json");
    let cohort = match &config.cohort {
        Some(cohort) => format!("cohort = \"{cohort}\""),
        None => "#cohort = \"made-2026\"".into(),
    };
    let labels: Vec<String> = config.labels.iter().map(|label| quoted(label.as_str())).collect();
    let labels = labels.join(", ");
    let windows: Vec<String> = config.quiet_hours.iter().map(|window| format!("\"{window}\"")).collect();
    let (windows, offset) = (windows.join(", "), config.utc_offset_minutes);
    let support_file =
        optional("support_file", config.support_file.as_deref(), "/run/perennial/support.json");
    let (a, b) = (path(&config.slots.a), path(&config.slots.b));
    let (control, booted) = (path(&config.boot.control), path(&config.boot.booted));
    let (counter, tries, simulate) = (path(&config.boot.counter), config.boot.tries, config.boot.simulate);
    let hooks = &config.hooks;
    let list = |words: &[String]| {
        format!("[{}]", words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(", "))
    };
    let (pre_install, post_install) = (list(&hooks.pre_install), list(&hooks.post_install));
    let (health, reboot, limit) = (list(&hooks.health), list(&hooks.reboot), hooks.limit_seconds);
    let fleet = fleet(config.fleet.as_ref());
    format!(
        r#"# The configuration of perennial-device. Unknown keys are refused.

# This device's own name: 1 to 128 letters, digits and . _ : -
id = "{id}"
# What it is, its hardware revision, and the channel that it follows.
product = "{product}"
hardware = "{hardware}"
channel = "{channel}"
# The cohort that it was sold in, as the maker's support record names it. Without it, or where the record doesn't know
# it, the earliest support date of all units counts.
{cohort}
# What marks this device for the early groups of rollouts; the labels of a factory certificate take their place.
labels = [{labels}]

# Where updates come from: http://…, https://…, a folder with metadata/ and targets/, or a bundle in one file.
# Proxies are taken from HTTP_PROXY, HTTPS_PROXY and NO_PROXY.
server = {server}
# A PEM file with the certificates that TLS believes, in place of the system's.
{ca}

# The root metadata that this device was born with.
root = {root}
# Everything that changes.
state = {state}
# Tells a state that was lost from a device that is new. Keep it where `state` is not: on another partition.
marker = {marker}
# What the running image says of itself: {{"version": "1.0.0", "security_version": 1}}, and in "floors" the versions of the
# metadata (the book says how). Used while nothing else is known: without it a state that is lost can't be recovered
# without danger.
{image_info}
# A JSON file for the product's own screen: until when security updates are promised, in words, and what the owner is to
# be reminded of. Replaced whole whenever it changes, and each day while `perennial-device run` runs.
{support_file}

# How often `perennial-device run` looks for updates, in seconds (60 to 2,592,000).
check_seconds = {check_seconds}
# When updates leave this device alone, each day, by local time: ["22:00-06:30"]. Nothing is then downloaded, installed or
# restarted; what runs goes on, and so does a trial. `perennial-device update --now` doesn't wait.
quiet_hours = [{windows}]
# Minutes that local time is ahead of UTC (-840 to 840). There is no summer time.
utc_offset_minutes = {offset}
# Whether a payload is kept in `state` while it arrives, where there is room: a download that was cut goes on then,
# and the other slot stays whole until everything is there.
staging = {staging}
# MiB of memory that applying a delta may take (0 to 1,024): a delta that asks for more is refused before anything is written,
# and the full payload taken. With 0 deltas are never taken.
delta_memory_mib = {delta_memory_mib}

[slots]
# Two block devices, or two regular files.
a = {a}
b = {b}

[boot]
# The boot control file that a boot script reads and writes (its format stands in the book).
control = {control}
# How the agent learns which slot was booted: "cmdline" for perennial.slot=A on the kernel's command line, or a file
# that holds A or B.
booted = {booted}
# The anti-rollback counter. A file does not resist whoever can write the disk.
counter = {counter}
# Boots that a new release gets before the boot loader goes back (1 to 15).
tries = {tries}
# The agent plays the boot loader when it would restart the device: for trials on a desk, never for a product.
simulate = {simulate}

[hooks]
# Programs with their arguments, run without a shell. They get PERENNIAL_HOOK, PERENNIAL_PRODUCT, PERENNIAL_HARDWARE,
# PERENNIAL_SLOT and PERENNIAL_SLOT_PATH; the installation hooks also PERENNIAL_VERSION and PERENNIAL_MANIFEST.
# Before anything is written, and after the slot was read back: any status but 0 stops the installation.
pre_install = {pre_install}
post_install = {post_install}
# Whether the release that was booted works: 0 yes, 75 not yet, anything else no. Without it every release counts that
# comes as far as this agent.
health = {health}
# Restarts the device. Without it somebody else must.
reboot = {reboot}
# How long each may take, in seconds (1 to 86,400).
limit_seconds = {limit}

# Where this device tells what it runs and what became of updates, by certificates of its own. Without it nothing is told, and
# updates work as well.
{fleet}"#
    )
}

fn fleet(config: Option<&FleetConfig>) -> String {
    let off = if config.is_some() { "" } else { "#" };
    let server = config.map_or("https://fleet.example:8444", |fleet| fleet.server.as_str());
    let path = |key: &str, value: Option<&PathBuf>, example: &str| match value {
        Some(value) => format!("{key} = {}", quoted(&value.display().to_string())),
        // With a space: what edits the keys at the top finds those alone.
        None => format!("# {key} = \"{example}\""),
    };
    let ca = path("ca", config.and_then(|fleet| fleet.ca.as_ref()), "/etc/perennial/fleet-ca.pem");
    let factory = path("factory", config.and_then(|fleet| fleet.factory.as_ref()), "/factory/identity");
    let file = config.and_then(|fleet| fleet.attributes_file.as_ref());
    let file = path("attributes_file", file, "/run/perennial/attributes.json");
    let optional = config.is_some_and(|fleet| fleet.optional);
    let pairs = config.map(|fleet| fleet.attributes.iter().collect::<Vec<_>>()).unwrap_or_default();
    let pairs: Vec<_> = pairs.iter().map(|(name, value)| format!("\"{name}\" = {}", quoted(value))).collect();
    format!(
        r#"{off}[fleet]
{off}server = {server}
# A PEM file with the certificates that TLS believes there, in place of those of `ca`.
{ca}
# Where the factory's key and certificate lie (factory.key, factory.pem), in place of the state's folder `identity`: on a
# partition that a factory reset leaves alone.
{factory}
# Whether what is optional is told as long as the owner hasn't said (perennial-device consent): the attributes below, and
# those that the product writes into a JSON file of names and texts.
{off}optional = {optional}
{off}attributes = {{ {pairs} }}
{file}
"#,
        server = quoted(server),
        pairs = pairs.join(", ")
    )
}

fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Boot, HookPrograms, SlotPaths};

    #[test]
    fn what_is_written_is_read_back() {
        let odd = "/a \"b\"\\c/ü\n";
        let mut config = Config {
            id: "d1".parse().unwrap(),
            product: "thermostat".parse().unwrap(),
            hardware: "revC".parse().unwrap(),
            channel: "beta".parse().unwrap(),
            cohort: None,
            labels: ["beta".parse().unwrap()].into(),
            server: odd.into(),
            ca: Some(odd.into()),
            root: odd.into(),
            state: "/state".into(),
            marker: odd.into(),
            image_info: None,
            support_file: None,
            check_seconds: 60,
            quiet_hours: vec!["22:00-06:30".parse().unwrap()],
            utc_offset_minutes: -300,
            staging: false,
            delta_memory_mib: 4,
            slots: SlotPaths { a: odd.into(), b: "/b".into() },
            boot: Boot {
                control: odd.into(),
                booted: "cmdline".into(),
                counter: "/c".into(),
                tries: 2,
                simulate: false,
            },
            hooks: HookPrograms { health: vec!["/bin/x".into(), odd.into()], ..HookPrograms::default() },
            fleet: None,
        };
        assert_eq!(Config::parse(&template(&config)).unwrap(), config);
        (config.ca, config.image_info) = (None, Some("/i".into()));
        (config.cohort, config.support_file) = ("made-2026".parse().ok(), Some(odd.into()));
        let fleet = |file: Option<&str>| FleetConfig {
            server: "https://fleet.example:8444/".into(),
            ca: file.map(Into::into),
            factory: file.map(Into::into),
            optional: file.is_some(),
            attributes: file.map(|_| ("a.b".parse().unwrap(), "\"ü\"".into())).into_iter().collect(),
            attributes_file: file.map(Into::into),
        };
        for fleet in [fleet(None), fleet(Some(odd))] {
            config.fleet = Some(fleet);
            assert_eq!(Config::parse(&template(&config)).unwrap(), config);
        }
        assert_eq!(Config::parse(&template(&config)).unwrap(), config);
    }
}
