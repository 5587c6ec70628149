//! Looking at dead letters, real ones of a real worker: in a real browser, and as lines that are sent again.

mod browsing;
mod carefully;
mod exporting;
mod guard;
mod looking;
mod scene;
