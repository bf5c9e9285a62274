//! What is odd about a report or a device. A device is served all the same; what it says may count no longer.

use core::fmt;

use serde::{Deserialize, Serialize};

/// Something odd.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Flag {
    /// A sequence number with two contents: two places write as one device.
    SequenceForked,
    /// A ticket that is neither of the last two: two places check in as one device.
    TicketForked,
    /// A fleet certificate of before the last enrolment is in use.
    SupersededCertificate,
    /// A release that this server does not know, or one of another product or hardware.
    ImpossibleVersion,
    /// The device's clock is more than a day ahead of the server's.
    ClockAhead,
    /// It is more than a day behind, or before its certificate was issued.
    ClockBehind,
    /// Sent again with the same content, after it was acknowledged.
    Replayed,
    /// One that this version does not know.
    #[serde(other)]
    Unknown,
}

/// A report in which something is odd.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
pub struct Flagged {
    /// Its sequence number.
    pub sequence: u64,
    /// What is odd.
    pub flag: Flag,
}

impl Flag {
    /// Every one that this version knows.
    pub const ALL: &[Flag] = &[
        Flag::SequenceForked,
        Flag::TicketForked,
        Flag::SupersededCertificate,
        Flag::ImpossibleVersion,
        Flag::ClockAhead,
        Flag::ClockBehind,
        Flag::Replayed,
    ];

    /// Whether it speaks for a copied identity. Such a device is quarantined: what it reports is no evidence.
    pub fn is_of_a_clone(self) -> bool {
        matches!(self, Flag::SequenceForked | Flag::TicketForked | Flag::SupersededCertificate)
    }

    /// As it is written in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Flag::SequenceForked => "sequence-forked",
            Flag::TicketForked => "ticket-forked",
            Flag::SupersededCertificate => "superseded-certificate",
            Flag::ImpossibleVersion => "impossible-version",
            Flag::ClockAhead => "clock-ahead",
            Flag::ClockBehind => "clock-behind",
            Flag::Replayed => "replayed",
            Flag::Unknown => "unknown",
        }
    }
}

impl fmt::Display for Flag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
