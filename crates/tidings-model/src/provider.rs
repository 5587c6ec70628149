use std::{fmt, str::FromStr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Rate, text};

/// One of the five chat providers.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Provider {
    /// A Grupo chat site of the customer's own.
    Grupo,
    /// WhatsPie: WhatsApp groups.
    Whatspie,
    /// GroupMe groups.
    Groupme,
    /// Raven, by Ginalne: WhatsApp contacts, as a user.
    Raven,
    /// Pingup: WhatsApp clients of a business.
    Pingup,
}

/// Why a text names no provider.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("provider {0:?} is not one of grupo, whatspie, groupme, raven, pingup")]
pub struct ProviderError(String);

impl Provider {
    /// Every provider, in the order in which they are always listed.
    pub const ALL: [Self; 5] = [
        Self::Grupo,
        Self::Whatspie,
        Self::Groupme,
        Self::Raven,
        Self::Pingup,
    ];

    /// The name, as an account begins with it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Grupo => "grupo",
            Self::Whatspie => "whatspie",
            Self::Groupme => "groupme",
            Self::Raven => "raven",
            Self::Pingup => "pingup",
        }
    }

    /// Where the provider's API lives, without a slash at the end. Grupo has none: it is the customer's own site.
    #[must_use]
    pub const fn default_base_url(self) -> Option<&'static str> {
        match self {
            Self::Grupo => None,
            Self::Whatspie => Some("https://api.whatspie.com"),
            Self::Groupme => Some("https://api.groupme.com/v3"),
            Self::Raven => Some("https://main.ginalne.com/raven/xapi/v1"),
            Self::Pingup => Some("https://api.pingup.ai/ext/v2"),
        }
    }

    /// The rate of an account that configures none: what the provider or its users name, cautious where none does.
    #[must_use]
    pub const fn default_rate(self) -> Rate {
        match self {
            Self::Groupme => Rate::limited(90, 60),
            Self::Whatspie | Self::Raven => Rate::limited(1, 1),
            Self::Grupo | Self::Pingup => Rate::limited(5, 1),
        }
    }

    /// The rate to one group, user or phone where the account configures none.
    #[must_use]
    pub const fn default_destination_rate(self) -> Rate {
        match self {
            Self::Whatspie => Rate::limited(1, 2),
            Self::Grupo | Self::Groupme | Self::Raven | Self::Pingup => Rate::Unlimited,
        }
    }
}

impl FromStr for Provider {
    type Err = ProviderError;

    fn from_str(text: &str) -> Result<Self, ProviderError> {
        let named = Self::ALL
            .into_iter()
            .find(|provider| provider.as_str() == text);
        named.ok_or_else(|| ProviderError(text::start(text)))
    }
}

impl fmt::Display for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_provider_is_written_in_lower_case_everywhere() {
        for provider in Provider::ALL {
            let json = format!("\"{provider}\"");
            assert_eq!(serde_json::to_string(&provider).unwrap(), json);
            assert_eq!(serde_json::from_str::<Provider>(&json).unwrap(), provider);
            assert_eq!(provider.as_str().parse(), Ok(provider));
        }
        let error = "GroupMe".parse::<Provider>().unwrap_err().to_string();
        assert!(
            error.contains("\"GroupMe\"") && error.contains("groupme"),
            "{error}"
        );
    }

    #[test]
    fn default_rates_are_those_of_the_providers_pages() {
        let written =
            Provider::ALL.map(|p| format!("{} {}", p.default_rate(), p.default_destination_rate()));
        assert_eq!(
            written,
            [
                "5/s unlimited",
                "1/s 1/2s",
                "90/m unlimited",
                "1/s unlimited",
                "5/s unlimited"
            ]
        );
    }

    #[test]
    fn only_grupo_has_no_address_of_its_own() {
        for provider in Provider::ALL {
            let base_url = provider.default_base_url();
            assert_eq!(base_url.is_none(), provider == Provider::Grupo);
            assert!(base_url.is_none_or(|url| url.starts_with("https://") && !url.ends_with('/')));
        }
    }
}
