//! Leftovers: proposals whose change is published already, by a copy of theirs or by another proposal. Decides whether
//! there is anything left to publish; the folder stays for its holder to remove.

use perennial_schemas::support::Support;
use perennial_schemas::tuf::{TargetFile, Targets, TopRole};
use perennial_schemas::{Digest as _, Document as _, RoleName, Sha256Digest};

use super::rebase::{channels_of, json, three_way};
use super::rules::{published_support, read};
use super::{Kind, Proposal, ProposalError, Standing};
use crate::crypto::Ring;
use crate::files;
use crate::repository::{Repository, RepositoryError, RoleFile, top};
use crate::terminal::shell_word;

impl Standing<'_> {
    /// Refuses a proposal that has nothing left to publish.
    ///
    /// # Errors
    /// [`ProposalError::Refused`] with the folder to remove.
    pub fn check_needed(&self) -> Result<(), ProposalError> {
        let (id, dir) = (&self.proposal.id, shell_word(&self.proposal.dir.display().to_string()));
        if self.is_leftover()? {
            return Err(ProposalError::refused(
                format!("{id} has nothing left to do: what it proposes is published already"),
                format!("remove its folder: rm -r {dir}"),
            ));
        }
        match self.added_otherwise()? {
            Some(product) => Err(ProposalError::refused(
                format!(
                    "{id} can't be published any more: {product} was published meanwhile, with another promise"
                ),
                format!(
                    "remove its folder: rm -r {dir}; then support extend {product}, or product team {product}"
                ),
            )),
            None => Ok(()),
        }
    }

    fn is_leftover(&self) -> Result<bool, ProposalError> {
        let proposal = self.proposal;
        let root = top(TopRole::Root);
        let bodies = || proposal.roles.keys().chain(proposal.root.as_ref().map(|_| &root));
        if bodies().next().is_none() {
            return Ok(false);
        }
        if bodies().all(|role| self.is_published(role)) {
            // With all its signatures, publishing once more writes what may be missing, and removes the folder.
            return Ok(!self.is_ready()?);
        }
        if self.adds().is_some_and(|role| self.is_promised(role)) {
            return Ok(true);
        }
        // What can't be compared is left to the other checks, which say why.
        Ok(self.is_contained().unwrap_or(false))
    }

    /// Whether merging the proposal into what is published would change nothing, although it changed its base.
    fn is_contained(&self) -> Result<bool, ProposalError> {
        let (proposal, repository) = (self.proposal, self.repository);
        let Some(published) = self.published() else { return Ok(false) };
        let mut changed = false;
        if let Some(ours) = &proposal.root {
            let theirs = published.root.value();
            let merged =
                three_way(proposal, repository, &top(TopRole::Root), Some(theirs), ours.unverified())?;
            if json(&merged)? != json(theirs)? {
                return Ok(false);
            }
            changed |= self.is_moved(&top(TopRole::Root));
        }
        for (role, body) in &proposal.roles {
            let Some(theirs) = published.role(role).map(RoleFile::value) else { return Ok(false) };
            let mut ours = body.unverified().clone();
            self.take_followers(role, theirs, &mut ours)?;
            let channels = channels_of(proposal, repository, role, Some(theirs), &mut ours)?;
            let there = |path: &str, text: &[u8]| {
                theirs.targets.get(path).and_then(|target| target.sha256()) == Some(Ring.sha256(text))
            };
            if !channels.iter().all(|channel| there(channel.path.as_str(), &channel.text)) {
                return Ok(false);
            }
            let merged: Targets = three_way(proposal, repository, role, Some(theirs), &ours)?;
            if json(&merged)? != json(theirs)? {
                return Ok(false);
            }
            changed |= self.is_moved(role);
        }
        // A renewal changes nothing but dates; there every body counts.
        Ok(changed && !matches!(proposal.about.kind, Kind::Snapshot | Kind::Archive))
    }

    /// A support record of the proposal that was published stands as those that followed it left it: they hold all of it.
    fn take_followers(
        &self,
        role: &RoleName,
        theirs: &Targets,
        ours: &mut Targets,
    ) -> Result<(), ProposalError> {
        let path = format!("{role}/support.json");
        let own = ours.targets.get(&path).and_then(TargetFile::sha256);
        if let (Some(own), Some(published)) = (own, theirs.targets.get(&path))
            && self.was_followed(role, own)?
        {
            ours.targets.insert(path, published.clone());
        }
        Ok(())
    }

    /// Whether the support record of that digest stands in the chain behind the one that is published.
    fn was_followed(&self, role: &RoleName, own: Sha256Digest) -> Result<bool, ProposalError> {
        let mut record = published_support(self.repository, role)?.map(|(record, _)| record);
        while let Some(Support { sequence, previous: Some(previous), .. }) = record {
            if previous == own {
                return Ok(true);
            }
            let place = format!("{role}/{previous}.support.json");
            let place = self.repository.targets_dir().join(place);
            let before = files::read_if_there(&place, Support::MAX_LENGTH)?;
            let before = before.filter(|bytes| Ring.sha256(bytes) == previous);
            let before = before.map(|bytes| Support::parse(&bytes)).transpose()?;
            record = before.filter(|before| before.sequence < sequence);
        }
        Ok(false)
    }

    fn is_moved(&self, role: &RoleName) -> bool {
        self.is_published(role) || self.moved().contains(&role)
    }

    /// The product that the proposal adds.
    fn adds(&self) -> Option<&RoleName> {
        added(self.proposal)
    }

    /// Whether the product that it adds has, as published, the promise that the proposal makes.
    fn is_promised(&self, role: &RoleName) -> bool {
        let path = format!("{role}/support.json");
        let target = self.proposal.roles.get(role).and_then(|body| body.unverified().targets.get(&path));
        let ours = target.and_then(|target| {
            read::<Support>(Some(self.proposal), self.repository, &path, target).ok().flatten()
        });
        let theirs = published_support(self.repository, role).ok().flatten();
        ours.zip(theirs)
            .is_some_and(|(ours, (theirs, _))| ours.guaranteed_until() == theirs.guaranteed_until())
    }

    /// The product that the proposal adds, where it was published with another promise.
    fn added_otherwise(&self) -> Result<Option<&RoleName>, ProposalError> {
        let Some(role) = self.adds().filter(|role| !self.is_published(role)) else { return Ok(None) };
        Ok(published_support(self.repository, role)?.map(|_| role))
    }
}

/// The open proposal that adds a product, unless it is a leftover; folders that can't be read count for nothing.
///
/// # Errors
/// [`ProposalError`] where the folder of the proposals can't be listed.
pub fn adding(repository: &Repository, role: &RoleName) -> Result<Option<Proposal>, ProposalError> {
    let dir = repository.proposals_dir();
    let all = files::list_folders(&dir)?.into_iter().filter_map(|id| Proposal::open(&dir.join(id)).ok());
    let fits = |proposal: &Proposal| {
        added(proposal) == Some(role) && Standing::new(proposal, repository).check_needed().is_ok()
    };
    Ok(all.into_iter().find(fits))
}

/// Why there is no such product: nobody proposed it, or nobody has published the proposal yet.
pub fn no_product(repository: &Repository, role: &RoleName) -> ProposalError {
    match adding(repository, role) {
        Ok(Some(Proposal { id, .. })) => ProposalError::refused(
            format!("{role} is in the open proposal {id}, not published yet"),
            format!(
                "sign and publish it first: perennial-signer sign {id} --key FILE, then perennial-signer publish {id}"
            ),
        ),
        _ => RepositoryError::NoProduct(role.to_string()).into(),
    }
}

fn added(proposal: &Proposal) -> Option<&RoleName> {
    let own = |role: &&RoleName| role.as_str() != TopRole::Targets.as_str();
    proposal.roles.keys().filter(|_| proposal.about.kind == Kind::ProductAdd).find(own)
}
