//! Quiet hours: when updates leave a device alone.
//!
//! Decides until when it is quiet, by the local time of day. Knows no time zones and no summer time: a zone is minutes ahead of
//! UTC. What began before goes on; a trial and a way back wait for nobody.

use perennial_schemas::Timestamp;

/// Quiet windows of a day.
pub const WINDOWS: usize = 4;
/// Minutes of a day that must not be quiet: an update needs some.
pub const LEAST_MINUTES: usize = 60;
/// Minutes that a zone may be ahead of UTC or behind it.
pub const OFFSET_MINUTES: i16 = 14 * 60;

const DAY: u16 = 24 * 60;

/// Quiet hours, each day the same; without any by default.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct QuietHours {
    windows: [Option<Window>; WINDOWS],
    /// Minutes that the local time is ahead of UTC.
    offset: i16,
}

/// From one minute of the day up to another; past midnight where that is the earlier one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// It begins with this minute, from 0 to 1,439.
    pub from: u16,
    /// It ends with the beginning of this one.
    pub to: u16,
}

/// These can't be quiet hours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotQuiet {
    /// Too many.
    #[error("there are more than {WINDOWS} quiet windows")]
    TooMany,
    /// A window of nothing, or past the end of the day.
    #[error("a quiet window is empty, or no time of a day")]
    Window,
    /// No such zone.
    #[error("a zone is at most {OFFSET_MINUTES} minutes ahead of UTC or behind it")]
    Offset,
    /// Nothing would ever be installed.
    #[error("less than {LEAST_MINUTES} minutes of a day are left for updates")]
    NothingLeft,
}

impl QuietHours {
    /// These windows of each day, where the local time is `offset` minutes ahead of UTC.
    ///
    /// # Errors
    /// [`NotQuiet`].
    pub fn new(windows: &[Window], offset: i16) -> Result<Self, NotQuiet> {
        if windows.len() > WINDOWS {
            return Err(NotQuiet::TooMany);
        }
        if windows.iter().any(|window| window.from == window.to || window.from >= DAY || window.to >= DAY) {
            return Err(NotQuiet::Window);
        }
        if offset.unsigned_abs() > OFFSET_MINUTES.unsigned_abs() {
            return Err(NotQuiet::Offset);
        }
        let left = (0..DAY).filter(|minute| !windows.iter().any(|window| window.holds(*minute))).count();
        if left < LEAST_MINUTES {
            return Err(NotQuiet::NothingLeft);
        }
        let mut hours = Self { offset, ..Self::default() };
        for (place, window) in hours.windows.iter_mut().zip(windows) {
            *place = Some(*window);
        }
        Ok(hours)
    }

    /// When the quiet ends in which `now` lies; `None` where it isn't quiet. Windows that follow each other are one.
    pub fn until(&self, now: Timestamp) -> Option<Timestamp> {
        let mut end = None;
        // Each window is left once at most: some of the day is not quiet.
        for _ in 0..WINDOWS {
            let Some(next) = self.end_of_window(end.unwrap_or(now)) else { break };
            end = Some(next);
        }
        end
    }

    fn end_of_window(&self, now: Timestamp) -> Option<Timestamp> {
        let local = now.plus_seconds(i64::from(self.offset) * 60).unix().rem_euclid(i64::from(DAY) * 60);
        let minute = (local / 60) as u16;
        let window = self.windows.iter().flatten().find(|window| window.holds(minute))?;
        let left = (i64::from(window.to) * 60 - local).rem_euclid(i64::from(DAY) * 60);
        Some(now.plus_seconds(left))
    }
}

impl Window {
    fn holds(&self, minute: u16) -> bool {
        if self.from < self.to {
            (self.from..self.to).contains(&minute)
        } else {
            minute >= self.from || minute < self.to
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    fn hours(windows: &[(u16, u16)], offset: i16) -> Result<QuietHours, NotQuiet> {
        let windows: Vec<Window> = windows.iter().map(|&(from, to)| Window { from, to }).collect();
        QuietHours::new(&windows, offset)
    }

    /// 2026-11-01 at this hour and minute UTC.
    fn at(hour: i64, minute: i64) -> Timestamp {
        Timestamp::from_unix(1_793_491_200).plus_seconds(hour * 3600 + minute * 60)
    }

    #[test]
    fn it_is_quiet_past_midnight_and_in_the_local_zone() {
        let night = hours(&[(22 * 60, 6 * 60 + 30)], 0).unwrap();
        assert_eq!(night.until(at(21, 59)), None);
        assert_eq!(night.until(at(22, 0)), Some(at(30, 30)));
        assert_eq!(night.until(at(6, 29)), Some(at(6, 30)));
        assert_eq!(night.until(at(6, 30)), None);
        // An hour ahead of UTC, and five hours behind it.
        assert_eq!(hours(&[(22 * 60, 6 * 60)], 60).unwrap().until(at(21, 0)), Some(at(29, 0)));
        assert_eq!(hours(&[(22 * 60, 6 * 60)], -300).unwrap().until(at(3, 0)), Some(at(11, 0)));
        assert_eq!(hours(&[(22 * 60, 6 * 60)], -300).unwrap().until(at(2, 59)), None);
        assert_eq!(night.until(Timestamp::from_unix(-1)), Some(Timestamp::from_unix(6 * 3600 + 1800)));
        assert_eq!(QuietHours::default().until(at(3, 0)), None);
    }

    #[test]
    fn windows_that_follow_each_other_are_one() {
        let evening = hours(&[(20 * 60, 22 * 60), (22 * 60, 60), (30, 120)], 0).unwrap();
        assert_eq!(evening.until(at(20, 30)), Some(at(26, 0)));
    }

    #[test]
    fn a_day_keeps_an_hour_for_updates() {
        assert_eq!(hours(&[(0, 1380)], 0).map(|_| ()), Ok(()));
        assert_eq!(hours(&[(0, 1381)], 0), Err(NotQuiet::NothingLeft));
        assert_eq!(hours(&[(0, 720), (700, 1400)], 0), Err(NotQuiet::NothingLeft));
        assert_eq!(hours(&[(60, 60)], 0), Err(NotQuiet::Window));
        assert_eq!(hours(&[(60, 1440)], 0), Err(NotQuiet::Window));
        assert_eq!(hours(&[(0, 1); 5], 0), Err(NotQuiet::TooMany));
        assert_eq!(hours(&[(0, 1)], 841), Err(NotQuiet::Offset));
    }
}
