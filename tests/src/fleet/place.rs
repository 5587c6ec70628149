use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use super::users::{Role, Users};
use crate::{Broker, Flavour, PrivateNode, Vhost};

/// Which broker a fleet runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum On {
    /// A file in the fleet's folder.
    Embedded,
    /// A vhost of the RabbitMQ that all tests share.
    RabbitMq(Flavour),
    /// A RabbitMQ node of the fleet's own, to stop and to kill.
    OwnRabbitMq(Flavour),
}

/// The broker, held while the fleet is.
pub(super) enum Place {
    Embedded(PathBuf),
    Shared(Users, Box<Vhost>),
    Own(Users, Box<Vhost>, Box<PrivateNode>),
}

impl Place {
    pub(super) async fn prepare(on: On, folder: &Path) -> Self {
        match on {
            On::Embedded => Self::Embedded(folder.join("tidings.db")),
            On::RabbitMq(flavour) => {
                let vhost = Broker::shared(flavour).await.vhost();
                Self::Shared(Users::of(&vhost), Box::new(vhost))
            }
            On::OwnRabbitMq(flavour) => {
                let node = PrivateNode::new(flavour).await;
                let vhost = node.vhost();
                Self::Own(Users::of(&vhost), Box::new(vhost), Box::new(node))
            }
        }
    }

    /// For somebody who may do everything.
    pub(super) fn url(&self) -> String {
        match self {
            Self::Embedded(file) => format!("sqlite:{}", file.display()),
            Self::Shared(_, vhost) | Self::Own(_, vhost, _) => vhost.url().to_owned(),
        }
    }

    /// For somebody who may do no more than this role needs, where the broker knows users.
    pub(super) fn url_of(&self, role: Role) -> String {
        match self {
            Self::Embedded(_) => self.url(),
            Self::Shared(users, _) | Self::Own(users, ..) => users.url(role).to_owned(),
        }
    }

    /// Whether whoever wants to write to the broker can do so soon.
    pub(super) fn takes_writes(&self) -> bool {
        let Self::Embedded(file) = self else {
            return true;
        };
        let db = rusqlite::Connection::open(file).expect("the embedded broker's file");
        db.busy_timeout(Duration::from_secs(1)).expect("a timeout");
        db.execute_batch("BEGIN IMMEDIATE; ROLLBACK").is_ok()
    }

    pub(super) fn node(&mut self) -> &mut PrivateNode {
        match self {
            Self::Own(.., node) => node,
            Self::Embedded(_) | Self::Shared(..) => panic!("the fleet has no node of its own"),
        }
    }
}

/// Each of these scenarios, functions of [`On`], as a test on the embedded broker and one on RabbitMQ 3.10.
#[macro_export]
macro_rules! on_each_broker {
    ($($scenario:ident),* $(,)?) => {
        mod embedded {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $scenario() {
                super::$scenario($crate::fleet::On::Embedded).await;
            })*
        }
        mod rabbitmq_3_10 {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $scenario() {
                super::$scenario($crate::fleet::On::RabbitMq($crate::Flavour::Debian)).await;
            })*
        }
    };
}

/// Each of these scenarios as a test on RabbitMQ 4.3.
#[macro_export]
macro_rules! on_rabbitmq_4_3 {
    ($($scenario:ident),* $(,)?) => {
        mod rabbitmq_4_3 {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $scenario() {
                super::$scenario($crate::fleet::On::RabbitMq($crate::Flavour::V43)).await;
            })*
        }
    };
}
