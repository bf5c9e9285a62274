//! `schemas/json/`: made from the types, current, and of one mind with the readers.

use perennial_schemas::Document;
use perennial_schemas::bundle::BundleHeader;
use perennial_schemas::channel::Channel;
use perennial_schemas::fleet::*;
use perennial_schemas::key_file::KeyFile;
use perennial_schemas::release::Release;
use perennial_schemas::report::Report;
use perennial_schemas::rollout::RolloutStatus;
use perennial_schemas::signed::Envelope;
use perennial_schemas::support::{OnDevice, Summary, Support};
use perennial_schemas::tuf::{Role, Root, Snapshot, Targets, TimestampRole};
use schemars::{JsonSchema, generate::SchemaSettings};
use serde_json::{Value, json};

use crate::{fixture, here};

/// Every schema: its name, which is also the folder of its vectors.
fn all() -> Vec<(&'static str, Value)> {
    vec![
        ("release-1", document::<Release>()),
        ("channel-1", document::<Channel>()),
        ("support-1", document::<Support>()),
        ("support-summary-1", document::<Summary>()),
        ("device-support-1", document::<OnDevice>()),
        ("report-1", document::<Report>()),
        ("enrolment-1", document::<Enrolment>()),
        ("enrolled-1", document::<Enrolled>()),
        ("check-in-1", document::<CheckIn>()),
        ("checked-in-1", document::<CheckedIn>()),
        ("reports-1", document::<ReportQueue>()),
        ("acknowledged-1", document::<Acknowledged>()),
        ("report-batch-1", document::<ReportBatch>()),
        ("batch-answer-1", document::<BatchAnswer>()),
        ("erasure-1", document::<Erasure>()),
        ("fleet-refusal-1", schema::<Refusal>(Refusal::WHAT)),
        ("key-1", document::<KeyFile>()),
        ("bundle-1", document::<BundleHeader>()),
        ("rollout-status-1", role::<RolloutStatus>()),
        ("tuf-root-1", role::<Root>()),
        ("tuf-timestamp-1", role::<TimestampRole>()),
        ("tuf-snapshot-1", role::<Snapshot>()),
        ("tuf-targets-1", role::<Targets>()),
    ]
}

fn schema<T: JsonSchema>(title: &str) -> Value {
    let generator = SchemaSettings::draft2020_12().into_generator();
    let mut schema = serde_json::to_value(generator.into_root_schema_for::<T>()).unwrap();
    schema["title"] = title.into();
    schema
}

/// A document says its own format, and lists what it requires.
fn document<T: Document + JsonSchema>() -> Value {
    let mut schema = schema::<T>(T::WHAT);
    schema["properties"]["format"] = json!({ "const": T::FORMAT });
    schema
}

/// The envelope of a role; what is signed says its own type.
fn role<T: Role + JsonSchema>() -> Value {
    let mut schema = schema::<Envelope<T>>(T::WHAT);
    let name = T::schema_name().into_owned();
    let signed = &mut schema["$defs"][name.as_str()]["properties"];
    signed["_type"] = json!({ "const": T::TYPE });
    signed["version"]["minimum"] = 1.into();
    schema
}

#[test]
fn they_are_current() {
    for (name, schema) in all() {
        let path = format!("json/{name}.schema.json");
        let made = [serde_json::to_string_pretty(&schema).unwrap(), "\n".into()].concat();
        let stored = fixture(&path, true, || made.clone().into_bytes());
        assert_eq!(
            String::from_utf8(stored).unwrap(),
            made,
            "{path} is out of date: PERENNIAL_WRITE=1 cargo test -p perennial-schemas"
        );
    }
}

#[test]
fn they_accept_the_good_vectors_and_refuse_the_bad_ones() {
    for (name, schema) in all() {
        let validator = jsonschema::draft202012::new(&schema).unwrap();
        let Ok(folder) = std::fs::read_dir(here("vectors").join(name)) else { continue };
        let mut seen = 0;
        for entry in folder {
            let path = entry.unwrap().path();
            let file = path.file_name().unwrap().to_str().unwrap().to_string();
            // `rule-*` breaks a rule that JSON Schema can't say, or is no JSON for every reader.
            if !file.ends_with(".json") || file.starts_with("rule-") {
                continue;
            }
            let value: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
            assert_eq!(validator.is_valid(&value), file.starts_with("good"), "{}", path.display());
            seen += 1;
        }
        assert!(seen >= 2 || name == "bundle-1", "{name} has {seen} vectors");
    }
}

#[test]
fn the_schema_of_the_bundle_fits_its_vector() {
    let bundle = std::fs::read(here("vectors/bundle-1/good.bundle")).unwrap();
    let length = BundleHeader::length(bundle.first_chunk().unwrap()).unwrap();
    let start = perennial_schemas::bundle::PREFIX_LENGTH;
    let header: Value = serde_json::from_slice(&bundle[start..start + length]).unwrap();
    assert!(jsonschema::draft202012::is_valid(&document::<BundleHeader>(), &header));
}
