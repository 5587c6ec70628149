//! What an answer says: for people, and for the few classes that only words tell apart.

use serde_json::Value;

/// Under which names providers, documented or not, say what is wrong.
const SAYING: [&str; 10] = [
    "error_message",
    "message",
    "notification",
    "error",
    "errors",
    "failed_reason",
    "alert",
    "detail",
    "reason",
    "error_key",
];

/// Where they put these.
const WRAPPING: [&str; 3] = ["meta", "data", "response"];

/// The words of an answer; what an HTML page would show; else the answer itself.
pub(crate) fn words(body: &[u8]) -> String {
    let Ok(json) = serde_json::from_slice::<Value>(body) else {
        return shown(&String::from_utf8_lossy(body));
    };
    let mut said = Vec::new();
    find(&json, &mut said);
    said.dedup();
    if said.is_empty() {
        return json.to_string();
    }
    said.join("; ")
}

fn find(json: &Value, said: &mut Vec<String>) {
    for value in SAYING.iter().filter_map(|name| json.get(name)) {
        read(value, said);
    }
    for value in WRAPPING.iter().filter_map(|name| json.get(name)) {
        find(value, said);
    }
}

/// Every text in a value; in an object each with its name, as in `{"text": ["is too long"]}`.
fn read(value: &Value, said: &mut Vec<String>) {
    match value {
        Value::String(text) if !text.trim().is_empty() => said.push(text.trim().to_owned()),
        Value::Array(values) => values.iter().for_each(|value| read(value, said)),
        Value::Object(fields) => {
            for (name, value) in fields {
                let mut texts = Vec::new();
                read(value, &mut texts);
                said.extend(texts.iter().map(|text| format!("{name}: {text}")));
            }
        }
        _ => {}
    }
}

/// The text of a page without its tags, in one line.
fn shown(page: &str) -> String {
    let mut text = String::with_capacity(page.len());
    let is_html = page.trim_start().starts_with('<');
    let mut in_tag = false;
    for c in page.chars() {
        match c {
            '<' if is_html => {
                in_tag = true;
                text.push(' ');
            }
            '>' if in_tag => in_tag = false,
            _ if in_tag => {}
            _ => text.push(c),
        }
    }
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::words;

    #[test]
    fn words_are_found_wherever_providers_put_them() {
        let cases = [
            (
                r#"{"meta":{"code":400,"errors":["Invalid text","Too long"]},"response":null}"#,
                "Invalid text; Too long",
            ),
            (
                r#"{"meta":{"errors":{"text":["is too long"],"group":"is unknown"}}}"#,
                "group: is unknown; text: is too long",
            ),
            (
                r#"{"status":422,"message":"Validation Error ","errors":["type is required"]}"#,
                "Validation Error; type is required",
            ),
            (
                r#"{"success":false,"error_message":"No such user","error_key":"user_not_found"}"#,
                "No such user; user_not_found",
            ),
            (
                r#"{"notification":"User is not found!"}"#,
                "User is not found!",
            ),
            (r#"{"data":{"message":"closed"}}"#, "closed"),
            (r#"{"code":7}"#, r#"{"code":7}"#),
            ("[]", "[]"),
            ("plain  words\n1 < 2", "plain words 1 < 2"),
            ("", ""),
        ];
        for (body, expected) in cases {
            assert_eq!(words(body.as_bytes()), expected, "{body}");
        }
    }

    #[test]
    fn a_page_is_read_without_its_tags() {
        let page = "<html><head><title>502 Bad Gateway</title></head>\r\n<body>\n<hr><center>nginx</center></body></html>";
        assert_eq!(words(page.as_bytes()), "502 Bad Gateway nginx");
        assert_eq!(
            words(b"<br />\n<b>Warning</b>: no \xff <unclosed"),
            "Warning : no \u{fffd}"
        );
    }
}
