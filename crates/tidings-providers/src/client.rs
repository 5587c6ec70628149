use std::{fmt, ops::ControlFlow, time::Duration};

use jiff::Timestamp;
use rustls::{ClientConfig, RootCertStore};
use secrecy::{ExposeSecret as _, SecretString};
use tidings_model::{Account, Message, Payload, Provider, Verdict, config::AccountConfig, mask};
use tokio::{
    sync::Mutex,
    time::{Instant, timeout},
};

use crate::{
    account::{self, ClientError},
    answer::{Answer, Check, Deletion, LookUp},
    groupme::{self, index},
    grupo,
    http::{ANSWER_LIMIT, Http},
    pingup, raven,
    reply::Reply,
    request::{Base, Request},
    tls, whatspie,
};

/// Makes the calls of one account, over connections of its own that are kept alive.
///
/// Calls may be made side by side. Dropping the future of one ends it: what was written by then may arrive.
///
/// ```no_run
/// # use std::time::Duration;
/// # use tidings_model::{Config, Message, Verdict};
/// # use tidings_providers::{Client, ClientError};
/// # async fn example(config: &Config, message: &Message) -> Result<(), ClientError> {
/// let account = &message.account;
/// let client = Client::new(account, &config.accounts[account], "the secret".into())?;
/// let answer = client.send(message, Duration::ZERO, async { true }).await;
/// if answer.verdict == Verdict::Unknown && !answer.pauses_lane {
///     println!("nobody can say what became of {}: {:?}", message.id, answer.error);
/// }
/// # Ok(())
/// # }
/// ```
pub struct Client {
    account: Account,
    base: Base,
    secret: SecretString,
    http: Http,
    timeout: Duration,
    /// When GroupMe's token was tried last, and what that told.
    tried: Mutex<Option<(Instant, Check)>>,
}

impl Client {
    /// A client for an account; it makes no call yet. Proxies of the environment are not used: what they answer could
    /// not be told from the provider.
    ///
    /// # Errors
    /// Where the secret cannot be sent, `base_url` or `business` make no address, or the host has no root certificates
    /// and the address needs them.
    pub fn new(
        account: &Account,
        config: &AccountConfig,
        secret: SecretString,
    ) -> Result<Self, ClientError> {
        let tls = if config.base_url.starts_with("http:") {
            tls::with_roots(RootCertStore::empty())
        } else {
            tls::of_the_system()
        };
        let tls = tls.map_err(|error| ClientError::Tls {
            account: account.clone(),
            why: error.to_string(),
        })?;
        Self::with_tls(account, config, secret, tls)
    }

    pub(crate) fn with_tls(
        account: &Account,
        config: &AccountConfig,
        secret: SecretString,
        tls: ClientConfig,
    ) -> Result<Self, ClientError> {
        let base = account::base(account, config)?;
        let credentials = account::credentials(account, &secret)?;
        let idle = usize::try_from(config.concurrency.get()).unwrap_or(usize::MAX);
        let http = Http::new(credentials, tls, config.timeout, idle).map_err(|error| {
            ClientError::Http {
                account: account.clone(),
                why: error.to_string(),
            }
        })?;
        Ok(Self {
            account: account.clone(),
            base,
            secret,
            http,
            timeout: config.timeout,
            tried: Mutex::default(),
        })
    }

    /// Makes one attempt to send a message, within the account's timeout. `elapsed` is the time since the message was
    /// enqueued: Pingup is told what is left of its delay.
    ///
    /// A 401 of GroupMe is confirmed with a second call in what is left of the timeout, once there is a `permit` for it:
    /// waiting for that does not count. Without one it stays unconfirmed.
    pub async fn send(
        &self,
        message: &Message,
        elapsed: Duration,
        permit: impl Future<Output = bool>,
    ) -> Answer {
        if message.payload.provider() != self.account.provider() {
            let error = format!(
                "a payload for {} cannot be sent by {}",
                message.payload.provider(),
                self.account
            );
            return Answer::without_reply(Verdict::Rejected, error);
        }
        let began = Instant::now();
        let answer = match self
            .http
            .fetch(self.request(message, elapsed), ANSWER_LIMIT)
            .await
        {
            Ok(reply) => judge(self.account.provider(), &reply),
            Err(answer) => answer,
        };
        let answer = self.confirm(answer, began, permit).await;
        self.masked(answer)
    }

    /// Looks in a GroupMe group's index which of these `source_guid`s came to it since then, by our clock. One reading
    /// answers for all of them. It asks for a `permit` before each page, which is a call of its own with the account's
    /// timeout.
    ///
    /// The other providers cannot tell.
    pub async fn look_up<F: Future<Output = ()>>(
        &self,
        group: &str,
        since: Timestamp,
        wanted: &[&str],
        mut permit: impl FnMut() -> F,
    ) -> LookUp {
        if self.account.provider() != Provider::Groupme {
            return LookUp::CannotTell(format!(
                "{} has no index to look in",
                self.account.provider()
            ));
        }
        let mut reading = index::Reading::new(since, wanted);
        let mut read_at = None;
        loop {
            permit().await;
            let read_at = *read_at.get_or_insert_with(Instant::now);
            let began = Instant::now();
            let page = self
                .http
                .fetch(reading.request(&self.base, group), index::PAGE_LIMIT)
                .await;
            let end = match page.map(|page| reading.take(&page)) {
                Ok(ControlFlow::Continue(())) => continue,
                Ok(ControlFlow::Break(end)) => end,
                // Whatever became of the question, it sent nothing.
                Err(answer) => index::End::Failed(Answer {
                    verdict: Verdict::NotSent,
                    ..answer
                }),
            };
            return match end {
                index::End::Read(found) => LookUp::Read { found, read_at },
                index::End::CannotTell(why) => LookUp::CannotTell(self.mask(&why)),
                index::End::Failed(answer) => {
                    let permit = async {
                        permit().await;
                        true
                    };
                    self.not_looked_up(answer, began, permit).await
                }
            };
        }
    }

    /// Tries the account's secret, where the provider has a call that does nothing else (GroupMe's `users/me`).
    pub async fn check(&self) -> Check {
        if self.account.provider() != Provider::Groupme {
            return Check::NoHarmlessCall;
        }
        match self.who_am_i().await {
            Check::Refused(words) => Check::Refused(self.mask(&words)),
            Check::CannotTell(words) => Check::CannotTell(self.mask(&words)),
            check => check,
        }
    }

    /// Takes a delivered message back, where the provider can (GroupMe).
    pub async fn delete(&self, group: &str, message_id: &str) -> Deletion {
        if self.account.provider() != Provider::Groupme {
            return Deletion::NotPossible;
        }
        let began = Instant::now();
        let answer = match self
            .http
            .fetch(groupme::delete(&self.base, group, message_id), ANSWER_LIMIT)
            .await
        {
            Ok(reply) if reply.status == 204 => return Deletion::Deleted,
            Ok(reply) => judge(self.account.provider(), &reply),
            Err(answer) => answer,
        };
        let answer = self.confirm(answer, began, async { true }).await;
        Deletion::Failed(self.masked(answer))
    }

    fn request(&self, message: &Message, elapsed: Duration) -> Request {
        match &message.payload {
            Payload::Grupo { 0: text, .. } => {
                grupo::request(&self.base, self.secret.expose_secret(), text)
            }
            Payload::Whatspie { 0: text, .. } => whatspie::request(&self.base, text),
            Payload::Groupme { 0: text, .. } => groupme::request(&self.base, message, text),
            Payload::Raven { 0: text, .. } => raven::request(&self.base, text),
            Payload::Pingup { 0: text, .. } => pingup::request(&self.base, text, elapsed),
        }
    }

    /// Tries the token where GroupMe answered 401 to a call that began then. One question answers for every call that was
    /// under way when it was asked.
    async fn confirm(
        &self,
        answer: Answer,
        began: Instant,
        permit: impl Future<Output = bool>,
    ) -> Answer {
        if self.account.provider() != Provider::Groupme || answer.status != Some(401) {
            return answer;
        }
        let left = self.timeout.saturating_sub(began.elapsed());
        let mut tried = self.tried.lock().await;
        if let Some((_, told)) = tried.as_ref().filter(|(at, _)| *at >= began) {
            return groupme::confirmed(answer, told);
        }
        if !permit.await {
            return answer;
        }
        let at = Instant::now();
        let told = timeout(left, self.who_am_i()).await;
        let told = told.unwrap_or_else(|_| Check::CannotTell("no answer in time".into()));
        let answer = groupme::confirmed(answer, &told);
        *tried = Some((at, told));
        answer
    }

    async fn not_looked_up(
        &self,
        answer: Answer,
        began: Instant,
        permit: impl Future<Output = bool>,
    ) -> LookUp {
        let answer = self.masked(self.confirm(answer, began, permit).await);
        match answer.verdict {
            Verdict::Rejected => LookUp::CannotTell(answer.error.unwrap_or_default()),
            _ => LookUp::Failed(answer),
        }
    }

    async fn who_am_i(&self) -> Check {
        match self
            .http
            .fetch(groupme::who_am_i(&self.base), ANSWER_LIMIT)
            .await
        {
            Ok(reply) => groupme::check(&reply),
            Err(answer) => Check::CannotTell(answer.error.unwrap_or_default()),
        }
    }

    fn masked(&self, answer: Answer) -> Answer {
        let error = answer.error.map(|error| self.mask(&error));
        Answer { error, ..answer }
    }

    fn mask(&self, words: &str) -> String {
        mask(words, &[self.secret.expose_secret()])
    }
}

/// What an answer of this provider means.
pub(crate) fn judge(provider: Provider, reply: &Reply) -> Answer {
    match provider {
        Provider::Grupo => grupo::answer(reply),
        Provider::Whatspie => whatspie::answer(reply),
        Provider::Groupme => groupme::answer(reply),
        Provider::Raven => raven::answer(reply),
        Provider::Pingup => pingup::answer(reply),
    }
}

/// Without the secret.
impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("account", &self.account)
            .finish_non_exhaustive()
    }
}
