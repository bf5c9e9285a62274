//! `check`: what would be done, without doing it.

use std::fmt;

use perennial_device_core::crypto::Ring;
use perennial_device_core::decide::{self, Decision, Reason};
use perennial_device_core::run::Runner;
use perennial_device_core::session::Checked;
use perennial_schemas::release::{Class, FixedVulnerability, Notes};
use perennial_schemas::support::OnDevice;
use perennial_schemas::{Date, ReleaseVersion, Timestamp};
use serde::Serialize;

use super::common::Opened;
use super::recalled::Withdrawn;
use super::{AVAILABLE, CliError, HELD, Io, REFUSED, common};
use crate::agent::screen::Screen;
use crate::agent::tell::bytes;
use crate::agent::work;
use crate::config::Config;
use crate::wishes::Asked;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// What a check came to.
#[derive(Debug, Serialize)]
pub(super) struct CheckReport {
    decision: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    running: Option<ReleaseVersion>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<ReleaseVersion>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    offer: Option<Offer>,
    passed_over: Vec<PassedOver>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata_valid_until: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    security_updates_until: Option<Date>,
    #[serde(skip_serializing_if = "Option::is_none")]
    support_refused: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rollout_status_refused: Option<String>,
    /// That what runs was withdrawn.
    #[serde(skip_serializing_if = "Option::is_none")]
    withdrawn: Option<Withdrawn>,
    #[serde(skip)]
    support: Option<OnDevice>,
}

#[derive(Debug, Serialize)]
struct Offer {
    class: Class,
    notes: Notes,
    fixes: Vec<FixedVulnerability>,
    download_bytes: u64,
    image_bytes: u64,
}

#[derive(Debug, Serialize)]
struct PassedOver {
    version: Option<ReleaseVersion>,
    reason: String,
}

pub(super) fn run(arguments: &Arguments, config: &Config, io: &mut Io<'_>) -> Result<u8, CliError> {
    let mut adapters = match common::open_or_ask(config, io)? {
        Opened::Here(adapters) => adapters,
        Opened::Beside(agent) => return agent.ask(Asked::Check, config, arguments.json, io),
    };
    let mut quiet = |_: perennial_device_core::run::Notice<'_>| {};
    let mut runner =
        adapters.runner(work::settings(config), &mut quiet).map_err(|error| common::run_error(&error))?;
    let (report, status) = check(&mut runner, config, io.now())?;
    io.report(arguments.json, &report)?;
    Ok(status)
}

/// Checks, and says what would be done; with the exit status.
pub(super) fn check(
    runner: &mut Runner<'_, Ring>,
    config: &Config,
    now: Timestamp,
) -> Result<(CheckReport, u8), CliError> {
    let checked = runner.check(now).map_err(|error| common::session(&error))?;
    let session = runner.session().map_err(|error| common::session(&error))?;
    let annulments = &session.trust().root().annulments;
    let support = session.floors().on_device(annulments, config.cohort.as_ref(), now);
    let mut report = CheckReport::of(&checked);
    report.security_updates_until = support.as_ref().map(|said| said.guaranteed_until);
    report.support = support;
    report.withdrawn = Withdrawn::look(config);
    let journal = runner.client().journal();
    Screen::new(config).refresh(now);
    let booted = config.booted().slot().map_err(|error| common::port(&error))?;
    report.running = journal.content(booted).map(|content| content.version.clone());
    let status = match checked.decision {
        Decision::UpToDate { .. } => 0,
        Decision::Update { .. } => AVAILABLE,
        Decision::Held { .. } => HELD,
        Decision::Refused(_) => REFUSED,
    };
    Ok((report, status))
}

impl CheckReport {
    fn of(checked: &Checked) -> Self {
        let mut report = Self {
            decision: "current",
            running: None,
            version: None,
            reason: None,
            code: None,
            until: None,
            offer: None,
            passed_over: Vec::new(),
            metadata_valid_until: checked.validity.earliest().map(|(_, until)| until),
            security_updates_until: None,
            support_refused: checked.support_refused.as_ref().map(ToString::to_string),
            rollout_status_refused: checked
                .status_refused
                .as_ref()
                .map(|(version, why)| format!("of {version}: {why}")),
            withdrawn: None,
            support: None,
        };
        match &checked.decision {
            Decision::UpToDate { passed_over } => report.passed_over = skipped(passed_over),
            Decision::Update { version, passed_over, .. } => {
                report.decision = "update";
                report.version = Some(version.clone());
                report.passed_over = skipped(passed_over);
            }
            Decision::Held { told: passed, .. } | Decision::Refused(passed) => {
                report.version = passed.version.clone();
                report.reason = Some(passed.reason.to_string());
                match &passed.reason {
                    Reason::Held { until, .. } => (report.decision, report.until) = ("held", *until),
                    Reason::Refused(refusal) => {
                        (report.decision, report.code) = ("refused", Some(refusal.code().number()));
                    }
                }
            }
        }
        if let (Some(release), Some(plan)) = (&checked.release, &checked.plan) {
            report.offer = Some(Offer {
                class: release.class.clone(),
                notes: release.notes.clone(),
                fixes: release.fixes.clone(),
                download_bytes: plan.source.as_ref().map_or(0, |source| source.payload_length),
                image_bytes: plan.length,
            });
        }
        report
    }
}

fn skipped(passed_over: &[decide::PassedOver]) -> Vec<PassedOver> {
    let of = |passed: &decide::PassedOver| PassedOver {
        version: passed.version.clone(),
        reason: passed.reason.to_string(),
    };
    passed_over.iter().map(of).collect()
}

impl fmt::Display for CheckReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let version = self.version.as_ref().map_or("what is offered", ReleaseVersion::as_str);
        match &self.running {
            Some(running) => writeln!(f, "Running:  {running}")?,
            None => writeln!(f, "Running:  unknown, as it came from the factory")?,
        }
        if let Some(withdrawn) = &self.withdrawn {
            writeln!(f, "Recalled: {withdrawn}")?;
        }
        match (self.decision, &self.reason) {
            ("update", _) => writeln!(f, "Update:   {version} can be installed")?,
            ("current", _) => writeln!(f, "Update:   none; this device is up to date")?,
            (_, reason) => writeln!(f, "Update:   {version} {}", reason.as_deref().unwrap_or_default())?,
        }
        if let Some(offer) = &self.offer {
            writeln!(f, "What:     {}", offer.notes.what)?;
            if !offer.notes.why.is_empty() {
                writeln!(f, "Why:      {}", offer.notes.why)?;
            }
            let fixes: Vec<&str> = offer.fixes.iter().map(|fix| fix.id.as_str()).collect();
            if !fixes.is_empty() {
                writeln!(f, "Fixes:    {}", fixes.join(", "))?;
            }
            writeln!(
                f,
                "Size:     {} to download, {} installed",
                bytes(offer.download_bytes),
                bytes(offer.image_bytes)
            )?;
            match offer.notes.interruption_seconds {
                0 => writeln!(f, "Use:      can go on until the restart")?,
                seconds => writeln!(f, "Use:      is interrupted for {seconds} seconds")?,
            }
        }
        for passed in &self.passed_over {
            let version = passed.version.as_ref().map_or("the channel", ReleaseVersion::as_str);
            writeln!(f, "Skipped:  {version} {}", passed.reason)?;
        }
        if let Some(refused) = &self.rollout_status_refused {
            writeln!(f, "Refused:  a rollout status {refused}")?;
        }
        if let Some(refused) = &self.support_refused {
            writeln!(f, "Refused:  a support record: {refused}")?;
        }
        match &self.support {
            Some(said) => writeln!(f, "Support:  {}", said.sentence),
            None => writeln!(f, "Support:  the maker has promised nothing yet"),
        }
    }
}
