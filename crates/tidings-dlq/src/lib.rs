//! What is known of the messages that ended dead: read from the broker, as often as anybody likes.
//!
//! Reading changes nothing. A letter is told once for each (id, generation), the first in the stream; a filter says
//! which ones, an order which first, and [`advice`] what a reason means and what usually helps. How a letter is shown
//! is the command's, not known here; and nothing here makes a call to a provider.

pub mod advice;
mod export;
mod filter;
mod groups;
mod letter;
mod order;
mod signature;

pub use export::{Export, Exported};
pub use filter::Filter;
pub use groups::{Group, Groups, Member, SPANS, sparkline};
pub use letter::{Letter, read};
pub use order::{Order, Shortlist};
pub use signature::signature;
