//! Who may look in, and what may act.

use jiff::Timestamp;
use reqwest::{RequestBuilder, Response};
use tidings_broker::DeadRecord;
use tidings_model::{LetterHead, Reason};
use tidings_tests::{
    eventually,
    fleet::{Fleet, On, http},
    on_each_broker,
};

use crate::scene::console;

on_each_broker! {
    only_who_may_looks_in_and_only_the_consoles_own_pages_act,
    where_others_can_reach_it_they_say_who_they_are,
}

async fn only_who_may_looks_in_and_only_the_consoles_own_pages_act(on: On) {
    let fleet = Fleet::on(on).account("groupme.ops", "").start().await;
    let (_console, at) = console(&fleet).await;
    let http = http();
    let page = http.get(&at).send().await.expect("a page");
    let cookie = cookie_of(&page);
    let policy = page.headers()["content-security-policy"]
        .to_str()
        .expect("a policy");
    assert!(
        policy.contains("default-src 'none'") && !policy.contains("unsafe"),
        "{policy}"
    );

    // Another site's name that leads here is turned away.
    let rebound = http.get(&at).header("host", "evil.example:80").send();
    assert_eq!(rebound.await.expect("an answer").status(), 421);

    // Whatever is missing or wrong, nothing is done.
    bury_one(&fleet).await;
    let plan = http
        .get(format!("{at}plan?verb=discard&state=all"))
        .header("cookie", &cookie);
    let token = token_of(plan).await;
    let origin = at.trim_end_matches('/');
    let (evil, null) = ("http://evil.example", "null");
    let post = async |page: &str, origin: Option<&str>, has_cookie: bool, form: &str| {
        let mut post = http
            .post(format!("{at}{page}"))
            .header("content-type", "application/x-www-form-urlencoded")
            .body(form.to_owned());
        if let Some(origin) = origin {
            post = post.header("origin", origin);
        }
        if has_cookie {
            post = post.header("cookie", &cookie);
        }
        post.send().await.expect("an answer").status().as_u16()
    };
    let operation = "operations/01938c2e-7b2a-7000-8000-000000000002";
    let (stop, resume) = (format!("{operation}/stop"), format!("{operation}/resume"));
    let form = |verb: &str, token: &str| format!("verb={verb}&request=%7B%7D&token={token}");
    for page in ["operations", &stop, &resume] {
        for (origin, has_cookie, token) in [
            (None, true, &*token),
            (Some(evil), true, &token),
            (Some(null), true, &token),
            (Some(origin), false, &token),
            (Some(origin), true, "guessed"),
        ] {
            let status = post(page, origin, has_cookie, &form("renew", token)).await;
            assert_eq!(status, 403, "{page} {origin:?} {has_cookie} {token}");
        }
    }
    let own = async |verb: &str| post("operations", Some(origin), true, &form(verb, &token)).await;
    assert_eq!(own("discard").await, 400, "it must say why");
    let began = Timestamp::now();
    assert_eq!(own("renew").await, 303);
    let done = eventually("the audit tells of what was done", async || {
        match &fleet.dlq_does(&["audit", "--json"]).await[..] {
            [one] if one["done"] == 1 => Ok(one.clone()),
            other => Err(other.to_vec()),
        }
    });
    let done = done.await;
    assert_eq!(done["verb"], "renew", "and nothing else was");
    let at: Timestamp = done["at"]
        .as_str()
        .expect("a time")
        .parse()
        .expect("a time");
    assert!((began..=Timestamp::now()).contains(&at), "{done}");
    let table = fleet.dlq(&["audit"]).await;
    let table = String::from_utf8_lossy(&table.stdout).into_owned();
    for words in ["renew", "1 done"] {
        assert!(table.contains(words), "{words} in {table}");
    }
}

async fn where_others_can_reach_it_they_say_who_they_are(on: On) {
    let fleet = Fleet::on(on).account("groupme.ops", "").start().await;
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
        .env("USER", "root")
        .start();
    let line = public.line("the console is at ").await;
    let port = line
        .trim_end_matches('/')
        .rsplit(':')
        .next()
        .expect("a port");
    let at = format!("http://127.0.0.1:{port}/");
    let http = http();
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

    // Who acts is who said so, and not who started the console.
    bury_one(&fleet).await;
    let knows = |request: RequestBuilder| request.basic_auth("ann", Some("correct horse"));
    let page = knows(http.get(&at)).send().await.expect("a page");
    let cookie = cookie_of(&page);
    let plan = http.get(format!("{at}plan?verb=discard&state=all"));
    let token = token_of(knows(plan).header("cookie", &cookie)).await;
    let post = http.post(format!("{at}operations"));
    let begun = knows(post)
        .header("content-type", "application/x-www-form-urlencoded")
        .header("origin", at.trim_end_matches('/'))
        .header("cookie", &cookie)
        .body(format!(
            "verb=discard&why=spam&request=%7B%7D&token={token}"
        ))
        .send()
        .await;
    assert_eq!(begun.expect("an answer").status(), 303);
    let by = eventually("the audit tells of it", async || {
        match &fleet.dlq_does(&["audit", "--json"]).await[..] {
            [one] => Ok(one["by"].clone()),
            other => Err(other.to_vec()),
        }
    });
    let by = by.await;
    assert_eq!(by, "ann (console)");
    assert!(!public.log().contains("horse"));
}

/// A letter of something that is no message.
async fn bury_one(fleet: &Fleet) {
    let letter = DeadRecord::Letter {
        head: LetterHead {
            id: None,
            account: "groupme.ops".parse().ok(),
            reason: Reason::Undecodable,
            attempts: Vec::new(),
            dead_at: Timestamp::now(),
            generation: 0,
            maybe_delivered: false,
            stood_at: None,
        },
        body: "not a message".into(),
    };
    fleet.broker.record(vec![letter]).await.expect("a letter");
}

fn cookie_of(page: &Response) -> String {
    let cookie = page.headers()["set-cookie"].to_str().expect("a cookie");
    assert!(
        cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"),
        "{cookie}"
    );
    cookie.split(';').next().expect("a cookie").to_owned()
}

/// What a form of that page says it is the console's own by.
async fn token_of(page: RequestBuilder) -> String {
    let page = page.send().await.expect("a page");
    let page = page.text().await.expect("words");
    let (_, token) = page.split_once("name=\"token\"").expect("a token");
    let (_, token) = token.split_once("value=\"").expect("a token");
    let (token, _) = token.split_once('"').expect("a token");
    token.to_owned()
}
