//! One thing that would change: for people as lines, for programs as JSON.

use std::fmt;

use perennial_schemas::{Date, ProductName, RoleName};
use serde::Serialize;

use crate::plain::grouped;
use crate::support::SupportChange;
use crate::terminal::quoted;

/// A target file as it stands or would stand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TargetState {
    /// Its length in bytes.
    pub length: u64,
    /// Its SHA-256 in hexadecimal digits; empty where it has none.
    pub sha256: String,
}

/// One thing that would change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "what", rename_all = "kebab-case")]
pub enum Item {
    /// Whose keys hold a role of a first root.
    RoleKeys {
        /// The role.
        role: String,
        /// How many must sign.
        threshold: u32,
        /// Its keys, for people.
        keys: Vec<String>,
    },
    /// A key comes to a role of the root.
    KeyAdded {
        /// The role.
        role: String,
        /// The key, for people.
        key: String,
    },
    /// A key leaves a role of the root.
    KeyRemoved {
        /// The role.
        role: String,
        /// The key, for people.
        key: String,
    },
    /// How many keys must sign for a role.
    Threshold {
        /// The role.
        role: String,
        /// So far.
        from: Option<u32>,
        /// From then on.
        to: u32,
        /// How many keys the role would have.
        keys: usize,
    },
    /// A product or another delegated role comes, or its team changes.
    Team {
        /// The role.
        role: RoleName,
        /// Whether it is new.
        new: bool,
        /// What it may vouch for.
        paths: Vec<String>,
        /// How many must sign.
        threshold: u32,
        /// Its keys, for people.
        keys: Vec<String>,
    },
    /// A delegated role is no longer delegated to.
    TeamRemoved {
        /// The role.
        role: RoleName,
    },
    /// The files of a product's releases come to stand in bins, or the bins' team changes.
    Bins {
        /// The product.
        product: ProductName,
        /// How many bins.
        bins: usize,
        /// Whether they are new.
        new: bool,
        /// How many must sign each.
        threshold: u32,
        /// Their keys, for people.
        keys: Vec<String>,
    },
    /// Targets that move into the product's bins, and stay as they are.
    MovedAway {
        /// How many.
        targets: usize,
    },
    /// Targets that the product's role listed so far, and that stay as they are.
    MovedHere {
        /// How many.
        targets: usize,
    },
    /// A target file comes, changes, or goes.
    Target {
        /// Its path.
        path: String,
        /// As it stands.
        before: Option<TargetState>,
        /// As it would stand.
        after: Option<TargetState>,
    },
    /// What a support record would change.
    Support(Box<SupportChange>),
    /// A promise that root takes back.
    Annulment {
        /// Whose.
        product: ProductName,
        /// Which, counted from 1.
        promise: u32,
        /// The date that it gave.
        until: Date,
        /// What happened.
        reason: String,
    },
    /// Something that the release, channel or index says, in plain words.
    Note {
        /// The words.
        text: String,
    },
    /// Something that whoever signs must not miss.
    Warning {
        /// What.
        text: String,
    },
    /// A new role that vouches for nothing yet.
    NothingYet,
    /// Only version, date and expiry change.
    SameContent,
    /// The snapshot is made when the roles are signed.
    SnapshotLater {
        /// How long it lasts, in days.
        days: u16,
    },
    /// An offline timestamp upon the snapshot would last longer than usual.
    TimestampLater {
        /// How long, in days.
        days: u16,
    },
}

impl fmt::Display for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Item::RoleKeys { role, threshold, keys } => {
                let of =
                    format!("{threshold} of {} {}", keys.len(), if keys.len() == 1 { "key" } else { "keys" });
                writeln!(f, "  + {role} needs {of}: {}", keys.join(", "))
            }
            Item::NothingYet => writeln!(f, "  vouches for nothing yet"),
            Item::KeyAdded { role, key } => writeln!(f, "  + {key} may sign for {role}"),
            Item::KeyRemoved { role, key } => writeln!(f, "  - {key} may no longer sign for {role}"),
            Item::Threshold { role, from: None, to, keys } => {
                writeln!(f, "  + {to} of {keys} keys must sign for {role}")
            }
            Item::Threshold { role, from: Some(from), to, keys } => {
                writeln!(f, "  ~ {to} of {keys} keys must sign for {role} (so far {from})")
            }
            Item::Team { role, new, paths, threshold, keys } => {
                let (mark, what) = if *new { ('+', "delegates") } else { ('~', "delegates anew") };
                writeln!(
                    f,
                    "  {mark} {what} {} to {role}: {threshold} of {} keys must sign",
                    quoted(&paths.join(" ")),
                    keys.len()
                )?;
                keys.iter().try_for_each(|key| writeln!(f, "      {key}"))
            }
            Item::Bins { product, bins, new, threshold, keys } => {
                let (mark, what) = if *new { ('+', "spreads") } else { ('~', "spreads anew") };
                let of = keys.len();
                writeln!(f, "  {mark} {what} the files of releases over {bins} bins, {product}.bin-…:")?;
                writeln!(
                    f,
                    "      devices load a part of the list; {threshold} of {of} keys must sign each bin"
                )?;
                keys.iter().try_for_each(|key| writeln!(f, "      {key}"))
            }
            Item::MovedAway { targets } => {
                writeln!(f, "  = {} targets move into its bins, as they stand", grouped(*targets as u64))
            }
            Item::MovedHere { targets } => {
                writeln!(f, "  = takes over {} targets, as they stand", grouped(*targets as u64))
            }
            Item::TeamRemoved { role } => {
                writeln!(f, "  - {role} is no longer delegated to: nobody vouches for it")
            }
            Item::Target { path, before, after } => target(f, path, before.as_ref(), after.as_ref()),
            Item::Support(change) => change.fmt(f),
            Item::Annulment { product, promise, until, reason } => {
                writeln!(
                    f,
                    "  ! promise {promise} of {product}, until {}, is ANNULLED: it counts no more",
                    until.in_words()
                )?;
                writeln!(f, "    Reason: {}", quoted(reason))
            }
            Item::Note { text } => text.lines().try_for_each(|line| writeln!(f, "    {line}")),
            Item::Warning { text } => writeln!(f, "  ! WARNING: {text}"),
            Item::SameContent => writeln!(f, "  = the same content, signed anew"),
            Item::SnapshotLater { days } => {
                writeln!(f, "  made and signed when everything above is signed; it lasts {days} days")
            }
            Item::TimestampLater { days } => {
                writeln!(f, "  an offline timestamp upon it, if its key signs one, lasts {days} days")
            }
        }
    }
}

fn target(
    f: &mut fmt::Formatter<'_>,
    path: &str,
    before: Option<&TargetState>,
    after: Option<&TargetState>,
) -> fmt::Result {
    let mark = match (before, after) {
        (None, _) => '+',
        (Some(_), Some(_)) => '~',
        (Some(_), None) => '-',
    };
    writeln!(f, "  {mark} {}", quoted(path))?;
    if let Some(after) = after {
        writeln!(f, "      {} bytes  sha256 {}", grouped(after.length), after.sha256)?;
    }
    if let Some(before) = before {
        let word = if after.is_some() { "so far" } else { "was" };
        writeln!(f, "      {} bytes  sha256 {} ({word})", grouped(before.length), before.sha256)?;
    }
    Ok(())
}
