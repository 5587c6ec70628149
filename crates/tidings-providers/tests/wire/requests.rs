//! What each provider is sent.

use serde_json::json;
use tidings_model::Verdict;

use super::*;
use crate::server::{Heard, Server};

/// Sends a message that is accepted, and returns what the provider heard.
async fn sent(message: &Message, elapsed: Duration) -> Heard {
    let provider = message.account.provider();
    let (status, body) = accepted(provider);
    let server = Server::answering(status, body).await;
    let answer = client(provider, server.url(), LONG)
        .send(message, elapsed, std::future::ready(true))
        .await;
    assert_eq!(answer.verdict, Verdict::Delivered, "{answer:?}");
    let heard = server.heard_once();
    assert_eq!(
        heard.header("user-agent"),
        Some(concat!("tidings/", env!("CARGO_PKG_VERSION")))
    );
    assert!(!heard.line().contains(SECRET));
    heard
}

#[tokio::test]
async fn groupme_gets_its_message_with_the_token_in_a_header() {
    let text = groupme_payload::Text::to("12/34")
        .text("Hi @ann")
        .image("https://i.groupme.com/1")
        .mention("8123", 3..7);
    let heard = sent(&message(text.build().unwrap()), Duration::ZERO).await;
    assert_eq!(heard.line(), "POST /groups/12%2F34/messages");
    assert_eq!(heard.header("x-access-token"), Some(SECRET));
    assert_eq!(heard.header("content-type"), Some("application/json"));
    let attachments = json!([
        {"type": "image", "url": "https://i.groupme.com/1"},
        {"type": "mentions", "user_ids": ["8123"], "loci": [[3, 4]]}
    ]);
    let body =
        json!({"message": {"source_guid": "m-1", "text": "Hi @ann", "attachments": attachments}});
    assert_eq!(heard.json(), body);
}

#[tokio::test]
async fn groupme_gets_the_source_guid_of_the_payload_and_no_text_where_there_is_none() {
    let text = groupme_payload::Text::to("1")
        .image("https://i.groupme.com/1")
        .source_guid("mine");
    let heard = sent(&message(text.build().unwrap()), Duration::ZERO).await;
    let attachments = json!([{"type": "image", "url": "https://i.groupme.com/1"}]);
    assert_eq!(
        heard.json(),
        json!({"message": {"source_guid": "mine", "attachments": attachments}})
    );
}

#[tokio::test]
async fn whatspie_gets_all_that_it_requires() {
    let heard = sent(&plain(Provider::Whatspie), Duration::ZERO).await;
    assert_eq!(heard.line(), "POST /groups/495/send");
    assert_eq!(
        heard.header("authorization"),
        Some(&*format!("Bearer {SECRET}"))
    );
    assert_eq!(
        heard.json(),
        json!({"message": "hi", "type": "chat", "params": {"text": "hi"}})
    );

    let params = json!({"text": "Hello @62856", "mentions": ["62856@s.whatsapp.net"]});
    let text = whatspie::Text::to("495")
        .message("Hello")
        .typed("image")
        .with_params(&params)
        .device("628");
    let heard = sent(&message(text.build().unwrap()), Duration::ZERO).await;
    assert_eq!(
        heard.json(),
        json!({"message": "Hello", "type": "image", "params": params, "device": "628"})
    );
}

#[tokio::test]
async fn raven_gets_the_payload_as_it_is() {
    let heard = sent(&plain(Provider::Raven), Duration::ZERO).await;
    assert_eq!(heard.line(), "POST /message:send");
    assert_eq!(
        heard.header("authorization"),
        Some(&*format!("Bearer {SECRET}"))
    );
    let recipient = json!([{"name": "Ann", "contact": [{"type": "whatsapp", "name": "Main", "key": "+62851"}]}]);
    let topic = json!({"type": "persona", "name": "Deploys"});
    assert_eq!(
        heard.json(),
        json!({"username": "ops", "topic": topic, "recipient": recipient, "message": "hi"})
    );
}

#[tokio::test]
async fn pingup_gets_what_is_left_of_its_delay() {
    let text = || {
        pingup::Text::to_phone("393")
            .client_name("Jon Doe")
            .text_message("hi")
    };
    let delayed = message(text().delay("1m".parse().unwrap()).build().unwrap());
    for (elapsed, delay) in [
        (0, Some("1m")),
        (999, Some("1m")),
        (18_500, Some("42s")),
        (60_000, None),
    ] {
        let heard = sent(&delayed, Duration::from_millis(elapsed)).await;
        assert_eq!(heard.line(), "POST /a%2Fcme/messages");
        assert_eq!(
            heard.header("authorization"),
            Some(&*format!("Bearer {SECRET}"))
        );
        let mut body = json!({"message_type": "text", "client_phone": "393", "client_name": "Jon Doe", "text_message": "hi"});
        if let Some(delay) = delay {
            body["delay"] = delay.into();
        }
        assert_eq!(heard.json(), body);
    }
}

#[tokio::test]
async fn grupo_gets_a_form_with_its_secret_and_the_message_as_html() {
    let text = grupo::Text::to_group("7")
        .sender("bob")
        .message("a < b & c");
    let heard = sent(&message(text.build().unwrap()), Duration::ZERO).await;
    assert_eq!(heard.line(), "POST /api_request/");
    assert_eq!(heard.header("authorization"), None);
    let fields: Vec<_> = fields(&heard)
        .into_iter()
        .map(|field| (field.disposition, field.body))
        .collect();
    let expected = [
        ("name=\"api_secret_key\"", SECRET),
        ("name=\"add\"", "message"),
        ("name=\"group\"", "7"),
        ("name=\"sender\"", "bob"),
        ("name=\"message\"", "a &lt; b &amp; c"),
    ];
    assert_eq!(
        fields,
        expected.map(|(name, value)| (name.to_owned(), value.to_owned()))
    );
}

#[tokio::test]
async fn grupo_gets_a_file_under_the_name_of_its_page_and_several_as_php_reads_them() {
    let file = |name: &str, kind: &str| {
        grupo::File::new(name, kind, format!("data of {name}").into_bytes())
    };
    let text = || {
        grupo::Text::to_user("ann@example.com")
            .sender("bob")
            .message("hi")
    };
    let files = |heard: &Heard| -> Vec<Field> {
        fields(heard)
            .into_iter()
            .filter(|field| field.disposition.contains("filename"))
            .collect()
    };

    let one = text()
        .gif_url("https://media.tenor.com/x.gif")
        .file(file("räport \"1\".pdf", "application/pdf"));
    let heard = sent(&message(one.build().unwrap()), Duration::ZERO).await;
    assert!(
        heard
            .text()
            .contains("name=\"gif_url\"\r\n\r\nhttps://media.tenor.com/x.gif\r\n")
    );
    let [field] = &files(&heard)[..] else {
        panic!("{heard:?}")
    };
    assert_eq!(
        field.disposition,
        "name=\"file_attachments\"; filename=\"räport \\\"1\\\".pdf\""
    );
    assert_eq!(field.content_type.as_deref(), Some("application/pdf"));
    assert_eq!(field.body, "data of räport \"1\".pdf");

    let two = text()
        .file(file("a.png", "image/png"))
        .file(file("b", "a/b is not MIME"));
    let heard = sent(&message(two.build().unwrap()), Duration::ZERO).await;
    let [a, b] = &files(&heard)[..] else {
        panic!("{heard:?}")
    };
    assert_eq!(
        a.disposition,
        "name=\"file_attachments[]\"; filename=\"a.png\""
    );
    assert_eq!(b.disposition, "name=\"file_attachments[]\"; filename=\"b\"");
    assert_eq!(b.content_type.as_deref(), Some("a/b is not MIME"));
}

#[tokio::test]
async fn the_largest_files_arrive_whole() {
    let data: Vec<u8> = (0..grupo::MAX_FILES)
        .map(|i| u8::try_from(i % 251).unwrap())
        .collect();
    let file = grupo::File::new("a.bin", "application/octet-stream", data.clone());
    let text = grupo::Text::to_user("ann")
        .sender("bob")
        .message("hi")
        .file(file);
    let heard = sent(&message(text.build().unwrap()), Duration::ZERO).await;
    let start = heard
        .body
        .windows(4)
        .rposition(|window| window == b"\r\n\r\n")
        .unwrap()
        + 4;
    assert_eq!(heard.body[start..start + data.len()], data);
}

#[tokio::test]
async fn each_provider_gives_its_name_for_the_message_where_it_has_one() {
    for provider in Provider::ALL {
        let (status, body) = accepted(provider);
        let server = Server::answering(status, body).await;
        let answer = attempt(&client(provider, server.url(), LONG), provider).await;
        assert_eq!(
            (answer.verdict, answer.status, answer.error),
            (Verdict::Delivered, Some(status), None)
        );
        let expected = (provider != Provider::Grupo).then_some("77");
        assert_eq!(
            answer.provider_message_id.as_deref(),
            expected,
            "{provider}"
        );
    }
}

#[tokio::test]
async fn a_payload_for_another_provider_is_not_sent() {
    let server = Server::answering(201, "").await;
    let answer = client(Provider::Groupme, server.url(), LONG)
        .send(
            &plain(Provider::Raven),
            Duration::ZERO,
            std::future::ready(true),
        )
        .await;
    assert_eq!(answer.verdict, Verdict::Rejected);
    assert!(server.heard().is_empty());
}

#[derive(Debug)]
struct Field {
    disposition: String,
    content_type: Option<String>,
    body: String,
}

/// The fields of a form, as a browser's would be read.
fn fields(heard: &Heard) -> Vec<Field> {
    let content_type = heard.header("content-type").unwrap();
    let boundary = content_type
        .strip_prefix("multipart/form-data; boundary=")
        .unwrap();
    let text = heard.text();
    let inner = text.strip_suffix(&format!("--{boundary}--\r\n")).unwrap();
    let start = format!("--{boundary}\r\n");
    let fields = inner.split(&start).skip(1);
    let read = |field: &str| {
        let (head, body) = field.split_once("\r\n\r\n").unwrap();
        let header = |name: &str| {
            head.lines().find_map(|line| {
                let (header, value) = line.split_once(": ")?;
                header.eq_ignore_ascii_case(name).then(|| value.to_owned())
            })
        };
        let disposition = header("content-disposition").unwrap();
        Field {
            disposition: disposition.strip_prefix("form-data; ").unwrap().to_owned(),
            content_type: header("content-type"),
            body: body.strip_suffix("\r\n").unwrap().to_owned(),
        }
    };
    fields.map(read).collect()
}
