//! The sentences that people read, in English: on the review that a signer sees, on the page, on the label, on the device.
//! One place, so that they can't differ.

use alloc::format;
use alloc::string::String;

use super::{State, Status, Support};
use crate::time::Date;

/// What a signer is told before signing a promise, and everybody may hold a maker to.
pub const NEVER_EARLIER: &str = "This date can get later, never earlier.";

impl Status {
    /// The answer, in one sentence. `replaced` where units are replaced and never updated.
    pub fn sentence(&self, name: &str, today: Date, replaced: bool) -> String {
        let (until, left) = (self.until.in_words(), self.left);
        let gets = if replaced { "is replaced if a weakness becomes known" } else { "gets security updates" };
        let updates = if replaced { "replacement" } else { "security updates" };
        let past = self.ended_on.map(|on| format!("{}", on.in_words())).unwrap_or_default();
        match self.state {
            State::Supported | State::EndsSoon if self.until == today => {
                format!("{name} {gets} until today, {until}: this is the last day.")
            }
            State::Supported | State::EndsSoon => {
                format!("{name} {gets} until at least {until}: {left} left.")
            }
            State::Ended => format!("{name} no longer {gets}. Support ended on {until}."),
            State::EndedEarly => {
                format!(
                    "{name} no longer {gets}. Support was promised until {until} and ended early, on {past}."
                )
            }
            State::Lapsed => format!(
                "{name} was promised {updates} until {until}, but its maker no longer renews the signature on that \
                 promise. Don't count on it."
            ),
            State::Ceased => format!(
                "{name} no longer {gets}. Support was promised until {until}; its maker ceased on {past}."
            ),
        }
    }
}

impl Support {
    /// The answer on a day, in one sentence, for the model as it is sold.
    pub fn sentence(&self, today: Date, lapsed: bool) -> String {
        self.status(today, None, lapsed).sentence(self.display_name(), today, self.is_replaced_not_updated())
    }
}
