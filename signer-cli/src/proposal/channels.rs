//! Channels that both sides changed: what a proposal offers and withdraws since its base is added to what is published.

use std::collections::BTreeSet;

use perennial_schemas::TargetPath;
use perennial_schemas::channel::Channel;
use perennial_schemas::document::Document;
use perennial_schemas::signed::to_text;
use perennial_schemas::tuf::Targets;

use super::rules::{consistent, read};
use super::{Proposal, ProposalError};
use crate::repository::Repository;

/// A channel as it would stand with both sides' changes.
pub(super) struct MergedChannel {
    /// Its target path.
    pub(super) path: TargetPath,
    /// Where the proposal had its own version, under `targets/`.
    pub(super) replaces: String,
    /// The new file.
    pub(super) text: Vec<u8>,
}

/// The channels that `ours` and `theirs` both changed since `base`.
///
/// # Errors
/// [`ProposalError`] where one of the three can't be read.
pub(super) fn merge(
    proposal: &Proposal,
    repository: &Repository,
    base: &Targets,
    theirs: &Targets,
    ours: &Targets,
) -> Result<Vec<MergedChannel>, ProposalError> {
    let mut merged = Vec::new();
    for (path, our) in ours.targets.iter().filter(|(path, _)| path.ends_with(".channel.json")) {
        let (was, their) = (base.targets.get(path), theirs.targets.get(path));
        let Some(their) = their.filter(|their| *their != our && was != Some(our) && was != Some(*their))
        else {
            continue;
        };
        let read = |target| read::<Channel>(Some(proposal), repository, path, target);
        let (Some(their), Some(ours)) = (read(their)?, read(our)?) else { continue };
        let was = was.map(read).transpose()?.flatten();
        let was = was.unwrap_or_else(|| Channel::new(ours.product.clone(), ours.channel.clone()));
        let channel = both(&was, their, &ours);
        channel.validate()?;
        let (Ok(path), Some(replaces)) = (path.parse(), consistent(path, our)) else { continue };
        merged.push(MergedChannel { path, replaces, text: to_text(&channel)? });
    }
    Ok(merged)
}

/// What a withdrawal took away stays away, whoever offered it.
fn both(was: &Channel, theirs: Channel, ours: &Channel) -> Channel {
    let mut channel = theirs;
    channel.releases.retain(|entry| ours.releases.contains(entry) || !was.releases.contains(entry));
    let new = ours.releases.iter().filter(|entry| !was.releases.contains(entry));
    let new: Vec<_> = new.filter(|entry| !channel.releases.contains(entry)).cloned().collect();
    channel.releases.extend(new);
    let new = ours.withdrawn.iter().filter(|entry| !was.withdrawn.contains(entry));
    let new: Vec<_> = new.filter(|entry| !channel.withdrawn.contains(entry)).cloned().collect();
    channel.withdrawn.extend(new);
    let gone: BTreeSet<_> = channel.withdrawn.iter().map(|entry| entry.manifest).collect();
    channel.releases.retain(|entry| !gone.contains(&entry.manifest));
    channel
}

#[cfg(test)]
mod tests {
    use perennial_schemas::channel::{Offered, Withdrawn};
    use perennial_schemas::{Sha256Digest, Timestamp};

    use super::*;

    fn channel(offered: &[u8], withdrawn: &[u8]) -> Channel {
        let mut channel = Channel::new("thermostat".parse().unwrap(), "stable".parse().unwrap());
        let version = |n: u8| format!("1.{n}").parse().unwrap();
        let offer = |&n: &u8| Offered { version: version(n), manifest: Sha256Digest([n; 32]) };
        channel.releases = offered.iter().map(offer).collect();
        let withdraw = |&n: &u8| Withdrawn {
            version: version(n),
            manifest: Sha256Digest([n; 32]),
            reason: "x".into(),
            at: Timestamp::EPOCH,
        };
        channel.withdrawn = withdrawn.iter().map(withdraw).collect();
        channel
    }

    #[test]
    fn both_sides_releases_are_offered_and_both_sides_withdrawals_hold() {
        let merged = |was, theirs, ours| both(&was, theirs, &ours);
        let (one, two, three) = (channel(&[1], &[]), channel(&[1, 2], &[]), channel(&[1, 3], &[]));
        assert_eq!(merged(one.clone(), two.clone(), three), channel(&[1, 2, 3], &[]));
        // Ours withdraws 1, theirs offers 2.
        assert_eq!(merged(one.clone(), two.clone(), channel(&[], &[1])), channel(&[2], &[1]));
        // Theirs has withdrawn 2, which ours, older, still offers beside 3.
        assert_eq!(
            merged(two.clone(), channel(&[1], &[2]), channel(&[1, 2, 3], &[])),
            channel(&[1, 3], &[2])
        );
    }
}
