//! The device's own floors: the support date that it was promised, and the releases that it has ever seen withdrawn.
//!
//! Decides that neither moves back. These floors survive even TUF's fast-forward recovery, which clears versions of
//! roles: a promise is no version. Nor are they lost where an older version of this program takes a turn after a fall-back:
//! what it doesn't know of them it keeps as it stands.

mod distrust;
mod noted;
mod watch;

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use perennial_schemas::channel::Channel;
use perennial_schemas::ident::CohortName;
use perennial_schemas::limits::CHANNEL_RELEASES;
use perennial_schemas::report::FailureCode;
use perennial_schemas::support::{Annulment, OnDevice, Support, SupportError};
use perennial_schemas::{Date, Document as _, Sha256Digest, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::journal::PromisedTo;
use crate::rollout::Rollouts;

pub use distrust::{DISTRUSTS, Distrust};
use noted::Noted;
pub(crate) use watch::Seen;
pub use watch::{SUPPORT_EVENTS, SupportEvent, SupportNews, Watch};

const FORMAT: &str = "perennial.floors/1";

/// What must never move down.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Floors {
    format: String,
    /// Manifests that were ever seen withdrawn, at most 4,096.
    withdrawn: BTreeSet<Sha256Digest>,
    /// The support record with the latest date that was verified here.
    #[serde(default, rename = "support")]
    noted: Noted,
    /// The date that was promised in a record that is lost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    promised_until: Option<Date>,
    /// The date that was promised to the device's own cohort in that record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    promised_to: Option<PromisedTo>,
    /// What is known besides that record.
    #[serde(default)]
    pub(crate) watch: Watch,
    /// Metadata that was refused, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    distrust: Vec<Distrust>,
    /// How far rollouts have come.
    #[serde(default, skip_serializing_if = "Rollouts::is_empty")]
    pub(crate) rollouts: Rollouts,
    /// Floors that a later version of this program knows.
    #[serde(flatten)]
    later: BTreeMap<String, Value>,
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
        Self {
            format: FORMAT.into(),
            withdrawn: BTreeSet::new(),
            noted: Noted::default(),
            promised_until: None,
            promised_to: None,
            watch: Watch::default(),
            distrust: Vec::new(),
            rollouts: Rollouts::default(),
            later: BTreeMap::new(),
        }
    }
}

impl Floors {
    /// Where the old ones are lost, and something else remembers the dates that were promised: to every unit, and to those
    /// of the device's cohort. What is withdrawn is learnt again with the next check.
    pub fn recover(promised_until: Option<Date>, promised_to: Option<PromisedTo>) -> Self {
        Self { promised_until, promised_to, ..Self::default() }
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
        self.noted.support()
    }

    /// How far rollouts have come.
    pub fn rollouts(&self) -> &Rollouts {
        &self.rollouts
    }

    /// What is known besides that record.
    pub fn watch(&self) -> &Watch {
        &self.watch
    }

    /// Attempts to make the device trust what its signers did not sign, oldest first.
    pub fn distrust(&self) -> &[Distrust] {
        &self.distrust
    }

    /// A check ended with this error.
    pub(crate) fn note_failed(&mut self, code: FailureCode, why: &str, now: Timestamp) {
        distrust::note(&mut self.distrust, code, why, now);
    }

    /// A check found good metadata.
    pub(crate) fn note_trusted(&mut self, now: Timestamp) {
        distrust::end(&mut self.distrust, now);
    }

    /// The record that counts, less what the trusted root has annulled of it since: until the record that says so
    /// arrives, both dates show. Where nothing would be left of it, it stays as it is.
    pub fn standing(&self, annulments: &[Annulment]) -> Option<Support> {
        let support = self.support()?;
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
        self.support().map(Support::guaranteed_until).max(self.promised_until)
    }

    /// The last day on which they are promised to units of `cohort`, which is the device's own.
    pub fn promised_to(&self, cohort: Option<&CohortName>) -> Option<PromisedTo> {
        let Some(support) = self.support() else { return self.promised_to.clone() };
        let cohort = cohort.filter(|cohort| support.cohorts.iter().any(|known| known.name == **cohort))?;
        Some(PromisedTo { cohort: cohort.clone(), until: support.until(Some(cohort)) })
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
        match self.support() {
            Some(previous) => support.may_follow_branch(previous, annulments)?,
            None => support.may_begin(annulments)?,
        }
        let own = self.promised_to.as_ref().map(|own| (Some(&own.cohort), own.until));
        for (cohort, promised) in self.promised_until.map(|until| (None, until)).into_iter().chain(own) {
            // What root has annulled was promised all the same, and may be what the lost record said.
            let offered = Support { annulled: Vec::new(), ..support.clone() }.until(cohort);
            if offered < promised {
                return Err(SupportError::Shorter { promised, offered, cohort: cohort.cloned() });
            }
        }
        (self.noted, self.promised_until, self.promised_to) = (support.into(), None, None);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use perennial_schemas::Timestamp;
    use perennial_schemas::channel::Withdrawn;
    use perennial_schemas::support::{Cohort, Promise, VulnerabilityContact};

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
        let mut floors =
            Floors::decode(&Floors::recover(until("2036-12-31"), None).encode().unwrap()).unwrap();
        assert_eq!(floors.guaranteed_until(), until("2036-12-31"));
        let error = floors.note_support(support(&["2031-12-31"]), &[]).unwrap_err();
        assert!(matches!(error, SupportError::Shorter { .. }), "{error}");
        floors.note_support(support(&["2031-12-31", "2036-12-31"]), &[]).unwrap();
        assert_eq!(floors.guaranteed_until(), until("2036-12-31"));
    }

    #[test]
    fn the_date_of_the_device_s_own_cohort_outlives_the_record_too() {
        let (y2026, y2027): (CohortName, CohortName) = ("y2026".parse().unwrap(), "y2027".parse().unwrap());
        let record = |dates: [(&CohortName, &str); 2]| {
            let mut record = support(&dates.map(|(_, date)| date));
            for (index, (name, _)) in dates.into_iter().enumerate() {
                let from = if index == 0 { "2026-01-01" } else { "2027-01-01" };
                record.cohorts.push(Cohort {
                    name: name.clone(),
                    label: "Units".into(),
                    find: "On the label.".into(),
                    placed_from: from.parse().unwrap(),
                    placed_until: None,
                    batches: Vec::new(),
                    markets: Vec::new(),
                    hardware: Vec::new(),
                });
                record.promises[index].cohorts.push(name.clone());
            }
            record.seal()
        };
        let mut floors = Floors::default();
        floors.note_support(record([(&y2026, "2031-06-30"), (&y2027, "2033-06-30")]), &[]).unwrap();
        let own = floors.promised_to(Some(&y2027));
        assert_eq!(own.as_ref().map(|own| own.until), Some("2033-06-30".parse().unwrap()));
        let again = Floors::recover(floors.guaranteed_until(), own.clone());
        let mut again = Floors::decode(&again.encode().unwrap()).unwrap();
        assert_eq!(again.promised_to(Some(&y2027)), own, "still noted until a record follows");
        let rewritten = record([(&y2026, "2031-06-30"), (&y2027, "2031-06-30")]);
        let error = again.note_support(rewritten, &[]).unwrap_err();
        assert!(
            matches!(error, SupportError::Shorter { cohort: Some(ref name), .. } if *name == y2027),
            "{error}"
        );
        again.note_support(record([(&y2026, "2031-06-30"), (&y2027, "2033-06-30")]), &[]).unwrap();
        assert_eq!(again.promised_to(Some(&y2026)).map(|own| own.until), Some("2031-06-30".parse().unwrap()));
    }

    #[test]
    fn an_older_version_of_the_program_keeps_what_a_later_one_noted() {
        let mut floors = Floors::default();
        floors.note_support(support(&["2031-12-31"]), &[]).unwrap();
        let mut later: Value = serde_json::from_slice(&floors.encode().unwrap()).unwrap();
        later["least_ever"] = serde_json::json!({ "of": 7 });
        later["support"]["promises"][0]["of_a_later_version"] = "x".into();
        later["watch"]["of_a_later_version"] = "x".into();
        later["watch"]["told"] = serde_json::json!(["over", "of-a-later-version"]);

        let mut here = Floors::decode(&serde_json::to_vec(&later).unwrap()).unwrap();
        assert_eq!(here.support(), floors.support());
        here.note_withdrawn(&channel(0..1));
        let kept: Value = serde_json::from_slice(&here.encode().unwrap()).unwrap();
        assert_eq!((&kept["least_ever"], &kept["support"]), (&later["least_ever"], &later["support"]));
        assert_eq!(kept["withdrawn"].as_array().map(Vec::len), Some(1));

        here.note_support(support(&["2031-12-31", "2036-12-31"]), &[]).unwrap();
        let kept: Value = serde_json::from_slice(&here.encode().unwrap()).unwrap();
        assert_eq!(
            kept["support"],
            serde_json::to_value(here.support()).unwrap(),
            "another record counts now"
        );
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
