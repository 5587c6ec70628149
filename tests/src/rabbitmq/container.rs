//! RabbitMQ 4.3, what production runs, in a container.

use super::{ADVANCED_CONFIG, ports::free_ports};
use crate::leash::Leash;
use anyhow::{Context, Result, bail};
use std::{
    ffi::OsStr,
    mem::ManuallyDrop,
    process::{Command, Stdio},
    time::Duration,
};
use testcontainers::{
    GenericImage, ImageExt,
    core::{IntoContainerPort, Mount, WaitFor},
    runners::AsyncRunner,
};

const IMAGE: &str = "rabbitmq";
const TAG: &str = "4.3-management";

/// Started through testcontainers; stopped, killed and removed through the `docker` command, which also works in `drop`
/// and after this process has ended.
pub(crate) struct Container {
    id: String,
    amqp: u16,
    management: u16,
    leash: Option<Leash>,
}

impl Container {
    /// Pulls the image where it is not here yet. What it stores `in_memory` is lost when it stops.
    ///
    /// # Errors
    /// In words for the last line of a test run: no engine, no image.
    pub(crate) async fn start(in_memory: bool) -> Result<Self> {
        check_engine()?;
        // Ports of our choice: a container that is started again keeps them.
        let [amqp, management] = free_ports();
        let image = GenericImage::new(IMAGE, TAG)
            .with_wait_for(WaitFor::message_on_stdout("Server startup complete"))
            .with_mapped_port(amqp, 5672.tcp())
            .with_mapped_port(management, 15672.tcp())
            .with_copy_to(
                "/etc/rabbitmq/advanced.config",
                ADVANCED_CONFIG.as_bytes().to_vec(),
            )
            .with_startup_timeout(Duration::from_secs(120));
        let image = if in_memory {
            // Such a folder is root's, whom not every image begins as.
            image
                .with_mount(Mount::tmpfs_mount("/var/lib/rabbitmq"))
                .with_user("root")
        } else {
            image
        };
        let container = image
            .start()
            .await
            .with_context(|| format!("{IMAGE}:{TAG} does not start in a container"))?;
        let id = container.id().to_owned();
        // Ours to remove from here on: its own drop needs the runtime that started it.
        let _container = ManuallyDrop::new(container);
        let leash = Leash::tie(r#"docker rm --force --volumes "$1""#, &[OsStr::new(&id)])?;
        Ok(Self {
            id,
            amqp,
            management,
            leash: Some(leash),
        })
    }

    pub(crate) fn amqp_port(&self) -> u16 {
        self.amqp
    }

    pub(crate) fn management_port(&self) -> u16 {
        self.management
    }

    /// `docker VERB` on this container.
    pub(crate) async fn docker(&self, verb: &str) -> Result<()> {
        let output = tokio::process::Command::new("docker")
            .args([verb, &self.id])
            .output()
            .await?;
        if !output.status.success() {
            bail!("docker {verb}: {}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(())
    }

    pub(crate) fn ctl(&self) -> Command {
        let mut command = Command::new("docker");
        command.args(["exec", &self.id, "rabbitmqctl"]);
        command
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        self.leash = None;
        let remove = ["rm", "--force", "--volumes", &self.id];
        let _ = Command::new("docker")
            .args(remove)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
    }
}

fn check_engine() -> Result<()> {
    match Command::new("docker")
        .args(["version", "--format", "{{.Server.Version}}"])
        .output()
    {
        Ok(output) if output.status.success() => Ok(()),
        Ok(_) => bail!("no container engine answers"),
        Err(_) => bail!("no container engine is installed"),
    }
}
