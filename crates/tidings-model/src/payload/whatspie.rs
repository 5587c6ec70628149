//! WhatsPie: messages to WhatsApp groups.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize, Serializer, ser::SerializeMap};

use super::{Payload, PayloadError, Verbatim, check};

/// Longest `message`, in characters.
pub const MAX_MESSAGE: usize = 4096;

/// A message to a group.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "WhatspiePayload")]
pub struct Text {
    /// The group.
    #[schemars(length(min = 1))]
    pub group_id: String,
    /// What to say, at most [`MAX_MESSAGE`] characters.
    #[schemars(length(min = 1, max = 4096))]
    pub message: String,
    /// WhatsPie's type of message; see [`Text::kind`] for the default.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1), extend("default" = "chat"))]
    pub kind: Option<String>,
    /// `text`, `mentions` and whatever else WhatsPie takes, passed through; see [`Text::params`] for the default.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("type" = "object"))]
    pub params: Option<Verbatim>,
    /// The device to send from.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub device: Option<String>,
}

/// The `params` to send: those of the payload, or `{"text": message}` where it has none.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Params<'a> {
    /// As the payload has them.
    Given(&'a Verbatim),
    /// The message alone.
    Text(&'a str),
}

impl Text {
    /// Begins a message to a group.
    #[must_use]
    pub fn to(group_id: impl Into<String>) -> Self {
        Self {
            group_id: group_id.into(),
            message: String::new(),
            kind: None,
            params: None,
            device: None,
        }
    }

    /// What to say, at most [`MAX_MESSAGE`] characters.
    #[must_use]
    pub fn message(mut self, message: impl Into<String>) -> Self {
        self.message = message.into();
        self
    }

    /// WhatsPie's `type`, where it is not `chat`.
    #[must_use]
    pub fn typed(mut self, kind: impl Into<String>) -> Self {
        self.kind = Some(kind.into());
        self
    }

    /// `params`, an object, passed through as it is.
    #[must_use]
    pub fn with_params(mut self, params: &serde_json::Value) -> Self {
        self.params = Some(params.into());
        self
    }

    /// The device to send from.
    #[must_use]
    pub fn device(mut self, device: impl Into<String>) -> Self {
        self.device = Some(device.into());
        self
    }

    /// The payload, once it has been checked.
    ///
    /// # Errors
    /// Names the field, its limit and the value's size.
    pub fn build(self) -> Result<Payload, PayloadError> {
        Payload::Whatspie(self).checked()
    }

    /// WhatsPie's `type`, `chat` where the payload has none.
    #[must_use]
    pub fn kind(&self) -> &str {
        self.kind.as_deref().unwrap_or("chat")
    }

    /// The `params`, which WhatsPie requires.
    #[must_use]
    pub fn params(&self) -> Params<'_> {
        self.params
            .as_ref()
            .map_or(Params::Text(&self.message), Params::Given)
    }

    pub(super) fn validate(&self) -> Result<(), PayloadError> {
        check::path_part("group_id", &self.group_id)?;
        check::required("message", &self.message)?;
        check::characters("message", &self.message, MAX_MESSAGE)?;
        check::not_empty("type", self.kind.as_deref())?;
        check::not_empty("device", self.device.as_deref())?;
        match &self.params {
            Some(params) if !params.is_object() => {
                Err(PayloadError::invalid("params", "is not an object"))
            }
            _ => Ok(()),
        }
    }
}

impl Serialize for Params<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Given(params) => params.serialize(serializer),
            Self::Text(text) => {
                let mut map = serializer.serialize_map(Some(1))?;
                map.serialize_entry("text", text)?;
                map.end()
            }
        }
    }
}

#[cfg(test)]
mod tests;
