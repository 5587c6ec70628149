use std::collections::BTreeMap;

use tidings_model::{DeadLetter, Outcome, Reason};

use super::Book;

/// What became of messages, as the ledger, the dead letters and the providers tell it.
#[derive(Debug)]
pub struct Reckoning {
    /// The outcome of each message.
    pub outcomes: BTreeMap<String, Outcome>,
    /// The dead letters.
    pub letters: Vec<DeadLetter>,
    /// What the providers received.
    pub book: Book,
}

/// How often a provider may have recorded a message, as its account is configured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::enum_variant_names, reason = "these are the field's terms")]
enum Promise {
    /// GroupMe: once if it is delivered, else not at all.
    ExactlyOnce,
    /// `on_unknown = "park"`.
    AtMostOnce,
    /// `on_unknown = "retry"`.
    AtLeastOnce,
}

impl Reckoning {
    /// Checks that all three agree, and that each provider recorded what is promised. `parks` are the accounts with
    /// `on_unknown = "park"`.
    ///
    /// # Panics
    /// Where they do not.
    pub fn adds_up(&self, parks: &[&str]) {
        let recorded = self.book.times();
        for (id, outcome) in &self.outcomes {
            let account = outcome.account().to_string();
            let promise = match account.starts_with("groupme.") {
                true => Promise::ExactlyOnce,
                false if parks.contains(&account.as_str()) => Promise::AtMostOnce,
                false => Promise::AtLeastOnce,
            };
            let times = recorded.get(id).copied().unwrap_or_default();
            assert!(
                promise.kept(outcome, times),
                "{promise:?}, and it was recorded {times} times: {outcome:?}"
            );
        }
        self.every_dead_message_has_one_letter();
    }

    /// Checks that every message was delivered, and that one attempt was spent on each: what it was refused meanwhile cost
    /// none.
    ///
    /// # Panics
    /// Where it was not.
    pub fn all_were_delivered_in_one_attempt(&self) {
        self.adds_up(&[]);
        for outcome in self.outcomes.values() {
            let first = matches!(outcome, Outcome::Delivered { attempts: 1, .. });
            assert!(first, "{outcome:?}");
        }
    }

    fn every_dead_message_has_one_letter(&self) {
        let dead = |(id, outcome): (&String, &Outcome)| Some((id.clone(), outcome.reason()?));
        let dead: Vec<(String, Reason)> = self.outcomes.iter().filter_map(dead).collect();
        let lettered = |letter: &DeadLetter| {
            let id = letter.message.id().expect("an id").to_string();
            (id, letter.reason)
        };
        let mut letters: Vec<(String, Reason)> = self.letters.iter().map(lettered).collect();
        letters.sort();
        assert_eq!(
            dead, letters,
            "the dead by the ledger, and the dead letters"
        );
    }

    /// How many ended dead for that reason.
    pub fn dead(&self, reason: Reason) -> usize {
        self.outcomes
            .values()
            .filter(|outcome| outcome.reason() == Some(reason))
            .count()
    }

    /// How many were delivered.
    pub fn delivered(&self) -> usize {
        self.outcomes
            .values()
            .filter(|outcome| outcome.reason().is_none())
            .count()
    }
}

impl Promise {
    fn kept(self, outcome: &Outcome, times: usize) -> bool {
        match (self, outcome.reason()) {
            (Self::ExactlyOnce | Self::AtMostOnce, None) => times == 1,
            (Self::AtLeastOnce, None) => times >= 1,
            (Self::AtMostOnce, Some(Reason::UnknownOutcome)) => times <= 1,
            // The provider may have recorded it in spite of what it answered last.
            (Self::AtLeastOnce, Some(Reason::AttemptsExhausted | Reason::TooOld)) => true,
            (_, Some(_)) => times == 0,
        }
    }
}
