//! What the tests of Tidings stand on: real brokers, real processes, and patience.
//!
//! Outside of [`conformance`] and [`fleet`] nothing in here knows what Tidings does: it starts things, kills them,
//! and waits. What is started ends with the test process, however that ends. A harness has one answer
//! to an environment that lacks something: it panics and says what to install.

pub mod browser;
pub mod conformance;
mod eventually;
pub mod fleet;
mod lag;
mod leash;
mod process;
mod rabbitmq;
mod relay;

pub use eventually::{PATIENCE, eventually, eventually_within};
pub use lag::Lag;
pub use process::{CTRL_C, Process, Program, Signal};
pub use rabbitmq::{Broker, Flavour, PrivateNode, SharedBrokers, Vhost};
pub use relay::Relay;
