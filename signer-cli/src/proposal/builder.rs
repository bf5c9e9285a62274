//! Builds a proposal in memory, upon what is published, and writes its folder in one step.
//!
//! Decides versions, dates and expiry of everything it touches, and adds every role whose keys change under it, so
//! that what is proposed is complete. It signs nothing.

use std::collections::BTreeMap;
use std::path::PathBuf;

use perennial_schemas::document::Document as _;
use perennial_schemas::limits::{TARGETS_IN_A_BIN, TARGETS_IN_A_ROLE};
use perennial_schemas::signed::Envelope;
use perennial_schemas::tuf::{Common, Extra, Root, TargetFile, Targets, TopRole};
use perennial_schemas::{Digest as _, ProductName, RoleName, Sha256Digest, TargetPath, Timestamp};

use super::status::past_half;
use super::{Base, Kind, Proposal, ProposalError, ProposalFile};
use crate::crypto::Ring;
use crate::files;
use crate::repository::{Published, Repository, authority_of, bins, top};
use crate::scratch::Scratch;

/// A new target file.
#[derive(Debug)]
pub enum Content {
    /// A small one, in memory.
    Bytes(Vec<u8>),
    /// A file of another proposal, with what was measured of it.
    File {
        /// Where it lies.
        path: PathBuf,
        /// Its length in bytes.
        length: u64,
        /// Its digest.
        sha256: Sha256Digest,
    },
    /// A file in the making, on the repository's file system, with what was measured of it.
    Made {
        /// The file.
        file: Scratch,
        /// Its length in bytes.
        length: u64,
        /// Its digest.
        sha256: Sha256Digest,
    },
}

impl Content {
    /// A file of another proposal, measured now.
    ///
    /// # Errors
    /// [`ProposalError::File`]
    pub fn file(path: impl Into<PathBuf>) -> Result<Self, ProposalError> {
        let path = path.into();
        let (length, sha256) = files::measure_foreign(&path)?;
        Ok(Self::File { path, length, sha256 })
    }

    fn describe(&self) -> TargetFile {
        match self {
            Self::Bytes(bytes) => TargetFile::new(bytes.len() as u64, &Ring.sha256(bytes)),
            Self::File { length, sha256, .. } | Self::Made { length, sha256, .. } => {
                TargetFile::new(*length, sha256)
            }
        }
    }
}

/// A proposal in the making.
#[derive(Debug)]
pub struct ProposalBuilder<'r> {
    repository: &'r Repository,
    kind: Kind,
    subject: String,
    summary: String,
    now: Timestamp,
    root: Option<Root>,
    roles: BTreeMap<RoleName, Targets>,
    files: BTreeMap<String, Content>,
    snapshot: bool,
    snapshot_days: i64,
    timestamp_days: i64,
}

impl<'r> ProposalBuilder<'r> {
    /// A proposal that changes nothing yet. `subject` becomes part of its id (`thermostat-2.1.0`), `summary` is one
    /// line for people.
    pub fn new(repository: &'r Repository, kind: Kind, subject: &str, summary: &str, now: Timestamp) -> Self {
        Self {
            repository,
            kind,
            subject: subject.into(),
            summary: summary.into(),
            now,
            root: None,
            roles: BTreeMap::new(),
            files: BTreeMap::new(),
            snapshot: false,
            snapshot_days: repository.expiry_days(&top(TopRole::Snapshot)),
            timestamp_days: repository.expiry_days(&top(TopRole::Timestamp)),
        }
    }

    /// The repository that it is built on.
    pub fn repository(&self) -> &'r Repository {
        self.repository
    }

    /// Adds a target file to a role (the product's, as a rule), or replaces it.
    ///
    /// # Errors
    /// [`ProposalError`] where there is no such role.
    pub fn put_target(
        &mut self,
        role: &RoleName,
        path: &TargetPath,
        content: Content,
    ) -> Result<(), ProposalError> {
        let target = content.describe();
        if let Some(sha256) = target.sha256() {
            self.files.insert(path.consistent(&sha256.to_string()), content);
        }
        self.edit_role(role, |targets| {
            targets.targets.insert(path.as_str().into(), target);
        })
    }

    /// Brings a target file along whose role is edited apart; `consistent` is its path under `targets/`.
    pub fn bring(&mut self, consistent: &str, content: Content) {
        self.files.insert(consistent.into(), content);
    }

    /// Changes a role's list as it would stand with this proposal. Its version, dates and expiry are set here.
    ///
    /// # Errors
    /// [`ProposalError`] where there is no such role.
    pub fn edit_role(
        &mut self,
        role: &RoleName,
        edit: impl FnOnce(&mut Targets),
    ) -> Result<(), ProposalError> {
        if !self.roles.contains_key(role) {
            let published = self.repository.published()?.role(role).ok_or_else(|| {
                ProposalError::refused(format!("there is no role {role}"), "status lists the products")
            })?;
            let mut next = published.value().clone();
            self.renew(&mut next.common, role);
            self.roles.insert(role.clone(), next);
        }
        if let Some(targets) = self.roles.get_mut(role) {
            edit(targets);
        }
        Ok(())
    }

    /// Adds a role that isn't published yet, without targets. Whoever delegates to it is edited apart.
    pub fn new_role(&mut self, role: &RoleName) {
        let common = Common::new("targets", 1, self.expires(role), Some(self.now));
        let targets = Targets { common, targets: BTreeMap::new(), delegations: None, extra: Extra::new() };
        self.roles.entry(role.clone()).or_insert(targets);
    }

    /// Changes the root as it would stand with this proposal.
    ///
    /// # Errors
    /// [`ProposalError`] before the first root.
    pub fn edit_root(&mut self, edit: impl FnOnce(&mut Root)) -> Result<(), ProposalError> {
        if self.root.is_none() {
            let mut next = self.repository.published()?.root.value().clone();
            self.renew(&mut next.common, &top(TopRole::Root));
            // What we publish has versions and digests in its names, whatever another tool began with.
            next.consistent_snapshot = true;
            self.root = Some(next);
        }
        if let Some(root) = &mut self.root {
            edit(root);
        }
        Ok(())
    }

    /// Sets the first root of a repository.
    pub fn first_root(&mut self, root: Root) {
        self.root = Some(root);
    }

    /// Has a new snapshot signed even if nothing else changes.
    pub fn renew_snapshot(&mut self) {
        self.snapshot = true;
    }

    /// How many days the snapshot and an offline timestamp of this proposal last, in place of what is configured.
    pub fn lasting(&mut self, snapshot_days: u16, timestamp_days: u16) {
        (self.snapshot_days, self.timestamp_days) = (snapshot_days.into(), timestamp_days.into());
    }

    /// A role's list as it would stand with this proposal.
    pub fn role(&self, role: &RoleName) -> Option<&Targets> {
        let published = || self.repository.published.as_ref()?.role(role).map(|file| file.value());
        self.roles.get(role).or_else(published)
    }

    /// The root as it would stand with this proposal.
    pub fn root(&self) -> Option<&Root> {
        let published = self.repository.published.as_ref();
        self.root.as_ref().or(published.map(|published| published.root.value()))
    }

    /// Writes the proposal's folder, whole, and reads it back.
    ///
    /// # Errors
    /// [`ProposalError`] where it breaks a rule, changes nothing, or can't be written.
    pub fn write(mut self) -> Result<Proposal, ProposalError> {
        self.sort_into_bins()?;
        self.add_what_needs_other_keys()?;
        if self.root.is_none() && self.roles.is_empty() && !self.snapshot {
            return Err(ProposalError::refused("this would change nothing", "nothing has to be done"));
        }
        let bodies = self.bodies()?;
        let about = self.about();
        let id = self.id(&bodies);
        let proposals = self.repository.proposals_dir();
        let folder = proposals.join(&id);
        // Held until the folder has its name: whatever else is unfinished there was left by a command that was cut short.
        let _alone = files::lock_folder(&proposals)?;
        files::remove_unfinished(&proposals)?;
        let temporary = proposals.join(format!(".new-{id}"));
        files::write(&temporary.join("proposal.json"), &perennial_schemas::signed::to_text(&about)?)?;
        for (name, text) in &bodies {
            files::write(&temporary.join("metadata").join(name), text)?;
        }
        for (path, content) in std::mem::take(&mut self.files) {
            let to = temporary.join("targets").join(path);
            match content {
                Content::Bytes(bytes) => files::put_unflushed(&to, &mut bytes.as_slice()).map(drop)?,
                Content::File { path, .. } => {
                    files::put_unflushed(&to, &mut files::open_foreign(&path)?).map(drop)?;
                }
                Content::Made { file, .. } => file.keep_as(&to, false)?,
            }
        }
        files::flush(&temporary)?;
        let proposal = Proposal::open(&temporary).and_then(|proposal| {
            super::rules::check(&proposal, self.repository, None)?;
            Ok(proposal)
        });
        if let Err(e) = proposal {
            files::remove_folder(&temporary)?;
            return Err(e);
        }
        if files::exists(&folder) {
            files::remove_folder(&temporary)?;
            let what = format!("the proposal {id} exists already");
            return Err(ProposalError::refused(what, "go on with that one: see status"));
        }
        files::rename(&temporary, &folder)?;
        Proposal::open(&folder)
    }

    /// Where a product has bins, whatever belongs there moves into them, and they are its team's, whoever that is now.
    /// Bins past half of their time are signed anew with whatever else the team signs.
    fn sort_into_bins(&mut self) -> Result<(), ProposalError> {
        let Some(targets) = self.role(&top(TopRole::Targets)).cloned() else { return Ok(()) };
        let teams = targets.delegations.iter().flat_map(|delegations| delegations.roles.iter().flatten());
        for product in teams.filter_map(|team| team.name.as_str().parse::<ProductName>().ok()) {
            let role = RoleName::from(&product);
            let Some(own) = self.role(&role).filter(|own| bins::are_in(&product, own)) else { continue };
            let delegations = bins::delegations(&product, &targets);
            if own.delegations != delegations {
                self.edit_role(&role, |own| own.delegations = delegations)?;
            }
            let Some(own) = self.roles.get_mut(&role) else { continue };
            let taken: Vec<String> =
                own.targets.keys().filter(|path| bins::takes(&product, path)).cloned().collect();
            let mut moved: BTreeMap<RoleName, BTreeMap<String, TargetFile>> = BTreeMap::new();
            for (path, target) in taken.into_iter().filter_map(|path| own.targets.remove_entry(&path)) {
                moved.entry(bins::of_path(&product, &path)).or_default().insert(path, target);
            }
            for bin in bins::all(&product) {
                let published = self.repository.published.as_ref().and_then(|published| published.role(&bin));
                let late = published.is_some_and(|file| past_half(&file.value().common, self.now));
                if published.is_none() {
                    self.new_role(&bin);
                }
                let new = moved.remove(&bin);
                if late || new.is_some() {
                    self.edit_role(&bin, |bin| bin.targets.extend(new.unwrap_or_default()))?;
                }
            }
        }
        Ok(())
    }

    /// A role whose published file its (changed) keys no longer vouch for is signed anew, with the same content.
    fn add_what_needs_other_keys(&mut self) -> Result<(), ProposalError> {
        let Some(published) = &self.repository.published else {
            self.snapshot |= !self.roles.is_empty();
            return Ok(());
        };
        let stale: Vec<RoleName> = published
            .roles
            .iter()
            .filter(|(name, _)| !self.roles.contains_key(*name))
            .filter(|(name, file)| {
                self.authority(name, published).is_some_and(|a| file.signed.check(&a, &Ring).is_err())
            })
            .map(|(name, _)| name.clone())
            .collect();
        for role in stale {
            self.edit_role(&role, |_| ())?;
        }
        let snapshot = top(TopRole::Snapshot);
        let stands = published.snapshot.as_ref().is_some_and(|file| {
            self.authority(&snapshot, published).is_some_and(|a| file.signed.check(&a, &Ring).is_ok())
        });
        self.snapshot |= !self.roles.is_empty() || !stands;
        Ok(())
    }

    fn authority<'a>(
        &'a self,
        role: &'a RoleName,
        published: &'a Published,
    ) -> Option<perennial_schemas::tuf::Authority<'a>> {
        let root = self.root.as_ref().unwrap_or(published.root.value());
        authority_of(role, root, |name| {
            self.roles.get(name).or_else(|| published.role(name).map(|file| file.value()))
        })
    }

    fn bodies(&self) -> Result<BTreeMap<String, Vec<u8>>, ProposalError> {
        let mut bodies = BTreeMap::new();
        if let Some(root) = &self.root {
            bodies.insert("root.json".to_owned(), unsigned(root)?);
        }
        for (role, targets) in &self.roles {
            within_limit(role, targets.targets.len())?;
            bodies.insert(format!("{}.json", role.file_name()), unsigned(targets)?);
        }
        Ok(bodies)
    }

    fn about(&self) -> ProposalFile {
        let published = self.repository.published.as_ref();
        let base_of = |role: &RoleName| {
            let file = published?.role(role)?;
            Some(Base { version: file.version(), sha256: file.sha256() })
        };
        let mut base: BTreeMap<_, _> = self.roles.keys().map(|role| (role.clone(), base_of(role))).collect();
        if self.root.is_some() {
            let of = published.map(|p| Base { version: p.root.version(), sha256: p.root.sha256() });
            base.insert(top(TopRole::Root), of);
        }
        ProposalFile {
            format: ProposalFile::FORMAT.into(),
            requires: Vec::new(),
            kind: self.kind,
            summary: self.summary.clone(),
            created: self.now,
            base,
            snapshot: self.snapshot,
            snapshot_days: self.snapshot_days.clamp(1, 3660) as u16,
            timestamp_days: self.timestamp_days.clamp(1, 3660) as u16,
        }
    }

    /// `20261121-product-add-thermostat-3fa2c1`: the day, what, and six digits that depend on the content.
    fn id(&self, bodies: &BTreeMap<String, Vec<u8>>) -> String {
        let all: Vec<u8> = bodies.values().flatten().copied().chain(self.now.unix().to_le_bytes()).collect();
        let digits: String = Ring.sha256(&all).to_string().chars().take(6).collect();
        let day = self.now.date().to_string().replace('-', "");
        let subject = if self.subject.is_empty() { String::new() } else { format!("-{}", self.subject) };
        format!("{day}-{}{subject}-{digits}", self.kind)
    }

    fn renew(&self, common: &mut Common, role: &RoleName) {
        common.version += 1;
        common.expires = self.expires(role);
        common.signed_at = Some(self.now);
    }

    fn expires(&self, role: &RoleName) -> Timestamp {
        self.now.plus_days(self.repository.expiry_days(role))
    }
}

/// Devices load the whole list of a role.
fn within_limit(role: &RoleName, count: usize) -> Result<(), ProposalError> {
    let bin = bins::owner(role).is_some();
    let limit = if bin { TARGETS_IN_A_BIN } else { TARGETS_IN_A_ROLE };
    if count <= limit {
        return Ok(());
    }
    let what = format!("{role} would list {count} targets, more than the limit of {limit}");
    let hint = if bin || role.as_str().parse::<ProductName>().is_err() {
        "devices load the whole list: make the next model a product of its own".into()
    } else {
        format!("devices load the whole list: have it split first, by perennial-signer product bins {role}")
    };
    Err(ProposalError::refused(what, hint))
}

/// A body as it lies in a proposal: an envelope without signatures, indented for people.
pub(super) fn unsigned<T: serde::Serialize>(body: &T) -> Result<Vec<u8>, ProposalError> {
    let text = Envelope { signed: body, signatures: Vec::new() }.to_text()?;
    Ok(text)
}
