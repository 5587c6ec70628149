use std::{cmp::Ordering, fmt, str::FromStr};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tidings_model::{Account, DeadLetter, Reason};

use crate::Group;

/// Which letters come first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Order {
    /// Those that died first.
    Oldest,
    /// Those that died last.
    Newest,
    /// By account, the oldest of each first.
    Account,
    /// By reason, the oldest of each first.
    Reason,
}

impl Order {
    const ALL: [(Self, &'static str); 4] = [
        (Self::Oldest, "oldest"),
        (Self::Newest, "newest"),
        (Self::Account, "account"),
        (Self::Reason, "reason"),
    ];

    /// Brings groups into this order; those that it does not tell apart stay as they are.
    pub fn sort(self, groups: &mut [Group]) {
        groups.sort_by(|a, b| match self {
            Self::Oldest => a.first_seen.cmp(&b.first_seen),
            Self::Newest => b.last_seen.cmp(&a.last_seen),
            Self::Account => a.account.cmp(&b.account),
            Self::Reason => a.reason.cmp(&b.reason),
        });
    }

    fn compare(self, a: &Key, b: &Key) -> Ordering {
        let oldest = a.dead_at.cmp(&b.dead_at);
        match self {
            Self::Oldest => oldest,
            Self::Newest => oldest.reverse(),
            Self::Account => a.account.cmp(&b.account).then(oldest),
            Self::Reason => a.reason.cmp(&b.reason).then(oldest),
        }
    }
}

impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = Self::ALL.into_iter().find(|(order, _)| order == self);
        f.write_str(named.map_or("", |(_, name)| name))
    }
}

impl FromStr for Order {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let named = Self::ALL.into_iter().find(|(_, name)| *name == text);
        named.map(|(order, _)| order).ok_or_else(|| {
            let valid = Self::ALL.map(|(_, name)| name).join(", ");
            format!("order {text:?} is none of {valid}")
        })
    }
}

/// What letters are ordered by.
#[derive(Debug)]
struct Key {
    dead_at: Timestamp,
    account: Option<Account>,
    reason: Reason,
}

/// What is shown of the first so many letters of an order. Memory is bounded by the limit, however many there are.
#[derive(Debug)]
pub struct Shortlist<T> {
    order: Order,
    limit: usize,
    shown: Vec<(Key, T)>,
}

impl<T> Shortlist<T> {
    /// Begins one; without a limit it keeps all.
    #[must_use]
    pub fn new(order: Order, limit: Option<usize>) -> Self {
        Self {
            order,
            limit: limit.unwrap_or(usize::MAX),
            shown: Vec::new(),
        }
    }

    /// Adds what is to be shown of a letter.
    pub fn push(&mut self, letter: &DeadLetter, shown: T) {
        let key = Key {
            dead_at: letter.dead_at,
            account: letter.message.account().cloned(),
            reason: letter.reason,
        };
        self.shown.push((key, shown));
        if self.shown.len() >= self.limit.saturating_mul(2).saturating_add(100) {
            self.cut();
        }
    }

    /// What is shown, in its order.
    #[must_use]
    pub fn finish(mut self) -> Vec<T> {
        self.cut();
        self.shown.into_iter().map(|(_, shown)| shown).collect()
    }

    fn cut(&mut self) {
        // Stable: letters of the same moment stay as they stand in the stream.
        self.shown
            .sort_by(|(a, _), (b, _)| self.order.compare(a, b));
        self.shown.truncate(self.limit);
    }
}

#[cfg(test)]
mod tests {
    use tidings_model::{LetterMessage, LetterState};

    use super::*;

    fn letter(second: i64) -> DeadLetter {
        DeadLetter {
            message: LetterMessage::Part {
                id: None,
                account: None,
            },
            reason: Reason::Expired,
            attempts: Vec::new(),
            dead_at: Timestamp::from_second(second).unwrap(),
            state: LetterState::Open,
            generation: 0,
            maybe_delivered: false,
        }
    }

    #[test]
    fn the_first_of_an_order_are_kept_whatever_comes_after_them() {
        for (order, expected) in [(Order::Newest, [999, 998]), (Order::Oldest, [0, 1])] {
            let mut list = Shortlist::new(order, Some(2));
            let seconds = (0..1000).map(|i| i * 7 % 1000);
            seconds.for_each(|second| list.push(&letter(second), second));
            assert_eq!(list.finish(), expected);
        }
    }
}
