use jiff::Timestamp;
use serde::Serialize;
use tidings_model::{Account, LetterMessage, Message, Metadata, Payload};

use crate::Letter;

/// A line that `tidings send` takes: a message without what the new one gets of its own.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Exported {
    account: Account,
    payload: Payload,
    #[serde(skip_serializing_if = "Option::is_none")]
    not_before: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Metadata::is_empty")]
    metadata: Metadata,
}

/// Makes lines of letters, and remembers what has to be said about them.
#[derive(Debug, Default)]
pub struct Export {
    maybe_delivered: u64,
    expired: u64,
    left_out: u64,
}

impl Export {
    /// The line of a letter; `None` where its body is no message.
    ///
    /// The id goes, since it was decided already: sent under the same id, the message would not be sent; and so does GroupMe's
    /// `source_guid`, by which GroupMe would know it again and keep the old text. A due time goes
    /// once it has come, and an expiry once it has passed; until then both are moments, whatever they were written as.
    pub fn take(&mut self, letter: &Letter, now: Timestamp) -> Option<Exported> {
        let LetterMessage::Whole(message) = &letter.letter.message else {
            self.left_out += 1;
            return None;
        };
        self.maybe_delivered += u64::from(letter.letter.maybe_delivered);
        let (due, expires) = (ahead(message.due(), now), message.expires());
        let expires_at = expires.and_then(|at| ahead(at, now));
        self.expired += u64::from(expires.is_some() && expires_at.is_none());
        Some(exported(message, due, expires_at))
    }

    /// How many letters had no message to write.
    #[must_use]
    pub fn left_out(&self) -> u64 {
        self.left_out
    }

    /// What a person should know before sending the lines, a sentence each.
    #[must_use]
    pub fn remarks(&self) -> Vec<String> {
        let remarks = [
            (
                self.maybe_delivered,
                "may have been delivered already: sent again, they come twice",
            ),
            (
                self.expired,
                "had expired: their lines have no expiry any more",
            ),
            (self.left_out, "were left out: their bodies are no messages"),
        ];
        let told = remarks.iter().filter(|(count, _)| *count > 0);
        told.map(|(count, what)| format!("{count} of the letters {what}"))
            .collect()
    }
}

fn exported(
    message: &Message,
    not_before: Option<Timestamp>,
    expires_at: Option<Timestamp>,
) -> Exported {
    let mut payload = message.payload.clone();
    if let Payload::Groupme(text) = &mut payload {
        text.source_guid = None;
    }
    Exported {
        account: message.account.clone(),
        payload,
        not_before,
        expires_at,
        metadata: message.metadata.clone(),
    }
}

fn ahead(at: Timestamp, now: Timestamp) -> Option<Timestamp> {
    (at > now).then_some(at)
}
