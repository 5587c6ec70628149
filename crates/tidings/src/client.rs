use std::{fmt, sync::Arc};

use futures::Stream;
use tidings_broker::{Broker, BrokerError, Difference, Topology};
use tidings_model::{BrokerUrl, Outcome};
use uuid::Uuid;

use crate::{
    ConnectError, Options, Outcomes, Outgoing, Receipt, SendError, outcomes, send::Sender,
};

/// A connection to Tidings. Cloning is cheap, and clones share the connection.
///
/// A connection that breaks is made again for as long as this lives.
#[derive(Clone)]
pub struct Tidings {
    broker: Arc<dyn Broker>,
    options: Options,
}

impl fmt::Debug for Tidings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tidings({})", self.broker.place())
    }
}

impl Tidings {
    /// Connects to a broker: `amqp://` or `amqps://` for a fleet, `sqlite:PATH` for one host.
    ///
    /// # Errors
    /// When the URL names no broker, or this first connection cannot be made.
    pub async fn connect(url: &str) -> Result<Self, ConnectError> {
        Self::connect_with(url, Options::default()).await
    }

    /// Connects with other than the default options.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    /// # let url = format!("sqlite:{}", folder.path().join("tidings.db").display());
    /// use std::time::Duration;
    /// use tidings::{Options, Tidings};
    ///
    /// let options = Options::default().name("billing").patience(Duration::from_secs(5));
    /// let tidings = Tidings::connect_with(&url, options).await?;
    /// # tidings.close().await;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// When the URL names no broker, or this first connection cannot be made.
    pub async fn connect_with(url: &str, options: Options) -> Result<Self, ConnectError> {
        let url: BrokerUrl = url.parse()?;
        // The name is what operators look for; what follows keeps two processes of a service apart.
        let name = format!("{}-{}", options.name, Uuid::now_v7().simple());
        let broker = tidings_broker::connect(
            &url,
            tidings_broker::Options {
                prefix: options.prefix.clone(),
                unconfirmed: options.in_flight,
                ..tidings_broker::Options::new(name.into())
            },
        )
        .await?;
        Ok(Self { broker, options })
    }

    /// Sends a message: returns once the broker has it for good.
    ///
    /// While the broker is away or takes nothing, it waits, at most as long as [`Options::patience`] says. A message
    /// whose confirmation was lost is published again, and its worker is told, so that the copy is not sent twice.
    /// Dropping the future does not take a message back.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    /// # let url = format!("sqlite:{}", folder.path().join("tidings.db").display());
    /// # let tidings = tidings::Tidings::connect(&url).await?;
    /// # tidings.apply(&tidings::Topology::of(["pingup.shop".parse()?])).await?;
    /// use tidings::{Draft, Outgoing, payload::pingup};
    ///
    /// let payload = pingup::Text::to_client("c-42").text_message("See you soon").delay("2d".parse()?).build()?;
    /// let draft = Draft::new("pingup.shop".parse()?, payload).id("order-42".parse()?).metadata("order", "42");
    /// tidings.send(draft.clone()).await?;
    ///
    /// // The same, as part of a trace.
    /// let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".parse()?;
    /// match tidings.send(Outgoing::new(draft).traceparent(trace)).await {
    ///     Ok(receipt) => assert_eq!(receipt.id.as_str(), "order-42"),
    ///     Err(error) if error.is_temporary() => println!("later, with the same id: {error}"),
    ///     Err(error) => return Err(error.into()),
    /// }
    /// # tidings.close().await;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// See [`SendError`]: each says whether the message may be queued and what to do.
    pub async fn send(&self, message: impl Into<Outgoing>) -> Result<Receipt, SendError> {
        Sender::new(Arc::clone(&self.broker), &self.options)
            .send(message.into())
            .await
    }

    /// Sends a stream of messages: their results come in the messages' order.
    ///
    /// Up to [`Options::in_flight`] messages, and 64 MiB of them, are on their way at a time; the next is taken from the
    /// stream when there is room, and nothing moves unless the results are read. One that fails does not stop the
    /// others. Patience counts for the stream as a whole, from the first failure after the last success.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    /// # let url = format!("sqlite:{}", folder.path().join("tidings.db").display());
    /// # let tidings = tidings::Tidings::connect(&url).await?;
    /// # tidings.apply(&tidings::Topology::of(["whatspie.main".parse()?])).await?;
    /// use futures::{StreamExt, stream};
    /// use tidings::{Account, Draft, payload::whatspie};
    ///
    /// let account: Account = "whatspie.main".parse()?;
    /// let payload = whatspie::Text::to("120363").message("Shift begins at 9").build()?;
    /// let drafts = stream::iter(0..100).map(|_| Draft::new(account.clone(), payload.clone()));
    ///
    /// let mut receipts = std::pin::pin!(tidings.send_all(drafts));
    /// while let Some(receipt) = receipts.next().await {
    ///     println!("queued as {}", receipt?.id);
    /// }
    /// # tidings.close().await;
    /// # Ok(()) }
    /// ```
    pub fn send_all<S>(
        &self,
        messages: S,
    ) -> impl Stream<Item = Result<Receipt, SendError>> + use<S>
    where
        S: Stream<Item: Into<Outgoing>>,
    {
        let sender = Sender::new(Arc::clone(&self.broker), &self.options);
        Arc::new(sender).send_all(messages, self.options.in_flight)
    }

    /// Reads outcomes from the ledger. Reading changes nothing, and each (id, generation) comes once.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    /// # let url = format!("sqlite:{}", folder.path().join("tidings.db").display());
    /// # let tidings = tidings::Tidings::connect(&url).await?;
    /// # tidings.apply(&tidings::Topology::of(["groupme.ops".parse()?])).await?;
    /// use futures::StreamExt;
    /// use tidings::{Outcome, Outcomes};
    ///
    /// let mine = Outcomes::default().id("order-42".parse()?); // `.follow()` would wait for what comes
    /// let mut outcomes = tidings.outcomes(mine).await?;
    /// while let Some(outcome) = outcomes.next().await {
    ///     match outcome? {
    ///         Outcome::Delivered { id, provider_message_id, .. } => println!("{id} arrived: {provider_message_id:?}"),
    ///         Outcome::Dead { id, reason, .. } => println!("{id} did not arrive: {reason}"),
    ///     }
    /// }
    /// # tidings.close().await;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// When the broker is away or has no ledger. A stream that follows goes on after a lost connection.
    pub async fn outcomes(
        &self,
        which: Outcomes,
    ) -> Result<impl Stream<Item = Result<Outcome, BrokerError>> + Unpin + use<>, BrokerError> {
        outcomes::read(&*self.broker, which).await
    }

    /// Declares all that Tidings needs on the broker: what `tidings topology apply` does. For tests, small services and
    /// operators' tools; the account that connects needs the right to declare.
    ///
    /// # Errors
    /// When something exists differently, or may not be declared.
    pub async fn apply(&self, topology: &Topology) -> Result<(), BrokerError> {
        self.broker.apply(topology).await
    }

    /// Names every difference between the broker and what Tidings needs. Changes nothing.
    ///
    /// # Errors
    /// When the broker is away.
    pub async fn verify(&self, topology: &Topology) -> Result<Vec<Difference>, BrokerError> {
        self.broker.verify(topology).await
    }

    /// Where the broker is, without a password.
    #[must_use]
    pub fn place(&self) -> String {
        self.broker.place()
    }

    /// Lets go of the connection, once all that was sent is confirmed.
    pub async fn close(&self) {
        self.broker.close().await;
    }
}
