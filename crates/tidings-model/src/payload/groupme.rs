//! GroupMe: messages to groups.

mod attachment;

use std::ops::Range;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::attachment::{
    Attachment, Emoji, File, Image, Location, Mentions, Other, Reply, Split, Video,
};
use super::{Payload, PayloadError, Problem, check};

/// Longest `group_id`, in characters.
pub const MAX_GROUP_ID: usize = 128;
/// Longest `text`, in UTF-16 units: GroupMe says "characters", and this is the safe way to count them.
pub const MAX_TEXT: usize = 1000;

/// A message to a group. It has a text, an attachment, or both.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(
    rename = "GroupmePayload",
    extend("anyOf" = [{ "required": ["text"] }, { "required": ["attachments"] }])
)]
pub struct Text {
    /// The group, at most [`MAX_GROUP_ID`] characters.
    #[schemars(length(min = 1, max = 128))]
    pub group_id: String,
    /// What to say, at most [`MAX_TEXT`] UTF-16 units. May be absent with an attachment.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1000))]
    pub text: Option<String>,
    /// What goes along.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attachments: Vec<Attachment>,
    /// What GroupMe knows duplicates by; the message's id where it is absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub source_guid: Option<String>,
}

impl Text {
    /// Begins a message to a group.
    #[must_use]
    pub fn to(group_id: impl Into<String>) -> Self {
        Self {
            group_id: group_id.into(),
            text: None,
            attachments: Vec::new(),
            source_guid: None,
        }
    }

    /// What to say, at most [`MAX_TEXT`] UTF-16 units.
    #[must_use]
    pub fn text(mut self, text: impl Into<String>) -> Self {
        self.text = Some(text.into());
        self
    }

    /// An image, by its address at GroupMe's image service.
    #[must_use]
    pub fn image(self, url: impl Into<String>) -> Self {
        self.attach(Attachment::Image(Image {
            url: url.into(),
            source_url: None,
        }))
    }

    /// Mentions a user: the part of the text that names them, counted in UTF-16 units.
    #[must_use]
    pub fn mention(mut self, user_id: impl Into<String>, part: Range<u32>) -> Self {
        let locus = [part.start, part.end.saturating_sub(part.start)];
        let mentions = self
            .attachments
            .iter_mut()
            .find_map(|attachment| match attachment {
                Attachment::Mentions(mentions) => Some(mentions),
                _ => None,
            });
        if let Some(mentions) = mentions {
            mentions.user_ids.push(user_id.into());
            mentions.loci.push(locus);
            return self;
        }
        self.attach(Attachment::Mentions(Mentions {
            user_ids: vec![user_id.into()],
            loci: vec![locus],
        }))
    }

    /// A place, in degrees.
    #[must_use]
    pub fn location(self, name: impl Into<String>, lat: f64, lng: f64) -> Self {
        let (lat, lng) = (lat.to_string(), lng.to_string());
        self.attach(Attachment::Location(Location {
            lat,
            lng,
            name: Some(name.into()),
        }))
    }

    /// Answers another message, by its id.
    #[must_use]
    pub fn reply(self, reply_id: impl Into<String>) -> Self {
        self.attach(Attachment::Reply(Reply {
            reply_id: reply_id.into(),
            base_reply_id: None,
            user_id: None,
        }))
    }

    /// Any attachment.
    #[must_use]
    pub fn attach(mut self, attachment: Attachment) -> Self {
        self.attachments.push(attachment);
        self
    }

    /// What GroupMe knows duplicates by, where it is not the message's id.
    #[must_use]
    pub fn source_guid(mut self, source_guid: impl Into<String>) -> Self {
        self.source_guid = Some(source_guid.into());
        self
    }

    /// The payload, once it has been checked.
    ///
    /// # Errors
    /// Names the field, its limit and the value's size.
    pub fn build(self) -> Result<Payload, PayloadError> {
        Payload::Groupme(self).checked()
    }

    pub(super) fn validate(&self) -> Result<(), PayloadError> {
        check::path_part("group_id", &self.group_id)?;
        check::characters("group_id", &self.group_id, MAX_GROUP_ID)?;
        let text = self.text.as_deref().unwrap_or_default();
        if text.is_empty() && self.attachments.is_empty() {
            return Err(PayloadError::new("text", Problem::Required));
        }
        check::utf16_units("text", text, MAX_TEXT)?;
        check::not_empty("source_guid", self.source_guid.as_deref())?;
        let mut attachments = self.attachments.iter().enumerate();
        attachments.try_for_each(|(i, a)| {
            a.validate(text)
                .map_err(|error| error.inside(format_args!("attachments[{i}]")))
        })
    }
}

#[cfg(test)]
mod tests;
