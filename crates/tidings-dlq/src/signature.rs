//! What many letters' errors have in common: their words without the numbers, ids and names in them.

use std::borrow::Cow;

use serde_json::Value;
use tidings_model::{DeadLetter, LetterMessage, Message};

/// What stands for whatever differs.
const FOLDED: &str = "…";

/// Longest signature, in characters.
const LONGEST: usize = 160;

/// The fields of payloads that hold somebody's or something's name.
const NAMES: [&str; 11] = [
    "client",
    "client_name",
    "client_phone",
    "device",
    "group",
    "group_id",
    "key",
    "name",
    "sender",
    "user",
    "username",
];

/// What the last attempt's error has in common with others of its kind: the HTTP status (or the verdict, where there
/// was no answer), and the provider's words, with `…` for each number, id, address, quoted part, and name from the
/// payload. Empty where no attempt was made.
#[must_use]
pub fn signature(letter: &DeadLetter) -> String {
    let Some(last) = letter.attempts.last() else {
        return String::new();
    };
    let head = last
        .status
        .map_or_else(|| last.verdict.to_string(), |status| status.to_string());
    let words = match &letter.message {
        LetterMessage::Whole(message) => {
            without_names(last.error.as_deref().unwrap_or_default(), message)
        }
        LetterMessage::Part { .. } => last.error.as_deref().unwrap_or_default().into(),
    };
    let folded = fold(&words);
    let mut characters = folded.chars();
    let mut signature = format!("{head} ");
    signature.extend(characters.by_ref().take(LONGEST));
    if characters.next().is_some() {
        signature.push_str(FOLDED);
    }
    signature.truncate(signature.trim_end().len());
    signature
}

fn without_names<'w>(words: &'w str, message: &Message) -> Cow<'w, str> {
    if words.is_empty() {
        return words.into();
    }
    let mut names = Vec::new();
    // Plain data with string keys: turning it into a value cannot fail.
    collect(
        &serde_json::to_value(&message.payload).unwrap_or_default(),
        &mut names,
    );
    // A name can be part of a longer one.
    names.sort_by_key(|name| std::cmp::Reverse(name.len()));
    let named = names.iter().filter(|name| words.contains(name.as_str()));
    named.fold(words.into(), |words, name| replace(&words, name).into())
}

fn collect(value: &Value, names: &mut Vec<String>) {
    match value {
        Value::Array(values) => values.iter().for_each(|value| collect(value, names)),
        Value::Object(fields) => {
            for (key, value) in fields {
                match value {
                    Value::String(name) if NAMES.contains(&key.as_str()) && !name.is_empty() => {
                        names.push(name.clone());
                    }
                    value => collect(value, names),
                }
            }
        }
        _ => {}
    }
}

/// Replaces a name where it stands as a word of its own.
fn replace(words: &str, name: &str) -> String {
    let mut replaced = String::with_capacity(words.len());
    let mut rest = words;
    while let Some(at) = rest.find(name) {
        let (before, after) = (&rest[..at], &rest[at + name.len()..]);
        let inside = before
            .chars()
            .next_back()
            .is_some_and(char::is_alphanumeric)
            || after.chars().next().is_some_and(char::is_alphanumeric);
        replaced.push_str(before);
        replaced.push_str(if inside { name } else { FOLDED });
        rest = after;
    }
    replaced + rest
}

/// Folds word by word; what follows upon each other is folded once.
fn fold(words: &str) -> String {
    let mut folded = String::with_capacity(words.len());
    for word in without_quoted(words).split_whitespace() {
        let core = word.trim_matches(|c: char| !c.is_alphanumeric() && c != '…');
        let word: Cow<'_, str> = if differs(core) {
            word.replacen(core, FOLDED, 1).into()
        } else {
            word.into()
        };
        if word == FOLDED && folded.ends_with(FOLDED) {
            continue;
        }
        if !folded.is_empty() {
            folded.push(' ');
        }
        folded.push_str(&word);
    }
    folded
}

fn differs(word: &str) -> bool {
    word.contains(|c: char| c.is_ascii_digit() || c == '@') || word.contains("://")
}

/// What stands in quotation marks is somebody's or something's name. An apostrophe inside a word opens none.
fn without_quoted(words: &str) -> String {
    let mut plain = String::with_capacity(words.len());
    let mut rest = words;
    while let Some(at) = rest.find(['"', '\'', '`', '“', '‘', '«']) {
        let (before, quoted) = rest.split_at(at);
        let mut characters = quoted.chars();
        let open = characters.next().unwrap_or_default();
        let inside = characters.as_str();
        let close = match open {
            '“' => '”',
            '‘' => '’',
            '«' => '»',
            same => same,
        };
        plain.push_str(before);
        let begins = !before.ends_with(char::is_alphanumeric);
        match inside.find(close).filter(|_| begins) {
            Some(end) => {
                plain.push_str(FOLDED);
                rest = &inside[end + close.len_utf8()..];
            }
            None => {
                plain.push(open);
                rest = inside;
            }
        }
    }
    plain + rest
}

#[cfg(test)]
mod tests {
    use tidings_model::{Attempt, LetterHead, LetterState, Reason, Verdict};

    use super::*;

    fn of(status: Option<u16>, error: &str) -> String {
        let at = "2026-01-01T09:00:00Z".parse().unwrap();
        let head = LetterHead {
            id: None,
            account: None,
            reason: Reason::Rejected,
            attempts: vec![Attempt {
                at,
                verdict: Verdict::NotSent,
                status,
                error: Some(error.into()),
                took_ms: 1,
                worker: "w".into(),
            }],
            dead_at: at,
            generation: 0,
            maybe_delivered: false,
            stood_at: None,
        };
        let body = br#"{"account":"raven.crm","payload":{"username":"ops","topic":{"type":"persona","name":"Deploys"},
            "recipient":[{"name":"Ann Lee","contact":[{"type":"whatsapp","name":"Main","key":"+62 851"}]}],
            "message":"not"},"id":"m-1","enqueued_at":"2026-01-01T08:00:00Z"}"#;
        signature(&head.with_body(body, LetterState::Open))
    }

    #[test]
    fn numbers_ids_and_names_are_folded() {
        for (error, expected) in [
            ("group 1234567 not found", "404 group … not found"),
            ("group 1234567 89, not found", "404 group … …, not found"),
            (
                "id 01938c2e-77aa is taken (by a@b.example)",
                "404 id … is taken (by …)",
            ),
            ("no user 'Bob' in \"Night Shift\"", "404 no user … in …"),
            ("it's over, isn't it", "404 it's over, isn't it"),
            (
                "Ann Lee cannot be reached at +62 851",
                "404 … cannot be reached at …",
            ),
            ("opsy is not ops", "404 opsy is not …"),
            ("see https://example.org/help?x", "404 see …"),
            ("", "404"),
        ] {
            assert_eq!(of(Some(404), error), expected, "{error}");
        }
    }

    #[test]
    fn without_an_answer_the_verdict_leads_and_length_is_bounded() {
        assert_eq!(
            of(None, "no route to 10.0.0.1:443"),
            "not-sent no route to …"
        );
        assert!(of(None, &"word ".repeat(100)).chars().count() < 180);
    }
}
