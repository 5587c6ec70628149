use std::{borrow::Cow, fmt};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

/// JSON that is passed through as it was written, to the digit, without line ends.
#[derive(Clone, Serialize)]
#[serde(transparent)]
pub struct Verbatim(Box<RawValue>);

impl Verbatim {
    /// The JSON's text, in one line.
    #[must_use]
    pub fn get(&self) -> &str {
        self.0.get()
    }

    pub(super) fn raw(&self) -> &RawValue {
        &self.0
    }

    pub(super) fn is_object(&self) -> bool {
        self.get().starts_with('{')
    }
}

impl From<&serde_json::Value> for Verbatim {
    fn from(value: &serde_json::Value) -> Self {
        Self(serde_json::value::to_raw_value(value).expect("a JSON value is JSON"))
    }
}

impl<'de> Deserialize<'de> for Verbatim {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        if !raw.get().contains(['\n', '\r']) {
            return Ok(Self(raw));
        }
        // A JSON string cannot hold a bare line end, so each is blank space between tokens; and a message must fit on a line.
        let line = raw.get().replace(['\n', '\r'], "");
        RawValue::from_string(line)
            .map(Self)
            .map_err(serde::de::Error::custom)
    }
}

impl PartialEq for Verbatim {
    fn eq(&self, other: &Self) -> bool {
        self.get() == other.get()
    }
}

impl fmt::Debug for Verbatim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.get())
    }
}

impl JsonSchema for Verbatim {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Verbatim".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_the_order_of_fields_stay_as_they_were_written() {
        let json = r#"{"z":1.10,"a":123456789012345678901234567890,"s":"\u00e4 b"}"#;
        let verbatim: Verbatim = serde_json::from_str(json).unwrap();
        assert_eq!(serde_json::to_string(&verbatim).unwrap(), json);
    }

    #[test]
    fn it_fits_on_a_line() {
        let verbatim: Verbatim =
            serde_json::from_str("{\n  \"a\": \"b\\n\",\r\n  \"c\": [1,\n2]\n}").unwrap();
        assert_eq!(verbatim.get(), r#"{  "a": "b\n",  "c": [1,2]}"#);
    }
}
