//! The first opinion: the device's own core takes the real chain of roots, then the preview, and finds the new targets.

use std::collections::BTreeMap;

use perennial_device_core::crypto::Ring;
use perennial_device_core::trust::{
    Answer, FetchError, Limits, MetadataSource, Refresh, Request, Step, StoreError, TrustState, TrustStore,
    drive, walk_all,
};
use perennial_schemas::tuf::{Role, Root, TargetFile};
use perennial_schemas::{Signed, TargetPath, Timestamp};

use super::preview::Rehearsal;
use super::{CheckError, Extent, Preview};

/// The real chain, from the oldest root to the newest, as a device walks that was born with the oldest.
///
/// # Errors
/// [`CheckError::Device`] with the core's reason, [`CheckError::NoRoot`].
pub(super) fn walks_roots(preview: &Preview, now: Timestamp) -> Result<(), CheckError> {
    let (oldest, newest) = match (preview.roots.first(), preview.roots.last()) {
        (Some(oldest), Some(newest)) => (oldest, Signed::<Root>::parse(newest)?.unverified().version()),
        _ => return Err(CheckError::NoRoot),
    };
    let mut source = Source(preview.metadata()?);
    let mut state = TrustState::new(oldest, &Ring).map_err(CheckError::device)?;
    loop {
        let before = state.root().version();
        let mut refresh = Refresh::new(state, &Ring, now, Limits::default());
        // What comes after the roots is the timestamp: the server's to sign, so the walk ends there.
        while let Some(answer) = answer_roots(refresh.next(), &mut source)? {
            refresh.supply(answer).map_err(CheckError::device)?;
        }
        state = refresh.into_state();
        match state.root().version() {
            version if version == newest => return Ok(()),
            // A walk may stop at its limit, and go on the next time.
            version if version > before => {}
            version => return Err(CheckError::RootsEnd { version, newest }),
        }
    }
}

fn answer_roots(step: Step, source: &mut Source<'_>) -> Result<Option<Answer>, CheckError> {
    Ok(match step {
        Step::Fetch(request) if request.path.ends_with(".root.json") => {
            Some(source.fetch(&request).map_err(CheckError::device)?.map_or(Answer::NotFound, Answer::Bytes))
        }
        Step::Persist => Some(Answer::Persisted),
        Step::Fetch(_) | Step::Done | Step::Stopped => None,
    })
}

/// The preview, as a device sees it: `wanted` are found, each as the metadata describe it. With [`Extent::All`] every role
/// must be there and current, and none may name a target outside its paths.
///
/// # Errors
/// [`CheckError`] with the core's reason.
pub(super) fn accepts(
    preview: &Preview,
    rehearsal: &Rehearsal,
    extent: &Extent,
    wanted: &BTreeMap<String, TargetFile>,
    now: Timestamp,
) -> Result<(), CheckError> {
    let mut files = preview.metadata()?;
    files.insert("timestamp.json".into(), &rehearsal.timestamp);
    let mut source = Source(files);
    let state = TrustState::new(&rehearsal.root, &Ring).map_err(CheckError::device)?;
    if *extent == Extent::All {
        let walked = walk_all(state.clone(), &Ring, now, Limits::of_everything(), &mut source, &mut Nowhere);
        let roles = walked.map_err(CheckError::device)?.roles;
        if let Some((role, path)) = roles.iter().find_map(|role| Some((&role.role, role.ignored.first()?))) {
            return Err(CheckError::Outside { role: role.to_string(), target: path.clone() });
        }
    }
    // One refresh for the targets of all products, where a device looks for those of its own.
    let mut refresh = Refresh::new(state, &Ring, now, Limits::of_everything());
    drive(&mut refresh, &mut source, &mut Nowhere).map_err(CheckError::device)?;
    for (path, described) in wanted {
        let name: TargetPath =
            path.parse().map_err(|e| CheckError::Name { target: path.clone(), why: format!("{e}") })?;
        refresh.find(&name).map_err(CheckError::device)?;
        drive(&mut refresh, &mut source, &mut Nowhere).map_err(CheckError::device)?;
        let same = |found: &perennial_device_core::trust::FoundTarget| {
            (found.length, &found.hashes) == (described.length, &described.hashes)
        };
        if !refresh.found().is_some_and(same) {
            return Err(CheckError::NotFound { target: path.clone() });
        }
    }
    Ok(())
}

/// The preview's metadata by name.
struct Source<'a>(BTreeMap<String, &'a [u8]>);

impl MetadataSource for Source<'_> {
    fn fetch(&mut self, request: &Request) -> Result<Option<Vec<u8>>, FetchError> {
        match self.0.get(&request.path) {
            Some(file) if file.len() as u64 > request.max_length => {
                Err(FetchError::TooLong { limit: request.max_length })
            }
            file => Ok(file.map(|file| file.to_vec())),
        }
    }
}

/// A rehearsal is forgotten.
struct Nowhere;

impl TrustStore for Nowhere {
    fn save(&mut self, _: &TrustState) -> Result<(), StoreError> {
        Ok(())
    }
}
