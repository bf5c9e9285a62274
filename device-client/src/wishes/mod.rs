//! What an owner wants of the agent that runs: the agent alone works on the state, so a command leaves a small file beside it,
//! and finds the answer there.
//!
//! `STATE/wishes/NUMBER-ID.wish` is written whole or not at all, by the user that owns the state (mode 0600 in a folder of mode
//! 0700), and removed before it is obeyed: a wish is obeyed once, and a power cut in that moment loses it. The agent wakes
//! for it. `STATE/wishes/ID.answer` holds what came of it.
//!
//! Decides how many wishes may wait, and for how long they count. Never what comes of one.

mod ask;
mod inbox;

use std::path::{Path, PathBuf};

use perennial_schemas::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use ask::{AskError, Ticket, leave};
pub use inbox::{Inbox, Taken};

/// The folder in the state folder.
const FOLDER: &str = "wishes";
const FORMAT: &str = "perennial.wish/1";
/// Wishes that wait at once: an owner has few, and a script that goes round in circles fills no disk.
const WISHES: usize = 16;
/// Bytes of a wish: a hundred and some more.
const WISH_LENGTH: u64 = 1024;
/// Bytes of an answer. A check's is the longest, with the notes of a release (16 KiB) twice: as words, and as JSON.
const ANSWER_LENGTH: u64 = 256 * 1024;
/// Seconds for which a wish counts: one that is found by an agent that was off for a month is nobody's wish any more.
const COUNTS_SECONDS: i64 = 86_400;

/// What an owner may want of the agent that runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "want", deny_unknown_fields)]
pub enum Asked {
    /// Look for an update, and tell what was found.
    Check,
    /// Look for an update and install it.
    Update {
        /// Whatever its rollout, quiet hours or a postponement say.
        now: bool,
        /// What failed here, too.
        retry_failed: bool,
    },
    /// Put updates off.
    Postpone {
        /// Until then; in the past: no longer.
        until: Timestamp,
    },
    /// The release on trial works.
    Confirm,
    /// Go back to the release in the other slot.
    Revert,
}

/// What came of a wish.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "answer")]
pub enum Answer {
    /// What the command says, for people and as JSON.
    Said {
        /// Its exit status.
        status: u8,
        /// Lines.
        text: String,
        /// The same as JSON.
        json: Value,
    },
    /// It failed.
    Failed {
        /// The exit status.
        status: u8,
        /// What happened.
        what: String,
        /// What to do.
        hint: String,
    },
}

/// A wish as it is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    format: String,
    /// The device's clock.
    at: Timestamp,
    asked: Asked,
}

impl File {
    /// Whether it counts at `now`. A clock that was wrong when it was written, or is now, makes it nobody's.
    fn counts(&self, now: Timestamp) -> bool {
        self.format == FORMAT && self.at.unix().abs_diff(now.unix()) <= COUNTS_SECONDS.unsigned_abs()
    }
}

/// The number and the name of a wish, where the file is one: `00000007-0123456789abcdef.wish`.
fn parts(name: &str) -> Option<(u32, &str)> {
    let (number, id) = name.strip_suffix(".wish")?.split_once('-')?;
    let is_id = id.len() == 16 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    let number = if number.len() == 8 { number.parse().ok() } else { None };
    number.filter(|_| is_id).map(|number| (number, id))
}

fn answer_path(folder: &Path, id: &str) -> PathBuf {
    folder.join(format!("{id}.answer"))
}

#[cfg(test)]
mod tests;
