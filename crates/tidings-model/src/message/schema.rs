//! The JSON Schema of a message. It is written by hand: the payload follows from the account, and some fields exclude
//! each other, which a derived schema cannot say.

use std::borrow::Cow;

use jiff::Timestamp;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Value, json};

use super::{Draft, MAX_METADATA_BYTES, Message, Metadata};
use crate::{
    Account, Delay, MessageId, Provider,
    payload::{groupme, grupo, pingup, raven, whatspie},
};

/// A message as anybody may write it: for `send`, or, with `id` and `enqueued_at`, straight into a queue.
impl JsonSchema for Draft {
    fn schema_name() -> Cow<'static, str> {
        "Draft".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut schema = schema(generator, &["account", "payload"]);
        schema.insert("title".into(), "Tidings message".into());
        schema.insert(
            "description".into(),
            "One thing to send. As a line for `tidings send`, `id` may be absent and `enqueued_at` must be. As a body that \
             is published straight to the broker, both are required."
                .into(),
        );
        schema.insert("dependentRequired".into(), json!({ "enqueued_at": ["id"] }));
        schema
    }
}

/// A message as `send` accepted it.
impl JsonSchema for Message {
    fn schema_name() -> Cow<'static, str> {
        "Message".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        schema(generator, &["account", "payload", "id", "enqueued_at"])
    }
}

fn schema(generator: &mut SchemaGenerator, required: &[&str]) -> Schema {
    let mut rules: Vec<Value> = Provider::ALL
        .into_iter()
        .map(|provider| payload_of(provider, generator))
        .collect();
    rules.push(json!({ "not": { "required": ["delay", "not_before"] } }));
    rules.push(json!({ "not": { "required": ["expires_at", "expires_in"] } }));
    json_schema!({
        "type": "object",
        "properties": {
            "account": described::<Account>(generator, "Whose credentials send it: provider.name."),
            "payload": { "type": "object", "description": "What is sent, in the provider's own words." },
            "id": described::<MessageId>(generator, "Names the message for ever, and makes sending it again harmless."),
            "enqueued_at": described::<Timestamp>(generator, "When `send` accepted it."),
            "delay": described::<Delay>(generator, "Not before so long after `send`."),
            "not_before": described::<Timestamp>(generator, "Not before this moment."),
            "expires_at": described::<Timestamp>(generator, "Not after this moment."),
            "expires_in": described::<Delay>(generator, "Not after so long from `send`."),
            "metadata": described::<Metadata>(
                generator,
                &format!("The caller's own strings, at most {MAX_METADATA_BYTES} bytes as JSON."),
            ),
        },
        "required": required,
        "additionalProperties": false,
        "allOf": rules,
    })
}

fn described<T: JsonSchema>(generator: &mut SchemaGenerator, description: &str) -> Schema {
    let mut schema = generator.subschema_for::<T>();
    schema.insert("description".into(), description.into());
    schema
}

/// An account of this provider has this payload, and pingup keeps its own delays.
fn payload_of(provider: Provider, generator: &mut SchemaGenerator) -> Value {
    let payload = match provider {
        Provider::Grupo => generator.subschema_for::<grupo::Text>(),
        Provider::Whatspie => generator.subschema_for::<whatspie::Text>(),
        Provider::Groupme => generator.subschema_for::<groupme::Text>(),
        Provider::Raven => generator.subschema_for::<raven::Text>(),
        Provider::Pingup => generator.subschema_for::<pingup::Text>(),
    };
    let mut properties = json!({ "payload": payload });
    if provider == Provider::Pingup {
        properties["delay"] = false.into();
        properties["not_before"] = false.into();
    }
    json!({
        "if": {
            "properties": { "account": { "type": "string", "pattern": format!("^{provider}\\.") } },
            "required": ["account"]
        },
        "then": { "properties": properties }
    })
}
