//! The checked-in JSON Schemas say what the types say. `UPDATE_SCHEMAS=1` writes them anew.

use std::{fs, path::Path};

use schemars::{JsonSchema, generate::SchemaSettings};
use tidings_model::{DeadLetter, Draft, Outcome};

/// What others write.
fn written<T: JsonSchema>() -> schemars::Schema {
    SchemaSettings::draft2020_12()
        .for_deserialize()
        .into_generator()
        .into_root_schema_for::<T>()
}

/// What others read.
fn read<T: JsonSchema>() -> schemars::Schema {
    SchemaSettings::draft2020_12()
        .for_serialize()
        .into_generator()
        .into_root_schema_for::<T>()
}

#[test]
fn the_schemas_are_those_of_the_types() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas");
    for (name, schema) in [
        ("message", written::<Draft>()),
        ("outcome", read::<Outcome>()),
        ("dead-letter", read::<DeadLetter>()),
    ] {
        let file = folder.join(format!("{name}.schema.json"));
        let text = serde_json::to_string_pretty(&schema).unwrap() + "\n";
        if std::env::var_os("UPDATE_SCHEMAS").is_some() {
            fs::write(&file, &text).unwrap();
        }
        let checked_in = fs::read_to_string(&file).unwrap_or_default();
        assert!(
            checked_in == text,
            "{} is not what the types say: run UPDATE_SCHEMAS=1 cargo test -p tidings-model --test schemas",
            file.display()
        );
    }
}
