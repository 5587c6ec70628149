use serde_json::{Value, json};
use tidings_sandbox::Provider;

/// An account of each provider.
pub const ONE_OF_EACH: [(&str, Provider); 5] = [
    ("groupme.ops", Provider::GroupMe),
    ("whatspie.shop", Provider::WhatsPie),
    ("grupo.site", Provider::Grupo),
    ("raven.crm", Provider::Raven),
    ("pingup.acme", Provider::Pingup),
];

/// A message of an account, as a line for `tidings send`. Its text is its id, so that the sandbox's book names it.
pub fn message(account: &str, id: &str) -> Value {
    to(account, "somebody", id)
}

/// So many messages of an account; their ids are the account, `name` and a number.
pub fn messages(account: &str, name: &str, count: usize) -> Vec<Value> {
    (0..count)
        .map(|number| message(account, &format!("{account}-{name}-{number}")))
        .collect()
}

/// A message to that group, user or phone.
///
/// # Panics
/// Where the account is of no provider.
pub fn to(account: &str, destination: &str, id: &str) -> Value {
    let payload = match account.split('.').next() {
        Some("groupme") => json!({"group_id": destination, "text": id}),
        Some("whatspie") => json!({"group_id": destination, "message": id}),
        Some("grupo") => json!({"user": destination, "sender": "bot", "message": id}),
        Some("raven") => json!({
            "username": "crm",
            "topic": {"type": "persona", "name": "Greetings"},
            "recipient": [{"name": "Ann", "contact": [{"type": "whatsapp", "name": "Main", "key": destination}]}],
            "message": id,
        }),
        Some("pingup") => json!({"client": destination, "text_message": id}),
        _ => panic!("{account:?} is of no provider"),
    };
    json!({"account": account, "id": id, "payload": payload})
}
