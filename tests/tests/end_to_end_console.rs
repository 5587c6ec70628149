//! Looking at dead letters, real ones of a real worker: in a real browser, and as lines that are sent again.

use std::path::Path;

use serde_json::{Value, json};
use tidings_sandbox::Faults;
use tidings_tests::{
    Process,
    browser::Browser,
    eventually,
    fleet::{Fleet, On, http, messages, to},
    on_each_broker,
};

on_each_broker! {
    letters_are_found_replayed_discarded_and_restored_in_a_browser,
    only_who_may_looks_in_and_only_the_consoles_own_pages_act,
    what_is_exported_is_sent_as_new_messages,
}

/// More than a screen of text that would like to be more than text.
fn hostile() -> String {
    let markup =
        r#"<script>document.title="taken"</script><img src=x onerror="document.title='taken'">"#;
    format!("{markup}\u{202e}desrever\u{2066}{}", "x".repeat(10_000))
}

fn faults() -> Faults {
    let faults = json!({"faults": [
        {"on": {"provider": "pingup"},
         "do": {"status": {"code": 400, "body": {"success": false, "message": "The service conversation 4711 is not open"}}}},
        {"on": {"provider": "groupme", "destination": "gone"},
         "do": {"status": {"code": 404, "body": {"meta": {"code": 404, "errors": ["Group gone not found"]}}}}},
        {"on": {"provider": "raven"}, "do": {"status": {"code": 502, "body": "<h1>Bad gateway</h1>"}}},
        {"on": {"provider": "grupo"}, "do": {"status": {"code": 400, "body": "<b onclick=alert(1)>no</b>\u{202e}"}}},
        {"on": {"provider": "whatspie"}, "do": "bad_token"},
    ]});
    serde_json::from_value(faults).expect("faults")
}

async fn fleet(on: On) -> Fleet {
    let fast = "rate = \"500/s\"\nburst = 50";
    let parked = format!("{fast}\non_unknown = \"park\"");
    Fleet::on(on)
        .account("pingup.shop", fast)
        .account("groupme.ops", fast)
        .account("raven.crm", &parked)
        .account("grupo.forum", fast)
        .account("whatspie.desk", "")
        .faults(faults())
        .start()
        .await
}

fn dying() -> Vec<Value> {
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
async fn console(fleet: &Fleet) -> (Process, String) {
    let console = fleet
        .command("tidings-dlq", &["serve", "--listen", "127.0.0.1:0"])
        .env("USER", "ann")
        .start();
    let line = console.line("the console is at ").await;
    let at = line.rsplit(' ').next().expect("a URL").to_owned();
    (console, at)
}

async fn letters_are_found_replayed_discarded_and_restored_in_a_browser(on: On) {
    let fleet = fleet(on).await;
    let _worker = fleet.worker().await;
    let ids = fleet.send(&dying()).await;
    // This one's account does not work: the lane pauses, and no letter comes of it.
    fleet.send(&messages("whatspie.desk", "note", 1)).await;
    fleet.reckon(&ids).await;
    let (_console, at) = console(&fleet).await;
    let browser = Browser::start(false).await;
    browser.resize(1180, 820).await;

    // What is wrong, at a glance.
    browser.open(&at).await;
    let overview = browser.says("51 letters are open").await;
    for words in [
        "400 The service conversation … is not open",
        "404 Group … not found",
        "3 of them may have been delivered",
    ] {
        assert!(overview.contains(words), "{words} in {overview}");
    }
    eventually("the lane that does not work is there", async || {
        browser.page.refresh().await.expect("the page");
        let text = browser.text().await;
        match text.contains("paused") {
            true => Ok(()),
            false => Err(text),
        }
    })
    .await;
    picture(on, &browser, "overview").await;

    // List, filter, and a filter that can be pasted.
    browser.click("40").await;
    browser.says("40 letters").await;
    assert!(
        browser
            .page
            .current_url()
            .await
            .expect("a URL")
            .query()
            .expect("a filter")
            .contains("pingup.shop")
    );
    browser.fill("text", "order-17").await;
    browser.click("Filter").await;
    browser.says("1 letter").await;
    browser.click("pingup.shop-order-17").await;
    let letter = browser
        .says("The service conversation 4711 is not open")
        .await;
    assert!(
        letter.contains("What usually helps") && letter.contains("HTTP 400"),
        "{letter}"
    );
    picture(on, &browser, "letter").await;

    // What is hostile is text.
    browser.open(&format!("{at}letter?id=hostile")).await;
    let text = browser.says("<script>document.title=").await;
    assert!(
        text.contains("\\u202edesrever\\u2066xxx") && text.contains("<b>key</b>"),
        "{text}"
    );
    assert!(text.contains(&"x".repeat(10_000)));
    assert!(
        browser
            .page
            .title()
            .await
            .expect("a title")
            .starts_with("hostile")
    );
    let wide = "return document.documentElement.scrollWidth <= innerWidth";
    assert_eq!(
        browser
            .page
            .execute(wide, Vec::new())
            .await
            .expect("a width"),
        true
    );

    // Discard, and restore.
    browser.click("Discard").await;
    browser.says("Discard 1 letter?").await;
    browser.fill("why", "spam").await;
    browser.click("Discard 1 letter").await;
    assert_eq!(over(&browser).await, "done");
    assert!(!open(&fleet).await.contains(&"hostile".to_owned()));
    browser.open(&format!("{at}letters?state=discarded")).await;
    browser.click("hostile").await;
    let discarded = browser.says("Discarded by").await;
    assert!(
        discarded.contains("ann@") && discarded.contains("spam"),
        "{discarded}"
    );
    browser.click("Restore").await;
    browser.click("Restore 1 letter").await;
    assert_eq!(over(&browser).await, "done");
    assert!(open(&fleet).await.contains(&"hostile".to_owned()));

    // Replay with a canary, and watch it finish.
    fleet.sandbox.heal().await;
    browser
        .open(&format!("{at}letters?account=pingup.shop"))
        .await;
    browser.click("Replay all 40").await;
    browser.says("Replay 40 letters?").await;
    browser.fill("canary", "5").await;
    browser.fill("rate", "100/s").await;
    picture(on, &browser, "plan").await;
    browser.click("Replay 40 letters").await;
    assert_eq!(over(&browser).await, "done");
    picture(on, &browser, "replay").await;
    let orders: Vec<String> = (0..40)
        .map(|number| format!("pingup.shop-order-{number}"))
        .collect();
    eventually("every order was recorded once", async || {
        let times = fleet.sandbox.book().await.times();
        let once = orders
            .iter()
            .filter(|id| times.get(*id) == Some(&1))
            .count();
        if once == 40 { Ok(()) } else { Err(times) }
    })
    .await;
    assert_eq!(open(&fleet).await.len(), 11);

    // Who did what.
    browser.click("Audit").await;
    let audit = browser.says("account pingup.shop").await;
    for words in ["replay", "discard", "restore", "spam", "ann@", "40 done"] {
        assert!(audit.contains(words), "{words} in {audit}");
    }
    picture(on, &browser, "audit").await;

    // The same in a pocket, and by night.
    browser.resize(500, 900).await;
    browser.open(&at).await;
    browser.says("11 letters are open").await;
    assert_eq!(
        browser
            .page
            .execute(wide, Vec::new())
            .await
            .expect("a width"),
        true
    );
    picture(on, &browser, "phone").await;
    browser.close().await;
    if asked_for_pictures(on) {
        let night = Browser::start(true).await;
        night.resize(1180, 820).await;
        night.open(&at).await;
        night.says("11 letters are open").await;
        picture(on, &night, "dark").await;
        night.close().await;
    }
}

async fn what_is_exported_is_sent_as_new_messages(on: On) {
    let fleet = fleet(on).await;
    let _worker = fleet.worker().await;
    let ids = fleet.send(&dying()).await;
    fleet.reckon(&ids).await;
    let export = ["export", "--account", "pingup.shop", "grupo.forum"];
    let exported = fleet.command("tidings-dlq", &export).run("").await;
    assert!(exported.status.success(), "{exported:?}");
    let checked = fleet
        .command("tidings", &["send", "--dry-run"])
        .run(&exported.stdout)
        .await;
    assert!(checked.status.success(), "{checked:?}");
    fleet.sandbox.heal().await;
    let sent = fleet
        .command("tidings", &["send"])
        .run(&exported.stdout)
        .await;
    assert!(sent.status.success(), "{sent:?}");
    eventually(
        "each is recorded once, as a message of its own",
        async || {
            let times = fleet.sandbox.book().await.times();
            match times.len() == 41 && times.values().all(|count| *count == 1) {
                true => Ok(()),
                false => Err(times),
            }
        },
    )
    .await;
    assert_eq!(open(&fleet).await.len(), 51, "exporting changes nothing");
}

async fn only_who_may_looks_in_and_only_the_consoles_own_pages_act(on: On) {
    let fleet = Fleet::on(on).account("groupme.ops", "").start().await;
    let (_console, at) = console(&fleet).await;
    let http = http();
    let page = http.get(&at).send().await.expect("a page");
    let cookie = page.headers()["set-cookie"]
        .to_str()
        .expect("a cookie")
        .to_owned();
    assert!(
        cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"),
        "{cookie}"
    );
    let cookie = cookie.split(';').next().expect("a cookie").to_owned();
    let policy = page.headers()["content-security-policy"]
        .to_str()
        .expect("a policy");
    assert!(
        policy.contains("default-src 'none'") && !policy.contains("unsafe"),
        "{policy}"
    );
    let html = page.text().await.expect("a page");
    let password = fleet
        .url()
        .parse::<url::Url>()
        .ok()
        .and_then(|url| url.password().map(str::to_owned));
    assert!(password.is_none_or(|password| !html.contains(&format!(":{password}@"))));

    // Another site's name that leads here is turned away.
    let rebound = http.get(&at).header("host", "evil.example:80").send();
    assert_eq!(rebound.await.expect("an answer").status(), 421);

    // Whatever is missing or wrong, nothing is done.
    let plan = http
        .get(format!("{at}plan?verb=discard&state=all"))
        .header("cookie", &cookie)
        .send();
    assert_eq!(plan.await.expect("a plan").status(), 200);
    let (origin, form) = (
        at.trim_end_matches('/'),
        "verb=renew&request=%7B%7D&token=guessed",
    );
    for (sent_origin, sent_cookie) in [
        (None, Some(cookie.as_str())),
        (Some("http://evil.example"), Some(cookie.as_str())),
        (Some("null"), Some(cookie.as_str())),
        (Some(origin), None),
        (Some(origin), Some(cookie.as_str())),
    ] {
        let mut post = http
            .post(format!("{at}operations"))
            .header("content-type", "application/x-www-form-urlencoded")
            .body(form);
        if let Some(origin) = sent_origin {
            post = post.header("origin", origin);
        }
        if let Some(cookie) = sent_cookie {
            post = post.header("cookie", cookie);
        }
        let status = post.send().await.expect("an answer").status();
        assert_eq!(status, 403, "{sent_origin:?} {sent_cookie:?}");
    }

    // Where others can reach it, they say who they are.
    let public = fleet
        .command("tidings-dlq", &["serve", "--listen", "0.0.0.0:0"])
        .run("")
        .await;
    assert_eq!(public.status.code(), Some(2));
    assert!(
        String::from_utf8_lossy(&public.stderr).contains("--auth"),
        "{public:?}"
    );
    let file = fleet.folder().join("console.auth");
    std::fs::write(&file, "ann:correct horse\n").expect("a file");
    let file = file.to_str().expect("a path");
    let public = fleet
        .command(
            "tidings-dlq",
            &["serve", "--listen", "0.0.0.0:0", "--auth", file],
        )
        .start();
    let line = public.line("the console is at ").await;
    let port = line
        .trim_end_matches('/')
        .rsplit(':')
        .next()
        .expect("a port");
    let at = format!("http://127.0.0.1:{port}/");
    for (user, password, expected) in [
        ("ann", "correct horse", 200),
        ("ann", "wrong", 401),
        ("bob", "correct horse", 401),
    ] {
        let answer = http.get(&at).basic_auth(user, Some(password)).send().await;
        assert_eq!(answer.expect("an answer").status(), expected, "{user}");
    }
    assert_eq!(
        http.get(format!("{at}script.js"))
            .send()
            .await
            .expect("an answer")
            .status(),
        401
    );
    assert!(!public.log().contains("horse"));
}

/// Waits until the operation on the page is over, and returns how it ended.
async fn over(browser: &Browser) -> String {
    let over = browser.find("#progress [data-over]").await;
    over.text().await.expect("words")
}

async fn open(fleet: &Fleet) -> Vec<String> {
    let letters = fleet.letters().await.into_iter();
    letters
        .filter_map(|letter| Some(letter.message.id()?.to_string()))
        .collect()
}

fn asked_for_pictures(on: On) -> bool {
    on == On::Embedded && std::env::var_os("UPDATE_SCREENSHOTS").is_some()
}

/// The README's pictures, where they are asked for.
async fn picture(on: On, browser: &Browser, name: &str) {
    if asked_for_pictures(on) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/console");
        std::fs::create_dir_all(&folder).expect("a folder");
        std::fs::write(folder.join(format!("{name}.png")), browser.picture().await)
            .expect("a picture");
    }
}
