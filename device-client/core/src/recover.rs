//! Beginning again after records were lost: never below what anything else on the device remembers.
//!
//! Decides which floors count: those that the journal noted at the last check, or those that the running image carries,
//! whichever were seen under the later root. Only what can't be read is begun again. Withdrawn releases are learnt again
//! with the next check, which takes no older metadata than these floors allow; the anti-rollback counter stands apart.
//! Without a journal and an image that says which release it is, nothing tells an older release from a newer one: the
//! owner has to say that this is meant.

use alloc::vec::Vec;

use perennial_schemas::Timestamp;
use perennial_schemas::crypto::Crypto;
use perennial_schemas::report::{FailureCode, Outcome};

use crate::journal::{Content, Journal, JournalError};
use crate::port::{Identity, PortError, Record, Slots, Store};
use crate::session::{SessionError, load};
use crate::support::{Floors, FloorsError};
use crate::trust::{TrustError, TrustState};

/// Why nothing was begun again.
#[derive(Debug, thiserror::Error)]
pub enum RecoverError {
    /// The journal is lost, and the image doesn't say which release it is.
    #[error(
        "the journal is lost, and nothing else says which release runs here: any signed one would be taken"
    )]
    UnknownRelease,
    /// A record can't be loaded or saved, or the slots can't be asked.
    #[error(transparent)]
    Port(#[from] PortError),
    /// The factory root is none.
    #[error("the factory root can't be used")]
    Root(#[source] TrustError),
    /// The journal can't be encoded.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The floors can't be encoded.
    #[error(transparent)]
    Floors(#[from] FloorsError),
    /// Loading failed in another way than by a loss.
    #[error(transparent)]
    Session(SessionError),
}

/// What a device still knows that has lost records.
#[derive(Debug, Clone, Copy)]
pub struct Remains<'d> {
    /// Who it is, with what its image carries.
    pub identity: &'d Identity,
    /// The root that it was born with.
    pub root: &'d [u8],
    /// The owner takes any signed release, though nothing says which one runs.
    pub take_any_release: bool,
}

/// Begins again every record that is lost, reports it, and says which ones they were.
///
/// # Errors
/// [`RecoverError`]; what is lost then stays lost, and nothing is installed.
pub fn recover(
    store: &mut dyn Store,
    slots: &mut dyn Slots,
    remains: Remains<'_>,
    now: Timestamp,
    crypto: &impl Crypto,
) -> Result<Vec<Record>, RecoverError> {
    let journal = kept(load(store, Record::Journal, Journal::decode))?;
    let trust = kept(load(store, Record::Trust, TrustState::decode))?;
    let floors = kept(load(store, Record::Floors, Floors::decode))?;
    let lost = [(Record::Journal, journal.is_none()), (Record::Trust, trust.is_none())];
    let lost = lost.into_iter().chain([(Record::Floors, floors.is_none())]);
    let lost: Vec<Record> = lost.filter_map(|(record, lost)| lost.then_some(record)).collect();
    if lost.is_empty() {
        return Ok(lost);
    }
    let Remains { identity, root, take_any_release } = remains;
    if journal.is_none() && identity.running.is_none() && !take_any_release {
        return Err(RecoverError::UnknownRelease);
    }
    let booted = slots.booted()?;
    let mut journal = match journal.flatten() {
        Some(journal) => journal,
        None => Journal::new(booted, factory_content(identity)),
    };
    let versions = journal.known.floors.clone().newest(identity.floors());
    let trust_lost = trust.is_none().then(|| TrustState::recover(root, crypto, versions)).transpose();
    let trust_lost = trust_lost.map_err(RecoverError::Root)?;

    // The report first: after a power cut in between, a loss is told twice and never not at all.
    if let Some(Content { version, manifest: Some(manifest), .. }) = journal.content(booted).cloned() {
        for record in &lost {
            let detail = alloc::format!("the {record} record was lost, and begun again");
            let code = Some(FailureCode::TrustStateLost);
            journal.reports.add(now, (&version, &manifest), Outcome::Failed, code, &detail);
        }
    }
    store.save(Record::Journal, &journal.encode()?)?;
    if let Some(trust) = trust_lost {
        store.save(Record::Trust, &trust.encode())?;
    }
    if floors.is_none() {
        let known = journal.known;
        let floors = Floors::recover(known.promised_until, known.promised_to);
        store.save(Record::Floors, &floors.encode()?)?;
    }
    Ok(lost)
}

/// What the booted slot of a device holds that has no journal.
pub(crate) fn factory_content(identity: &Identity) -> Option<Content> {
    identity.running.as_ref().map(|running| Content {
        version: running.version.clone(),
        manifest: running.manifest,
        security_version: running.security_version,
        image: None,
    })
}

/// A record, or none where there never was one; the outer `None`: it is lost.
fn kept<T>(loaded: Result<Option<T>, SessionError>) -> Result<Option<Option<T>>, RecoverError> {
    match loaded {
        Ok(found) => Ok(Some(found)),
        Err(SessionError::Lost { .. }) => Ok(None),
        Err(SessionError::Store(error)) => Err(error.into()),
        Err(error) => Err(RecoverError::Session(error)),
    }
}
