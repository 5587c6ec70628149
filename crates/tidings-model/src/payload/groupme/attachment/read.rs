//! How an attachment is read: by its `type`, wherever that stands.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{
        self,
        value::{MapAccessDeserializer, MapDeserializer},
    },
};
use serde_path_to_error::Track;

use super::{Attachment, Other};
use crate::payload::{Verbatim, error::without_position};

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

impl Attachment {
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
