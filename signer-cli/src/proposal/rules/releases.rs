//! What a role says of releases: anti-rollback numbers that devices can follow, and files that stay as long as was
//! promised. Compared with what is published, whatever command or hand has written the proposal.

use perennial_schemas::limits::SECURITY_VERSION_STEP;
use perennial_schemas::release::{Class, Release};
use perennial_schemas::tuf::TargetFile;
use perennial_schemas::{Date, RoleName};

use super::family::Listed;
use super::{Family, published_support, read};
use crate::proposal::{ProposalError, Standing};

const MANIFEST: &str = ".release.json";

/// Checks them for one product.
pub(super) fn check(standing: &Standing<'_>, family: &Family<'_>) -> Result<(), ProposalError> {
    // Whoever was overtaken is told to rebase, by `check_base`; then this is asked again.
    if family.moved {
        return Ok(());
    }
    let before = family.before.as_ref();
    promised(family)?;
    for (path, target) in family.after.iter().filter(|(path, _)| path.ends_with(MANIFEST)) {
        if before.is_none_or(|before| before.get(path) != Some(target)) {
            let release = manifest(standing, path, target)?;
            security_version(standing, path, &release)?;
            rollout_key(standing, &release)?;
        }
    }
    before.map_or(Ok(()), |before| availability(standing, family, before))
}

/// Nobody buys updates without knowing until when, or whom to tell of a weakness: no release without a dated promise and a
/// contact. A support record always has both.
fn promised(family: &Family<'_>) -> Result<(), ProposalError> {
    let (role, before) = (&family.role, family.before.as_ref());
    let old = |path: &str| before.is_some_and(|before| before.contains_key(path));
    let new = family.after.keys().find(|path| path.ends_with(MANIFEST) && !old(path));
    match new.filter(|_| !family.after.contains_key(format!("{role}/support.json").as_str())) {
        None => Ok(()),
        Some(path) => Err(ProposalError::refused(
            format!("{path} would be released, and {role} has no promise of support and no contact"),
            format!("support promise {role} --until DATE --reason TEXT --contact FILE makes the first"),
        )),
    }
}

/// A device refuses a lower number than it has confirmed, and a number that leaps would use up what later releases need.
fn security_version(standing: &Standing<'_>, path: &str, release: &Release) -> Result<(), ProposalError> {
    let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
    let published = standing.published().into_iter().flat_map(|published| published.roles.values());
    let published = published.flat_map(|file| &file.value().targets);
    let mut highest = 0;
    for (other, target) in published.filter(|(other, _)| other.ends_with(MANIFEST)) {
        if other.rsplit_once('/').is_some_and(|(inside, _)| inside == folder) {
            let other = manifest(standing, other, target)?;
            highest = highest.max(other.security_version);
        }
    }
    if release.security_version_may_follow(highest) {
        return Ok(());
    }
    let asked = release.security_version;
    let most = highest.saturating_add(SECURITY_VERSION_STEP);
    Err(ProposalError::refused(
        format!("{path} has security version {asked}, where {} to {most} may follow", highest.max(1)),
        "propose the release again, upon what is published now",
    ))
}

/// A key that signs a role here is no server's rollout key: with the file beside it in a plan, no server could open the rollout.
fn rollout_key(standing: &Standing<'_>, release: &Release) -> Result<(), ProposalError> {
    let Some(plan) = &release.rollout else { return Ok(()) };
    match standing.published().and_then(|published| published.signs_as(&plan.key)) {
        None => Ok(()),
        Some(role) => Err(ProposalError::refused(
            format!(
                "the plan of {} names a key as its server's rollout key that signs {role}",
                release.version
            ),
            crate::rollout::file::OTHER_KEY,
        )),
    }
}

/// A release's files are served until the day that it names, so they stay listed until then. The day is compared with
/// when the role says that it was made: a server compares it with its own clock once more.
fn availability(
    standing: &Standing<'_>,
    family: &Family<'_>,
    before: &Listed<'_>,
) -> Result<(), ProposalError> {
    let kept = |path: &str| family.after.get(path) == before.get(path);
    if before.keys().all(|path| kept(path)) {
        return Ok(());
    }
    let made = family.made.map(|at| at.date());
    let supported = supported_until(standing, &family.role)?;
    for (path, target) in before.iter().filter(|(path, _)| path.ends_with(MANIFEST)) {
        let release = manifest(standing, path, target)?;
        // A promise that was extended since holds for what was released before it, too.
        let until = match release.class {
            Class::Functionality => release.available_until,
            Class::Security | Class::Combined { .. } => supported.max(release.available_until),
        };
        if made.is_some_and(|made| until < made) {
            continue;
        }
        let names = release.targets();
        let mut names = names.iter().map(|name| name.as_str()).chain([*path]);
        if let Some(gone) = names.find(|name| before.contains_key(*name) && !kept(name)) {
            let what = format!("{gone} would go or change, and was promised until {until}");
            return Err(ProposalError::refused(what, "leave it as it is published until that day"));
        }
    }
    Ok(())
}

/// The latest day until which any unit is supported.
fn supported_until(standing: &Standing<'_>, role: &RoleName) -> Result<Date, ProposalError> {
    let record = published_support(standing.repository, role)?;
    Ok(record.map_or(Date::from_days(0), |(record, _)| record.latest_until()))
}

fn manifest(standing: &Standing<'_>, path: &str, target: &TargetFile) -> Result<Release, ProposalError> {
    let release = read::<Release>(Some(standing.proposal), standing.repository, path, target)?;
    release.ok_or_else(|| {
        let hint = "take a whole copy of the repository and of the proposal, with their folders targets/";
        ProposalError::refused(format!("the file of {path} is missing"), hint)
    })
}
