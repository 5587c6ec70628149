//! One module per verb: its arguments, and `run`.

pub(crate) mod audit;
pub(crate) mod edit;
pub(crate) mod export;
pub(crate) mod groups;
pub(crate) mod list;
pub(crate) mod replay;
pub(crate) mod serve;
pub(crate) mod settle;
pub(crate) mod show;
pub(crate) mod watch;
