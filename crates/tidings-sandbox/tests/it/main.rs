//! The sandbox over real connections: one file for each thing it pretends.

#![allow(clippy::unwrap_used)]

mod book;
mod client;
mod command;
mod faults;
mod groupme;
mod limits;
mod others;
