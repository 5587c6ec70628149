//! What a reason means, and what usually helps.

use tidings_model::Reason;

/// What a reason means, in a sentence.
#[must_use]
pub fn meaning(reason: Reason) -> &'static str {
    match reason {
        Reason::Rejected => {
            "the provider refused the message itself: the same request would be refused again"
        }
        Reason::AttemptsExhausted => {
            "all the attempts that the account's `retry.max_attempts` allows are spent"
        }
        Reason::TooOld => "it was tried again for longer than the account's `retry.max_age` allows",
        Reason::Expired => "its expiry passed before it could be sent",
        Reason::UnknownOutcome => "it may have been delivered, and nobody can tell",
        Reason::Undecodable => "its body is not a Tidings message",
        Reason::Poison => "it was handed out again and again, and no worker came to a decision",
        Reason::Unroutable => "no lane was there for its account when it fell due",
    }
}

/// What usually helps.
#[must_use]
pub fn what_helps(reason: Reason) -> &'static str {
    match reason {
        Reason::Rejected => "read the provider's words, and send a mended message",
        Reason::AttemptsExhausted | Reason::TooOld => {
            "see what the attempts have in common and how the lane does now (`tidings lanes`), then send it again"
        }
        Reason::Expired => {
            "usually nothing: it was not worth sending late. Where many expire, the lane was paused or its rate is too low"
        }
        Reason::UnknownOutcome => {
            "look in the chat whether it arrived; send it again only if it did not, or if a copy does no harm"
        }
        Reason::Undecodable => {
            "find the program that published it; `tidings send --dry-run` tells what is wrong with a body"
        }
        Reason::Poison => "look into the workers' logs for its id: something ended them each time",
        Reason::Unroutable => {
            "add the account to the configuration and run `tidings topology apply`, then send it again"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_its_own_words() {
        let meanings: std::collections::HashSet<_> = Reason::ALL.into_iter().map(meaning).collect();
        assert_eq!(meanings.len(), Reason::ALL.len());
        assert!(
            Reason::ALL
                .into_iter()
                .all(|reason| !what_helps(reason).is_empty())
        );
    }
}
