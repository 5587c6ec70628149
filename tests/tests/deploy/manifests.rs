//! Compose and Kubernetes.

use std::{fs, path::Path};

use k8s_openapi::api::{
    apps::v1::Deployment,
    batch::v1::Job,
    core::v1::{ConfigMap, Probe, Secret},
    policy::v1::PodDisruptionBudget,
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use tidings_model::{
    Config,
    config::{Overrides, SecretSource},
};
use tidings_tests::Program;

use super::{
    path, read,
    tool::{succeeds, tool},
    yaml,
};

/// Where the Deployment mounts the accounts' secrets.
const SECRETS: &str = "/run/secrets/tidings";

fn config(name: &str, text: &str) -> Config {
    Config::parse(name, text, &Overrides::default()).unwrap_or_else(|errors| panic!("{errors}"))
}

#[tokio::test]
async fn compose_takes_its_file() {
    let Some(compose) = tool("docker-compose", "the compose file") else {
        return;
    };
    let made_up = succeeds(Program::installed("sh").arg(path("passwords.sh"))).await;
    let compose = made_up
        .lines()
        .filter_map(|line| line.split_once('='))
        .fold(compose, |compose, (name, password)| {
            compose.env(name, password)
        });
    let arguments = ["config", "--quiet"];
    succeeds(
        compose
            .arg("--file")
            .arg(path("compose.yaml"))
            .args(arguments),
    )
    .await;
}

#[test]
fn compose_mounts_what_is_there() {
    let file: Value = yaml("compose.yaml");
    let services = file["services"].as_object().expect("services");
    let mounts = services
        .values()
        .filter_map(|service| service["volumes"].as_array())
        .flatten();
    for mount in mounts
        .filter_map(Value::as_str)
        .filter(|mount| mount.starts_with("./"))
    {
        let source = mount.split(':').next().unwrap_or_default();
        assert!(path(source).exists(), "{mount}");
    }
}

/// Three workers, each asked for its figures by Prometheus, which Grafana asks for what the dashboard shows.
#[test]
fn compose_is_a_fleet_to_look_at() {
    let file: Value = yaml("compose.yaml");
    let services = file["services"].as_object().expect("services");
    for service in ["rabbitmq", "worker", "sandbox", "prometheus", "grafana"] {
        assert!(services.contains_key(service), "{service}");
    }
    assert_eq!(services["worker"]["deploy"]["replicas"], 3);

    let prometheus: Value = yaml("prometheus/prometheus.yml");
    let asked = &prometheus["scrape_configs"][0]["dns_sd_configs"][0];
    assert_eq!(asked["names"][0], "worker");
    let admin = format!("ENV TIDINGS_ADMIN=0.0.0.0:{}\n", asked["port"]);
    assert!(read("Dockerfile").contains(&admin), "{admin}");
    for rules in prometheus["rule_files"].as_array().expect("rules") {
        let rules = format!("prometheus/{}", rules.as_str().expect("a file"));
        assert!(path(&rules).exists(), "{rules}");
    }

    let sources: Value = yaml("grafana/provisioning/datasources/prometheus.yaml");
    let source = &sources["datasources"][0];
    assert_eq!(source["url"], "http://prometheus:9090");
    assert_eq!(source["isDefault"], true);
    let dashboard: Value =
        serde_json::from_str(&read("grafana/tidings.json")).expect("the dashboard is JSON");
    let variables = dashboard["templating"]["list"]
        .as_array()
        .expect("variables");
    let asks =
        |variable: &Value| variable["name"] == "datasource" && variable["query"] == source["type"];
    assert!(variables.iter().any(asks), "its panels ask ${{datasource}}");
    let provided: Value = yaml("grafana/provisioning/dashboards/tidings.yaml");
    let folder = provided["providers"][0]["options"]["path"]
        .as_str()
        .expect("a folder");
    let mounts = services["grafana"]["volumes"].as_array().expect("mounts");
    for mount in [
        format!("./grafana/tidings.json:{folder}/tidings.json:ro"),
        "./grafana/provisioning:/etc/grafana/provisioning:ro".to_owned(),
    ] {
        assert!(mounts.contains(&mount.as_str().into()), "{mount}");
    }
}

#[test]
fn the_fleet_of_compose_is_configured() {
    assert!(
        !config("compose.toml", &read("compose.toml"))
            .accounts
            .is_empty()
    );
}

/// The objects of a manifest, as what Kubernetes knows them.
fn objects(file: &Path) -> Vec<Value> {
    let text = fs::read_to_string(file).expect("a manifest is readable");
    serde_saphyr::from_multiple(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

#[test]
fn every_manifest_is_what_it_says() {
    let files = fs::read_dir(path("kubernetes")).expect("the folder of manifests");
    for file in files.map(|file| file.expect("a file").path()) {
        for object in objects(&file) {
            let kind = format!("{}/{}", object["apiVersion"], object["kind"]).replace('"', "");
            match kind.as_str() {
                "apps/v1/Deployment" => keeps_all::<Deployment>(&object),
                "batch/v1/Job" => keeps_all::<Job>(&object),
                "policy/v1/PodDisruptionBudget" => keeps_all::<PodDisruptionBudget>(&object),
                "v1/ConfigMap" => keeps_all::<ConfigMap>(&object),
                "v1/Secret" => keeps_all::<Secret>(&object),
                "keda.sh/v1alpha1/ScaledObject" => has_what_keda_demands(&object),
                other => panic!("{}: nothing checks {other}", file.display()),
            }
        }
    }
}

/// A field that Kubernetes does not know is silently dropped there and here: so what is read and written again must be the
/// same.
fn keeps_all<T: DeserializeOwned + Serialize>(object: &Value) {
    let typed: T =
        serde_json::from_value(object.clone()).unwrap_or_else(|error| panic!("{error}: {object}"));
    let kept = serde_json::to_value(typed).expect("an object is JSON");
    assert_eq!(&kept, object);
}

fn has_what_keda_demands(object: &Value) {
    let spec = &object["spec"];
    assert!(spec["scaleTargetRef"]["name"].is_string(), "{object}");
    let [least, most] = ["minReplicaCount", "maxReplicaCount"].map(|field| spec[field].as_u64());
    assert!(
        least.expect("a minimum") < most.expect("a maximum"),
        "{object}"
    );
    for trigger in spec["triggers"].as_array().expect("triggers") {
        assert_eq!(trigger["type"], "prometheus");
        for field in ["serverAddress", "query", "threshold"] {
            assert!(
                trigger["metadata"][field].is_string(),
                "{field} of {trigger}"
            );
        }
    }
}

fn fleet() -> Config {
    let map: ConfigMap = yaml("kubernetes/configmap.yaml");
    let text = map
        .data
        .unwrap_or_default()
        .remove("tidings.toml")
        .expect("tidings.toml");
    config("configmap.yaml", &text)
}

#[test]
fn there_are_never_more_workers_than_lanes() {
    let scaled: Value = yaml("kubernetes/scaledobject.yaml");
    assert_eq!(scaled["spec"]["maxReplicaCount"], fleet().accounts.len());
}

#[test]
fn every_account_of_the_example_has_its_secret() {
    let example: Secret =
        serde_json::from_value(objects(&path("kubernetes/secret.yaml.example")).remove(0))
            .expect("a secret");
    let secrets = example.string_data.unwrap_or_default();
    assert!(secrets.values().all(|secret| secret == "REPLACE-ME"));
    for (account, settings) in fleet().accounts {
        let file = Path::new(SECRETS).join(account.as_str());
        assert_eq!(settings.secret, SecretSource::File(file));
        assert!(secrets.contains_key(account.as_str()), "{account}");
    }
}

#[test]
fn the_objects_of_a_worker_belong_together() {
    let worker: Deployment = yaml("kubernetes/worker.yaml");
    let budget: PodDisruptionBudget = yaml("kubernetes/pdb.yaml");
    let scaled: Value = yaml("kubernetes/scaledobject.yaml");
    assert_eq!(
        scaled["spec"]["scaleTargetRef"]["name"],
        worker.metadata.name.expect("a name")
    );
    let spec = worker.spec.expect("a spec");
    assert_eq!(
        budget.spec.and_then(|spec| spec.selector),
        Some(spec.selector.clone())
    );
    assert_eq!(
        spec.template.metadata.and_then(|metadata| metadata.labels),
        spec.selector.match_labels
    );
    assert_eq!(spec.replicas, None, "KEDA says how many");

    let pod = spec.template.spec.expect("a pod");
    let drain = i64::try_from(fleet().drain.as_secs()).expect("a drain");
    assert!(
        pod.termination_grace_period_seconds > Some(drain),
        "it is killed while it drains"
    );
    let container = &pod.containers[0];
    assert_eq!(page(container.liveness_probe.as_ref()), "/livez");
    assert_eq!(page(container.readiness_probe.as_ref()), "/readyz");
    let mounts = container.volume_mounts.iter().flatten();
    assert!(mounts.into_iter().any(|mount| mount.mount_path == SECRETS));
}

fn page(probe: Option<&Probe>) -> &str {
    let http = probe.and_then(|probe| probe.http_get.as_ref());
    http.and_then(|http| http.path.as_deref())
        .expect("a probe over HTTP")
}
