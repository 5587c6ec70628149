use tidings_model::Verdict::{AccountProblem, Delivered, NotSent, RateLimited, Rejected, Unknown};

use super::*;
use crate::reply::assert_verdicts;

#[test]
fn both_envelopes_are_read() {
    for (body, id) in [
        (
            r#"{"status":200,"message":"OK","data":{"id":"7637842","status":"PENDING","failed_reason":null}}"#,
            "7637842",
        ),
        (
            r#"{"code":200,"message":"OK","data":{"id":7637842}}"#,
            "7637842",
        ),
        (
            r#"{"code":200,"status":"success","data":{"id":"msg_1"}}"#,
            "msg_1",
        ),
        (
            r#"{"status":"200 OK","code":201,"data":{"id":"msg_1","failed_reason":""}}"#,
            "msg_1",
        ),
    ] {
        let answer = answer(&Reply::new(200, body));
        assert_eq!(answer.verdict, Delivered, "{body}");
        assert_eq!(answer.provider_message_id.as_deref(), Some(id));
    }
}

#[test]
fn the_worse_of_the_two_statuses_counts() {
    let accepted =
        |status: u16| format!(r#"{{"status":{status},"message":"x","data":{{"id":"1"}}}}"#);
    assert_verdicts(
        answer,
        &[
            (200, &accepted(403), AccountProblem),
            (200, &accepted(422), Rejected),
            (200, &accepted(429), RateLimited),
            (200, &accepted(500), Unknown),
            (200, &accepted(302), Unknown),
            (201, &accepted(200), Delivered),
            (404, &accepted(200), Rejected),
            (500, &accepted(200), Unknown),
            (400, &accepted(500), Unknown),
            (
                200,
                r#"{"status":200,"code":401,"data":{"id":"1"}}"#,
                AccountProblem,
            ),
            (200, r#"{"message":"OK","data":{"id":"1"}}"#, Unknown),
            (200, r#"{"status":1,"data":{"id":"1"}}"#, Unknown),
            (200, r#"{"status":true,"data":{"id":"1"}}"#, Unknown),
            (200, r#"{"status":70000,"data":{"id":"1"}}"#, Unknown),
        ],
    );
}

#[test]
fn an_accepted_message_that_has_failed_already_is_rejected() {
    assert_verdicts(
        answer,
        &[
            (
                200,
                r#"{"status":200,"message":"OK","data":{"id":"1","status":"FAILED"}}"#,
                Rejected,
            ),
            (
                200,
                r#"{"status":200,"message":"OK","data":{"id":"1","status":"error"}}"#,
                Rejected,
            ),
            (
                200,
                r#"{"code":200,"message":"OK","data":{"id":"1","status":"PENDING","failed_reason":"blocked"}}"#,
                Rejected,
            ),
            (
                200,
                r#"{"code":200,"message":"OK","data":{"failed_reason":{"code":1}}}"#,
                Rejected,
            ),
        ],
    );
}

#[test]
fn nothing_is_delivered_without_an_id() {
    assert_verdicts(
        answer,
        &[
            (200, r#"{"status":200,"message":"OK"}"#, Unknown),
            (200, r#"{"status":200,"data":null}"#, Unknown),
            (
                200,
                r#"{"status":200,"data":{"status":"PENDING"}}"#,
                Unknown,
            ),
            (200, r#"{"status":200,"data":[{"id":"1"}]}"#, Unknown),
            (200, "", Unknown),
            (200, "<html>OK</html>", Unknown),
            (204, "", Unknown),
        ],
    );
}

#[test]
fn refusals_are_told_apart_by_status_and_words() {
    let said = |status: u16, words: &str| format!(r#"{{"status":{status},"message":"{words}"}}"#);
    assert_verdicts(
        answer,
        &[
            (401, "", AccountProblem),
            (403, &said(403, "Forbidden"), AccountProblem),
            (403, "<html>", AccountProblem),
            (
                403,
                &said(403, "You are not a member of this group"),
                Rejected,
            ),
            (404, &said(404, "Not Found"), Rejected),
            (404, &said(404, "Device not found"), AccountProblem),
            (
                422,
                r#"{"status":422,"message":"Validation Error ","errors":["type is required"]}"#,
                Rejected,
            ),
            (400, &said(400, "Bad Request"), Rejected),
            (400, "", Rejected),
            (429, "", RateLimited),
            (405, "", Rejected),
            (301, "", Unknown),
            (500, &said(500, "Device not connected"), Unknown),
            (503, "", Unknown),
        ],
    );
}

#[test]
fn a_device_that_is_not_connected_sends_nothing_and_pauses_the_lane() {
    for (status, body) in [
        (400, r#"{"status":400,"message":"Device not connected"}"#),
        (400, r#"{"code":400,"errors":["device is not connected"]}"#),
        (200, r#"{"code":400,"message":"Device not connected"}"#),
    ] {
        let answer = answer(&Reply::new(status, body));
        assert_eq!(
            (answer.verdict, answer.pauses_lane),
            (NotSent, true),
            "{status} {body}"
        );
    }
}
