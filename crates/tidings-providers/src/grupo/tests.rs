use tidings_model::Verdict::{AccountProblem, Delivered, RateLimited, Rejected, Unknown};

use super::*;
use crate::reply::assert_verdicts;

#[test]
fn success_is_written_in_several_ways() {
    assert_verdicts(
        answer,
        &[
            (200, r#"{"success":true}"#, Delivered),
            (200, r#" {"success":"true"} "#, Delivered),
            (200, r#"{"success":1}"#, Delivered),
            (200, "\u{feff}{\"success\":true}", Delivered),
        ],
    );
    assert_eq!(
        answer(&Reply::new(200, r#"{"success":true}"#)).provider_message_id,
        None
    );
}

#[test]
fn failures_are_told_apart_by_their_key() {
    assert_verdicts(
        answer,
        &[
            (
                200,
                r#"{"success":false,"error_message":"x","error_key":"invalid_api_secret_key"}"#,
                AccountProblem,
            ),
            (
                200,
                r#"{"error_key":"invalid_api_secret_key"}"#,
                AccountProblem,
            ),
            (
                200,
                r#"{"success":false,"error_message":"x","error_key":"user_not_found"}"#,
                Rejected,
            ),
            (200, r#"{"success":"false"}"#, Rejected),
            (200, r#"{"success":0}"#, Rejected),
            (200, r#"{"success":false}"#, Rejected),
            (200, r#"{"error_key":"something_went_wrong"}"#, Unknown),
            (
                200,
                r#"{"success":null,"error_key":"something_went_wrong"}"#,
                Unknown,
            ),
            (200, r#"{"alert":"You are not allowed"}"#, Rejected),
            (200, r#"{"refresh":true}"#, Rejected),
            (200, "[]", Rejected),
            (200, " []\n", Rejected),
        ],
    );
}

#[test]
fn an_empty_answer_is_an_account_problem_and_one_that_broke_off_is_not() {
    let empty = answer(&Reply::new(200, "\r\n"));
    assert_eq!((empty.verdict, empty.pauses_lane), (AccountProblem, true));
    assert!(empty.error.unwrap().contains("empty"));
    let broken = answer(&Reply {
        end: End::BrokenOff,
        ..Reply::new(200, "")
    });
    assert_eq!(broken.verdict, Unknown);
}

#[test]
fn php_warnings_before_the_json_do_not_hide_it() {
    let warning =
        "<br />\n<b>Warning</b>:  Undefined key {x} in <b>/a.php</b> on line <b>3</b><br />\n";
    let body = |json: &str| format!("{warning}{json}");
    assert_verdicts(
        answer,
        &[
            (200, &body(r#"{"success":true}"#), Delivered),
            (
                200,
                &body(r#"{"success":false,"error_key":"invalid_api_secret_key"}"#),
                AccountProblem,
            ),
            (
                200,
                &body(r#"{"success":false,"error_key":"no_such_user"}"#),
                Rejected,
            ),
            (200, &body(r#"{"success":tr"#), Unknown),
            (200, &body(""), Unknown),
            (200, &body("[]"), Unknown),
        ],
    );
    let error = answer(&Reply::new(
        200,
        body(r#"{"success":false,"error_message":"No such user"}"#),
    ))
    .error;
    assert_eq!(error.as_deref(), Some("No such user"));
}

#[test]
fn what_is_not_the_applications_answer_is_unknown() {
    assert_verdicts(
        answer,
        &[
            (
                200,
                "<!DOCTYPE html><html><body>Welcome</body></html>",
                Unknown,
            ),
            (200, "OK", Unknown),
            (200, "true", Unknown),
            (200, "null", Unknown),
            (200, "{}", Unknown),
            (200, r#"{"success":"yes"}"#, Unknown),
            (200, r#"{"success":2}"#, Unknown),
            (200, r#"{"success":{"success":true}}"#, Unknown),
            (200, r#"[{"success":true}]"#, Unknown),
            (200, r#"{"refresh":false}"#, Unknown),
            (201, r#"{"success":true}"#, Unknown),
            (204, "", Unknown),
            (302, r#"{"success":true}"#, Unknown),
            (500, r#"{"success":true}"#, Unknown),
            (502, "<html>", Unknown),
        ],
    );
}

#[test]
fn other_statuses_come_from_what_stands_in_front() {
    assert_verdicts(
        answer,
        &[
            (429, "", RateLimited),
            (401, "", AccountProblem),
            (403, "<html>", Rejected),
            (413, "", Rejected),
        ],
    );
}

#[test]
fn a_message_is_escaped_for_html() {
    assert_eq!(
        escaped("a < b && c > \"d\""),
        "a &lt; b &amp;&amp; c &gt; \"d\""
    );
    assert!(matches!(escaped("plain"), Cow::Borrowed("plain")));
}
