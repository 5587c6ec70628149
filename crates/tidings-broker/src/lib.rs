//! tidings-broker
