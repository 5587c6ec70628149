use std::fmt;

/// Why a lane is paused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cause {
    /// The provider said that the account is over its limit, or asked to wait.
    RateLimited,
    /// The credentials, or the account or device behind them, do not work.
    Account,
    /// Too many calls failed: the breaker is open.
    Failing,
    /// The pause was found in the ledger: an earlier owner's.
    Inherited,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::RateLimited => "the provider's rate limit",
            Self::Account => "the account does not work",
            Self::Failing => "the provider is failing",
            Self::Inherited => "paused by an earlier owner",
        })
    }
}
