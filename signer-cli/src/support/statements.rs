//! Statements of compliance (SI 2023/1007, Schedule 4), as a maker writes them: a table `[[statement]]` for each. They are
//! added to those that are published, which stay as they were signed.

use std::path::Path;

use perennial_schemas::support::{Standard, Statement, Support};
use serde::Deserialize;

use super::Day;
use super::details::PartyTable;
use super::input::{self, InputError};

/// Reads a file of statements about the product of `record`. Without manufacturers it is the record's maker, without a
/// date of support the first that was promised.
///
/// # Errors
/// [`InputError`]
pub fn read(path: &Path, record: &Support) -> Result<Vec<Statement>, InputError> {
    let file: StatementsFile = input::read(path)?;
    if file.statement.is_empty() {
        return Err(InputError::new(path, "it holds no statement", "begin each with a line [[statement]]"));
    }
    file.statement.into_iter().map(|table| table.statement(path, record)).collect()
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct StatementsFile {
    #[serde(default)]
    statement: Vec<StatementTable>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct StatementTable {
    product_type: Option<String>,
    #[serde(default)]
    batches: Vec<String>,
    #[serde(default)]
    manufacturers: Vec<PartyTable>,
    #[serde(default)]
    representatives: Vec<PartyTable>,
    schedule: u8,
    #[serde(default)]
    standards: Vec<StandardTable>,
    support_at_first_supply: Option<Day>,
    signatory: String,
    function: String,
    place: String,
    date: Day,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct StandardTable {
    number: String,
    version: String,
    date: Day,
}

impl StatementTable {
    fn statement(self, path: &Path, record: &Support) -> Result<Statement, InputError> {
        let lacks = |key: &str, from: &str| {
            let why = format!("a statement has no {key}, and the record has no {from} to take it from");
            InputError::new(path, why, format!("write {key}, or propose the {from} first: support model"))
        };
        let own: Vec<_> = record.maker.iter().map(|maker| maker.party.clone()).collect();
        let manufacturers = if self.manufacturers.is_empty() { own } else { parties(self.manufacturers) };
        if manufacturers.is_empty() {
            return Err(lacks("manufacturers", "maker"));
        }
        let kind = record.model.as_ref().map(|model| model.kind.clone());
        let product_type = self.product_type.or(kind).ok_or_else(|| lacks("product_type", "model"))?;
        let first = record.promises.first().map(|promise| promise.guaranteed_until);
        let support_at_first_supply = self.support_at_first_supply.map(|day| day.last).or(first);
        Ok(Statement {
            product_type,
            batches: self.batches,
            manufacturers,
            representatives: parties(self.representatives),
            schedule: self.schedule,
            standards: self.standards.into_iter().map(StandardTable::standard).collect(),
            support_at_first_supply: support_at_first_supply.unwrap_or(self.date.last),
            signatory: self.signatory,
            function: self.function,
            place: self.place,
            date: self.date.last,
        })
    }
}

impl StandardTable {
    fn standard(self) -> Standard {
        Standard { number: self.number, version: self.version, date: self.date.last }
    }
}

fn parties(tables: Vec<PartyTable>) -> Vec<perennial_schemas::support::Party> {
    tables.into_iter().map(PartyTable::party).collect()
}
