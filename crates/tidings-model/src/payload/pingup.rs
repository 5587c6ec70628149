//! Pingup: WhatsApp messages to the clients of a business.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Payload, PayloadError, check};
use crate::PingupDelay;

/// A message to a client. Pingup takes it only while the conversation with the client is open.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(
    rename = "PingupPayload",
    extend("anyOf" = [{ "required": ["client"] }, { "required": ["client_phone"] }])
)]
pub struct Text {
    /// Pingup's type of message; see [`Text::message_type`] for the default.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1), extend("default" = "text"))]
    pub message_type: Option<String>,
    /// The id of the client. This or `client_phone` is required.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub client: Option<String>,
    /// The phone of the client.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub client_phone: Option<String>,
    /// The name of the client with that phone.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub client_name: Option<String>,
    /// What to say. Required for the message type `text`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub text_message: Option<String>,
    /// How long Pingup keeps it back, counted from when it was sent to Tidings.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delay: Option<PingupDelay>,
}

impl Text {
    const TEXT: &str = "text";

    const EMPTY: Self = Self {
        message_type: None,
        client: None,
        client_phone: None,
        client_name: None,
        text_message: None,
        delay: None,
    };

    /// Begins a message to a client by its id.
    #[must_use]
    pub fn to_client(client: impl Into<String>) -> Self {
        Self {
            client: Some(client.into()),
            ..Self::EMPTY
        }
    }

    /// Begins a message to a client by its phone.
    #[must_use]
    pub fn to_phone(client_phone: impl Into<String>) -> Self {
        Self {
            client_phone: Some(client_phone.into()),
            ..Self::EMPTY
        }
    }

    /// The name of the client with that phone.
    #[must_use]
    pub fn client_name(mut self, client_name: impl Into<String>) -> Self {
        self.client_name = Some(client_name.into());
        self
    }

    /// What to say.
    #[must_use]
    pub fn text_message(mut self, text_message: impl Into<String>) -> Self {
        self.text_message = Some(text_message.into());
        self
    }

    /// How long Pingup keeps it back.
    #[must_use]
    pub fn delay(mut self, delay: PingupDelay) -> Self {
        self.delay = Some(delay);
        self
    }

    /// The payload, once it has been checked.
    ///
    /// # Errors
    /// Names the field that is missing or empty.
    pub fn build(self) -> Result<Payload, PayloadError> {
        Payload::Pingup(self).checked()
    }

    /// Pingup's `message_type`, `text` where the payload has none.
    #[must_use]
    pub fn message_type(&self) -> &str {
        self.message_type.as_deref().unwrap_or(Self::TEXT)
    }

    pub(super) fn destination(&self) -> &str {
        self.client
            .as_deref()
            .or(self.client_phone.as_deref())
            .unwrap_or_default()
    }

    pub(super) fn validate(&self) -> Result<(), PayloadError> {
        check::not_empty("message_type", self.message_type.as_deref())?;
        check::not_empty("client", self.client.as_deref())?;
        check::not_empty("client_phone", self.client_phone.as_deref())?;
        check::not_empty("client_name", self.client_name.as_deref())?;
        if self.client.is_none() && self.client_phone.is_none() {
            return Err(PayloadError::invalid(
                "client",
                "is required, or `client_phone` in its place",
            ));
        }
        let text_message = self.text_message.as_deref();
        if self.message_type() == Self::TEXT {
            return check::required("text_message", text_message.unwrap_or_default());
        }
        check::not_empty("text_message", text_message)
    }
}

#[cfg(test)]
mod tests;
