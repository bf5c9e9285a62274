//! The device's own floors: the support date that it was promised, and the releases that it has ever seen withdrawn.
//!
//! Decides that neither moves back. These floors survive even TUF's fast-forward recovery, which clears versions of
//! roles: a promise is no version.

mod watch;

use alloc::collections::BTreeSet;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use perennial_schemas::channel::Channel;
use perennial_schemas::ident::CohortName;
use perennial_schemas::limits::CHANNEL_RELEASES;
use perennial_schemas::support::{Annulment, OnDevice, Support, SupportError};
use perennial_schemas::{Date, Document as _, Sha256Digest, Timestamp};
use serde::{Deserialize, Serialize};

pub(crate) use watch::Seen;
pub use watch::{SUPPORT_EVENTS, SupportEvent, SupportNews, Watch};

const FORMAT: &str = "perennial.floors/1";

/// What must never move down.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Floors {
    format: String,
    /// Manifests that were ever seen withdrawn, at most 4,096.
    withdrawn: BTreeSet<Sha256Digest>,
    /// The support record with the latest date that was verified here.
    support: Option<Support>,
    /// The date that was promised in a record that is lost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    promised_until: Option<Date>,
    /// What is known besides that record.
    #[serde(default)]
    pub(crate) watch: Watch,
}

/// The floors can't be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FloorsError {
    /// The bytes are no floors of this version.
    #[error("the device's floors can't be read: {0}")]
    Unreadable(String),
}

impl Default for Floors {
    fn default() -> Self {
        let (support, promised_until, watch) = (None, None, Watch::default());
        Self { format: FORMAT.into(), withdrawn: BTreeSet::new(), support, promised_until, watch }
    }
}

impl Floors {
    /// Where the old ones are lost, and something else remembers the date that was promised. What is withdrawn is learnt
    /// again with the next check.
    pub fn recover(promised_until: Option<Date>) -> Self {
        Self { promised_until, ..Self::default() }
    }

    /// Reads them.
    ///
    /// # Errors
    /// [`FloorsError::Unreadable`]; nothing is installed then.
    pub fn decode(bytes: &[u8]) -> Result<Self, FloorsError> {
        let floors: Self =
            serde_json::from_slice(bytes).map_err(|e| FloorsError::Unreadable(e.to_string()))?;
        if floors.format == FORMAT {
            Ok(floors)
        } else {
            Err(FloorsError::Unreadable(alloc::format!("format {:?}", floors.format)))
        }
    }

    /// Their bytes.
    ///
    /// # Errors
    /// [`FloorsError::Unreadable`] never for floors that this program made; the serialiser is fallible.
    pub fn encode(&self) -> Result<Vec<u8>, FloorsError> {
        serde_json::to_vec(self).map_err(|e| FloorsError::Unreadable(e.to_string()))
    }

    /// Manifests that were ever seen withdrawn.
    pub fn withdrawn(&self) -> &BTreeSet<Sha256Digest> {
        &self.withdrawn
    }

    /// The support record that counts.
    pub fn support(&self) -> Option<&Support> {
        self.support.as_ref()
    }

    /// What is known besides that record.
    pub fn watch(&self) -> &Watch {
        &self.watch
    }

    /// The record that counts, less what the trusted root has annulled of it since: until the record that says so
    /// arrives, both dates show. Where nothing would be left of it, it stays as it is.
    pub fn standing(&self, annulments: &[Annulment]) -> Option<Support> {
        let support = self.support.as_ref()?;
        let mut standing = support.clone();
        for annulment in annulments.iter().filter(|annulment| !support.annulled.contains(annulment)) {
            let index = (annulment.promise as usize).wrapping_sub(1);
            let promise = support.promises.get(index);
            if promise.is_some_and(|promise| annulment.names(&support.product, promise)) {
                standing.annulled.push(annulment.clone());
            }
        }
        let standing = standing.seal();
        Some(if standing.validate().is_ok() { standing } else { support.clone() })
    }

    /// What the device says of its support at `clock`, as a unit of `cohort`. `annulments` are those of the trusted root.
    pub fn on_device(
        &self,
        annulments: &[Annulment],
        cohort: Option<&CohortName>,
        clock: Timestamp,
    ) -> Option<OnDevice> {
        let (support, today) = (self.standing(annulments)?, self.watch.today(clock));
        // A record that an older agent kept came without its digest: the next check notes it.
        let sha256 = self.watch.sha256().unwrap_or(Sha256Digest([0; 32]));
        let said = OnDevice::of(&support, sha256, cohort, today, self.watch.expires());
        Some(OnDevice { last_seen: self.watch.seen(), refused: self.watch.refused().cloned(), ..said })
    }

    /// The last day on which security updates are promised to every unit.
    pub fn guaranteed_until(&self) -> Option<Date> {
        self.support.as_ref().map(Support::guaranteed_until).max(self.promised_until)
    }

    /// Remembers what a verified channel withdraws, for good, as far as there is room: at most 4,096 in a device's life.
    /// Returns how many found none. That is no reason to refuse updates for ever.
    pub fn note_withdrawn(&mut self, channel: &Channel) -> usize {
        let mut left_out = 0;
        for withdrawn in &channel.withdrawn {
            if self.withdrawn.len() < CHANNEL_RELEASES {
                self.withdrawn.insert(withdrawn.manifest);
            } else if !self.withdrawn.contains(&withdrawn.manifest) {
                left_out += 1;
            }
        }
        left_out
    }

    /// Takes a verified support record, if it may follow the one that counts. `annulments` are those of the trusted root.
    ///
    /// # Errors
    /// [`SupportError`]: an earlier date, a promise rewritten or left out. The old record then stays.
    pub fn note_support(&mut self, support: Support, annulments: &[Annulment]) -> Result<(), SupportError> {
        match &self.support {
            Some(previous) => support.may_follow_branch(previous, annulments)?,
            None => support.may_begin(annulments)?,
        }
        if let Some(promised) = self.promised_until {
            // What root has annulled was promised all the same, and may be what the lost record said.
            let offered = Support { annulled: Vec::new(), ..support.clone() }.guaranteed_until();
            if offered < promised {
                return Err(SupportError::Shorter { promised, offered, cohort: None });
            }
        }
        (self.support, self.promised_until) = (Some(support), None);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use perennial_schemas::Timestamp;
    use perennial_schemas::channel::Withdrawn;
    use perennial_schemas::support::{Promise, VulnerabilityContact};

    fn promise(date: &str) -> Promise {
        Promise::new(Timestamp::EPOCH, date.parse().unwrap(), "expected lifetime")
    }

    fn support(dates: &[&str]) -> Support {
        let contact = VulnerabilityContact::new("mailto:security@example.com", 2, 14);
        let mut promises = dates.iter().map(|date| promise(date));
        let mut support = Support::new("thermostat".parse().unwrap(), promises.next().unwrap(), contact);
        for promise in promises {
            support = support.successor(Sha256Digest([0; 32]), promise.made);
            support.promises.push(promise);
        }
        support
    }

    #[test]
    fn a_date_outlives_the_record_that_it_stood_in() {
        let until = |text: &str| Some(text.parse().unwrap());
        let mut floors = Floors::decode(&Floors::recover(until("2036-12-31")).encode().unwrap()).unwrap();
        assert_eq!(floors.guaranteed_until(), until("2036-12-31"));
        let error = floors.note_support(support(&["2031-12-31"]), &[]).unwrap_err();
        assert!(matches!(error, SupportError::Shorter { .. }), "{error}");
        floors.note_support(support(&["2031-12-31", "2036-12-31"]), &[]).unwrap();
        assert_eq!(floors.guaranteed_until(), until("2036-12-31"));
    }

    fn channel(withdrawn: core::ops::Range<u32>) -> Channel {
        let mut channel = Channel::new("thermostat".parse().unwrap(), "stable".parse().unwrap());
        channel.withdrawn = withdrawn
            .map(|n| Withdrawn {
                version: "1.0.0".parse().unwrap(),
                manifest: Sha256Digest(core::array::from_fn(|i| n.to_le_bytes()[i % 4])),
                reason: "x".into(),
                at: Timestamp::EPOCH,
            })
            .collect();
        channel
    }

    #[test]
    fn a_shorter_support_date_is_refused_and_the_longer_one_stays() {
        let mut floors = Floors::default();
        floors.note_support(support(&["2036-12-31"]), &[]).unwrap();
        let error = floors.note_support(support(&["2031-12-31"]), &[]).unwrap_err();
        assert!(matches!(error, SupportError::Shorter { .. }), "{error}");
        let kept = Floors::decode(&floors.encode().unwrap()).unwrap();
        assert_eq!(kept.guaranteed_until(), Some("2036-12-31".parse().unwrap()));
        floors.note_support(support(&["2036-12-31", "2041-12-31"]), &[]).unwrap();
        assert_eq!(floors.guaranteed_until(), Some("2041-12-31".parse().unwrap()));
    }

    #[test]
    fn withdrawn_releases_stay_when_a_channel_forgets_them() {
        let mut floors = Floors::default();
        floors.note_withdrawn(&channel(0..2));
        floors.note_withdrawn(&channel(0..0));
        assert_eq!(floors.withdrawn().len(), 2);
    }

    #[test]
    fn the_number_of_withdrawn_releases_is_bounded_and_fits_the_record() {
        let mut floors = Floors::default();
        let limit = CHANNEL_RELEASES as u32;
        assert_eq!(floors.note_withdrawn(&channel(0..limit - 1)), 0);
        assert_eq!(floors.note_withdrawn(&channel(limit - 2..limit + 2)), 2, "what fits is added");
        assert_eq!(floors.withdrawn().len(), CHANNEL_RELEASES);
        let length = floors.encode().unwrap().len() as u64;
        assert!(length < crate::port::Record::Floors.max_length() / 2, "{length}");
    }
}
