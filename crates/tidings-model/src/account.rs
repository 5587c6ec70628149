use std::{borrow::Cow, fmt, str::FromStr, sync::Arc};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::Provider;

/// One set of credentials at one provider, named `provider.name`.
///
/// The name is 1 to 40 of `[a-z0-9-]`. Cloning is cheap.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Account {
    text: Arc<str>,
    provider: Provider,
}

/// Why a text is not an account.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("account {text:?} is not `provider.name`: {why}")]
pub struct AccountError {
    text: String,
    why: &'static str,
}

const PROVIDERS: &str = "the provider is one of grupo, whatspie, groupme, raven, pingup";
const NAME: &str = "the name after the dot is 1 to 40 of a-z, 0-9 and -";

impl Account {
    /// Longest name after the provider's dot, in characters.
    pub const MAX_NAME: usize = 40;

    /// The whole name, `provider.name`: the routing key of the dispatch exchange.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The provider that the account belongs to.
    #[must_use]
    pub fn provider(&self) -> Provider {
        self.provider
    }

    /// The part after the provider's dot.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.text[self.provider.as_str().len() + 1..]
    }

    /// The account as one word without a dot, `provider-name`: the end of a delay's routing key.
    #[must_use]
    pub fn word(&self) -> String {
        self.text.replacen('.', "-", 1)
    }

    /// Reads back what [`Account::word`] wrote. No provider has a dash in its name, so the first one is the dot.
    ///
    /// # Errors
    /// When the word names no account.
    pub fn from_word(word: &str) -> Result<Self, AccountError> {
        word.replacen('-', ".", 1).parse()
    }
}

impl FromStr for Account {
    type Err = AccountError;

    fn from_str(text: &str) -> Result<Self, AccountError> {
        let fail = |why| AccountError {
            text: text.chars().take(80).collect(),
            why,
        };
        let (provider, name) = text.split_once('.').ok_or_else(|| fail(PROVIDERS))?;
        let provider = provider.parse().map_err(|_| fail(PROVIDERS))?;
        let letters = name
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if name.is_empty() || name.len() > Self::MAX_NAME || !letters {
            return Err(fail(NAME));
        }
        Ok(Self {
            text: text.into(),
            provider,
        })
    }
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Serialize for Account {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for Account {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        crate::text::deserialize(deserializer)
    }
}

impl JsonSchema for Account {
    fn schema_name() -> Cow<'static, str> {
        "Account".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "provider.name",
            "pattern": "^(grupo|whatspie|groupme|raven|pingup)\\.[a-z0-9-]{1,40}$"
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_a_provider_and_a_name() {
        let account: Account = "groupme.ops-2".parse().unwrap();
        assert_eq!(
            (account.provider(), account.name()),
            (Provider::Groupme, "ops-2")
        );
        assert_eq!(account.word(), "groupme-ops-2");
        assert_eq!(Account::from_word("groupme-ops-2").unwrap(), account);
    }

    #[test]
    fn what_is_not_an_account_says_what_would_be() {
        for text in [
            "",
            "groupme",
            "slack.ops",
            "groupme.",
            "groupme.Ops",
            "groupme.a.b",
        ] {
            let error = text.parse::<Account>().unwrap_err().to_string();
            assert!(
                error.contains("provider") && error.contains(text),
                "{error}"
            );
        }
        assert!(
            format!("raven.{}", "a".repeat(40))
                .parse::<Account>()
                .is_ok()
        );
        assert!(
            format!("raven.{}", "a".repeat(41))
                .parse::<Account>()
                .is_err()
        );
    }
}
