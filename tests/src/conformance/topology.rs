//! What must be there on a broker, and what is said where it is not.

use tidings_broker::{Broker, BrokerError, LaneName, Topology};

use super::{
    fixture::{ALERTS, Fixture, OPS, account, apply, topology},
    in_time,
    owner::Owner,
    sending::{Differently, message, queue},
};

pub(super) async fn differences(broker: &dyn Broker, topology: &Topology) -> Vec<String> {
    let differences = in_time("a look at everything", broker.verify(topology)).await;
    let differences = differences.unwrap_or_else(|error| panic!("{error}"));
    differences.iter().map(ToString::to_string).collect()
}

pub async fn what_was_applied_verifies<F: Fixture>(fixture: &F) {
    let operator = fixture.connect("operator").await;
    let differences = differences(&*operator, &topology(&[OPS, ALERTS])).await;
    assert!(differences.is_empty(), "{differences:#?}");
}

pub async fn applying_again_changes_nothing<F: Fixture>(fixture: &F) {
    let operator = fixture.connect("operator").await;
    queue(&*operator, [message(0)]).await;
    for _ in 0..2 {
        apply(&*operator, &[OPS, ALERTS]).await;
    }
    let mut owner = Owner::of_ops(&*operator, 1).await;
    assert_eq!(owner.finish(1).await, [0]);
}

pub async fn a_missing_lane_is_named<F: Fixture>(fixture: &F) {
    const MISSING: &str = "pingup.missing";
    let operator = fixture.connect("operator").await;
    let differences = differences(&*operator, &topology(&[OPS, ALERTS, MISSING])).await;
    assert!(
        !differences.is_empty()
            && differences
                .iter()
                .all(|difference| difference.contains("missing")),
        "{differences:#?}"
    );
    let place = Owner::try_of(&*operator, LaneName::Account(account(MISSING)), 1).await;
    let error = place.err().expect("no lane, no place");
    assert!(matches!(error, BrokerError::Missing { .. }), "{error:?}");
    let error = in_time("an answer", operator.depth(&account(MISSING)))
        .await
        .expect_err("no lane, no depth");
    assert!(matches!(error, BrokerError::Missing { .. }), "{error:?}");
    // What is missing is no reason to lose the connection.
    queue(&*operator, [message(0)]).await;
}

pub async fn a_lane_can_be_added_later<F: Fixture>(fixture: &F) {
    const LATER: &str = "pingup.later";
    let worker = fixture.connect("worker").await;
    let operator = fixture.connect("operator").await;
    apply(&*operator, &[OPS, ALERTS, LATER]).await;
    queue(&*worker, [message(0).to(LATER)]).await;
    let mut owner = Owner::of(&*worker, LaneName::Account(account(LATER)), 1).await;
    assert_eq!(owner.finish(1).await, [0]);
}
