//! Ports that stay ours while a node is down.

use std::net::TcpListener;

/// `N` ports on loopback that nobody listens on.
///
/// From below the range that the kernel takes outgoing connections from, else some client could sit on a node's port
/// while the node restarts.
pub(crate) fn free_ports<const N: usize>() -> [u16; N] {
    let mut held = Vec::with_capacity(N);
    while held.len() < N {
        let port = rand::random_range(10_000..32_000);
        if let Ok(listener) = TcpListener::bind(("127.0.0.1", port)) {
            held.push((port, listener));
        }
    }
    std::array::from_fn(|n| held[n].0)
}
