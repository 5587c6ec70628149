mod read;

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize, Serializer, ser::SerializeMap};

use crate::payload::{PayloadError, Problem, Verbatim, check};

/// What goes along with a message. Types that are not known here pass through as they are.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(tag = "type", rename_all = "lowercase")]
#[schemars(rename = "GroupmeAttachment")]
pub enum Attachment {
    /// A picture.
    Image(Image),
    /// A place.
    Location(Location),
    /// A split bill.
    Split(Split),
    /// GroupMe's own emoji.
    Emoji(Emoji),
    /// Users that the text names.
    Mentions(Mentions),
    /// The message that this one answers.
    Reply(Reply),
    /// A film.
    Video(Video),
    /// A file.
    File(File),
    /// Any other type.
    #[serde(untagged)]
    Other(Other),
}

/// The types that are checked.
const KNOWN: [&str; 8] = [
    "image", "location", "split", "emoji", "mentions", "reply", "video", "file",
];

/// A picture.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Image {
    /// Its address, which must come from GroupMe's image service.
    #[schemars(extend("pattern" = "^https?://."))]
    pub url: String,
    /// Where it was taken from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_url: Option<String>,
}

/// A place. Its degrees are text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Location {
    /// Latitude, -90 to 90.
    pub lat: String,
    /// Longitude, -180 to 180.
    pub lng: String,
    /// What the place is called.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// A split bill.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Split {
    /// The bill's token.
    #[schemars(length(min = 1))]
    pub token: String,
}

/// GroupMe's own emoji, in place of a character of the text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Emoji {
    /// The character that they replace. It may be an invisible one, and GroupMe's own example has none.
    pub placeholder: String,
    /// Pack and offset of each.
    #[schemars(length(min = 1))]
    pub charmap: Vec<[u32; 2]>,
}

/// Users that the text names.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Mentions {
    /// The users.
    #[schemars(length(min = 1), inner(length(min = 1)))]
    pub user_ids: Vec<String>,
    /// Start and length of each in the text, in UTF-16 units.
    #[schemars(length(min = 1))]
    pub loci: Vec<[u32; 2]>,
}

/// The message that this one answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Reply {
    /// Its id.
    #[schemars(length(min = 1))]
    pub reply_id: String,
    /// The id of the message that began the thread.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base_reply_id: Option<String>,
    /// Who wrote it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_id: Option<String>,
}

/// A film.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Video {
    /// Its address.
    #[schemars(extend("pattern" = "^https?://."))]
    pub url: String,
    /// The address of a picture of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preview_url: Option<String>,
}

/// A file that GroupMe has.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// Its id.
    #[schemars(length(min = 1))]
    pub file_id: String,
}

/// An attachment of a type that is not known here: its fields pass through as they are.
#[derive(Debug, Clone, PartialEq)]
pub struct Other {
    kind: String,
    fields: Vec<(String, Verbatim)>,
}

impl Attachment {
    /// Checks the fields of a known type; `text` is the message's.
    pub(super) fn validate(&self, text: &str) -> Result<(), PayloadError> {
        match self {
            Self::Image(image) => check::web_url("url", &image.url),
            Self::Location(location) => {
                degrees("lat", &location.lat, 90.0)?;
                degrees("lng", &location.lng, 180.0)
            }
            Self::Split(split) => check::required("token", &split.token),
            Self::Emoji(emoji) if emoji.charmap.is_empty() => {
                Err(PayloadError::new("charmap", Problem::Required))
            }
            Self::Emoji(_) => Ok(()),
            Self::Mentions(mentions) => mentions.validate(text),
            Self::Reply(reply) => check::required("reply_id", &reply.reply_id),
            Self::Video(video) => check::web_url("url", &video.url),
            Self::File(file) => check::required("file_id", &file.file_id),
            Self::Other(other) => check::required("type", &other.kind),
        }
    }
}

impl Mentions {
    fn validate(&self, text: &str) -> Result<(), PayloadError> {
        let (users, loci) = (self.user_ids.len(), self.loci.len());
        if users == 0 {
            return Err(PayloadError::new("user_ids", Problem::Required));
        }
        if users != loci {
            return Err(PayloadError::invalid(
                "loci",
                format!("has {loci} entries for {users} user_ids"),
            ));
        }
        if let Some(i) = self.user_ids.iter().position(String::is_empty) {
            return Err(PayloadError::new(
                format!("user_ids[{i}]"),
                Problem::Required,
            ));
        }
        let units = text.encode_utf16().count() as u64;
        let outside = |&[start, length]: &[u32; 2]| {
            length == 0 || u64::from(start) + u64::from(length) > units
        };
        match self.loci.iter().position(outside) {
            Some(i) => {
                let words = format!("is no part of the text, which has {units} UTF-16 units");
                Err(PayloadError::invalid(format!("loci[{i}]"), words))
            }
            None => Ok(()),
        }
    }
}

impl Other {
    /// The attachment's `type`.
    #[must_use]
    pub fn kind(&self) -> &str {
        &self.kind
    }
}

fn degrees(field: &str, text: &str, most: f64) -> Result<(), PayloadError> {
    match text.parse::<f64>() {
        Ok(degrees) if degrees.abs() <= most => Ok(()),
        _ => Err(PayloadError::invalid(
            field,
            format!("is not a number of degrees from -{most} to {most}"),
        )),
    }
}

impl Serialize for Other {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.fields.len() + 1))?;
        map.serialize_entry("type", &self.kind)?;
        for (key, value) in &self.fields {
            map.serialize_entry(key, value)?;
        }
        map.end()
    }
}

impl JsonSchema for Other {
    fn schema_name() -> Cow<'static, str> {
        "GroupmeOtherAttachment".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "object",
            "description": "Any other type: its fields pass through as they are.",
            "required": ["type"],
            "properties": { "type": { "type": "string", "minLength": 1, "not": { "enum": KNOWN } } }
        })
    }
}
