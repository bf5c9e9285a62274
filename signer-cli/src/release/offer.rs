//! Channels: made, shown, and what they offer or offer no more.

use perennial_schemas::channel::{Channel, Offered, Withdrawn};
use perennial_schemas::document::Document;
use perennial_schemas::ident::ChannelName;
use perennial_schemas::signed::to_text;
use perennial_schemas::{ReleaseVersion, RoleName, Sha256Digest, Timestamp};

use super::{ReleaseError, Standing};
use crate::proposal::{Content, Kind, Proposal, ProposalBuilder};
use crate::repository::Repository;

/// The channel that devices follow unless told otherwise: it needs no `channel create`.
pub const DEFAULT_CHANNEL: &str = "stable";

/// Proposes a channel that offers nothing yet.
///
/// # Errors
/// [`ReleaseError::ChannelExists`], or the proposal can't be made.
pub fn create(
    repository: &Repository,
    standing: &Standing,
    channel: &ChannelName,
    now: Timestamp,
) -> Result<Proposal, ReleaseError> {
    let product = &standing.product;
    if standing.channels.contains_key(channel) {
        return Err(ReleaseError::ChannelExists { product: product.clone(), channel: channel.clone() });
    }
    let summary = format!("{product}: a new channel, {channel}");
    let mut builder =
        ProposalBuilder::new(repository, Kind::Channel, &format!("{product}-{channel}"), &summary, now);
    put(&mut builder, &Channel::new(product.clone(), channel.clone()))?;
    Ok(builder.write()?)
}

/// Proposes to offer a published release on one more channel.
///
/// # Errors
/// [`ReleaseError`]: no such release or channel, offered or withdrawn already, or the proposal can't be made.
pub fn offer(
    repository: &Repository,
    standing: &Standing,
    version: &ReleaseVersion,
    channel: &ChannelName,
    now: Timestamp,
) -> Result<Proposal, ReleaseError> {
    let product = &standing.product;
    let manifest = *standing.manifest(version)?;
    let next = offering(standing, channel, version, manifest)?;
    let summary = format!("{product}: {version} on channel {channel}");
    let subject = format!("{product}-{channel}-{version}");
    let mut builder = ProposalBuilder::new(repository, Kind::Channel, &subject, &summary, now);
    put(&mut builder, &next)?;
    Ok(builder.write()?)
}

/// Proposes to withdraw a release: no channel offers it any more, and every channel tells devices to refuse it for good.
///
/// # Errors
/// [`ReleaseError`]: no such release, withdrawn already, or the proposal can't be made.
pub fn withdraw(
    repository: &Repository,
    standing: &Standing,
    version: &ReleaseVersion,
    reason: &str,
    now: Timestamp,
) -> Result<Proposal, ReleaseError> {
    let product = &standing.product;
    let manifest = *standing.manifest(version)?;
    let summary = format!("{product}: {version} withdrawn");
    let subject = format!("{product}-{version}");
    let mut builder = ProposalBuilder::new(repository, Kind::Withdraw, &subject, &summary, now);
    let mut changed = false;
    let mut channels: Vec<Channel> = standing.channels.values().cloned().collect();
    if channels.is_empty() {
        // Nothing offers it; a device that has it hears of the withdrawal all the same.
        channels.push(new_default(standing)?);
    }
    for mut channel in channels {
        if channel.withdrawn.iter().any(|entry| entry.manifest == manifest) {
            continue;
        }
        channel.releases.retain(|offered| offered.manifest != manifest);
        channel.withdrawn.push(Withdrawn {
            version: version.clone(),
            manifest,
            reason: reason.into(),
            at: now,
        });
        put(&mut builder, &channel)?;
        changed = true;
    }
    if !changed {
        return Err(ReleaseError::Nothing(format!("{product} {version} is withdrawn already")));
    }
    Ok(builder.write()?)
}

/// The channel with one release more. The default channel is made where there is none.
///
/// # Errors
/// [`ReleaseError`]: no such channel, offered already, withdrawn.
pub(super) fn offering(
    standing: &Standing,
    channel: &ChannelName,
    version: &ReleaseVersion,
    manifest: Sha256Digest,
) -> Result<Channel, ReleaseError> {
    let product = &standing.product;
    if standing.is_withdrawn(&manifest) {
        return Err(ReleaseError::Withdrawn { product: product.clone(), version: version.clone() });
    }
    let mut next = match standing.channel(channel) {
        Ok(channel) => channel.clone(),
        Err(_) if channel.as_str() == DEFAULT_CHANNEL => Channel::new(product.clone(), channel.clone()),
        Err(e) => return Err(e),
    };
    if next.releases.iter().any(|offered| offered.manifest == manifest) {
        return Err(ReleaseError::Nothing(format!("{product} {version} is on channel {channel} already")));
    }
    next.releases.push(Offered { version: version.clone(), manifest });
    Ok(next)
}

/// Puts a channel's new content into the proposal.
pub(super) fn put(builder: &mut ProposalBuilder<'_>, channel: &Channel) -> Result<(), ReleaseError> {
    channel.validate()?;
    let path = Channel::path(&channel.product, &channel.channel)?;
    Ok(builder.put_target(&RoleName::from(&channel.product), &path, Content::Bytes(to_text(channel)?))?)
}

fn new_default(standing: &Standing) -> Result<Channel, ReleaseError> {
    Ok(Channel::new(standing.product.clone(), DEFAULT_CHANNEL.parse()?))
}
