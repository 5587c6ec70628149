use jiff::Timestamp;

use crate::Attempts;

/// What Tidings itself has to remember of a message: it travels beside the body, which never changes.
///
/// Any client may publish a body alone; then all of this is at its default.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Headers {
    /// 0 for a message as sent, one more for each replay of it.
    pub generation: u32,
    /// How often the message was put back within its generation.
    pub turn: u32,
    /// The attempts of this generation.
    pub attempts: Attempts,
    /// When the message is due. Present on everything that went through the delays.
    pub due: Option<Timestamp>,
    /// An attempt may have delivered it: sticks until a look-up clears it.
    pub maybe_delivered: bool,
    /// A person agreed to send it although it may have been delivered.
    pub consent: bool,
    /// The producer published it before and never learned whether that arrived.
    pub again: bool,
    /// W3C trace context of the caller.
    pub traceparent: Option<String>,
}
