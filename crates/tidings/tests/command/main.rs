//! The `tidings` command as people call it: the real binary, on the embedded broker.

mod lanes;
mod outcomes;
mod send;
mod topology;
mod world;
