//! The harness does what the other tests rely on.

use lapin::{
    BasicProperties, Connection, ConnectionProperties,
    options::{BasicGetOptions, BasicPublishOptions, ConfirmSelectOptions, QueueDeclareOptions},
    types::{AMQPValue, FieldTable},
};
use std::net::TcpStream;
use tidings_tests::{Broker, Flavour, PrivateNode, Program, Signal, eventually};
use url::Url;

mod rabbitmq_3_10 {
    use super::*;

    #[tokio::test]
    async fn a_vhost_is_there_until_it_is_dropped() {
        super::a_vhost_is_there_until_it_is_dropped(Flavour::Debian).await;
    }

    #[tokio::test]
    async fn a_user_may_do_what_it_was_given_and_no_more() {
        super::a_user_may_do_what_it_was_given_and_no_more(Flavour::Debian).await;
    }

    #[tokio::test]
    async fn a_node_of_ones_own_keeps_its_data_over_kill_9() {
        super::a_node_of_ones_own_keeps_its_data_over_kill_9(Flavour::Debian).await;
    }

    #[tokio::test]
    async fn a_node_of_ones_own_freezes_and_raises_alarms() {
        super::a_node_of_ones_own_freezes_and_raises_alarms(Flavour::Debian).await;
    }
}

mod rabbitmq_4_3 {
    use super::*;

    #[tokio::test]
    async fn a_vhost_is_there_until_it_is_dropped() {
        super::a_vhost_is_there_until_it_is_dropped(Flavour::V43).await;
    }

    #[tokio::test]
    async fn a_user_may_do_what_it_was_given_and_no_more() {
        super::a_user_may_do_what_it_was_given_and_no_more(Flavour::V43).await;
    }

    #[tokio::test]
    async fn a_node_of_ones_own_keeps_its_data_over_kill_9() {
        super::a_node_of_ones_own_keeps_its_data_over_kill_9(Flavour::V43).await;
    }

    #[tokio::test]
    async fn a_node_of_ones_own_freezes_and_raises_alarms() {
        super::a_node_of_ones_own_freezes_and_raises_alarms(Flavour::V43).await;
    }
}

async fn a_vhost_is_there_until_it_is_dropped(flavour: Flavour) {
    let vhost = Broker::shared(flavour).await.vhost();
    let url = vhost.url().to_owned();
    connect(&url).await.expect("a new vhost takes connections");
    drop(vhost);
    assert!(connect(&url).await.is_err());
}

async fn a_user_may_do_what_it_was_given_and_no_more(flavour: Flavour) {
    let vhost = Broker::shared(flavour).await.vhost();
    let connection = connect(&vhost.user("^mine$", "^$", "^mine$"))
        .await
        .expect("the user may connect");
    declare(&connection, "mine")
        .await
        .expect("a queue of its own");
    let error = declare(&connection, "theirs")
        .await
        .expect_err("no right to declare it");
    assert!(error.to_string().contains("ACCESS_REFUSED"), "{error}");
}

async fn a_node_of_ones_own_keeps_its_data_over_kill_9(flavour: Flavour) {
    let mut node = PrivateNode::new(flavour).await;
    let vhost = node.vhost();
    let connection = connect(vhost.url()).await.expect("the node is up");
    declare(&connection, "kept").await.expect("a quorum queue");
    publish(&connection, "kept")
        .await
        .expect("the broker confirms");

    node.kill9().await;
    assert!(connect(vhost.url()).await.is_err());
    node.start().await;

    eventually("the message is still there", async || {
        let channel = connect(vhost.url()).await?.create_channel().await?;
        match channel
            .basic_get("kept".into(), BasicGetOptions::default())
            .await?
        {
            Some(_) => Ok(()),
            None => Err(anyhow::anyhow!("an empty queue")),
        }
    })
    .await;
    node.stop().await;
    assert!(connect(vhost.url()).await.is_err());
}

async fn a_node_of_ones_own_freezes_and_raises_alarms(flavour: Flavour) {
    let mut node = PrivateNode::new(flavour).await;
    let connection = connect(&node.url()).await.expect("the node is up");
    declare(&connection, "blocked")
        .await
        .expect("a quorum queue");

    node.raise_memory_alarm().await;
    let mut publishing = Box::pin(publish(&connection, "blocked"));
    let alarms = node.ctl(&["eval", "rabbit_alarm:get_alarms()."]).await;
    assert!(alarms.contains("memory"), "{alarms}");
    assert!(futures::poll!(&mut publishing).is_pending());
    node.clear_memory_alarm().await;
    publishing.await.expect("the confirm comes after the alarm");

    node.freeze().await;
    let mut publishing = Box::pin(publish(&connection, "blocked"));
    assert!(futures::poll!(&mut publishing).is_pending());
    node.thaw().await;
    publishing.await.expect("the confirm comes after the thaw");
}

#[tokio::test]
async fn no_broker_outlives_the_process_that_started_it() {
    let unused = "amqp://127.0.0.1:1";
    let starter = Program::new("with-rabbitmq")
        .args(["sh", "-c", "echo at $TIDINGS_TEST_AMQP; sleep 1000"])
        .env("TIDINGS_TEST_AMQP", "")
        .env("TIDINGS_TEST_AMQP_43", unused)
        .start();
    let line = starter.line("at amqp://").await;
    let broker = Url::parse(line.trim_start_matches("at ")).expect("a URL");
    let address = ("127.0.0.1", broker.port().expect("a port"));
    TcpStream::connect(address).expect("the broker listens");

    starter.kill9().await;
    eventually("the broker is gone", async || {
        match TcpStream::connect(address) {
            Err(_) => Ok(()),
            Ok(_) => Err("it still listens"),
        }
    })
    .await;
}

#[tokio::test]
async fn a_process_is_read_frozen_and_ended() {
    let process =
        shell("echo ready; trap 'echo bye; exit 3' TERM; while :; do sleep 0.05; done").start();
    process.line("ready").await;
    process.signal(Signal::STOP);
    process.signal(Signal::CONT);
    assert!(process.ended().is_none());
    assert_eq!(process.terminate().await.code(), Some(3));
    assert!(process.log().contains("bye"));
}

#[tokio::test]
async fn a_process_ends_with_its_handle() {
    let process = shell("echo ready; exec sleep 1000").start();
    process.line("ready").await;
    let id = process.id();
    drop(process);
    assert!(!std::path::Path::new(&format!("/proc/{id}")).exists());
}

#[tokio::test]
#[should_panic(expected = "sh ended with exit status: 4 and never printed \"ready\"")]
async fn a_process_that_ended_is_not_waited_for() {
    shell("exit 4").start().line("ready").await;
}

#[tokio::test]
async fn a_program_is_run_with_its_input() {
    let output = shell("cat; exit 5").run("what it reads").await;
    assert_eq!(
        (output.status.code(), &*output.stdout),
        (Some(5), &b"what it reads"[..])
    );
}

fn shell(script: &str) -> Program {
    Program::installed("sh").args(["-c", script])
}

async fn connect(url: &str) -> lapin::Result<Connection> {
    Connection::connect(url, ConnectionProperties::default()).await
}

async fn declare(connection: &Connection, queue: &str) -> lapin::Result<()> {
    let mut arguments = FieldTable::default();
    arguments.insert(
        "x-queue-type".into(),
        AMQPValue::LongString("quorum".into()),
    );
    let options = QueueDeclareOptions {
        durable: true,
        ..Default::default()
    };
    let channel = connection.create_channel().await?;
    channel
        .queue_declare(queue.into(), options, arguments)
        .await
        .map(drop)
}

async fn publish(connection: &Connection, queue: &str) -> lapin::Result<()> {
    let channel = connection.create_channel().await?;
    channel
        .confirm_select(ConfirmSelectOptions::default())
        .await?;
    let properties = BasicProperties::default().with_delivery_mode(2);
    let confirm = channel.basic_publish(
        "".into(),
        queue.into(),
        BasicPublishOptions::default(),
        b"kept",
        properties,
    );
    confirm.await?.await.map(drop)
}
