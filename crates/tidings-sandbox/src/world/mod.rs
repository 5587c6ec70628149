mod work;

use std::sync::Arc;
use std::time::Duration;

use axum::http::header::{DATE, RETRY_AFTER};

use crate::answer::Answer;
use crate::book::Book;
use crate::call::Call;
use crate::clock::Moment;
use crate::faults::{Caller, Failure, Fault, Faults, Limits, Mischief, Recorded};
use crate::groups::Groups;
use crate::names::Names;
use crate::providers::Shape;
use crate::received::{AccountSummary, Summary};
use crate::spoil::{status, whole_seconds};
use crate::traffic::Traffic;

/// The five providers and all they know. Its decisions are functions of a call and a moment; the lock is the desk's.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) names: Names,
    pub(crate) book: Book,
    groups: Groups,
    traffic: Traffic,
    mischief: Mischief,
    limits: Limits,
    room_for_bodies: usize,
}

/// What becomes of a call.
#[derive(Debug)]
pub(crate) struct Ruling {
    /// The caller waits this long.
    pub(crate) wait: Duration,
    pub(crate) ending: Ending,
    /// The provider does its work only after this time.
    pub(crate) late: Option<(Duration, Call)>,
}

/// What the caller gets.
#[derive(Debug)]
pub(crate) enum Ending {
    Answer(Answer),
    Hang,
    Reset,
}

/// Who called about what, by number.
#[derive(Clone, Copy, Debug)]
struct Who {
    account: u32,
    destination: u32,
}

impl World {
    pub(crate) fn new(faults: Faults, room_for_bodies: usize) -> Self {
        let limits = Limits::new(faults.limits.clone());
        Self {
            names: Names::default(),
            book: Book::new(room_for_bodies),
            groups: Groups::default(),
            traffic: Traffic::default(),
            mischief: Mischief::new(faults),
            limits,
            room_for_bodies,
        }
    }

    /// Forgets everything but the faults.
    pub(crate) fn forget(&mut self) {
        *self = Self::new(self.mischief.faults.clone(), self.room_for_bodies);
    }

    pub(crate) fn faults(&self) -> &Faults {
        &self.mischief.faults
    }

    /// Other faults from now on, which count from zero.
    pub(crate) fn set_faults(&mut self, faults: Faults) {
        self.limits = Limits::new(faults.limits.clone());
        self.mischief = Mischief::new(faults);
    }

    /// Takes a call: limits first, then faults, then the provider itself.
    pub(crate) fn take(&mut self, call: Call, now: Moment) -> Ruling {
        let who = self.who(&call);
        self.traffic.call(who.account, who.destination, now);
        let fingerprint = Arc::clone(&self.names.accounts[who.account as usize].fingerprint);
        let caller = Caller {
            provider: call.provider,
            operation: call.operation(),
            token: &call.token,
            fingerprint: &fingerprint,
            destination: &call.destination,
        };
        let wait = self.mischief.latency(&caller);
        let checked = self
            .limits
            .check(&caller, who.account, who.destination, now);
        self.traffic.tally(who.account).violations += checked.violations;
        if let Some((code, wait_for)) = checked.refused {
            let answer = self.refuse_too_fast(&call, who, code, wait_for, now);
            return Ruling {
                wait,
                ending: Ending::Answer(answer),
                late: None,
            };
        }
        let Some(fault) = self.mischief.strike(&caller) else {
            let answer = self.work(call, Shape::Page, None, now);
            return Ruling {
                wait,
                ending: Ending::Answer(answer),
                late: None,
            };
        };
        self.traffic.tally(who.account).faults += 1;
        self.suffer(call, who, &fault, wait, now)
    }

    pub(crate) fn summary(&self) -> Summary {
        let mut summary = Summary {
            struck: self.mischief.struck(),
            ..Summary::default()
        };
        for (account, traffic) in self.names.accounts.iter().zip(self.traffic.accounts()) {
            summary.tally.add(&traffic.tally);
            summary
                .providers
                .entry(account.provider)
                .or_default()
                .add(&traffic.tally);
            summary.accounts.push(AccountSummary {
                provider: account.provider,
                account: account.fingerprint.to_string(),
                tally: traffic.tally,
                most: traffic.most(),
                most_to_one_destination: traffic.most_to_one(),
            });
        }
        let accepted = &self.book.accepted;
        let at = |index: usize| accepted.get(index).map(|entry| entry.at.millis());
        summary.first_ms = at(0);
        summary.tenth_ms = at(accepted.len() / 10);
        summary.last_ms = at(accepted.len().wrapping_sub(1));
        summary
            .refused_by_status
            .clone_from(&self.book.refused_by_status);
        summary
    }

    fn who(&mut self, call: &Call) -> Who {
        let account = self.names.account(call.provider, &call.token);
        Who {
            account,
            destination: self.names.destination(&call.destination),
        }
    }

    fn refuse_too_fast(
        &mut self,
        call: &Call,
        who: Who,
        code: u16,
        wait: Option<Duration>,
        at: Moment,
    ) -> Answer {
        let mut answer = call.provider.error(status(code), "Too Many Requests");
        if let Some(wait) = wait {
            answer = answer.header(RETRY_AFTER, &whole_seconds(wait));
        }
        self.refuse(call, who, "faster than the limit".into(), answer, at)
    }

    fn suffer(
        &mut self,
        call: Call,
        who: Who,
        fault: &Fault,
        wait: Duration,
        now: Moment,
    ) -> Ruling {
        let provider = call.provider;
        let name = fault.failure.name();
        let mut late = None;
        let worked = match fault.recorded() {
            Recorded::Yes => {
                let shape = if fault.failure == Failure::OtherShape {
                    Shape::Other
                } else {
                    Shape::Page
                };
                Some(self.work(call, shape, Some(name), now))
            }
            Recorded::Late(after) => {
                late = Some((after.0, call));
                None
            }
            Recorded::No => {
                self.write_refusal(
                    &call,
                    who,
                    fault.failure.status(provider),
                    format!("fault: {name}").into(),
                    now,
                );
                None
            }
        };
        let ending = fault.failure.ending(
            provider,
            worked,
            now.shifted(self.mischief.faults.clock_ahead_ms),
        );
        Ruling { wait, ending, late }
    }

    /// The `Date` of an answer, where the providers' clocks are not this host's.
    pub(crate) fn dated(&self, answer: Answer, now: Moment) -> Answer {
        match self.mischief.faults.clock_ahead_ms {
            0 => answer,
            ahead => answer.header(DATE, &now.shifted(ahead).http_date()),
        }
    }
}
