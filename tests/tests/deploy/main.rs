//! What is in `deploy/` holds: with the tools that it is for, and against the programs as they are.
//!
//! A tool that is not installed leaves its check out by name; `tests/install-tools` brings it where it can.

mod image;
mod manifests;
mod permissions;
mod providers;
mod queries;
mod selectors;
mod tool;
mod unit;

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde::de::DeserializeOwned;

/// A file of `deploy/`.
fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .with_file_name("deploy")
        .join(name)
}

fn read(name: &str) -> String {
    let path = path(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn yaml<T: DeserializeOwned>(name: &str) -> T {
    serde_saphyr::from_str(&read(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}
