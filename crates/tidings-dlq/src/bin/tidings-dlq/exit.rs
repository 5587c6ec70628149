use std::{io, process::ExitCode};

use tidings_model::BrokerUrlError;

use crate::output::say;

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// All of it is done.
    Done,
    /// It failed, or part of it.
    Failed,
    /// It was called wrongly, or its configuration is wrong.
    Usage,
}

/// The command was called in a way that cannot work.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Usage(pub(crate) String);

impl Exit {
    /// Tells the error to people, and which exit it is.
    pub(crate) fn from_error(error: &anyhow::Error) -> Self {
        let reader_left = error
            .downcast_ref::<io::Error>()
            .is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe);
        if reader_left {
            return Self::Done;
        }
        say(&format!("error: {error:#}"));
        if error.is::<Usage>() || error.is::<BrokerUrlError>() {
            Self::Usage
        } else {
            Self::Failed
        }
    }
}

pub(crate) fn code(exit: Exit) -> ExitCode {
    ExitCode::from(match exit {
        Exit::Done => 0,
        Exit::Failed => 1,
        Exit::Usage => 2,
    })
}
