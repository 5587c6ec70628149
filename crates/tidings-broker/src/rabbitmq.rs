use async_trait::async_trait;
use futures::stream::BoxStream;
use tidings_model::{Account, Announcement, Record};
use tokio::sync::watch;

use crate::*;

#[derive(Debug)]
pub(crate) struct RabbitMq;

impl RabbitMq {
    pub(crate) async fn connect(_: &url::Url, _: Options) -> Result<Self, BrokerError> {
        Ok(Self)
    }
}

#[async_trait]
impl Broker for RabbitMq {
    fn place(&self) -> String {
        String::new()
    }
    fn connected(&self) -> watch::Receiver<bool> {
        watch::channel(false).1
    }
    async fn apply(&self, _: &Topology) -> Result<(), BrokerError> {
        unreachable!()
    }
    async fn verify(&self, _: &Topology) -> Result<Vec<Difference>, BrokerError> {
        unreachable!()
    }
    async fn publish(&self, _: Envelope) -> Result<Confirmation, PublishError> {
        unreachable!()
    }
    async fn subscribe(&self, _: LaneName, _: u16) -> Result<Lane, BrokerError> {
        unreachable!()
    }
    async fn append(&self, _: Vec<Record>) -> Result<(), BrokerError> {
        unreachable!()
    }
    async fn ledger(
        &self,
        _: ReadFrom,
        _: ReadUntil,
    ) -> Result<BoxStream<'static, Result<LedgerEntry, BrokerError>>, BrokerError> {
        unreachable!()
    }
    async fn dead(
        &self,
        _: ReadFrom,
        _: ReadUntil,
    ) -> Result<BoxStream<'static, Result<DeadEntry, BrokerError>>, BrokerError> {
        unreachable!()
    }
    async fn announce(&self, _: &Announcement) -> Result<(), BrokerError> {
        unreachable!()
    }
    async fn observe(&self) -> Result<BoxStream<'static, Announcement>, BrokerError> {
        unreachable!()
    }
    async fn depth(&self, _: &Account) -> Result<Depth, BrokerError> {
        unreachable!()
    }
    async fn close(&self) {}
}
