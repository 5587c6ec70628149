use std::{fs, net::SocketAddr, path::PathBuf, sync::Arc};

use anyhow::Context as _;
use tidings_broker::Broker;
use tidings_dlq::console::{self, ConsoleError, Credentials, Visitors};
use tokio::{
    net::TcpListener,
    select,
    signal::{
        ctrl_c,
        unix::{SignalKind, signal},
    },
};

use crate::{
    connection::who,
    exit::{Exit, Usage},
    output::say,
    which::Keeping,
};

/// Show all this in a browser: the web console
///
/// Looking, filtering, planning and replaying as on the command line. It needs no network: everything it shows comes from
/// this program. Stopped, it leaves a replay under way to `replay --resume`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Where it listens; port 0 picks one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9465")]
    listen: SocketAddr,
    /// Who may come in: a file with `user:password` or a token on each line. Needed wherever others can reach the address
    #[arg(long, value_name = "FILE")]
    auth: Option<PathBuf>,
    #[command(flatten)]
    keeping: Keeping,
}

pub(crate) async fn run(broker: &Arc<dyn Broker>, args: &Args) -> anyhow::Result<Exit> {
    let visitors = Visitors {
        local: who(),
        credentials: args.auth.as_ref().map(credentials).transpose()?,
    };
    if console::is_public(args.listen) && visitors.credentials.is_none() {
        return Err(Usage(ConsoleError::Public(args.listen).to_string()).into());
    }
    let listener = TcpListener::bind(args.listen)
        .await
        .with_context(|| format!("the console cannot listen on {}", args.listen))?;
    say(&format!(
        "the console is at http://{}/",
        listener.local_addr()?
    ));
    let mut terminated = signal(SignalKind::terminate())?;
    let stop = async move {
        select! {
            _ = ctrl_c() => {}
            _ = terminated.recv() => {}
        }
    };
    let retention = args.keeping.retention();
    console::serve(listener, Arc::clone(broker), visitors, retention, stop).await?;
    Ok(Exit::Done)
}

fn credentials(file: &PathBuf) -> anyhow::Result<Credentials> {
    let text = fs::read_to_string(file)
        .map_err(|error| Usage(format!("{} cannot be read: {error}", file.display())))?;
    Ok(Credentials::parse(&text).map_err(|error| Usage(format!("{}: {error}", file.display())))?)
}
