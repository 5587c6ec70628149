use std::{collections::BTreeMap, path::Path, process::Command};

use serde_json::Value;

use crate::Vhost;

/// What somebody who connects to the broker is there for: a user of `deploy/rabbitmq/definitions.sh`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Declares the topology, orders lanes, looks through the delays.
    Operator,
    /// Sends messages.
    Producer,
    /// Works off lanes.
    Worker,
    /// Looks at dead letters, and replays them.
    Inspector,
    /// Reads outcomes.
    Reader,
}

impl Role {
    const ALL: [Self; 5] = [
        Self::Operator,
        Self::Producer,
        Self::Worker,
        Self::Inspector,
        Self::Reader,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Operator => "operator",
            Self::Producer => "producer",
            Self::Worker => "worker",
            Self::Inspector => "inspector",
            Self::Reader => "reader",
        }
    }
}

/// The fleet's users in a vhost, each with exactly the rights that `deploy/rabbitmq/definitions.sh` gives it.
#[derive(Debug)]
pub struct Users(BTreeMap<Role, String>);

impl Users {
    /// Makes them. They go with the vhost.
    ///
    /// # Panics
    /// Where `definitions.sh` does not work, or the management API refuses.
    pub fn of(vhost: &Vhost) -> Self {
        let definitions = definitions();
        let permissions = definitions["permissions"].as_array().expect("permissions");
        let url = |role: Role| {
            let user = format!("tidings-{}", role.name());
            let rights = permissions
                .iter()
                .find(|permission| permission["user"] == *user)
                .unwrap_or_else(|| panic!("{user} has permissions"));
            let right = |name: &str| rights[name].as_str().expect("a regular expression");
            vhost.user(right("configure"), right("write"), right("read"))
        };
        Self(Role::ALL.map(|role| (role, url(role))).into())
    }

    /// Where to connect as the user for this role.
    pub fn url(&self, role: Role) -> &str {
        &self.0[&role]
    }
}

fn definitions() -> Value {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/rabbitmq/definitions.sh");
    let mut command = Command::new("sh");
    for role in Role::ALL {
        let variable = format!("{}_PASSWORD", role.name().to_uppercase());
        command.env(variable, "made-up");
    }
    let output = command.arg(script).output().expect("sh starts");
    assert!(output.status.success(), "definitions.sh: {output:?}");
    serde_json::from_slice(&output.stdout).expect("definitions are JSON")
}
