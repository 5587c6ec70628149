//! A node of the RabbitMQ that is installed on this machine (Debian 12: 3.10), apart from any that runs here already.

use super::{ADVANCED_CONFIG, ports::free_ports};
use crate::{eventually::PATIENCE, leash::Leash};
use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use std::{
    ffi::OsStr,
    fs,
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};
use tempfile::TempDir;
use tokio::time::{Duration, sleep, timeout};

const PAUSE: Duration = Duration::from_millis(10);

/// Everything a node needs lives in one folder; it has a name service (`epmd`) of its own, so that it meets no other node.
pub(crate) struct Installed {
    programs: PathBuf,
    folder: TempDir,
    name_service: Child,
    server: Option<Child>,
    leash: Option<Leash>,
    ports: Ports,
}

struct Ports {
    name_service: u16,
    distribution: u16,
    amqp: u16,
    management: u16,
}

/// The folder of `rabbitmq-server` and `rabbitmqctl`, where there is one.
///
/// Debian's programs in `/usr/sbin` insist on the user `rabbitmq`; the ones they wrap do not.
pub(crate) fn programs() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::iter::once(PathBuf::from("/usr/lib/rabbitmq/bin"))
        .chain(std::env::split_paths(&path))
        .find(|folder| folder.join("rabbitmq-server").is_file())
}

impl Installed {
    /// Prepares a node, with more lines for its `rabbitmq.conf`; [`Self::start`] starts it.
    pub(crate) fn prepare(programs: PathBuf, settings: &str) -> Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix("tidings-rabbitmq-")
            .tempdir()?;
        let [name_service, distribution, amqp, management] = free_ports();
        let ports = Ports {
            name_service,
            distribution,
            amqp,
            management,
        };
        write_configuration(folder.path(), &ports, settings)?;
        let name_service = Command::new("epmd")
            .args([
                "-port",
                &ports.name_service.to_string(),
                "-address",
                "127.0.0.1",
            ])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .context("epmd does not start (Debian: it comes with erlang-base)")?;
        let group = name_service.id().to_string();
        let leash = Leash::tie(
            r#"kill -s KILL -- "-$1"; sleep 0.2; rm -rf -- "$2""#,
            &[OsStr::new(&group), folder.path().as_os_str()],
        )?;
        Ok(Self {
            programs,
            folder,
            name_service,
            server: None,
            leash: Some(leash),
            ports,
        })
    }

    pub(crate) fn amqp_port(&self) -> u16 {
        self.ports.amqp
    }

    pub(crate) fn management_port(&self) -> u16 {
        self.ports.management
    }

    pub(crate) fn start(&mut self) -> Result<()> {
        let output = fs::File::options()
            .create(true)
            .append(true)
            .open(self.folder.path().join("output"))?;
        let server = self
            .command("rabbitmq-server")
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .process_group(self.name_service.id().cast_signed())
            .spawn()
            .context("rabbitmq-server does not start")?;
        self.server = Some(server);
        Ok(())
    }

    /// Fails where the node has ended by itself, with what it said last.
    pub(crate) fn check_alive(&mut self) -> Result<()> {
        let Some(status) = self
            .server
            .as_mut()
            .map(Child::try_wait)
            .transpose()?
            .flatten()
        else {
            return Ok(());
        };
        let output = fs::read_to_string(self.folder.path().join("output")).unwrap_or_default();
        bail!("the RabbitMQ node ended with {status}: {output}")
    }

    pub(crate) fn signal(&self, signal: Signal) -> Result<()> {
        let server = self
            .server
            .as_ref()
            .context("the RabbitMQ node is not running")?;
        kill_process(Pid::from_child(server), signal).context("the RabbitMQ node takes no signals")
    }

    /// Sends a signal that ends the server, and waits until it has.
    pub(crate) async fn end(&mut self, signal: Signal) -> Result<()> {
        self.signal(signal)?;
        let ended = async |server: &mut Child| loop {
            match server.try_wait() {
                Ok(None) => sleep(PAUSE).await,
                ended => break ended,
            }
        };
        if let Some(server) = &mut self.server {
            timeout(PATIENCE, ended(server))
                .await
                .context("the RabbitMQ node does not end")??;
        }
        self.server = None;
        Ok(())
    }

    pub(crate) fn ctl(&self) -> Command {
        self.command("rabbitmqctl")
    }

    fn command(&self, program: &str) -> Command {
        let folder = self.folder.path();
        let mut command = Command::new(self.programs.join(program));
        command
            .current_dir(folder)
            .env_clear()
            .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
            .env("HOME", folder)
            .env("LANG", "C.UTF-8")
            .env("ERL_EPMD_ADDRESS", "127.0.0.1")
            .env("ERL_EPMD_PORT", self.ports.name_service.to_string())
            .env("RABBITMQ_NODENAME", "tidings@localhost")
            .env("RABBITMQ_DIST_PORT", self.ports.distribution.to_string())
            .env("RABBITMQ_CONF_ENV_FILE", folder.join("rabbitmq-env.conf"))
            .env("RABBITMQ_CONFIG_FILE", folder.join("rabbitmq.conf"))
            .env(
                "RABBITMQ_ADVANCED_CONFIG_FILE",
                folder.join("advanced.config"),
            )
            .env(
                "RABBITMQ_ENABLED_PLUGINS_FILE",
                folder.join("enabled_plugins"),
            )
            .env("RABBITMQ_MNESIA_BASE", folder.join("mnesia"))
            .env("RABBITMQ_LOG_BASE", folder.join("log"))
            // Makes the script become the server instead of waiting for it: signals then reach the server itself.
            .env("RUNNING_UNDER_SYSTEMD", "true");
        command
    }
}

impl Drop for Installed {
    fn drop(&mut self) {
        self.leash = None;
        for child in self.server.iter_mut().chain([&mut self.name_service]) {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn write_configuration(folder: &Path, ports: &Ports, settings: &str) -> Result<()> {
    let Ports {
        amqp, management, ..
    } = ports;
    let cookie = folder.join(".erlang.cookie");
    fs::write(&cookie, "tidings")?;
    fs::set_permissions(&cookie, fs::Permissions::from_mode(0o400))?;
    fs::write(folder.join("rabbitmq-env.conf"), "")?;
    fs::write(folder.join("enabled_plugins"), "[rabbitmq_management].\n")?;
    fs::write(folder.join("advanced.config"), ADVANCED_CONFIG)?;
    fs::write(
        folder.join("rabbitmq.conf"),
        format!(
            "listeners.tcp.1 = 127.0.0.1:{amqp}\n\
             management.tcp.ip = 127.0.0.1\n\
             management.tcp.port = {management}\n\
             management_agent.disable_metrics_collector = true\n\
             {settings}\n"
        ),
    )?;
    Ok(())
}
