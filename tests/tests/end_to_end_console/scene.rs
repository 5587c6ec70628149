//! Letters that died in many ways, and the console in front of them.

use std::path::Path;

use serde_json::{Value, json};
use tidings_sandbox::Faults;
use tidings_tests::{
    Process,
    browser::Browser,
    fleet::{Configuration, Fleet, On, Role, http, messages, to},
};

/// More than a screen of text that would like to be more than text.
fn hostile() -> String {
    let markup =
        r#"<script>document.title="taken"</script><img src=x onerror="document.title='taken'">"#;
    format!("{markup}\u{202e}desrever\u{2066}{}", "x".repeat(10_000))
}

/// One provider repeats the secret that it is called with.
fn faults() -> Faults {
    let secret = Configuration::secret("grupo.forum");
    let faults = json!({"faults": [
        {"on": {"provider": "pingup"},
         "do": {"status": {"code": 400, "body": {"success": false, "message": "The service conversation 4711 is not open"}}}},
        {"on": {"provider": "groupme", "destination": "gone"},
         "do": {"status": {"code": 404, "body": {"meta": {"code": 404, "errors": ["Group gone not found"]}}}}},
        {"on": {"provider": "raven"}, "do": {"status": {"code": 502, "body": "<h1>Bad gateway</h1>"}}},
        {"on": {"provider": "grupo"}, "do": {"status": {"code": 400, "body": format!("<b onclick=alert(1)>no</b>\u{202e} {secret}")}}},
        {"on": {"provider": "whatspie"}, "do": "bad_token"},
    ]});
    serde_json::from_value(faults).expect("faults")
}

pub(crate) async fn fleet(on: On) -> Fleet {
    let fast = "rate = \"500/s\"\nburst = 50";
    let parked = format!("{fast}\non_unknown = \"park\"");
    Fleet::on(on)
        .account("pingup.shop", fast)
        .account("groupme.ops", fast)
        .account("raven.crm", &parked)
        .account("grupo.forum", fast)
        .account("whatspie.desk", "rate = \"7/s\"\nconcurrency = 2")
        .faults(faults())
        .start()
        .await
}

pub(crate) fn dying() -> Vec<Value> {
    let gone = (0..7).map(|number| to("groupme.ops", "gone", &format!("deploy-{number}")));
    let hostile = json!({
        "account": "grupo.forum", "id": "hostile", "metadata": {"<b>key</b>": "\u{202e}value"},
        "payload": {"user": "<i>ann</i>", "sender": "bot", "message": hostile()},
    });
    let mut all = messages("pingup.shop", "order", 40);
    all.extend(gone);
    all.extend(messages("raven.crm", "greeting", 3));
    all.push(hostile);
    all
}

/// The console, and where it is.
pub(crate) async fn console(fleet: &Fleet) -> (Process, String) {
    console_with(fleet, &[]).await
}

/// The same with more arguments.
pub(crate) async fn console_with(fleet: &Fleet, arguments: &[&str]) -> (Process, String) {
    let arguments = [&["serve", "--listen", "127.0.0.1:0"], arguments].concat();
    let console = fleet
        .command("tidings-dlq", &arguments)
        .env("USER", "ann")
        .start();
    let line = console.line("the console is at ").await;
    let at = line.rsplit(' ').next().expect("a URL").to_owned();
    (console, at)
}

/// Waits until the operation on the page is over, and returns how it ended.
pub(crate) async fn over(browser: &Browser) -> String {
    let over = browser.find("#progress [data-over]").await;
    over.text().await.expect("words")
}

pub(crate) async fn open(fleet: &Fleet) -> Vec<String> {
    let letters = fleet.letters().await.into_iter();
    letters
        .filter_map(|letter| Some(letter.message.id()?.to_string()))
        .collect()
}

/// What a page says to a client that knows nothing, markup and all.
pub(crate) async fn raw(url: &str) -> String {
    let answer = http().get(url).send().await.expect("a page");
    assert!(answer.status().is_success(), "{url}: {}", answer.status());
    answer.text().await.expect("words")
}

/// What the console may never show.
pub(crate) fn secrets(fleet: &Fleet) -> Vec<String> {
    let accounts = fleet.configuration().accounts.keys();
    let mut secrets: Vec<_> = accounts.map(|name| Configuration::secret(name)).collect();
    let broker: Option<url::Url> = fleet.url(Role::Inspector).parse().ok();
    let password = broker.as_ref().and_then(url::Url::password);
    secrets.extend(password.map(|password| format!(":{password}@")));
    secrets
}

fn asked_for_pictures(on: On) -> bool {
    on == On::Embedded && std::env::var_os("UPDATE_SCREENSHOTS").is_some()
}

/// Looks at a page: it must be readable. It is one of the README's pictures, where they are asked for.
pub(crate) async fn picture(on: On, browser: &Browser, name: &str) {
    browser.is_readable().await;
    if asked_for_pictures(on) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/console");
        std::fs::create_dir_all(&folder).expect("a folder");
        std::fs::write(folder.join(format!("{name}.png")), browser.picture().await)
            .expect("a picture");
    }
}
