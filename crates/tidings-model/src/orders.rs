use std::num::NonZeroU32;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{Rate, config::AccountConfig};

/// What operators asked of a lane while it runs. Each part stands, over whatever the configuration says, until a later
/// one takes its place.
///
/// Orders are put together in any sequence, and as often as one likes, with the same result.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Orders {
    /// Nothing is sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pause: Option<Order<Pause>>,
    /// The account's limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<Order<Rate>>,
    /// How many calls may come at once after a quiet time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub burst: Option<Order<NonZeroU32>>,
    /// The limit of each destination.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub destination_rate: Option<Order<Rate>>,
    /// How many calls may be under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<Order<NonZeroU32>>,
}

/// One wish of an operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order<T> {
    /// When it was given; of two, the later one holds.
    pub at: Timestamp,
    /// What is wished; nothing takes an earlier wish back.
    pub wish: Option<T>,
}

/// An operator's pause.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pause {
    /// Until when; until it is taken back where that is not said.
    pub until: Option<Timestamp>,
    /// Why, in the operator's words.
    pub why: Option<String>,
}

impl Orders {
    /// Takes in other orders of the same lane; says whether that changed anything.
    pub fn learn(&mut self, other: &Self) -> bool {
        let Self {
            pause,
            rate,
            burst,
            destination_rate,
            concurrency,
        } = other;
        learn(&mut self.pause, pause)
            | learn(&mut self.rate, rate)
            | learn(&mut self.burst, burst)
            | learn(&mut self.destination_rate, destination_rate)
            | learn(&mut self.concurrency, concurrency)
    }

    /// Whether each part of `other` stands here.
    #[must_use]
    pub fn include(&self, other: &Self) -> bool {
        includes(&self.pause, &other.pause)
            && includes(&self.rate, &other.rate)
            && includes(&self.burst, &other.burst)
            && includes(&self.destination_rate, &other.destination_rate)
            && includes(&self.concurrency, &other.concurrency)
    }

    /// Whether nothing was ever asked.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The pause that is in force.
    #[must_use]
    pub fn paused(&self, now: Timestamp) -> Option<&Pause> {
        let pause = wish(&self.pause)?;
        pause.until.is_none_or(|until| now < until).then_some(pause)
    }

    /// Whether a limit stands over the configuration's.
    #[must_use]
    pub fn set_limits(&self) -> bool {
        wish(&self.rate).is_some()
            || wish(&self.burst).is_some()
            || wish(&self.destination_rate).is_some()
            || wish(&self.concurrency).is_some()
    }

    /// How an account is served by these orders.
    #[must_use]
    pub fn over(&self, configured: &AccountConfig) -> AccountConfig {
        let copied = configured.clone();
        AccountConfig {
            rate: wish(&self.rate).copied().unwrap_or(copied.rate),
            burst: wish(&self.burst).copied().unwrap_or(copied.burst),
            destination_rate: wish(&self.destination_rate)
                .copied()
                .unwrap_or(copied.destination_rate),
            concurrency: wish(&self.concurrency)
                .copied()
                .unwrap_or(copied.concurrency),
            ..copied
        }
    }
}

fn wish<T>(order: &Option<Order<T>>) -> Option<&T> {
    order.as_ref()?.wish.as_ref()
}

fn learn<T: Clone>(known: &mut Option<Order<T>>, other: &Option<Order<T>>) -> bool {
    let later = match (&known, other) {
        (_, None) => false,
        (None, Some(_)) => true,
        (Some(known), Some(other)) => known.at < other.at,
    };
    if later {
        known.clone_from(other);
    }
    later
}

fn includes<T: PartialEq>(known: &Option<Order<T>>, other: &Option<Order<T>>) -> bool {
    other.is_none() || known == other
}

#[cfg(test)]
mod tests {
    use proptest::{prelude::*, sample::subsequence};

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    fn rate(second: i64, text: Option<&str>) -> Orders {
        Orders {
            rate: Some(Order {
                at: at(second),
                wish: text.map(|text| text.parse().unwrap()),
            }),
            ..Orders::default()
        }
    }

    fn pause(second: i64, until: Option<i64>) -> Orders {
        let wish = Pause {
            until: until.map(at),
            why: Some("moving house".into()),
        };
        Orders {
            pause: Some(Order {
                at: at(second),
                wish: Some(wish),
            }),
            ..Orders::default()
        }
    }

    fn resume(second: i64) -> Orders {
        Orders {
            pause: Some(Order {
                at: at(second),
                wish: None,
            }),
            ..Orders::default()
        }
    }

    #[test]
    fn a_pause_holds_until_it_ends_or_is_taken_back() {
        assert!(pause(0, Some(60)).paused(at(59)).is_some());
        assert!(pause(0, Some(60)).paused(at(60)).is_none());
        let mut orders = pause(0, None);
        assert!(orders.paused(at(1_000_000)).is_some());
        assert!(orders.learn(&resume(1)));
        assert!(orders.paused(at(2)).is_none());
    }

    #[test]
    fn a_part_changes_only_its_own() {
        let mut orders = pause(0, None);
        orders.learn(&rate(1, Some("5/s")));
        assert!(orders.paused(at(2)).is_some() && orders.set_limits());
        orders.learn(&rate(2, None));
        assert!(orders.paused(at(2)).is_some() && !orders.set_limits());
    }

    #[test]
    fn what_is_set_stands_over_the_configuration_and_the_rest_is_the_configurations() {
        let config = crate::Config::parse(
            "f",
            "[accounts.\"raven.crm\"]\nsecret = { env = \"A\" }\nrate = \"7/s\"\nconcurrency = 3",
            &crate::config::Overrides::default(),
        )
        .unwrap();
        let (_, configured) = config.accounts.first_key_value().unwrap();
        let set = rate(0, Some("2/s")).over(configured);
        assert_eq!(
            (set.rate, set.concurrency),
            ("2/s".parse().unwrap(), configured.concurrency)
        );
        assert_eq!(&rate(1, None).over(configured), configured);
    }

    #[test]
    fn orders_read_back_as_they_were_written() {
        let mut orders = pause(0, Some(9));
        orders.learn(&rate(1, None));
        let text = serde_json::to_string(&orders).unwrap();
        assert_eq!(serde_json::from_str::<Orders>(&text).unwrap(), orders);
    }

    proptest! {
        #[test]
        fn orders_mean_the_same_in_any_sequence_and_however_often(
            mut first in Just(vec![
                pause(1, None), resume(2), pause(3, Some(4)), rate(1, Some("5/s")), rate(2, None), rate(5, Some("1/m")),
            ]).prop_shuffle(),
            again in subsequence(vec![pause(1, None), resume(2), rate(1, Some("5/s"))], 0..=3),
        ) {
            let fold = |all: &[Orders]| all.iter().fold(Orders::default(), |mut orders, order| {
                orders.learn(order);
                orders
            });
            let mut last = pause(3, Some(4));
            last.learn(&rate(5, Some("1/m")));
            first.extend(again);
            prop_assert_eq!(fold(&first), last);
        }
    }
}
