//! `support promise|extend|notice|contact|compliance|model|cohort|show|lint|label|annul`

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueEnum};
use perennial_schemas::ProductName;
use perennial_schemas::release::Severity;
use perennial_schemas::support::{CohortName, Notice, NoticeKind, OpenVulnerability, VulnerabilityContact};

use super::common::{Output, open_repository};
use super::label::LabelArgs;
use super::proposal::Made;
use super::{CliError, Io};
use crate::proposal::Proposal;
use crate::support::lint::{Profile, Report};
use crate::support::promise::Terms;
use crate::support::show::{OneShown, Shown};
use crate::support::{Day, Draft, cohorts, details, statements};

/// What to do with a product's support record.
#[derive(Debug, Subcommand)]
pub(super) enum SupportCommand {
    /// Propose the first promise of a product without one, or of new cohorts.
    Promise(PromiseArgs),
    /// Propose a later date: for every unit, or for some cohorts.
    Extend(PromiseArgs),
    /// Propose to tell owners something: a weakness, an early end, anything.
    Notice(NoticeArgs),
    /// Propose another contact for security problems.
    Contact(ContactArgs),
    /// Propose statements of compliance.
    Compliance(FileArgs),
    /// Propose other words on maker, model and aftercare.
    Model(FileArgs),
    /// Propose new cohorts, or more units in published ones.
    Cohort(CohortArgs),
    /// Show until when products are supported, and what was promised and told.
    Show {
        /// The product; without it all of them.
        product: Option<ProductName>,
        #[command(flatten)]
        output: Output,
    },
    /// Check what is published by the rules of the UK (PSTI), the EU (CRA) and Australia.
    Lint {
        /// The product; without it all of them.
        product: Option<ProductName>,
        /// Whose rules. May be repeated.
        #[arg(long = "profile", value_enum, default_value = "all")]
        profiles: Vec<ProfileName>,
        /// A rule that you have good reasons to set aside, such as cra-five-years. May be repeated.
        #[arg(long = "allow", value_name = "RULE")]
        allowed: Vec<String>,
        #[command(flatten)]
        output: Output,
    },
    /// Draw the label for box and shelf, with a QR code: offline, from what is published.
    Label(LabelArgs),
    /// Propose that root takes back a promise that a stolen key made.
    Annul(AnnulArgs),
}

#[derive(Debug, Args)]
pub(super) struct PromiseArgs {
    /// The product.
    product: ProductName,
    /// The last day: YYYY-MM-DD, or YYYY-MM for the last day of the month.
    #[arg(long, value_name = "DATE")]
    until: String,
    /// Why this date, in plain words for the public.
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// A cohort that it is made to; without it every unit. May be repeated.
    #[arg(long = "cohort", value_name = "NAME")]
    cohorts: Vec<CohortName>,
    /// The day from which it holds; without it from the first sale on.
    #[arg(long, value_name = "DATE")]
    from: Option<String>,
    /// A part that updates cover, in plain words; without it all of its software. May be repeated.
    #[arg(long = "component", value_name = "TEXT")]
    components: Vec<String>,
    /// Promise updates of functions, too.
    #[arg(long)]
    with_functionality: bool,
    /// For a product that can't be updated: the promise is to replace it. A TOML file with rationale, isolate, terms.
    #[arg(long, value_name = "FILE")]
    replacement: Option<PathBuf>,
    /// Where to report security problems: a TOML file. A first promise needs it.
    #[arg(long, value_name = "FILE")]
    contact: Option<PathBuf>,
    #[command(flatten)]
    output: Output,
}

#[derive(Debug, Args)]
pub(super) struct NoticeArgs {
    /// The product.
    product: ProductName,
    /// What happened, in plain words.
    #[arg(long, value_name = "TEXT")]
    text: String,
    /// What owners should do.
    #[arg(long, value_name = "TEXT", default_value = "")]
    advice: String,
    /// A cohort that it is about; without it every unit. May be repeated.
    #[arg(long = "cohort", value_name = "NAME")]
    cohorts: Vec<CohortName>,
    /// It is about this weakness, such as CVE-2026-12345, which no release fixes yet.
    #[arg(long, value_name = "ID", requires = "severity", requires = "disclosed")]
    vulnerability: Option<String>,
    /// How bad the weakness is.
    #[arg(long, value_enum, requires = "vulnerability")]
    severity: Option<SeverityName>,
    /// The day on which it became publicly known.
    #[arg(long, value_name = "DATE", requires = "vulnerability")]
    disclosed: Option<String>,
    /// Updates ended on this day, before the date that was promised. The promise stays visible beside it.
    #[arg(long, value_name = "DATE", conflicts_with_all = ["vulnerability", "ceased"])]
    ended_early: Option<String>,
    /// The maker has stopped to exist, or to make updates at all, since this day.
    #[arg(long, value_name = "DATE", conflicts_with = "vulnerability")]
    ceased: Option<String>,
    #[command(flatten)]
    output: Output,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum SeverityName {
    Low,
    Medium,
    High,
    Critical,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum ProfileName {
    Uk,
    Eu,
    Au,
    All,
}

#[derive(Debug, Args)]
pub(super) struct ContactArgs {
    /// The product.
    product: ProductName,
    /// A TOML file with contacts, acknowledgement_days, status_update_days and perhaps policy, encryption, languages.
    #[arg(value_name = "FILE", conflicts_with = "addresses")]
    file: Option<PathBuf>,
    /// An address: mailto: or https://. May be repeated.
    #[arg(long = "address", value_name = "URL", required_unless_present = "file")]
    addresses: Vec<String>,
    /// Days until a report is acknowledged.
    #[arg(long, value_name = "DAYS", required_unless_present = "file")]
    acknowledgement_days: Option<u16>,
    /// Days between status updates until it is resolved.
    #[arg(long, value_name = "DAYS", required_unless_present = "file")]
    status_update_days: Option<u16>,
    /// The disclosure policy's address.
    #[arg(long, value_name = "URL", conflicts_with = "file")]
    policy: Option<String>,
    /// Where to find a key to encrypt a report with.
    #[arg(long, value_name = "URL", conflicts_with = "file")]
    encryption: Option<String>,
    /// A language in which reports are understood, such as en. May be repeated.
    #[arg(long = "language", value_name = "TAG", conflicts_with = "file")]
    languages: Vec<String>,
    #[command(flatten)]
    output: Output,
}

#[derive(Debug, Args)]
pub(super) struct FileArgs {
    /// The product.
    product: ProductName,
    /// A TOML file; the book shows one.
    file: PathBuf,
    #[command(flatten)]
    output: Output,
}

#[derive(Debug, Args)]
pub(super) struct CohortArgs {
    /// The product.
    product: ProductName,
    /// A TOML file with a table [[cohort]] for each.
    file: PathBuf,
    /// What the new ones are promised: the last day. Without it they have what every unit has.
    #[arg(long, value_name = "DATE", requires = "reason")]
    until: Option<String>,
    /// Why this date, in plain words for the public.
    #[arg(long, value_name = "TEXT", requires = "until")]
    reason: Option<String>,
    #[command(flatten)]
    output: Output,
}

#[derive(Debug, Args)]
pub(super) struct AnnulArgs {
    /// The product.
    product: ProductName,
    /// Which promise, counted from 1; support show counts them.
    #[arg(long, value_name = "N")]
    promise: u32,
    /// What happened, in plain words for the public.
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// Where no promise would remain to some units: the last day that you promise them instead.
    #[arg(long, value_name = "DATE", requires = "reason_for_date")]
    until: Option<String>,
    /// Why this date, in plain words for the public.
    #[arg(long, value_name = "TEXT", requires = "until")]
    reason_for_date: Option<String>,
    #[command(flatten)]
    output: Output,
}

pub(super) fn run(command: SupportCommand, repo: &Path, io: &mut Io<'_>) -> Result<(), CliError> {
    match command {
        SupportCommand::Promise(args) => promise(args, true, repo, io),
        SupportCommand::Extend(args) => promise(args, false, repo, io),
        SupportCommand::Notice(args) => notice(args, repo, io),
        SupportCommand::Contact(args) => contact(args, repo, io),
        SupportCommand::Compliance(FileArgs { product, file, output }) => {
            change(&product, None, output, repo, io, |draft| {
                let statements = statements::read(&file, &draft.published()?.0)?;
                Ok(draft.statements(statements)?)
            })
        }
        SupportCommand::Model(FileArgs { product, file, output }) => {
            change(&product, None, output, repo, io, |draft| Ok(draft.details(details::read(&file)?)?))
        }
        SupportCommand::Cohort(args) => cohort(args, repo, io),
        SupportCommand::Show { product, output } => show(product.as_ref(), output, repo, io),
        SupportCommand::Lint { product, profiles, allowed, output } => {
            let (repository, _) = open_repository(repo)?;
            let report = Report::new(&repository, product.as_ref(), &named(&profiles), &allowed, io.now())?;
            io.report(output.json, &report)?;
            lint_result(&report)
        }
        SupportCommand::Label(args) => super::label::run(args, repo, io),
        SupportCommand::Annul(args) => annul(args, repo, io),
    }
}

fn lint_result(report: &Report) -> Result<(), CliError> {
    match report.errors() {
        0 => Ok(()),
        errors => Err(CliError::new(
            format!("what is published does not meet {errors} clause{}", if errors == 1 { "" } else { "s" }),
            "each finding says what to do; --allow RULE sets one aside",
        )),
    }
}

fn named(profiles: &[ProfileName]) -> Vec<Profile> {
    let has = |name| profiles.contains(&ProfileName::All) || profiles.contains(&name);
    let all =
        [(ProfileName::Uk, Profile::Uk), (ProfileName::Eu, Profile::Eu), (ProfileName::Au, Profile::Au)];
    all.into_iter().filter(|(name, _)| has(*name)).map(|(_, profile)| profile).collect()
}

/// Drafts a change of one product's record, and reports the proposal.
fn change(
    product: &ProductName,
    remark: Option<String>,
    output: Output,
    repo: &Path,
    io: &mut Io<'_>,
    propose: impl FnOnce(Draft<'_>) -> Result<Proposal, CliError>,
) -> Result<(), CliError> {
    let (repository, _) = open_repository(repo)?;
    let proposal = propose(Draft::new(&repository, product, io.now())?)?;
    let made = Made::new(repo, &proposal, io)?.remarking(remark.into_iter().collect());
    io.report(output.json, &made)
}

fn promise(args: PromiseArgs, first: bool, repo: &Path, io: &mut Io<'_>) -> Result<(), CliError> {
    let day = Day::of_promise(&args.until, io.now())?;
    let from = args.from.map(|from| from.parse::<Day>()).transpose()?;
    let replacement = args.replacement.map(|path| details::read_replacement(&path)).transpose()?;
    let contact = args.contact.map(|path| details::read_contact(&path)).transpose()?;
    let terms = Terms {
        until: day.last,
        reason: args.reason,
        from: from.map(Day::first),
        cohorts: args.cohorts,
        components: args.components,
        functionality: args.with_functionality,
        replacement,
    };
    change(&args.product, day.remark(), args.output, repo, io, |draft| {
        Ok(if first { draft.promise(&terms, contact)? } else { draft.extend(&terms, contact)? })
    })
}

fn notice(args: NoticeArgs, repo: &Path, io: &mut Io<'_>) -> Result<(), CliError> {
    let day = |text: &str| text.parse::<Day>().map(|day| day.last);
    let kind = match (args.vulnerability, args.severity, args.disclosed, args.ended_early, args.ceased) {
        (Some(id), Some(severity), Some(disclosed), ..) => {
            let severity = severity.severity();
            NoticeKind::Vulnerability(OpenVulnerability { id, severity, disclosed: day(&disclosed)? })
        }
        (.., Some(on), _) => NoticeKind::EndedEarly { on: day(&on)? },
        (.., Some(on)) => NoticeKind::Ceased { on: day(&on)? },
        _ => NoticeKind::Information,
    };
    let (text, advice, cohorts) = (args.text, args.advice, args.cohorts);
    let notice = Notice { made: io.now(), kind, text, advice, cohorts };
    change(&args.product, None, args.output, repo, io, |draft| Ok(draft.notice(notice)?))
}

fn contact(args: ContactArgs, repo: &Path, io: &mut Io<'_>) -> Result<(), CliError> {
    let contact = match &args.file {
        Some(path) => details::read_contact(path)?,
        None => {
            let contact = VulnerabilityContact {
                contacts: args.addresses,
                acknowledgement_days: args.acknowledgement_days.unwrap_or_default(),
                status_update_days: args.status_update_days.unwrap_or_default(),
                policy: args.policy,
                encryption: args.encryption,
                languages: args.languages,
            };
            contact
                .validate()
                .map_err(|e| CliError::with_hint(&e, "change what you ask for so that it fits"))?;
            contact
        }
    };
    change(&args.product, None, args.output, repo, io, |draft| Ok(draft.contact(contact)?))
}

fn cohort(args: CohortArgs, repo: &Path, io: &mut Io<'_>) -> Result<(), CliError> {
    let day = args.until.map(|until| Day::of_promise(&until, io.now())).transpose()?;
    let terms = day.zip(args.reason).map(|(day, reason)| Terms::new(day.last, reason));
    let written = cohorts::read(&args.file)?;
    let remark = day.and_then(Day::remark);
    change(&args.product, remark, args.output, repo, io, |draft| Ok(draft.cohorts(written, terms.as_ref())?))
}

fn annul(args: AnnulArgs, repo: &Path, io: &mut Io<'_>) -> Result<(), CliError> {
    let day = args.until.map(|until| Day::of_promise(&until, io.now())).transpose()?;
    let instead = day.zip(args.reason_for_date).map(|(day, reason)| Terms::new(day.last, reason));
    change(&args.product, day.and_then(Day::remark), args.output, repo, io, |draft| {
        Ok(draft.annul(args.promise, &args.reason, instead.as_ref())?)
    })
}

fn show(product: Option<&ProductName>, output: Output, repo: &Path, io: &mut Io<'_>) -> Result<(), CliError> {
    let (repository, _) = open_repository(repo)?;
    let mut shown = Shown::read(&repository, product, io.now())?;
    let Some(product) = product else { return io.report(output.json, &shown) };
    match shown.products.pop() {
        Some(summary) => io.report(output.json, &OneShown(summary)),
        None => Err(CliError::new(
            format!("{product} has no support record yet"),
            format!("support promise {product} --until DATE --reason TEXT --contact FILE makes the first"),
        )),
    }
}

impl SeverityName {
    fn severity(self) -> Severity {
        match self {
            Self::Low => Severity::Low,
            Self::Medium => Severity::Medium,
            Self::High => Severity::High,
            Self::Critical => Severity::Critical,
        }
    }
}
