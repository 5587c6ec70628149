use serde_json::json;
use tidings_model::Verdict::{AccountProblem, NotSent, RateLimited};

use super::*;

/// When the wanted messages were enqueued, in seconds by our clock; the index is read at 10,000.
const SINCE: i64 = 9_000;

fn reading(wanted: &[&'static str]) -> Reading<'static> {
    Reading::new(Timestamp::from_second(SINCE).unwrap(), wanted)
}

/// A page of messages, each an id, a `source_guid` and a second.
fn page(entries: &[(&str, &str, i64)]) -> Reply {
    let messages: Vec<_> = entries
        .iter()
        .map(|(id, guid, at)| json!({"id": id, "source_guid": guid, "created_at": at, "text": "x"}))
        .collect();
    at(
        10_000,
        Reply::new(
            200,
            json!({"meta": {"code": 200}, "response": {"count": 1, "messages": messages}})
                .to_string(),
        ),
    )
}

fn at(second: u64, reply: Reply) -> Reply {
    Reply {
        at: SystemTime::UNIX_EPOCH + Duration::from_secs(second),
        ..reply
    }
}

fn found(end: ControlFlow<End>) -> Vec<(String, String)> {
    match end {
        ControlFlow::Break(End::Read(found)) => found.into_iter().collect(),
        other => panic!("not read to the end: {other:?}"),
    }
}

fn pair(guid: &str, id: &str) -> (String, String) {
    (guid.to_owned(), id.to_owned())
}

#[test]
fn both_envelopes_are_read() {
    let bare = r#"{"count":1,"messages":[{"id":"7","source_guid":"a","created_at":9500}]}"#;
    assert_eq!(
        found(reading(&["a"]).take(&Reply::new(200, bare))),
        [pair("a", "7")]
    );
    assert_eq!(
        found(reading(&["a"]).take(&page(&[("7", "a", 9_500)]))),
        [pair("a", "7")]
    );
}

#[test]
fn an_empty_304_is_a_group_without_messages() {
    assert_eq!(found(reading(&["a"]).take(&Reply::new(304, ""))), []);
    assert_eq!(found(reading(&["a"]).take(&page(&[]))), []);
}

#[test]
fn pages_go_back_until_a_message_is_older_than_the_wanted_ones() {
    let base = Base::new("https://example.com/v3");
    let mut reading = reading(&["a", "b"]);
    assert_eq!(
        reading.request(&base, "g/1").url,
        "https://example.com/v3/groups/g%2F1/messages?limit=100"
    );
    assert!(
        reading
            .take(&page(&[("9", "x", 9_900), ("8", "a", 9_800)]))
            .is_continue()
    );
    assert_eq!(
        reading.request(&base, "g").url,
        "https://example.com/v3/groups/g/messages?limit=100&before_id=8"
    );
    // Ten seconds are left for clocks that disagree.
    assert!(reading.take(&page(&[("7", "y", SINCE - 10)])).is_continue());
    assert_eq!(
        found(reading.take(&page(&[("6", "z", SINCE - 11)]))),
        [pair("a", "8")]
    );
}

#[test]
fn one_reading_answers_many_and_stops_when_all_are_found() {
    let mut reading = reading(&["a", "b"]);
    assert!(reading.take(&page(&[("9", "a", 9_900)])).is_continue());
    let mut all = found(reading.take(&page(&[("8", "b", 9_800), ("7", "c", 9_700)])));
    all.sort();
    assert_eq!(all, [pair("a", "9"), pair("b", "8")]);
}

#[test]
fn a_server_whose_clock_is_behind_is_read_further_back_and_none_is_read_less() {
    // Its clock shows 9,400 when ours shows 10,000: what we enqueued at 9,000 is 8,400 there.
    let behind = |at| page(&[("9", "x", at)]).with("date", "Thu, 01 Jan 1970 02:36:40 GMT");
    assert!(reading(&["a"]).take(&behind(8_390)).is_continue());
    assert_eq!(found(reading(&["a"]).take(&behind(8_389))), []);
    let ahead = |at| page(&[("9", "x", at)]).with("date", "Thu, 01 Jan 2026 00:00:00 GMT");
    assert!(reading(&["a"]).take(&ahead(SINCE - 10)).is_continue());
}

#[test]
fn an_index_that_does_not_end_cannot_tell() {
    let mut reading = reading(&["a"]);
    let mut pages = 0;
    let end = loop {
        pages += 1;
        if let ControlFlow::Break(end) = reading.take(&page(&[(&format!("id{pages}"), "x", 9_999)]))
        {
            break end;
        }
    };
    assert_eq!(pages, 300);
    assert!(matches!(end, End::CannotTell(_)));
}

#[test]
fn an_index_that_repeats_its_page_cannot_tell() {
    let mut reading = reading(&["a"]);
    assert!(reading.take(&page(&[("9", "x", 9_999)])).is_continue());
    assert!(matches!(
        reading.take(&page(&[("9", "x", 9_999)])),
        ControlFlow::Break(End::CannotTell(_))
    ));
}

#[test]
fn what_a_look_up_cannot_read_now_is_tried_again_and_a_refusal_is_not() {
    let failed = |status: u16, body: &str| match reading(&["a"]).take(&Reply::new(status, body)) {
        ControlFlow::Break(End::Failed(answer)) => Some(answer.verdict),
        ControlFlow::Break(End::CannotTell(_)) => None,
        other => panic!("{status} {body}: {other:?}"),
    };
    for (status, body, verdict) in [
        (500, "", Some(NotSent)),
        (502, "<html>", Some(NotSent)),
        (302, "", Some(NotSent)),
        (201, "{}", Some(NotSent)),
        (200, "<html>", Some(NotSent)),
        (200, r#"{"response":null}"#, Some(NotSent)),
        (200, r#"{"messages":[{"source_guid":"a"}]}"#, Some(NotSent)),
        (420, "", Some(RateLimited)),
        (429, "", Some(RateLimited)),
        (401, "", Some(AccountProblem)),
        (
            403,
            r#"{"meta":{"errors":["banned"]}}"#,
            Some(AccountProblem),
        ),
        (403, "", None),
        (404, "", None),
        (400, "", None),
        (409, "", None),
    ] {
        assert_eq!(failed(status, body), verdict, "{status} {body}");
    }
    let too_long = Reply {
        end: crate::reply::End::TooLong,
        ..Reply::new(200, r#"{"messages":["#)
    };
    assert!(matches!(
        reading(&["a"]).take(&too_long),
        ControlFlow::Break(End::CannotTell(_))
    ));
}

#[test]
fn system_messages_without_a_guid_are_passed_over() {
    let body = r#"{"messages":[{"id":"9","source_guid":null,"created_at":9500},{"id":"8","created_at":1}]}"#;
    assert_eq!(found(reading(&["a"]).take(&Reply::new(200, body))), []);
}
