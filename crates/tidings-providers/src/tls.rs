use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore, crypto::ring};
use rustls_platform_verifier::Verifier;

/// TLS with the system's root certificates, read anew each time.
///
/// # Errors
/// Where the system has none.
pub(crate) fn of_the_system() -> Result<ClientConfig, rustls::Error> {
    let verifier = Verifier::new(Arc::new(ring::default_provider()))?;
    let config = builder()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier));
    Ok(config.with_no_client_auth())
}

/// TLS that trusts these roots alone. With none it is for addresses without TLS, so that these work on a host without
/// root certificates.
pub(crate) fn with_roots(roots: RootCertStore) -> Result<ClientConfig, rustls::Error> {
    Ok(builder()?
        .with_root_certificates(roots)
        .with_no_client_auth())
}

/// The provider is named, so that nothing depends on which one a program has made its default.
fn builder() -> Result<rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier>, rustls::Error> {
    ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
}

#[cfg(test)]
mod tests;
