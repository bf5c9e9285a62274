//! The trial of a new release: what a boot means for the update under way, and what a verdict does.
//!
//! Decides whether the boot loader has fallen back. Never asks the network, and no clock: a trial is bounded by how
//! often the product was asked, as a device's clock may jump by years in the first minutes after a boot.

use perennial_schemas::report::FailureCode;

use crate::machine::{Event, State};
use crate::port::{BootFlag, Slot, Verdict};

/// Boots that a new release gets.
pub const TRIES: u8 = 3;
/// How often the product may answer "not yet", and the program start, in one trial.
pub const QUESTIONS: u16 = 60;
/// Seconds between two questions: 60 of them are ten minutes.
pub const QUESTION_SECONDS: i64 = 10;

/// What it means for the update in `state`, meant for `target`, that `booted` is running and the boot loader thinks
/// `flag` of the target. `None`: nothing new.
pub fn at_start(state: State, target: Slot, booted: Slot, flag: BootFlag) -> Option<Event> {
    let is_new = booted == target;
    let tries_left = match flag {
        BootFlag::Trying(left) => left,
        _ => 0,
    };
    match state {
        State::Idle | State::Confirmed | State::FellBack { .. } | State::Retiring => None,
        // Its boot loader was told, and the power went before the journal was.
        State::Installed if is_new => Some(Event::BootedNew),
        State::Installed if flag == BootFlag::Trying(0) => old(FailureCode::DidNotBoot),
        // The program was killed in between: what the boot loader starts next must not be forgotten.
        State::Installed if tries_left > 0 => Some(Event::Activated { tries: tries_left }),
        State::Installed => None,
        // The slot that was to be written is the one that runs: somebody has switched by hand. Never write into it.
        state if state.is_before_activation() => is_new.then_some(Event::Dropped),
        State::Activated { .. } if is_new => Some(Event::BootedNew),
        // The program was started again before the device was.
        State::Activated { .. } if tries_left > 0 => None,
        State::Activated { .. } => old(FailureCode::DidNotBoot),
        State::Trying if is_new => Some(Event::BootedNew),
        // It ran, said nothing bad, and is gone.
        State::Trying => old(FailureCode::UnattributedReset),
        State::Unhealthy { .. } if is_new => None,
        State::Unhealthy { code } => old(code),
        _ => None,
    }
}

/// Whether the device was to restart into the release of this update, and runs the old one. Once that is no wonder: the
/// program may have been started again before the device was.
pub fn is_fruitless_start(state: State, target: Slot, booted: Slot) -> bool {
    booted != target && matches!(state, State::Activated { .. } | State::Confirmed)
}

fn old(code: FailureCode) -> Option<Event> {
    Some(Event::BootedOld { code })
}

/// What a verdict does, when the product has said "not yet" so often before.
pub fn judge(verdict: &Verdict, asked: u16) -> Option<Event> {
    match verdict {
        Verdict::Healthy => Some(Event::Healthy),
        Verdict::NotYet if asked < QUESTIONS => None,
        Verdict::NotYet | Verdict::Unhealthy(_) => Some(Event::Unhealthy { code: FailureCode::Unhealthy }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_boot_means() {
        use FailureCode as F;
        let (new, old) = (Slot::B, Slot::A);
        let fell_back = |code| Some(Event::BootedOld { code });
        let unhealthy = State::Unhealthy { code: F::Unhealthy };
        let activated = State::Activated { tries: 3 };
        let installing = State::Installing { offset: 4096 };
        #[rustfmt::skip]
        let table = [
            // state        booted  flag of the target      means
            (State::Idle,      old, BootFlag::Good,         None),
            (State::Verified,  old, BootFlag::Good,         None),
            (State::Verified,  new, BootFlag::Good,         Some(Event::Dropped)),
            (installing,       old, BootFlag::Unbootable,   None),
            (installing,       new, BootFlag::Good,         Some(Event::Dropped)),
            (State::Installed, old, BootFlag::Unbootable,   None),
            (State::Installed, new, BootFlag::Trying(2),    Some(Event::BootedNew)),
            (State::Installed, old, BootFlag::Trying(3),    Some(Event::Activated { tries: 3 })),
            (State::Retiring,  old, BootFlag::Trying(3),    None),
            (State::Retiring,  new, BootFlag::Trying(2),    None),
            (State::Installed, old, BootFlag::Trying(0),    fell_back(F::DidNotBoot)),
            (activated,        new, BootFlag::Trying(2),    Some(Event::BootedNew)),
            (activated,        old, BootFlag::Trying(3),    None),
            (activated,        old, BootFlag::Trying(0),    fell_back(F::DidNotBoot)),
            (activated,        old, BootFlag::Unbootable,   fell_back(F::DidNotBoot)),
            (State::Trying,    new, BootFlag::Trying(1),    Some(Event::BootedNew)),
            (State::Trying,    old, BootFlag::Trying(0),    fell_back(F::UnattributedReset)),
            (unhealthy,        new, BootFlag::Trying(1),    None),
            (unhealthy,        old, BootFlag::Unbootable,   fell_back(F::Unhealthy)),
            (State::Confirmed, new, BootFlag::Trying(1),    None),
            (State::Confirmed, old, BootFlag::Trying(0),    None),
        ];
        for (state, booted, flag, expected) in table {
            assert_eq!(at_start(state, new, booted, flag), expected, "{state:?} {booted:?} {flag:?}");
        }
    }

    #[test]
    fn a_start_of_the_old_release_is_fruitless_where_the_new_one_was_to_come() {
        for (state, fruitless) in [
            (State::Activated { tries: 3 }, true),
            (State::Confirmed, true),
            (State::Installed, false),
            (State::Trying, false),
            (State::Retiring, false),
        ] {
            assert_eq!(is_fruitless_start(state, Slot::B, Slot::A), fruitless, "{state:?}");
            assert!(!is_fruitless_start(state, Slot::B, Slot::B), "{state:?}");
        }
    }

    #[test]
    fn silence_is_unhealthy_in_the_end() {
        assert_eq!(judge(&Verdict::NotYet, QUESTIONS - 1), None);
        let unhealthy = Some(Event::Unhealthy { code: FailureCode::Unhealthy });
        assert_eq!(judge(&Verdict::NotYet, QUESTIONS), unhealthy);
        assert_eq!(judge(&Verdict::Unhealthy("no".into()), 0), unhealthy);
        assert_eq!(judge(&Verdict::Healthy, 9), Some(Event::Healthy));
    }
}
