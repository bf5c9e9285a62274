//! `init`: sets a device up. It writes the configuration, keeps the factory root beside it, and makes the files of the
//! boot control and the counter. It never overwrites a configuration, and never touches a state that is there.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use perennial_device_core::crypto::Ring;
use perennial_device_core::trust::TrustState;
use perennial_schemas::ident::{ChannelName, CohortName, DeviceId, Label};
use perennial_schemas::limits::ROOT_LENGTH;
use perennial_schemas::{HardwareName, ProductName};

use super::{CliError, DEFAULT_CONFIG, Io};
use crate::boot::FileBoot;
use crate::config::{Boot, Config, FleetConfig, HookPrograms, SlotPaths, template};
use crate::counter::FileCounter;
use crate::error::chain;
use crate::fetch::Place;
use crate::files::{absolute, create_folder, exists, read_limited, write_durably};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The root metadata that this device is born with (N.root.json), from its maker.
    #[arg(long, value_name = "FILE")]
    root: PathBuf,
    /// Where updates come from: http://…, https://…, a folder, or a bundle in one file.
    #[arg(long, value_name = "URL")]
    server: String,
    /// What the device is.
    #[arg(long, value_name = "NAME")]
    product: ProductName,
    /// Its hardware revision.
    #[arg(long, value_name = "NAME")]
    hardware: HardwareName,
    /// The device's own name; without it a random one.
    #[arg(long, value_name = "ID")]
    id: Option<DeviceId>,
    /// The channel that it follows.
    #[arg(long, value_name = "NAME", default_value = "stable")]
    channel: ChannelName,
    /// The cohort that it was sold in, as the maker's support record names it.
    #[arg(long, value_name = "NAME")]
    cohort: Option<CohortName>,
    /// What marks it for early groups of rollouts. May be repeated.
    #[arg(long = "label", value_name = "LABEL")]
    labels: Vec<Label>,
    /// A PEM file with the certificates that TLS believes, in place of the system's.
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Where this device reports to, such as `https://fleet.example:8444`; without it nothing is told.
    #[arg(long, value_name = "URL")]
    fleet: Option<String>,
    /// Slot A: a block device or a file; without it a file in the state folder.
    #[arg(long, value_name = "PATH", requires = "slot_b")]
    slot_a: Option<PathBuf>,
    /// Slot B.
    #[arg(long, value_name = "PATH", requires = "slot_a")]
    slot_b: Option<PathBuf>,
    /// The program that says whether a release works, run without a shell.
    #[arg(long, value_name = "PROGRAM")]
    health: Option<PathBuf>,
    /// The program that restarts the device.
    #[arg(long, value_name = "PROGRAM", conflicts_with = "simulate_boot")]
    reboot: Option<PathBuf>,
    /// Play the boot loader instead of restarting: for trials on a desk.
    #[arg(long)]
    simulate_boot: bool,
}

pub(super) fn run(
    arguments: Arguments,
    path: &Path,
    state: Option<&Path>,
    io: &mut Io<'_>,
) -> Result<(), CliError> {
    let path = &absolute(path)
        .map_err(|error| CliError::with_hint(&error, "name the configuration with --config"))?;
    if exists(path) {
        let hint = "this device is set up already: edit that file, or name another with --config";
        return Err(CliError::new(format!("{} is there already", path.display()), hint));
    }
    let root = factory_root(&arguments.root)?;
    let folder = path.parent().unwrap_or(Path::new("/"));
    let slots = arguments.slot_a.is_some();
    let config = configure(arguments, path, folder, state)?;
    let missing = missing(&config, slots, path);
    let denied = |error: &dyn std::error::Error| {
        CliError::with_hint(error, "run it as root, or move both with --config FILE and --state DIR")
    };
    create_folder(folder).map_err(|error| denied(&error))?;
    create_folder(&config.state).map_err(|error| denied(&error))?;
    if config.slots.a.starts_with(&config.state) {
        create_folder(config.slots.a.parent().unwrap_or(&config.state)).map_err(|error| denied(&error))?;
    }
    write_durably(&config.root, &root).map_err(|error| denied(&error))?;
    FileCounter::new(&config.boot.counter).create().map_err(|error| denied(&error))?;
    FileBoot::new(&config.boot.control).create().map_err(|error| denied(&error))?;
    if config.boot.simulate && !exists(&config.boot.booted) {
        let first = perennial_device_core::port::Slot::A;
        config.booted().note(first).map_err(|error| denied(&error))?;
    }
    // Last: with it the device is set up, and before it `init` can simply be run again.
    write_durably(path, template(&config).as_bytes()).map_err(|error| denied(&error))?;
    io.print(&format!(
        "This device is {}, a {} {}, on channel {}.\nConfiguration: {}\nState:         {}\n{missing}",
        config.id,
        config.product,
        config.hardware,
        config.channel,
        path.display(),
        config.state.display()
    ))
}

/// What to do next, and what `update` would miss, in sentences.
fn missing(config: &Config, slots: bool, path: &Path) -> String {
    let shown = path.display().to_string();
    let named = if shown == DEFAULT_CONFIG { String::new() } else { format!(" --config {shown}") };
    let mut text = String::new();
    if config.fleet.is_some() {
        text = format!(
            "Fleet:         perennial-device{named} identity new, then identity request: the maker's device CA answers \
             with the certificate that it enrols with.\n"
        );
    }
    if config.boot.simulate {
        return text + &format!("Next:          perennial-device{named} update\n");
    }
    if !slots {
        text.push_str(
            "Missing:       --slot-a and --slot-b: no boot loader starts the files that stand in for slots now. Set `slots` in \
             the configuration; for a trial on a desk set `boot.simulate` there (init --simulate-boot does).\n",
        );
    }
    text + &format!(
        "Next:          let the boot loader say which slot it took: A or B in {}, or as `boot.booted` has it.\n",
        config.boot.booted.display()
    )
}

/// A path that isn't there, which may be an address without its scheme.
fn no_such_place(text: &str, path: &Path) -> CliError {
    let host = text.split('/').next().unwrap_or_default();
    let port = host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    let named = host.contains('.') && !host.starts_with('.');
    if port || named {
        let what = format!("--server {text} has no scheme, and no folder of that name is there");
        return CliError::new(what, format!("did you mean http://{text}?"));
    }
    let hint = "name a folder or a bundle that is there, or an address such as https://updates.example";
    CliError::new(format!("{} is not there", path.display()), hint)
}

/// The root, which must at least be signed by a threshold of its own keys.
fn factory_root(path: &Path) -> Result<Vec<u8>, CliError> {
    let hint = "take the N.root.json that the maker hands out, from the repository's metadata folder";
    let root = read_limited(path, ROOT_LENGTH).map_err(|error| CliError::with_hint(&error, hint))?;
    TrustState::new(&root, &Ring)
        .map_err(|error| CliError::new(format!("{} is no root: {}", path.display(), chain(&error)), hint))?;
    Ok(root)
}

fn configure(
    arguments: Arguments,
    path: &Path,
    folder: &Path,
    state: Option<&Path>,
) -> Result<Config, CliError> {
    let full =
        |path: &Path| absolute(path).map_err(|error| CliError::with_hint(&error, "give an absolute path"));
    let state = full(state.unwrap_or(Path::new("/var/lib/perennial")))?;
    let server = match Place::parse(&arguments.server) {
        Ok(Place::Server(url)) => url.to_string(),
        Ok(Place::Path(path)) => {
            let whole = full(&path)?;
            if !exists(&whole) {
                return Err(no_such_place(&arguments.server, &whole));
            }
            whole.display().to_string()
        }
        Err(error) => return Err(CliError::with_hint(&error, "such as https://updates.example")),
    };
    let slots = match (arguments.slot_a, arguments.slot_b) {
        (Some(a), Some(b)) => SlotPaths { a: full(&a)?, b: full(&b)? },
        _ => SlotPaths { a: state.join("slots/a.img"), b: state.join("slots/b.img") },
    };
    let program = |path: Option<PathBuf>| match path {
        Some(path) => Ok::<_, CliError>(vec![full(&path)?.display().to_string()]),
        None => Ok(Vec::new()),
    };
    let hooks = HookPrograms {
        health: program(arguments.health)?,
        reboot: program(arguments.reboot)?,
        ..HookPrograms::default()
    };
    let boot = Boot {
        control: state.join("boot"),
        booted: state.join("booted"),
        counter: state.join("counter"),
        tries: 3,
        simulate: arguments.simulate_boot,
    };
    let config = Config {
        id: arguments.id.map_or_else(random_id, Ok)?,
        product: arguments.product,
        hardware: arguments.hardware,
        channel: arguments.channel,
        cohort: arguments.cohort,
        labels: arguments.labels.into_iter().collect(),
        quiet_hours: Vec::new(),
        utc_offset_minutes: 0,
        server,
        ca: arguments.ca.as_deref().map(full).transpose()?,
        root: folder.join("root.json"),
        marker: path.with_extension("marker"),
        state,
        image_info: None,
        support_file: None,
        check_seconds: 4 * 3600,
        staging: true,
        delta_memory_mib: 16,
        slots,
        boot,
        hooks,
        fleet: arguments.fleet.map(|server| FleetConfig {
            server,
            ca: None,
            factory: None,
            optional: false,
            attributes: BTreeMap::new(),
            attributes_file: None,
        }),
    };
    let wrong = |error| CliError::with_hint(&error, "change what that value comes from");
    Config::parse(&template(&config)).map_err(wrong)
}

/// 96 random bits: two of a thousand million devices have the same with a chance of one in 10^11.
fn random_id() -> Result<DeviceId, CliError> {
    let mut bytes = [0; 12];
    let filled = ring::rand::SecureRandom::fill(&ring::rand::SystemRandom::new(), &mut bytes);
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let failed = || CliError::new("the system gives no random bytes", "name the device with --id");
    filled.ok().and_then(|()| format!("dev-{hex}").parse().ok()).ok_or_else(failed)
}
