use tidings_model::Verdict::{AccountProblem, Delivered, RateLimited, Rejected, Unknown};

use super::*;
use crate::reply::assert_verdicts;

#[test]
fn a_number_as_data_is_a_delivered_message() {
    for status in [200, 201] {
        let reply = Reply::new(
            status,
            r#"{"data":8123,"notification":"Chat Sent Successfully"}"#,
        );
        let answer = answer(&reply);
        assert_eq!(answer.verdict, Delivered);
        assert_eq!(answer.provider_message_id.as_deref(), Some("8123"));
    }
}

#[test]
fn nothing_is_delivered_without_a_number() {
    assert_verdicts(
        answer,
        &[
            (200, r#"{"data":"8123"}"#, Unknown),
            (
                200,
                r#"{"data":null,"notification":"Chat Sent Successfully"}"#,
                Unknown,
            ),
            (200, r#"{"data":{"id":1}}"#, Unknown),
            (200, r#"{"notification":"Chat Sent Successfully"}"#, Unknown),
            (200, "8123", Unknown),
            // Found by the property test: serde reads a struct from an array too.
            (200, "[8123]", Unknown),
            (200, "", Unknown),
            (200, "<html>", Unknown),
            (204, "", Unknown),
        ],
    );
}

#[test]
fn every_error_of_the_page_has_its_class() {
    assert_verdicts(
        answer,
        &[
            (401, r#"{"message":"Unauthorized"}"#, AccountProblem),
            (
                401,
                r#"{"notification":"Pro is not active!"}"#,
                AccountProblem,
            ),
            (
                400,
                r#"{"error":"Persona Topic-type recipients are only allowed one."}"#,
                Rejected,
            ),
            (400, "", Rejected),
            (404, r#"{"notification":"User is not found!"}"#, Rejected),
            (
                404,
                r#"{"message":"Recipients must have at least one."}"#,
                Rejected,
            ),
            (404, r#"{"error":"Topic Type is invalid!"}"#, Rejected),
            (429, "", RateLimited),
            (302, "", Unknown),
            (500, r#"{"data":8123}"#, Unknown),
            (502, "<html>", Unknown),
        ],
    );
}

#[test]
fn the_words_are_found_under_any_of_the_names() {
    for name in ["message", "notification", "error"] {
        let body = format!(r#"{{"{name}":"User is not found!"}}"#);
        assert_eq!(
            answer(&Reply::new(404, body)).error.as_deref(),
            Some("User is not found!")
        );
    }
}
