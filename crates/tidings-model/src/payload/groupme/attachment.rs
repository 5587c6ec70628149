use std::{borrow::Cow, fmt};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{self, value::MapAccessDeserializer, value::MapDeserializer},
    ser::SerializeMap,
};

use serde_path_to_error::Track;

use super::super::{PayloadError, Problem, Verbatim, check, error::without_position};

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

    /// Reads the fields of an attachment whose type is known already.
    fn of<'de, D: Deserializer<'de>>(kind: String, fields: D) -> Result<Self, D::Error> {
        Ok(match &*kind {
            "image" => Self::Image(Deserialize::deserialize(fields)?),
            "location" => Self::Location(Deserialize::deserialize(fields)?),
            "split" => Self::Split(Deserialize::deserialize(fields)?),
            "emoji" => Self::Emoji(Deserialize::deserialize(fields)?),
            "mentions" => Self::Mentions(Deserialize::deserialize(fields)?),
            "reply" => Self::Reply(Deserialize::deserialize(fields)?),
            "video" => Self::Video(Deserialize::deserialize(fields)?),
            "file" => Self::File(Deserialize::deserialize(fields)?),
            _ => Self::Other(Other {
                kind,
                fields: fields.deserialize_map(Fields)?,
            }),
        })
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

/// Reads the fields as they come once `type` is known, which is usually the first; what came before it is kept aside.
impl<'de> Deserialize<'de> for Attachment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Attachment;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object with a `type`")
            }

            fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Attachment, A::Error> {
                let mut before = Vec::new();
                while let Some(key) = map.next_key::<String>()? {
                    if key != "type" {
                        before.push((key, map.next_value::<Verbatim>()?));
                        continue;
                    }
                    let kind = map.next_value()?;
                    if before.is_empty() {
                        return Attachment::of(kind, MapAccessDeserializer::new(map));
                    }
                    before.extend(de::Visitor::visit_map(Fields, map)?);
                    let fields = before.iter().map(|(key, value)| (&**key, value.raw()));
                    return of_kept(kind, MapDeserializer::new(fields));
                }
                Err(de::Error::missing_field("type"))
            }
        }

        deserializer.deserialize_map(Visitor)
    }
}

/// Reads fields that were kept aside. The path within them goes into the words: nobody else knows it.
fn of_kept<'de, D, E>(kind: String, fields: D) -> Result<Attachment, E>
where
    D: Deserializer<'de, Error = serde_json::Error>,
    E: de::Error,
{
    let mut track = Track::new();
    Attachment::of(
        kind,
        serde_path_to_error::Deserializer::new(fields, &mut track),
    )
    .map_err(|error| {
        let (path, words) = (track.path(), error.to_string());
        let words = without_position(&words);
        if path.iter().next().is_some() {
            E::custom(format_args!("{path}: {words}"))
        } else {
            E::custom(words)
        }
    })
}

/// The fields of an attachment, as they are.
struct Fields;

impl<'de> de::Visitor<'de> for Fields {
    type Value = Vec<(String, Verbatim)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut fields = Vec::new();
        while let Some((key, value)) = map.next_entry::<String, Verbatim>()? {
            if key == "type" {
                return Err(de::Error::duplicate_field("type"));
            }
            fields.push((key, value));
        }
        Ok(fields)
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
