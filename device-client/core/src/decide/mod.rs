//! Which release this device installs now, or why it installs none.
//!
//! Pure: documents and facts in, a decision with its reason out. It never fetches, and it never weighs anything that
//! was not verified: whoever calls it has checked every document against signed metadata.
//!
//! A release that is rolled out in stages is taken once the plan that its signers made, and the status that its server
//! signs, let this device have it ([`perennial_schemas::rollout::admit()`]); the status is asked for only once the planned
//! time has come.
//!
//! The newest release that may be installed is taken. A release that may not be (a barrier in front of it, another
//! hardware) is passed over with its reason, so that a barrier leads through the release before it. Where all that is newer is
//! for other hardware, the device is up to date: its hardware is no error as long as any release of the channel is for it.

mod reason;
mod rollout;

pub use reason::{Decision, HoldReason, PassedOver, Reason, Refusal};

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::cmp::Ordering;

use perennial_schemas::channel::{Channel, Offered};
use perennial_schemas::crypto::Digest;
use perennial_schemas::document::FormatError;
use perennial_schemas::ident::{ChannelName, DeviceId, Label};
use perennial_schemas::release::{DeltaSource, Encoding, Image, Payload, Release};
use perennial_schemas::report::FailureCode;
use perennial_schemas::rollout::RolloutStatus;
use perennial_schemas::{HardwareName, ProductName, Sha256Digest, Timestamp};

use self::rollout::Turn;
use crate::journal::{AtOnce, Content, FAILURE_WAITS, FailedRelease, PutOff};
use crate::rollout::Rollouts;

/// Manifests looked at in one decision. A maker with more barriers in a row than this withdraws old releases.
pub const MANIFESTS: usize = 64;

/// The longest that an owner may put updates off at once, in seconds: thirty days. A later time was noted by a clock that
/// ran ahead. A release's maker may sign a shorter limit.
pub const POSTPONED_SECONDS: i64 = 30 * 86_400;

const LONGEST_WAIT: i64 = FAILURE_WAITS[FAILURE_WAITS.len() - 1];

/// What is known of the device.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'f> {
    /// What it is.
    pub product: &'f ProductName,
    /// Its hardware revision.
    pub hardware: &'f HardwareName,
    /// The channel that it follows.
    pub channel: &'f ChannelName,
    /// The release that runs, where it is known.
    pub running: Option<&'f Content>,
    /// The anti-rollback counter.
    pub counter: u32,
    /// Manifests that were ever seen withdrawn, from the floors.
    pub withdrawn: &'f BTreeSet<Sha256Digest>,
    /// Releases that failed here.
    pub failed: &'f [FailedRelease],
    /// Until when the owner has put updates off.
    pub postponed_until: Option<Timestamp>,
    /// The release that was last put off, and since when.
    pub put_off: Option<&'f PutOff>,
    /// Room for an image, in bytes.
    pub capacity: u64,
    /// Where it stands in rollouts.
    pub standing: Standing<'f>,
    /// What its owner wants at once: neither its rollout nor a postponement counts.
    pub at_once: Option<AtOnce>,
}

/// Where a device stands in rollouts, and what it knows of them.
#[derive(Debug, Clone, Copy)]
pub struct Standing<'f> {
    /// The name by which its place is drawn.
    pub drawn_as: &'f DeviceId,
    /// What marks it for early groups.
    pub labels: &'f BTreeSet<Label>,
    /// When the role was signed that offers releases to it.
    pub signed_at: Option<Timestamp>,
    /// What it remembers.
    pub remembered: &'f Rollouts,
    /// The time that counts for rollouts: its clock's, and never before the newest offline signature.
    pub now: Timestamp,
}

/// What was fetched for a decision, by the manifests' digests.
#[derive(Debug, Clone, Default)]
pub struct Documents {
    /// Manifests.
    pub manifests: BTreeMap<Sha256Digest, Manifest>,
    /// Statuses of rollouts that count now; `None` where there is none that does.
    pub statuses: BTreeMap<Sha256Digest, Option<RolloutStatus>>,
}

/// A manifest that was fetched and has the digest that the channel gives.
#[derive(Debug, Clone)]
pub enum Manifest {
    /// It was read.
    Read(Box<Release>),
    /// This version can't read it: another device may, and other releases are unharmed.
    Unreadable {
        /// [`FailureCode::RequirementUnknown`] or [`FailureCode::Malformed`].
        code: FailureCode,
        /// Why.
        detail: String,
    },
}

impl Manifest {
    /// Reads a manifest.
    pub fn parse(text: &[u8]) -> Self {
        use perennial_schemas::Document;
        match Release::parse(text) {
            Ok(release) => Self::Read(Box::new(release)),
            Err(error) => Self::Unreadable { code: code_of(&error), detail: error.to_string() },
        }
    }
}

/// The number in reports of a document that can't be read.
pub fn code_of(error: &FormatError) -> FailureCode {
    match error {
        FormatError::Requires { .. } => FailureCode::RequirementUnknown,
        _ => FailureCode::Malformed,
    }
}

/// How far a decision has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step<'c> {
    /// It needs this manifest.
    Need(&'c Offered),
    /// It needs to know how far the rollout of this release is open: its planned time has come here.
    NeedStatus(&'c Offered),
    /// It is made.
    Made(Decision),
}

/// Decides, or asks for the next manifest or rollout status. They are asked for one at a time from the newest release on, so
/// an up-to-date device fetches none.
pub fn decide<'c>(
    facts: &Facts<'_>,
    channel: &'c Channel,
    documents: &Documents,
    digest: &impl Digest,
    now: Timestamp,
) -> Step<'c> {
    if channel.product != *facts.product || channel.channel != *facts.channel {
        let reason = Reason::no(Refusal::OtherChannel);
        return Step::Made(Decision::Refused(PassedOver { version: None, manifest: None, reason }));
    }
    let mut passed_over = Vec::new();
    let mut seen = 0;
    let (newer, rest) = candidates(facts, channel);
    for offered in newer {
        let manifest = documents.manifests.get(&offered.manifest);
        let verdict = match (before_manifest(facts, offered, now), manifest) {
            (Some(reason), _) => Err(reason),
            (None, _) if seen >= MANIFESTS => break,
            (None, None) => return Step::Need(offered),
            (None, Some(manifest)) => {
                seen += 1;
                examine(facts, offered, manifest)
            }
        };
        let verdict = match verdict {
            Ok(release) => match rollout::turn(facts, offered, release, documents, digest) {
                Turn::Asks => return Step::NeedStatus(offered),
                Turn::Waits(reason) => Err(reason),
                Turn::Comes(admitted) => put_off(facts, offered, release, now).map_or(Ok(admitted), Err),
            },
            Err(reason) => Err(reason),
        };
        let (version, manifest) = (offered.version.clone(), offered.manifest);
        match verdict {
            Ok(admitted) => {
                return Step::Made(Decision::Update { version, manifest, passed_over, admitted });
            }
            Err(reason) => {
                let is_postponed = matches!(reason, Reason::Held { why: HoldReason::Postponed, .. });
                passed_over.push(PassedOver { version: Some(version), manifest: Some(manifest), reason });
                // What the owner puts off is the newest release that could be had, and no older one in its place.
                if is_postponed {
                    break;
                }
            }
        }
    }
    if passed_over.is_empty() || !passed_over.iter().all(PassedOver::is_for_others) {
        return Step::Made(none_left(passed_over));
    }
    match is_served(facts, &passed_over, &rest, documents, MANIFESTS - seen) {
        Served::Unknown(offered) => Step::Need(offered),
        Served::Yes => Step::Made(Decision::UpToDate { passed_over }),
        Served::No => Step::Made(none_left(passed_over)),
    }
}

/// Whether the channel has anything for this hardware.
enum Served<'c> {
    /// This manifest would tell.
    Unknown(&'c Offered),
    Yes,
    No,
}

/// Looks for a release that is for this hardware, where nothing newer is: among those that a rollout leaves it out of, then
/// among the others, from the newest on.
fn is_served<'c>(
    facts: &Facts<'_>,
    passed_over: &[PassedOver],
    rest: &[&'c Offered],
    documents: &Documents,
    most: usize,
) -> Served<'c> {
    let left_out = |it: &PassedOver| matches!(it.reason, Reason::Refused(Refusal::NotRolledOut { .. }));
    if passed_over.iter().any(left_out) {
        return Served::Yes;
    }
    for offered in rest.iter().filter(|it| !facts.withdrawn.contains(&it.manifest)).take(most) {
        match documents.manifests.get(&offered.manifest) {
            None => return Served::Unknown(offered),
            Some(Manifest::Read(release)) if release.image_for(facts.hardware).is_some() => {
                return Served::Yes;
            }
            Some(_) => {}
        }
    }
    Served::No
}

/// The full payload to take of an image: the shorter one that this version knows. Reading a manifest refuses an image
/// without one.
pub fn choose_payload(image: &Image) -> Option<&Payload> {
    let known = image.payloads.iter().filter(|p| matches!(p.encoding, Encoding::Plain | Encoding::Zstd));
    known.min_by_key(|payload| payload.length)
}

/// The delta to take in place of the payload `full`: the shortest that starts from what runs here, if it is shorter.
///
/// Which image runs is known of one that this device has installed. One from the factory knows its version at most: it is
/// read through the index that the manifest names before anything is downloaded, as every image is.
pub fn choose_delta<'i>(
    image: &'i Image,
    running: Option<&Content>,
    full: &Payload,
) -> Option<(&'i Payload, &'i DeltaSource)> {
    let running = running?;
    let is_running = |source: &DeltaSource| match running.image {
        Some(image) => image == (source.length, source.sha256),
        None => running.version == source.version,
    };
    let deltas = image.payloads.iter().filter(|payload| payload.encoding == Encoding::Delta);
    let deltas = deltas.filter_map(|payload| Some((payload, payload.source.as_ref()?)));
    let usable = deltas.filter(|(payload, source)| payload.length < full.length && is_running(source));
    usable.min_by_key(|(payload, _)| payload.length)
}

/// What is newer than what runs, and the rest, each newest first. A device never goes to a lower version by itself.
fn candidates<'c>(facts: &Facts<'_>, channel: &'c Channel) -> (Vec<&'c Offered>, Vec<&'c Offered>) {
    let is_newer = |offered: &&Offered| match facts.running {
        Some(running) => {
            running.manifest != Some(offered.manifest)
                && offered.version.rank(&running.version) == Ordering::Greater
        }
        None => true,
    };
    let mut all: Vec<&Offered> = channel.releases.iter().collect();
    all.sort_by(|a, b| b.version.cmp(&a.version));
    all.into_iter().partition(is_newer)
}

/// What rules a release out without looking at its manifest.
fn before_manifest(facts: &Facts<'_>, offered: &Offered, now: Timestamp) -> Option<Reason> {
    // A digest that was ever withdrawn stays so, even where a channel offers it again.
    if facts.withdrawn.contains(&offered.manifest) {
        return Some(Reason::no(Refusal::Withdrawn));
    }
    let failed = facts.failed.iter().find(|failed| failed.manifest == offered.manifest)?;
    match (failed.code, failed.again) {
        (None, _) => Some(Reason::Held { until: None, why: HoldReason::GoneBackFrom }),
        (Some(code), None) => {
            let why = HoldReason::FailedTooOften { code, tries: failed.tries };
            Some(Reason::Held { until: None, why })
        }
        // A time further away than any wait was noted by a clock that ran ahead: it holds nobody up for years.
        (Some(code), Some(again)) if again > now && again <= now.plus_seconds(LONGEST_WAIT) => {
            Some(Reason::Held { until: Some(again), why: HoldReason::FailedBefore { code } })
        }
        _ => None,
    }
}

fn examine<'m>(facts: &Facts<'_>, offered: &Offered, manifest: &'m Manifest) -> Result<&'m Release, Reason> {
    let release = match manifest {
        Manifest::Read(release) => release,
        Manifest::Unreadable { code, detail } => {
            return Err(Reason::no(Refusal::Unreadable { code: *code, detail: detail.clone() }));
        }
    };
    // The counter rises after a release is confirmed; until then what runs is the floor.
    let counter = facts.counter.max(facts.running.map_or(0, |running| running.security_version));
    let refusal = if release.product != *facts.product || release.version != offered.version {
        Some(Refusal::OtherRelease)
    } else if release.security_version < counter {
        Some(Refusal::BelowCounter { security_version: release.security_version, counter })
    } else if let Some(minimum) = release.minimum_version.as_ref().filter(|m| !is_at_least(facts, m)) {
        Some(Refusal::Barrier { minimum: minimum.clone() })
    } else {
        match release.image_for(facts.hardware) {
            None => Some(Refusal::NoImage { hardware: facts.hardware.clone() }),
            Some(image) if image.length > facts.capacity => {
                Some(Refusal::NoRoom { length: image.length, capacity: facts.capacity })
            }
            Some(image) if choose_payload(image).is_none() => Some(Refusal::NoPayload),
            Some(_) => None,
        }
    };
    // No check that security_version rises by at most 16: a device that was off skips releases, so only the signer,
    // who sees each of them, can check the step.
    refusal.map_or(Ok(release), |refusal| Err(Reason::no(refusal)))
}

/// A device that doesn't know what it runs can't show that it has passed a barrier.
fn is_at_least(facts: &Facts<'_>, minimum: &perennial_schemas::ReleaseVersion) -> bool {
    facts.running.is_some_and(|running| running.version.rank(minimum) != Ordering::Less)
}

/// The owner has put this release off, and doesn't want it at once.
fn put_off(facts: &Facts<'_>, offered: &Offered, release: &Release, now: Timestamp) -> Option<Reason> {
    let until = put_off_until(facts, release, now).filter(|_| !wants_at_once(facts, &offered.manifest))?;
    Some(Reason::Held { until: Some(until), why: HoldReason::Postponed })
}

/// Whether the owner wants this release at once.
fn wants_at_once(facts: &Facts<'_>, manifest: &Sha256Digest) -> bool {
    match facts.at_once {
        Some(AtOnce::Next) => true,
        Some(AtOnce::Of(wanted)) => wanted == *manifest,
        None => false,
    }
}

/// Until when the owner has put this release off, as far as its maker lets them.
fn put_off_until(facts: &Facts<'_>, release: &Release, now: Timestamp) -> Option<Timestamp> {
    let until = facts.postponed_until.filter(|until| *until <= now.plus_seconds(POSTPONED_SECONDS))?;
    let since = facts.put_off.filter(|put_off| put_off.version == release.version);
    let since = since.map_or(now, |put_off| put_off.since.min(now));
    let last = release.postponable_days.map(|days| since.plus_days(days.into()));
    Some(last.map_or(until, |last| until.min(last))).filter(|until| *until > now)
}

/// The reason of the newest release counts, of those that are for this hardware if there are any: a hold passes, a refusal
/// stays. What the owner put off could be had now.
fn none_left(passed_over: Vec<PassedOver>) -> Decision {
    let postponed =
        |passed: &&PassedOver| matches!(passed.reason, Reason::Held { why: HoldReason::Postponed, .. });
    let held = |passed: &&PassedOver| matches!(passed.reason, Reason::Held { .. });
    let told = passed_over.iter().find(postponed).or_else(|| passed_over.iter().find(held)).cloned();
    let own = || passed_over.iter().find(|passed| !passed.is_for_others());
    match (told, own().or(passed_over.first())) {
        (Some(told), _) => Decision::Held { told, passed_over },
        (None, Some(refused)) => Decision::Refused(refused.clone()),
        (None, None) => Decision::UpToDate { passed_over },
    }
}

#[cfg(test)]
mod tests;
