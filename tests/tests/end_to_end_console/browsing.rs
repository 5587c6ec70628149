//! One engineer's night: from the overview to the audit.

use serde_json::Value;
use tidings_tests::{
    browser::Browser,
    eventually,
    fleet::{Fleet, On, messages},
    on_each_broker, on_rabbitmq_4_3,
};

use crate::scene::{console, dying, fleet, open, over, picture, raw, secrets};

on_each_broker! {
    letters_are_found_replayed_discarded_and_restored_in_a_browser,
}

on_rabbitmq_4_3! {
    letters_are_found_replayed_discarded_and_restored_in_a_browser,
}

async fn letters_are_found_replayed_discarded_and_restored_in_a_browser(on: On) {
    let fleet = fleet(on).await;
    let _worker = fleet.worker().await;
    let ids = fleet.send(&dying()).await;
    // This one's account does not work: the lane pauses, and no letter comes of it.
    fleet.send(&messages("whatspie.desk", "note", 20)).await;
    fleet.reckon(&ids).await;
    let (_console, at) = console(&fleet).await;
    let browser = Browser::start().await;
    browser.resize(1180, 1010).await;

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
    let row = "const row = [...document.querySelectorAll('tr')].find(row => row.innerText.includes('whatspie.desk')); \
               return ['.badge', '[data-name=waiting]', '[data-name=rate]'].map(cell => row?.querySelector(cell)?.innerText ?? '')";
    eventually("the lane that does not work is there", async || {
        browser.page.refresh().await.expect("the page");
        let [state, waiting, rate]: [Value; 3] = browser.run(row).await;
        let waits = waiting
            .as_str()
            .and_then(|waiting| waiting.parse::<u64>().ok());
        let paused = state
            .as_str()
            .is_some_and(|state| state.starts_with("paused"));
        match paused && waits > Some(0) && rate == "7/s" {
            true => Ok(()),
            false => Err((state, waiting, rate)),
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
    browser.is_readable().await;

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
    let operation = browser.page.current_url().await.expect("a URL");

    // Who did what.
    browser.click("Audit").await;
    let audit = browser.says("account pingup.shop").await;
    for words in ["replay", "discard", "restore", "spam", "ann@", "40 done"] {
        assert!(audit.contains(words), "{words} in {audit}");
    }
    picture(on, &browser, "audit").await;
    no_page_has_a_secret(&fleet, &at, operation.path()).await;

    // The same by night, and in a pocket.
    browser.prefers("dark").await;
    let pages = [
        ("", "11 letters are open"),
        ("letters?state=all", "51 letters"),
        ("letter?id=hostile", "What usually helps"),
        ("plan?verb=replay", "Nothing has been done yet"),
        ("audit", "What was done"),
    ];
    for (page, words) in pages {
        browser.open(&format!("{at}{page}")).await;
        browser.says(words).await;
        browser.is_readable().await;
    }
    browser.open(&at).await;
    picture(on, &browser, "dark").await;
    browser.prefers("light").await;
    browser.in_a_pocket(375, 812).await;
    for (page, words) in pages {
        browser.open(&format!("{at}{page}")).await;
        browser.says(words).await;
        browser.is_readable().await;
    }
    browser.open(&at).await;
    picture(on, &browser, "phone").await;
    browser.close().await;
}

async fn no_page_has_a_secret(fleet: &Fleet, at: &str, operation: &str) {
    let secrets = secrets(fleet);
    let progress = format!("{operation}/progress");
    for page in [
        "/",
        "/letters?state=all",
        "/letter?id=hostile",
        "/plan?verb=replay",
        operation,
        &progress,
        "/audit",
    ] {
        let html = raw(&format!("{}{page}", at.trim_end_matches('/'))).await;
        for secret in &secrets {
            assert!(!html.contains(secret), "{secret} is on {page}: {html}");
        }
    }
    // The provider's words are there, without it.
    let letter = raw(&format!("{at}letter?id=hostile")).await;
    assert!(letter.contains("no \\u202e ***"), "{letter}");
}
