//! tidings-dlq
