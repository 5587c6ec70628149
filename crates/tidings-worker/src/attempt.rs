//! Making calls: the account's client, one attempt, one reading of an index.

use std::{
    collections::HashMap,
    fmt,
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures::FutureExt as _;
use jiff::Timestamp;
use secrecy::{ExposeSecret as _, SecretString};
use tidings_broker::{Fence, Ticket};
use tidings_model::{
    Account, Headers, Message, Provider, Verdict, config::AccountConfig, config::SecretSource,
};
use tidings_providers::{Answer, Client, ClientError, LookUp};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::{gate::Showed, limits::AccountLimit, traces::Traces};

/// Fetches a secret from where the configuration says it is. Only a binary knows how.
pub type Secrets = Arc<dyn Fn(&SecretSource) -> Result<SecretString, String> + Send + Sync>;

/// Makes an account's calls.
pub(crate) struct Caller {
    account: Account,
    config: AccountConfig,
    secrets: Secrets,
    traces: Traces,
    current: Mutex<(SecretString, Arc<Client>)>,
}

/// Why an account's calls cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum CallerError {
    /// Its secret is not where the configuration says.
    #[error("the secret of account {account} cannot be read from {source_name}: {why}")]
    Secret {
        /// Whose.
        account: Account,
        /// Where it should be.
        source_name: String,
        /// What went wrong there.
        why: String,
    },
    /// No client can be made of its configuration.
    #[error("account {account}: {why}")]
    Client {
        /// Whose.
        account: Account,
        /// What is wrong.
        why: ClientError,
    },
}

/// A call that came to its end.
pub(crate) enum CallEnded {
    /// An attempt.
    Sent(Box<Sent>),
    /// A reading of a group's index, for these deliveries and their `source_guid`s.
    LookedUp {
        tickets: Vec<(Ticket, String)>,
        result: LookedUp,
        showed: Option<Showed>,
    },
}

/// How long a call waits for the permit of a second question.
const ASKING: Duration = Duration::from_secs(60);

/// What calls of one tenure need for every request that they make.
#[derive(Debug, Clone)]
pub(crate) struct Permits {
    pub(crate) limit: Arc<AccountLimit>,
    pub(crate) fence: Fence,
    /// The lane is let go.
    pub(crate) end: CancellationToken,
}

impl Permits {
    /// The same for what is asked besides: not for longer than [`ASKING`], and not once the lane is let go.
    async fn one_in_time(&self) -> bool {
        tokio::select! {
            biased;
            () = self.end.cancelled() => false,
            () = tokio::time::sleep(ASKING) => false,
            () = self.one() => true,
        }
    }

    async fn one(&self) {
        // In this order: permits that were taken while the fence was down would all be used at once when it holds again.
        loop {
            self.fence.held().await;
            self.limit.permit().await;
            if self.fence.holds(Instant::now()) {
                return;
            }
        }
    }
}

/// What an attempt showed.
pub(crate) struct Sent {
    pub(crate) ticket: Ticket,
    pub(crate) at: Timestamp,
    pub(crate) took: Duration,
    pub(crate) answer: Answer,
    pub(crate) probe: bool,
}

/// What a reading showed.
pub(crate) enum LookedUp {
    /// The provider's id of each that is there; the reading began then.
    Read {
        found: HashMap<String, String>,
        began: Instant,
    },
    /// The index will not tell.
    CannotTell(String),
    /// It could not be read for now.
    NotNow(Verdict),
}

/// Whether a provider can be asked what became of a message.
pub(crate) fn can_look_up(provider: Provider) -> bool {
    provider == Provider::Groupme
}

impl fmt::Debug for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Caller")
            .field("account", &self.account)
            .finish_non_exhaustive()
    }
}

impl Caller {
    pub(crate) fn new(
        account: &Account,
        config: &AccountConfig,
        secrets: Secrets,
        traces: Traces,
    ) -> Result<Self, CallerError> {
        let secret = fetch(account, config, &secrets)?;
        let client = build(account, config, &secret)?;
        let current = Mutex::new((secret, Arc::new(client)));
        Ok(Self {
            account: account.clone(),
            config: config.clone(),
            secrets,
            traces,
            current,
        })
    }

    fn client(&self) -> Arc<Client> {
        self.current
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .1
            .clone()
    }

    /// Reads the secret again, before a probe: it may have been replaced.
    pub(crate) fn renew_secret(&self) {
        let renewed = fetch(&self.account, &self.config, &self.secrets).and_then(|secret| {
            let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
            if current.0.expose_secret() != secret.expose_secret() {
                let client = build(&self.account, &self.config, &secret)?;
                tracing::info!(account = %self.account, "the account's secret was replaced");
                *current = (secret, Arc::new(client));
            }
            Ok(())
        });
        if let Err(error) = renewed {
            tracing::warn!(account = %self.account, %error, "the probe uses the secret as it was");
        }
    }

    /// One attempt. Its own permit is taken; what it may have to ask besides takes another.
    pub(crate) fn call(
        &self,
        ticket: Ticket,
        message: Arc<Message>,
        headers: &Headers,
        permits: Permits,
        probe: bool,
    ) -> impl Future<Output = CallEnded> + Send + use<> {
        let client = self.client();
        let span = self.traces.attempt(&message, headers);
        async move {
            let (at, began) = (Timestamp::now(), Instant::now());
            let elapsed =
                Duration::try_from(at.duration_since(message.enqueued_at)).unwrap_or_default();
            let asking = permits.one_in_time();
            let answer = answer_of(client.send(&message, elapsed, asking)).await;
            span.showed(&answer);
            CallEnded::Sent(Box::new(Sent {
                ticket,
                at,
                took: began.elapsed(),
                answer,
                probe,
            }))
        }
    }

    /// Reads a group's index once, for all these messages. Each page takes a permit. Once the lane is let go it ends: what
    /// it shows is nobody's business any more.
    pub(crate) fn look_up(
        &self,
        group: String,
        wanted: Vec<(Ticket, Arc<Message>)>,
        permits: Permits,
        probe: bool,
    ) -> impl Future<Output = CallEnded> + Send + use<> {
        let client = self.client();
        async move {
            let since = wanted
                .iter()
                .map(|(_, message)| message.enqueued_at)
                .min()
                .unwrap_or_default();
            let guids: Vec<&str> = wanted
                .iter()
                .map(|(_, message)| message.source_guid())
                .collect();
            let permit = || permits.one();
            let reading =
                AssertUnwindSafe(client.look_up(&group, since, &guids, permit)).catch_unwind();
            let read = tokio::select! {
                biased;
                () = permits.end.cancelled() => Ok(LookUp::CannotTell("the lane is let go".into())),
                read = reading => read,
            };
            let (result, showed) = match read {
                Ok(LookUp::Read { found, read_at }) => (
                    LookedUp::Read {
                        found,
                        began: read_at,
                    },
                    // That the index can be read says little of whether messages are taken.
                    None,
                ),
                Ok(LookUp::CannotTell(why)) => (LookedUp::CannotTell(why), None),
                Ok(LookUp::Failed(answer)) => {
                    let showed = Showed {
                        account_down: answer.pauses_lane,
                        ..showed(answer.verdict, answer.retry_after, probe)
                    };
                    (LookedUp::NotNow(answer.verdict), Some(showed))
                }
                Err(_) => (
                    LookedUp::CannotTell("the look-up panicked: please report this".into()),
                    None,
                ),
            };
            let tickets = wanted
                .iter()
                .map(|(ticket, message)| (*ticket, message.source_guid().to_owned()))
                .collect();
            CallEnded::LookedUp {
                tickets,
                result,
                showed,
            }
        }
    }
}

/// A panic on the way is an attempt that failed: what was sent is not known.
async fn answer_of(sending: impl Future<Output = Answer>) -> Answer {
    let sent = AssertUnwindSafe(sending).catch_unwind().await;
    sent.unwrap_or_else(|_| Answer {
        verdict: Verdict::Unknown,
        status: None,
        error: Some("the attempt panicked: please report this".into()),
        retry_after: None,
        provider_message_id: None,
        pauses_lane: false,
    })
}

fn showed(verdict: Verdict, retry_after: Option<Duration>, was_probe: bool) -> Showed {
    Showed {
        verdict,
        retry_after,
        account_down: false,
        was_probe,
    }
}

fn fetch(
    account: &Account,
    config: &AccountConfig,
    secrets: &Secrets,
) -> Result<SecretString, CallerError> {
    secrets(&config.secret).map_err(|why| CallerError::Secret {
        account: account.clone(),
        source_name: config.secret.to_string(),
        why,
    })
}

fn build(
    account: &Account,
    config: &AccountConfig,
    secret: &SecretString,
) -> Result<Client, CallerError> {
    Client::new(account, config, secret.clone()).map_err(|why| CallerError::Client {
        account: account.clone(),
        why,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_in_an_attempt_is_an_attempt_that_failed() {
        let answer = answer_of(async { panic!("a bug of a provider's module") }).await;
        assert_eq!(answer.verdict, Verdict::Unknown);
        assert!(answer.error.unwrap().contains("panicked"));
    }
}
