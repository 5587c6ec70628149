use serde_json::json;

use super::*;
use crate::{Provider, payload::tests::refused};

#[test]
fn grupo_goes_to_a_user_or_a_group() {
    assert_eq!(
        Text::to_user("ann")
            .sender("bot")
            .message("Hi")
            .build()
            .unwrap()
            .destination(),
        "ann"
    );
    assert_eq!(
        Text::to_group("7")
            .sender("bot")
            .message("Hi")
            .build()
            .unwrap()
            .destination(),
        "7"
    );
    let neither = refused(Provider::Grupo, &json!({ "sender": "s", "message": "m" }));
    assert_eq!(
        neither,
        "payload.user: is required, or `group` in its place"
    );
    let both = refused(
        Provider::Grupo,
        &json!({ "user": "u", "group": "g", "sender": "s", "message": "m" }),
    );
    assert_eq!(both, "payload.group: excludes `user`: give one of them");
}

#[test]
fn a_gif_comes_from_one_of_three_hosts() {
    let gif = |url: &str| {
        Text::to_user("u")
            .sender("s")
            .message("m")
            .gif_url(url)
            .build()
    };
    for url in [
        "https://tenor.com",
        "http://media.giphy.com/a?b#c",
        "https://A.B.GfyCat.com#x",
    ] {
        assert!(gif(url).is_ok(), "{url}");
    }
    let refusals = [
        "",
        "tenor.com/x.gif",
        "ftp://tenor.com",
        "https://",
        "https:///tenor.com",
        "https://nottenor.com",
        "https://é.com",
        "https://tenor.com.evil.org/",
        "https://evil.org/tenor.com",
        "https://evil.org\\.tenor.com",
        "https://tenor.com:1/",
        "https://evil.org#.tenor.com",
        "https://user@tenor.com/",
        "https://evil.org\n.tenor.com",
        "https://évil.tenor.com",
    ];
    for url in refusals {
        assert_eq!(gif(url).unwrap_err().field(), "payload.gif_url", "{url}");
    }
}

#[test]
fn grupo_files_have_at_most_8_mib_together() {
    let half = || File::new("a.bin", "application/octet-stream", vec![7; MAX_FILES / 2]);
    let text = Text::to_user("u")
        .sender("s")
        .message("m")
        .file(half())
        .file(half());
    let payload = text.clone().build().unwrap();
    let json = serde_json::to_string(&payload).unwrap();
    assert_eq!(Payload::parse(Provider::Grupo, &json).unwrap(), payload);
    let error = text
        .file(File::new("b", "text/plain", "x"))
        .build()
        .unwrap_err();
    let words = "payload.file_attachments: has 8388609 bytes together, at most 8388608 are allowed";
    assert_eq!(error.to_string(), words);
}

#[test]
fn a_grupo_file_that_could_break_its_form_is_refused() {
    let file = |name: &str, content_type: &str| {
        let file = File::new(name, content_type, "hi");
        Text::to_user("u")
            .sender("s")
            .message("m")
            .file(file)
            .build()
            .map_err(|error| error.field().to_owned())
    };
    assert!(file("a b.txt", "text/plain; charset=utf-8").is_ok());
    assert_eq!(
        file("", "text/plain").unwrap_err(),
        "payload.file_attachments[0].name"
    );
    assert_eq!(
        file("a\r\nX: y", "text/plain").unwrap_err(),
        "payload.file_attachments[0].name"
    );
    for content_type in ["", "text", "/plain", "text/", "text/plain\r\nX: y"] {
        assert_eq!(
            file("a", content_type).unwrap_err(),
            "payload.file_attachments[0].content_type"
        );
    }
    let files = json!([{ "name": "a", "content_type": "text/plain", "data": "aGk" }]);
    let error = refused(
        Provider::Grupo,
        &json!({ "user": "u", "sender": "s", "message": "m", "file_attachments": files }),
    );
    assert!(
        error.starts_with("payload.file_attachments[0].data: is not base64"),
        "{error}"
    );
}

#[test]
fn the_contents_of_a_file_are_not_in_its_debug_output() {
    assert_eq!(
        format!("{:?}", File::new("a", "text/plain", "secret")),
        r#"File("a", "text/plain", 6 bytes)"#
    );
}
