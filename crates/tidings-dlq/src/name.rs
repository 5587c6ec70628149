use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use tidings_model::{LetterKey, MessageId, MessageIdError};

/// How people name letters: by the message, whichever replay of it died, or by the place in the stream, as `@17`, where
/// the message has no id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Name {
    /// The message.
    Message(MessageId),
    /// The place.
    Place(u64),
}

impl Name {
    /// Whether a letter is called so.
    #[must_use]
    pub fn is_of(&self, key: &LetterKey) -> bool {
        match (self, key) {
            (Self::Message(named), LetterKey::Message { id, .. }) => named == id,
            (Self::Place(named), LetterKey::Place { position }) => named == position,
            _ => false,
        }
    }
}

impl From<&LetterKey> for Name {
    fn from(key: &LetterKey) -> Self {
        match key {
            LetterKey::Message { id, .. } => Self::Message(id.clone()),
            LetterKey::Place { position } => Self::Place(*position),
        }
    }
}

impl FromStr for Name {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.strip_prefix('@') {
            Some(place) => {
                let place = place.parse().map(Self::Place);
                place.map_err(|_| format!("{text:?} is no place: `list` shows it, such as @17"))
            }
            None => {
                let id = text.parse().map(Self::Message);
                id.map_err(|error: MessageIdError| error.to_string())
            }
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Message(id) => id.fmt(f),
            Self::Place(place) => write!(f, "@{place}"),
        }
    }
}

impl Serialize for Name {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_letter_is_called_by_its_id_or_its_place() {
        let message = LetterKey::Message {
            id: "m-1".parse().unwrap(),
            generation: 3,
        };
        let place = LetterKey::Place { position: 17 };
        for (text, of) in [("m-1", &message), ("@17", &place)] {
            let name: Name = text.parse().unwrap();
            assert_eq!(
                (name.to_string(), name.clone()),
                (text.to_owned(), Name::from(of))
            );
            assert!(name.is_of(&message) != name.is_of(&place) && name.is_of(of));
        }
        assert!("@".parse::<Name>().is_err() && "a b".parse::<Name>().is_err());
    }
}
