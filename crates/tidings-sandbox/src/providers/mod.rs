//! How each provider reads a request, what it finds wrong with it, and how it words its answers: pure functions that follow
//! the providers' pages. Where a page is silent (no page shows an error body of Raven or Pingup) the words are ours.

pub(crate) mod groupme;
pub(crate) mod grupo;
pub(crate) mod pingup;
pub(crate) mod raven;
pub(crate) mod whatspie;

use std::borrow::Cow;

use axum::http::StatusCode;
use serde::Deserialize;

use crate::Provider;
use crate::answer::Answer;
use crate::call::{Arrival, Refusal};

/// Which of the shapes of a success is used: the page's, or the other that clients have seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    Page,
    Other,
}

impl Provider {
    /// An error in the provider's own shape.
    pub(crate) fn error(self, status: StatusCode, words: &str) -> Answer {
        match self {
            Self::GroupMe => groupme::error(status, words),
            Self::WhatsPie => whatspie::error(status, words),
            Self::Grupo => grupo::error(status, words),
            Self::Raven => raven::error(status, words),
            Self::Pingup => pingup::error(status, words),
        }
    }

    pub(crate) fn refusal(self, status: StatusCode, why: impl Into<Cow<'static, str>>) -> Refusal {
        let why = why.into();
        Refusal {
            answer: self.error(status, &why),
            why,
        }
    }

    /// The answer to a token that is missing or not known.
    pub(crate) fn unauthorized(self, why: &'static str) -> Refusal {
        let answer = match self {
            Self::Grupo => grupo::failure("invalid_api_secret_key", "Invalid API secret key"),
            _ => self.error(StatusCode::UNAUTHORIZED, "Unauthorized"),
        };
        Refusal {
            why: why.into(),
            answer,
        }
    }
}

/// The body as JSON of this form, or what is wrong with it.
fn read_json<'a, T: Deserialize<'a>>(arrival: &'a Arrival) -> Result<T, String> {
    if !arrival.is_json() {
        return Err("the content type must be application/json".into());
    }
    serde_json::from_slice(&arrival.body)
        .map_err(|error| format!("the body does not read: {error}"))
}

/// Present and not empty.
fn given(field: Option<&str>) -> Option<&str> {
    field.filter(|value| !value.is_empty())
}
