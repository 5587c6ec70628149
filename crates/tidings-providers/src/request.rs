use std::fmt::Write as _;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::{Method, multipart::Form};
use serde::Serialize;

/// A call as a provider wants it, without the credentials that every call of an account carries in its headers.
pub(crate) struct Request {
    pub(crate) method: Method,
    pub(crate) url: String,
    pub(crate) content: Content,
}

/// Without `Debug`: a form of Grupo's has the secret in it.
pub(crate) enum Content {
    None,
    Json(Vec<u8>),
    Form(Box<Form>),
}

impl Request {
    pub(crate) fn json(url: String, body: &impl Serialize) -> Self {
        let json = serde_json::to_vec(body).expect("a payload writes as JSON");
        Self {
            method: Method::POST,
            url,
            content: Content::Json(json),
        }
    }

    pub(crate) fn form(url: String, form: Form) -> Self {
        Self {
            method: Method::POST,
            url,
            content: Content::Form(Box::new(form)),
        }
    }

    pub(crate) fn bare(method: Method, url: String) -> Self {
        Self {
            method,
            url,
            content: Content::None,
        }
    }
}

/// Where an account's API is, ending in a slash.
#[derive(Debug, Clone)]
pub(crate) struct Base(String);

/// All but the letters that never mean anything in a URL.
const PART: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

impl Base {
    pub(crate) fn new(base_url: &str) -> Self {
        Self(format!("{}/", base_url.trim_end_matches('/')))
    }

    /// The URL whose path goes on as written.
    pub(crate) fn at(&self, path: &str) -> String {
        format!("{}{path}", self.0)
    }

    /// The URL whose path goes on with these parts, each encoded so that it stays one.
    pub(crate) fn join<'a>(&self, parts: impl IntoIterator<Item = &'a str>) -> String {
        let mut url = String::with_capacity(self.0.len() + 64);
        url.push_str(&self.0);
        for (index, part) in parts.into_iter().enumerate() {
            let slash = if index == 0 { "" } else { "/" };
            let _ = write!(url, "{slash}{}", encoded(part));
        }
        url
    }
}

/// A text that stays one part of a path, or one value of a query.
pub(crate) fn encoded(text: &str) -> impl std::fmt::Display + '_ {
    utf8_percent_encode(text, PART)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_a_path_stays_one() {
        let base = Base::new("https://example.com/v3/");
        assert_eq!(
            base.join(["groups", "1234567", "messages"]),
            "https://example.com/v3/groups/1234567/messages"
        );
        let url = base.join(["groups", "a/../b?c#d%2e\t.\né", "messages"]);
        let parsed = reqwest::Url::parse(&url).unwrap();
        assert_eq!(parsed.as_str(), url);
        assert_eq!(parsed.path_segments().unwrap().count(), 4);
        assert_eq!((parsed.query(), parsed.fragment()), (None, None));
    }
}
