//! The plan for a release that was chosen: where every file of it is, and what each must be.
//!
//! Decides between the delta and the full payload. Fetches metadata alone.

use alloc::boxed::Box;
use alloc::string::ToString;

use perennial_schemas::crypto::Crypto;
use perennial_schemas::release::{Encoding, Image, IndexRef, Payload, Release};
use perennial_schemas::{Sha256Digest, Timestamp};

use super::{Check, Device, SessionError};
use crate::decide::{choose_delta, choose_payload};
use crate::plan::{Base, Coding, IndexFile, Plan, Source};
use crate::rollout::Admitted;

impl<C: Crypto> Check<'_, '_, C> {
    pub(super) fn plan(
        &mut self,
        release: &Release,
        manifest: Sha256Digest,
        admitted: Option<Admitted>,
    ) -> Result<Plan, SessionError> {
        let missing = || SessionError::NotVouchedFor { path: release.version.to_string() };
        let image = release.image_for(&self.device.identity.hardware).ok_or_else(missing)?;
        let payload = choose_payload(image).ok_or_else(missing)?;
        let mut source = self.source(image, payload)?;
        if let Some(delta) = self.delta(image, payload, manifest)? {
            source = Source { full: Some(Box::new(source)), ..delta };
        }
        source.rollout = admitted;
        Ok(Plan {
            version: release.version.clone(),
            manifest,
            security_version: release.security_version,
            slot: self.device.booted.other(),
            length: image.length,
            sha256: image.sha256,
            source: Some(source),
        })
    }

    fn source(&mut self, image: &Image, payload: &Payload) -> Result<Source, SessionError> {
        let image_index = self.index(&image.index)?;
        let payload_index = self.index(&payload.index)?;
        let file = self.require(&payload.target)?;
        if file.length != payload.length {
            return Err(SessionError::Digest { path: payload.target.to_string() });
        }
        let validity = self.refresh.validity();
        Ok(Source {
            image_index,
            payload_index,
            payload: file.location,
            payload_length: payload.length,
            coding: match payload.encoding {
                Encoding::Plain => Coding::Plain,
                Encoding::Delta => Coding::Delta,
                Encoding::Zstd | Encoding::Unknown(_) => Coding::Zstd,
            },
            base: None,
            full: None,
            expires: validity.earliest().map_or(Timestamp::EPOCH, |(_, expires)| expires),
            rollout: None,
            staged: false,
        })
    }

    /// The delta that is taken in place of the payload `full`, if there is one. One that no role vouches for is none: the
    /// release has its full payload.
    fn delta(
        &mut self,
        image: &Image,
        full: &Payload,
        manifest: Sha256Digest,
    ) -> Result<Option<Source>, SessionError> {
        let Device { journal, booted, delta_memory, .. } = *self.device;
        if delta_memory == 0 || journal.failed_deltas.iter().any(|failed| failed.manifest == manifest) {
            return Ok(None);
        }
        let Some((payload, start)) = choose_delta(image, journal.content(booted), full) else {
            return Ok(None);
        };
        let source = self.source(image, payload).and_then(|source| {
            let (version, length, sha256) = (start.version.clone(), start.length, start.sha256);
            let base = Some(Base { version, length, sha256, index: self.index(&start.index)? });
            Ok(Source { base, ..source })
        });
        match source {
            Ok(source) => Ok(Some(source)),
            Err(SessionError::NotVouchedFor { .. } | SessionError::Digest { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn index(&mut self, index: &IndexRef) -> Result<IndexFile, SessionError> {
        let target = self.require(&index.target)?;
        Ok(IndexFile { path: target.location, length: target.length, root: index.root })
    }
}
