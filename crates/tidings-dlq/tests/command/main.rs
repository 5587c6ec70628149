//! The `tidings-dlq` command as people call it, and the library where a test has to be inside: on the embedded broker.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

mod index;
mod looking;
mod records;
mod replaying;
mod resuming;
mod settling;
mod world;
