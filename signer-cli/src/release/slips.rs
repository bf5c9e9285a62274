//! What is likely a slip about a new release, beside those that its product has published. A maker may have good reasons for each.

use std::collections::BTreeSet;

use perennial_schemas::HardwareName;
use perennial_schemas::release::Release;

/// Says what is odd about a release, in sentences.
pub fn slips(release: &Release, published: &[Release]) -> Vec<String> {
    let mut said = Vec::new();
    let version = &release.version;
    let Some(newest) = published.iter().max_by(|one, other| one.version.cmp(&other.version)) else {
        return said;
    };
    if *version < newest.version {
        said.push(format!(
            "{} is published already: a device that has it doesn't go back to {version}",
            newest.version
        ));
    }
    let ever: BTreeSet<&HardwareName> = published.iter().flat_map(hardware).collect();
    let own: BTreeSet<&HardwareName> = hardware(release).collect();
    for new in own.difference(&ever) {
        said.push(format!("no release before it has hardware {new}"));
    }
    for left_out in hardware(newest).collect::<BTreeSet<_>>().difference(&own) {
        said.push(format!("hardware {left_out}, for which {} is, gets nothing from it", newest.version));
    }
    said.extend(without_stages(release, published));
    said
}

/// That a release comes without a rollout plan where its product's had one, in a sentence.
pub fn without_stages(release: &Release, published: &[Release]) -> Option<String> {
    let had = |it: &&Release| it.rollout.is_some() && it.version != release.version;
    let last = published.iter().filter(had).max_by(|one, other| one.version.cmp(&other.version))?;
    let said = || format!("it has no rollout plan, as {} had one: everybody gets it at once", last.version);
    release.rollout.is_none().then(said)
}

fn hardware(release: &Release) -> impl Iterator<Item = &HardwareName> {
    release.images.iter().flat_map(|image| &image.hardware)
}
