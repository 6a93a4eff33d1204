//! TLS: the certificate of the webhook, and which certificates its clients must show.

use std::{path::PathBuf, sync::Arc};

use rustls::{
    RootCertStore, ServerConfig,
    crypto::ring,
    pki_types::{
        CertificateDer, PrivateKeyDer,
        pem::{self, PemObject},
    },
    server::{
        NoClientAuth, VerifierBuilderError, WebPkiClientVerifier, danger::ClientCertVerifier,
    },
};

use crate::{config::Config, webhook::client_names::NamedClients};

/// Why there is no TLS; every message names the key of `init_config` and the file.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TlsError {
    #[error("cannot read the certificate from {key} {}", path.display())]
    Certificate { key: &'static str, path: PathBuf, source: pem::Error },
    #[error("there is no certificate in {key} {}", path.display())]
    NoCertificate { key: &'static str, path: PathBuf },
    #[error("cannot read the private key from {key} {}", path.display())]
    Key { key: &'static str, path: PathBuf, source: pem::Error },
    #[error("sslCertificate {} and the key in {} do not work", certificate.display(), key.display())]
    Unusable { certificate: PathBuf, key: PathBuf, source: rustls::Error },
    #[error("a certificate in clientCA {} is no authority", path.display())]
    Authority { path: PathBuf, source: rustls::Error },
    #[error("clientCA {} does not work", path.display())]
    Authorities { path: PathBuf, source: VerifierBuilderError },
}

/// Reads the certificate chain and the key, from one PEM file or from two, and the authorities of clients.
pub(crate) fn server_config(config: &Config) -> Result<Arc<ServerConfig>, TlsError> {
    let certificate = &config.ssl_certificate;
    let (key, path) = config.key_file();
    let chain = certificates("sslCertificate", certificate)?;
    let private_key = PrivateKeyDer::from_pem_file(path).map_err(|source| TlsError::Key {
        key,
        path: path.clone(),
        source,
    })?;
    // The provider is named here, since a process-wide default would be shared with nobody: a plugin has its own copy.
    let provider = Arc::new(ring::default_provider());
    let verifier = client_verifier(config, &provider)?;
    let mut server = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|builder| {
            builder.with_client_cert_verifier(verifier).with_single_cert(chain, private_key)
        })
        .map_err(|source| TlsError::Unusable {
            certificate: certificate.clone(),
            key: path.clone(),
            source,
        })?;
    server.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(server))
}

fn client_verifier(
    config: &Config,
    provider: &Arc<rustls::crypto::CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    let Some(path) = &config.client_ca else {
        return Ok(Arc::new(NoClientAuth));
    };
    let mut roots = RootCertStore::empty();
    for certificate in certificates("clientCA", path)? {
        roots
            .add(certificate)
            .map_err(|source| TlsError::Authority { path: path.clone(), source })?;
    }
    let verifier =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider))
            .build()
            .map_err(|source| TlsError::Authorities { path: path.clone(), source })?;
    Ok(match config.client_names.clone() {
        Some(names) => Arc::new(NamedClients { verifier, names }),
        None => verifier,
    })
}

fn certificates(
    key: &'static str,
    path: &PathBuf,
) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let certificates = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|source| TlsError::Certificate { key, path: path.clone(), source })?;
    if certificates.is_empty() {
        return Err(TlsError::NoCertificate { key, path: path.clone() });
    }
    Ok(certificates)
}
