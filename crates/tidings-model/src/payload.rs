//! What is sent, in each provider's own words.
//!
//! A payload is JSON with exactly the provider's field names. It is read with [`Payload::parse`], or written with the
//! builder of its provider, which ends in `build()`; both check every limit, so that a [`Payload`] is always valid:
//!
//! ```
//! use tidings_model::payload::{groupme, pingup, raven};
//! # use tidings_model::payload::PayloadError;
//!
//! let url = "https://i.groupme.com/123456789";
//! let groupme = groupme::Text::to("1234567").text("Hi @ann").image(url).mention("8123", 3..7).build()?;
//!
//! let ann = raven::Recipient::new("Ann", [raven::Contact::whatsapp("Main", "+6285174314159")]);
//! let raven = raven::Text::from_user("ops", raven::Topic::persona("Deploys")).to(ann).message("Done").build()?;
//!
//! let pingup = pingup::Text::to_client("c-42").text_message("See you soon").delay("2d".parse()?).build()?;
//! # assert_eq!([groupme.destination(), raven.destination(), pingup.destination()], ["1234567", "+6285174314159", "c-42"]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod check;
mod error;
pub mod groupme;
pub mod grupo;
pub mod pingup;
pub mod raven;
mod verbatim;
pub mod whatspie;

use schemars::JsonSchema;
use serde::{Serialize, de::DeserializeOwned};

pub use self::{
    error::{PayloadError, Problem},
    verbatim::Verbatim,
};
use crate::{
    Provider,
    object::{self, Object},
};

/// What is sent, in the provider's own words. It serialises to exactly the provider's field names.
///
/// [`Payload::parse`] and a builder's `build()` check it; `Draft::accept` checks it once more.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum Payload {
    /// To a user or a group of a Grupo site.
    Grupo(grupo::Text),
    /// To a WhatsApp group by WhatsPie.
    Whatspie(whatspie::Text),
    /// To a GroupMe group.
    Groupme(groupme::Text),
    /// To contacts by Raven.
    Raven(raven::Text),
    /// To a client of a Pingup business.
    Pingup(pingup::Text),
}

impl Payload {
    /// Reads and checks the JSON of a provider's payload.
    ///
    /// # Errors
    /// Names the first field that is unknown, missing, wrong or too long, and what would be valid.
    pub fn parse(provider: Provider, json: &str) -> Result<Self, PayloadError> {
        let payload = match provider {
            Provider::Grupo => Self::Grupo(read(json)?),
            Provider::Whatspie => Self::Whatspie(read(json)?),
            Provider::Groupme => Self::Groupme(read(json)?),
            Provider::Raven => Self::Raven(read(json)?),
            Provider::Pingup => Self::Pingup(read(json)?),
        };
        payload.checked()
    }

    /// Checks the provider's rules once more. What was parsed or built has passed already.
    ///
    /// # Errors
    /// Names the field, its limit and the value's size.
    pub fn validate(&self) -> Result<(), PayloadError> {
        let checked = match self {
            Self::Grupo(text) => text.validate(),
            Self::Whatspie(text) => text.validate(),
            Self::Groupme(text) => text.validate(),
            Self::Raven(text) => text.validate(),
            Self::Pingup(text) => text.validate(),
        };
        checked.map_err(|error| error.inside("payload"))
    }

    /// The provider whose words these are.
    #[must_use]
    pub const fn provider(&self) -> Provider {
        match self {
            Self::Grupo(..) => Provider::Grupo,
            Self::Whatspie(..) => Provider::Whatspie,
            Self::Groupme(..) => Provider::Groupme,
            Self::Raven(..) => Provider::Raven,
            Self::Pingup(..) => Provider::Pingup,
        }
    }

    /// The group, user or phone that it goes to: what `destination_rate` counts by.
    #[must_use]
    pub fn destination(&self) -> &str {
        match self {
            Self::Grupo(text) => text.destination(),
            Self::Whatspie(text) => &text.group_id,
            Self::Groupme(text) => &text.group_id,
            Self::Raven(text) => text.destination(),
            Self::Pingup(text) => text.destination(),
        }
    }

    /// The `source_guid` of a GroupMe payload that sets one.
    #[must_use]
    pub fn source_guid(&self) -> Option<&str> {
        match self {
            Self::Groupme(text) => text.source_guid.as_deref(),
            _ => None,
        }
    }

    fn checked(self) -> Result<Self, PayloadError> {
        self.validate()?;
        Ok(self)
    }
}

/// Reads the fields of a payload. Paths are kept only on a second reading, once there is an error to tell.
fn read<T: DeserializeOwned>(json: &str) -> Result<T, PayloadError> {
    object::read(json.as_bytes()).map_err(|error| {
        let mut deserializer = serde_json::Deserializer::from_str(json);
        match serde_path_to_error::deserialize::<_, Object<T>>(&mut deserializer) {
            Err(located) => PayloadError::unreadable(located.path(), located.inner()),
            // The fields were fine, and something came after them.
            Ok(_) => PayloadError::invalid("payload", error::without_position(&error.to_string())),
        }
    })
}

#[cfg(test)]
mod tests;
