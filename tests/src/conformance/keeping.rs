//! The ledger and the dead letters: kept, and read without changing anything.

use std::time::Duration;

use futures::future::join_all;
use jiff::Timestamp;
use tidings_broker::{
    Broker, DeadEntry, DeadRecord, EntryKind, LedgerEntry, Position, ReadFrom, ReadUntil,
};
use tidings_model::{
    Audit, Began, Claim, Ended, Left, LetterKey, LetterState, Paused, Pauses, Record, Resolution,
    Tenure, Verb,
};

use super::{
    fixture::{Fixture, OPS, account},
    in_time,
    owner::Owner,
    reading::{dead, following, ledger, letter},
    sending::{id, message, number_of, queue},
};

fn tenure(number: u64) -> Tenure {
    Tenure {
        account: account(OPS),
        worker: "worker".into(),
        number,
    }
}

fn opened(number: u64) -> Record {
    Record::Opened {
        tenure: tenure(number),
        at: Timestamp::now(),
    }
}

async fn append(broker: &dyn Broker, records: Vec<Record>) {
    in_time("the ledger's confirmation", broker.append(records))
        .await
        .expect("appended");
}

/// The numbers of the tenures that these entries open.
fn numbers<'e>(entries: impl IntoIterator<Item = &'e LedgerEntry>) -> Vec<u64> {
    let records = entries.into_iter().flat_map(LedgerEntry::records);
    records
        .map(|record| match record {
            Record::Opened { tenure, .. } => tenure.number,
            other => panic!("not an opening: {other:?}"),
        })
        .collect()
}

/// Twenty entries of five records each.
async fn write_a_hundred(broker: &dyn Broker) {
    for entry in 0..20 {
        append(broker, (5 * entry..5 * entry + 5).map(opened).collect()).await;
    }
}

fn position(entry: &LedgerEntry) -> Position {
    entry.position
}

pub async fn tenure_notes_are_read_by_another<F: Fixture>(fixture: &F) {
    let worker = fixture.connect("worker").await;
    let note = Record::Note {
        tenure: tenure(1),
        at: Timestamp::now(),
        left: Left::Only(vec![id(1), id(2)]),
        pauses: Pauses {
            paused: Some(Paused {
                at: Timestamp::now(),
                until: Timestamp::now(),
                why: "HTTP 429".into(),
                streak: 1,
            }),
            reopened: Some(Timestamp::now()),
        },
    };
    let records = vec![opened(1), note];
    append(&*worker, records.clone()).await;
    let successor = fixture.connect("successor").await;
    let entries = ledger(&*successor, ReadFrom::First).await;
    assert!(entries.iter().flat_map(LedgerEntry::records).eq(records));
    for entry in entries {
        assert_eq!(entry.kind, EntryKind::Tenures);
        assert_eq!(entry.writer, Some("worker".into()));
    }
}

pub async fn the_ledger_reads_the_same_twice<F: Fixture>(fixture: &F) {
    let worker = fixture.connect("worker").await;
    write_a_hundred(&*worker).await;
    let reader = fixture.connect("reader").await;
    let first = ledger(&*worker, ReadFrom::First).await;
    let second = ledger(&*reader, ReadFrom::First).await;
    assert!(numbers(&first).into_iter().eq(0..100));
    assert!(numbers(&second).into_iter().eq(0..100));
    assert!(first.iter().map(position).eq(second.iter().map(position)));
    assert!(first.is_sorted_by(|a, b| a.position < b.position));
}

pub async fn the_ledger_is_read_from_any_point<F: Fixture>(fixture: &F) {
    let worker = fixture.connect("worker").await;
    let before = Timestamp::now();
    write_a_hundred(&*worker).await;
    let entries = ledger(&*worker, ReadFrom::First).await;
    for (n, entry) in entries.iter().enumerate() {
        let rest = ledger(&*worker, ReadFrom::After(entry.position)).await;
        assert_eq!(
            numbers(&rest),
            numbers(&entries[n + 1..]),
            "after entry {n}"
        );
    }
    let since = ledger(&*worker, ReadFrom::Since(before)).await;
    assert!(numbers(&since).into_iter().eq(0..100));
}

pub async fn the_ledger_is_read_while_it_is_written<F: Fixture>(fixture: &F) {
    let worker = fixture.connect("worker").await;
    let reader = fixture.connect("reader").await;
    append(&*worker, vec![opened(1_000)]).await;
    let mut all = reader
        .ledger(ReadFrom::First, ReadUntil::Forever)
        .await
        .expect("the ledger is there");
    let mut new = reader
        .ledger(ReadFrom::Next, ReadUntil::Forever)
        .await
        .expect("the ledger is there");
    let writing = write_a_hundred(&*worker);
    let read = async {
        let mut read = Vec::new();
        while read.len() < 101 {
            read.extend(numbers(&following(&mut all, 1).await));
        }
        read
    };
    let ((), read) = tokio::join!(writing, read);
    assert!(read.into_iter().eq([1_000].into_iter().chain(0..100)));
    assert_eq!(
        numbers(&following(&mut new, 1).await)[0],
        0,
        "only what is new"
    );
}

/// Of an empty ledger, and of one in which nothing was written lately: where a reader begins is found, and read from then on.
pub async fn who_follows_the_ledger_since_a_moment_misses_nothing<F: Fixture>(fixture: &F) {
    let writer = fixture.connect("worker").await;
    let reader = fixture.connect("reader").await;
    for round in 0..10_u64 {
        let since = ReadFrom::Since(Timestamp::now());
        let readers = (0..8_u64).map(|number| {
            let reader = &reader;
            async move {
                tokio::time::sleep(Duration::from_millis(number * 3)).await;
                let mut entries = reader
                    .ledger(since, ReadUntil::Forever)
                    .await
                    .expect("the ledger is there");
                loop {
                    let read = following(&mut entries, 1).await;
                    if numbers(&read).contains(&round) {
                        return;
                    }
                }
            }
        });
        let writing = async {
            tokio::time::sleep(Duration::from_millis(round * 4)).await;
            append(&*writer, vec![opened(round)]).await;
        };
        tokio::join!(join_all(readers), writing);
        // A reader begins with the second that it is told.
        tokio::time::sleep(Duration::from_millis(1_100)).await;
    }
}

pub async fn an_empty_ledger_ends<F: Fixture>(fixture: &F) {
    let reader = fixture.connect("reader").await;
    for from in [
        ReadFrom::First,
        ReadFrom::Next,
        ReadFrom::Since(Timestamp::now()),
    ] {
        assert!(ledger(&*reader, from).await.is_empty(), "{from:?}");
    }
    append(&*reader, vec![opened(1)]).await;
    let entries = ledger(&*reader, ReadFrom::First).await;
    assert_eq!(numbers(&entries), [1]);
    let last = ReadFrom::After(entries[0].position);
    for from in [last, ReadFrom::Next] {
        assert!(ledger(&*reader, from).await.is_empty(), "{from:?}");
    }
}

/// Buries messages from number `from` on.
async fn bury(broker: &dyn Broker, from: usize, count: usize) {
    queue(broker, (from..from + count).map(message)).await;
    let mut owner = Owner::of_ops(broker, 50).await;
    for _ in 0..count {
        let delivery = owner.next().await;
        owner.bury(delivery);
    }
    owner.settled().await;
    owner.close().await;
}

pub async fn dead_letters_read_the_same_twice<F: Fixture>(fixture: &F) {
    let worker = fixture.connect("worker").await;
    bury(&*worker, 0, 50).await;
    let reader = fixture.connect("reader").await;
    let first = dead(&*worker, ReadFrom::First).await;
    let second = dead(&*reader, ReadFrom::First).await;
    assert!(first.is_sorted_by(|a, b| a.position < b.position));
    for (n, (a, b)) in first.iter().zip(&second).enumerate() {
        assert_eq!(
            (a.position, &a.record),
            (b.position, &b.record),
            "letter {n}"
        );
    }
    let mut numbers: Vec<_> = second
        .into_iter()
        .map(|entry| number_of(&letter(entry).1))
        .collect();
    numbers.sort_unstable();
    assert!(numbers.into_iter().eq(0..50), "each once");
}

pub async fn dead_letters_are_read_from_any_point<F: Fixture>(fixture: &F) {
    let worker = fixture.connect("worker").await;
    let before = Timestamp::now();
    bury(&*worker, 0, 20).await;
    let entries = dead(&*worker, ReadFrom::First).await;
    let records = |entries: &[tidings_broker::DeadEntry]| -> Vec<_> {
        entries.iter().map(|entry| entry.record.clone()).collect()
    };
    for (n, entry) in entries.iter().enumerate() {
        let rest = dead(&*worker, ReadFrom::After(entry.position)).await;
        assert_eq!(
            records(&rest),
            records(&entries[n + 1..]),
            "after letter {n}"
        );
    }
    let since = dead(&*worker, ReadFrom::Since(before)).await;
    assert_eq!(records(&since), records(&entries));
}

pub async fn dead_letters_are_read_while_they_are_written<F: Fixture>(fixture: &F) {
    let worker = fixture.connect("worker").await;
    let reader = fixture.connect("reader").await;
    bury(&*worker, 0, 1).await;
    let all = reader.dead(ReadFrom::First, ReadUntil::Forever).await;
    let mut all = all.expect("the dead letters are there");
    let next = reader.dead(ReadFrom::Next, ReadUntil::Forever).await;
    let mut next = next.expect("the dead letters are there");
    let (read, ()) = tokio::join!(following(&mut all, 101), bury(&*worker, 1, 100));
    let mut numbers: Vec<_> = read
        .into_iter()
        .map(|entry| number_of(&letter(entry).1))
        .collect();
    assert_eq!(numbers[0], 0);
    numbers.sort_unstable();
    assert!(numbers.into_iter().eq(0..101), "each once");
    let (_, body) = letter(following(&mut next, 1).await.remove(0));
    assert_ne!(number_of(&body), 0, "only what is new");
}

pub async fn no_dead_letters_is_an_end_too<F: Fixture>(fixture: &F) {
    let reader = fixture.connect("reader").await;
    for from in [
        ReadFrom::First,
        ReadFrom::Next,
        ReadFrom::Since(Timestamp::now()),
    ] {
        assert!(dead(&*reader, from).await.is_empty(), "{from:?}");
    }
}

/// A record of each kind, and a letter that is written again.
fn operation(letter: DeadRecord) -> Vec<DeadRecord> {
    let operation = "01938c2e-7b2a-7000-8000-000000000001".parse();
    let operation = operation.expect("an operation");
    let (by, at) = ("ann@host".to_owned(), Timestamp::now());
    let letters = vec![
        LetterKey::Message {
            id: id(0),
            generation: 0,
        },
        LetterKey::Place { position: 7 },
    ];
    let began = Began {
        operation,
        verb: Verb::Edit,
        by: by.clone(),
        at,
        which: "all".into(),
        planned: 2,
        why: Some("\u{202e} <b>".into()),
        parameters: serde_json::json!({"rate": 1.5}),
    };
    let claim = Claim {
        operation,
        by: by.clone(),
        at,
        letters: letters.clone(),
        take_over: true,
    };
    let resolution = Resolution {
        operation,
        at,
        letters,
        state: LetterState::Edited,
        new_id: Some(id(1)),
    };
    let ended = Ended {
        operation,
        by,
        at,
        done: 2,
        failed: 0,
        skipped: 0,
        stopped: None,
    };
    vec![
        DeadRecord::Audit(Audit::Began(began)),
        DeadRecord::Claim(claim),
        letter,
        DeadRecord::Resolution(resolution),
        DeadRecord::Audit(Audit::Ended(ended)),
    ]
}

pub async fn what_is_done_about_letters_stands_behind_them<F: Fixture>(fixture: &F) {
    let worker = fixture.connect("worker").await;
    let inspector = fixture.connect("inspector").await;
    let next = worker.dead(ReadFrom::Next, ReadUntil::Forever).await;
    let mut next = next.expect("the dead letters are there");
    bury(&*worker, 0, 1).await;
    let letter = dead(&*inspector, ReadFrom::First).await.remove(0).record;
    let mut expected = vec![letter.clone()];
    for _ in 0..20 {
        let records = operation(letter.clone());
        in_time("a confirmation", inspector.record(records.clone()))
            .await
            .expect("recorded");
        expected.extend(records);
    }
    let records = |entries: Vec<DeadEntry>| entries.into_iter().map(|entry| entry.record);
    for _ in 0..2 {
        let read = dead(&*worker, ReadFrom::First).await;
        assert!(records(read).eq(expected.clone()));
    }
    let followed = following(&mut next, expected.len()).await;
    assert!(records(followed).eq(expected));
}
