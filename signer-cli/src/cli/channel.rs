//! `channel show|create|offer`, and `withdraw`

use std::fmt;
use std::path::Path;

use clap::{Args, Subcommand};
use perennial_schemas::channel::Channel;
use perennial_schemas::ident::{ChannelName, ProductName};
use perennial_schemas::{ReleaseVersion, Sha256Digest};
use serde::Serialize;

use super::proposal::Made;
use super::{CliError, Io};
use crate::release::{Standing, offer};
use crate::repository::Repository;

/// What a product offers.
#[derive(Debug, Subcommand)]
pub(super) enum ChannelCommand {
    /// Show a product's releases, and which channel offers or has withdrawn them.
    Show {
        /// The product.
        product: ProductName,
        /// Print the report as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Propose a channel that offers nothing yet.
    Create {
        /// The product.
        product: ProductName,
        /// The channel's name.
        channel: ChannelName,
        /// Print the report as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Propose to offer a published release on one more channel.
    Offer {
        /// The product.
        product: ProductName,
        /// The release.
        version: ReleaseVersion,
        /// The channel.
        #[arg(long, value_name = "NAME")]
        channel: ChannelName,
        /// Print the report as JSON.
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Args)]
pub(super) struct WithdrawArgs {
    /// The product.
    product: ProductName,
    /// The release.
    version: ReleaseVersion,
    /// Why, in plain words; owners read it.
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// Print the report as JSON.
    #[arg(long)]
    json: bool,
}

/// Runs a command on channels.
///
/// # Errors
/// [`CliError`]
pub(super) fn run(command: ChannelCommand, repo: &Path, io: &mut Io<'_>) -> Result<(), CliError> {
    let repository = Repository::open(repo)?;
    let now = io.now();
    match command {
        ChannelCommand::Show { product, json } => {
            let standing = Standing::read(&repository, &product)?;
            io.report(json, &ShowReport::new(standing))
        }
        ChannelCommand::Create { product, channel, json } => {
            let standing = Standing::read(&repository, &product)?;
            let proposal = offer::create(&repository, &standing, &channel, now)?;
            io.report(json, &Made::new(repo, &proposal, io)?)
        }
        ChannelCommand::Offer { product, version, channel, json } => {
            let standing = Standing::read(&repository, &product)?;
            let proposal = offer::offer(&repository, &standing, &version, &channel, now)?;
            io.report(json, &Made::new(repo, &proposal, io)?)
        }
    }
}

/// Proposes to withdraw a release.
///
/// # Errors
/// [`CliError`]
pub(super) fn withdraw(args: &WithdrawArgs, repo: &Path, io: &mut Io<'_>) -> Result<(), CliError> {
    if args.reason.trim().is_empty() {
        let hint = "say in a few words what is wrong with the release: devices and their owners are told";
        return Err(CliError::new("a withdrawal has a reason, and this one is empty", hint));
    }
    let repository = Repository::open(repo)?;
    let standing = Standing::read(&repository, &args.product)?;
    let proposal = offer::withdraw(&repository, &standing, &args.version, &args.reason, io.now())?;
    io.report(args.json, &Made::new(repo, &proposal, io)?)
}

#[derive(Debug, Serialize)]
struct ShowReport {
    product: ProductName,
    releases: Vec<ReleaseLine>,
    channels: Vec<Channel>,
}

#[derive(Debug, Serialize)]
struct ReleaseLine {
    version: ReleaseVersion,
    manifest: Sha256Digest,
    offered_on: Vec<ChannelName>,
    withdrawn: Option<String>,
}

impl ShowReport {
    fn new(standing: Standing) -> Self {
        let channels: Vec<Channel> = standing.channels.into_values().collect();
        let line = |(version, manifest): (ReleaseVersion, Sha256Digest)| {
            let offers = |channel: &&Channel| channel.releases.iter().any(|entry| entry.manifest == manifest);
            let mut withdrawn = channels.iter().flat_map(|channel| &channel.withdrawn);
            ReleaseLine {
                offered_on: channels.iter().filter(offers).map(|channel| channel.channel.clone()).collect(),
                withdrawn: withdrawn
                    .find(|entry| entry.manifest == manifest)
                    .map(|entry| entry.reason.clone()),
                version,
                manifest,
            }
        };
        let releases = standing.releases.into_iter().map(line).collect();
        Self { product: standing.product, releases, channels }
    }
}

impl fmt::Display for ShowReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.releases.is_empty() {
            writeln!(f, "{} has no releases.", self.product)?;
        }
        for release in &self.releases {
            let channels: Vec<_> = release.offered_on.iter().map(ChannelName::as_str).collect();
            let state = match &release.withdrawn {
                Some(reason) => format!("withdrawn: {reason}"),
                None if channels.is_empty() => "not offered".into(),
                None => format!("on {}", channels.join(", ")),
            };
            writeln!(f, "{:<16} {state}", release.version.as_str())?;
        }
        let channels: Vec<_> = self.channels.iter().map(|channel| channel.channel.as_str()).collect();
        writeln!(f, "Channels: {}", if channels.is_empty() { "none".into() } else { channels.join(", ") })
    }
}
