//! What needs care: a replay that is stopped and goes on, by the keyboard alone; and letters that are about to be forgotten.

use fantoccini::key::Key;
use serde_json::Value;
use tidings_tests::{
    browser::Browser,
    eventually,
    fleet::{Fleet, On, http},
    on_rabbitmq_4_3,
};

use crate::scene::{console, console_with, dying, fleet, open, over, picture};

on_rabbitmq_4_3! {
    a_replay_is_stopped_and_goes_on_by_keyboard_in_a_browser,
    a_plan_says_what_is_left_alone_and_a_canary_that_fails_stops_in_a_browser,
}

mod embedded {
    use tidings_tests::fleet::On;

    #[tokio::test(flavor = "multi_thread")]
    async fn a_replay_is_stopped_and_goes_on_by_keyboard_in_a_browser() {
        super::a_replay_is_stopped_and_goes_on_by_keyboard_in_a_browser(On::Embedded).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_plan_says_what_is_left_alone_and_a_canary_that_fails_stops_in_a_browser() {
        super::a_plan_says_what_is_left_alone_and_a_canary_that_fails_stops_in_a_browser(
            On::Embedded,
        )
        .await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn keys_lead_to_every_page_and_along_the_rows_in_a_browser() {
        super::keys_lead_to_every_page_and_along_the_rows_in_a_browser(On::Embedded).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn letters_that_are_about_to_be_forgotten_are_shown_as_such() {
        super::letters_that_are_about_to_be_forgotten_are_shown_as_such(On::Embedded).await;
    }
}

/// So many letters of one account; the provider works again.
async fn dead(on: On, count: usize) -> Fleet {
    let fleet = Fleet::on(on)
        .account("pingup.shop", r#"rate = "unlimited""#)
        .start()
        .await;
    let worker = fleet.worker().await;
    fleet.bury("pingup.shop", count).await;
    assert!(worker.terminate().await.success());
    fleet
}

async fn a_replay_is_stopped_and_goes_on_by_keyboard_in_a_browser(on: On) {
    // More than a page of the list shows.
    const COUNT: usize = 60;
    let fleet = dead(on, COUNT).await;
    let worker = fleet.worker().await;
    let (_console, at) = console(&fleet).await;
    let browser = Browser::start().await;
    let go = async |words: &str| {
        browser.tab_to(words).await;
        browser.press(Key::Enter).await;
    };

    // The first thing that Tab reaches leads past the navigation.
    browser.resize(1180, 820).await;
    browser.open(&at).await;
    browser.says("60 letters are open").await;
    go("Skip to the content").await;
    go("60").await;
    browser.says("Replay all 60").await;
    go("Replay all 60").await;
    browser.says("Replay 60 letters?").await;
    browser.tab_to("rate").await;
    browser.write("4/s").await;
    go("Replay 60 letters").await;

    for _ in 0..2 {
        let so_far = COUNT - open(&fleet).await.len();
        let under_way = "return [document.querySelector('#progress progress')?.value ?? 0]";
        eventually("it is seen to come on", async || {
            let [through] = browser.run(under_way).await;
            match through.as_u64() > u64::try_from(so_far).ok() {
                true => Ok(()),
                false => Err(through),
            }
        })
        .await;
        picture(on, &browser, "replay").await;
        go("Stop").await;
        assert!(over(&browser).await.contains("stopped"));
        let left = open(&fleet).await.len();
        assert!((1..COUNT - so_far).contains(&left), "{left} are left");
        let url = browser.page.current_url().await.expect("a URL");
        let operation = url.path().rsplit('/').next().expect("an operation");
        if so_far == 0 {
            go("Go on").await;
            continue;
        }
        let resume = ["replay", "--resume", operation];
        let resumed = fleet.command("tidings-dlq", &resume).env("USER", "ann");
        let resumed = resumed.run("").await;
        assert!(resumed.status.success(), "{resumed:?}");
    }
    eventually("the page knows of it", async || {
        browser.page.refresh().await.expect("the page");
        match over(&browser).await {
            words if words == "done" => Ok(()),
            words => Err(words),
        }
    })
    .await;
    assert_eq!(fleet.delivered_of(1, COUNT).await, COUNT);
    let times = fleet.sandbox.book().await.times();
    assert!(times.len() == COUNT && times.values().all(|times| *times == 1));
    browser.close().await;
    assert!(worker.terminate().await.success());
}

async fn a_plan_says_what_is_left_alone_and_a_canary_that_fails_stops_in_a_browser(on: On) {
    let fleet = fleet(on).await;
    let worker = fleet.worker().await;
    let ids = fleet.send(&dying()).await;
    fleet.reckon(&ids).await;
    let (_console, at) = console(&fleet).await;
    let browser = Browser::start().await;
    browser.resize(1180, 820).await;
    browser.open(&format!("{at}plan?verb=replay")).await;
    let plan = browser.says("Replay 48 letters?").await;
    for words in [
        "pingup.shop · 40",
        "groupme.ops · 7",
        "grupo.forum · 1",
        "rejected · 48",
        "Left alone",
        "may have been delivered already",
    ] {
        assert!(plan.contains(words), "{words} in {plan}");
    }

    // The provider has not changed its mind.
    browser
        .open(&format!("{at}letters?account=pingup.shop"))
        .await;
    browser.click("Replay all 40").await;
    browser.says("Replay 40 letters?").await;
    browser.fill("canary", "5").await;
    browser.click("Replay 40 letters").await;
    let end = over(&browser).await;
    assert!(
        end.contains("stopped") && end.contains("of the canary 5 failed"),
        "{end}"
    );
    let mut shop = open(&fleet).await;
    shop.retain(|id| id.starts_with("pingup.shop"));
    assert_eq!(shop.len(), 40, "five of them died again");
    let again = fleet.ends_of(1);
    assert_eq!(again.len(), 5, "nothing but the canary was sent: {again:?}");

    // By night, and in a pocket.
    let operation = browser.page.current_url().await.expect("a URL");
    browser.prefers("dark").await;
    browser.open(operation.as_str()).await;
    browser.says("of the canary 5 failed").await;
    browser.is_readable().await;
    browser.prefers("light").await;
    browser.in_a_pocket(375, 812).await;
    browser.open(operation.as_str()).await;
    browser.says("of the canary 5 failed").await;
    browser.is_readable().await;
    browser.resize(1180, 820).await;

    // What may have been delivered is sent again by who says so.
    fleet.sandbox.heal().await;
    browser
        .open(&format!("{at}letters?account=raven.crm"))
        .await;
    browser.click("Replay all 3").await;
    let plan = browser.says("Include them").await;
    assert!(plan.contains("Replay 0 letters?"), "{plan}");
    browser.click("Include them").await;
    let plan = browser.says("Replay 3 letters?").await;
    assert!(plan.contains("some people may get a second copy"), "{plan}");
    browser.click("Replay 3 letters").await;
    assert_eq!(over(&browser).await, "done");
    eventually("each is recorded", async || {
        let times = fleet.sandbox.book().await.times();
        let greetings = times.iter().filter(|(id, _)| id.starts_with("raven.crm"));
        match greetings.count() {
            3 => Ok(()),
            _ => Err(times),
        }
    })
    .await;
    browser.close().await;
    assert!(worker.terminate().await.success());
}

async fn keys_lead_to_every_page_and_along_the_rows_in_a_browser(on: On) {
    let fleet = dead(on, 3).await;
    let (_console, at) = console(&fleet).await;
    let browser = Browser::start().await;
    browser.open(&at).await;
    browser.says("3 letters are open").await;
    browser.press('a').await;
    browser.says("What was done").await;
    browser.press('o').await;
    browser.says("3 letters are open").await;
    browser.press('l').await;
    browser.says("Replay all 3").await;

    // Down and up again, no further than the rows reach, and in.
    let rows = "return [...document.querySelectorAll('tbody a.row')].map(row => row.innerText)";
    let rows: [Value; 3] = browser.run(rows).await;
    let focused = "return [document.activeElement.innerText]";
    for (key, row) in [
        ('j', 0),
        ('j', 1),
        ('j', 2),
        ('j', 2),
        ('k', 1),
        ('k', 0),
        ('k', 0),
        ('j', 1),
    ] {
        browser.press(key).await;
        let [at] = browser.run(focused).await;
        assert_eq!(at, rows[row], "{key}");
    }
    browser.press(Key::Enter).await;
    let letter = browser.says("What usually helps").await;
    assert!(
        letter.contains(rows[1].as_str().expect("words")),
        "{letter}"
    );

    // In a field these are letters, until Escape.
    browser.press('l').await;
    browser.says("Replay all 3").await;
    browser.press('/').await;
    browser.write("loja").await;
    let written = "return [document.activeElement.name, document.activeElement.value]";
    let [name, value] = browser.run(written).await;
    assert_eq!((name, value), ("text".into(), "loja".into()));
    browser.press(Key::Escape).await;
    browser.press('o').await;
    browser.says("3 letters are open").await;
    browser.close().await;
}

async fn letters_that_are_about_to_be_forgotten_are_shown_as_such(on: On) {
    let fleet = dead(on, 2).await;
    for (age, expected) in [("180d", false), ("1s", true)] {
        let (_console, at) = console_with(&fleet, &["--max-age", age]).await;
        for (page, words) in [
            ("", "2 letters will be forgotten soon"),
            ("letters", "kept until"),
            ("letter?id=pingup.shop-m-0", "Keep it longer"),
            ("plan?verb=renew&near=yes", "Renew 2 letters?"),
        ] {
            let shown = eventually("the page says so, or never will", async || {
                let answer = http()
                    .get(format!("{at}{page}"))
                    .send()
                    .await
                    .expect("a page");
                let page = answer.text().await.expect("words");
                match page.contains(words) {
                    shown if shown || !expected => Ok(shown),
                    _ => Err(page),
                }
            });
            assert_eq!(shown.await, expected, "{page:?} of letters kept for {age}");
        }
    }
}
