//! One module per subcommand: its arguments, and `run`.

pub(crate) mod delays;
pub(crate) mod lanes;
pub(crate) mod outcomes;
pub(crate) mod send;
pub(crate) mod topology;
