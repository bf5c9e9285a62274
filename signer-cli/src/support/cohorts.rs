//! Units that share a date, as a maker writes them: a table `[[cohort]]` for each. Those that are published are found by
//! their names, and only ever grow.

use std::path::Path;

use perennial_schemas::ident::HardwareName;
use perennial_schemas::support::{Cohort, CohortName};
use serde::Deserialize;

use super::Day;
use super::input::{self, InputError};

/// Reads a file of cohorts.
///
/// # Errors
/// [`InputError`]
pub fn read(path: &Path) -> Result<Vec<Cohort>, InputError> {
    let file: CohortsFile = input::read(path)?;
    if file.cohort.is_empty() {
        return Err(InputError::new(path, "it names no cohort", "begin each with a line [[cohort]]"));
    }
    Ok(file.cohort.into_iter().map(CohortTable::cohort).collect())
}

/// `published` with `written` in place of, or after, those of the same names. The names of those that are new.
pub fn merge(published: &mut Vec<Cohort>, written: Vec<Cohort>) -> Vec<CohortName> {
    let mut new = Vec::new();
    for cohort in written {
        match published.iter_mut().find(|known| known.name == cohort.name) {
            Some(known) => *known = cohort,
            None => {
                new.push(cohort.name.clone());
                published.push(cohort);
            }
        }
    }
    new
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct CohortsFile {
    #[serde(default)]
    cohort: Vec<CohortTable>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct CohortTable {
    name: CohortName,
    label: String,
    find: String,
    placed_from: Day,
    placed_until: Option<Day>,
    #[serde(default)]
    batches: Vec<String>,
    #[serde(default)]
    markets: Vec<String>,
    #[serde(default)]
    hardware: Vec<HardwareName>,
}

impl CohortTable {
    fn cohort(self) -> Cohort {
        Cohort {
            name: self.name,
            label: self.label,
            find: self.find,
            placed_from: self.placed_from.first(),
            placed_until: self.placed_until.map(|day| day.last),
            batches: self.batches,
            markets: self.markets,
            hardware: self.hardware,
        }
    }
}
