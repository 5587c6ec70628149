use std::collections::HashSet;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tidings_broker::{Envelope, PublishError, ReadFrom};
use tidings_model::{Headers, LetterKey, LetterState, Message, MessageId, OperationId, Verb};

use super::{
    Operator, OperatorError, Pace, Stage, Tally, Watch,
    acting::Acting,
    ledger::{Outcomes, decided, reaches_back},
    pace::Clock,
};
use crate::{
    Plan, Planned, Register, Request,
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
    /// The ledger no longer tells which of them were: all of them may have been delivered.
    forgotten: bool,
    /// The letters whose messages were sent, in the order of sending.
    sent: Vec<LetterKey>,
    outcomes: Option<Outcomes>,
    began_at: Timestamp,
    tally: Tally,
}

/// What became of those that went first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Canary {
    /// They are not all sent, or have not all ended.
    Out,
    /// All were delivered.
    Passed,
    /// So many were not.
    Failed(u64),
}

/// What resuming an operation leads to.
#[derive(Debug)]
pub enum Resumed {
    /// It goes on.
    Replay(Box<Replay>),
    /// It had ended, and this is what it came to.
    Ended(Tally),
}

/// What the audit keeps of a replay, so that it can be resumed.
#[derive(Debug, Serialize, Deserialize)]
struct Parameters {
    request: Request,
    pace: Pace,
    /// How many letters its plan left alone.
    #[serde(default)]
    left_alone: u64,
    /// Since when its letters may have been sent by others, where they may.
    #[serde(default)]
    doubtful_since: Option<Timestamp>,
}

impl std::fmt::Debug for Replay {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Replay")
            .field("operation", &self.acting.operation)
            .finish_non_exhaustive()
    }
}

impl Operator {
    /// Begins what a plan of a replay says.
    ///
    /// # Errors
    /// When the broker is away or does not let this user write to the dead letters.
    pub async fn replay(&self, mut plan: Plan, pace: Pace) -> Result<Replay, OperatorError> {
        let parameters = Parameters {
            request: plan.request.clone(),
            pace,
            left_alone: plan.left_alone(),
            doubtful_since: earlier_claims(&plan),
        };
        // Plain data with string keys: writing it cannot fail.
        let json = serde_json::to_value(&parameters).unwrap_or_default();
        let began = self.began(&plan, None, json);
        let began_at = began.at;
        let register = std::mem::take(&mut plan.register);
        let acting = Acting::begin(self, register, began).await?;
        let planned = plan.planned();
        Ok(Replay::new(
            acting,
            plan.letters,
            planned,
            parameters,
            began_at,
        ))
    }

    /// Goes on with a replay that was cut off, with the letters that it was begun for.
    ///
    /// # Errors
    /// When it is unknown, no replay, or somebody else's and `take_over` is not set.
    pub async fn resume(
        &self,
        operation: OperationId,
        take_over: bool,
    ) -> Result<Resumed, OperatorError> {
        let register = Register::read(&*self.broker, ReadFrom::First).await?;
        let known = register.operation(operation);
        let known = known.ok_or(OperatorError::Unknown(operation))?;
        if let Some(ended) = &known.ended {
            return Ok(Resumed::Ended(ended.into()));
        }
        let began = known.began.clone();
        let began = began.ok_or(OperatorError::Unknown(operation))?;
        if began.verb != Verb::Replay {
            return Err(OperatorError::NoReplay(operation, began.verb));
        }
        if began.by != self.by && !take_over {
            let by = began.by;
            return Err(OperatorError::Anothers { operation, by });
        }
        let mut parameters: Parameters = serde_json::from_value(began.parameters)
            .map_err(|error| OperatorError::Parameters(operation, error.to_string()))?;
        parameters.doubtful_since = parameters
            .doubtful_since
            .min(Some(began.at))
            .or(Some(began.at));
        let (letters, planned) = if known.claimed >= began.planned {
            (register.letters_of(operation), began.planned)
        } else {
            // Nothing was sent yet.
            let (request, own) = (parameters.request.clone(), Some(operation));
            let (broker, register) = (&*self.broker, register.clone());
            let plan = Plan::again(broker, Verb::Replay, request, began.at, register, own).await?;
            parameters.left_alone = plan.left_alone();
            let planned = plan.planned();
            (plan.letters, planned)
        };
        let acting = Acting::follow(self, register, operation).await?;
        let replay = Replay::new(acting, letters, planned, parameters, began.at);
        Ok(Resumed::Replay(Box::new(replay)))
    }
}

/// Since when letters of a plan may have been sent by the operations that it takes over.
fn earlier_claims(plan: &Plan) -> Option<Timestamp> {
    if !plan.request.take_over {
        return None;
    }
    let holders = plan.letters.iter().filter_map(|letter| {
        let holder = plan.register.holder(&letter.key)?;
        let began = plan.register.operation(holder)?.began.as_ref();
        Some(began.map_or(Timestamp::MIN, |began| began.at))
    });
    holders.min()
}

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
            forgotten: false,
            sent: Vec::new(),
            outcomes: None,
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
        self.follow_outcomes().await?;
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
            let standing = self.acting.register.standing(&letter.key);
            let done = standing.is_some_and(|standing| {
                standing.resolved_by == Some(self.acting.operation)
                    && standing.state == LetterState::Replayed
            });
            if done {
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
        self.forgotten = !reaches_back(&**self.acting.broker(), since).await?;
        let doubtful = held.iter().map(|letter| again(&letter.key)).collect();
        let found = decided(&**self.acting.broker(), since, &doubtful).await?;
        let (sent, rest): (Vec<_>, Vec<_>) = held
            .into_iter()
            .partition(|letter| found.contains(&again(&letter.key)));
        self.resolve(sent.into_iter().map(|letter| letter.key).collect())
            .await?;
        Ok(rest)
    }

    async fn follow_outcomes(&mut self) -> Result<(), OperatorError> {
        if self.parameters.pace.watches() {
            let messages = self.letters.iter().map(|letter| again(&letter.key));
            let messages: HashSet<_> = messages.collect();
            let broker = self.acting.broker();
            self.outcomes = Some(Outcomes::follow(&**broker, self.began_at, messages).await?);
        }
        Ok(())
    }

    async fn send_all(&mut self, letters: &[Planned], watch: &Watch) -> Result<(), OperatorError> {
        let mut rest = letters;
        loop {
            if let Some(outcomes) = &mut self.outcomes {
                outcomes.catch_up()?;
            }
            let canary = self.canary();
            self.tally.stopped = self.must_stop(canary);
            let through = rest.is_empty() && canary == Canary::Passed;
            if through || self.tally.stopped.is_some() {
                return Ok(());
            }
            let ended = self.outcomes.as_ref().map_or(0, Outcomes::ended);
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

    /// What became of those that went first. Where there are fewer, of all.
    fn canary(&self) -> Canary {
        let (Some(canary), Some(outcomes)) = (self.parameters.pace.canary, &self.outcomes) else {
            return Canary::Passed;
        };
        let mine = usize::try_from(self.planned - self.lost()).unwrap_or(usize::MAX);
        let first = &self.sent[..canary.min(mine).min(self.sent.len())];
        let outcome = |key| outcomes.outcome(&again(key));
        let died = first.iter().filter(|key| outcome(key) == Some(false));
        let died = died.count() as u64 + self.tally.failed;
        let all = first.len() == canary.min(mine) && first.iter().all(|key| outcome(key).is_some());
        match (all, died) {
            (true, 0) => Canary::Passed,
            (false, _) if self.tally.failed == 0 => Canary::Out,
            (_, failed) => Canary::Failed(failed),
        }
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
            // Somebody may have taken it over meanwhile.
            if !self.acting.holds(&letter.key, Verb::Replay) {
                self.acting.lose(&letter.key, &mut self.tally);
                continue;
            }
            self.clock.tick().await;
            let maybe_delivered = letter.head.maybe_delivered || self.forgotten;
            let consent = self.parameters.request.including_unknown;
            let Some((key, envelope)) = envelope(letter, maybe_delivered, consent) else {
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

    fn lost(&self) -> u64 {
        self.tally.skipped - self.parameters.left_alone + self.tally.failed
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
            progress.planned = self.planned;
            (progress.done, progress.failed) = (total.done, total.failed);
            progress.skipped = self.tally.skipped - self.parameters.left_alone;
        });
    }
}

async fn more(outcomes: &mut Option<Outcomes>) -> Result<(), OperatorError> {
    match outcomes {
        Some(outcomes) => Ok(outcomes.more().await?),
        None => std::future::pending().await,
    }
}

/// Names the message that a letter's replay sends.
fn again(key: &LetterKey) -> LetterKey {
    match key {
        LetterKey::Message { id, generation } => LetterKey::Message {
            id: id.clone(),
            generation: generation.saturating_add(1),
        },
        place @ LetterKey::Place { .. } => place.clone(),
    }
}

/// The message as it is sent again, with the bytes that it always had.
fn envelope(letter: Raw, maybe_delivered: bool, consent: bool) -> Option<(LetterKey, Envelope)> {
    let message = Message::decode(&letter.body).ok()?;
    let due = Some(message.due()).filter(|due| *due > Timestamp::now());
    let id: MessageId = message.id;
    let envelope = Envelope {
        account: message.account,
        id,
        body: letter.body,
        headers: Headers {
            generation: letter.head.generation.saturating_add(1),
            due,
            maybe_delivered,
            consent: consent && maybe_delivered,
            ..Headers::default()
        },
    };
    Some((letter.key, envelope))
}
