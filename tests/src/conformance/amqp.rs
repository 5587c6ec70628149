use lapin::{
    BasicProperties, Channel, Confirmation, Connection, ConnectionProperties,
    options::{
        BasicPublishOptions, ConfirmSelectOptions, QueueBindOptions, QueueDeclareOptions,
        QueueDeleteOptions,
    },
    types::FieldTable,
};

use super::in_time;

/// A client of RabbitMQ that knows the contract's names, and keeps to no rule.
pub struct Amqp {
    channel: Channel,
    _connection: Connection,
}

impl Amqp {
    pub(super) async fn connect(url: String) -> Self {
        let connecting = Connection::connect(&url, ConnectionProperties::default());
        let connection = in_time("a bare connection", connecting)
            .await
            .expect("RabbitMQ accepts a bare connection");
        let channel = connection.create_channel().await.expect("a channel");
        let confirms = channel.confirm_select(ConfirmSelectOptions::default());
        confirms.await.expect("confirms");
        Self {
            channel,
            _connection: connection,
        }
    }

    /// Publishes, and waits until the broker has it.
    pub(super) async fn publish(
        &self,
        exchange: &str,
        key: &str,
        properties: BasicProperties,
        body: &[u8],
    ) {
        let options = BasicPublishOptions {
            mandatory: true,
            ..Default::default()
        };
        let publishing =
            self.channel
                .basic_publish(exchange.into(), key.into(), options, body, properties);
        let confirmation = publishing.await.expect("it is written").await;
        let confirmation = confirmation.expect("it is confirmed");
        assert_eq!(
            confirmation,
            Confirmation::Ack(None),
            "{exchange} took nothing for {key}"
        );
    }

    pub(super) async fn delete_queue(&self, name: &str) {
        let deleting = self
            .channel
            .queue_delete(name.into(), QueueDeleteOptions::default());
        deleting.await.expect("the queue is deleted");
    }

    pub(super) async fn declare_queue(&self, name: &str, arguments: FieldTable) {
        let options = QueueDeclareOptions {
            durable: true,
            ..Default::default()
        };
        let declaring = self.channel.queue_declare(name.into(), options, arguments);
        declaring.await.expect("the queue is declared");
    }

    /// Takes a stream away from the exchange of its name, so that what is published there comes back.
    pub(super) async fn unbind(&self, name: &str) {
        let arguments = FieldTable::default();
        let unbinding = self
            .channel
            .queue_unbind(name.into(), name.into(), "".into(), arguments);
        unbinding.await.expect("the stream is unbound");
    }

    /// Ends what [`Self::unbind`] began.
    pub(super) async fn bind(&self, name: &str) {
        let (options, arguments) = (QueueBindOptions::default(), FieldTable::default());
        let binding =
            self.channel
                .queue_bind(name.into(), name.into(), "".into(), options, arguments);
        binding.await.expect("the stream is bound");
    }

    /// Messages that are ready in a queue.
    pub(super) async fn ready(&self, name: &str) -> u32 {
        let options = QueueDeclareOptions {
            passive: true,
            ..Default::default()
        };
        let asking = self
            .channel
            .queue_declare(name.into(), options, FieldTable::default());
        asking.await.expect("the queue is there").message_count()
    }

    /// Messages in all the levels of the delays.
    pub(super) async fn delayed(&self) -> u32 {
        let mut waiting = 0;
        for level in 0..LEVELS {
            waiting += self.ready(&format!("tidings.delay.v1.{level:02}")).await;
        }
        waiting
    }
}

/// As many as the powers of two of seconds that the contract's longest delay needs.
const LEVELS: u32 = 28;
