//! Where a device stands in a rollout: a hash of the release's salt and the device's id, so that other devices go first in
//! each release.

use alloc::vec::Vec;

use super::{Salt, WHOLE};
use crate::crypto::Digest;
use crate::ident::DeviceId;

/// A device's place in the fleet, from 0 up to [`WHOLE`] (excluded): it is admitted once the open share is above it.
///
/// `(u64_be(SHA-256("perennial-bucket-v1" ‖ len16(salt) ‖ salt ‖ device)[0..8]) × 1,000,000) >> 64`, where `len16` is the
/// salt's length in two bytes, big-endian.
pub fn bucket(salt: &Salt, device: &DeviceId, digest: &impl Digest) -> u32 {
    hashed(b"perennial-bucket-v1", salt, device, digest)
}

/// The share of `catch_up` that a device waits once a hold has ended, from 0 up to [`WHOLE`] (excluded). It has nothing to do
/// with the bucket: those who were held have neighbouring buckets.
pub fn catch_up_part(salt: &Salt, device: &DeviceId, digest: &impl Digest) -> u32 {
    hashed(b"perennial-catch-up-v1", salt, device, digest)
}

fn hashed(domain: &[u8], salt: &Salt, device: &DeviceId, digest: &impl Digest) -> u32 {
    let bytes = salt.as_bytes();
    let mut message = Vec::with_capacity(domain.len() + 2 + bytes.len() + device.as_str().len());
    message.extend_from_slice(domain);
    // A salt has at most 64 bytes.
    message.extend_from_slice(&(bytes.len() as u16).to_be_bytes());
    message.extend_from_slice(bytes);
    message.extend_from_slice(device.as_str().as_bytes());
    let hash = digest.sha256(&message);
    let first: [u8; 8] = core::array::from_fn(|i| hash.0[i]);
    ((u128::from(u64::from_be_bytes(first)) * u128::from(WHOLE)) >> 64) as u32
}
