//! tidings-sandbox
