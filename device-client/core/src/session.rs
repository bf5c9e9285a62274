//! A check: refresh the trusted metadata, read the documents that it vouches for, decide, and make the plan.
//!
//! Everything that a decision is made upon passes through `read`: a role vouches for the path, and the bytes
//! have the length and digest that it gives. What is learnt is saved before anything is decided. Never writes a slot.

mod error;
mod plans;
mod rollouts;

pub use error::{SessionError, SupportRefused};

use alloc::borrow::ToOwned;
use alloc::boxed::Box;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt::Display;

use perennial_schemas::channel::{Channel, Offered, Withdrawn};
use perennial_schemas::crypto::Crypto;
use perennial_schemas::ident::CohortName;
use perennial_schemas::release::Release;
use perennial_schemas::report::FailureCode;
use perennial_schemas::support::Support;
use perennial_schemas::{Document, ProductName, ReleaseVersion, TargetPath, Timestamp};

use crate::decide::{Decision, Documents, Facts, Manifest, Step, decide};
use crate::journal::{Content, Journal, Known, Recalled};
use crate::plan::Plan;
use crate::port::{self, Fetch, Identity, Loaded, Record, Slot, Store};
use crate::report::cut;
use crate::support::{Floors, Seen, SupportEvent};
use crate::trust::{
    self, FoundTarget, Limits, MetadataSource, Refresh, Request, StoreError, TrustState, TrustStore, Validity,
};

/// Products that an error names.
const PRODUCTS_TOLD: usize = 8;

/// What a device trusts and remembers, between checks.
pub struct Session<'c, C> {
    trust: TrustState,
    floors: Floors,
    crypto: &'c C,
    limits: Limits,
    /// The last event of the support that was handed on.
    told: u64,
    /// `trust` could not be saved: nothing is decided upon it before it is.
    unsaved: bool,
    /// The lower bound of the time, from the last check.
    signed_at: Option<Timestamp>,
}

/// The device, as far as a check asks.
#[derive(Debug, Clone, Copy)]
pub struct Device<'d> {
    /// Who it is.
    pub identity: &'d Identity,
    /// What it remembers.
    pub journal: &'d Journal,
    /// The slot that runs.
    pub booted: Slot,
    /// The anti-rollback counter.
    pub counter: u32,
    /// Room for an image, in bytes.
    pub capacity: u64,
    /// Bytes of memory that a delta may ask for; 0: none is taken.
    pub delta_memory: u64,
}

/// What came of a check.
#[derive(Debug)]
pub struct Checked {
    /// The decision.
    pub decision: Decision,
    /// The manifest of the release that is to be installed.
    pub release: Option<Release>,
    /// The plan for it.
    pub plan: Option<Plan>,
    /// A support record that was refused. The device goes on with the promise that it has.
    pub support_refused: Option<SupportRefused>,
    /// Withdrawn releases that found no room among those that are remembered for good. As long as the channel names
    /// them, they are not installed either.
    pub withdrawn_left_out: usize,
    /// A rollout status that was refused, the release that it was served for, and why: the last one.
    pub status_refused: Option<(ReleaseVersion, String)>,
    /// What the rollout's server says against the release, which its owner takes at once.
    pub stopped: Option<String>,
    /// That the release which runs was withdrawn.
    pub recalled: Option<Recalled>,
    /// Until when the metadata holds.
    pub validity: Validity,
}

impl<'c, C: Crypto> Session<'c, C> {
    /// Loads what the device trusts; a new device begins with the root that it was born with, and the floors that its
    /// image carries.
    ///
    /// # Errors
    /// [`SessionError::Lost`] where the state was there once and can't be read: fails closed. See [`crate::recover`].
    pub fn open(
        store: &mut dyn Store,
        identity: &Identity,
        root: &[u8],
        crypto: &'c C,
    ) -> Result<Self, SessionError> {
        let trust = match load(store, Record::Trust, TrustState::decode)? {
            Some(trust) => trust,
            None => {
                let begun = TrustState::recover(root, crypto, identity.floors());
                let trust = begun.map_err(trust::DriveError::Trust)?;
                store.save(Record::Trust, &trust.encode())?;
                trust
            }
        };
        let floors = load(store, Record::Floors, Floors::decode)?.unwrap_or_default();
        let told = floors.watch().last();
        Ok(Self { trust, floors, crypto, told, limits: Limits::default(), unsaved: false, signed_at: None })
    }

    /// The floors, with the support record that counts.
    pub fn floors(&self) -> &Floors {
        &self.floors
    }

    /// The trusted metadata.
    pub fn trust(&self) -> &TrustState {
        &self.trust
    }

    /// What the last check learnt, in few enough words for the journal, as a unit of `cohort`; nothing where it could not be saved.
    pub fn known(&self, cohort: Option<&CohortName>) -> Option<Known> {
        (!self.unsaved).then(|| Known {
            floors: self.trust.floors_held(),
            signed_at: self.signed_at,
            promised_until: self.floors.guaranteed_until(),
            promised_to: self.floors.promised_to(cohort),
        })
    }

    /// Checks for updates. Saves what it learns; installs nothing.
    ///
    /// # Errors
    /// [`SessionError`]; whatever was verified and saved before it stays.
    pub fn check(
        &mut self,
        fetch: &mut dyn Fetch,
        store: &mut dyn Store,
        device: &Device<'_>,
        now: Timestamp,
    ) -> Result<Checked, SessionError> {
        if self.unsaved {
            store.save(Record::Trust, &self.trust.encode())?;
            self.unsaved = false;
        }
        let identity = device.identity;
        let refresh = Refresh::new(self.trust.clone(), self.crypto, now, self.limits.clone());
        let (floors, crypto) = (&mut self.floors, self.crypto);
        let (offered_at, status_refused) = (None, None);
        let mut check = Check {
            refresh,
            fetch,
            store: &mut *store,
            floors,
            device,
            crypto,
            now,
            offered_at,
            status_refused,
        };
        let checked = check.run();
        // What was accepted before an error is saved, and stays trusted. Where saving it was the error, it is saved
        // before anything else next time.
        self.unsaved = check.refresh.next() == trust::Step::Persist;
        self.signed_at = Some(check.refresh.validity().lower_bound());
        self.trust = check.refresh.into_state();
        self.remind(store, identity, checked.as_ref().err(), now);
        checked
    }

    /// What was told of the support since this was asked last.
    pub fn take_news(&mut self) -> Vec<SupportEvent> {
        let news = self.floors.watch().events().iter().filter(|event| event.sequence > self.told);
        let news: Vec<SupportEvent> = news.cloned().collect();
        self.told = self.floors.watch().last();
        news
    }

    /// Tells what is due of the support, also where the check came to nothing: a device off the network knows its date; and
    /// what somebody tried who isn't among the signers. What can't be saved is told another time, and stops no update.
    fn remind(
        &mut self,
        store: &mut dyn Store,
        identity: &Identity,
        failed: Option<&SessionError>,
        now: Timestamp,
    ) {
        let mut floors = self.floors.clone();
        match failed {
            Some(error) => floors.note_failed(error.code(), &error.to_port_error().detail, now),
            None => floors.note_trusted(now),
        }
        let annulments = &self.trust.root().annulments;
        if let Some(said) = floors.on_device(annulments, identity.cohort.as_ref(), now) {
            floors.watch.tell(&said, now);
        }
        let saved = floors != self.floors
            && floors.encode().is_ok_and(|bytes| store.save(Record::Floors, &bytes).is_ok());
        if saved {
            self.floors = floors;
        }
    }
}

/// A record; `None` where there never was one.
///
/// # Errors
/// [`SessionError::Lost`], [`SessionError::Store`].
pub(crate) fn load<T, E: Display>(
    store: &mut dyn Store,
    record: Record,
    decode: impl FnOnce(&[u8]) -> Result<T, E>,
) -> Result<Option<T>, SessionError> {
    match store.load(record)? {
        Loaded::Found(bytes) => decode(&bytes).map(Some).map_err(|error| SessionError::lost(record, &error)),
        Loaded::New => Ok(None),
        Loaded::Lost => Err(SessionError::lost(record, &"no whole copy is left")),
    }
}

struct Check<'k, 'c, C> {
    refresh: Refresh<'c, C>,
    fetch: &'k mut dyn Fetch,
    store: &'k mut dyn Store,
    floors: &'k mut Floors,
    device: &'k Device<'k>,
    crypto: &'c C,
    now: Timestamp,
    /// When the role was signed that vouches for the channel.
    offered_at: Option<Timestamp>,
    /// Which rollout status was refused, and why.
    status_refused: Option<(ReleaseVersion, String)>,
}

impl<C: Crypto> Check<'_, '_, C> {
    fn run(&mut self) -> Result<Checked, SessionError> {
        self.drive()?;
        let identity = self.device.identity;
        let path = Channel::path(&identity.product, &identity.channel)
            .map_err(|source| SessionError::Document { path: identity.channel.to_string(), source })?;
        let channel: Channel = self.document(&path).map_err(|error| self.nothing_offered(error))?;
        self.offered_at = self.refresh.found().and_then(|channel| channel.signed_at);
        if channel.product != identity.product || channel.channel != identity.channel {
            // Nothing is learnt from another's channel; the decision says so.
            let (decision, _) = self.decide(&channel)?;
            return Ok(self.checked(decision));
        }
        let withdrawn_left_out = self.learn_withdrawn(&channel)?;
        let support_refused = self.learn_support()?;
        let (decision, chosen) = self.decide(&channel)?;
        let (plan, stopped) = match (&decision, &chosen) {
            (Decision::Update { manifest, admitted, .. }, Some(release)) => {
                let plan = self.plan(release, *manifest, *admitted)?;
                (Some(plan), self.stopped(release, manifest)?)
            }
            _ => (None, None),
        };
        let recalled = self.recalled(&channel);
        let found =
            Checked { release: chosen, plan, support_refused, withdrawn_left_out, ..self.checked(decision) };
        Ok(Checked { stopped, recalled, ..found })
    }

    /// That what runs was withdrawn. An image from the factory may not know its manifest: its version names it then.
    fn recalled(&self, channel: &Channel) -> Option<Recalled> {
        let Content { version, manifest, .. } = self.device.journal.content(self.device.booted)?;
        let is_it = |withdrawn: &&Withdrawn| match manifest {
            Some(manifest) => withdrawn.manifest == *manifest,
            None => withdrawn.version == *version,
        };
        let told = channel.withdrawn.iter().find(is_it).map(|withdrawn| cut(&withdrawn.reason).to_string());
        let known = manifest.filter(|manifest| self.floors.withdrawn().contains(manifest));
        let reason = told.or(known.map(|_| String::new()))?;
        Some(Recalled { version: version.clone(), reason })
    }

    /// Why there is no channel, in its reader's terms: a product that nobody signs for is a mistake in a configuration, a
    /// channel without a release is the maker's to fill.
    fn nothing_offered(&self, error: SessionError) -> SessionError {
        let SessionError::NotVouchedFor { .. } = error else { return error };
        let (product, channel) = (self.device.identity.product.clone(), self.device.identity.channel.clone());
        let roles = self.refresh.state().floors().roles.keys();
        let roles = roles.filter_map(|file| file.strip_suffix(".json"));
        // A product's bins have a dot in their names, which no product has.
        let mut has: Vec<&str> =
            roles.filter(|role| *role != "targets" && role.parse::<ProductName>().is_ok()).collect();
        if has.contains(&product.as_str()) {
            return SessionError::NoChannel { product, channel };
        }
        let more = if has.len() > PRODUCTS_TOLD { ", …" } else { "" };
        has.truncate(PRODUCTS_TOLD);
        let others = if has.is_empty() {
            "it has none yet".into()
        } else {
            alloc::format!("it has: {}{more}", has.join(", "))
        };
        SessionError::NoProduct { product, others }
    }

    fn checked(&self, decision: Decision) -> Checked {
        let (release, plan, support_refused, withdrawn_left_out) = (None, None, None, 0);
        let (status_refused, validity) = (self.status_refused.clone(), self.refresh.validity());
        let (stopped, recalled) = (None, None);
        Checked {
            decision,
            release,
            plan,
            support_refused,
            withdrawn_left_out,
            status_refused,
            stopped,
            recalled,
            validity,
        }
    }

    /// Refreshes, or carries out the search begun last.
    fn drive(&mut self) -> Result<(), SessionError> {
        let (mut source, mut keeper) = (FromPort(&mut *self.fetch), IntoPort(&mut *self.store));
        let driven = trust::drive(&mut self.refresh, &mut source, &mut keeper);
        if let Err(trust::DriveError::Trust(_)) = driven {
            self.fetch.forget();
        }
        Ok(driven?)
    }

    fn find(&mut self, path: &TargetPath) -> Result<Option<FoundTarget>, SessionError> {
        self.refresh.find(path).map_err(trust::DriveError::Trust)?;
        self.drive()?;
        Ok(self.refresh.found().cloned())
    }

    fn require(&mut self, path: &TargetPath) -> Result<FoundTarget, SessionError> {
        self.find(path)?.ok_or_else(|| SessionError::NotVouchedFor { path: path.to_string() })
    }

    /// The bytes of a target, with the length and digest that its role gives.
    fn read(&mut self, target: &FoundTarget, max_length: u64) -> Result<Vec<u8>, SessionError> {
        read_target(self.fetch, self.crypto, target, max_length)
    }

    fn document<T: Document>(&mut self, path: &TargetPath) -> Result<T, SessionError> {
        let target = self.require(path)?;
        let bytes = self.read(&target, T::MAX_LENGTH)?;
        T::parse(&bytes).map_err(|source| SessionError::Document { path: path.to_string(), source })
    }

    /// Remembers what is withdrawn, and forgets rollouts of what is offered no more; durably, before anything else is fetched: whoever holds the next file back must not
    /// undo it. Returns how many found no room.
    fn learn_withdrawn(&mut self, channel: &Channel) -> Result<usize, SessionError> {
        let mut floors = self.floors.clone();
        let left_out = floors.note_withdrawn(channel);
        floors.rollouts.keep(&channel.releases.iter().map(|offered| offered.manifest).collect());
        self.keep(floors)?;
        Ok(left_out)
    }

    /// Takes the support record. One that can't be read or may not follow is refused, and stops no update: the promise
    /// that the device has stays.
    fn learn_support(&mut self) -> Result<Option<SupportRefused>, SessionError> {
        let product = &self.device.identity.product;
        let path = Support::path(product)
            .map_err(|source| SessionError::Document { path: "support.json".into(), source })?;
        let Some(target) = self.find(&path)? else {
            // A product without a support record promises nothing; what was promised before stays.
            let taken_away = self.floors.support().is_some();
            return if taken_away {
                self.refuse_support(SupportRefused::Missing).map(Some)
            } else {
                Ok(None)
            };
        };
        let bytes = self.read(&target, Support::MAX_LENGTH)?;
        let support = match Support::parse(&bytes) {
            Ok(support) if support.product == *product => support,
            Ok(support) => {
                return self.refuse_support(SupportRefused::OtherProduct(support.product)).map(Some);
            }
            Err(error) => return self.refuse_support(SupportRefused::Unreadable(error)).map(Some),
        };
        let mut floors = self.floors.clone();
        let cohort = self.device.identity.cohort.as_ref();
        let (before, after) = (floors.support().map(|record| record.until(cohort)), support.until(cohort));
        if let Err(error) = floors.note_support(support, &self.refresh.state().root().annulments) {
            return self.refuse_support(SupportRefused::Worse(error)).map(Some);
        }
        let (expires, bound) = (target.expires, self.refresh.validity().lower_bound());
        floors.watch.take(Seen { sha256: self.crypto.sha256(&bytes), expires, bound }, self.now);
        if let Some(before) = before.filter(|before| *before < after) {
            floors.watch.extend(before, after, self.now);
        }
        self.keep(floors)?;
        Ok(None)
    }

    /// The alarm stays until a good record follows, and the promise that the device has stays for good.
    fn refuse_support(&mut self, refused: SupportRefused) -> Result<SupportRefused, SessionError> {
        let mut floors = self.floors.clone();
        floors.watch.refuse(refused.code(), &refused.to_string(), self.now);
        self.keep(floors)?;
        Ok(refused)
    }

    /// Saves the floors where they have changed, and only then goes by them.
    fn keep(&mut self, floors: Floors) -> Result<(), SessionError> {
        if *self.floors != floors {
            self.store.save(Record::Floors, &floors.encode()?)?;
            *self.floors = floors;
        }
        Ok(())
    }

    fn decide(&mut self, channel: &Channel) -> Result<(Decision, Option<Release>), SessionError> {
        let Device { identity, journal, booted, counter, capacity, .. } = *self.device;
        let mut documents = Documents::default();
        loop {
            let facts = Facts {
                product: &identity.product,
                hardware: &identity.hardware,
                channel: &identity.channel,
                running: journal.content(booted),
                counter,
                withdrawn: self.floors.withdrawn(),
                failed: &journal.failed,
                postponed_until: journal.postponed_until,
                put_off: journal.put_off.as_ref(),
                capacity,
                standing: self.standing(),
                at_once: journal.at_once,
            };
            match decide(&facts, channel, &documents, self.crypto, self.now) {
                Step::Need(offered) => {
                    let manifest = self.manifest(channel, offered)?;
                    documents.manifests.insert(offered.manifest, manifest);
                }
                Step::NeedStatus(offered) => {
                    let manifest = documents.manifests.get(&offered.manifest);
                    let status = match manifest {
                        Some(Manifest::Read(release)) => self.status(release, &offered.manifest)?,
                        _ => None,
                    };
                    documents.statuses.insert(offered.manifest, status);
                }
                Step::Made(decision) => {
                    self.remember(&decision)?;
                    let chosen = match &decision {
                        Decision::Update { manifest, .. } => documents.manifests.remove(manifest),
                        _ => None,
                    };
                    let release = match chosen {
                        Some(Manifest::Read(release)) => Some(*release),
                        _ => None,
                    };
                    return Ok((decision, release));
                }
            }
        }
    }

    /// A manifest that can't be read concerns its release alone; one that can't be fetched ends the check.
    fn manifest(&mut self, channel: &Channel, offered: &Offered) -> Result<Manifest, SessionError> {
        let inconsistent = |detail: &str| Manifest::Unreadable {
            code: FailureCode::Inconsistent,
            detail: detail.to_owned(),
        };
        let path = match Release::path(&channel.product, &offered.version) {
            Ok(path) => path,
            Err(error) => return Ok(inconsistent(&error.to_string())),
        };
        let Some(target) = self.find(&path)? else {
            return Ok(inconsistent("no role vouches for its manifest"));
        };
        if target.sha256() != Some(offered.manifest) {
            return Ok(inconsistent("its manifest is another one than the channel offers"));
        }
        Ok(Manifest::parse(&self.read(&target, Release::MAX_LENGTH)?))
    }
}

/// The bytes of a target, with the length and digest that its role gives.
pub(crate) fn read_target(
    fetch: &mut dyn Fetch,
    crypto: &impl Crypto,
    target: &FoundTarget,
    max_length: u64,
) -> Result<Vec<u8>, SessionError> {
    let path = || target.path.to_string();
    if target.length > max_length {
        return Err(SessionError::TooLong { path: path(), limit: max_length });
    }
    let digest = target.sha256().ok_or_else(|| SessionError::NoDigest { path: path() })?;
    let bytes = fetch.target(&target.location, target.length)?;
    if bytes.len() as u64 == target.length && crypto.sha256(&bytes) == digest {
        Ok(bytes)
    } else {
        Err(SessionError::Digest { path: path() })
    }
}

pub(crate) struct FromPort<'p>(pub(crate) &'p mut dyn Fetch);

impl MetadataSource for FromPort<'_> {
    fn fetch(&mut self, request: &Request) -> Result<Option<Vec<u8>>, trust::FetchError> {
        self.0.metadata(&request.path, request.max_length).map_err(|error| match error {
            port::FetchError::TooLong { limit, .. } => trust::FetchError::TooLong { limit },
            error => trust::FetchError::Failed(Box::new(error)),
        })
    }
}

struct IntoPort<'p>(&'p mut dyn Store);

impl TrustStore for IntoPort<'_> {
    fn save(&mut self, state: &TrustState) -> Result<(), StoreError> {
        self.0.save(Record::Trust, &state.encode()).map_err(|error| StoreError(Box::new(error)))
    }
}
