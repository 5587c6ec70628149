use std::sync::Arc;

use futures::stream::BoxStream;
use jiff::Timestamp;
use tidings_broker::{Broker, BrokerError, DeadEntry, DeadRecord, ReadFrom, ReadUntil};
use tidings_model::{
    Audit, Began, Claim, Ended, LetterKey, LetterState, MessageId, OperationId, Resolution, Verb,
};

use super::{Operator, Tally};
use crate::{Planned, Register, follow::read_next};

/// How many letters one claim or resolution names.
const NAMED: usize = 500;

/// An operation under way: it writes to the dead stream, and reads on until it sees what it wrote, so that it knows
/// what anybody else wrote before.
pub(super) struct Acting {
    pub(super) operator: Operator,
    pub(super) operation: OperationId,
    pub(super) register: Register,
    entries: BoxStream<'static, Result<DeadEntry, BrokerError>>,
}

impl Acting {
    /// Writes that an operation begins.
    pub(super) async fn begin(
        operator: &Operator,
        register: Register,
        began: Began,
    ) -> Result<Self, BrokerError> {
        let operation = began.operation;
        let record = DeadRecord::Audit(Audit::Began(began));
        operator.broker.record(vec![record]).await?;
        Self::follow(operator, register, operation).await
    }

    /// Goes on with one that has begun.
    pub(super) async fn follow(
        operator: &Operator,
        register: Register,
        operation: OperationId,
    ) -> Result<Self, BrokerError> {
        let from = register.position().map_or(ReadFrom::First, ReadFrom::After);
        Ok(Self {
            entries: operator.broker.dead(from, ReadUntil::Forever).await?,
            operator: operator.clone(),
            operation,
            register,
        })
    }

    pub(super) fn broker(&self) -> &Arc<dyn Broker> {
        &self.operator.broker
    }

    /// Claims letters, and returns once the claims are seen: the first in the stream's order holds.
    pub(super) async fn claim(
        &mut self,
        letters: &[Planned],
        take_over: bool,
    ) -> Result<(), BrokerError> {
        let claims = letters.chunks(NAMED).map(|letters| {
            DeadRecord::Claim(Claim {
                operation: self.operation,
                by: self.operator.by.clone(),
                at: Timestamp::now(),
                letters: letters.iter().map(|one| one.key.clone()).collect(),
                take_over,
            })
        });
        let claims: Vec<_> = claims.collect();
        let claimed = |acting: &Self| acting.count(|operation| operation.claimed);
        let until = claimed(self) + letters.len() as u64;
        self.broker().record(claims).await?;
        self.read_on(|acting| claimed(acting) >= until).await
    }

    /// Whether a letter is this operation's, and in the state that it was claimed in.
    pub(super) fn holds(&self, key: &LetterKey, verb: Verb) -> bool {
        let open = self.register.state(key) == LetterState::Open;
        self.register.holder(key) == Some(self.operation) && open != (verb == Verb::Restore)
    }

    /// Writes what became of letters, and returns once that is seen.
    pub(super) async fn resolve(
        &mut self,
        letters: &[LetterKey],
        state: LetterState,
        new_id: Option<&MessageId>,
    ) -> Result<(), BrokerError> {
        let resolutions = letters.chunks(NAMED).map(|letters| {
            DeadRecord::Resolution(Resolution {
                operation: self.operation,
                at: Timestamp::now(),
                letters: letters.to_vec(),
                state,
                new_id: new_id.cloned(),
            })
        });
        let resolutions: Vec<_> = resolutions.collect();
        let resolved = |acting: &Self| acting.count(|operation| operation.resolved);
        let until = resolved(self) + letters.len() as u64;
        self.broker().record(resolutions).await?;
        self.read_on(|acting| resolved(acting) >= until).await
    }

    /// Writes that the operation has ended.
    pub(super) async fn end(&self, tally: &Tally) -> Result<(), BrokerError> {
        let ended = Ended {
            operation: self.operation,
            by: self.operator.by.clone(),
            at: Timestamp::now(),
            done: tally.done,
            failed: tally.failed,
            skipped: tally.skipped,
            stopped: tally.stopped.clone(),
        };
        let record = DeadRecord::Audit(Audit::Ended(ended));
        self.broker().record(vec![record]).await
    }

    /// Of letters that are not this operation's: whose they are goes into the tally.
    pub(super) fn lose(&self, key: &LetterKey, tally: &mut Tally) {
        tally.skipped += 1;
        let resolved_by = || self.register.standing(key)?.resolved_by;
        let winner = self.register.holder(key).or_else(resolved_by);
        if let Some(winner) = winner.filter(|winner| *winner != self.operation) {
            *tally.lost.entry(winner).or_default() += 1;
        }
    }

    fn count(&self, what: impl Fn(&crate::Operation) -> u64) -> u64 {
        self.register.operation(self.operation).map_or(0, what)
    }

    async fn read_on(&mut self, seen: impl Fn(&Self) -> bool) -> Result<(), BrokerError> {
        let broker = Arc::clone(self.broker());
        while !seen(self) {
            let entry = read_next(&mut self.entries, &*broker).await?;
            self.register.take_in(&entry);
        }
        Ok(())
    }
}
