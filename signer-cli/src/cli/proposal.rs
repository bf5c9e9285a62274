//! The verbs for every kind of proposal: `review`, `sign`, `rebase`, `publish`, `status`.

use std::fmt;
use std::io::BufRead as _;
use std::path::{Path, PathBuf};

use clap::Args;
use perennial_schemas::limits::ROLLOUT_STATUS_LENGTH;
use perennial_schemas::{ProductName, ReleaseVersion};
use serde::Serialize;

use super::common::{Output, PassphraseOptions, invocation, open_repository};
use super::progress::Progress;
use super::rollout::{counted, question};
use super::{CliError, Io};
use crate::check::{self, CheckError, Checked, Extent, Preview};
use crate::files;
use crate::keys::{Labels, SecretKey};
use crate::proposal::{self, Proposal, PublishedFiles, Review, Signed, Standing, Status};
use crate::repository::{Repository, bins};
use crate::rollout::forecast::Forecast;

#[derive(Debug, Args)]
pub(super) struct ReviewArgs {
    /// A part of its id, or its folder; without it the only one that is open.
    proposal: Option<String>,
    /// The status of a release's rollout, as its server serves it (rollouts/PRODUCT/VERSION.json): shown once it is verified.
    #[arg(long, value_name = "FILE")]
    status: Option<PathBuf>,
    /// Also show what a rollout plan that comes with it would do to so many devices, as rollout simulate does.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1_000_000_000))]
    devices: Option<u64>,
    /// The same for so many devices of a hardware revision, as revC=12000; may be given for each.
    #[arg(long, value_name = "NAME=N", value_parser = counted, conflicts_with = "devices")]
    hardware: Vec<(String, u64)>,
    #[command(flatten)]
    output: Output,
}

#[derive(Debug, Args)]
pub(super) struct SignArgs {
    /// A part of its id, or its folder; without it the only one that is open.
    proposal: Option<String>,
    /// Your private key.
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// Don't ask whether what is shown shall be signed.
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    passphrase: PassphraseOptions,
    #[command(flatten)]
    output: Output,
}

#[derive(Debug, Args)]
pub(super) struct PublishArgs {
    /// A part of its id, or its folder; without it the only one that is open.
    proposal: Option<String>,
    /// Accept a release whose stages went by while it was signed: nothing is learnt on the way.
    #[arg(long)]
    everybody_at_once: bool,
    #[command(flatten)]
    output: Output,
}

#[derive(Debug, Args)]
pub(super) struct RebaseArgs {
    /// A part of its id, or its folder; without it the only one that is open.
    proposal: Option<String>,
    #[command(flatten)]
    output: Output,
}

#[derive(Debug, Args)]
pub(super) struct StatusArgs {
    /// A part of a proposal's id, or its folder; without it all of them.
    proposal: Option<String>,
    #[command(flatten)]
    output: Output,
}

pub(super) fn rebase(args: &RebaseArgs, repo: &Path, io: &mut Io<'_>) -> Result<(), CliError> {
    let (repository, _) = open_repository(repo)?;
    let proposal = proposal::find(&repository, args.proposal.as_deref())?;
    let renewed = proposal::rebase(&proposal, &repository, io.now())?;
    io.report(args.output.json, &Made::new(repo, &renewed, io)?)
}

pub(super) fn status(args: &StatusArgs, repo: &Path, io: &mut Io<'_>) -> Result<(), CliError> {
    let (repository, labels) = open_repository(repo)?;
    let proposals = match &args.proposal {
        Some(wanted) => vec![(wanted.clone(), Ok(proposal::find(&repository, Some(wanted))?))],
        None => proposal::open_proposals(&repository)?,
    };
    let status = Status::new(&repository, &proposals, &labels, io.now(), &invocation(repo))?;
    io.report(args.output.json, &status)
}

pub(super) fn review(args: &ReviewArgs, repo: &Path, io: &mut Io<'_>) -> Result<(), CliError> {
    let (repository, labels) = open_repository(repo)?;
    let proposal = proposal::find(&repository, args.proposal.as_deref())?;
    let review = reviewed(&proposal, &repository, &labels, io)?;
    let review = match &args.status {
        Some(path) => {
            let status = files::read_foreign(path, ROLLOUT_STATUS_LENGTH)?;
            review.with_status(&Standing::new(&proposal, &repository), &status, io.now())?
        }
        None => review,
    };
    let forecasts = foreseen(args, &Standing::new(&proposal, &repository))?;
    io.report(args.output.json, &ReviewReport { review, forecasts })
}

/// What the plans of a proposal would do to the fleet that was named, if one was.
fn foreseen(args: &ReviewArgs, standing: &Standing<'_>) -> Result<Vec<Foreseen>, CliError> {
    if args.devices.is_none() && args.hardware.is_empty() {
        return Ok(Vec::new());
    }
    let drafts = proposal::drafts(standing)?;
    if drafts.is_empty() {
        return Err(CliError::new(
            "the proposal brings no release with a rollout plan",
            "leave --devices and --hardware out",
        ));
    }
    let foreseen = drafts.into_iter().map(|(release, plan)| {
        let forecast = Forecast::new(&plan, &question(&plan, args.devices, &args.hardware)?);
        Ok(Foreseen { product: release.product, version: release.version, forecast })
    });
    foreseen.collect()
}

pub(super) fn sign(args: &SignArgs, repo: &Path, io: &mut Io<'_>) -> Result<(), CliError> {
    let (repository, labels) = open_repository(repo)?;
    let proposal = proposal::find(&repository, args.proposal.as_deref())?;
    let review = reviewed(&proposal, &repository, &labels, io)?;
    if !args.output.json {
        io.report(false, &review)?;
    }
    confirm(args.yes, io)?;
    let key = args.passphrase.open_key(io, &args.key)?;
    let signed = sign_now(&proposal, &repository, &key, io)?;
    let proposal = Proposal::open(&proposal.dir)?;
    let ready = Standing::new(&proposal, &repository).is_ready()?;
    io.report(
        args.output.json,
        &SignedReport { id: proposal.id, signed, ready, invocation: invocation(repo) },
    )
}

pub(super) fn publish(args: &PublishArgs, repo: &Path, io: &mut Io<'_>) -> Result<(), CliError> {
    // Held to the end, from before anything is read: of two who publish at once, the second sees what the first wrote.
    let _alone = files::exists(repo).then(|| files::lock_folder(repo)).transpose()?;
    let (repository, _) = open_repository(repo)?;
    let proposal = proposal::find(&repository, args.proposal.as_deref())?;
    let report = publish_now(&proposal, &repository, args.everybody_at_once, io)?;
    io.report(args.output.json, &report)
}

/// Everything that is checked before anybody is shown or signs anything: what is published, by the device's own core;
/// the proposal's rules; that nobody changed it; that it fits what is published; and every byte of its files.
fn reviewed(
    proposal: &Proposal,
    repository: &Repository,
    labels: &Labels,
    io: &Io<'_>,
) -> Result<Review, CliError> {
    let standing = Standing::new(proposal, repository);
    accept_published(repository, io)?;
    standing.check_needed()?;
    proposal::check_rules(proposal, repository, None)?;
    standing.check_unchanged()?;
    standing.check_base()?;
    let progress = Progress::new(io, "reading files", 0);
    proposal::check_files(proposal, repository, &mut |bytes| progress.more(bytes))?;
    Ok(Review::new(&standing, labels, io.now())?)
}

/// What is published must be what a device accepts, but for its expiry: signing is how that is mended.
fn accept_published(repository: &Repository, io: &Io<'_>) -> Result<(), CliError> {
    if repository.published.as_ref().is_none_or(|published| published.snapshot.is_none()) {
        return Ok(());
    }
    let preview = Preview::published(repository)?;
    let nothing_new = Extent::Only(std::collections::BTreeSet::new());
    match check::before_publish(&preview, &nothing_new, io.now(), &mut |_| ()) {
        Ok(_) | Err(CheckError::Expired { .. }) => Ok(()),
        Err(e) => Err(e.into()),
    }
}

/// Adds the signatures of a key.
pub(super) fn sign_now(
    proposal: &Proposal,
    repository: &Repository,
    key: &SecretKey,
    io: &mut Io<'_>,
) -> Result<Vec<Signed>, CliError> {
    Ok(proposal::sign(proposal, repository, key, io.now())?)
}

/// Checks with the device's own code and with tough, then publishes.
pub(super) fn publish_now(
    proposal: &Proposal,
    repository: &Repository,
    everybody_at_once: bool,
    io: &mut Io<'_>,
) -> Result<PublishReport, CliError> {
    let sealed = proposal::seal_proposal(proposal, repository, io.now())?;
    if !everybody_at_once {
        proposal::check_stages(&Standing::new(proposal, repository), io.now())?;
    }
    let extent = Extent::Only(sealed.new_paths());
    let progress = Progress::new(io, "checking", 0);
    let checked =
        check::before_publish(&sealed.preview()?, &extent, io.now(), &mut |bytes| progress.more(bytes))?;
    drop(progress);
    let files = proposal::publish(&sealed)?;
    Ok(PublishReport { files, checked })
}

fn confirm(yes: bool, io: &mut Io<'_>) -> Result<(), CliError> {
    if yes || !io.terminal {
        return Ok(());
    }
    write!(io.stderr, "\nSign this? [y/N] ").and_then(|()| io.stderr.flush()).map_err(CliError::output)?;
    let mut answer = String::new();
    let mut limited = std::io::BufReader::new(std::io::Read::take(&mut io.stdin, 64));
    limited.read_line(&mut answer).map_err(CliError::output)?;
    if matches!(answer.trim(), "y" | "Y" | "yes") {
        Ok(())
    } else {
        Err(CliError::new(
            "nothing was signed, as you wished",
            "find out what you doubt; the proposal stays as it is",
        ))
    }
}

#[derive(Debug, Serialize)]
struct ReviewReport {
    #[serde(flatten)]
    review: Review,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    forecasts: Vec<Foreseen>,
}

/// What a rollout would come to.
#[derive(Debug, Serialize)]
struct Foreseen {
    product: ProductName,
    version: ReleaseVersion,
    #[serde(flatten)]
    forecast: Forecast,
}

impl fmt::Display for ReviewReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.review)?;
        self.forecasts.iter().try_for_each(|Foreseen { product, version, forecast }| {
            write!(f, "\nThe rollout of {product} {version}, tried by simulation. {forecast}")
        })
    }
}

/// A proposal that was made just now.
#[derive(Debug, Serialize)]
pub(super) struct Made {
    review: Review,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    remarks: Vec<String>,
    folder: PathBuf,
    #[serde(skip)]
    invocation: String,
}

impl Made {
    /// Reads it back as a signer will see it.
    pub(super) fn new(repo: &Path, proposal: &Proposal, io: &Io<'_>) -> Result<Self, CliError> {
        let (repository, labels) = open_repository(repo)?;
        let review = reviewed(proposal, &repository, &labels, io)?;
        Ok(Self { review, remarks: Vec::new(), folder: proposal.dir.clone(), invocation: invocation(repo) })
    }

    /// With what the maker should know of how the arguments were understood.
    pub(super) fn remarking(self, remarks: Vec<String>) -> Self {
        Self { remarks, ..self }
    }
}

impl fmt::Display for Made {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.review)?;
        for (index, remark) in self.remarks.iter().enumerate() {
            writeln!(f, "{}{remark}", if index == 0 { "\n" } else { "" })?;
        }
        writeln!(f, "\nProposed in {}", self.folder.display())?;
        writeln!(f, "Next: {} sign {} --key FILE", self.invocation, self.review.id)
    }
}

#[derive(Debug, Serialize)]
struct SignedReport {
    id: String,
    signed: Vec<Signed>,
    ready: bool,
    #[serde(skip)]
    invocation: String,
}

impl fmt::Display for SignedReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bin_alike = |one: &Signed, next: &Signed| {
            bins::owner(&one.role).is_some() && bins::owner(&one.role) == bins::owner(&next.role)
        };
        let shown = |run: &[Signed]| match run {
            [one] => format!("{} {}", one.role, one.version),
            several => {
                several.first().map_or_else(String::new, |one| bins::counted(&one.role, several.len()))
            }
        };
        let signed: Vec<String> = self.signed.chunk_by(bin_alike).map(shown).collect();
        writeln!(f, "\nSigned {}", signed.join(", "))?;
        let verb = if self.ready { "publish" } else { "status" };
        writeln!(f, "Next: {} {verb} {}", self.invocation, self.id)
    }
}

/// What was published, and what was checked before.
#[derive(Debug, Serialize)]
pub(super) struct PublishReport {
    #[serde(flatten)]
    files: PublishedFiles,
    checked: Checked,
}

impl fmt::Display for PublishReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let checked = &self.checked;
        writeln!(f, "Published {}", self.files.id)?;
        writeln!(f, "  metadata  {}", self.files.metadata.join(" "))?;
        for path in &self.files.targets {
            writeln!(f, "  target    {path}")?;
        }
        let count =
            |number: u64, what: &str| format!("{number} {what}{}", if number == 1 { "" } else { "s" });
        writeln!(
            f,
            "The device's own code and tough accepted it first: {}, {}, {} read.",
            count(checked.roles, "role"),
            count(checked.targets, "target"),
            count(checked.files, "file")
        )?;
        checked.unproved.iter().try_for_each(|delta| writeln!(f, "  warning: {delta}"))
    }
}
