use std::time::Duration;

use tidings_sandbox::{Faults, Limit, Per, Provider, Rate};

use crate::client::get;
use crate::groupme::{message, sandbox};

const HOUR: Duration = Duration::from_secs(3600);

#[tokio::test]
async fn a_call_beyond_the_limit_is_refused_and_counted() {
    let sandbox = sandbox().await;
    sandbox.set_faults(
        Faults::none().limit(Limit::of(Rate::new(1, HOUR)).burst(2).on(Provider::GroupMe)),
    );
    let mut statuses = Vec::new();
    for guid in ["a", "b", "c", "d"] {
        statuses.push(message(&sandbox, "42", guid).answer().await.status);
    }
    assert_eq!(statuses, [201, 201, 429, 429]);
    let summary = sandbox.summary();
    assert_eq!(
        (
            summary.tally.violations,
            summary.tally.refused,
            summary.tally.received
        ),
        (2, 2, 2)
    );
    assert_eq!(summary.refused_by_status[&429], 2);
    assert_eq!(sandbox.refused()[0].why, "faster than the limit");
}

#[tokio::test]
async fn a_limit_says_how_long_to_wait_unless_told_not_to() {
    let sandbox = sandbox().await;
    let limit = Limit::of(Rate::new(1, HOUR)).code(420);
    for (limit, named) in [(limit.clone(), true), (limit.without_retry_after(), false)] {
        sandbox.forget();
        sandbox.set_faults(Faults::none().limit(limit));
        message(&sandbox, "42", "a").answer().await;
        let refused = message(&sandbox, "42", "b").answer().await;
        assert_eq!(
            (refused.status, refused.header("retry-after").is_some()),
            (420, named)
        );
    }
}

#[tokio::test]
async fn a_limit_that_only_counts_lets_pass() {
    let sandbox = sandbox().await;
    sandbox.set_faults(Faults::none().limit(Limit::of(Rate::new(1, HOUR)).only_counted()));
    for guid in ["a", "b", "c"] {
        assert_eq!(message(&sandbox, "42", guid).answer().await.status, 201);
    }
    assert_eq!(sandbox.summary().tally.violations, 2);
}

#[tokio::test]
async fn a_limit_per_destination_and_one_per_account_hold_together() {
    let sandbox = sandbox().await;
    let per_group = Limit::of(Rate::new(1, HOUR)).per(Per::Destination);
    let in_all = Limit::of(Rate::new(1, HOUR)).burst(3);
    sandbox.set_faults(Faults::none().limit(per_group).limit(in_all));
    let mut statuses = Vec::new();
    for (group, guid) in [("1", "a"), ("1", "b"), ("2", "a"), ("3", "a")] {
        statuses.push(message(&sandbox, group, guid).answer().await.status);
    }
    // The refused one has spent of the account's as well.
    assert_eq!(statuses, [201, 429, 201, 429]);
}

#[tokio::test]
async fn the_summary_tells_the_most_calls_in_any_window() {
    let sandbox = sandbox().await;
    for n in 0..6 {
        message(&sandbox, if n < 4 { "42" } else { "43" }, &n.to_string())
            .answer()
            .await;
    }
    get(&sandbox, "/groupme/users/me")
        .header("X-Access-Token", "somebody else")
        .answer()
        .await;
    let summary = sandbox.summary();
    let account = summary.account(Provider::GroupMe, "ops-token").unwrap();
    assert_eq!(
        (account.most.in_60s, account.most_to_one_destination.in_60s),
        (6, 4)
    );
    assert_eq!(account.tally.calls, 6);
    assert_eq!(summary.provider(Provider::GroupMe).calls, 7);
}
