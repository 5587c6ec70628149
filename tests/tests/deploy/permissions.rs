//! The least that each user of the broker needs is enough, and no more: a message's way, each step as the user for it.

use std::{collections::BTreeMap, process::Output};

use serde_json::Value;
use tidings_tests::{Broker, Flavour, Program, Vhost, eventually};

use super::{
    path,
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
    let users = Users::on(flavour).await;
    let providers = Providers::start().await;
    let config = providers.config();

    let apply = ["topology", "apply", "--config", &config];
    users.may_not("worker", &apply).await;
    succeeds(users.program("operator", "tidings").args(apply)).await;
    let _worker = users
        .program("worker", "tidings-worker")
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
    let sent = users
        .program("reader", "tidings")
        .arg("send")
        .run(&lines)
        .await;
    assert!(!sent.status.success(), "a reader sends");
    let sent = users
        .program("producer", "tidings")
        .arg("send")
        .run(&lines)
        .await;
    assert!(sent.status.success(), "{sent:?}");

    users.may_not("producer", &["outcomes"]).await;
    users.may_not("producer", &["delays", "verify"]).await;
    users
        .may_not("reader", &["lanes", "pause", "raven.crm"])
        .await;
    users.may_not("inspector", &["delays", "verify"]).await;
    eventually("each has its outcome", async || {
        let outcomes = users.tidings("reader", &["outcomes"]).await;
        let lines = String::from_utf8_lossy(&outcomes.stdout);
        let ends = |how: &str| lines.matches(&format!(r#""outcome":"{how}""#)).count();
        match (ends("delivered"), ends("dead")) {
            (2, 1) => Ok(()),
            _ => Err(outcomes),
        }
    })
    .await;
    eventually("the inspector lists the dead letter", async || {
        let list = users
            .program("inspector", "tidings-dlq")
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
        succeeds(users.program("operator", "tidings").args(orders)).await;
    }
}

/// A vhost with the users of `definitions.sh`: each one's URL, by its role.
struct Users {
    urls: BTreeMap<String, String>,
    _vhost: Vhost,
}

impl Users {
    async fn on(flavour: Flavour) -> Self {
        let vhost = Broker::shared(flavour).await.vhost();
        let script = ["OPERATOR", "PRODUCER", "WORKER", "INSPECTOR", "READER"]
            .map(|role| format!("{role}_PASSWORD"))
            .into_iter()
            .fold(Program::installed("sh"), |script, variable| {
                script.env(variable, "made-up")
            })
            .arg(path("rabbitmq/definitions.sh"));
        let definitions: Value =
            serde_json::from_str(&succeeds(script).await).expect("definitions are JSON");
        let permissions = definitions["permissions"].as_array().expect("permissions");
        let urls = permissions.iter().map(|permission| {
            let text = |field: &str| permission[field].as_str().expect("a text");
            let role = text("user")
                .strip_prefix("tidings-")
                .expect("a user of the fleet");
            (
                role.to_owned(),
                vhost.user(text("configure"), text("write"), text("read")),
            )
        });
        Self {
            urls: urls.collect(),
            _vhost: vhost,
        }
    }

    fn program(&self, role: &str, name: &'static str) -> Program {
        Program::new(name).env("TIDINGS_BROKER", &self.urls[role])
    }

    async fn tidings(&self, role: &str, arguments: &[&str]) -> Output {
        self.program(role, "tidings").args(arguments).run("").await
    }

    async fn may_not(&self, role: &str, arguments: &[&str]) {
        let output = self.tidings(role, arguments).await;
        assert_eq!(
            output.status.code(),
            Some(1),
            "a {role} does {arguments:?}: {output:?}"
        );
        let words = String::from_utf8_lossy(&output.stderr);
        assert!(
            words.contains("ACCESS_REFUSED") || words.contains("refused"),
            "{words}"
        );
    }
}
