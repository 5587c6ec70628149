use std::{
    collections::{HashSet, VecDeque},
    time::Duration,
};

use futures::{Stream, StreamExt, stream};
use jiff::Timestamp;
use tidings_broker::{Broker, BrokerError, EntryKind, LedgerEntry, ReadFrom, ReadUntil};
use tidings_model::{Account, MessageId, Outcome, Record, Verdicted};

/// How many (id, generation) are remembered in order to tell each once. Copies of an outcome stand close together.
const REMEMBERED: usize = 200_000;

/// The clocks of broker and workers agree within a few seconds: reading begins so much earlier than what is asked for.
const SKEW: Duration = Duration::from_secs(60);

/// Which outcomes to read. By default all that the ledger keeps, up to now.
#[derive(Debug, Clone, Default)]
pub struct Outcomes {
    accounts: HashSet<Account>,
    ids: HashSet<MessageId>,
    since: Option<Timestamp>,
    follow: bool,
}

impl Outcomes {
    /// Only those of this account; of any of them where it is called several times.
    #[must_use]
    pub fn account(mut self, account: Account) -> Self {
        self.accounts.insert(account);
        self
    }

    /// Only those of this message; of any of them where it is called several times.
    #[must_use]
    pub fn id(mut self, id: MessageId) -> Self {
        self.ids.insert(id);
        self
    }

    /// Only those decided then or later.
    #[must_use]
    pub fn since(mut self, at: Timestamp) -> Self {
        self.since = Some(at);
        self
    }

    /// Goes on with what is decided later, without an end.
    #[must_use]
    pub fn follow(mut self) -> Self {
        self.follow = true;
        self
    }

    fn includes(&self, outcome: &Outcome) -> bool {
        let of_account = self.accounts.is_empty() || self.accounts.contains(outcome.account());
        let of_id = self.ids.is_empty() || self.ids.contains(outcome.id());
        of_account && of_id && self.since.is_none_or(|since| outcome.at() >= since)
    }
}

pub(crate) async fn read(
    broker: &dyn Broker,
    which: Outcomes,
) -> Result<impl Stream<Item = Result<Outcome, BrokerError>> + Unpin + use<>, BrokerError> {
    let from = which.since.map_or(ReadFrom::First, begin);
    let until = if which.follow {
        ReadUntil::Forever
    } else {
        ReadUntil::Now
    };
    let mut told = Told::default();
    let entries = broker.ledger(from, until).await?;
    Ok(entries.flat_map(move |entry| {
        stream::iter(match entry {
            Ok(entry) => ended(&entry)
                .filter(|outcome| which.includes(outcome) && told.is_first(outcome))
                .map(Ok)
                .collect(),
            Err(error) => vec![Err(error)],
        })
    }))
}

fn begin(since: Timestamp) -> ReadFrom {
    since
        .checked_sub(SKEW)
        .map_or(ReadFrom::First, ReadFrom::Since)
}

fn ended(entry: &LedgerEntry) -> impl Iterator<Item = Outcome> + '_ {
    let decisions = (entry.kind == EntryKind::Decisions).then(|| entry.records());
    decisions
        .into_iter()
        .flatten()
        .filter_map(|record| match record {
            Record::Decided(decision) => match decision.verdicted {
                Verdicted::Ended { outcome, .. } => Some(outcome),
                Verdicted::PutBack { .. } => None,
            },
            _ => None,
        })
}

/// The outcomes told lately.
#[derive(Debug, Default)]
struct Told {
    known: HashSet<(MessageId, u32)>,
    oldest_first: VecDeque<(MessageId, u32)>,
}

impl Told {
    fn is_first(&mut self, outcome: &Outcome) -> bool {
        let key = (outcome.id().clone(), outcome.generation());
        if !self.known.insert(key.clone()) {
            return false;
        }
        self.oldest_first.push_back(key);
        if self.oldest_first.len() > REMEMBERED
            && let Some(oldest) = self.oldest_first.pop_front()
        {
            self.known.remove(&oldest);
        }
        true
    }
}
