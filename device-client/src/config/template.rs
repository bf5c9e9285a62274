//! The configuration that `init` writes: every key, with what it means.

use std::path::Path;

use super::Config;

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
"#
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
            server: odd.into(),
            ca: Some(odd.into()),
            root: odd.into(),
            state: "/state".into(),
            marker: odd.into(),
            image_info: None,
            support_file: None,
            check_seconds: 60,
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
        };
        assert_eq!(Config::parse(&template(&config)).unwrap(), config);
        (config.ca, config.image_info) = (None, Some("/i".into()));
        (config.cohort, config.support_file) = ("made-2026".parse().ok(), Some(odd.into()));
        assert_eq!(Config::parse(&template(&config)).unwrap(), config);
    }
}
