use serde::{Deserialize, Deserializer};

/// A provider's name for a message: opaque, written as text or as a whole number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Id(String);

/// What is longer is no name: it would go into the ledger.
const MAX: usize = 256;

#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    Number(u64),
    Text(String),
}

impl Id {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<Id> for String {
    fn from(id: Id) -> Self {
        id.0
    }
}

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let id = match Written::deserialize(deserializer)? {
            Written::Number(number) => number.to_string(),
            Written::Text(text) => text,
        };
        if id.is_empty() || id.len() > MAX {
            return Err(serde::de::Error::custom("not an id"));
        }
        Ok(Self(id))
    }
}
