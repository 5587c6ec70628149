use tidings_model::Verdict::{
    AccountProblem, Delivered, Duplicate, RateLimited, Rejected, Unknown,
};

use super::*;
use crate::reply::{End, assert_verdicts};

#[test]
fn a_message_with_an_id_is_delivered_in_either_envelope() {
    for body in [
        r#"{"message":{"id":"42","source_guid":"g"}}"#,
        r#"{"meta":{"code":201},"response":{"message":{"id":"42"}}}"#,
        r#"{"meta":{"code":201},"response":{"message":{"id":42}}}"#,
        r#"{"response":null,"message":{"id":"42"}}"#,
    ] {
        let answer = answer(&Reply::new(201, body));
        assert_eq!(answer.verdict, Delivered, "{body}");
        assert_eq!(answer.provider_message_id.as_deref(), Some("42"));
        assert_eq!((answer.error, answer.pauses_lane), (None, false));
    }
}

#[test]
fn nothing_is_delivered_without_201_and_an_id() {
    assert_verdicts(
        answer,
        &[
            (200, r#"{"message":{"id":"42"}}"#, Unknown),
            (202, r#"{"message":{"id":"42"}}"#, Unknown),
            (201, "", Unknown),
            (201, "{}", Unknown),
            (201, r#"{"message":["42"]}"#, Unknown),
            (201, r#"{"message":{"id":""}}"#, Unknown),
            (201, r#"{"message":{"id":null}}"#, Unknown),
            (201, r#"{"message":"created"}"#, Unknown),
            (201, r#"{"meta":{"code":201},"response":null}"#, Unknown),
            (201, "<html>hello</html>", Unknown),
            (201, r#"Warning: x {"message":{"id":"42"}}"#, Unknown),
        ],
    );
    let broken = Reply {
        end: End::BrokenOff,
        ..Reply::new(201, r#"{"message":{"id":"4"#)
    };
    let answer = answer(&broken);
    assert_eq!(answer.verdict, Unknown);
    assert!(answer.error.unwrap().contains("broke off"));
}

#[test]
fn every_status_of_the_page_and_of_the_wild_has_its_class() {
    let errors = r#"{"meta":{"code":400,"errors":["Invalid"]},"response":null}"#;
    assert_verdicts(
        answer,
        &[
            (409, "", Duplicate),
            (409, "<html>", Duplicate),
            (420, errors, RateLimited),
            (429, "", RateLimited),
            (
                401,
                r#"{"meta":{"code":401,"errors":["unauthorized"]},"response":null}"#,
                AccountProblem,
            ),
            (
                403,
                r#"{"meta":{"code":403,"errors":["You have been auto-banned"]}}"#,
                AccountProblem,
            ),
            (
                403,
                r#"{"meta":{"code":403,"errors":["Message limit exceeded"]}}"#,
                AccountProblem,
            ),
            (
                403,
                r#"{"meta":{"code":403,"errors":["Not a member of urban band"]}}"#,
                Rejected,
            ),
            (403, "", Rejected),
            (400, errors, Rejected),
            (
                400,
                r#"{"meta":{"code":400,"errors":{"text":["is too long"]}},"response":null}"#,
                Rejected,
            ),
            (400, r#"{"meta":{"code":400}}"#, Rejected),
            (404, "<html>", Rejected),
            (413, "", Rejected),
            (408, "", Unknown),
            (500, errors, Unknown),
            (502, "<html><h1>Bad Gateway</h1></html>", Unknown),
            (503, "", Unknown),
            (301, "", Unknown),
            (303, r#"{"message":{"id":"42"}}"#, Unknown),
            (304, "", Unknown),
            (999, "", Unknown),
        ],
    );
}

#[test]
fn errors_are_read_as_an_array_and_as_an_object() {
    let error = |body: &str| answer(&Reply::new(400, body)).error.unwrap();
    assert_eq!(error(r#"{"meta":{"errors":["a","b"]}}"#), "a; b");
    assert_eq!(error(r#"{"meta":{"errors":{"text":["a"]}}}"#), "text: a");
}

#[test]
fn a_401_is_an_account_problem_unless_the_token_is_known_to_work() {
    let unauthorized = || answer(&Reply::new(401, ""));
    let rejected = confirmed(unauthorized(), &Check::Works);
    assert_eq!(
        (rejected.verdict, rejected.pauses_lane, rejected.status),
        (Rejected, false, Some(401))
    );
    for token in [Check::Refused("no".into()), Check::CannotTell("500".into())] {
        let answer = confirmed(unauthorized(), &token);
        assert_eq!(
            (answer.verdict, answer.pauses_lane),
            (AccountProblem, true),
            "{token:?}"
        );
    }
}

#[test]
fn a_token_works_only_where_groupme_says_who_it_is() {
    assert_eq!(
        check(&Reply::new(200, r#"{"response":{"id":"1"}}"#)),
        Check::Works
    );
    for status in [401, 403] {
        assert!(matches!(check(&Reply::new(status, "")), Check::Refused(_)));
    }
    for status in [204, 302, 404, 420, 429, 500] {
        assert!(matches!(
            check(&Reply::new(status, "")),
            Check::CannotTell(_)
        ));
    }
}
