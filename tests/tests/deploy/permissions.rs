//! The least that each user of the broker needs is enough, and no more: a message's way, each step as the user for it.

use std::process::Output;

use tidings_tests::{
    Broker, Flavour, Program, Vhost, eventually,
    fleet::{Role, Users},
};

use super::{
    providers::{Providers, message},
    tool::succeeds,
};

mod rabbitmq_3_10 {
    #[tokio::test(flavor = "multi_thread")]
    async fn each_user_can_do_its_part_and_no_more() {
        super::each_user_can_do_its_part_and_no_more(tidings_tests::Flavour::Debian).await;
    }
}

mod rabbitmq_4_3 {
    #[tokio::test(flavor = "multi_thread")]
    async fn each_user_can_do_its_part_and_no_more() {
        super::each_user_can_do_its_part_and_no_more(tidings_tests::Flavour::V43).await;
    }
}

async fn each_user_can_do_its_part_and_no_more(flavour: Flavour) {
    let fleet = Fleet::on(flavour).await;
    let providers = Providers::start().await;
    let config = providers.config();

    let apply = ["topology", "apply", "--config", &config];
    fleet.may_not(Role::Worker, &apply).await;
    succeeds(fleet.program(Role::Operator, "tidings").args(apply)).await;
    let _worker = fleet
        .program(Role::Worker, "tidings-worker")
        .args(["--config", &config])
        .env("TOKEN", "any")
        .start();

    let mut messages = [
        message("now", "ann"),
        message("later", "ann"),
        message("refused", "nobody"),
    ];
    messages[1]["delay"] = "1s".into();
    let lines = messages.map(|message| message.to_string()).join("\n");
    let sent = fleet
        .program(Role::Reader, "tidings")
        .arg("send")
        .run(&lines)
        .await;
    assert!(!sent.status.success(), "a reader sends");
    let sent = fleet
        .program(Role::Producer, "tidings")
        .arg("send")
        .run(&lines)
        .await;
    assert!(sent.status.success(), "{sent:?}");

    fleet.may_not(Role::Producer, &["outcomes"]).await;
    fleet.may_not(Role::Producer, &["delays", "verify"]).await;
    fleet
        .may_not(Role::Reader, &["lanes", "pause", "raven.crm"])
        .await;
    fleet.may_not(Role::Inspector, &["delays", "verify"]).await;
    eventually("each has its outcome", async || {
        let outcomes = fleet.tidings(Role::Reader, &["outcomes"]).await;
        let lines = String::from_utf8_lossy(&outcomes.stdout);
        let ends = |how: &str| lines.matches(&format!(r#""outcome":"{how}""#)).count();
        match (ends("delivered"), ends("dead")) {
            (2, 1) => Ok(()),
            _ => Err(outcomes),
        }
    })
    .await;
    eventually("the inspector lists the dead letter", async || {
        let list = fleet
            .program(Role::Inspector, "tidings-dlq")
            .args(["list", "--json"]);
        let letters = succeeds(list).await;
        letters
            .contains(r#""id":"refused""#)
            .then_some(())
            .ok_or(letters)
    })
    .await;
    for orders in [
        &["lanes", "pause", "raven.crm"][..],
        &["lanes", "resume", "raven.crm"],
        &["delays", "verify", "--wait", "5s"],
    ] {
        succeeds(fleet.program(Role::Operator, "tidings").args(orders)).await;
    }
}

/// A vhost with the users of `definitions.sh`.
struct Fleet {
    users: Users,
    _vhost: Vhost,
}

impl Fleet {
    async fn on(flavour: Flavour) -> Self {
        let vhost = Broker::shared(flavour).await.vhost();
        Self {
            users: Users::of(&vhost),
            _vhost: vhost,
        }
    }

    fn program(&self, role: Role, name: &'static str) -> Program {
        Program::new(name).env("TIDINGS_BROKER", self.users.url(role))
    }

    async fn tidings(&self, role: Role, arguments: &[&str]) -> Output {
        self.program(role, "tidings").args(arguments).run("").await
    }

    async fn may_not(&self, role: Role, arguments: &[&str]) {
        let output = self.tidings(role, arguments).await;
        assert_eq!(
            output.status.code(),
            Some(1),
            "a {role:?} does {arguments:?}: {output:?}"
        );
        let words = String::from_utf8_lossy(&output.stderr);
        assert!(
            words.contains("ACCESS_REFUSED") || words.contains("refused"),
            "{words}"
        );
    }
}
