//! `postpone`: the owner puts updates off.

use std::fmt;

use perennial_device_core::machine::Wish;
use perennial_schemas::Timestamp;
use serde::Serialize;

use super::common::Opened;
use super::{CliError, Io, common};
use crate::agent::work::settings;
use crate::config::Config;
use crate::wishes::Asked;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// For how many days from now, up to 30; 0 ends it. A release may be signed with a shorter limit.
    #[arg(allow_negative_numbers = true, value_parser = clap::value_parser!(u8).range(0..=30))]
    days: u8,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
pub(super) struct Postponed {
    until: Option<Timestamp>,
}

pub(super) fn run(arguments: &Arguments, config: &Config, io: &mut Io<'_>) -> Result<u8, CliError> {
    let now = io.now();
    let until = now.plus_days(arguments.days.into());
    let mut adapters = match common::open_or_ask(config, io)? {
        Opened::Here(adapters) => adapters,
        Opened::Beside(agent) => return agent.ask(Asked::Postpone { until }, config, arguments.json, io),
    };
    let mut quiet = |_: perennial_device_core::run::Notice<'_>| {};
    let mut runner =
        adapters.runner(settings(config), &mut quiet).map_err(|error| common::run_error(&error))?;
    let kept = runner.wish(Wish::PostponeUntil(until), now).and_then(|()| runner.keep(now));
    kept.map_err(|error| common::run_error(&error))?;
    io.report(arguments.json, &Postponed::of(until, now))?;
    Ok(0)
}

impl Postponed {
    pub(super) fn of(until: Timestamp, now: Timestamp) -> Self {
        Self { until: (until > now).then_some(until) }
    }
}

impl fmt::Display for Postponed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.until {
            Some(until) => {
                writeln!(f, "Updates are put off until {until}, or as long as their maker lets you.")
            }
            None => writeln!(f, "Updates are installed when they come."),
        }
    }
}
