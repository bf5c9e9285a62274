//! The check: every record is read and understood, and the audit's chain holds. It repairs nothing.

use super::{Summary, Tally};
use crate::audit::{Chain, Head};
use crate::fleet::Unreadable;
use crate::fleet::event::Event;
use crate::fleet::row::Row;
use crate::generation::{self, Generation};
use crate::rollout::record::Record;
use crate::rollout::votes::Mark;
use crate::store::{Space, Store, StoreError};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use utoipa::ToSchema;

/// Faults that are told one by one.
const FAULTS: usize = 100;

/// What a check found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Checked {
    /// What there is.
    #[serde(flatten)]
    pub summary: Summary,
    /// The end of the audit's chain, where it holds.
    pub audit: Option<Head>,
    /// The generation that is served.
    pub generation: Option<u64>,
    /// What is wrong, the first hundred.
    pub faults: Vec<String>,
    /// How much is wrong.
    pub wrong: u64,
}

/// Reads everything, as of one moment.
///
/// # Errors
/// When the store can't be read; what is wrong with single records is told in the answer.
pub fn check(store: &dyn Store) -> Result<Checked, StoreError> {
    let mut look = Look::default();
    let mut visit = |space: Space, key: &[u8], value: &[u8]| {
        look.at(space, key, value);
        true
    };
    store.walk(&mut visit)?;
    Ok(look.end())
}

#[derive(Default)]
struct Look {
    tally: Tally,
    chain: Chain,
    broken: bool,
    served: Option<Vec<u8>>,
    generations: BTreeSet<Vec<u8>>,
    faults: Vec<String>,
    wrong: u64,
}

impl Look {
    fn at(&mut self, space: Space, key: &[u8], value: &[u8]) {
        self.tally.add(space, key, value);
        let understood = match space {
            Space::Meta => {
                if key == generation::SERVED {
                    self.served = Some(value.to_vec());
                }
                Ok(())
            }
            Space::Generations => {
                self.generations.insert(key.to_vec());
                generation::parse(key, value).and_then(|generation| numbered(key, &generation))
            }
            // Behind the first break everything else breaks too.
            Space::Audit if self.broken => Ok(()),
            Space::Audit => self.chain.follow(key, value).inspect_err(|_| self.broken = true),
            Space::Devices => Row::decode(value).map(drop).map_err(|error| unreadable(space, key, &error)),
            Space::Reports => Event::place(key)
                .and_then(|_| Event::decode(value))
                .map(drop)
                .map_err(|error| unreadable(space, key, &error)),
            Space::Keys => Ok(()),
            Space::Rollouts => Record::decode(key, value).map(drop),
            Space::Marks => Mark::manifest(key)
                .and_then(|_| Mark::decode(value))
                .map(drop)
                .map_err(|error| unreadable(space, key, &error)),
        };
        if let Err(error) = understood {
            self.fault(error.to_string());
        }
    }

    fn fault(&mut self, words: String) {
        self.wrong += 1;
        if self.faults.len() < FAULTS {
            self.faults.push(words);
        }
    }

    fn end(mut self) -> Checked {
        if let Some(served) = self.served.clone().filter(|served| !self.generations.contains(served)) {
            self.fault(format!("meta/served names a generation that isn't there: {}", served.escape_ascii()));
        }
        let number = |key: Vec<u8>| key.try_into().ok().map(u64::from_be_bytes);
        Checked {
            summary: self.tally.finish(),
            audit: (!self.broken).then(|| self.chain.head()),
            generation: self.served.and_then(number),
            faults: self.faults,
            wrong: self.wrong,
        }
    }
}

fn unreadable(space: Space, key: &[u8], error: &Unreadable) -> StoreError {
    StoreError::Corrupt(format!("{}/{}: {error}", space.name(), key.escape_ascii()))
}

fn numbered(key: &[u8], generation: &Generation) -> Result<(), StoreError> {
    if generation.number.to_be_bytes() == key {
        return Ok(());
    }
    Err(StoreError::Corrupt(format!(
        "generations/{}: it is number {}",
        key.escape_ascii(),
        generation.number
    )))
}
