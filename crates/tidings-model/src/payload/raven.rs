//! Raven, by Ginalne: messages as a user to contacts of recipients.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Payload, PayloadError, Problem, check};
use crate::object;

/// Longest name of a topic, a recipient or a contact, in characters.
pub const MAX_NAME: usize = 255;
/// Longest `message`, in characters.
pub const MAX_MESSAGE: usize = 4096;

/// A message from a user about a topic.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "RavenPayload")]
pub struct Text {
    /// The user that it is sent as.
    #[schemars(length(min = 1))]
    pub username: String,
    /// What it is about.
    #[serde(deserialize_with = "object::one")]
    pub topic: Topic,
    /// Whom it goes to: exactly one for a persona or a group.
    #[serde(deserialize_with = "object::each")]
    #[schemars(length(min = 1))]
    pub recipient: Vec<Recipient>,
    /// What to say, at most [`MAX_MESSAGE`] characters.
    #[schemars(length(min = 1, max = 4096))]
    pub message: String,
}

/// What a message is about.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "RavenTopic")]
pub struct Topic {
    /// How many it is for.
    #[serde(rename = "type")]
    pub kind: TopicType,
    /// Its name, at most [`MAX_NAME`] characters.
    #[schemars(length(min = 1, max = 255))]
    pub name: String,
}

/// How many a topic is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "RavenTopicType")]
pub enum TopicType {
    /// One person.
    Persona,
    /// One group.
    Group,
    /// Any number.
    Mass,
}

/// Whom a message goes to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "RavenRecipient")]
pub struct Recipient {
    /// The name, at most [`MAX_NAME`] characters.
    #[schemars(length(min = 1, max = 255))]
    pub name: String,
    /// The ways to reach them, at least one.
    #[serde(deserialize_with = "object::each")]
    #[schemars(length(min = 1))]
    pub contact: Vec<Contact>,
}

/// A way to reach a recipient.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "RavenContact")]
pub struct Contact {
    /// The channel, such as `whatsapp`.
    #[serde(rename = "type")]
    #[schemars(length(min = 1))]
    pub kind: String,
    /// The name, at most [`MAX_NAME`] characters.
    #[schemars(length(min = 1, max = 255))]
    pub name: String,
    /// The phone number.
    #[schemars(length(min = 1))]
    pub key: String,
}

impl Text {
    /// Begins a message that is sent as a user.
    #[must_use]
    pub fn from_user(username: impl Into<String>, topic: Topic) -> Self {
        Self {
            username: username.into(),
            topic,
            recipient: Vec::new(),
            message: String::new(),
        }
    }

    /// One more recipient.
    #[must_use]
    pub fn to(mut self, recipient: Recipient) -> Self {
        self.recipient.push(recipient);
        self
    }

    /// What to say, at most [`MAX_MESSAGE`] characters.
    #[must_use]
    pub fn message(mut self, message: impl Into<String>) -> Self {
        self.message = message.into();
        self
    }

    /// The payload, once it has been checked.
    ///
    /// # Errors
    /// Names the field, its limit and the value's size.
    pub fn build(self) -> Result<Payload, PayloadError> {
        Payload::Raven(self).checked()
    }

    /// The phone where there is one recipient, the topic where there are more.
    pub(super) fn destination(&self) -> &str {
        match &*self.recipient {
            [Recipient { contact, .. }] => contact
                .first()
                .map_or(&*self.topic.name, |contact| &*contact.key),
            _ => &self.topic.name,
        }
    }

    pub(super) fn validate(&self) -> Result<(), PayloadError> {
        check::required("username", &self.username)?;
        name(&self.topic.name).map_err(|error| error.inside("topic"))?;
        check::required("message", &self.message)?;
        check::characters("message", &self.message, MAX_MESSAGE)?;
        if self.recipient.is_empty() {
            return Err(PayloadError::new("recipient", Problem::Required));
        }
        if self.topic.kind != TopicType::Mass && self.recipient.len() > 1 {
            let words = format!(
                "has {} recipients, exactly 1 is allowed for a persona or group",
                self.recipient.len()
            );
            return Err(PayloadError::invalid("recipient", words));
        }
        let mut recipients = self.recipient.iter().enumerate();
        recipients.try_for_each(|(i, r)| {
            r.validate()
                .map_err(|error| error.inside(format_args!("recipient[{i}]")))
        })
    }
}

impl Topic {
    /// A topic for one person.
    #[must_use]
    pub fn persona(name: impl Into<String>) -> Self {
        Self {
            kind: TopicType::Persona,
            name: name.into(),
        }
    }

    /// A topic for one group.
    #[must_use]
    pub fn group(name: impl Into<String>) -> Self {
        Self {
            kind: TopicType::Group,
            name: name.into(),
        }
    }

    /// A topic for any number of recipients.
    #[must_use]
    pub fn mass(name: impl Into<String>) -> Self {
        Self {
            kind: TopicType::Mass,
            name: name.into(),
        }
    }
}

impl Recipient {
    /// A recipient with the ways to reach them, at least one.
    #[must_use]
    pub fn new(name: impl Into<String>, contact: impl IntoIterator<Item = Contact>) -> Self {
        Self {
            name: name.into(),
            contact: contact.into_iter().collect(),
        }
    }

    fn validate(&self) -> Result<(), PayloadError> {
        name(&self.name)?;
        if self.contact.is_empty() {
            return Err(PayloadError::new("contact", Problem::Required));
        }
        let mut contacts = self.contact.iter().enumerate();
        contacts.try_for_each(|(i, c)| {
            c.validate()
                .map_err(|error| error.inside(format_args!("contact[{i}]")))
        })
    }
}

impl Contact {
    /// A WhatsApp number.
    #[must_use]
    pub fn whatsapp(name: impl Into<String>, key: impl Into<String>) -> Self {
        Self::new("whatsapp", name, key)
    }

    /// A number of another channel.
    #[must_use]
    pub fn new(kind: impl Into<String>, name: impl Into<String>, key: impl Into<String>) -> Self {
        Self {
            kind: kind.into(),
            name: name.into(),
            key: key.into(),
        }
    }

    fn validate(&self) -> Result<(), PayloadError> {
        check::required("type", &self.kind)?;
        name(&self.name)?;
        check::required("key", &self.key)
    }
}

fn name(name: &str) -> Result<(), PayloadError> {
    check::required("name", name)?;
    check::characters("name", name, MAX_NAME)
}

#[cfg(test)]
mod tests;
