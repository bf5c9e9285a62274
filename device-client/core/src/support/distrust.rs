//! Metadata that was refused for what it is: signed by too few, by nobody known, or older than what is trusted.
//!
//! Decides what its owner is told of such an attempt, and until when it stands. Never decides what is trusted.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use perennial_schemas::Timestamp;
use perennial_schemas::report::FailureCode;
use serde::{Deserialize, Serialize};

/// Attempts that are remembered; the oldest goes first. At 800 bytes each they stay under 16 KiB.
pub const DISTRUSTS: usize = 16;
/// The length of the reason, in bytes of UTF-8; a longer one is cut.
const TEXT: usize = 600;
/// Checks in a row after which older metadata is no wonder any more: a front end that is a moment behind sends it once.
const PERSISTS: u8 = 2;

/// An attempt, as long as each check found it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Distrust {
    /// The device's clock at the first check that found it.
    pub since: Timestamp,
    /// Its number in reports: [`FailureCode::Signature`] or [`FailureCode::Rollback`].
    pub code: FailureCode,
    /// What was refused, and why.
    pub why: String,
    /// Checks that found it; not counted further than matters.
    checks: u8,
    /// When a check found good metadata again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub over: Option<Timestamp>,
}

impl Distrust {
    /// Whether somebody should look at it.
    pub fn is_alarming(&self) -> bool {
        self.code == FailureCode::Signature || self.checks >= PERSISTS
    }
}

/// Notes that a check ended with this error, if it is an attempt at all.
pub(super) fn note(attempts: &mut Vec<Distrust>, code: FailureCode, why: &str, now: Timestamp) {
    if !matches!(code, FailureCode::Signature | FailureCode::Rollback) {
        return;
    }
    let open = attempts.iter_mut().find(|attempt| attempt.over.is_none() && attempt.code == code);
    match open {
        Some(attempt) => attempt.checks = (attempt.checks + 1).min(PERSISTS),
        None => {
            let why = why[..why.floor_char_boundary(TEXT)].to_string();
            if attempts.len() >= DISTRUSTS {
                attempts.remove(0);
            }
            attempts.push(Distrust { since: now, code, why, checks: 1, over: None });
        }
    }
}

/// Notes that a check found good metadata.
pub(super) fn end(attempts: &mut [Distrust], now: Timestamp) {
    attempts.iter_mut().for_each(|attempt| attempt.over = attempt.over.or(Some(now)));
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::EPOCH;

    #[test]
    fn a_wrong_signature_alarms_at_once_and_older_metadata_when_it_persists() {
        let mut attempts = Vec::new();
        note(&mut attempts, FailureCode::Unreachable, "gone", NOW);
        note(&mut attempts, FailureCode::Expired, "over", NOW);
        assert_eq!(attempts, []);
        note(&mut attempts, FailureCode::Rollback, "timestamp.json", NOW);
        assert!(!attempts[0].is_alarming());
        note(&mut attempts, FailureCode::Signature, "targets.json", NOW);
        note(&mut attempts, FailureCode::Rollback, "timestamp.json", NOW.plus_seconds(60));
        assert!(attempts.len() == 2 && attempts.iter().all(Distrust::is_alarming));
        assert_eq!(attempts[0].since, NOW);
        let before = attempts.clone();
        note(&mut attempts, FailureCode::Signature, "targets.json", NOW);
        note(&mut attempts, FailureCode::Signature, "targets.json", NOW);
        note(&mut attempts, FailureCode::Rollback, "timestamp.json", NOW);
        let known = attempts.clone();
        note(&mut attempts, FailureCode::Signature, "targets.json", NOW);
        assert_eq!((attempts.len(), &attempts), (before.len(), &known), "and nothing is written each time");
    }

    #[test]
    fn an_attempt_stands_until_good_metadata_came_and_the_oldest_go_first() {
        let mut attempts = Vec::new();
        for at in 0..2 * DISTRUSTS as i64 {
            note(&mut attempts, FailureCode::Signature, &"é".repeat(TEXT), NOW.plus_seconds(at));
            end(&mut attempts, NOW.plus_seconds(at + 1));
        }
        assert_eq!(attempts.len(), DISTRUSTS);
        assert!(attempts.iter().all(|attempt| attempt.over == Some(attempt.since.plus_seconds(1))));
        assert!(serde_json::to_vec(&attempts).unwrap().len() < 16 * 1024);
    }
}
