//! Which series a query selects, in PromQL as in a page of metrics.

use std::{collections::BTreeSet, fmt};

/// A metric's name, and what its labels must be: `name{label="one", other=~"one|two"}`.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Selector {
    pub(crate) metric: String,
    /// Pairs of a label and a value that it may have.
    pub(crate) labels: BTreeSet<(String, String)>,
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{:?}", self.metric, self.labels)
    }
}

/// Between an aggregation and what it aggregates: `sum by (account) (…)`.
const AGGREGATES_BY: [&str; 2] = ["by", "without"];
const OPERATORS: [&str; 5] = ["and", "or", "unless", "bool", "offset"];
const GROUPINGS: [&str; 6] = [
    "by",
    "without",
    "on",
    "ignoring",
    "group_left",
    "group_right",
];

/// The selectors of a query that parses: what it names and neither calls nor groups by.
pub(crate) fn selectors(query: &str) -> Vec<Selector> {
    let mut found = Vec::new();
    let mut rest = query;
    while let Some(first) = rest.chars().next() {
        if first == '[' {
            rest = after(rest, ']');
        } else if first == '"' {
            rest = after(&rest[1..], '"');
        } else if first.is_ascii_digit() {
            rest = rest.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || c == '.');
        } else if is_word(first) {
            let (word, follows) = split_word(rest);
            let next = follows.trim_start();
            rest = match next.chars().next() {
                Some('(') if GROUPINGS.contains(&word) => after(next, ')'),
                Some('(') => next,
                _ if OPERATORS.contains(&word) => next,
                _ if AGGREGATES_BY.contains(&split_word(next).0) => next,
                Some('{') => {
                    let (labels, follows) = labels(&next[1..]);
                    found.push(Selector {
                        metric: word.to_owned(),
                        labels,
                    });
                    follows
                }
                _ => {
                    found.push(Selector {
                        metric: word.to_owned(),
                        labels: BTreeSet::new(),
                    });
                    next
                }
            };
        } else {
            rest = &rest[first.len_utf8()..];
        }
    }
    found
}

/// What is between braces, and what follows them.
fn labels(mut rest: &str) -> (BTreeSet<(String, String)>, &str) {
    let mut labels = BTreeSet::new();
    loop {
        rest = rest.trim_start_matches([',', ' ', '\n']);
        if rest.is_empty() || rest.starts_with('}') {
            return (labels, after(rest, '}'));
        }
        let (label, matches) = split_word(rest);
        let (_, quoted) = matches.split_once('"').expect("a label's value is quoted");
        let (value, follows) = quoted.split_once('"').expect("a label's value ends");
        labels.extend(
            value
                .split('|')
                .map(|value| (label.to_owned(), value.to_owned())),
        );
        rest = follows;
    }
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == ':'
}

fn split_word(text: &str) -> (&str, &str) {
    text.split_at(text.find(|c| !is_word(c)).unwrap_or(text.len()))
}

fn after(text: &str, end: char) -> &str {
    text.split_once(end).map_or("", |(_, rest)| rest)
}

#[test]
fn a_query_is_taken_apart() {
    let query = r#"histogram_quantile(0.95, sum by (le, account) (rate(a_bucket{x="1", y=~"2|3"}[5m])))
        > 2 * max(b) or vector(0) unless on (account) c offset 1h"#;
    let found: Vec<String> = selectors(query).iter().map(ToString::to_string).collect();
    assert_eq!(
        found,
        [
            r#"a_bucket{("x", "1"), ("y", "2"), ("y", "3")}"#,
            "b{}",
            "c{}"
        ]
    );
}
