//! Client certificates by their names: the authority of a cluster signs many, and few of them belong to API servers.

use std::sync::Arc;

use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, SignatureScheme,
    client::danger::HandshakeSignatureValid,
    pki_types::{CertificateDer, UnixTime},
    server::danger::{ClientCertVerified, ClientCertVerifier},
};
use x509_cert::{
    Certificate,
    der::{self, Decode, Encode, oid::ObjectIdentifier},
    ext::pkix::{
        SubjectAltName,
        name::{DirectoryString, GeneralName},
    },
};

const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");

/// Takes the certificates that another verifier takes and that bear one of the names.
#[derive(Debug)]
pub(crate) struct NamedClients {
    pub(crate) verifier: Arc<dyn ClientCertVerifier>,
    pub(crate) names: Vec<String>,
}

impl ClientCertVerifier for NamedClients {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.verifier.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let verified = self.verifier.verify_client_cert(certificate, intermediates, now)?;
        let names = names(certificate).map_err(|_| CertificateError::BadEncoding)?;
        if names.iter().any(|name| self.names.contains(name)) {
            return Ok(verified);
        }
        Err(CertificateError::ApplicationVerificationFailure.into())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.verifier.supported_verify_schemes()
    }
}

/// The common names of a certificate, and its alternative names that are text.
fn names(certificate: &CertificateDer<'_>) -> der::Result<Vec<String>> {
    let certificate = Certificate::from_der(certificate)?.tbs_certificate;
    let mut names = Vec::new();
    let attributes = certificate.subject.0.iter().flat_map(|part| part.0.iter());
    for attribute in attributes.filter(|attribute| attribute.oid == COMMON_NAME) {
        names.push(match DirectoryString::from_der(&attribute.value.to_der()?)? {
            DirectoryString::PrintableString(text) => text.to_string(),
            DirectoryString::TeletexString(text) => text.to_string(),
            DirectoryString::Utf8String(text) => text,
        });
    }
    if let Some((_, SubjectAltName(alternatives))) = certificate.get::<SubjectAltName>()? {
        names.extend(alternatives.iter().filter_map(|name| match name {
            GeneralName::DnsName(text)
            | GeneralName::Rfc822Name(text)
            | GeneralName::UniformResourceIdentifier(text) => Some(text.to_string()),
            _ => None,
        }));
    }
    Ok(names)
}
