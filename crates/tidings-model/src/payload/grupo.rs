//! Grupo: messages to the users and groups of a customer's own chat site.

use std::fmt;

use base64::{Engine as _, display::Base64Display, engine::general_purpose::STANDARD};
use bytes::Bytes;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::{Payload, PayloadError, Problem, check};
use crate::object;

/// Largest files of a message, in decoded bytes together.
pub const MAX_FILES: usize = 8 * 1024 * 1024;

/// Where a GIF may come from: these hosts and those under them.
pub const GIF_HOSTS: [&str; 3] = ["tenor.com", "gfycat.com", "giphy.com"];

/// A message to a user or a group.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(
    rename = "GrupoPayload",
    extend("oneOf" = [{ "required": ["user"] }, { "required": ["group"] }])
)]
pub struct Text {
    /// The user name or mail address that it goes to. This or `group`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub user: Option<String>,
    /// The group that it goes to.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub group: Option<String>,
    /// The user name or mail address that it comes from.
    #[schemars(length(min = 1))]
    pub sender: String,
    /// What to say.
    #[schemars(length(min = 1))]
    pub message: String,
    /// A GIF of one of the [`GIF_HOSTS`].
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("pattern" = r"^https?://([A-Za-z0-9-]+\.)*(tenor|gfycat|giphy)\.com([/?#]|$)"))]
    pub gif_url: Option<String>,
    /// Files, at most [`MAX_FILES`] bytes together.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "object::each"
    )]
    pub file_attachments: Vec<File>,
}

/// A file that goes along.
#[derive(Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "GrupoFile")]
pub struct File {
    /// The file's name.
    #[schemars(length(min = 1))]
    pub name: String,
    /// The media type, such as `image/png`.
    #[schemars(extend("pattern" = "^[!-~]+/[ -~]+$"))]
    pub content_type: String,
    /// What is in it: base64 in JSON. Cloning is cheap.
    #[serde(serialize_with = "to_base64", deserialize_with = "from_base64")]
    #[schemars(with = "String", extend("contentEncoding" = "base64"))]
    pub data: Bytes,
}

impl Text {
    /// Begins a message to a user, by name or mail address.
    #[must_use]
    pub fn to_user(user: impl Into<String>) -> Self {
        Self::to(Some(user.into()), None)
    }

    /// Begins a message to a group.
    #[must_use]
    pub fn to_group(group: impl Into<String>) -> Self {
        Self::to(None, Some(group.into()))
    }

    fn to(user: Option<String>, group: Option<String>) -> Self {
        let (sender, message) = (String::new(), String::new());
        Self {
            user,
            group,
            sender,
            message,
            gif_url: None,
            file_attachments: Vec::new(),
        }
    }

    /// Who says it: a user name or mail address.
    #[must_use]
    pub fn sender(mut self, sender: impl Into<String>) -> Self {
        self.sender = sender.into();
        self
    }

    /// What to say.
    #[must_use]
    pub fn message(mut self, message: impl Into<String>) -> Self {
        self.message = message.into();
        self
    }

    /// A GIF of one of the [`GIF_HOSTS`].
    #[must_use]
    pub fn gif_url(mut self, gif_url: impl Into<String>) -> Self {
        self.gif_url = Some(gif_url.into());
        self
    }

    /// One more file.
    #[must_use]
    pub fn file(mut self, file: File) -> Self {
        self.file_attachments.push(file);
        self
    }

    /// The payload, once it has been checked.
    ///
    /// # Errors
    /// Names the field, its limit and the value's size.
    pub fn build(self) -> Result<Payload, PayloadError> {
        Payload::Grupo(self).checked()
    }

    pub(super) fn destination(&self) -> &str {
        self.user
            .as_deref()
            .or(self.group.as_deref())
            .unwrap_or_default()
    }

    pub(super) fn validate(&self) -> Result<(), PayloadError> {
        check::not_empty("user", self.user.as_deref())?;
        check::not_empty("group", self.group.as_deref())?;
        match (&self.user, &self.group) {
            (None, None) => {
                return Err(PayloadError::invalid(
                    "user",
                    "is required, or `group` in its place",
                ));
            }
            (Some(_), Some(_)) => {
                return Err(PayloadError::invalid(
                    "group",
                    "excludes `user`: give one of them",
                ));
            }
            _ => {}
        }
        check::required("sender", &self.sender)?;
        check::required("message", &self.message)?;
        if let Some(url) = &self.gif_url {
            gif_host(url)?;
        }
        self.validate_files()
    }

    fn validate_files(&self) -> Result<(), PayloadError> {
        let mut files = self.file_attachments.iter().enumerate();
        files.try_for_each(|(i, f)| {
            f.validate()
                .map_err(|error| error.inside(format_args!("file_attachments[{i}]")))
        })?;
        match self
            .file_attachments
            .iter()
            .map(|file| file.data.len())
            .sum()
        {
            actual if actual > MAX_FILES => {
                let problem = Problem::TooLong {
                    limit: MAX_FILES,
                    actual,
                    unit: "bytes together",
                };
                Err(PayloadError::new("file_attachments", problem))
            }
            _ => Ok(()),
        }
    }
}

impl File {
    /// A file with its media type.
    #[must_use]
    pub fn new(
        name: impl Into<String>,
        content_type: impl Into<String>,
        data: impl Into<Bytes>,
    ) -> Self {
        Self {
            name: name.into(),
            content_type: content_type.into(),
            data: data.into(),
        }
    }

    /// Name and type become headers of a part, so nothing in them may end a header.
    fn validate(&self) -> Result<(), PayloadError> {
        check::required("name", &self.name)?;
        if self.name.chars().any(char::is_control) {
            return Err(PayloadError::invalid("name", "has control characters"));
        }
        let printable = self
            .content_type
            .bytes()
            .all(|b| b == b' ' || b.is_ascii_graphic());
        match self.content_type.split_once('/') {
            Some((main, sub)) if printable && !main.is_empty() && !sub.is_empty() => Ok(()),
            _ => Err(PayloadError::invalid(
                "content_type",
                "is not a media type such as image/png",
            )),
        }
    }
}

/// Without what is in it, which may be megabytes.
impl fmt::Debug for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "File({:?}, {:?}, {} bytes)",
            self.name,
            self.content_type,
            self.data.len()
        )
    }
}

/// A host is taken letter by letter: a user, a port or a backslash in it would be read differently by different programs.
fn gif_host(url: &str) -> Result<(), PayloadError> {
    check::web_url("gif_url", url)?;
    let rest = check::after_scheme(url).unwrap_or_default();
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let plain = host
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-'));
    let allowed = GIF_HOSTS.iter().any(|allowed| {
        let below = host.len().checked_sub(allowed.len()).map(|at| host.split_at_checked(at));
        matches!(below, Some(Some((sub, end))) if end.eq_ignore_ascii_case(allowed) && (sub.is_empty() || sub.ends_with('.')))
    });
    if plain && allowed {
        return Ok(());
    }
    Err(PayloadError::invalid(
        "gif_url",
        "has a host that is not under tenor.com, gfycat.com or giphy.com",
    ))
}

fn to_base64<S: Serializer>(data: &Bytes, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&Base64Display::new(data, &STANDARD))
}

fn from_base64<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Bytes, D::Error> {
    struct Base64;

    impl de::Visitor<'_> for Base64 {
        type Value = Bytes;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("base64")
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<Bytes, E> {
            STANDARD
                .decode(text)
                .map(Bytes::from)
                .map_err(|error| E::custom(format_args!("is not base64: {error}")))
        }
    }

    deserializer.deserialize_str(Base64)
}

#[cfg(test)]
mod tests;
