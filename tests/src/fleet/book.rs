use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;
use tidings_sandbox::{Received, Refused, Summary};

/// What the providers received.
#[derive(Debug, Clone, Deserialize)]
pub struct Book {
    /// The messages that they accepted.
    pub received: Vec<Received>,
    /// The calls that they did not.
    pub refused: Vec<Refused>,
    /// Both in figures.
    pub summary: Summary,
}

impl Book {
    /// How often each message was recorded, by its text: its id.
    pub fn times(&self) -> BTreeMap<String, usize> {
        let mut times = BTreeMap::new();
        for received in &self.received {
            *times.entry(text(received)).or_default() += 1;
        }
        times
    }

    /// How often one message was recorded.
    pub fn times_of(&self, id: &str) -> usize {
        self.received
            .iter()
            .filter(|received| text(received) == id)
            .count()
    }

    /// The first entry of a message.
    ///
    /// # Panics
    /// Where it was never recorded.
    pub fn entry(&self, id: &str) -> &Received {
        self.received
            .iter()
            .find(|received| text(received) == id)
            .unwrap_or_else(|| panic!("{id} was never recorded"))
    }
}

/// A message's text, wherever its provider has it.
fn text(received: &Received) -> String {
    let parts = || received.parts.iter().find(|part| part.name == "message");
    let body = received.body.as_ref().and_then(|body| {
        let places = ["/message/text", "/message", "/text_message"];
        places
            .iter()
            .find_map(|place| body.pointer(place).and_then(Value::as_str))
    });
    body.map(str::to_owned)
        .or_else(|| parts()?.text.clone())
        .unwrap_or_else(|| panic!("no text in {received:?}"))
}
