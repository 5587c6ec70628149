//! How a replay begins, and how it begins again where it was cut off.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tidings_broker::ReadFrom;
use tidings_model::{OperationId, Verb};

use super::{
    super::{Operator, OperatorError, Pace, Tally, acting::Acting},
    Replay,
};
use crate::{Plan, Register, Request};

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
pub(super) struct Parameters {
    pub(super) request: Request,
    pub(super) pace: Pace,
    /// How many letters its plan left alone.
    #[serde(default)]
    pub(super) left_alone: u64,
    /// Since when its letters may have been sent by others, where they may.
    #[serde(default)]
    pub(super) doubtful_since: Option<Timestamp>,
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
        // What was sent shows that all claims were there, also where others had been first and it claimed fewer.
        let claimed = known.claimed >= began.planned || known.resolved > 0;
        let (letters, planned) = if claimed {
            (register.letters_of(operation), began.planned)
        } else {
            let (request, own) = (parameters.request.clone(), Some(operation));
            let (broker, register) = (&*self.broker, register.clone());
            let plan = Plan::again(broker, Verb::Replay, request, began.at, register, own).await?;
            parameters.left_alone = plan.left_alone();
            let planned = plan.planned();
            (plan.letters, planned)
        };
        let acting = Acting::follow(self, register, operation).await?;
        let mut replay = Replay::new(acting, letters, planned, parameters, began.at);
        replay.resumed = true;
        Ok(Resumed::Replay(Box::new(replay)))
    }
}

/// Since when letters of a plan may have been sent by operations that it, or another before it, took over.
fn earlier_claims(plan: &Plan) -> Option<Timestamp> {
    let letters = plan.letters.iter();
    letters
        .filter_map(|letter| plan.register.in_doubt_since(&letter.key))
        .min()
}
