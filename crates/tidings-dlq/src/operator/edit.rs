use bytes::Bytes;
use jiff::Timestamp;
use serde_json::{Value, json};
use tidings_broker::Envelope;
use tidings_model::{Draft, Headers, LetterState, Message, MessageId, OperationId, Verb};
use uuid::Uuid;

use super::{Operator, OperatorError, Tally, acting::Acting};
use crate::{Filter, Name, Plan, Request, letter::bodies};

/// The message of an open letter, to be mended.
#[derive(Debug, Clone)]
pub struct Edition {
    /// The message as `tidings send` takes it, without what the new one gets of its own: its id, when it was
    /// enqueued, its delay and GroupMe's `source_guid`. `null` where the body is no JSON.
    pub message: Value,
    /// Whether the old message may have been delivered.
    pub maybe_delivered: bool,
    plan: Plan,
    old: Name,
}

/// What became of an edit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edited {
    /// Which operation it was.
    pub operation: OperationId,
    /// The new message.
    pub id: MessageId,
}

/// Why a pointer cannot be set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SetError {
    /// There is no such place.
    #[error("{0:?} points nowhere in the message: a pointer is like /payload/text")]
    Nowhere(String),
    /// The value is no JSON.
    #[error("the value of {0} is not JSON: {1}")]
    Json(String, String),
}

impl Edition {
    /// Sets one field: to the text where a string is there now, else to what it says as JSON. A field that is not
    /// there yet takes either.
    ///
    /// # Errors
    /// When the pointer leads nowhere, or the value is neither.
    pub fn set(&mut self, pointer: &str, value: &str) -> Result<(), SetError> {
        let text = || Value::String(value.to_owned());
        if let Some(field) = self.message.pointer_mut(pointer) {
            *field = match field {
                Value::String(_) => text(),
                _ => serde_json::from_str(value)
                    .map_err(|error| SetError::Json(pointer.to_owned(), error.to_string()))?,
            };
            return Ok(());
        }
        let nowhere = || SetError::Nowhere(pointer.to_owned());
        let (parent, name) = pointer.rsplit_once('/').ok_or_else(nowhere)?;
        if parent == "/metadata" && self.message.get("metadata").is_none() {
            self.message["metadata"] = json!({});
        }
        let parent_value = self.message.pointer_mut(parent);
        let fields = parent_value
            .and_then(Value::as_object_mut)
            .ok_or_else(nowhere)?;
        let value = match serde_json::from_str(value) {
            Ok(json) if parent != "/metadata" => json,
            _ => text(),
        };
        fields.insert(unescaped(name), value);
        Ok(())
    }

    /// Removes one field.
    ///
    /// # Errors
    /// When the pointer leads nowhere.
    pub fn remove(&mut self, pointer: &str) -> Result<(), SetError> {
        let nowhere = || SetError::Nowhere(pointer.to_owned());
        let (parent, name) = pointer.rsplit_once('/').ok_or_else(nowhere)?;
        let parent = self.message.pointer_mut(parent);
        let fields = parent.and_then(Value::as_object_mut).ok_or_else(nowhere)?;
        let removed = fields.remove(&unescaped(name));
        removed.map(drop).ok_or_else(nowhere)
    }
}

/// A name as a pointer spells it: RFC 6901.
fn unescaped(name: &str) -> String {
    name.replace("~1", "/").replace("~0", "~")
}

impl Operator {
    /// Finds the open letter that is called so, to be mended; `None` where there is none.
    ///
    /// # Errors
    /// When the broker is away, or another operation has claimed the letter.
    pub async fn edition(
        &self,
        name: &Name,
        take_over: bool,
    ) -> Result<Option<Edition>, OperatorError> {
        let request = Request {
            filter: Filter {
                names: vec![name.clone()],
                states: vec![LetterState::Open],
                ..Filter::default()
            },
            take_over,
            ..Request::default()
        };
        let mut plan = self.plan(Verb::Edit, request, Timestamp::now()).await?;
        if let Some(crate::Skip::Claimed(holder)) = plan.skipped.keys().last() {
            return Err(OperatorError::Claimed(*holder));
        }
        // The newest: earlier ones were replayed.
        let older = plan.letters.len().saturating_sub(1);
        plan.letters.drain(..older);
        let (mut found, _) = bodies(&*self.broker, &plan.letters).await?;
        Ok(found.pop().map(|letter| Edition {
            message: editable(&letter.body),
            maybe_delivered: letter.head.maybe_delivered
                || plan.register.in_doubt_since(&letter.key).is_some(),
            plan,
            old: name.clone(),
        }))
    }

    /// Sends what was made of an edition as a new message, checked as `tidings send` checks it, and resolves the old
    /// letter.
    ///
    /// # Errors
    /// When the message is none, the broker does not take it, or somebody else was faster.
    pub async fn edit(
        &self,
        mut edition: Edition,
        message: &[u8],
    ) -> Result<Edited, OperatorError> {
        let Some(letter) = edition.plan.letters.first().cloned() else {
            return Err(OperatorError::Resolved);
        };
        let register = std::mem::take(&mut edition.plan.register);
        // Taken over from an edit that was cut off, it is the same message, and sent once.
        let cut_off = register.holder(&letter.key).and_then(|holder| {
            let began = register.operation(holder)?.began.as_ref()?;
            began.parameters.get("new_id")?.as_str()?.parse().ok()
        });
        let fresh = || cut_off.unwrap_or_else(|| Uuid::now_v7().into());
        let message = Draft::parse(message)?.accept(Timestamp::now(), fresh)?;
        if edition.old == Name::Message(message.id.clone()) {
            return Err(OperatorError::SameId(message.id));
        }
        let began = self.began(&edition.plan, None, json!({"new_id": message.id}));
        let mut acting = Acting::begin(self, register, began).await?;
        let take_over = edition.plan.request.take_over;
        acting.claim(&edition.plan.letters, take_over).await?;
        let mut tally = Tally::default();
        if !acting.holds(&letter.key, Verb::Edit) {
            acting.lose(&letter.key, &mut tally);
            acting.end(&tally).await?;
            let winner = tally.lost.into_keys().next();
            return Err(winner.map_or(OperatorError::Resolved, OperatorError::Claimed));
        }
        let id = message.id.clone();
        if let Err(error) = self.send(message).await {
            tally.fail(&error);
            acting.end(&tally).await?;
            return Err(error);
        }
        let state = LetterState::Edited;
        acting.resolve(&[letter.key], state, Some(&id)).await?;
        tally.done = 1;
        acting.end(&tally).await?;
        Ok(Edited {
            operation: acting.operation,
            id,
        })
    }

    async fn send(&self, message: Message) -> Result<(), OperatorError> {
        let due = Some(message.due()).filter(|due| *due > message.enqueued_at);
        let envelope = Envelope {
            body: Bytes::from(message.encode()),
            account: message.account,
            id: message.id,
            headers: Headers {
                due,
                ..Headers::default()
            },
        };
        self.broker.publish(envelope).await?.await?;
        Ok(())
    }
}

/// A body as a person mends it.
fn editable(body: &[u8]) -> Value {
    let mut message: Value = serde_json::from_slice(body).unwrap_or_default();
    if let Some(fields) = message.as_object_mut() {
        for own in ["id", "enqueued_at", "delay", "not_before"] {
            fields.remove(own);
        }
        let payload = fields.get_mut("payload").and_then(Value::as_object_mut);
        payload.and_then(|payload| payload.remove("source_guid"));
    }
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edition(message: Value) -> Edition {
        Edition {
            message: editable(message.to_string().as_bytes()),
            maybe_delivered: false,
            plan: Plan::of(Verb::Edit),
            old: "m-1".parse().unwrap(),
        }
    }

    #[test]
    fn a_field_is_set_as_what_it_was() {
        let mut edition = edition(json!({
            "account": "groupme.ops", "id": "m-1", "enqueued_at": "2026-01-01T00:00:00Z", "delay": "1h",
            "payload": {"group_id": "1", "text": "hi", "attachments": [], "source_guid": "g"},
        }));
        for (pointer, value) in [
            ("/payload/text", "42"),
            ("/payload/attachments", r#"[{"type":"image"}]"#),
            ("/metadata/order", "42"),
            ("/metadata/a~1b", "null"),
            ("/expires_in", "10m"),
        ] {
            edition.set(pointer, value).unwrap();
        }
        let expected = json!({
            "account": "groupme.ops", "expires_in": "10m", "metadata": {"order": "42", "a/b": "null"},
            "payload": {"group_id": "1", "text": "42", "attachments": [{"type": "image"}]},
        });
        assert_eq!(edition.message, expected);
        assert!(matches!(
            edition.set("/payload/attachments", "["),
            Err(SetError::Json(..))
        ));
        for nowhere in ["text", "/nothing/there", "/account/name"] {
            assert!(
                matches!(edition.set(nowhere, "1"), Err(SetError::Nowhere(_))),
                "{nowhere}"
            );
        }
    }

    #[test]
    fn what_is_no_json_is_written_anew() {
        assert_eq!(editable(b"\xff"), Value::Null);
    }
}
