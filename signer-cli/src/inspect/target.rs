//! A published target: who vouches for it, and what its file says.

use super::{InspectError, Inspected, of_file};
use crate::files;
use crate::plain::grouped;
use crate::repository::Repository;

/// Looks at the target `path` of what is published.
///
/// # Errors
/// [`InspectError::NotFound`] where no role lists it.
pub fn of_target(repository: &Repository, path: &str) -> Result<Inspected, InspectError> {
    let published = repository.published()?;
    let not_found = || InspectError::NotFound(path.into());
    let listed =
        published.roles.iter().find_map(|(role, file)| Some((role, file, file.value().targets.get(path)?)));
    let (role, file, target) = listed.ok_or_else(not_found)?;
    let name: perennial_schemas::TargetPath = path.parse().map_err(|_| not_found())?;
    let digest = target.sha256().map(|digest| digest.to_string()).unwrap_or_default();
    let place = repository.targets_dir().join(name.consistent(&digest));
    let mut says = vec![format!(
        "{role} vouches for it (version {}): {} bytes, sha256 {digest}",
        file.version(),
        grouped(target.length)
    )];
    if !files::exists(&place) {
        says.push(format!("Its file {} is MISSING.", place.display()));
        return Ok(Inspected { file: path.into(), kind: "published target".into(), says, content: None });
    }
    let (length, sha256) = files::measure(&place)?;
    says.push(match (length, Some(sha256)) == (target.length, target.sha256()) {
        true => format!("Its file {} is what was signed.", place.display()),
        false => format!("Its file {} is NOT what was signed: sha256 {sha256}", place.display()),
    });
    match of_file(&place) {
        Ok(inner) => {
            says.extend(inner.says);
            let kind = format!("published target, {}", inner.kind);
            Ok(Inspected { file: path.into(), kind, says, content: inner.content })
        }
        Err(InspectError::Unknown(_)) => {
            Ok(Inspected { file: path.into(), kind: "published target".into(), says, content: None })
        }
        Err(e) => Err(e),
    }
}
