//! Asking the broker for each thing: to have it, or only to look.

use super::{
    super::{
        channel::OpenChannel,
        place::{code, reply},
        session::Session,
    },
    thing::{Manner, Thing},
    things,
};
use crate::{BrokerError, Difference, Topology};

/// A channel that is opened again after the broker closed it for an answer of no.
struct Asking<'s> {
    session: &'s Session,
    channel: Option<OpenChannel>,
}

/// The broker's answer of no: its code and words.
struct No(u16, String);

impl<'s> Asking<'s> {
    fn new(session: &'s Session) -> Self {
        Self {
            session,
            channel: None,
        }
    }

    async fn declare(
        &mut self,
        thing: &Thing,
        manner: Manner,
    ) -> Result<Result<(), No>, BrokerError> {
        let channel = match self.channel.take() {
            Some(channel) => channel,
            None => self.session.channel().await?,
        };
        let declared = tokio::select! {
            biased;
            () = self.session.lost.cancelled() => return Err(self.session.away()),
            declared = thing.declare(&channel, manner) => declared,
        };
        match declared {
            Ok(()) => {
                self.channel = Some(channel);
                Ok(Ok(()))
            }
            Err(error) => match reply(&error) {
                Some((code, words)) if error.is_amqp_soft_error() => Ok(Err(No(code, words))),
                _ => Err(self
                    .session
                    .place
                    .error(&format!("to declare {thing}"), &error)),
            },
        }
    }
}

/// Declares everything; what is there already and equal stays as it is.
pub(in super::super) async fn apply(
    session: &Session,
    topology: &Topology,
) -> Result<(), BrokerError> {
    let mut asking = Asking::new(session);
    let mut differences = Vec::new();
    for thing in things(&session.names, topology) {
        if let Err(No(_, words)) = asking.declare(&thing, Manner::Active).await? {
            differences.push(thing.differs(words).to_string());
        }
    }
    if differences.is_empty() {
        return Ok(());
    }
    let what = match differences.len() {
        1 => "a declaration".to_owned(),
        count => format!("{count} declarations"),
    };
    Err(session.place.refused(what, differences.join("; ")))
}

/// Names what is missing or different.
///
/// A passive declare tells whether a thing is there. Only an active one compares its arguments, and needs the right to
/// configure it: it is asked of what is there, and where the right is missing (a worker's account has none) the
/// arguments go unchecked. AMQP cannot ask for bindings.
pub(in super::super) async fn verify(
    session: &Session,
    topology: &Topology,
) -> Result<Vec<Difference>, BrokerError> {
    let mut asking = Asking::new(session);
    let (mut differences, mut unseen) = (Vec::new(), 0_usize);
    let mut may_configure = true;
    for thing in things(&session.names, topology) {
        if thing.is_binding() {
            continue;
        }
        match asking.declare(&thing, Manner::Passive).await? {
            Ok(()) if may_configure => {}
            Ok(()) => continue,
            Err(No(code::NOT_FOUND, words))
                if words.contains("no queue") || words.contains("no exchange") =>
            {
                differences.push(thing.differs("it is missing"));
                continue;
            }
            // It is declared, and not up yet: a node that starts says so of each queue in turn.
            Err(No(code::NOT_FOUND, words)) => return Err(session.place.away(words)),
            Err(No(code::ACCESS_REFUSED, _)) => {
                unseen += 1;
                continue;
            }
            Err(No(_, words)) => {
                differences.push(thing.differs(words));
                continue;
            }
        }
        match asking.declare(&thing, Manner::Active).await? {
            Ok(()) => {}
            Err(No(code::ACCESS_REFUSED, _)) => {
                may_configure = false;
                tracing::info!(
                    "without the right to configure, only whether things are there was checked, not their arguments"
                );
            }
            Err(No(_, words)) => differences.push(thing.differs(words)),
        }
    }
    if unseen > 0 {
        tracing::info!(
            unseen,
            "some of the topology could not be looked at without the right to"
        );
    }
    Ok(differences)
}
