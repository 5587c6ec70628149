//! People at their terminals who act on the same letters.

#![allow(clippy::unwrap_used, reason = "a test may: it fails where it should")]

use tidings_tests::{
    Process,
    fleet::{Fleet, On},
    on_each_broker, on_rabbitmq_4_3,
};

on_each_broker! {
    of_two_who_agreed_at_once_one_sends_each_letter_and_the_other_is_told,
}

on_rabbitmq_4_3! {
    of_two_who_agreed_at_once_one_sends_each_letter_and_the_other_is_told,
}

const QUICK: &str = "rate = \"unlimited\"\ndestination_rate = \"unlimited\"";

/// Two at their terminals are asked about the same letters, before either has answered. A third one says no.
async fn of_two_who_agreed_at_once_one_sends_each_letter_and_the_other_is_told(on: On) {
    const COUNT: usize = 300;
    let fleet = Fleet::on(on).account("raven.ops", QUICK).start().await;
    let worker = fleet.worker().await;
    fleet.bury("raven.ops", COUNT).await;
    let mut asked = Vec::new();
    for user in ["eve", "ann", "bob"] {
        let replay = fleet.command("tidings-dlq", &["replay", "--rate", "100/s"]);
        let replay = replay.env("USER", user).at_a_terminal().start();
        replay.line(&format!("to replay: {COUNT} letters")).await;
        replay.line(&format!("accounts: raven.ops {COUNT}")).await;
        replay.line("replay them? [y/N]").await;
        asked.push(replay);
    }
    let eve = asked.remove(0);
    eve.answer("n");
    assert_eq!(eve.exit().await.code(), Some(1), "{}", eve.log());
    for replay in &asked {
        replay.answer("y");
    }
    let mut sent = 0;
    let mut lost = 0;
    for (replay, other) in asked.iter().zip(asked.iter().rev()) {
        assert!(replay.exit().await.success(), "{}", replay.log());
        let tally = replay.line("done: ").await;
        sent += number_behind(&tally, "done: ");
        if number_behind(&tally, "left alone: ") > 0 {
            let told = replay.line("of the letters were claimed first by").await;
            let (before, _) = told.split_once(" of the letters").unwrap();
            let (_, count) = before.rsplit_once("\u{1b}[K").unwrap();
            lost += count.parse::<usize>().unwrap();
            let operation = other.line("operation ").await;
            let (_, operation) = operation.split_once("operation ").unwrap();
            assert!(told.contains(operation.trim()), "{told} and {operation}");
        }
    }
    assert_eq!(
        (sent, lost),
        (COUNT, COUNT),
        "each has one who won and one who lost"
    );
    let mut logs = asked.iter().map(Process::log);
    let progress = |log: String| {
        log.contains("going on: ") && log.contains(&format!(" of {COUNT}, 0 failed, "))
    };
    assert!(logs.any(progress), "who sends is told how it comes on");
    assert_eq!(fleet.delivered_of(1, COUNT).await, COUNT);
    let times = fleet.sandbox.book().await.times();
    assert!(times.len() == COUNT && times.values().all(|times| *times == 1));
    assert!(worker.terminate().await.success());
}

fn number_behind(line: &str, words: &str) -> usize {
    let (_, rest) = line
        .split_once(words)
        .unwrap_or_else(|| panic!("{words} in {line}"));
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().unwrap()
}
