//! `release propose`

use std::fmt;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueEnum};
use perennial_schemas::ident::{ChannelName, HardwareName, ProductName};
use perennial_schemas::release::{Class, FixedVulnerability, Notes, Release, Severity};
use perennial_schemas::rollout::Plan;
use perennial_schemas::{Date, ReleaseVersion, RoleName, Sha256Digest, Timestamp};
use serde::Serialize;

use super::common::{Output, invocation};
use super::delta::options::MakeOptions;
use super::progress::{Stages, size};
use super::proposal::Made;
use super::{CliError, Io};
use crate::image::{Compression, LEVELS};
use crate::proposal::published_releases;
use crate::release::deltas::{Dropped, Wanted};
use crate::release::{Draft, ImageFile, Proposed, Standing, propose, renew, slips};
use crate::repository::Repository;
use crate::rollout::lint::{Remark, remarks};
use crate::rollout::{file, tell};
use crate::terminal::quoted;

/// Releases of a product.
#[derive(Debug, Subcommand)]
pub(super) enum ReleaseCommand {
    /// Measure and compress images, and propose them as a release.
    Propose(Box<ProposeArgs>),
    /// Renew the signers' consent to a release that is rolled out in stages: devices whose server has held it back as long as
    /// it may go on then.
    Affirm(AffirmArgs),
}

#[derive(Debug, Args)]
pub(super) struct AffirmArgs {
    /// The product.
    product: ProductName,
    /// The release.
    version: ReleaseVersion,
    #[command(flatten)]
    output: Output,
}

#[derive(Debug, Args)]
pub(super) struct ProposeArgs {
    /// The product.
    product: ProductName,
    /// The release's version, such as 2.1.0.
    version: ReleaseVersion,
    /// An image file and the hardware that it is for: revC=image.bin, or revB,revC=image.bin. May be repeated.
    #[arg(long = "image", value_name = "HARDWARE=FILE", required = true, value_parser = image)]
    images: Vec<ImageFile>,
    /// What it changes or fixes, in plain words.
    #[arg(long, value_name = "TEXT")]
    notes: String,
    /// Why that matters to the owner.
    #[arg(long, value_name = "TEXT", default_value = "")]
    why: String,
    /// Seconds for which the device can't be used while it installs.
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    interruption: u32,
    /// What kind of change it is.
    #[arg(long, value_enum)]
    class: ClassName,
    /// Why security and functionality could not be kept apart; needed with --class combined.
    #[arg(long, value_name = "TEXT", required_if_eq("class", "combined"))]
    reason: Option<String>,
    /// A vulnerability that it fixes, with its severity: CVE-2026-12345:high. May be repeated.
    #[arg(long = "fix", value_name = "ID:SEVERITY", value_parser = fix)]
    fixes: Vec<FixedVulnerability>,
    /// The address of an advisory. May be repeated.
    #[arg(long = "advisory", value_name = "URL")]
    advisories: Vec<String>,
    /// A device below this version must pass through another release first.
    #[arg(long, value_name = "VERSION")]
    minimum_version: Option<ReleaseVersion>,
    /// For how many days an owner may put it off, 0 for not at all; without it, as often as the owner says so.
    #[arg(long, value_name = "DAYS")]
    postponable_days: Option<u16>,
    /// Roll it out in stages by this plan (rollout new writes one); without it everybody gets it at once.
    #[arg(long, value_name = "PLAN")]
    rollout: Option<PathBuf>,
    /// Accept a plan that is open for everybody by now: nothing is learnt on the way.
    #[arg(long, requires = "rollout")]
    everybody_at_once: bool,
    /// The anti-rollback number; without it, the product's highest stays.
    #[arg(long, value_name = "NUMBER")]
    security_version: Option<u32>,
    /// The last day on which its files are served; without it, ten years from now or the end of support.
    #[arg(long, value_name = "DATE")]
    available_until: Option<Date>,
    /// Accept an --available-until before that.
    #[arg(long, requires = "available_until")]
    shorter_availability_than_the_cra_asks: bool,
    /// The channel that offers it. May be repeated.
    #[arg(long = "channel", value_name = "NAME", default_value = crate::release::offer::DEFAULT_CHANNEL)]
    channels: Vec<ChannelName>,
    /// Offer it on no channel yet.
    #[arg(long, conflicts_with = "channels")]
    no_channel: bool,
    /// Let through what looks like a secret in an image, because it is none: why, in plain words. The reason is signed with
    /// the release, and everybody can read it.
    #[arg(long, value_name = "REASON")]
    allow_secret_in_image: Option<String>,
    /// The bill of materials.
    #[arg(long, value_name = "FILE")]
    sbom: Option<PathBuf>,
    /// zstd's level, 1 to 22: more is smaller and slower. Without it, repository.toml's, which is 12 unless changed.
    #[arg(long, value_name = "LEVEL", value_parser = clap::value_parser!(i32).range(i64::from(*LEVELS.start())..=i64::from(*LEVELS.end())))]
    level: Option<i32>,
    /// An earlier release from which a delta is made: a device that runs it downloads that alone. May be repeated.
    #[arg(long, value_name = "VERSION")]
    delta_from: Vec<ReleaseVersion>,
    /// Make deltas from so many of the newest releases.
    #[arg(long, value_name = "COUNT", default_value_t = 0)]
    delta_last: u8,
    /// Drop a delta that saves less than so many per cent of the full payload.
    #[arg(long, value_name = "PERCENT", default_value_t = SAVES, value_parser = clap::value_parser!(u8).range(0..=99))]
    delta_saves: u8,
    #[command(flatten, next_help_heading = "How deltas are made")]
    deltas: MakeOptions,
    /// Print the report as JSON.
    #[arg(long)]
    json: bool,
}

/// Per cent of a full payload that a delta saves at least, unless told otherwise.
const SAVES: u8 = 20;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ClassName {
    Security,
    Functionality,
    Combined,
}

/// What was proposed.
#[derive(Debug, Serialize)]
struct ProposeReport {
    proposal: String,
    folder: PathBuf,
    manifest: Sha256Digest,
    channels: Vec<ChannelName>,
    release: Release,
    /// Deltas that are not worth their place.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    dropped_deltas: Vec<Dropped>,
    /// What is unwise about the rollout plan.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    rollout_remarks: Vec<Remark>,
    /// What is likely a slip.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    remarks: Vec<String>,
    #[serde(skip)]
    invocation: String,
    /// Users whose passwords the images bring along.
    #[serde(rename = "users_with_the_same_password_on_every_unit", skip_serializing_if = "Vec::is_empty")]
    users: Vec<String>,
}

/// Runs a command on releases.
///
/// # Errors
/// [`CliError`]
pub(super) fn run(command: ReleaseCommand, repo: &Path, io: &mut Io<'_>) -> Result<(), CliError> {
    match command {
        ReleaseCommand::Propose(args) => propose_release(*args, repo, io),
        ReleaseCommand::Affirm(args) => affirm(&args, repo, io),
    }
}

fn affirm(args: &AffirmArgs, repo: &Path, io: &mut Io<'_>) -> Result<(), CliError> {
    let repository = Repository::open(repo)?;
    let standing = Standing::read(&repository, &args.product)?;
    let proposal = renew::affirm(&repository, &standing, &args.version, io.now())?;
    io.report(args.output.json, &Made::new(repo, &proposal, io)?)
}

fn propose_release(args: ProposeArgs, repo: &Path, io: &mut Io<'_>) -> Result<(), CliError> {
    let settings = args.deltas.settings();
    if args.delta_from.is_empty()
        && args.delta_last == 0
        && let Some(option) = args.deltas.given().or((args.delta_saves != SAVES).then_some("--delta-saves"))
    {
        let hint = format!("add --delta-from VERSION or --delta-last COUNT, or leave {option} out");
        return Err(CliError::new(
            format!("{option} tells how deltas are made, and none is asked for"),
            hint,
        ));
    }
    let repository = Repository::open(repo)?;
    let standing = Standing::read(&repository, &args.product)?;
    let rollout = args.rollout.as_ref().map(|path| file::read(path, file::fresh_salt()?)).transpose()?;
    let draft = draft(&args, rollout)?;
    let channels = if args.no_channel { Vec::new() } else { args.channels };
    let compression =
        Compression { level: args.level.unwrap_or(repository.config.payload.level), threads: 0 };
    let now = io.now();
    let rollout_remarks = draft.rollout.as_ref().map_or(Vec::new(), |plan| remarks(plan, None, now));
    let wanted = Wanted {
        from: args.delta_from.clone(),
        last: args.delta_last.into(),
        least_saved: args.delta_saves,
        settings,
    };
    let mut stages = Stages::new(io);
    let proposed = propose(
        &repository,
        &standing,
        &draft,
        &args.images,
        args.sbom.as_ref(),
        &channels,
        compression,
        &wanted,
        now,
        &mut |what, length, done| stages.at(what, length, done),
    );
    drop(stages);
    let Proposed { proposal, release, manifest, passwords, dropped } = proposed?;
    let remarks = slips(&release, &published_releases(&repository, &RoleName::from(&args.product))?);
    let mut users: Vec<String> = passwords.into_iter().map(|hash| hash.user).collect();
    users.sort();
    users.dedup();
    let report = ProposeReport {
        folder: proposal.dir,
        proposal: proposal.id,
        manifest,
        channels,
        release,
        users,
        dropped_deltas: dropped,
        rollout_remarks,
        remarks,
        invocation: invocation(repo),
    };
    io.report(args.json, &report)
}

fn draft(args: &ProposeArgs, rollout: Option<Plan>) -> Result<Draft, CliError> {
    let class = match (args.class, args.reason.clone()) {
        (ClassName::Combined, Some(reason)) => Class::Combined { reason },
        (_, Some(_)) => {
            let hint = "leave --reason out, or say --class combined";
            return Err(CliError::new("--reason tells why a combined release could not be kept apart", hint));
        }
        (ClassName::Security, None) => Class::Security,
        (ClassName::Functionality | ClassName::Combined, None) => Class::Functionality,
    };
    Ok(Draft {
        version: args.version.clone(),
        class,
        notes: Notes {
            what: args.notes.clone(),
            why: args.why.clone(),
            interruption_seconds: args.interruption,
        },
        fixes: args.fixes.clone(),
        advisories: args.advisories.clone(),
        minimum_version: args.minimum_version.clone(),
        postponable_days: args.postponable_days,
        rollout,
        everybody_at_once: args.everybody_at_once,
        security_version: args.security_version,
        available_until: args.available_until,
        shorter_availability: args.shorter_availability_than_the_cra_asks,
        sbom: args.sbom.is_some(),
        allow_secrets: args.allow_secret_in_image.clone(),
    })
}

/// When a rollout begins, and when its last phase does.
fn ends(plan: &Plan) -> Option<(Timestamp, Timestamp)> {
    tell::begins(plan).zip(plan.phases.last().map(|phase| phase.not_before))
}

/// `revB,revC=FILE`
fn image(text: &str) -> Result<ImageFile, String> {
    let (hardware, path) =
        text.split_once('=').ok_or("an image is written HARDWARE=FILE, such as revC=image.bin")?;
    let hardware: Vec<HardwareName> =
        hardware.split(',').map(str::parse).collect::<Result<_, _>>().map_err(|e| format!("{e}"))?;
    Ok(ImageFile { hardware, path: path.into() })
}

/// `CVE-2026-12345:high`
fn fix(text: &str) -> Result<FixedVulnerability, String> {
    let form = "a fix is written ID:SEVERITY, such as CVE-2026-12345:high";
    let (id, severity) = text.rsplit_once(':').ok_or(form)?;
    let severity = match severity {
        "low" => Severity::Low,
        "medium" => Severity::Medium,
        "high" => Severity::High,
        "critical" => Severity::Critical,
        _ => return Err(format!("{form}; a severity is low, medium, high or critical")),
    };
    Ok(FixedVulnerability { id: id.into(), severity, disclosed: None })
}

impl fmt::Display for ProposeReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Release { product, version, security_version, available_until, images, .. } = &self.release;
        writeln!(f, "Proposed {product} {version} (security version {security_version}).")?;
        for image in images {
            let hardware: Vec<_> = image.hardware.iter().map(HardwareName::as_str).collect();
            let full = image.payloads.iter().filter(|payload| payload.source.is_none());
            let payload: u64 = full.map(|payload| payload.length).sum();
            let percent = u128::from(payload) * 100 / u128::from(image.length.max(1));
            writeln!(
                f,
                "  {:<12} {}, {} to download ({percent} %), SHA-256 {}",
                hardware.join(", "),
                size(image.length),
                size(payload),
                image.sha256
            )?;
            for delta in &image.payloads {
                let Some(source) = &delta.source else { continue };
                let saved = payload.saturating_sub(delta.length);
                let percent = u128::from(saved) * 100 / u128::from(payload.max(1));
                let (from, length) = (&source.version, size(delta.length));
                writeln!(f, "  delta        {length} from {from}, proved ({percent} % less to download)")?;
            }
        }
        for Dropped { from, hardware, why } in &self.dropped_deltas {
            writeln!(f, "  no delta     from {from} for {hardware}: {why}")?;
        }
        let channels: Vec<_> = self.channels.iter().map(ChannelName::as_str).collect();
        let offered = if channels.is_empty() { "no channel".into() } else { channels.join(", ") };
        writeln!(f, "  offered on   {offered}")?;
        writeln!(f, "  available    until {available_until}")?;
        writeln!(f, "  manifest     SHA-256 {}", self.manifest)?;
        if let Some((first, last)) = self.release.rollout.as_ref().and_then(ends) {
            writeln!(f, "  rolled out   from {first}, to all from {last}")?;
        }
        for remark in &self.rollout_remarks {
            writeln!(f, "  warning      {}: {}", remark.rule, remark.what)?;
        }
        for remark in &self.remarks {
            writeln!(f, "  warning      {remark}")?;
        }
        if !self.users.is_empty() {
            let users = quoted(&self.users.join(", "));
            writeln!(
                f,
                "  warning      every unit has the same password for {users} (SI 2023/1007, Schedule 1, 1)"
            )?;
        }
        for found in self.release.secrets_let_through.iter().flat_map(|secrets| &secrets.found) {
            writeln!(f, "  let through  {}", quoted(found))?;
        }
        writeln!(f, "Next: {} review {}", self.invocation, self.proposal)
    }
}
