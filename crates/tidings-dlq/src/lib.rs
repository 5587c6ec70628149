//! The messages that ended dead: looked at as often as anybody likes, and acted on with a plan.
//!
//! Reading changes nothing. A letter is told once for each (id, generation), the first in the stream; the [`Register`]
//! knows what has been done about it, a filter says which ones, an order which first, and [`advice`] what a reason
//! means and what usually helps. How a letter is shown is the command's, not known here; and nothing here makes a call
//! to a provider.

pub mod advice;
mod cache;
pub mod console;
mod export;
mod filter;
mod follow;
mod groups;
mod index;
mod letter;
mod name;
pub mod operator;
mod order;
mod plan;
mod register;
mod retention;
mod signature;

pub use cache::Cache;
pub use export::{Export, Exported};
pub use filter::Filter;
pub use follow::follow;
pub use groups::{Group, Groups, Member, SPANS, sparkline};
pub use index::{Index, Indexed};
pub use letter::{Letter, read, read_with};
pub use name::Name;
pub use operator::Operator;
pub use order::{Order, Shortlist};
pub use plan::{Plan, Planned, Request, Skip};
pub use register::{Operation, Register, Standing};
pub use retention::Retention;
pub use signature::signature;
