//! What a URL asks for: the names of the command line's filters, so that one leads to the other.

use std::{fmt::Display, str::FromStr};

use jiff::Timestamp;
use tidings_model::{LetterState, Moment};

use crate::{Filter, Order, Request, Retention};

/// The pairs of a query or a form, as they were written. What is empty was not filled in.
#[derive(Debug, Clone, Default)]
pub(super) struct Asked(Vec<(String, String)>);

impl Asked {
    pub(super) fn new(pairs: Vec<(String, String)>) -> Self {
        let filled = |(_, value): &(String, String)| !value.trim().is_empty();
        Self(pairs.into_iter().filter(filled).collect())
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    /// The same with one value changed, or left out.
    pub(super) fn with(&self, name: &str, value: Option<&str>) -> Self {
        let mut pairs = self.0.clone();
        pairs.retain(|(known, _)| known != name);
        pairs.extend(value.map(|value| (name.to_owned(), value.to_owned())));
        Self(pairs)
    }

    pub(super) fn href(&self, path: &str) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(&self.0);
        match query.finish() {
            query if query.is_empty() => path.to_owned(),
            query => format!("{path}?{query}"),
        }
    }

    pub(super) fn value<T: FromStr<Err: Display>>(&self, name: &str) -> Result<Option<T>, String> {
        let value = self.get(name);
        value.map(|value| read(name, value)).transpose()
    }

    /// The filter, told at `now`: open letters, unless a state is asked for.
    pub(super) fn filter(&self, now: Timestamp) -> Result<Filter, String> {
        let moment = |name| -> Result<Option<Timestamp>, String> {
            Ok(self.value::<Moment>(name)?.map(|moment| moment.before(now)))
        };
        let text = |name| self.get(name).map(ToOwned::to_owned);
        let pairs = self.all("where").map(|pair| {
            let (key, value) = pair
                .split_once('=')
                .ok_or_else(|| format!("metadata: {pair:?} is not KEY=VALUE, such as order=42"))?;
            Ok((key.trim().to_owned(), value.to_owned()))
        });
        Ok(Filter {
            names: self.values("id")?,
            accounts: self.values("account")?,
            providers: self.values("provider")?,
            reasons: self.values("reason")?,
            verdicts: self.values("verdict")?,
            statuses: self.values("status")?,
            states: self.states()?,
            since: moment("since")?,
            until: moment("until")?,
            error: text("error"),
            signature: text("signature"),
            text: text("text"),
            metadata: pairs.collect::<Result<_, String>>()?,
        })
    }

    pub(super) fn request(&self, now: Timestamp, retention: Retention) -> Result<Request, String> {
        Ok(Request {
            filter: self.filter(now)?,
            limit: self.value("limit")?,
            sort: self.value::<Order>("sort")?,
            including_unknown: self.get("including-unknown").is_some(),
            written_before: self.get("near").map(|_| retention.near(now)),
            ..Request::default()
        })
    }

    fn states(&self) -> Result<Vec<LetterState>, String> {
        let named = |text: &str| {
            let known = LetterState::ALL
                .into_iter()
                .find(|state| state.as_str() == text);
            known.ok_or_else(|| {
                format!("state: {text:?} is none of open, replayed, edited, discarded, all")
            })
        };
        match self.get("state") {
            None => Ok(vec![LetterState::Open]),
            Some("all") => Ok(Vec::new()),
            Some(_) => self.all("state").map(named).collect(),
        }
    }

    fn values<T: FromStr<Err: Display>>(&self, name: &str) -> Result<Vec<T>, String> {
        self.all(name).map(|value| read(name, value)).collect()
    }

    fn all<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> {
        let named = self.0.iter().filter(move |(known, _)| known == name);
        named.map(|(_, value)| value.trim())
    }
}

fn read<T: FromStr<Err: Display>>(name: &str, value: &str) -> Result<T, String> {
    value.parse().map_err(|error| format!("{name}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(pairs: &[(&str, &str)]) -> Asked {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Asked::new(pairs.iter().map(owned).collect())
    }

    #[test]
    fn a_query_has_the_names_of_the_command_line() {
        let now = "2026-01-01T09:00:00Z".parse().unwrap();
        let asked = asked(&[
            ("account", "groupme.ops"),
            ("account", "raven.crm"),
            ("reason", ""),
            ("status", "404"),
            ("since", " 1h "),
            ("where", "order=42"),
            ("error", "no such"),
        ]);
        let filter = asked.filter(now).unwrap();
        assert_eq!(filter.accounts.len(), 2);
        assert_eq!(
            (filter.reasons.len(), filter.statuses.as_slice()),
            (0, &[404][..])
        );
        assert_eq!(filter.since, Some("2026-01-01T08:00:00Z".parse().unwrap()));
        assert_eq!(filter.metadata["order"], "42");
        assert_eq!(filter.states, [LetterState::Open]);
        assert_eq!(
            asked
                .with("account", None)
                .with("page", Some("2"))
                .href("/letters"),
            "/letters?status=404&since=+1h+&where=order%3D42&error=no+such&page=2"
        );
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        for (name, value) in [
            ("reason", "bad-luck"),
            ("since", "now"),
            ("where", "x"),
            ("state", "x"),
        ] {
            let error = asked(&[(name, value)])
                .filter(Timestamp::UNIX_EPOCH)
                .unwrap_err();
            assert!(error.contains(value), "{error}");
        }
    }
}
