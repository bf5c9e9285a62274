//! What a quarantine means, what speaks for it, and what can be done about it, in words for operators. It decides nothing:
//! which flags quarantine, `Flag::is_of_a_clone` says.

use super::row::{Row, Standing};
use perennial_schemas::fleet::{DeviceId, Flag};
use serde::Serialize;
use utoipa::ToSchema;

/// See the module.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Quarantine {
    /// What it means.
    pub means: String,
    /// What speaks for a copied identity, a sentence each.
    pub evidence: Vec<String>,
    /// What can be done, with the commands.
    pub ways: Vec<String>,
}

impl Quarantine {
    /// A device's quarantine, if it is in one.
    pub fn of(device: &DeviceId, row: &Row) -> Option<Self> {
        if row.standing() != Standing::Quarantined {
            return None;
        }
        let evidence = row.flags.iter().filter(|(flag, _)| flag.is_of_a_clone()).map(|(flag, marked)| {
            let times = if marked.count == 1 {
                format!("at {}", marked.first)
            } else {
                format!("{} times, first at {}, last at {}", marked.count, marked.first, marked.last)
            };
            let clue = row.clues.get(flag).map_or_else(String::new, |clue| format!("; at first: {clue}"));
            format!("{flag}, {times}: {}{clue}", meaning(*flag))
        });
        Some(Self {
            means: "its identity (key and certificate) seems to be in two places. It is served and updated like any other; \
                    what it tells is kept and shown, and no rollout counts it"
                .into(),
            evidence: evidence.collect(),
            ways: vec![
                format!(
                    "there is one device, and a reason (a restored disk image, a swapped board): perennial-server device lift {device} --reason WORDS"
                ),
                format!(
                    "its key may have been copied: perennial-server device revoke {device} --reason WORDS; with a new key (there: move STATE/identity away, then perennial-device identity new) and a new factory certificate it is another device"
                ),
                format!(
                    "begin anew: perennial-server device erase {device} --yes; it enrols again by itself, and a copy that does so too shows again"
                ),
            ],
        })
    }
}

fn meaning(flag: Flag) -> &'static str {
    match flag {
        Flag::SequenceForked => "a report came with a number that another report has",
        Flag::TicketForked => "a check-in didn't show the ticket that the one before it was given",
        Flag::SupersededCertificate => "a certificate was used although another one had taken its place",
        _ => "something speaks for a copied identity",
    }
}
