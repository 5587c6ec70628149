//! Who may look in, and what may act.

use tidings_tests::{
    fleet::{Fleet, On, Role, http},
    on_each_broker,
};

use crate::scene::console;

on_each_broker! {
    only_who_may_looks_in_and_only_the_consoles_own_pages_act,
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
        .url(Role::Inspector)
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
