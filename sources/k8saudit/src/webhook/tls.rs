//! The certificate of the webhook.

use std::{path::PathBuf, sync::Arc};

use axum_server::tls_rustls::RustlsConfig;
use rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{
        CertificateDer, PrivateKeyDer,
        pem::{self, PemObject},
    },
};

use crate::config::Config;

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TlsError {
    #[error("cannot read the certificate from {}", path.display())]
    Certificate { path: PathBuf, source: pem::Error },
    #[error("there is no certificate in {}", path.display())]
    NoCertificate { path: PathBuf },
    #[error("cannot read the private key from {}", path.display())]
    Key { path: PathBuf, source: pem::Error },
    #[error("certificate {} and key {} do not work", certificate.display(), key.display())]
    Unusable { certificate: PathBuf, key: PathBuf, source: rustls::Error },
}

/// Reads the certificate chain and the key, from one PEM file or from two.
pub(crate) fn server_config(config: &Config) -> Result<RustlsConfig, TlsError> {
    let certificate = config.ssl_certificate.clone();
    let key = config.ssl_key.as_ref().unwrap_or(&certificate).clone();

    let chain = CertificateDer::pem_file_iter(&certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|source| TlsError::Certificate { path: certificate.clone(), source })?;
    if chain.is_empty() {
        return Err(TlsError::NoCertificate { path: certificate });
    }
    let private_key = PrivateKeyDer::from_pem_file(&key)
        .map_err(|source| TlsError::Key { path: key.clone(), source })?;
    // The provider is named here, since a process-wide default would be shared with nobody: a plugin has its own copy.
    let mut server = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, private_key))
        .map_err(|source| TlsError::Unusable { certificate, key, source })?;
    server.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(RustlsConfig::from_config(Arc::new(server)))
}
