//! One module per verb: its arguments, and `run`.

pub(crate) mod export;
pub(crate) mod list;
pub(crate) mod show;
