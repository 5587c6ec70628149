mod begin;
mod canary;
mod message;

use std::{collections::HashSet, time::Duration};

use jiff::Timestamp;
use tidings_broker::PublishError;
use tidings_model::{LetterKey, LetterState, OperationId, Verb};
use tokio::time::{Instant, sleep_until};

pub use self::begin::Resumed;
use self::{
    begin::Parameters,
    canary::Canary,
    message::{again, envelope},
};
use super::{
    OperatorError, Stage, Tally, Watch,
    acting::Acting,
    ledger::{Outcomes, decided, reaches_back},
    pace::Clock,
};
use crate::{
    Planned,
    letter::{Raw, bodies},
};

/// A replay that has begun: the audit says so.
///
/// Claim, publish, resolve: a letter is claimed before its message goes, and resolved once the broker confirmed it.
/// Where a crash leaves a message in doubt, the ledger is asked whether it was sent; a copy that is under way still has
/// the same generation and turn, and a worker's memory swallows one of the two.
pub struct Replay {
    acting: Acting,
    /// The letters that it is for; of one that is resumed, those that it got.
    letters: Vec<Planned>,
    parameters: Parameters,
    /// How many it was begun for.
    planned: u64,
    clock: Clock,
    /// It was cut off: any of its letters may have been sent.
    resumed: bool,
    /// Of these the ledger no longer tells whether they were sent: they may have been delivered.
    forgotten: HashSet<LetterKey>,
    /// The letters whose messages were sent, in the order of sending.
    sent: Vec<LetterKey>,
    /// How many letters were through, in whatever way, before it was cut off.
    earlier: u64,
    outcomes: Option<Outcomes>,
    canary: Canary,
    began_at: Timestamp,
    tally: Tally,
}

impl std::fmt::Debug for Replay {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Replay")
            .field("operation", &self.acting.operation)
            .finish_non_exhaustive()
    }
}

/// How long the outcomes of the last messages are waited for, where failures are counted.
const LAST_ONES: Duration = Duration::from_secs(10);

impl Replay {
    fn new(
        acting: Acting,
        letters: Vec<Planned>,
        planned: u64,
        parameters: Parameters,
        began_at: Timestamp,
    ) -> Self {
        let lost = planned.saturating_sub(letters.len() as u64);
        let tally = Tally {
            skipped: parameters.left_alone + lost,
            ..Tally::default()
        };
        Self {
            acting,
            letters,
            clock: Clock::new(parameters.pace.rate),
            parameters,
            planned,
            resumed: false,
            forgotten: HashSet::new(),
            sent: Vec::new(),
            earlier: 0,
            outcomes: None,
            canary: Canary::Out,
            began_at,
            tally,
        }
    }

    /// Which operation it is.
    #[must_use]
    pub fn operation(&self) -> OperationId {
        self.acting.operation
    }

    /// How many letters it was begun for.
    #[must_use]
    pub fn planned(&self) -> u64 {
        self.planned
    }

    /// Sends the messages.
    ///
    /// # Errors
    /// When the broker goes away. It can be resumed.
    pub async fn run(mut self, watch: &Watch) -> Result<Tally, OperatorError> {
        self.tell(watch, Stage::Claiming);
        self.claim().await?;
        let letters = self.sort_out().await?;
        self.earlier = self.through();
        self.follow_outcomes(&letters).await?;
        self.send_all(&letters, watch).await?;
        if let Some(outcomes) = &mut self.outcomes {
            outcomes.catch_up()?;
        }
        let tally = self.total();
        if !tally.interrupted {
            self.acting.end(&tally).await?;
        }
        self.tell(watch, Stage::Acting);
        Ok(tally)
    }

    /// Claims what is not claimed yet. Nothing is sent before all claims are seen.
    async fn claim(&mut self) -> Result<(), OperatorError> {
        let (operation, register) = (self.acting.operation, &self.acting.register);
        let mine = |key| {
            let resolved_by = register
                .standing(key)
                .and_then(|standing| standing.resolved_by);
            register.holder(key) == Some(operation) || resolved_by == Some(operation)
        };
        let others = self.letters.iter().filter(|letter| !mine(&letter.key));
        let others: Vec<Planned> = others.cloned().collect();
        let take_over = self.parameters.request.take_over;
        Ok(self.acting.claim(&others, take_over).await?)
    }

    /// The letters whose messages are to be sent: this operation's own, and not sent already.
    async fn sort_out(&mut self) -> Result<Vec<Planned>, OperatorError> {
        let mut held = Vec::new();
        for letter in &self.letters {
            if self.has_sent(&letter.key) {
                self.sent.push(letter.key.clone());
            } else if self.acting.holds(&letter.key, Verb::Replay) {
                held.push(letter.clone());
            } else {
                self.acting.lose(&letter.key, &mut self.tally);
            }
        }
        let Some(since) = self.parameters.doubtful_since else {
            return Ok(held);
        };
        let register = &self.acting.register;
        let in_doubt = |key: &LetterKey| {
            let standing = register.standing(key);
            self.resumed || standing.is_some_and(|standing| standing.doubt.is_some())
        };
        let keys = held.iter().map(|letter| &letter.key);
        let doubtful: HashSet<LetterKey> = keys.filter(|key| in_doubt(key)).cloned().collect();
        let sent = doubtful.iter().map(again).collect();
        let found = decided(&**self.acting.broker(), since, &sent).await?;
        if !reaches_back(&**self.acting.broker(), since).await? {
            self.forgotten = doubtful;
        }
        let (sent, rest): (Vec<_>, Vec<_>) = held
            .into_iter()
            .partition(|letter| found.contains(&again(&letter.key)));
        self.resolve(sent.into_iter().map(|letter| letter.key).collect())
            .await?;
        Ok(rest)
    }

    /// Whether this operation sent the letter's message, here or elsewhere.
    fn has_sent(&self, key: &LetterKey) -> bool {
        let standing = self.acting.register.standing(key);
        standing.is_some_and(|standing| {
            standing.resolved_by == Some(self.acting.operation)
                && standing.state == LetterState::Replayed
        })
    }

    /// Follows what becomes of the messages that were and will be sent.
    async fn follow_outcomes(&mut self, letters: &[Planned]) -> Result<(), OperatorError> {
        if self.parameters.pace.watches() {
            let letters = letters.iter().map(|letter| &letter.key);
            let messages: HashSet<_> = self.sent.iter().chain(letters).map(again).collect();
            let broker = self.acting.broker();
            self.outcomes = Some(Outcomes::follow(&**broker, self.began_at, messages).await?);
        }
        Ok(())
    }

    async fn send_all(&mut self, letters: &[Planned], watch: &Watch) -> Result<(), OperatorError> {
        let mut rest = letters;
        let mut patient_until = None;
        loop {
            if let Some(outcomes) = &mut self.outcomes {
                outcomes.catch_up()?;
            }
            let canary = self.canary();
            self.tally.stopped = self.must_stop(canary);
            let ended = self.outcomes.as_ref().map_or(0, Outcomes::ended);
            // Where failures are counted, those of the last ones count as well, as far as they come soon.
            if rest.is_empty() && patient_until.is_none() {
                patient_until = Some(Instant::now() + LAST_ONES);
            }
            let waits = patient_until.filter(|until| *until > Instant::now());
            let counted = self.parameters.pace.stop_after_failures.is_none()
                || ended >= self.sent.len()
                || (rest.is_empty() && waits.is_none());
            let through = rest.is_empty() && canary == Canary::Passed && counted;
            if through || self.tally.stopped.is_some() {
                return Ok(());
            }
            let passed = canary == Canary::Passed;
            let room = self.parameters.pace.room(self.sent.len(), ended, passed);
            let wait = room == 0 || rest.is_empty();
            self.tell(watch, if wait { Stage::Waiting } else { Stage::Acting });
            tokio::select! {
                biased;
                () = watch.stop.cancelled() => {
                    self.tally.interrupted = true;
                    return Ok(());
                }
                more = more(&mut self.outcomes), if wait => more?,
                () = sleep_until(waits.unwrap_or_else(Instant::now)), if waits.is_some() => {}
                () = self.clock.tick(), if !wait => {
                    let hand = &rest[..room.min(rest.len())];
                    let (found, left) = bodies(&**self.acting.broker(), hand).await?;
                    let taken = hand.len() - left.len();
                    rest = &rest[taken..];
                    self.tally.skipped += (taken - found.len()) as u64;
                    self.send(found).await?;
                }
            }
        }
    }

    /// What became of those that went first; where there are fewer, of all. Once they passed, that holds.
    fn canary(&mut self) -> Canary {
        let (Some(canary), Some(outcomes)) = (self.parameters.pace.canary, &self.outcomes) else {
            return Canary::Passed;
        };
        if self.canary != Canary::Passed {
            let mine = self.planned - self.lost();
            let wanted = canary.min(usize::try_from(mine).unwrap_or(usize::MAX));
            let outcomes = self.sent.iter().map(|key| outcomes.outcome(&again(key)));
            self.canary = Canary::judge(outcomes, wanted, self.tally.failed);
        }
        self.canary
    }

    fn must_stop(&self, canary: Canary) -> Option<String> {
        if let Canary::Failed(failed) = canary {
            return Some(format!("of the canary {failed} failed"));
        }
        let died = self.outcomes.as_ref().map_or(0, Outcomes::died) as u64;
        let failed = died + self.tally.failed;
        self.parameters
            .pace
            .stop_after_failures
            .filter(|most| failed >= *most)
            .map(|_| format!("{failed} failed"))
    }

    /// Sends messages again, and resolves the letters of those that the broker has.
    async fn send(&mut self, letters: Vec<Raw>) -> Result<(), OperatorError> {
        let mut on_their_way = Vec::with_capacity(letters.len());
        let mut broken = None;
        for letter in letters {
            // The same operation may go on elsewhere, or somebody may have taken it over meanwhile.
            if self.has_sent(&letter.key) {
                self.sent.push(letter.key);
                continue;
            }
            if !self.acting.holds(&letter.key, Verb::Replay) {
                self.acting.lose(&letter.key, &mut self.tally);
                continue;
            }
            self.clock.tick().await;
            let forgotten = self.forgotten.contains(&letter.key);
            let maybe_delivered = letter.head.maybe_delivered || forgotten;
            let consent = self.parameters.request.including_unknown;
            let Some((key, envelope)) = envelope(letter, maybe_delivered, consent) else {
                self.tally.skipped += 1;
                continue;
            };
            self.clock.went();
            match self.acting.broker().publish(envelope).await {
                Ok(confirmation) => on_their_way.push((key, confirmation)),
                Err(error) => self.not_sent(error, &mut broken),
            }
        }
        let mut sent = Vec::with_capacity(on_their_way.len());
        for (key, confirmation) in on_their_way {
            match confirmation.await {
                Ok(()) => sent.push(key),
                Err(error) => self.not_sent(error, &mut broken),
            }
        }
        self.resolve(sent).await?;
        broken.map_or(Ok(()), |error| Err(OperatorError::Publish(error)))
    }

    /// A message that the broker refuses is a failure; a broker that is away ends the run.
    fn not_sent(&mut self, error: PublishError, broken: &mut Option<PublishError>) {
        match error {
            PublishError::Away(_) | PublishError::Lost(_) | PublishError::Blocked(_) => {
                *broken = Some(error);
            }
            refused => self.tally.fail(&refused),
        }
    }

    async fn resolve(&mut self, letters: Vec<LetterKey>) -> Result<(), OperatorError> {
        let state = LetterState::Replayed;
        self.acting.resolve(&letters, state, None).await?;
        self.sent.extend(letters);
        Ok(())
    }

    /// What it has come to: what was neither sent nor refused was skipped.
    fn total(&self) -> Tally {
        let died = self.outcomes.as_ref().map_or(0, Outcomes::died) as u64;
        let failed = self.tally.failed + died;
        let done = (self.sent.len() as u64).saturating_sub(died);
        let all = self.planned + self.parameters.left_alone;
        let mut tally = Tally {
            done,
            failed,
            skipped: all.saturating_sub(done + failed),
            ..self.tally.clone()
        };
        if died > 0 {
            let words = "died again: `tidings-dlq list` shows them".to_owned();
            tally.failures.insert(words, died);
        }
        tally
    }

    fn tell(&self, watch: &Watch, stage: Stage) {
        let total = self.total();
        watch.progress.send_modify(|progress| {
            progress.stage = stage;
            (progress.planned, progress.earlier) = (self.planned, self.earlier);
            (progress.done, progress.failed) = (total.done, total.failed);
            progress.skipped = self.lost();
        });
    }

    fn through(&self) -> u64 {
        let total = self.total();
        total.done + total.failed + self.lost()
    }

    /// How many letters of the plan went to somebody else.
    fn lost(&self) -> u64 {
        self.tally.skipped - self.parameters.left_alone
    }
}

async fn more(outcomes: &mut Option<Outcomes>) -> Result<(), OperatorError> {
    match outcomes {
        Some(outcomes) => Ok(outcomes.more().await?),
        None => std::future::pending().await,
    }
}
