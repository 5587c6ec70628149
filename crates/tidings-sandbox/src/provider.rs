use std::fmt;

use serde::{Deserialize, Serialize};

/// One of the five providers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Provider {
    /// A self-hosted Grupo site.
    Grupo,
    /// WhatsPie, WhatsApp groups.
    WhatsPie,
    /// GroupMe, the only one that deduplicates and shows what it has.
    GroupMe,
    /// Raven of Ginalne.
    Raven,
    /// Pingup, the only one with a delay of its own.
    Pingup,
}

impl Provider {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 5] = [
        Self::Grupo,
        Self::WhatsPie,
        Self::GroupMe,
        Self::Raven,
        Self::Pingup,
    ];

    /// The name in accounts, fault files and paths: lower case, one word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Grupo => "grupo",
            Self::WhatsPie => "whatspie",
            Self::GroupMe => "groupme",
            Self::Raven => "raven",
            Self::Pingup => "pingup",
        }
    }
}

impl fmt::Display for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What a call asks of a provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Operation {
    /// Send a message: what every provider can do.
    Send,
    /// Read the messages of a group (GroupMe).
    Index,
    /// Ask whose token this is (GroupMe).
    Me,
    /// Take a message back (GroupMe).
    Delete,
    /// Something no provider has: a wrong path or method.
    Unknown,
}
