//! The `tidings` command as people call it: the real binary, on the embedded broker.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

mod delays;
mod lanes;
mod outcomes;
mod send;
mod topology;
mod world;
