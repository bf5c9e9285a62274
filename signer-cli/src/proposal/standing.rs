//! Where a proposal stands: whose signatures it has, whose it still needs, and whether it still fits what is
//! published. Decides nothing else, and changes nothing.

use std::collections::{BTreeMap, BTreeSet};

use perennial_schemas::digest::decode_hex;
use perennial_schemas::tuf::{Authority, Key, Root, Targets, TopRole};
use perennial_schemas::{Digest as _, KeyId, RoleName, Signed, VerifySignature as _};

use super::{Proposal, ProposalError, SignatureFile, seal};
use crate::crypto::Ring;
use crate::keys::shortened;
use crate::repository::{Published, Repository, RoleFile, authority_of, bins, top};

/// Signatures that one body needs from one set of keys. A new root needs those of the root before it, too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Need {
    /// The body.
    pub role: RoleName,
    /// Whose keys, where it isn't plain from the role: `the root before it`.
    pub by: Option<&'static str>,
    /// How many must sign.
    pub threshold: u32,
    /// Who has signed.
    pub signed: Vec<KeyId>,
    /// Who could sign still.
    pub open: Vec<KeyId>,
}

impl Need {
    /// Whether enough have signed.
    pub fn is_met(&self) -> bool {
        self.signed.len() as u64 >= u64::from(self.threshold)
    }

    /// How many signatures are missing.
    pub fn missing(&self) -> u64 {
        u64::from(self.threshold).saturating_sub(self.signed.len() as u64)
    }

    /// Needs by the name of their role, where bins of one product that stand alike are taken together.
    pub fn together(needs: &[Self]) -> impl Iterator<Item = (String, &Self)> {
        let alike = |one: &Self, next: &Self| {
            bins::owner(&one.role).is_some()
                && bins::owner(&one.role) == bins::owner(&next.role)
                && (&one.signed, &one.open) == (&next.signed, &next.open)
        };
        needs.chunk_by(alike).filter_map(|run| match run {
            [] => None,
            [one] => Some((one.role.to_string(), one)),
            [one, ..] => Some((bins::counted(&one.role, run.len()), one)),
        })
    }
}

/// A proposal upon what is published.
#[derive(Debug)]
pub struct Standing<'p> {
    /// The proposal.
    pub proposal: &'p Proposal,
    /// The repository.
    pub repository: &'p Repository,
}

impl<'p> Standing<'p> {
    /// Looks at a proposal upon what is published.
    pub fn new(proposal: &'p Proposal, repository: &'p Repository) -> Self {
        Self { proposal, repository }
    }

    pub(super) fn published(&self) -> Option<&'p Published> {
        self.repository.published.as_ref()
    }

    /// The root as it would stand.
    ///
    /// # Errors
    /// [`ProposalError`] where there is none.
    pub fn root(&self) -> Result<&'p Root, ProposalError> {
        let published = || Some(self.published()?.root.value());
        let root = self.proposal.root.as_ref().map(Signed::unverified).or_else(published);
        root.ok_or_else(|| {
            ProposalError::refused(
                "there is no root, neither published nor proposed",
                "start with repository init",
            )
        })
    }

    /// Every targets role as it would stand.
    pub fn roles(&self) -> BTreeMap<&'p RoleName, &'p Targets> {
        let published = self.published().into_iter().flat_map(|published| &published.roles);
        let published = published.map(|(name, file)| (name, file.value()));
        let proposed = self.proposal.roles.iter().map(|(name, body)| (name, body.unverified()));
        published.chain(proposed).collect()
    }

    /// The keys that must sign a body: first the role's own, then, for a root, those of the root before it.
    ///
    /// # Errors
    /// [`ProposalError`] where nobody delegates to the role.
    pub fn authorities(
        &self,
        role: &'p RoleName,
    ) -> Result<Vec<(Option<&'static str>, Authority<'p>)>, ProposalError> {
        let roles = self.roles();
        let authority = authority_of(role, self.root()?, |name| roles.get(name).copied());
        let authority = authority.ok_or_else(|| {
            ProposalError::refused(
                format!("nobody delegates to the role {role}"),
                "propose the delegation together with the role",
            )
        })?;
        let mut all = vec![(None, authority)];
        if let ("root", Some(published)) = (role.as_str(), self.published()) {
            all.push((Some("the root before it"), published.root.value().authority(TopRole::Root)));
        }
        Ok(all)
    }

    pub(super) fn authorities_of(&self, role: &'p RoleName) -> Result<Vec<Authority<'p>>, ProposalError> {
        Ok(self.authorities(role)?.into_iter().map(|(_, authority)| authority).collect())
    }

    /// What each body of the proposal needs and has. The snapshot's needs are listed from the beginning; those of an
    /// offline timestamp once somebody made one.
    ///
    /// # Errors
    /// [`ProposalError`] where nobody delegates to a role.
    pub fn needs(&self) -> Result<Vec<Need>, ProposalError> {
        let mut needs = Vec::new();
        for role in self.bodies() {
            for (by, authority) in self.authorities(role)? {
                needs.push(self.need(role, by, &authority));
            }
        }
        Ok(needs)
    }

    /// The roles that the proposal has or will have bodies for, in the order in which they are signed.
    pub fn bodies(&self) -> Vec<&'p RoleName> {
        let names = top_names();
        let mut bodies = Vec::new();
        bodies.extend(self.proposal.root.is_some().then_some(&names.root));
        bodies.extend(self.proposal.roles.keys());
        bodies.extend(self.proposal.about.snapshot.then_some(&names.snapshot));
        bodies.extend(self.proposal.timestamp.is_some().then_some(&names.timestamp));
        bodies
    }

    fn need(&self, role: &'p RoleName, by: Option<&'static str>, authority: &Authority<'p>) -> Need {
        let mut signed = Vec::new();
        let mut open = Vec::new();
        let mut public_keys = BTreeSet::new();
        for (id, key) in authority.keys() {
            let good = self.good_signature(role, id, key).is_some();
            // A key counts once, under however many ids it is listed (TUF 5.3.4).
            if good && public_keys.insert(key.public()) {
                signed.push(id.clone());
            } else if !good {
                open.push(id.clone());
            }
        }
        Need { role: role.clone(), by, threshold: authority.threshold(), signed, open }
    }

    /// The good signature of a key over a body, if it is there. A bad one in its name counts for nothing.
    pub(super) fn good_signature(&self, role: &RoleName, id: &KeyId, key: &Key) -> Option<&'p SignatureFile> {
        let proposal = self.proposal;
        let bytes = proposal.canonical(role)?;
        proposal
            .signatures
            .iter()
            .filter(|file| file.role == *role && file.keyid == *id)
            .find(|file| decode_hex(&file.sig).is_some_and(|sig| Ring.verify(key, bytes, &sig).is_ok()))
    }

    pub(super) fn signatures(&self, role: &'p RoleName) -> impl Iterator<Item = &'p SignatureFile> {
        self.proposal.signatures.iter().filter(move |signature| signature.role == *role)
    }

    /// Refuses a proposal that was changed after somebody signed it, by the digests in the signature files and by the
    /// signatures themselves. That a signature was taken away leaves no trace.
    ///
    /// # Errors
    /// [`ProposalError::Refused`] that names the role and the key.
    pub fn check_unchanged(&self) -> Result<(), ProposalError> {
        for signature in &self.proposal.signatures {
            let role = &signature.role;
            let short = shortened(&signature.keyid);
            if self.proposal.digest(role) == Some(signature.sha256) {
                if self.is_false(signature)? {
                    let id = &self.proposal.id;
                    return Err(ProposalError::refused(
                        format!("the signature of key {short} over {role} in {id} does not hold"),
                        "find out who changed it or what it is for; then take a copy from before, or remove the \
                         file in signatures/ and have that key sign again",
                    ));
                }
                continue;
            }
            return Err(ProposalError::refused(
                format!("{role} of {} was changed after key {short} had signed it", self.proposal.id),
                "find out who changed it; then take a copy from before, or rebase, which drops the signatures",
            ));
        }
        Ok(())
    }

    /// Whether a key that may sign the role is said to have signed, and has not signed this.
    fn is_false(&self, signature: &'p SignatureFile) -> Result<bool, ProposalError> {
        let Some(bytes) = self.proposal.canonical(&signature.role) else { return Ok(false) };
        let sig = decode_hex(&signature.sig);
        let authorities = self.authorities_of(&signature.role)?;
        let mut keys = authorities.iter().flat_map(|authority| authority.keys());
        Ok(keys.any(|(id, key)| {
            *id == signature.keyid && sig.as_ref().is_none_or(|sig| Ring.verify(key, bytes, sig).is_err())
        }))
    }

    /// The roles whose published file is another one than the proposal was built on.
    pub fn moved(&self) -> Vec<&'p RoleName> {
        let moved = |role: &RoleName| -> bool {
            let Some(base) = self.proposal.about.base.get(role) else { return true };
            let now = self.published().and_then(|published| match role.as_str() {
                "root" => Some((published.root.version(), published.root.sha256())),
                _ => published.role(role).map(|file| (file.version(), file.sha256())),
            });
            let same = base.as_ref().map(|base| (base.version, base.sha256)) == now;
            !same && !self.is_published(role)
        };
        self.proposal.about.base.keys().filter(|role| moved(role)).collect()
    }

    /// Whether the body of `role` is what is published already: then a publication was cut short.
    pub(super) fn is_published(&self, role: &RoleName) -> bool {
        let Some(canonical) = self.proposal.canonical(role) else { return false };
        self.published().is_some_and(|published| match role.as_str() {
            "root" => published.root.signed.canonical() == canonical,
            _ => published.role(role).is_some_and(|file| file.signed.canonical() == canonical),
        })
    }

    /// Refuses a proposal that does not fit what is published any more.
    ///
    /// # Errors
    /// [`ProposalError::Refused`] with the roles that moved.
    pub fn check_base(&self) -> Result<(), ProposalError> {
        let moved: Vec<String> = self.moved().into_iter().map(|role| role.to_string()).collect();
        if moved.is_empty() {
            return Ok(());
        }
        let (moved, id) = (moved.join(", "), &self.proposal.id);
        Err(ProposalError::refused(
            format!("since {id} was made, somebody else has published {moved}"),
            format!("perennial-signer rebase {id}; its signatures have then to be given again"),
        ))
    }

    /// Whether every body before the snapshot has its signatures.
    ///
    /// # Errors
    /// [`ProposalError`]
    pub fn roles_are_signed(&self) -> Result<bool, ProposalError> {
        let needs = self.needs()?;
        Ok(needs
            .iter()
            .filter(|need| !matches!(need.role.as_str(), "snapshot" | "timestamp"))
            .all(Need::is_met))
    }

    /// Whether the snapshot that lies in the proposal lists what would be published with it.
    ///
    /// # Errors
    /// [`ProposalError`]
    pub fn snapshot_fits(&self) -> Result<bool, ProposalError> {
        let Some(snapshot) = &self.proposal.snapshot else { return Ok(false) };
        let published = self.published().and_then(|published| published.snapshot.as_ref());
        if published.is_some_and(|published| published.signed.canonical() == snapshot.canonical()) {
            return Ok(true);
        }
        let version = published.map_or(0, RoleFile::version) + 1;
        let meta = seal::snapshot_meta(self)?;
        let value = snapshot.unverified();
        Ok(value.common.version == version && value.meta == meta)
    }

    /// Whether the timestamp that lies in the proposal is upon the snapshot that would count.
    ///
    /// # Errors
    /// [`ProposalError`]
    pub fn timestamp_fits(&self) -> Result<bool, ProposalError> {
        let Some(timestamp) = self.proposal.timestamp.as_ref() else { return Ok(false) };
        let Some(meta) = timestamp.unverified().snapshot() else { return Ok(false) };
        let digest = match &self.proposal.snapshot {
            Some(_) => Ring.sha256(&seal::role_file(self, &top_names().snapshot)?),
            None => match self.published().and_then(|published| published.snapshot.as_ref()) {
                Some(file) => file.sha256(),
                None => return Ok(false),
            },
        };
        let listed = meta.hashes.as_ref().and_then(|hashes| hashes.get("sha256"));
        Ok(listed.is_some_and(|listed| *listed == digest.to_string()))
    }

    /// Whether it can be published now.
    ///
    /// # Errors
    /// [`ProposalError`]
    pub fn is_ready(&self) -> Result<bool, ProposalError> {
        let met = self.needs()?.iter().all(Need::is_met);
        let snapshot = !self.proposal.about.snapshot || self.snapshot_fits()?;
        Ok(met && snapshot && (self.proposal.timestamp.is_none() || self.timestamp_fits()?))
    }
}

/// The three top-level roles with bodies of their own, as names to lend.
pub(super) struct TopNames {
    pub(super) root: RoleName,
    pub(super) snapshot: RoleName,
    pub(super) timestamp: RoleName,
}

pub(super) fn top_names() -> &'static TopNames {
    static NAMES: std::sync::OnceLock<TopNames> = std::sync::OnceLock::new();
    NAMES.get_or_init(|| TopNames {
        root: top(TopRole::Root),
        snapshot: top(TopRole::Snapshot),
        timestamp: top(TopRole::Timestamp),
    })
}
