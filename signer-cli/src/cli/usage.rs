//! Arguments that clap refused, in two lines: what was wrong with them, and what would be right.

use std::ffi::OsString;

use clap::CommandFactory as _;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use perennial_schemas::ProductName;

use super::{Cli, CliError};

/// What is wrong with these arguments, program's name included.
pub(super) fn refused(error: &clap::Error, args: &[OsString]) -> CliError {
    let command = named(args);
    use ErrorKind::{DisplayHelpOnMissingArgumentOrSubcommand, MissingSubcommand};
    if matches!(error.kind(), DisplayHelpOnMissingArgumentOrSubcommand | MissingSubcommand) {
        return CliError::usage(
            "no command was given".into(),
            format!("{command} --help shows the commands"),
        );
    }
    let text = error.render().to_string();
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let mut what = String::from(lines.next().unwrap_or_default().trim_start_matches("error: "));
    if what.ends_with(':') {
        let rest = lines.take_while(|line| !line.starts_with("Usage:") && !line.starts_with("tip:"));
        what = rest.fold(what, |what, line| what + " " + line);
    }
    let tip = text.lines().find_map(|line| line.trim().strip_prefix("tip: "));
    let help = format!("{command} --help shows how");
    let hint = match (right(error, &what), tip) {
        (Some(right), _) => format!("{right}; {help}"),
        (None, Some(tip)) => tip.into(),
        (None, None) => help,
    };
    CliError::usage(what, hint)
}

/// What could stand in place of a value.
fn right(error: &clap::Error, what: &str) -> Option<String> {
    if let Some(ContextValue::Strings(values)) = error.get(ContextKind::ValidValue)
        && let [first @ .., last] = values.as_slice()
    {
        let first = if first.is_empty() { String::new() } else { format!("{} or ", first.join(", ")) };
        return Some(format!("give {first}{last}"));
    }
    let Some(ContextValue::String(value)) = error.get(ContextKind::InvalidValue) else { return None };
    let lower = value.to_ascii_lowercase();
    let fits = what.contains("is no product name") && lower != *value && lower.parse::<ProductName>().is_ok();
    fits.then(|| format!("write {lower}"))
}

/// The command that these arguments name, as far as there is one: `perennial-signer product add`.
fn named(args: &[OsString]) -> String {
    let mut name = String::from("perennial-signer");
    let mut command = Cli::command();
    let mut words = args.iter().skip(1);
    while let Some(word) = words.next() {
        // The one option that may stand before a command.
        if word == "--repo" {
            words.next();
        } else if let Some(inner) = command.find_subcommand(word).cloned() {
            name = format!("{name} {}", inner.get_name());
            command = inner;
        }
    }
    name
}
