//! The same content signed anew: a snapshot for the next weeks, consent to a release that is held back, or everything for the
//! years after a product's end.

use perennial_schemas::ident::ProductName;
use perennial_schemas::tuf::TopRole;
use perennial_schemas::{Date, ReleaseVersion, RoleName, Timestamp};

use super::{ReleaseError, Standing};
use crate::proposal::{Kind, Proposal, ProposalBuilder};
use crate::repository::{Repository, bins, top};
use crate::rollout::tell;

/// The longest that signatures last, in days: the proposals' own limit of about ten years.
pub const LONGEST_DAYS: u16 = 3660;

/// Proposes a new snapshot of what is published.
///
/// # Errors
/// [`ReleaseError::Proposal`]
pub fn snapshot(repository: &Repository, now: Timestamp) -> Result<Proposal, ReleaseError> {
    // Nothing to renew before the first publication.
    repository.published()?;
    let mut builder =
        ProposalBuilder::new(repository, Kind::Snapshot, "", "The same content, signed anew", now);
    builder.renew_snapshot();
    Ok(builder.write()?)
}

/// Proposes the product's role as it is, signed anew, and a snapshot: the signers' renewed consent to a release that its server
/// has held back.
///
/// # Errors
/// [`ReleaseError`]: no such release, withdrawn, on no channel; or nobody is held back, for want of a plan or before its
/// first device.
pub fn affirm(
    repository: &Repository,
    standing: &Standing,
    version: &ReleaseVersion,
    now: Timestamp,
) -> Result<Proposal, ReleaseError> {
    let (product, manifest) = (standing.product.clone(), standing.manifest(version)?);
    if standing.is_withdrawn(manifest) {
        return Err(ReleaseError::Withdrawn { product, version: version.clone() });
    }
    if !standing.is_offered(manifest) {
        return Err(ReleaseError::NotOffered { product, version: version.clone() });
    }
    let Some(plan) = standing.rollouts.get(version) else {
        let what = format!("{product} {version} has no rollout plan: no device waits for consent to it");
        return Err(ReleaseError::Nothing(what));
    };
    if let Some(begins) = tell::begins(plan).filter(|begins| *begins > now) {
        let what =
            format!("the rollout of {product} {version} begins at {begins}: no device is held back yet");
        return Err(ReleaseError::Nothing(what));
    }
    let summary = format!("{product}: renewed consent to {version}");
    let subject = format!("{product}-{version}");
    let mut builder = ProposalBuilder::new(repository, Kind::Affirm, &subject, &summary, now);
    builder.edit_role(&RoleName::from(&product), |_| ())?;
    builder.renew_snapshot();
    Ok(builder.write()?)
}

/// Proposes root, targets, the product's role with its bins, snapshot and an offline timestamp that last for `days`, so that a product
/// past its end keeps its last release without a server's key.
///
/// # Errors
/// [`ReleaseError::StillSupported`] unless `before_support_ends`: while releases come, short expiry is what stops a stolen
/// server from holding devices back.
pub fn archive(
    repository: &Repository,
    product: &ProductName,
    days: u16,
    before_support_ends: bool,
    now: Timestamp,
) -> Result<Proposal, ReleaseError> {
    let standing = Standing::read(repository, product)?;
    let until: Option<Date> = standing.support.as_ref().map(|support| support.latest_until());
    if let Some(until) = until.filter(|until| *until >= now.date() && !before_support_ends) {
        return Err(ReleaseError::StillSupported { product: product.clone(), until });
    }
    let expires = now.plus_days(days.into());
    let summary = format!("{product}: archived until {}", expires.date());
    let mut builder = ProposalBuilder::new(repository, Kind::Archive, product.as_str(), &summary, now);
    builder.edit_root(|root| root.common.expires = expires)?;
    let own = RoleName::from(product);
    let has_bins = repository.published()?.role(&own).is_some_and(|file| bins::are_in(product, file.value()));
    let all_bins = has_bins.then(|| bins::all(product)).into_iter().flatten();
    for role in [top(TopRole::Targets), own].into_iter().chain(all_bins) {
        builder.edit_role(&role, |targets| targets.common.expires = expires)?;
    }
    builder.renew_snapshot();
    builder.lasting(days, days);
    Ok(builder.write()?)
}
