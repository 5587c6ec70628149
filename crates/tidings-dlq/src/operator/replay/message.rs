use jiff::Timestamp;
use tidings_broker::Envelope;
use tidings_model::{Headers, LetterKey, Message};

use crate::letter::Raw;

/// Names the message that a letter's replay sends.
pub(super) fn again(key: &LetterKey) -> LetterKey {
    match key {
        LetterKey::Message { id, generation } => LetterKey::Message {
            id: id.clone(),
            generation: generation.saturating_add(1),
        },
        place @ LetterKey::Place { .. } => place.clone(),
    }
}

/// The message as it is sent again, with the bytes that it always had.
pub(super) fn envelope(
    letter: Raw,
    maybe_delivered: bool,
    consent: bool,
) -> Option<(LetterKey, Envelope)> {
    let message = Message::decode(&letter.body).ok()?;
    let due = Some(message.due()).filter(|due| *due > Timestamp::now());
    let envelope = Envelope {
        account: message.account,
        id: message.id,
        body: letter.body,
        headers: Headers {
            generation: letter.head.generation.saturating_add(1),
            due,
            maybe_delivered,
            consent: consent && maybe_delivered,
            ..Headers::default()
        },
    };
    Some((letter.key, envelope))
}
