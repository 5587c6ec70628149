use std::collections::HashSet;

use jiff::Timestamp;
use tidings_broker::DeadRecord;
use tidings_model::{Began, LetterKey, LetterState, OperationId, Verb};
use uuid::Uuid;

use super::{Operator, OperatorError, Stage, Tally, Watch, acting::Acting};
use crate::{Plan, Planned, letter::bodies};

/// How many letters are settled together.
const TOGETHER: usize = 500;

/// A discarding, restoring or renewing that has begun.
pub struct Settling {
    acting: Acting,
    plan: Plan,
}

impl std::fmt::Debug for Settling {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Settling")
            .field("operation", &self.acting.operation)
            .finish_non_exhaustive()
    }
}

impl Operator {
    /// Begins what a plan of a discarding, restoring or renewing says; `why` goes into the audit.
    ///
    /// # Errors
    /// When the broker is away or does not let this user write to the dead letters.
    pub async fn settle(
        &self,
        mut plan: Plan,
        why: Option<String>,
    ) -> Result<Settling, OperatorError> {
        let began = self.began(&plan, why, serde_json::Value::Null);
        let register = std::mem::take(&mut plan.register);
        let acting = Acting::begin(self, register, began).await?;
        Ok(Settling { acting, plan })
    }

    pub(super) fn began(
        &self,
        plan: &Plan,
        why: Option<String>,
        parameters: serde_json::Value,
    ) -> Began {
        Began {
            operation: Uuid::now_v7().into(),
            verb: plan.verb,
            by: self.by.clone(),
            at: Timestamp::now(),
            which: plan.request.to_string(),
            planned: plan.planned(),
            why,
            parameters,
        }
    }
}

impl Settling {
    /// Which operation it is.
    #[must_use]
    pub fn operation(&self) -> OperationId {
        self.acting.operation
    }

    /// Does it.
    ///
    /// # Errors
    /// When the broker goes away. Doing it again, with `take_over`, does the rest.
    pub async fn run(mut self, watch: &Watch) -> Result<Tally, OperatorError> {
        let letters = std::mem::take(&mut self.plan.letters);
        let mut tally = Tally {
            skipped: self.plan.left_alone(),
            ..Tally::default()
        };
        self.acting
            .claim(&letters, self.plan.request.take_over)
            .await?;
        for letters in letters.chunks(TOGETHER) {
            if watch.stop.is_cancelled() {
                tally.stopped = Some("it was interrupted".into());
                break;
            }
            let verb = self.plan.verb;
            let (held, others): (Vec<_>, Vec<_>) = letters
                .iter()
                .partition(|letter| self.acting.holds(&letter.key, verb));
            for letter in others {
                self.acting.lose(&letter.key, &mut tally);
            }
            let held: Vec<Planned> = held.into_iter().cloned().collect();
            self.settle(&held, &mut tally).await?;
            watch.progress.send_modify(|progress| {
                progress.stage = Stage::Acting;
                progress.planned = self.plan.planned();
                (progress.done, progress.skipped) = (tally.done, tally.skipped);
            });
        }
        let planned = letters.len() as u64 + self.plan.left_alone();
        tally.skipped = planned - tally.done;
        self.acting.end(&tally).await?;
        Ok(tally)
    }

    async fn settle(
        &mut self,
        letters: &[Planned],
        tally: &mut Tally,
    ) -> Result<(), OperatorError> {
        let state = match self.plan.verb {
            Verb::Discard => LetterState::Discarded,
            _ => LetterState::Open,
        };
        let keys: Vec<LetterKey> = match self.plan.verb {
            Verb::Renew => self.write_again(letters).await?,
            _ => letters.iter().map(|letter| letter.key.clone()).collect(),
        };
        self.acting.resolve(&keys, state, None).await?;
        tally.done += keys.len() as u64;
        Ok(())
    }

    /// Writes letters again, and returns those that were still there.
    async fn write_again(&mut self, letters: &[Planned]) -> Result<Vec<LetterKey>, OperatorError> {
        let mut written = HashSet::new();
        let mut rest = letters;
        while !rest.is_empty() {
            let (found, left) = bodies(&**self.acting.broker(), rest).await?;
            rest = left;
            let keys: Vec<_> = found.iter().map(|letter| letter.key.clone()).collect();
            let records = found.into_iter().map(|letter| DeadRecord::Letter {
                head: letter.head.copy_of(&letter.key),
                body: letter.body,
            });
            self.acting.broker().record(records.collect()).await?;
            written.extend(keys);
        }
        Ok(written.into_iter().collect())
    }
}
