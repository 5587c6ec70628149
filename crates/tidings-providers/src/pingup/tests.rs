use tidings_model::Verdict::{AccountProblem, Delivered, RateLimited, Rejected, Unknown};

use super::*;
use crate::reply::assert_verdicts;

#[test]
fn success_with_an_id_is_a_delivered_message() {
    for body in [
        r#"{"success":true,"data":{"message_id":"m-1"}}"#,
        r#"{"data":{"message_id":"m-1","x":1},"success":true}"#,
    ] {
        let answer = answer(&Reply::new(200, body));
        assert_eq!(answer.verdict, Delivered);
        assert_eq!(answer.provider_message_id.as_deref(), Some("m-1"));
    }
}

#[test]
fn nothing_is_delivered_without_success_and_an_id() {
    assert_verdicts(
        answer,
        &[
            (200, r#"{"success":true}"#, Unknown),
            (200, r#"{"success":true,"data":{}}"#, Unknown),
            (200, r#"{"success":true,"data":{"message_id":""}}"#, Unknown),
            (
                200,
                r#"{"success":"true","data":{"message_id":"m"}}"#,
                Unknown,
            ),
            (200, r#"{"data":{"message_id":"m"}}"#, Unknown),
            (200, "", Unknown),
            (200, "<html>", Unknown),
            (
                302,
                r#"{"success":true,"data":{"message_id":"m"}}"#,
                Unknown,
            ),
            (
                500,
                r#"{"success":true,"data":{"message_id":"m"}}"#,
                Unknown,
            ),
            (500, r#"{"success":false}"#, Unknown),
        ],
    );
}

#[test]
fn no_success_is_a_rejection_whatever_the_status_and_says_what_may_be_wrong() {
    for (status, body) in [
        (
            200,
            r#"{"success":false,"message":"Conversation is closed"}"#,
        ),
        (200, r#"{"success":false,"data":"none"}"#),
        (201, r#"{"success":false,"data":{"message_id":"m"}}"#),
        (
            400,
            r#"{"success":false,"message":"Conversation is closed"}"#,
        ),
        (
            403,
            r#"{"success":false,"message":"The conversation is not open"}"#,
        ),
        (404, r#"{"success":false,"error":"Client not found"}"#),
        (422, ""),
    ] {
        let answer = answer(&Reply::new(status, body));
        assert_eq!(answer.verdict, Rejected, "{status} {body}");
        assert!(
            answer
                .error
                .unwrap()
                .contains("while the conversation with the client is open")
        );
    }
}

#[test]
fn what_is_wrong_with_the_account_is_told_apart() {
    assert_verdicts(
        answer,
        &[
            (
                401,
                r#"{"success":false,"message":"Unauthorized"}"#,
                AccountProblem,
            ),
            (
                403,
                r#"{"success":false,"message":"Forbidden"}"#,
                AccountProblem,
            ),
            (403, "<html>client</html>", AccountProblem),
            (
                404,
                r#"{"success":false,"message":"Business not found"}"#,
                AccountProblem,
            ),
            (
                404,
                r#"{"success":false,"message":"No such client of this business"}"#,
                AccountProblem,
            ),
            (404, "<html>", AccountProblem),
            (404, "", AccountProblem),
            (429, r#"{"success":false}"#, RateLimited),
            (408, "", Unknown),
        ],
    );
}
