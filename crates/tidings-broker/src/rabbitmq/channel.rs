//! A connection and its channels, each closed before the connection is.
//!
//! lapin closes a channel that is only dropped, but later: where the connection is closed meanwhile, or the channel by
//! somebody else, it takes that for an error of the whole connection, says so loudly, and breaks it off.

use std::{ops::Deref, sync::Arc, time::Duration};

use futures::FutureExt as _;
use lapin::{Channel, Connection, ConnectionState, Consumer, ErrorKind};
use tokio::{runtime::Handle, time::timeout};
use tokio_util::task::{TaskTracker, task_tracker::TaskTrackerToken};

/// How long closing a channel may take: a busy broker takes its time, and a blocked connection never answers.
const CLOSING: Duration = Duration::from_secs(5);
/// How long a connection waits for its channels to be closed, and then for its own end.
const ENDING: Duration = Duration::from_secs(2);

/// A connection that knows which of its channels are open. Cloning it is cheap.
#[derive(Clone)]
pub(super) struct OpenConnection {
    connection: Arc<Connection>,
    open: TaskTracker,
}

impl OpenConnection {
    pub(super) fn new(connection: Connection) -> Self {
        Self {
            connection: Arc::new(connection),
            open: TaskTracker::new(),
        }
    }

    pub(super) fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Opens a channel. Who does not wait for it any more leaves none behind.
    pub(super) async fn open(&self) -> lapin::Result<OpenChannel> {
        let (connection, open) = (self.connection.clone(), self.open.token());
        let opening = tokio::spawn(async move {
            let channel = connection.create_channel().await?;
            Ok(OpenChannel { channel, open })
        });
        let ended = || ErrorKind::InvalidConnectionState(ConnectionState::Closed).into();
        opening.await.unwrap_or_else(|_| Err(ended()))
    }

    /// Closes the connection, once nobody has a channel of it any more. Whoever does must let go of it.
    pub(super) async fn close(&self) {
        self.open.close();
        let _ = timeout(ENDING, self.open.wait()).await;
        let closing = self.connection.close(200, "OK".into());
        let _ = timeout(ENDING, closing).await;
    }
}

/// A channel that is closed in order also where it is only dropped.
pub(super) struct OpenChannel {
    channel: Channel,
    open: TaskTrackerToken,
}

impl OpenChannel {
    /// Closes it, and returns when the broker has done the same, or takes too long for it.
    pub(super) async fn close(&self) {
        close(&self.channel).await;
    }
}

impl Deref for OpenChannel {
    type Target = Channel;

    fn deref(&self) -> &Channel {
        &self.channel
    }
}

impl Drop for OpenChannel {
    /// The close is on its way when this returns: a consumer that is dropped after it cancels nothing any more. On a channel
    /// that is closed that would be an error of the whole connection.
    fn drop(&mut self) {
        if let Ok(runtime) = Handle::try_current()
            && self.channel.status().connected()
        {
            let (channel, open) = (self.channel.clone(), self.open.clone());
            let mut closing = Box::pin(async move {
                close(&channel).await;
                drop(open);
            });
            if (&mut closing).now_or_never().is_none() {
                runtime.spawn(closing);
            }
        }
    }
}

/// A channel and its consumer, which are dropped in this order.
pub(super) struct Consuming {
    pub(super) channel: OpenChannel,
    pub(super) consumer: Consumer,
}

async fn close(channel: &Channel) {
    let closing = channel.close(200, "OK".into());
    let _ = timeout(CLOSING, closing).await;
}
