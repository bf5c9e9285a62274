//! What signing a product's role again means for its rollouts, and how far one is by its server's own word.
//!
//! Devices take a later signature of the role that offers a release for renewed consent: whoever signs it is told so.

use perennial_schemas::channel::Channel;
use perennial_schemas::release::Release;
use perennial_schemas::rollout::{Plan, RolloutState, RolloutStatus};
use perennial_schemas::signed::Signed;
use perennial_schemas::tuf::Role as _;
use perennial_schemas::{Sha256Digest, Timestamp};

use super::Item;
use crate::crypto::Ring;
use crate::proposal::rules::{Family, published_releases, read};
use crate::proposal::{ProposalError, Standing};
use crate::release::without_stages;
use crate::rollout::file::{Share, Span};
use crate::rollout::lint::{over, overtaken};
use crate::rollout::tell;
use crate::terminal::quoted;

/// The releases that a signature of this role would let go on where they were held: offered with it, and their rollout begun.
pub(super) fn consent(
    standing: &Standing<'_>,
    family: &Family<'_>,
    now: Timestamp,
) -> Result<Option<Item>, ProposalError> {
    let mut lines = Vec::new();
    let mut seen = std::collections::BTreeSet::new();
    for (path, target) in family.after.iter().filter(|(path, _)| path.ends_with(".channel.json")) {
        let channel: Option<Channel> = read(Some(standing.proposal), standing.repository, path, target)?;
        for offered in channel.into_iter().flat_map(|channel| channel.releases) {
            if !seen.insert(offered.manifest) {
                continue;
            }
            let release = release(standing, family, &offered.manifest)?;
            let begun = |plan: &Plan| tell::begins(plan).is_some_and(|begins| begins <= now);
            let Some(plan) = release.and_then(|release| release.rollout).filter(begun) else { continue };
            lines.push(format!(
                "Signing this is renewed consent to {}: a device that its server has held back for {} goes on with it. \
                 If it was stopped for cause, withdraw it.",
                offered.version,
                Span(plan.max_hold_seconds)
            ));
        }
    }
    Ok((!lines.is_empty()).then(|| Item::Note { text: lines.join("\n") }))
}

/// The releases that a channel would newly offer with a plan that is open for everybody by now: whoever signs is told.
pub(super) fn at_once(
    standing: &Standing<'_>,
    family: &Family<'_>,
    now: Timestamp,
) -> Result<Vec<Item>, ProposalError> {
    let (mut items, mut seen) = (Vec::new(), std::collections::BTreeSet::new());
    for (path, target) in family.after.iter().filter(|(path, _)| path.ends_with(".channel.json")) {
        let channel = |target| read::<Channel>(Some(standing.proposal), standing.repository, path, target);
        let before = family.before.as_ref().and_then(|before| before.get(path).copied());
        let before = before.map(channel).transpose()?.flatten();
        for offered in channel(target)?.into_iter().flat_map(|channel| channel.releases) {
            let known = before.iter().flat_map(|before| &before.releases);
            if known.map(|it| it.manifest).any(|it| it == offered.manifest) || !seen.insert(offered.manifest)
            {
                continue;
            }
            let Some(release) = release(standing, family, &offered.manifest)? else { continue };
            let earlier = match release.rollout {
                Some(_) => Vec::new(),
                None => published_releases(standing.repository, &family.role)?,
            };
            if let Some(said) = without_stages(&release, &earlier) {
                items.push(Item::Warning { text: format!("{}: {said}", offered.version) });
            }
            if let Some(remark) = release.rollout.and_then(|plan| over(&plan, now)) {
                let text =
                    format!("the rollout of {} is over before it begins: {}", offered.version, remark.what);
                items.push(Item::Warning { text });
            }
        }
    }
    Ok(items)
}

/// Refuses to publish a release whose stages went by since it was proposed: what its signers have read of it, and signed, isn't
/// what would happen, and once it is published no signature brings the stages back.
///
/// # Errors
/// [`ProposalError::Refused`]
pub(crate) fn check_stages(standing: &Standing<'_>, now: Timestamp) -> Result<(), ProposalError> {
    for (release, plan) in drafts(standing)? {
        if let Some(remark) = overtaken(&plan, release.created, now) {
            return Err(ProposalError::refused(
                format!("the stages of {} went by while it was signed: {}", release.version, remark.what),
                "propose it again with a plan that starts later; is it really to go to everybody at once, publish it with --everybody-at-once",
            ));
        }
    }
    Ok(())
}

/// The rollouts that a proposal would begin: releases that it brings, each with its plan.
pub(crate) fn drafts(standing: &Standing<'_>) -> Result<Vec<(Release, Plan)>, ProposalError> {
    let mut drafts = Vec::new();
    for family in Family::all(standing) {
        let is_new = |path: &str| family.before.as_ref().is_none_or(|before| !before.contains_key(path));
        for (path, target) in family.after.iter().filter(|(path, _)| path.ends_with(".release.json")) {
            let release: Option<Release> = match is_new(path) {
                true => read(Some(standing.proposal), standing.repository, path, target)?,
                false => None,
            };
            drafts.extend(release.and_then(|mut release| {
                let plan = release.rollout.take()?;
                Some((release, plan))
            }));
        }
    }
    Ok(drafts)
}

/// What a status file says of the rollout of a release that is published, or that the proposal brings; verified by the key that
/// the release's plan names.
pub(super) fn status(
    standing: &Standing<'_>,
    bytes: &[u8],
    now: Timestamp,
) -> Result<Vec<String>, ProposalError> {
    let refused = |what: String| {
        ProposalError::refused(what, "take the file anew from its server: rollouts/PRODUCT/VERSION.json")
    };
    let signed: Signed<RolloutStatus> = Signed::parse(bytes)?;
    let manifest = signed.unverified().manifest;
    let mut found = None;
    for family in Family::all(standing) {
        found = found.or(release(standing, &family, &manifest)?);
    }
    let none = || refused("the status is of no release that this proposal is about".into());
    let release = found.ok_or_else(none)?;
    let plan = release.rollout.as_ref().ok_or_else(none)?;
    let status = RolloutStatus::verify(signed, plan, &release.product, &manifest, &Ring)
        .map_err(|error| refused(format!("the status doesn't count: {error}")))?;
    let state = match status.state {
        RolloutState::Running => "running",
        RolloutState::Paused => "paused by a person",
        RolloutState::Halted => "HALTED",
        RolloutState::Unknown => "in a state that this program doesn't know",
    };
    let (version, number) = (&release.version, status.version());
    // The status says how far the gate lets it; how far inside of that, the plan says, until it was stopped.
    let share = |at| Share(status.open.min(plan.share_at(at)));
    let far = match status.state {
        RolloutState::Running => format!("open for {}", share(now)),
        _ => format!("when it had come to {}", share(status.since)),
    };
    let mut lines = vec![
        format!("The rollout of {version} is {state} since {}, {far}.", status.since),
        format!("So says its server's status {number} of {}.", status.issued),
    ];
    if !status.is_current(now) {
        lines.push(format!("That status EXPIRED at {}: the server may say otherwise now.", status.expires()));
    }
    lines.extend(status.stopped.iter().map(|hardware| match status.stopped_reasons.get(hardware) {
        Some(why) => format!("Halted for hardware {hardware}: {}", quoted(why)),
        None => format!("Halted for hardware {hardware}."),
    }));
    if !status.reason.is_empty() {
        lines.push(format!("Reason: {}", quoted(&status.reason)));
    }
    if !status.audit.is_empty() {
        lines.push(format!(
            "Its audit stands at {}: perennial-server audit verify --head checks it.",
            quoted(&status.audit)
        ));
    }
    Ok(lines)
}

/// The manifest of that digest, as it is published or would be.
fn release(
    standing: &Standing<'_>,
    family: &Family<'_>,
    manifest: &Sha256Digest,
) -> Result<Option<Release>, ProposalError> {
    let all = family.after.iter().chain(family.before.iter().flatten());
    let mut found =
        all.filter(|(path, target)| path.ends_with(".release.json") && target.sha256() == Some(*manifest));
    let Some((path, target)) = found.next() else { return Ok(None) };
    read(Some(standing.proposal), standing.repository, path, target)
}
