//! Somebody who has stolen the server's rollout key, and answers in the server's place.

use std::path::Path;

use perennial_device_core::crypto::Ring;
use perennial_schemas::digest::encode_hex;
use perennial_schemas::rollout::{RolloutState, RolloutStatus, WHOLE};
use perennial_schemas::signed::{Envelope, Signature, canonical_of, to_text};
use perennial_schemas::tuf::{Common, Key, Role};
use perennial_schemas::{ProductName, Timestamp};
use ring::signature::{Ed25519KeyPair, KeyPair};

use super::offer::Offer;
use crate::maker::PRODUCT;

/// What a thief says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Says {
    /// Every release is open for all.
    Open,
    /// Every release is halted, and each time since just now.
    Halted,
    /// Every release is open for all, in a status dated 2099.
    Open2099,
    /// Every release is halted, in a status dated 2099.
    Halted2099,
    /// Nothing.
    Nothing,
    /// For each release, the server's own status of the first one.
    Replayed,
}

/// The thief.
pub struct Thief {
    pair: Ed25519KeyPair,
    /// What they say.
    pub says: Says,
}

impl Thief {
    /// One who has read the key in a server's state folder.
    pub fn with_key_of(state: &Path, says: Says) -> Self {
        let text = std::fs::read(state.join("keys/rollout.key")).expect("a server has a rollout key");
        let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(&text).expect("an ed25519 key");
        Self { pair, says }
    }

    /// What devices get for the status of a release. `honest` is what the server would say of one.
    pub fn status(
        &self,
        offers: &[Offer],
        number: usize,
        now: Timestamp,
        honest: &dyn Fn(usize) -> Option<Vec<u8>>,
    ) -> Option<Vec<u8>> {
        let in_2099 = Timestamp::from_unix(4_070_908_800);
        let (state, at) = match self.says {
            Says::Nothing => return None,
            Says::Replayed => return honest(0),
            Says::Open => (RolloutState::Running, now),
            Says::Halted => (RolloutState::Halted, now),
            Says::Open2099 => (RolloutState::Running, in_2099),
            Says::Halted2099 => (RolloutState::Halted, in_2099),
        };
        Some(self.sign(&offers[number], state, at))
    }

    fn sign(&self, offer: &Offer, state: RolloutState, at: Timestamp) -> Vec<u8> {
        let public = self.pair.public_key().as_ref().try_into().expect("an ed25519 key has 32 bytes");
        let key = Key::ed25519(public).id(&Ring).expect("a key can be written");
        let age = offer.plan.as_ref().map_or(3600, |plan| plan.status_max_age_seconds as i64);
        let product: ProductName = PRODUCT.parse().expect("a product");
        let status = RolloutStatus {
            common: Common::new(RolloutStatus::TYPE, at.unix() as u64, at.plus_seconds(age), None),
            product,
            manifest: offer.manifest,
            key: key.clone(),
            issued: at,
            open: WHOLE,
            state,
            stopped: Vec::new(),
            since: at,
            reason: String::new(),
            stopped_reasons: Default::default(),
            audit: String::new(),
        };
        let message = canonical_of(&status).expect("strict JSON");
        let sig = encode_hex(self.pair.sign(&message).as_ref());
        let signed = Envelope { signed: status, signatures: vec![Signature { keyid: key, sig }] };
        to_text(&signed).expect("JSON")
    }
}
