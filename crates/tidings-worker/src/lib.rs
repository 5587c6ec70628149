//! The worker: owns lanes, keeps their limits, makes the calls, and sees every message to its outcome.
//!
//! Decisions (what a verdict means, what a redelivered message is, when a lane may start a call) are pure and take
//! the time as an argument; they never do I/O. How a broker keeps its promises and how a provider is spoken to is
//! never known here.

mod admin;
mod attempt;
mod backoff;
mod cause;
mod check;
mod fleet;
mod follow;
mod gate;
mod lane;
mod limits;
mod memory;
mod metrics;
mod orders;
mod ownership;
mod policy;
mod settlement;
mod supervise;
mod tenures;
mod traces;
mod unroutable;
mod worker;

pub use attempt::{CallerError, Secrets};
pub use check::check;
pub use fleet::worker_id;
pub use worker::{Setup, Stop, WorkerError, run};
