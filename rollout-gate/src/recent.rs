//! Who began lately.
//!
//! A device that has just begun can't have told how it went, and counts as tried: else the first failures of a healthy release,
//! which are told sooner than its successes, would halt it. Where a million devices begin within a day, that alone hides a bad
//! release for longer than its first dozen of failures would take. So the gate also judges those apart that began up to some
//! time, for several such times.
//!
//! That costs nothing of `alpha`. Take devices in the order in which they began. What the failures among the first `n` of them
//! say once all have told is a supermartingale in `n`, which passes `1/α` for any `n` with a chance of `α` at most (Ville).
//! Whenever one looks, no more of these `n` have failed than will have in the end; and the fewer failed, the less it says. So the
//! greatest of all that one ever sees, at whatever `n` and whatever time, stays below what Ville bounds.

use std::collections::BTreeMap;
use std::ops::AddAssign;

/// Whoever began so many minutes before the last one, or fewer, is left out in turn: close enough to each other that one lies
/// near to the time that devices take to tell, whatever that is.
const BACK: [i64; CUTS] =
    [1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048];
const CUTS: usize = 22;
/// Minutes in which somebody began that are kept: twice the longest way back.
const KEPT: usize = 4096;

/// Some devices of those that were tried.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Part {
    /// They began.
    pub(crate) tried: u64,
    /// Of these, those that say the release is bad.
    pub(crate) bad: u64,
}

/// When devices began, by the minute, as far back as it matters.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recent(BTreeMap<i64, Part>);

/// Those that began last, for each of some times: what is counted without them, is judged apart.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Young {
    /// When the last one began, in minutes of Unix time.
    newest: i64,
    parts: [Part; CUTS],
}

impl Recent {
    /// Adds a device, or takes one away, that began at `began` (seconds of Unix time).
    pub fn change(&mut self, began: i64, is_bad: bool, added: bool) {
        if added {
            self.add(began, Part { tried: 1, bad: is_bad.into() });
        } else if let Some(part) = self.0.get_mut(&began.div_euclid(60)) {
            part.tried = part.tried.saturating_sub(1);
            part.bad = part.bad.saturating_sub(is_bad.into()).min(part.tried);
        }
    }

    /// Adds devices that began at `began`.
    pub(crate) fn add(&mut self, began: i64, part: Part) {
        *self.0.entry(began.div_euclid(60)).or_default() += part;
        if self.0.len() > KEPT {
            self.0.pop_first();
        }
    }

    /// When the last device began, in minutes of Unix time.
    pub fn newest(&self) -> Option<i64> {
        self.0.last_key_value().map(|(minute, _)| *minute)
    }

    /// Who began last, seen from `newest`: one and the same for all hardware revisions, so that they are cut at the same times.
    pub fn young(&self, newest: i64) -> Young {
        let mut young = Young { newest, ..Young::default() };
        let mut minutes = self.0.iter().rev().peekable();
        let mut sum = Part::default();
        for (part, back) in young.parts.iter_mut().zip(BACK) {
            while let Some((_, of)) = minutes.next_if(|(minute, _)| **minute > newest - back) {
                sum += *of;
            }
            *part = sum;
        }
        young
    }
}

impl Young {
    /// Without the times before `since` (seconds of Unix time): what was counted by then was set aside.
    #[must_use]
    pub fn since(mut self, since: i64) -> Self {
        for (part, back) in self.parts.iter_mut().zip(BACK) {
            if self.newest - back < since.div_euclid(60) {
                *part = Part::default();
            }
        }
        self
    }

    /// Those to leave out, once for each time: the fewest first.
    pub(crate) fn parts(&self) -> impl Iterator<Item = Part> {
        self.parts.into_iter()
    }

    /// Together with others, cut at the same times.
    #[must_use]
    pub(crate) fn and(mut self, others: &Self) -> Self {
        self.newest = self.newest.max(others.newest);
        self.parts.iter_mut().zip(others.parts).for_each(|(part, other)| *part += other);
        self
    }

    /// What is left without a part of them.
    #[must_use]
    pub(crate) fn without(mut self, others: &Self) -> Self {
        for (part, other) in self.parts.iter_mut().zip(others.parts) {
            part.tried = part.tried.saturating_sub(other.tried);
            part.bad = part.bad.saturating_sub(other.bad);
        }
        self
    }
}

impl AddAssign for Part {
    fn add_assign(&mut self, other: Self) {
        self.tried += other.tried;
        self.bad += other.bad;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_are_young_that_began_after_each_time() {
        let mut recent = Recent::default();
        for minute in 0..100 {
            for device in 0..10 {
                recent.change(minute * 60 + device, device == 0, true);
            }
        }
        assert_eq!(recent.newest(), Some(99));
        let young = recent.young(99);
        let parts: Vec<Part> = young.parts().take(5).collect();
        let part = |minutes| Part { tried: 10 * minutes, bad: minutes };
        assert_eq!(parts, [1, 2, 3, 4, 6].map(part));
        assert_eq!(young.parts().last(), Some(part(100)));
        // Cut two minutes later, where another revision had a device.
        assert_eq!(recent.young(101).parts().take(4).collect::<Vec<_>>(), [0, 0, 1, 2].map(part));
        // The failure of minute 98 was one of a device that is told of otherwise now.
        recent.change(98 * 60, true, false);
        assert_eq!(recent.young(99).parts().nth(1), Some(Part { tried: 19, bad: 1 }));
        assert_eq!(young.without(&young).parts().last(), Some(part(0)));
        assert_eq!(young.and(&young).parts().next(), Some(part(2)));
    }

    #[test]
    fn what_was_set_aside_is_in_every_part_or_in_none() {
        let mut recent = Recent::default();
        (0..100).for_each(|minute| recent.change(minute * 60, false, true));
        let since = recent.young(99).since(93 * 60 + 59);
        let tried: Vec<u64> = since.parts().map(|part| part.tried).take(7).collect();
        assert_eq!(tried, [1, 2, 3, 4, 6, 0, 0]);
    }

    #[test]
    fn minutes_are_kept_as_far_back_as_it_matters() {
        let mut recent = Recent::default();
        (0..10_000).for_each(|minute| recent.change(minute * 60, false, true));
        assert_eq!(recent.0.len(), KEPT);
        assert_eq!(recent.young(9_999).parts().last().map(|part| part.tried), Some(2048));
        // One of a minute that is kept no more.
        recent.change(0, false, false);
        recent.change(0, false, true);
        assert_eq!(recent.0.len(), KEPT);
    }
}
