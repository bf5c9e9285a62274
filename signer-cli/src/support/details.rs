//! What a maker writes of itself and its product: tables `[maker]`, `[model]`, `[aftercare]`, each of which may be left out;
//! and of what can't be updated.

use std::path::Path;

use perennial_schemas::ident::HardwareName;
use perennial_schemas::support::{
    Aftercare, Gtin, HardwareRevision, Identifier, Maker, Model, Party, Replacement, VulnerabilityContact,
};
use serde::Deserialize;

use super::input::{self, InputError};

/// What such a file says; a table that it lacks stays as it is published.
#[derive(Debug, Clone, Default)]
pub struct Details {
    /// Who makes the product.
    pub maker: Option<Maker>,
    /// The product.
    pub model: Option<Model>,
    /// What to do when support is over.
    pub aftercare: Option<Aftercare>,
}

/// Reads a file with maker, model and aftercare.
///
/// # Errors
/// [`InputError`]; a GTIN is taken as it is printed, and refused where its check digit is wrong.
pub fn read(path: &Path) -> Result<Details, InputError> {
    let file: DetailsFile = input::read(path)?;
    let model = file.model.map(|model| model.model(path)).transpose()?;
    let details = Details {
        maker: file.maker.map(MakerTable::maker),
        model,
        aftercare: file.aftercare.map(AftercareTable::aftercare),
    };
    if details.maker.is_none() && details.model.is_none() && details.aftercare.is_none() {
        return Err(InputError::new(path, "it says nothing", "it holds [maker], [model] or [aftercare]"));
    }
    Ok(details)
}

/// Reads why a product can't be updated, and what its owner gets instead: `rationale`, `isolate`, `terms`.
///
/// # Errors
/// [`InputError`]
pub fn read_replacement(path: &Path) -> Result<Replacement, InputError> {
    let ReplacementFile { rationale, isolate, terms } = input::read(path)?;
    Ok(Replacement { rationale, isolate, terms })
}

/// Reads where to report security problems.
///
/// # Errors
/// [`InputError`]
pub fn read_contact(path: &Path) -> Result<VulnerabilityContact, InputError> {
    let file: ContactFile = input::read(path)?;
    let contact = VulnerabilityContact {
        contacts: file.contacts,
        acknowledgement_days: file.acknowledgement_days,
        status_update_days: file.status_update_days,
        policy: file.policy,
        encryption: file.encryption,
        languages: file.languages,
    };
    contact.validate().map_err(|e| {
        let hint = "give addresses, acknowledgement_days and status_update_days, as the book shows";
        InputError::new(path, e.to_string(), hint)
    })?;
    Ok(contact)
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ContactFile {
    contacts: Vec<String>,
    acknowledgement_days: u16,
    status_update_days: u16,
    policy: Option<String>,
    encryption: Option<String>,
    #[serde(default)]
    languages: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ReplacementFile {
    rationale: String,
    isolate: String,
    terms: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct DetailsFile {
    maker: Option<MakerTable>,
    model: Option<ModelTable>,
    aftercare: Option<AftercareTable>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PartyTable {
    name: String,
    address: String,
}

impl PartyTable {
    pub(super) fn party(self) -> Party {
        Party { name: self.name, address: self.address }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct MakerTable {
    name: String,
    address: String,
    website: Option<String>,
    #[serde(default)]
    representatives: Vec<PartyTable>,
}

impl MakerTable {
    fn maker(self) -> Maker {
        Maker {
            party: Party { name: self.name, address: self.address },
            website: self.website,
            representatives: self.representatives.into_iter().map(PartyTable::party).collect(),
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ModelTable {
    name: String,
    designation: String,
    kind: String,
    #[serde(default)]
    identifiers: Vec<IdentifierTable>,
    #[serde(default)]
    hardware: Vec<HardwareTable>,
    #[serde(default)]
    automatic_updates: bool,
    #[serde(default)]
    connects_to: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct IdentifierTable {
    scheme: String,
    value: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct HardwareTable {
    name: HardwareName,
    #[serde(default)]
    marking: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct AftercareTable {
    after: String,
    isolate: String,
    wipe: String,
    dispose: String,
    #[serde(default)]
    replace: String,
}

impl AftercareTable {
    fn aftercare(self) -> Aftercare {
        let Self { after, isolate, wipe, dispose, replace } = self;
        Aftercare { after, isolate, wipe, dispose, replace }
    }
}

impl ModelTable {
    fn model(self, path: &Path) -> Result<Model, InputError> {
        let identifier = |table: IdentifierTable| identifier(table, path);
        Ok(Model {
            name: self.name,
            designation: self.designation,
            kind: self.kind,
            identifiers: self.identifiers.into_iter().map(identifier).collect::<Result<_, _>>()?,
            hardware: self
                .hardware
                .into_iter()
                .map(|table| HardwareRevision { name: table.name, marking: table.marking })
                .collect(),
            automatic_updates: self.automatic_updates,
            connects_to: self.connects_to,
        })
    }
}

/// A bar code's number in any of its lengths and spellings becomes the one of 14 digits that registries compare.
fn identifier(table: IdentifierTable, path: &Path) -> Result<Identifier, InputError> {
    let scheme = table.scheme.to_lowercase();
    let bar_code = matches!(
        scheme.as_str(),
        "gtin" | "gtin8" | "gtin12" | "gtin13" | "gtin14" | "ean" | "ean8" | "ean13" | "upc" | "upc12"
    );
    if !bar_code {
        return Ok(Identifier { scheme, value: table.value.trim().into() });
    }
    let gtin: Gtin = table.value.parse().map_err(|e: perennial_schemas::support::gtin::NotAGtin| {
        let hint = "copy the digits under the bar code; spaces and hyphens may stay";
        InputError::new(path, format!("{} {:?}: {e}", table.scheme, table.value), hint)
    })?;
    Ok(Identifier { scheme: "gtin14".into(), value: gtin.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Advise as _;

    fn model(value: &str) -> Result<Details, InputError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.toml");
        let text = format!(
            "[model]\nname = \"Glow\"\ndesignation = \"G-1\"\nkind = \"Lamp\"\n\
             [[model.identifiers]]\nscheme = \"EAN\"\nvalue = \"{value}\"\n"
        );
        crate::files::write(&path, text.as_bytes()).unwrap();
        read(&path)
    }

    #[test]
    fn a_gtin_is_taken_as_it_is_printed() {
        for printed in ["4 006381 333931", "4006381333931", "4-006381-333931"] {
            let identifiers = model(printed).unwrap().model.unwrap().identifiers;
            assert_eq!(identifiers, [Identifier { scheme: "gtin14".into(), value: "04006381333931".into() }]);
        }
    }

    #[test]
    fn a_wrong_check_digit_is_told() {
        let error = model("4006381333932").unwrap_err();
        assert!(error.to_string().contains("the last digit of 4006381333932 should be 1"), "{error}");
        assert!(error.advice().starts_with("copy the digits under the bar code"));
    }
}
