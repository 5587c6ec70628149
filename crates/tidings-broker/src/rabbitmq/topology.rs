//! All that the contract names on the broker: declared once by an operator's account, looked at by everybody else.

mod ask;
mod thing;

use std::time::Duration;

use lapin::{
    ExchangeKind,
    types::{AMQPValue, FieldTable, ShortString},
};

pub(super) use self::{
    ask::{apply, verify},
    thing::Thing,
};
use super::names::{LEVELS, Names, due_key, entry_key, level_key};
use crate::Topology;

/// Practically never: 4.x drops a message after 20 returns, and -1 means *at once* on 3.10. Poison is judged by the
/// worker.
const DELIVERY_LIMIT: i64 = 1_000_000_000;
/// A stream is trimmed by whole segments, so they are small enough for ages of days.
const LEDGER_SEGMENT: i64 = 64 << 20;
const DEAD_SEGMENT: i64 = 32 << 20;

/// Everything, in an order in which it can be declared.
pub(super) fn things(names: &Names, topology: &Topology) -> Vec<Thing> {
    let mut things = vec![
        fanout(names.unroutable()),
        queue(names.unroutable(), single_active(quorum())),
        bound(names.unroutable(), names.unroutable(), "".into()),
        topic(names.dispatch()),
        topic(names.events()),
        fanout(names.fleet()),
        fanout(names.beat()),
        queue(
            names.beat(),
            with(quorum(), "x-max-length", AMQPValue::LongLongInt(1)),
        ),
        bound(names.beat(), names.beat(), "".into()),
    ];
    things.extend(stream(
        names.ledger(),
        topology.ledger_max_age,
        LEDGER_SEGMENT,
    ));
    things.extend(stream(names.dead(), topology.dead_max_age, DEAD_SEGMENT));
    things.extend(delays(names));
    for account in &topology.accounts {
        let lane = names.lane_of(account);
        things.push(queue(lane.clone(), single_active(quorum())));
        things.push(bound(
            lane.clone(),
            names.dispatch(),
            account.as_str().into(),
        ));
        things.push(bound(lane, names.due(), due_key(account)));
    }
    things
}

/// The levels, each leading to the one below it, and their end. What finds no lane there falls into the catch-all:
/// a level whose messages cannot be routed would stand still for everybody.
fn delays(names: &Names) -> Vec<Thing> {
    let catch_all = text(&names.unroutable());
    let mut things = vec![
        Thing::Exchange {
            name: names.due(),
            kind: ExchangeKind::Topic,
            arguments: with(FieldTable::default(), "alternate-exchange", catch_all),
        },
        topic(names.delay()),
    ];
    for level in 0..LEVELS {
        let below = match level {
            0 => names.due(),
            level => names.level(level - 1),
        };
        let here = names.level(level);
        things.extend([
            topic(here.clone()),
            queue(here.clone(), delaying(level, &below)),
            bound(here.clone(), here.clone(), level_key(level, '1')),
            Thing::Chained {
                to: below,
                from: here.clone(),
                key: level_key(level, '0'),
            },
            bound(here, names.delay(), entry_key(level)),
        ]);
    }
    things
}

fn delaying(level: u32, next: &ShortString) -> FieldTable {
    let ttl = AMQPValue::LongLongInt(1000 << level);
    let arguments = with(quorum(), "x-message-ttl", ttl);
    let arguments = with(arguments, "x-dead-letter-exchange", text(next));
    let at_least_once = AMQPValue::LongString("at-least-once".into());
    let arguments = with(arguments, "x-dead-letter-strategy", at_least_once);
    with(
        arguments,
        "x-overflow",
        AMQPValue::LongString("reject-publish".into()),
    )
}

fn stream(name: ShortString, max_age: Duration, segment: i64) -> [Thing; 3] {
    let arguments = typed("stream");
    let age = format!("{}s", max_age.as_secs().max(1));
    let arguments = with(arguments, "x-max-age", AMQPValue::LongString(age.into()));
    let segment = AMQPValue::LongLongInt(segment);
    let arguments = with(arguments, "x-stream-max-segment-size-bytes", segment);
    [
        fanout(name.clone()),
        queue(name.clone(), arguments),
        bound(name.clone(), name, "".into()),
    ]
}

fn topic(name: ShortString) -> Thing {
    Thing::Exchange {
        name,
        kind: ExchangeKind::Topic,
        arguments: FieldTable::default(),
    }
}

fn fanout(name: ShortString) -> Thing {
    Thing::Exchange {
        name,
        kind: ExchangeKind::Fanout,
        arguments: FieldTable::default(),
    }
}

fn queue(name: ShortString, arguments: FieldTable) -> Thing {
    Thing::Queue { name, arguments }
}

fn bound(queue: ShortString, exchange: ShortString, key: ShortString) -> Thing {
    Thing::Bound {
        queue,
        exchange,
        key,
    }
}

fn typed(kind: &str) -> FieldTable {
    let kind = AMQPValue::LongString(kind.into());
    with(FieldTable::default(), "x-queue-type", kind)
}

fn quorum() -> FieldTable {
    typed("quorum")
}

fn single_active(arguments: FieldTable) -> FieldTable {
    let arguments = with(
        arguments,
        "x-single-active-consumer",
        AMQPValue::Boolean(true),
    );
    with(
        arguments,
        "x-delivery-limit",
        AMQPValue::LongLongInt(DELIVERY_LIMIT),
    )
}

fn with(mut arguments: FieldTable, name: &str, value: AMQPValue) -> FieldTable {
    arguments.insert(name.into(), value);
    arguments
}

fn text(name: &ShortString) -> AMQPValue {
    AMQPValue::LongString(name.as_str().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan() -> Vec<Thing> {
        let topology = Topology::of(["groupme.ops".parse().unwrap(), "raven.a-b".parse().unwrap()]);
        things(&Names::new("t".parse().unwrap()), &topology)
    }

    #[test]
    fn everything_is_declared_before_it_is_bound() {
        let mut declared = Vec::new();
        for thing in plan() {
            match thing {
                Thing::Exchange { name, .. } => declared.push(format!("x {name}")),
                Thing::Queue { name, .. } => declared.push(format!("q {name}")),
                Thing::Bound {
                    queue, exchange, ..
                } => {
                    assert!(declared.contains(&format!("q {queue}")), "{queue}");
                    assert!(declared.contains(&format!("x {exchange}")), "{exchange}");
                }
                Thing::Chained { to, from, .. } => {
                    assert!(declared.contains(&format!("x {to}")), "{to}");
                    assert!(declared.contains(&format!("x {from}")), "{from}");
                }
            }
        }
    }

    #[test]
    fn lanes_and_delays_have_no_length_limit_and_every_pattern_has_one_hash_at_most() {
        for thing in plan() {
            match thing {
                Thing::Queue { name, arguments } if name.as_str() != "t.beat" => {
                    assert!(!arguments.contains_key("x-max-length"), "{name}");
                    assert!(!arguments.contains_key("x-max-length-bytes"), "{name}");
                }
                Thing::Bound { key, .. } | Thing::Chained { key, .. } => {
                    assert!(key.as_str().matches('#').count() <= 1, "{key}");
                }
                _ => {}
            }
        }
    }
}
