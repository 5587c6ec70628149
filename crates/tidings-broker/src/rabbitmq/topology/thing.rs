//! One thing on the broker, and how it is declared.

use lapin::{
    Channel, ExchangeKind,
    options::{ExchangeBindOptions, ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions},
    types::{FieldTable, ShortString},
};

use crate::Difference;

/// Something to declare.
#[derive(Debug, Clone, PartialEq)]
pub(in super::super) enum Thing {
    Exchange {
        name: ShortString,
        kind: ExchangeKind,
        arguments: FieldTable,
    },
    Queue {
        name: ShortString,
        arguments: FieldTable,
    },
    /// A queue at an exchange.
    Bound {
        queue: ShortString,
        exchange: ShortString,
        key: ShortString,
    },
    /// An exchange at another.
    Chained {
        to: ShortString,
        from: ShortString,
        key: ShortString,
    },
}

impl std::fmt::Display for Thing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Exchange { name, .. } => write!(f, "exchange {name}"),
            Self::Queue { name, .. } => write!(f, "queue {name}"),
            Self::Bound {
                queue,
                exchange,
                key,
            } => {
                write!(
                    f,
                    "binding of queue {queue} to exchange {exchange} with key {key:?}",
                    key = key.as_str()
                )
            }
            Self::Chained { to, from, key } => {
                write!(
                    f,
                    "binding of exchange {to} to exchange {from} with key {key:?}",
                    key = key.as_str()
                )
            }
        }
    }
}

/// How a thing is declared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Manner {
    /// Created where it is missing, compared where it is there.
    Active,
    /// Only whether it is there.
    Passive,
}

impl Thing {
    pub(super) async fn declare(&self, channel: &Channel, manner: Manner) -> lapin::Result<()> {
        let passive = manner == Manner::Passive;
        match self.clone() {
            Self::Exchange {
                name,
                kind,
                arguments,
            } => {
                let options = ExchangeDeclareOptions {
                    passive,
                    durable: true,
                    ..Default::default()
                };
                channel
                    .exchange_declare(name, kind, options, arguments)
                    .await
            }
            Self::Queue { name, arguments } => {
                let options = QueueDeclareOptions {
                    passive,
                    durable: true,
                    ..Default::default()
                };
                channel
                    .queue_declare(name, options, arguments)
                    .await
                    .map(|_| ())
            }
            Self::Bound {
                queue,
                exchange,
                key,
            } => {
                let options = QueueBindOptions::default();
                channel
                    .queue_bind(queue, exchange, key, options, FieldTable::default())
                    .await
            }
            Self::Chained { to, from, key } => {
                let options = ExchangeBindOptions::default();
                channel
                    .exchange_bind(to, from, key, options, FieldTable::default())
                    .await
            }
        }
    }

    pub(super) fn is_binding(&self) -> bool {
        matches!(self, Self::Bound { .. } | Self::Chained { .. })
    }

    pub(super) fn differs(&self, why: impl Into<String>) -> Difference {
        Difference {
            what: self.to_string(),
            why: why.into(),
        }
    }
}
