//! What each ceremony proposes: the first root, a product, other keys. Decides the content; who signs it, and when it
//! is published, is the same for every proposal.

pub mod import;
pub mod init;
pub mod product;
pub mod root;

use perennial_schemas::KeyId;
use perennial_schemas::key_file::KeyFile;
use perennial_schemas::tuf::{Key, KeyMap, RoleKeys, TopRole};

use crate::crypto::Ring;
use crate::keys::Labels;
use crate::proposal::ProposalError;
use crate::repository::Repository;

/// Keys of which `threshold` must sign.
#[derive(Debug, Clone)]
pub struct Holders {
    /// The keys.
    pub keys: Vec<KeyFile>,
    /// How many must sign.
    pub threshold: u32,
}

impl Holders {
    /// Keys with a threshold; a single key needs none.
    ///
    /// # Errors
    /// [`ProposalError`] where a threshold is missing or can't be met.
    pub fn new(what: &str, keys: Vec<KeyFile>, threshold: Option<u32>) -> Result<Self, ProposalError> {
        let mut keys = keys;
        keys.sort_by(|a, b| a.keyid.cmp(&b.keyid));
        keys.dedup_by(|a, b| a.keyid == b.keyid);
        let count = keys.len();
        match threshold {
            Some(threshold) if threshold == 0 || threshold as usize > count => Err(ProposalError::refused(
                format!("a threshold of {threshold} can't be met with {count} {what} key(s)"),
                format!("choose a threshold from 1 to {count}"),
            )),
            Some(threshold) => Ok(Self { keys, threshold }),
            None if count == 1 => Ok(Self { keys, threshold: 1 }),
            None if count == 0 => Err(ProposalError::refused(
                format!("no {what} key was given"),
                "give the public half, *.pub.json",
            )),
            None => Err(ProposalError::refused(
                format!("{count} {what} keys were given, and no threshold"),
                match what {
                    "team" => format!("say how many must sign, such as --threshold {}", count / 2 + 1),
                    _ => format!("say how many must sign, such as --{what}-threshold {}", count / 2 + 1),
                },
            )),
        }
    }

    /// The keys of the published targets role, for a maker whose products have no teams of their own.
    ///
    /// # Errors
    /// [`ProposalError`] where nothing is published, or the threshold can't be met.
    pub fn of_targets(repository: &Repository, threshold: Option<u32>) -> Result<Self, ProposalError> {
        let root = repository.published()?.root.value();
        let authority = root.authority(TopRole::Targets);
        let labels = Labels::read(&repository.dir().join("keys"))?;
        let file = |key: &Key, id: &KeyId| KeyFile::new(labels.label(id), key.clone(), &Ring);
        let keys = authority.keys().map(|(id, key)| file(key, id)).collect::<Result<_, _>>()?;
        Self::new("team", keys, Some(threshold.unwrap_or(authority.threshold())))
    }

    /// The ids of the keys.
    pub fn keyids(&self) -> Vec<KeyId> {
        self.keys.iter().map(|file| file.keyid.clone()).collect()
    }

    /// The entry of a role, with its keys added to `keys`.
    pub fn role_keys(&self, keys: &mut KeyMap) -> RoleKeys {
        keys.extend(self.keys.iter().map(|file| (file.keyid.clone(), file.key.clone())));
        RoleKeys::new(self.keyids(), self.threshold)
    }
}
