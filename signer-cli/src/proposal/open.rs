//! Reads a proposal's folder. Whatever it holds is untrusted until signatures and rules were checked.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use perennial_schemas::tuf::{Role, Root, Snapshot, Targets, TimestampRole};
use perennial_schemas::{Digest as _, RoleName, Sha256Digest, Signed};

use super::{ProposalError, ProposalFile, SignatureFile};
use crate::crypto::Ring;
use crate::files;
use crate::repository::Repository;

/// Signature files in one proposal: 64 on each of a thousand roles.
const SIGNATURE_FILES: usize = 65_536;

/// A proposal, read.
#[derive(Debug, Clone)]
pub struct Proposal {
    /// Its folder's name.
    pub id: String,
    /// Its folder.
    pub dir: PathBuf,
    /// What it says of itself.
    pub about: ProposalFile,
    /// The root that it proposes.
    pub root: Option<Signed<Root>>,
    /// The targets roles that it proposes, by name.
    pub roles: BTreeMap<RoleName, Signed<Targets>>,
    /// The snapshot, once every role is sealed.
    pub snapshot: Option<Signed<Snapshot>>,
    /// An offline timestamp, once the snapshot is sealed and somebody signed one.
    pub timestamp: Option<Signed<TimestampRole>>,
    /// Signatures as they were found.
    pub signatures: Vec<SignatureFile>,
}

impl Proposal {
    /// Reads a proposal's folder.
    ///
    /// # Errors
    /// [`ProposalError`] where a file is missing, malformed, or names something that the proposal does not have.
    pub fn open(dir: &Path) -> Result<Self, ProposalError> {
        let id = dir.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        // Before anything is opened: a link would lead elsewhere, and a pipe never ends.
        files::list_all(dir)?;
        let about = read_document::<ProposalFile>(&dir.join("proposal.json"))?;
        let metadata = dir.join("metadata");
        let roles = about.base.keys().filter(|role| role.as_str() != "root");
        let roles: BTreeMap<RoleName, Signed<Targets>> = roles
            .map(|role| {
                let body = read_body(&metadata.join(format!("{}.json", role.file_name())))?;
                Ok((role.clone(), body))
            })
            .collect::<Result<_, ProposalError>>()?;
        let root = about.base.keys().any(|role| role.as_str() == "root");
        Ok(Self {
            root: root.then(|| read_body(&metadata.join("root.json"))).transpose()?,
            snapshot: read_if_there(&metadata.join("snapshot.json"))?,
            timestamp: read_if_there(&metadata.join("timestamp.json"))?,
            signatures: read_signatures(&dir.join("signatures"))?,
            id,
            dir: dir.into(),
            about,
            roles,
        })
    }

    /// SHA-256 of what is to be signed for `role`; `None` where the proposal has no such body.
    pub fn digest(&self, role: &RoleName) -> Option<Sha256Digest> {
        self.canonical(role).map(|bytes| Ring.sha256(bytes))
    }

    /// The bytes to be signed for `role`.
    pub fn canonical(&self, role: &RoleName) -> Option<&[u8]> {
        match role.as_str() {
            "root" => self.root.as_ref().map(Signed::canonical),
            "snapshot" => self.snapshot.as_ref().map(Signed::canonical),
            "timestamp" => self.timestamp.as_ref().map(Signed::canonical),
            _ => self.roles.get(role).map(Signed::canonical),
        }
    }

    /// The version of the body of `role`; 0 where the proposal has no such body.
    pub fn version(&self, role: &RoleName) -> u64 {
        match role.as_str() {
            "root" => self.root.as_ref().map(|body| body.unverified().version()),
            "snapshot" => self.snapshot.as_ref().map(|body| body.unverified().version()),
            "timestamp" => self.timestamp.as_ref().map(|body| body.unverified().version()),
            _ => self.roles.get(role).map(|body| body.unverified().version()),
        }
        .unwrap_or(0)
    }

    /// Reads it once more.
    ///
    /// # Errors
    /// As [`Proposal::open`].
    pub fn again(&self) -> Result<Self, ProposalError> {
        Self::open(&self.dir)
    }

    /// Where a new target file of this proposal lies, by its consistent path `product/<sha256>.<name>`.
    pub fn target_file(&self, consistent: &str) -> PathBuf {
        self.dir.join("targets").join(consistent)
    }
}

/// A folder among the proposals by its name, and what was read there.
pub type Found = (String, Result<Proposal, ProposalError>);

/// Every open proposal of a repository, oldest name first, each as far as it can be read. Whatever is no folder is none.
///
/// # Errors
/// [`ProposalError`] where the folder can't be listed.
pub fn open_proposals(repository: &Repository) -> Result<Vec<Found>, ProposalError> {
    let dir = repository.proposals_dir();
    let ids = files::list_folders(&dir)?;
    Ok(ids.into_iter().map(|id| (id.clone(), Proposal::open(&dir.join(id)))).collect())
}

/// The proposal that `wanted` names: an id, the beginning of one, a folder; without a name the only one that is open.
///
/// # Errors
/// [`ProposalError::Which`] where none or several fit.
pub fn find(repository: &Repository, wanted: Option<&str>) -> Result<Proposal, ProposalError> {
    if let Some(path) = wanted.filter(|wanted| wanted.contains('/')) {
        return Proposal::open(Path::new(path));
    }
    let ids = files::list_folders(&repository.proposals_dir())?;
    let fitting: Vec<&String> = match wanted {
        Some(wanted) if ids.iter().any(|id| id == wanted) => ids.iter().filter(|id| *id == wanted).collect(),
        // A part of the name is enough, so that nobody types dates and digits.
        Some(wanted) => ids.iter().filter(|id| id.contains(wanted)).collect(),
        None => ids.iter().collect(),
    };
    match (fitting.as_slice(), wanted) {
        ([id], _) => Proposal::open(&repository.proposals_dir().join(id)),
        ([], None) => Err(which("there is no open proposal", "commands such as product add make one")),
        ([], Some(wanted)) => Err(which(&format!("there is no proposal {wanted:?}"), &list(&ids))),
        (several, _) => {
            let names: Vec<String> = several.iter().map(|id| (*id).clone()).collect();
            Err(which("several proposals are open", &format!("name one: {}", names.join(", "))))
        }
    }
}

fn which(what: &str, hint: &str) -> ProposalError {
    ProposalError::Which { what: what.into(), hint: hint.into() }
}

fn list(ids: &[String]) -> String {
    if ids.is_empty() { "there is no open proposal".into() } else { format!("there are: {}", ids.join(", ")) }
}

fn read_document<T: perennial_schemas::Document>(path: &Path) -> Result<T, ProposalError> {
    let bytes = files::read_foreign(path, T::MAX_LENGTH)?;
    T::parse(&bytes).map_err(|source| ProposalError::Malformed { path: path.into(), source })
}

fn read_body<T: Role>(path: &Path) -> Result<Signed<T>, ProposalError> {
    let bytes = files::read_foreign(path, T::MAX_LENGTH)?;
    Signed::parse(&bytes).map_err(|source| ProposalError::Malformed { path: path.into(), source })
}

fn read_if_there<T: Role>(path: &Path) -> Result<Option<Signed<T>>, ProposalError> {
    if files::exists(path) { read_body(path).map(Some) } else { Ok(None) }
}

fn read_signatures(dir: &Path) -> Result<Vec<SignatureFile>, ProposalError> {
    let names = files::list(dir)?;
    if names.len() > SIGNATURE_FILES {
        let what = format!("{} holds more than {SIGNATURE_FILES} files", dir.display());
        return Err(ProposalError::refused(what, "take a copy of the proposal that you trust"));
    }
    names.iter().map(|name| read_document(&dir.join(name))).collect()
}
