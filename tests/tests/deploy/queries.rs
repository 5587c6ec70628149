//! The alerts, the dashboard and the scaled object ask for what workers really export.

use std::{collections::BTreeMap, fs};

use serde_json::{Value, json};
use tempfile::tempdir;
use tidings_tests::{Program, eventually};

use super::{
    path,
    providers::{Providers, message},
    read,
    selectors::{Selector, selectors},
    tool::{get, succeeds, tool},
    yaml,
};

/// Every query, by where it stands.
fn queries() -> BTreeMap<String, String> {
    let mut queries = BTreeMap::new();
    for rule in alerts() {
        queries.insert(
            format!("alert {}", text(&rule["alert"])),
            text(&rule["expr"]),
        );
    }
    for panel in list(&dashboard()["panels"]) {
        for target in list(&panel["targets"]) {
            let query = text(&target["expr"])
                .replace("$__rate_interval", "5m")
                .replace("$account", ".*");
            queries.insert(format!("panel {}", text(&panel["title"])), query);
        }
    }
    let scaled: Value = yaml("kubernetes/scaledobject.yaml");
    let trigger = &scaled["spec"]["triggers"][0]["metadata"];
    queries.insert("scaled object".into(), text(&trigger["query"]));
    queries
}

fn alerts() -> Vec<Value> {
    let file: Value = yaml("prometheus/alerts.yml");
    list(&file["groups"])
        .iter()
        .flat_map(|group| list(&group["rules"]).to_owned())
        .collect()
}

fn dashboard() -> Value {
    serde_json::from_str(&read("grafana/tidings.json")).expect("the dashboard is JSON")
}

fn list(value: &Value) -> &[Value] {
    value
        .as_array()
        .unwrap_or_else(|| panic!("{value} is no list"))
}

fn text(value: &Value) -> String {
    value
        .as_str()
        .unwrap_or_else(|| panic!("{value} is no text"))
        .to_owned()
}

#[tokio::test]
async fn prometheus_takes_its_configuration_and_the_alerts() {
    let Some(promtool) = tool("promtool", "Prometheus' configuration") else {
        return;
    };
    succeeds(
        promtool
            .args(["check", "config"])
            .arg(path("prometheus/prometheus.yml")),
    )
    .await;
}

#[tokio::test]
async fn each_alert_fires_when_it_should_and_only_then() {
    let tests = read("prometheus/alerts.test.yml");
    for rule in alerts() {
        let expected = format!("alertname=\"{}\"", text(&rule["alert"]));
        assert!(
            tests.contains(&expected),
            "no test in which {expected} fires"
        );
    }
    let Some(promtool) = tool("promtool", "the alerts' tests") else {
        return;
    };
    succeeds(
        promtool
            .args(["test", "rules"])
            .arg(path("prometheus/alerts.test.yml")),
    )
    .await;
}

#[tokio::test]
async fn every_query_parses() {
    let Some(promtool) = tool("promtool", "the dashboard's queries") else {
        return;
    };
    let rules: Vec<Value> = queries()
        .values()
        .enumerate()
        .map(|(index, query)| json!({"record": format!("query:{index}"), "expr": query}))
        .collect();
    let folder = tempdir().expect("a temporary folder");
    let file = folder.path().join("rules.json");
    let rules = json!({"groups": [{"name": "queries", "rules": rules}]});
    fs::write(&file, rules.to_string()).expect("the rules are written");
    succeeds(promtool.args(["check", "rules"]).arg(file)).await;
}

#[test]
fn every_alert_says_what_to_do_and_has_its_place_in_the_handbook() {
    let handbook = read("README.md");
    for rule in alerts() {
        let name = text(&rule["alert"]);
        for line in ["summary", "runbook"] {
            assert!(
                rule["annotations"][line].is_string(),
                "{name} has no {line}"
            );
        }
        assert!(
            ["page", "ticket"].contains(&text(&rule["labels"]["severity"]).as_str()),
            "{name}"
        );
        assert!(
            handbook.contains(&format!("**{name}**")),
            "the handbook lacks {name}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_query_names_only_what_a_worker_exports() {
    let providers = Providers::start().await;
    let worker = Program::new("tidings-worker")
        .args(["--config", &providers.config()])
        .env("TIDINGS_BROKER", providers.broker())
        .env("TOKEN", "any")
        .start();
    let line = worker.line("the admin endpoint listens").await;
    let line: Value = serde_json::from_str(&line).expect("a log line is JSON");
    let admin = text(&line["admin"]);
    worker.line("the worker runs").await;
    let send = Program::new("tidings")
        .arg("send")
        .env("TIDINGS_BROKER", providers.broker());
    let sent = send.run(message("m", "ann").to_string()).await;
    assert!(sent.status.success(), "{sent:?}");
    eventually("the metrics have all that the queries name", async || {
        let page = get(&admin, "/metrics").expect("the admin endpoint answers");
        let (_, page) = page.split_once("\r\n\r\n").expect("a body");
        let exported: Vec<Selector> = page
            .lines()
            .filter(|line| !line.starts_with('#'))
            .flat_map(selectors)
            .collect();
        let missing: Vec<String> = queries()
            .iter()
            .flat_map(|(place, query)| {
                missing(query, &exported).map(move |what| format!("{place}: {what}"))
            })
            .collect();
        if missing.is_empty() {
            Ok(())
        } else {
            Err(missing)
        }
    })
    .await;
}

/// What a query selects and nobody exports: a metric, or a label's value.
fn missing(query: &str, exported: &[Selector]) -> impl Iterator<Item = String> {
    let of_prometheus = |selector: &Selector| selector.metric == "up";
    selectors(query)
        .into_iter()
        .filter(move |selector| !of_prometheus(selector))
        .flat_map(|Selector { metric, labels }| {
            let series = || exported.iter().filter(|series| series.metric == metric);
            let unknown = labels.iter().filter(|(label, value)| {
                let known = |(known, at): &(String, String)| {
                    known == label && (value == ".*" || at == value)
                };
                !series().any(|series| series.labels.iter().any(known))
            });
            match series().next() {
                None => vec![metric.clone()],
                Some(_) => unknown
                    .map(|(label, value)| format!("{metric} with {label}={value}"))
                    .collect(),
            }
        })
        .collect::<Vec<_>>()
        .into_iter()
}
