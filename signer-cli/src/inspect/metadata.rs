//! TUF metadata in plain words.

use perennial_schemas::rollout::{RolloutState, RolloutStatus};
use perennial_schemas::tuf::{
    Delegations, MetaFile, Role, Root, Snapshot, TargetFile, Targets, TimestampRole, TopRole,
};
use perennial_schemas::{FormatError, KeyId, Signed};

use crate::crypto::Ring;
use crate::keys::shortened;
use crate::plain::grouped;
use crate::rollout::file::Share;
use crate::terminal::quoted;

/// What kind of file it is, and what it says; `None` for a type that TUF doesn't have.
pub(super) fn says(kind: &str, bytes: &[u8]) -> Result<Option<(String, Vec<String>)>, FormatError> {
    Ok(Some(match kind {
        "root" => root(&Signed::parse(bytes)?),
        "timestamp" => timestamp(&Signed::parse(bytes)?),
        "snapshot" => snapshot(&Signed::parse(bytes)?),
        "targets" => targets(&Signed::parse(bytes)?),
        RolloutStatus::TYPE => rollout_status(&Signed::parse(bytes)?),
        _ => return Ok(None),
    }))
}

fn common<T: Role>(file: &Signed<T>) -> Vec<String> {
    let common = file.unverified().common();
    let mut lines = vec![format!("Version {}, expires {}.", common.version, common.expires)];
    lines.extend(common.signed_at.map(|at| format!("Its signers were asked at {at}.")));
    let signers: Vec<String> = file.signatures().iter().map(|signature| short(&signature.keyid)).collect();
    lines.push(match signers.as_slice() {
        [] => "Nobody has signed it yet.".into(),
        signers => format!("Signatures by {} (not verified here).", signers.join(", ")),
    });
    lines
}

fn rollout_status(file: &Signed<RolloutStatus>) -> (String, Vec<String>) {
    let status = file.unverified();
    let mut lines = common(file);
    lines.push(format!("The rollout of a release of {}, manifest {}.", status.product, status.manifest));
    let (state, since, open) = (status.state, status.since, Share(status.open));
    // How far inside of what the gate has let in, the plan says, which isn't in this file.
    let open = if state == RolloutState::Running { format!("open for {open}") } else { format!("at {open}") };
    lines.push(format!("{state:?} since {since}, {open} at most."));
    lines.extend(status.stopped.iter().map(|hardware| format!("Halted for hardware {hardware}.")));
    for (what, text) in [("Reason", &status.reason), ("Audit", &status.audit)] {
        lines.extend((!text.is_empty()).then(|| format!("{what}: {}", quoted(text))));
    }
    (RolloutStatus::WHAT.into(), lines)
}

fn root(file: &Signed<Root>) -> (String, Vec<String>) {
    let root = file.unverified();
    let mut lines = common(file);
    for (name, role) in &root.roles {
        let keys: Vec<String> = role.keyids.iter().map(short).collect();
        lines.push(format!(
            "{name}: {} of {} keys must sign: {}",
            role.threshold,
            keys.len(),
            keys.join(", ")
        ));
    }
    let authority = root.authority(TopRole::Root);
    let good = file.good_keys(&authority, &Ring).len();
    lines.push(match good as u64 >= u64::from(authority.threshold()) {
        true => format!("By its own keys it is signed as it must be ({good} good signatures)."),
        false => {
            format!("By its own keys it is NOT signed as it must be ({good} of {}).", authority.threshold())
        }
    });
    ("root: which keys count".into(), lines)
}

fn timestamp(file: &Signed<TimestampRole>) -> (String, Vec<String>) {
    let mut lines = common(file);
    lines.extend(file.unverified().snapshot().map(|meta| listed("snapshot.json", meta)));
    ("timestamp: what is the latest".into(), lines)
}

fn snapshot(file: &Signed<Snapshot>) -> (String, Vec<String>) {
    let mut lines = common(file);
    lines.extend(file.unverified().meta.iter().map(|(name, meta)| listed(name, meta)));
    ("snapshot: which versions belong together".into(), lines)
}

fn targets(file: &Signed<Targets>) -> (String, Vec<String>) {
    let role = file.unverified();
    let mut lines = common(file);
    lines.extend(role.delegations.iter().flat_map(delegations));
    lines.push(format!("{} targets:", role.targets.len()));
    lines.extend(
        role.targets
            .iter()
            .map(|(path, target)| format!("{:>15}  {path}  {}", grouped(target.length), digest(target))),
    );
    ("targets: what exists, and who else may say so".into(), lines)
}

fn delegations(delegations: &Delegations) -> Vec<String> {
    let roles = delegations.roles.iter().flatten().map(|role| {
        let keys: Vec<String> = role.keyids.iter().map(short).collect();
        let paths = role.paths.iter().chain(&role.path_hash_prefixes).flatten();
        let paths: Vec<&str> = paths.map(String::as_str).collect();
        let (name, threshold) = (&role.name, role.threshold);
        format!(
            "{} to {name}: {threshold} of {} keys must sign: {}",
            paths.join(" "),
            keys.len(),
            keys.join(", ")
        )
    });
    let bins = delegations.succinct_roles.iter().map(|bins| {
        format!("everything to {} bins named {}-…", 1_u64 << bins.bit_length.min(32), bins.name_prefix)
    });
    roles.chain(bins).collect()
}

fn listed(name: &str, meta: &MetaFile) -> String {
    let length = meta.length.map(|length| format!(", {} bytes", grouped(length))).unwrap_or_default();
    format!("{name}: version {}{length}", meta.version)
}

fn digest(target: &TargetFile) -> String {
    target.sha256().map(|digest| format!("sha256 {digest}")).unwrap_or_default()
}

/// The beginning of a key id, as `review` shows it.
fn short(id: &KeyId) -> String {
    shortened(id).into()
}
